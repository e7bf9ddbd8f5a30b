"""prpose predict: keypoints in, many 3D poses out."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from prpose import processes
from prpose.atomic import check_output
from prpose.cli.command import typed
from prpose.cli.lifting import Lifting
from prpose.cli.many_files import is_many, lift_many
from prpose.cli.source import Source, check_apart
from prpose.config import InferenceConfig
from prpose.io.export import format_of
from prpose.prediction import Prediction
from prpose.regions import limits_of, regions_of


def predict(
    file: tyro.conf.Positional[Path],
    out: Path,
    source: Annotated[Source, tyro.conf.arg(name="")],
    how: Annotated[InferenceConfig, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff],
    model: str = "mgcn-cmu17",
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50,
    seed: int = 0,
    device: str = "auto",
    each: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    out_format: str | None = None,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(aliases=["--force"])] = (False),
) -> None:
    """Many plausible 3D poses for each frame of one person, from 2D keypoints, images or video.

    Of a folder, too, file by file; torchrun shares them among processes.

    Args:
        file: a photo, a video, a folder of images or a camera's number; or keypoints, as COCO,
            OpenPose (a folder), AlphaPose, MMPose, MediaPipe, VideoPose3D, Detectron2, CSV, npy or
            npz; docs/video.md and docs/formats.md show each. Or a folder of such files.
        out: file for the poses, by its ending: npz or json for all of it, csv, trc (OpenSim) or
            bvh (Blender) for one pose a frame; docs/output.md describes each. Of a folder of
            files, a folder; the poses of a.json become a.npz in it. With --person all, everybody
            gets a file: poses.0.npz, poses.1.npz ...
        source: of the keypoints.
        how: they become poses.
        model: one that prpose brings ("prpose models"), a folder, or owner/name on the hub.
        hypotheses: how many for each frame.
        seed: of the noise; every file has the same, so that alone it becomes the same poses.
        device: auto, cpu, cuda, cuda:1 ...
        each: take every file of a folder by itself, even if together they could be one clip.
        out_format: npz, json, csv, trc or bvh; without it the ending of --out says, and in a
            folder it is npz.
        overwrite: replace the file if it exists.
    """
    processes.once(lambda: how.check(hypotheses, seed))
    lifting = Lifting(how, model, hypotheses, seed, device, out_format, overwrite)
    if processes.once(lambda: is_many(file, each, source.person)):
        lift_many(file, out, each, source, lifting)
    elif processes.rank() == 0:
        lift_one(file, out, source, lifting)


def lift_one(file: Path, out: Path, source: Source, lifting: Lifting) -> None:
    """One person of one file."""
    format_of(check_output(out, lifting.overwrite), lifting.format)
    source.check(file, lifting.overwrite)
    check_apart(file, out, source.overlay)
    _ = lifting.predictor  # what is wrong with it is not said of the file, nor after watching it
    track = source.read(file)
    try:
        poses, messages = lifting.lift(track, out, typed(sys.argv[1:]))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    for message in messages:
        print(f"note: {message}", file=sys.stderr)
    print(said_of(poses, lifting.samples))
    print(f"written: {out}")
    source.draw_over(file, poses, lifting.overwrite)


def said_of(poses: Prediction, S: int) -> str:
    """A line about the poses."""
    spread = float(poses.covariance[:, 1:].diagonal(axis1=-2, axis2=-1).clip(0).mean() ** 0.5)
    away = "" if poses.root is None else f", {float(poses.root[:, 2].mean()):.1f} m away"
    return (
        f"{len(poses)} frames, {S} hypotheses each{away}; they spread by {spread * 1000:.0f} mm "
        f"per axis, joints but the pelvis, on average{_reach(poses)}"
    )


def _reach(poses: Prediction) -> str:
    """How far 95 % regions reach, if the model says how large they must be."""
    if limits_of(poses.model) is None:
        return ""
    semi_axes, _ = regions_of(poses.covariance, poses.model)
    return f"; 95 % regions reach {float(semi_axes[:, 1:, 0].mean()) * 1000:.0f} mm"
