"""prpose predict: keypoints in, many 3D poses out."""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

import prpose
from prpose.atomic import check_output, replacing
from prpose.cli.device import named_device
from prpose.models import Model, find_model
from prpose.predictor import Prediction, Predictor
from prpose.skeleton import H36M_17
from prpose.tracks import Track, read_track

AXES = "camera: x right, y down, z forward; metres; relative to the pelvis, which is at 0"


def predict(
    file: tyro.conf.Positional[Path],
    out: Path,
    model: str = "mgcn-cmu17",
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Many plausible 3D poses for each frame of one person's 2D keypoints.

    Args:
        file: npz with keypoints_px (frames, joints, 2); layout and image_size there, or here.
        out: npz for the poses: hypotheses, their mean and covariance, the single pose.
        model: one that prpose brings ("prpose models"), a folder, or owner/name on the hub.
        hypotheses: how many for each frame.
        layout: order of the joints: h36m17.
        image_size: width and height, pixels.
        seed: of the noise.
        device: auto, cpu, cuda, cuda:1 ...
        overwrite: replace the file if it exists.
    """
    check_output(out, overwrite)
    if hypotheses < 2:
        raise ValueError(f"expected -n >= 2 hypotheses, a distribution, got {hypotheses}")
    track = read_track(file, layout, image_size)
    found = find_model(model)
    predictor = Predictor(found.hypothesis_lifter().to(named_device(device)))
    prediction = predictor.predict(track.keypoints_px, track.width, track.height, hypotheses, seed)
    settings = {"file": file.name, "model": model, "hypotheses": hypotheses, "seed": seed}
    with replacing(out) as temporary:
        np.savez(temporary, **content(track, prediction, found, settings))
    spread = prediction.spread[:, 1:].mean() * 1000
    print(
        f"{len(track.keypoints_px)} frames, {hypotheses} hypotheses each; they spread by "
        f"{spread:.0f} mm per axis, joints but the pelvis, on average"
    )
    print(f"written: {out}")


def content(
    track: Track, prediction: Prediction, model: Model, settings: dict[str, Any]
) -> dict[str, Any]:
    """Arrays of the file, plain ones, with a JSON text that says what they are."""
    info = {
        "axes": AXES,
        "settings": settings,
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
        "keypoints_px": track.keypoints_px,
        "image_size": np.array([track.width, track.height]),
        "info": np.array(json.dumps(info, indent=1)),
    }
    return arrays | ({} if track.fps is None else {"fps": np.array(track.fps)})
