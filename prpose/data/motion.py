"""A motion: one person's Human3.6M-17 joints in the world over time; cleaning and checking of recordings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects, label

from prpose.camera import Array
from prpose.data.clip import check_coordinates, unusual_legs
from prpose.rng import check_rate
from prpose.skeleton import H36M_17
from prpose.tables import naming

RATES = (5.0, 5000.0)  # admitted frame rates of motion capture; anything else is taken for a wrong unit
FAULTS = (  # least value of each of _stance's measures, in metres, and what is wrong below it
    (0.0, "head down on the whole", "is up the axis that the joint mapping names?"),
    (-0.01, "the knees bend backwards", "are left and right, or the axes, exchanged in the joint mapping?"),
)

STILL_DEG = 3.0  # a person whose bones turn less in half a second says nothing of the recording


@dataclass(frozen=True, eq=False)
class Motion:
    """World positions of one person's joints over time; ``ValueError``, naming the clip, for invalid ones."""

    name: str
    subject: str
    action: str
    poses_world: Array  # (T, 17, 3) float32 metres, right-handed, z up, ground at 0
    fps: float

    def __post_init__(self) -> None:
        check_coordinates(self.poses_world, len(H36M_17), 3, f"clip {self.name}", "3D")
        with naming(f"clip {self.name}"):
            check_rate(self.fps, "a frame rate")

    def __len__(self) -> int:
        return len(self.poses_world)


@dataclass(frozen=True)
class Cleaning:
    """What counts as an artefact of motion capture."""

    frozen_m_s: float = 1e-4  # no joint moves faster than this from frame to frame ...
    frozen_s: float = 0.025  # ... for at least this long, and over two steps at least: the recording is frozen
    jump_m_s: float = 24.0  # a joint faster than any human movement, a kick or a pitch, was lost or exchanged
    margin_s: float = 0.05  # dropped on both sides of a jump; at least a frame
    shortest_s: float = 0.5  # pieces shorter than this are dropped

    def good(self, poses: Array, fps: float) -> Array:
        """Which frames of (T, J, 3) are good, (T,) bool; frames with NaN are not."""
        complete = np.asarray(np.isfinite(poses).all(axis=(1, 2)))
        bad: Array = np.logical_not(complete)
        known = np.where(complete[:, None, None], poses, 0)
        with np.errstate(over="ignore"):  # an overflow counts as a jump
            step = np.linalg.norm(np.diff(known, axis=0), axis=-1).max(axis=1, initial=0)
        speed = step * fps  # (T - 1,)
        speed[bad[1:] | bad[:-1]] = self.frozen_m_s * 2  # neither frozen nor a jump
        # Of a short run of repeated poses all frames are good.
        for run in _runs(speed <= self.frozen_m_s):
            if run.stop - run.start >= _frames_in(self.frozen_s, fps, least=2):
                bad[run.start : run.stop + 1] = True
        margin = _frames_in(self.margin_s, fps, least=1)
        for frame in np.flatnonzero(speed > self.jump_m_s):
            bad[max(0, frame + 1 - margin) : frame + 1 + margin] = True
        return np.asarray(~bad)

    def pieces(self, poses: Array, fps: float) -> list[slice]:
        """Runs of good frames that are long enough."""
        shortest = _frames_in(self.shortest_s, fps, least=1)
        return [run for run in _runs(self.good(poses, fps)) if run.stop - run.start >= shortest]


def _frames_in(seconds: float, fps: float, least: int) -> int:
    return max(least, math.ceil(seconds * fps - 0.01))  # 1/120 s written as 0.0083333 is 1/120 s


def _runs(mask: Array) -> list[slice]:
    """Each run of True."""
    return [run for (run,) in find_objects(label(mask)[0])]


def resample(poses: Array, fps: float, to_fps: float) -> Array:
    """Poses (T, J, 3) at another frame rate: every n-th frame where that fits, else interpolated linearly."""
    ratio = fps / to_fps
    if abs(ratio - round(ratio)) < 1e-3 and ratio > 0.5:
        return poses[:: round(ratio)]
    times = np.arange(0, len(poses) - 1 + 1e-9, ratio)
    before = np.clip(times.astype(int), 0, max(len(poses) - 2, 0))
    share = (times - before)[:, None, None]
    after = np.minimum(before + 1, len(poses) - 1)
    return np.asarray(poses[before] * (1 - share) + poses[after] * share)


