"""prpose predict: keypoints in, many 3D poses out."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

import prpose
from prpose.atomic import check_output
from prpose.cli.device import named_device
from prpose.cli.source import Source
from prpose.poses import Poses
from prpose.prediction.how import How
from prpose.predictor import Predictor
from prpose.write_poses import format_of, write_poses


def predict(
    file: tyro.conf.Positional[Path],
    out: Path,
    source: Annotated[Source, tyro.conf.arg(name="")],
    how: Annotated[How, tyro.conf.arg(name=""), tyro.conf.FlagCreatePairsOff],
    model: str = "mgcn-cmu17",
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50,
    seed: int = 0,
    device: str = "auto",
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(aliases=["--force"])] = (
        False
    ),
) -> None:
    """Many plausible 3D poses for each frame of one person's 2D keypoints.

    Args:
        file: keypoints, as COCO, OpenPose (a folder), AlphaPose, MMPose, MediaPipe, VideoPose3D,
            Detectron2, CSV, npy or npz; docs/formats.md shows each.
        out: file for the poses, by its ending: npz or json for all of it, csv, trc (OpenSim) or
            bvh (Blender) for one pose a frame; docs/output.md describes each.
        source: of the keypoints.
        how: they become poses.
        model: one that prpose brings ("prpose models"), a folder, or owner/name on the hub.
        hypotheses: how many for each frame.
        seed: of the noise.
        device: auto, cpu, cuda, cuda:1 ...
        overwrite: replace the file if it exists.
    """
    format_of(check_output(out, overwrite))
    how.check()
    track = source.read(file)
    predictor = Predictor.load(model, named_device(device))
    try:
        poses, messages = predictor.predict_track(track, hypotheses, seed, how)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    for message in (*messages, *how.notes(poses.camera)):
        print(f"note: {message}", file=sys.stderr)
    made_by = f"prpose {prpose.__version__}"
    command = shlex.join(["prpose", *sys.argv[1:]])
    write_poses(replace(poses, command=command, made_by=made_by), out, overwrite=overwrite)
    print(said_of(poses, hypotheses))
    print(f"written: {out}")


def said_of(poses: Poses, S: int) -> str:
    """A line about the poses."""
    spread = float(poses.covariance[:, 1:].diagonal(axis1=-2, axis2=-1).clip(0).mean() ** 0.5)
    away = "" if poses.root_cam is None else f", {float(poses.root_cam[:, 2].mean()):.1f} m away"
    return (
        f"{len(poses)} frames, {S} hypotheses each{away}; they spread by {spread * 1000:.0f} mm "
        "per axis, joints but the pelvis, on average"
    )
