"""prpose predict: keypoints in, many 3D poses out."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

import prpose
from prpose.atomic import check_output, replacing
from prpose.check_track import Prepared, prepare
from prpose.cli.device import named_device
from prpose.models import Model, find_model
from prpose.predictor import Prediction, Predictor
from prpose.read_keypoints import pick, tracks_of
from prpose.skeleton import H36M_17
from prpose.tracks import Track

AXES = "camera: x right, y down, z forward; metres; relative to the pelvis, which is at 0"

FLAGS = {
    "frames": "(frames,) numbers of the frames, as in the file",
    "seen": "(frames, 17) the detector found the joint, or all joints that it is made of",
    "interpolated": "(frames, 17) it, or a joint that it is made of, was filled in between frames",
    "made": "(frames, 17) it is a weighted sum of several joints of the detector's",
    "score": "(frames, 17) the detector's, the lowest of what it is made of; 0 if interpolated",
}
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def predict(
    file: tyro.conf.Positional[Path],
    out: Path,
    model: str = "mgcn-cmu17",
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50,
    format: str | None = None,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: str | None = None,
    max_gap: int = 5,
    skip_unseen: Flag = False,
    as_is: Flag = False,
    seed: int = 0,
    device: str = "auto",
    overwrite: Flag = False,
) -> None:
    """Many plausible 3D poses for each frame of one person's 2D keypoints.

    Args:
        file: keypoints, as COCO, OpenPose (a folder), AlphaPose, MMPose, MediaPipe, VideoPose3D,
            Detectron2, CSV, npy or npz; docs/formats.md shows each.
        out: npz for the poses: hypotheses, their mean and covariance, the single pose.
        model: one that prpose brings ("prpose models"), a folder, or owner/name on the hub.
        hypotheses: how many for each frame.
        format: of the file, where it is not to be recognised: coco, coco-annotations, openpose,
            alphapose, mmpose, mediapipe, videopose3d, detectron2, npy, csv, npz.
        layout: order of the joints, where the file does not say it: h36m17, coco17, coco18,
            body25, halpe26, wholebody133, blazepose33, mpi28.
        image_size: width and height, pixels, where the file does not say them.
        fps: frames per second, where the file does not say them.
        person: which, if there are several; without it, they are listed.
        max_gap: frames that a joint may be missing for to be filled in by a straight line.
        skip_unseen: leave out frames with joints that are neither seen nor made.
        as_is: lift people who seem upside-down, lying, or outside of the image.
        seed: of the noise.
        device: auto, cpu, cuda, cuda:1 ...
        overwrite: replace the file if it exists.
    """
    check_output(out, overwrite)
    if hypotheses < 2:
        raise ValueError(f"expected -n >= 2 hypotheses, a distribution, got {hypotheses}")
    track, ready = read(file, format, layout, image_size, fps, person, max_gap, skip_unseen, as_is)
    found = find_model(model)
    predictor = Predictor(found.hypothesis_lifter().to(named_device(device)))
    prediction = predictor.predict(ready.keypoints_px, track.width, track.height, hypotheses, seed)
    settings = {"file": file.name, "model": model, "hypotheses": hypotheses, "seed": seed}
    settings |= {"layout": track.layout, "person": track.person, "max_gap": max_gap}
    with replacing(out) as temporary:
        np.savez(temporary, **content(track, ready, prediction, found, settings))
    spread = prediction.spread[:, 1:].mean() * 1000
    print(
        f"{len(ready.frames)} frames, {hypotheses} hypotheses each; they spread by "
        f"{spread:.0f} mm per axis, joints but the pelvis, on average"
    )
    print(f"written: {out}")


def read(
    file: Path,
    format: str | None,
    layout: str | None,
    image_size: tuple[int, int] | None,
    fps: float | None,
    person: str | None,
    max_gap: int,
    skip_unseen: bool,
    as_is: bool,
) -> tuple[Track, Prepared]:
    """One person's track, and what of it can be lifted; what was mended is said on stderr."""
    tracks = tracks_of(file, format, layout, image_size, fps)
    try:
        track = pick(tracks, person)
        ready = prepare(track, max_gap, skip_unseen, as_is)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    for message in ready.messages:
        print(f"note: {message}", file=sys.stderr)
    return track, ready


def content(
    track: Track,
    ready: Prepared,
    prediction: Prediction,
    model: Model,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Arrays of the file, plain ones, with a JSON text that says what they are."""
    info = {
        "axes": AXES,
        "settings": settings,
        "notes": ready.messages,
        "flags": FLAGS,
        "model": {"name": model.card.name, "alpha": model.card.alpha}
        | {role: getattr(model.card, role).sha256 for role in ("lifter", "noise")},
        "prpose": prpose.__version__,
    }
    arrays = {
        "hypotheses": prediction.hypotheses,
        "mean": prediction.mean,
        "covariance": prediction.covariance,
        "single": prediction.single,
        "joints": np.array(H36M_17.names),
        "parents": np.array(H36M_17.parents),
        "keypoints_px": ready.keypoints_px,
        "frames": ready.frames,
        "seen": ready.seen,
        "interpolated": ready.interpolated,
        "made": ready.made,
        "image_size": np.array([track.width, track.height]),
        "info": np.array(json.dumps(info, indent=1)),
    }
    if ready.score is not None:
        arrays["score"] = ready.score
    return arrays | ({} if track.fps is None else {"fps": np.array(track.fps)})
