"""Fits the distribution of 2D poses that missing joints are expected from (prpose/missing.py), and checks it.

    python studies/missing.py prpose/body_prior.npz --root dataset

From the training recordings of cmu17 in front of random cameras, half of them of any kind; the table is of validation
recordings: how far an expected joint is from the true one, and how often within two standard deviations per axis.
"""

import sys
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from prpose.atomic import check_output, replacing
from prpose.camera import Array
from prpose.cli import guarded
from prpose.cli.console import print_table
from prpose.data import load_motions
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.missing import Prior, fill_missing
from prpose.skeleton import H36M_17

CAMERAS, BODIES = RandomCameras(wide=0.5), Proportions(wide=0.5, exchanged=0.3)
HEADS = ("error", "standard deviation", "within two")
LOST = {
    "left wrist": ("left_wrist",),
    "right arm": ("right_elbow", "right_wrist"),
    "ankles": ("left_ankle", "right_ankle"),
    "legs below the hips": ("left_knee", "right_knee", "left_ankle", "right_ankle"),
    "head": ("neck", "head"),
    "left side": ("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle"),
}


def poses_of(split: str, root: Path, batches: int, seed: int) -> Array:
    """Visible 2D poses (N, 17, 2) relative to the pelvis, over the mean distance from it."""
    views = RandomViews(
        load_motions("cmu17", root, split), every=5, keypoints="gt", cameras=CAMERAS, proportions=BODIES, framed=True,
        balance=0.5,
    )  # fmt: skip
    found = []
    for number, (_, batch) in enumerate(views.batches(1024, (seed,))):
        if number == batches:
            break
        found.append(batch.keypoints[:, 0].double().numpy())
    xy = np.concatenate(found)
    xy = xy - xy[:, :1]
    return np.asarray(xy / np.linalg.norm(xy[:, 1:], axis=-1).mean(axis=1)[:, None, None])


def fit(xy: Array) -> Prior:
    """Moments of poses (N, 17, 2) and their mirror images."""
    both = np.concatenate([xy, xy[:, H36M_17.mirror] * [-1, 1]]).reshape(2 * len(xy), -1)
    return Prior(both.mean(axis=0), np.cov(both, rowvar=False, bias=True))


def main(out: Positional[Path], root: Path = Path("dataset"), batches: int = 40, overwrite: bool = False) -> None:
    """Fit the prior of 2D poses and check it.

    Args:
        out: Output file, .npz.
        root: Folder with the npz files of the data set.
        batches: Number of batches of 1024 poses.
        overwrite: Replace an existing output file.
    """
    check_output(out, overwrite)
    prior = fit(poses_of("train", root, batches, 0))
    xy, rows = poses_of("val", root, max(1, batches // 10), 1), dict[str, list[str]]()
    for name, joints in LOST.items():
        lost = xy.copy()
        lost[:, H36M_17.subset(joints)] = np.nan
        parts = [fill_missing(pose[None], np.arange(1), prior=prior) for pose in lost]
        filled, sigma = (np.concatenate(part)[:, H36M_17.subset(joints)] for part in zip(*parts, strict=True))
        off = filled - xy[:, H36M_17.subset(joints)]
        inside = (np.abs(off) < 2 * sigma[..., None]).mean()
        rows[name] = [f"{np.linalg.norm(off, axis=-1).mean():.3f}", f"{sigma.mean():.3f}", f"{inside:.1%}"]
    print_table("Missing joints, cmu17 val; lengths over the mean distance from the pelvis", HEADS, rows)
    with replacing(out) as temporary:
        np.savez(temporary, **{name: value.astype(np.float32) for name, value in prior._asdict().items()})


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
