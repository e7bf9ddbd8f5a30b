"""Left and right that a detector exchanges for some frames of a clip, found by their continuity.

From one frame to the next a detector may call a left arm the right one, with full confidence, often with some frames of
neither in between. All joints of the arms or of the legs then jump at once, and later jump back.
"""

import numpy as np
from scipy.ndimage import find_objects, label

from prpose.camera import Array
from prpose.remap import is_present
from prpose.skeleton import Skeleton

LEGS = ("hip", "knee", "ankle")  # parts of the names of the legs' joints
TRUNK = ("left_shoulder", "left_hip")
WIDTH = 0.05  # least distance of left and right shoulders and hips, at an exchange's ends; else the body is in profile
OVER = -0.5  # largest cosine of its direction before and after
AROUND = 5  # frames that it is the median of
FARTHEST = 0.5  # what a joint's step is off its speed counts up to this; lengths are shares of the person's size
SWITCH = 0.06  # least cost of an exchange's begin and of its end ...
USUAL_STEPS = 6.0  # ... and in usual changes of speed: where limbs cross, exchanging them gains less
SKIP = 0.02  # cost of a frame that belongs to neither
LONGEST = 15  # such frames in a row
LESS_OFTEN = 2e-4  # cost of each exchanged frame: of two ways to call the sides, the rarer one is the exchange
BASELINE = 3  # frames that the speed is measured over
FURTHEST = 6  # frames that it holds for
USUAL = 0.04  # largest median of what a step is off that speed; above, as in photos, limbs cannot be followed


def exchanged_sides(xy: Array, frame_numbers: Array, skeleton: Skeleton) -> Array:
    """Frames in which left and right are exchanged, for the arms, the legs or both, (T, J) bool.

    A shortest path through the frames, each as it is, exchanged or left out: joints should keep their speed (Viterbi,
    IEEE Trans. Information Theory 13, 1967). At both ends, shoulders or hips must turn over. What is more frequent in
    the clip counts as right.

    Args:
        xy: (T, J, 2) pixels of one person, NaN where missing.
        frame_numbers: (T,) increasing.
        skeleton: names of the J joints.
    """
    found = np.zeros(xy.shape[:2], dtype=bool)
    seen = is_present(xy).any(axis=1)
    if seen.sum() < 3:
        return found
    points, numbers = xy[seen].astype(np.float64), np.asarray(frame_numbers)[seen]
    extent = np.nanmax(points, axis=1) - np.nanmin(points, axis=1)
    points /= max(float(np.median(np.linalg.norm(extent, axis=-1))), 1e-6)
    mirror, step = np.array(skeleton.mirror), max(1.0, float(np.median(np.diff(numbers))))
    paired = mirror != np.arange(len(mirror))
    legs = np.array([any(part in name for part in LEGS) for name in skeleton.names])
    for group in (paired, paired & legs, paired & ~legs):  # most often, it is the whole body
        own, other = points[:, group], points[:, mirror[group]]
        times = numbers / step
        usual = float(np.median(_distance(own[1:], _ahead(own, times, 1)))) if group.any() else np.inf
        if usual <= USUAL:
            trunk = np.flatnonzero(np.isin(np.array(skeleton.names)[group], TRUNK))
            states = _states(own, other, times, max(SWITCH, USUAL_STEPS * usual), trunk)[:, None]
            points[:, group] = np.where(states[..., None], other, own)
            found[np.ix_(seen, group)] ^= states
    return found


def _distance(one: Array, other: Array) -> Array:
    """Mean distance of the joints present in both, each up to :data:`FARTHEST`, (*, n, 2) twice → (*)."""
    distance = np.linalg.norm(one - other, axis=-1)
    known = np.isfinite(distance)
    total = np.where(known, np.minimum(distance, FARTHEST), 0).sum(-1)
    return np.asarray(total / np.maximum(known.sum(-1), 1))