def cut(
    name: str, subject: str, action: str, poses_world: Array, fps: float, to_fps: float, pieces: Sequence[slice]
) -> list[Motion]:
    """Pieces of a recording, (T, 17, 3) metres, as motions at ``to_fps``; the second is called ``name#2``."""
    motions = []
    for number, piece in enumerate(pieces, start=1):
        poses = resample(poses_world[piece], fps, to_fps).astype(np.float32)
        motions.append(Motion(name if number == 1 else f"{name}#{number}", subject, action, poses, to_fps))
    return motions


def check_units(poses_world: Array, fps: float) -> None:
    """``ValueError`` if (T, 17, 3) poses have no person's size, or no motion capture's rate; NaN does not count."""
    if not RATES[0] <= fps <= RATES[1]:
        raise ValueError(f"expected {RATES[0]:g} to {RATES[1]:g} frames per second, got {fps:g}")
    if problem := unusual_legs(poses_world):
        raise ValueError(f"{problem}; check the mapping's metres_per_unit")


def duplicates(motions: Sequence[Motion], others: Sequence[Motion], limit_deg: float) -> list[tuple[str, str, float]]:
    """Names of the same recordings among motions and others, under any name, and how far they are apart, degrees.

    That is the least root mean square angle between the directions of all bones, without the heading, over half a
    second in which the person moves, of mirror images too.
    """
    queries = {}
    for motion in motions:
        for image, poses in enumerate((motion.poses_world, motion.poses_world[:, H36M_17.mirror] * [-1, 1, 1])):
            windows = _directions(poses, motion.fps)[:: max(1, round(motion.fps / 4))]
            away = windows - windows.mean(axis=1, keepdims=True)
            moves = np.sqrt((away**2).sum(-1).mean(axis=(1, 2))) > np.deg2rad(STILL_DEG)
            queries[motion.name, image] = windows[moves].reshape(moves.sum(), -1)
    nearest: dict[tuple[str, str], float] = {}
    for other in others:
        theirs = _directions(other.poses_world, other.fps)
        for (name, _), own in queries.items():
            if len(own) and len(theirs):
                cosine = float((own @ theirs.reshape(len(theirs), -1).T).max()) / np.prod(theirs.shape[1:3])
                angle = math.degrees(math.acos(min(cosine, 1.0)))
                nearest[name, other.name] = min(angle, nearest.get((name, other.name), angle))
    return [(*names, angle) for names, angle in nearest.items() if angle < limit_deg]


def _directions(poses_world: Array, fps: float) -> Array:
    """Unit vectors along the bones of windows of six frames, 0.1 s apart, heading removed, (N, 6, J - 1, 3) float32."""
    bones = np.stack([poses_world[:, j] - poses_world[:, p] for j, p in enumerate(H36M_17.parents) if p >= 0], axis=1)
    bones = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    hips = poses_world[:, H36M_17.index("left_hip")] - poses_world[:, H36M_17.index("right_hip")]
    angle = np.arctan2(hips[:, 1], hips[:, 0])
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(bones, -1, 0)
    turned = np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=-1).astype(np.float32)
    step = max(1, round(fps / 10))
    starts = np.arange(max(0, len(turned) - 5 * step))
    return np.asarray(turned[starts[:, None] + step * np.arange(6)])


def check_sides(motions: Sequence[Motion]) -> list[str]:
    """A line for each motion, of all of one joint mapping, in which people do not stand with their knees ahead.

    ``ValueError`` if they do not on average: the mapping is upside down, or exchanges left and right.
    """
    if not motions:
        return []
    measures = np.array([_stance(motion) for motion in motions])
    average = np.average(measures, axis=0, weights=[len(motion) for motion in motions])
    implausible: list[str] = []
    for (least, fault, question), values, whole in zip(FAULTS, measures.T, average, strict=True):
        if whole < least:
            named = motions[0].name + (f" and {len(motions) - 1} more" if motions[1:] else "")
            raise ValueError(f"clip {named}: {fault}; {question}")
        implausible += [f"{motions[i].name}: {fault}" for i in np.flatnonzero(values < least).tolist()]
    return implausible


def _stance(motion: Motion) -> tuple[float, float]:
    """Metres, on average: thorax above ankles; knees ahead of the line from hip to ankle."""
    joints = dict(zip(H36M_17.names, motion.poses_world.astype(np.float64).swapaxes(0, 1), strict=True))
    feet = (joints["left_ankle"] + joints["right_ankle"]) / 2
    across = joints["left_hip"] - joints["right_hip"]
    ahead = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        forward = np.cross(across, hip - ankle)
        forward = forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
        ahead += float(((knee - (hip + ankle) / 2) * forward).sum(-1).mean())
    return float((joints["thorax"] - feet)[:, 2].mean()), ahead
