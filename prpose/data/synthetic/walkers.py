"""Walkers: procedural people on joint-angle curves, rendered like ``cmu17``, for machines without motion capture.

They serve tests, documentation and demonstrations, not results. Body axes at rest, standing upright: x forward,
y to the left, z up. Angles are in degrees; flexion moves a segment forward (a shin backward), abduction away from
the midline.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.data.clip import Clip
from prpose.data.mocap import euler, forward_kinematics
from prpose.data.motion import Motion
from prpose.data.release_files import Selection
from prpose.data.synthetic import KEYPOINTS, Rendering, Rig
from prpose.data.synthetic.walker_moves import MOVES
from prpose.rng import generator
from prpose.skeleton import H36M_17
from prpose.tables import look_up

SPLITS = {
    "train": tuple(f"W{i:02d}" for i in range(1, 13)),
    "val": ("W13", "W14"),
    "test": ("W15", "W16", "W17"),
}
"""Walkers of each split; each of them does every action."""

FPS = 60.0
SECONDS = 4.0

# Fractions of stature: Drillis & Contini, Body Segment Parameters, 1966, as drawn in Winter, Biomechanics and
# Motor Control of Human Movement, fig. 4.1. The trunk is divided at the spine point, and the head at the
# neck/nose point, as on Human3.6M's skeletons.
SEGMENTS = {
    "hip": 0.055,  # half the distance between the hip joints; the figure's 0.0955 is to the outside
    "knee": 0.245,
    "ankle": 0.246,
    "spine": 0.135,
    "thorax": 0.153,
    "neck": 0.07,
    "head": 0.07,
    "shoulder": 0.129,  # half of the shoulders' breadth
    "elbow": 0.186,
    "wrist": 0.146,
}
ANKLE_HEIGHT = 0.039

LIMITS = {
    "spine_flexion": (-25.0, 70.0),
    "spine_bend": (-30.0, 30.0),
    "spine_twist": (-40.0, 40.0),
    "neck_flexion": (-40.0, 40.0),
    "hip_flexion": (-25.0, 120.0),
    "hip_abduction": (-20.0, 45.0),
    "knee_flexion": (0.0, 140.0),
    "shoulder_flexion": (-60.0, 170.0),
    "shoulder_abduction": (0.0, 170.0),
    "elbow_flexion": (0.0, 145.0),
}
"""Ranges of joint motion, degrees, after the American Academy of Orthopaedic Surgeons (1965), rounded inwards."""


def load(root: Path, split: str, selection: Selection, keypoints: str = "det") -> list[Clip]:
    """Clips of the walkers of a split, from four cameras each; ``root`` is not used.

    Raises:
        ValueError: for unknown 2D, or an action that no walker does.
    """
    look_up(keypoints, dict.fromkeys(KEYPOINTS), "2D of walkers")
    selection.check(MOVES, "walkers")
    return [
        clip
        for motion in motions(root, split)
        if selection.wants(motion.action)
        for clip in _rendering(motion).clips(keypoints, selection.frames(len(motion)))
    ]


def motions(root: Path, split: str) -> list[Motion]:
    """Motions of the walkers of a split; ``root`` is not used."""
    return [walker(name, action) for name in SPLITS[split] for action in MOVES]


@cache
def _rendering(motion: Motion) -> Rendering:
    return Rig().render(motion, seed="walkers")


@cache
def walker(subject: str, action: str) -> Motion:
    """One walker's motion, four seconds long, on level ground; any ``subject`` names a body.

    Raises:
        ValueError: for an action that is not in :data:`prpose.data.synthetic.walker_moves.MOVES`.
    """
    move = look_up(action, MOVES, "action of walkers")
    body = random_body(generator("walker", subject))
    times = np.arange(round(FPS * SECONDS)) / FPS
    angles = move(times, generator("walker", subject, action))
    heading, lean = angles.pop("heading"), angles.pop("lean")
    joints = pose(body, limited(angles), heading, lean)
    poses = joints + root_path(joints, body["ankle_height"])[:, None]
    return Motion(f"{subject}_{action}", subject, action, poses.astype(np.float32), FPS)


def root_path(joints: Array, ankle_height_m: float) -> Array:
    """Position of the pelvis, (T, 3), if the lower foot of (T, 17, 3) joints stands still."""
    feet = joints[:, H36M_17.subset(("left_ankle", "right_ankle"))]  # (T, 2, 3)
    step = np.diff(feet[..., :2], axis=0)
    # The weight passes to the other foot within some 5 cm of height difference.
    lower = (feet[..., 0, 2] - feet[..., 1, 2]) / 0.02
    left = (1 / (1 + np.exp(np.clip(lower, -50, 50))))[1:, None]
    path = np.zeros((len(joints), 3))
    path[1:, :2] = -np.cumsum(left * step[:, 0] + (1 - left) * step[:, 1], axis=0)
    path[:, 2] = ankle_height_m - feet[..., 2].min(axis=1)
    path[:, :2] -= path[:, :2].mean(axis=0)
    return path


def random_body(rng: np.random.Generator) -> dict[str, float]:
    """Lengths of :data:`SEGMENTS` and height of a standing foot's ankle, metres.

    Stature is 1.70 ± 0.10 m (men and women, ANSUR II, rounded), segments are ± 4 %.
    """
    stature = float(np.clip(1.70 + 0.10 * rng.standard_normal(), 1.45, 2.0))
    body = {name: share * stature * float(np.exp(0.04 * rng.standard_normal())) for name, share in SEGMENTS.items()}
    return body | {"pelvis": 0.0, "ankle_height": ANKLE_HEIGHT * stature}


def pose(body: Mapping[str, float], angles: Mapping[str, Array], heading: Array, lean: Array) -> Array:
    """Joints relative to the pelvis, (T, 17, 3) metres, z up.

    Args:
        body: as of :func:`random_body`.
        angles: joint angles, (T,) degrees: ``spine_*``, ``neck_flexion``, and the others after ``left_`` or
            ``right_``; those that are missing are 0.
        heading, lean: direction that the pelvis faces, from x towards y, and its forward tilt, (T,) degrees.
    """

    def turn(axes: str, *degrees: Array) -> Rotation:
        return euler(axes, np.stack(degrees, axis=-1))

    def angle(name: str) -> Array:
        return np.asarray(angles.get(name, np.zeros(len(heading))))

    pelvis = turn("zy", heading, lean)
    trunk = pelvis * turn("zxy", angle("spine_twist"), angle("spine_bend"), angle("spine_flexion"))
    neck = trunk * turn("y", angle("neck_flexion"))
    up, down = np.array([0, 0, 1.0]), np.array([0, 0, -1.0])
    bones = {"pelvis": (pelvis, 0 * up), "spine": (pelvis, up), "thorax": (trunk, up), "neck": (neck, up)}
    bones["head"] = (neck, up)
    for side, left in (("left", 1.0), ("right", -1.0)):
        thigh = pelvis * turn("yx", -angle(f"{side}_hip_flexion"), left * angle(f"{side}_hip_abduction"))
        arm = trunk * turn("yx", -angle(f"{side}_shoulder_flexion"), left * angle(f"{side}_shoulder_abduction"))
        out = np.array([0, left, 0])
        bones |= {
            f"{side}_hip": (pelvis, out),
            f"{side}_knee": (thigh, down),
            f"{side}_ankle": (thigh * turn("y", angle(f"{side}_knee_flexion")), down),
            f"{side}_shoulder": (trunk, out),
            f"{side}_elbow": (arm, down),
            f"{side}_wrist": (arm * turn("y", -angle(f"{side}_elbow_flexion")), down),
        }
    turns, directions = zip(*(bones[name] for name in H36M_17.names), strict=True)
    lengths = (body[_unsided(name)] for name in H36M_17.names)
    offsets = [direction * length for direction, length in zip(directions, lengths, strict=True)]
    return forward_kinematics(H36M_17.parents, turns, offsets)


def _unsided(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def limited(angles: Mapping[str, Array]) -> dict[str, Array]:
    """The angles within :data:`LIMITS`."""
    return {name: np.clip(value, *LIMITS[_unsided(name)]) for name, value in angles.items()}