def _ahead(points: Array, times: Array, gap: int) -> Array:
    """Where joints (T, n, 2) would be ``gap`` frames later at their speed, (T - gap, n, 2)."""
    speed = np.zeros_like(points)
    speed[BASELINE:] = (points[BASELINE:] - points[:-BASELINE]) / BASELINE
    speed[BASELINE:][times[BASELINE:] - times[:-BASELINE] != BASELINE] = 0
    return np.asarray((points + min(gap, FURTHEST) * np.nan_to_num(speed))[:-gap])


def _states(own: Array, other: Array, times: Array, switch: float, trunk: Array) -> Array:
    """Whether joints (T, n, 2) are exchanged with their partners, (T,) bool.

    Times count frames; ``trunk`` are the indices of left shoulder and left hip, or of what there is of them.
    """
    T, reach = len(own), min(LONGEST + 1, len(own) - 1)
    cost = np.full((T, reach, 2, 2), np.inf)  # of t after t - 1 - gap: [state there, state at t]
    for gap in range(reach):
        now, before = slice(gap + 1, None), slice(None, T - gap - 1)
        same, swapped = (_distance(own[now], _ahead(points, times, gap + 1)) for points in (own, other))
        near = times[now] - times[before] <= LONGEST + 1
        for a in (0, 1):
            for b in (0, 1):
                step = np.where(near, swapped + switch if a != b else same, 0.0)
                cost[now, gap, a, b] = step + SKIP * gap + LESS_OFTEN * b
    total, origin = np.empty((T, 2)), np.zeros((T, 2, 2), dtype=int)
    for t in range(T):
        total[t], origin[t] = SKIP * t + np.array([0, LESS_OFTEN]), (-1, 0)  # the first frame that counts
        gaps = min(t, reach)
        if gaps:
            paths = (total[t - gaps : t][::-1, :, None] + cost[t, :gaps]).reshape(-1, 2)
            best = paths.argmin(axis=0)
            better = paths.min(axis=0) < total[t]
            total[t] = np.where(better, paths.min(axis=0), total[t])
            origin[t][better] = np.stack([t - 1 - best // 2, best % 2], axis=-1)[better]
    frames, exchanged = _path(total, origin)
    across = np.nan_to_num((own - other)[:, trunk]).mean(axis=1)  # both of a pair may be missing
    return _between(frames, _clear(exchanged, across[frames]), own, other)


def _path(total: Array, origin: Array) -> tuple[Array, Array]:
    """Frames on the shortest path, (n,), and whether they are exchanged, (n,) bool."""
    T = len(total)
    t, state = np.unravel_index((total + SKIP * np.arange(T - 1, -1, -1)[:, None]).argmin(), total.shape)
    path: list[tuple[int, int]] = []
    while t >= 0:
        path.append((int(t), int(state)))
        t, state = origin[t, state]
    frames, states = np.array(path[::-1]).T
    return frames, states.astype(bool)


def _clear(exchanged: Array, across: Array) -> Array:
    """Of (n,) bool, the runs at whose ends the line from right to left, (n, 2), is clear and turns over."""
    kept = np.zeros_like(exchanged)
    for (run,) in find_objects(label(exchanged)[0]):
        sides = []
        for end in (run.start, run.stop):
            if 0 < end < len(exchanged):
                before = np.median(across[max(0, end - AROUND) : end], axis=0)
                after = np.median(across[end : end + AROUND], axis=0)
                lengths = np.linalg.norm(before), np.linalg.norm(after)
                sides.append(min(lengths) > WIDTH and before @ after < OVER * lengths[0] * lengths[1])
        kept[run] = all(sides)
    return kept


def _between(frames: Array, exchanged: Array, own: Array, other: Array) -> Array:
    """States of all frames, (T,): those that are not on the path are nearer to the last frame on it."""
    states = np.zeros(len(own), dtype=bool)
    ends = [*frames[1:], len(own)]
    for frame, end, state in zip(frames, ends, exchanged, strict=True):
        anchor = (other if state else own)[frame]
        states[frame:end] = _distance(other[frame:end], anchor) < _distance(own[frame:end], anchor)
        states[frame] = state
    return states if exchanged.any() else np.zeros(len(own), dtype=bool)
