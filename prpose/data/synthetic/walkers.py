"""Walkers: people made of nothing but joint-angle curves, for machines without motion capture.

They are seen by the same virtual cameras and detector as ``cmu17``, and come in the same clips.
They are good for tests, documentation and demonstrations, not for results.
"""

from functools import cache
from pathlib import Path

import numpy as np

from prpose.camera import Array
from prpose.data.clip import Clip
from prpose.data.motion import Motion
from prpose.data.release_files import Selection
from prpose.data.synthetic.rendering import KEYPOINTS, Rendering, Rig
from prpose.data.synthetic.walker_body import WalkerBody, limited
from prpose.data.synthetic.walker_moves import MOVES
from prpose.rng import generator
from prpose.skeleton import H36M_17
from prpose.tables import look_up

SPLITS = {
    "train": tuple(f"W{i:02d}" for i in range(1, 13)),
    "val": ("W13", "W14"),
    "test": ("W15", "W16", "W17"),
}
"""Walkers of each split; every one of them does everything."""

FPS = 60.0
SECONDS = 4.0


def load(root: Path, split: str, selection: Selection, keypoints: str = "det") -> list[Clip]:
    """Clips of the walkers of a split, from four cameras each; ``root`` is not looked at.

    Raises:
        ValueError: for unknown 2D, or an action that no walker does.
    """
    look_up(keypoints, dict.fromkeys(KEYPOINTS), "2D of walkers")
    selection.check(MOVES, "walkers")
    return [
        clip
        for motion in motions(root, split)
        if selection.wants(motion.action)
        for clip in _film(motion).clips(keypoints, selection.frames(len(motion)))
    ]


def motions(root: Path, split: str) -> list[Motion]:
    """What the walkers of a split do, in the world; ``root`` is not looked at."""
    return [walker(name, action) for name in SPLITS[split] for action in MOVES]


@cache
def _film(motion: Motion) -> Rendering:
    return Rig().render(motion, seed="walkers")


@cache
def walker(subject: str, action: str) -> Motion:
    """One walker at one thing, four seconds long, on level ground.

    Args:
        subject: any name; it fixes the body.
        action: a key of :data:`prpose.data.synthetic.walker_moves.MOVES`.

    Raises:
        ValueError: for an unknown action.
    """
    move = look_up(action, MOVES, "action of walkers")
    body = WalkerBody.random(generator("walker", subject))
    times = np.arange(round(FPS * SECONDS)) / FPS
    angles = move(times, generator("walker", subject, action))
    heading, lean = angles.pop("heading"), angles.pop("lean")
    joints = body.pose(limited(angles), heading, lean)
    poses = joints + root_path(joints, body.ankle_height_m)[:, None]
    return Motion(f"{subject}_{action}", subject, action, poses.astype(np.float32), FPS)


def root_path(joints: Array, ankle_height_m: float) -> Array:
    """Where the pelvis goes, (T, 3), if the lower foot of (T, 17, 3) joints stands still."""
    feet = joints[:, H36M_17.subset(("left_ankle", "right_ankle"))]  # (T, 2, 3)
    step = np.diff(feet[..., :2], axis=0)
    # The weight goes over to the other foot within some 5 cm of height difference.
    lower = (feet[..., 0, 2] - feet[..., 1, 2]) / 0.02
    left = (1 / (1 + np.exp(np.clip(lower, -50, 50))))[1:, None]
    path = np.zeros((len(joints), 3))
    path[1:, :2] = -np.cumsum(left * step[:, 0] + (1 - left) * step[:, 1], axis=0)
    path[:, 2] = ankle_height_m - feet[..., 2].min(axis=1)
    path[:, :2] -= path[:, :2].mean(axis=0)
    return path
