"""Errors on real recordings with triangulated truth, the table of docs/results.md.

    python studies/real.py ../shared/real --model gaussian-wide gaussian-cmu17

Each npz of the folder is one recording by C calibrated cameras: keypoints ``uv`` (C, T, J, 2) px, ``score`` (C, T, J);
the cameras' ``K``, ``D``, ``R``, ``t``, world to camera, metres; ``Xf`` (T, J, 3), the joints in the world; ``size``,
``fps``. Scored are the limbs, the thorax and the nose, relative to the middle of the hips, in the camera's axes, mm,
means over the cameras: P1, also with one scale per clip, in the image plane and in depth; P2; how many limb joints the
95 % regions hold; the error of the distance; jitter (second differences, mm per squared frame), and that of the truth;
how many frames are unlike the training data, %.
"""

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import tyro
from tyro.conf import Positional, arg

import prpose
from prpose.camera import Array
from prpose.cli import guarded
from prpose.cli.console import print_table
from prpose.layouts import LAYOUTS
from prpose.metrics import p_mpjpe
from prpose.prediction import FLAGS
from prpose.remap import LIMBS
from prpose.skeleton import H36M_17

LAYOUT_OF = {25: "body25b", 33: "blazepose33"}
HEADS = ("P1", "scaled", "P2", "plane", "depth", "95 %", "root %", "jitter", "true", "unlike")
CONFIG = prpose.InferenceConfig(allow_implausible=True)
PLACES = [[LIMBS.index(f"{side}_{name}") for side in ("left", "right")] for name in ("hip", "shoulder")]


def scored(joints: Mapping[str, Array], nose: Array) -> Array:
    """(T, 14, 3): limbs, thorax and nose relative to the middle of the hips."""
    limbs = np.stack([joints[name] for name in LIMBS], axis=1)
    hips, shoulders = (limbs[:, places].mean(axis=1, keepdims=True) for places in PLACES)
    return np.asarray(np.concatenate([limbs, shoulders, nose[:, None]], axis=1) - hips)


def bends(poses: Array) -> float:
    """Mean second difference, mm per squared frame."""
    return 1000 * float(np.linalg.norm(np.diff(poses, 2, axis=0), axis=-1).mean())


def measures(model: prpose.Model, entries: Mapping[str, Array], c: int, assumed: bool) -> list[float]:
    """The columns of the table for one camera; ``assumed``: without its intrinsics."""
    uv, score, K = entries["uv"][c].astype(np.float64), entries["score"][c], entries["K"][c]
    layout, T = LAYOUTS[LAYOUT_OF[uv.shape[1]]], len(uv)
    straight = cv2.undistortPoints(uv.reshape(-1, 1, 2), K, entries["D"][c], P=K).reshape(uv.shape)
    width, height = (int(side) for side in entries["size"])
    found = model(
        np.where((score > 0)[..., None], straight, np.nan), 200, 0, layout=LAYOUT_OF[uv.shape[1]],
        image_size=(width, height), fps=float(entries["fps"]), confidence=score.clip(0, 1),
        intrinsics=None if assumed else (K[0, 0], K[1, 1], K[0, 2], K[1, 2]), config=CONFIG,
    )  # fmt: skip
    cam = entries["Xf"][found.frame_numbers] @ entries["R"][c].T + entries["t"][c]
    truth = scored({name: cam[:, layout.index(name)] for name in LIMBS}, cam[:, layout.index("nose")])
    own = {name: found.pose[:, H36M_17.index(name)] for name in LIMBS}
    pose = scored(own, found.pose[:, H36M_17.index("neck")])
    known = np.isfinite(truth).all(axis=(1, 2))
    assert known.sum() > T / 2, "the truth is known in few frames"
    hips = cam[:, [layout.index("left_hip"), layout.index("right_hip")]].mean(axis=1)[known]
    semi_axes, directions = (values[known][:, H36M_17.subset(LIMBS)] for values in found.regions(0.95))
    pose, truth, root = pose[known], truth[known], found.root[known]
    off, scale = pose - truth, (pose * truth).sum() / (pose * pose).sum()
    inside = (np.einsum("tjkc,tjc->tjk", directions, off[:, : len(LIMBS)]) / np.maximum(semi_axes, 1e-9)) ** 2
    far = np.linalg.norm(root, axis=-1) / np.linalg.norm(hips, axis=-1) - 1
    return [
        1000 * np.linalg.norm(off, axis=-1).mean(), 1000 * np.linalg.norm(scale * pose - truth, axis=-1).mean(),
        1000 * p_mpjpe(torch.from_numpy(pose).double(), torch.from_numpy(truth).double()).mean().item(),
        1000 * np.linalg.norm(off[..., :2], axis=-1).mean(), 1000 * np.abs(off[..., 2]).mean(),
        100 * (inside.sum(-1) <= 1).mean(), 100 * far.mean(), bends(pose), bends(truth),
        100 * (found.flags == FLAGS.index("out_of_distribution")).any(axis=1).mean(),
    ]  # fmt: skip


def main(
    folder: Positional[Path], model: Annotated[tuple[str, ...], arg(name="model")] = ("gaussian-wide",)
) -> dict[str, list[float]]:
    """Print a row per recording, model, and with or without intrinsics.

    Args:
        folder: Folder with the recordings, .npz.
        model: Bundled models or model folders.
    """
    rows = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            entries = dict(file)
        for name in model:
            loaded = prpose.load(name)
            for assumed in (False, True):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    cameras = [measures(loaded, entries, c, assumed) for c in range(len(entries["uv"]))]
                label = f"{path.stem} {Path(name).name} {'assumed' if assumed else 'K'}"
                rows[label] = np.mean(cameras, axis=0).tolist()
    print_table("K: with the true intrinsics", HEADS, {label: [f"{v:.1f}" for v in row] for label, row in rows.items()})
    return rows


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
