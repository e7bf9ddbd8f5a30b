"""Left and right that a detector exchanges for some frames of a clip, found by their continuity.

From one frame to the next a detector may call a left arm the right one, with full confidence, often with some frames of
neither in between. All joints of the arms or of the legs then jump at once, and later jump back.
"""

import numpy as np
from scipy.ndimage import find_objects, label

from prpose.atomic import large_array, release
from prpose.camera import Array
from prpose.keypoints import USUAL_FPS
from prpose.remap import is_present
from prpose.skeleton import Skeleton

LEGS = ("hip", "knee", "ankle")  # parts of the names of the legs' joints
TRUNK = ("left_shoulder", "left_hip")
WIDTH = 0.05  # least distance of left and right shoulders and hips, at an exchange's ends; else the body is in profile
OVER = -0.5  # largest cosine of its direction before and after
AROUND = 5  # frames that are near an end
FARTHEST = 0.5  # what a joint's step is off its speed counts up to this; lengths are shares of the person's size
SWITCH = 0.06  # least cost of an exchange's begin and of its end ...
USUAL_STEPS = 6.0  # ... and in usual changes of speed: where limbs cross, exchanging them gains less
SKIP = 0.02  # cost of a frame that belongs to neither
LONGEST_S = 0.25  # from the frame before them to the one after; nobody turns around in that time
STEADY = 0.8  # least width of the trunk next to an exchange, over that some frames away; less is a turn of the body
LESS_OFTEN = 2e-4  # cost of each exchanged frame: of two ways to call the sides, the rarer one is the exchange
FURTHEST = 3  # frames that a speed holds for
FRAMES_AT_ONCE = 4096  # in memory
USUAL = 0.04  # largest median of what a step is off that speed; above, as in photos, limbs cannot be followed


def exchanged_sides(xy: Array, frame_numbers: Array, skeleton: Skeleton, fps: float | None = None) -> Array:
    """Frames in which left and right are exchanged, for the arms, the legs or both, (T, J) bool.

    A shortest path through the frames, each as it is, exchanged or left out: joints should keep their speed (Viterbi,
    IEEE Trans. Information Theory 13, 1967). At both ends, shoulders or hips must turn over. What is more frequent in
    the clip counts as right.

    Args:
        xy: (T, J, 2) pixels of one person, NaN where missing.
        frame_numbers: (T,) increasing.
        skeleton: names of the J joints.
        fps: frames per second.
    """
    found = np.zeros(xy.shape[:2], dtype=bool)
    seen = is_present(xy).any(axis=1)
    if seen.sum() < 3:
        return found
    points = large_array((seen.sum(), *xy.shape[1:]), np.float32, xy if seen.all() else xy[seen])
    numbers = np.asarray(frame_numbers)[seen]
    extent = np.nanmax(points, axis=1) - np.nanmin(points, axis=1)
    points /= max(float(np.median(np.linalg.norm(extent, axis=-1))), 1e-6)
    mirror, step = np.array(skeleton.mirror), max(1.0, float(np.median(np.diff(numbers))))
    times, longest = numbers / step, max(0, int(LONGEST_S * (fps or USUAL_FPS) / step) - 1)
    paired = mirror != np.arange(len(mirror))
    lines = [skeleton.subset((f"left_{name}", f"right_{name}")) for name in ("hip", "shoulder")]
    legs = np.array([any(part in name for part in LEGS) for name in skeleton.names])
    release(points)
    for group in map(np.flatnonzero, (paired, paired & legs, paired & ~legs)):  # most often, it is the whole body
        steps = _off(points, group, group, times, 1) if len(group) else np.full(1, np.inf)
        switch = max(SWITCH, USUAL_STEPS * float(np.median(steps)))
        if np.median(steps) <= USUAL and steps.max() > switch:
            trunk = group[np.isin(np.array(skeleton.names)[group], TRUNK)]
            across = np.nan_to_num(points[:, trunk] - points[:, mirror[trunk]]).mean(axis=1)  # both may be missing
            frames, states = _path(points, group, mirror[group], times, switch, longest)
            states = _clear(frames, states, across, times, longest)
            states = _between(frames, states, across, times, longest)
            if len(group) < paired.sum():  # arms or legs alone are the other way round than the rest of the body
                hips, shoulders = (points[:, ends[0]] - points[:, ends[1]] for ends in lines)
                states &= (hips * shoulders).sum(axis=-1) < 0
            changed = np.flatnonzero(states)[:, None]
            points[changed, group] = points[changed, mirror[group]]
            found[np.flatnonzero(seen)[changed], group] ^= True
    return found


def _off(points: Array, joints: Array, before: Array, times: Array, gap: int) -> Array:
    """What joints (n,) of points (T, J, 2) are off where ``before`` (n,) led ``gap`` frames earlier, (T - gap,)."""
    parts = []
    for start in range(0, len(points) - gap, FRAMES_AT_ONCE):
        frames = slice(max(0, start - 1), start + FRAMES_AT_ONCE + gap)  # the one before tells the speed
        now = points[frames][:, before]
        speed = np.zeros_like(now)
        speed[1:] = np.where((np.diff(times[frames]) == 1)[:, None, None], np.diff(now, axis=0), 0)
        ahead = now + min(gap, FURTHEST) * np.nan_to_num(speed)
        parts.append(_distance(points[frames][gap:, joints], ahead[:-gap])[start - frames.start :])
        release(points)
    return np.concatenate(parts)


def _distance(one: Array, other: Array) -> Array:
    """Mean distance of the joints present in both, each up to :data:`FARTHEST`, (*, n, 2) twice → (*)."""
    distance = np.linalg.norm(one - other, axis=-1)
    known = np.isfinite(distance)
    total = np.where(known, np.minimum(distance, FARTHEST), 0).sum(-1)
    return np.asarray(total / np.maximum(known.sum(-1), 1))


def _path(points: Array, own: Array, other: Array, times: Array, switch: float, longest: int) -> tuple[Array, Array]:
    """Frames on the shortest path, (n,), and whether they are exchanged, (n,) bool.

    Points (T, J, 2) have joints (n,) and partners; times (T,) count frames; up to ``longest`` are left out in a row.
    """
    T, reach = len(points), min(longest + 1, len(points) - 1)
    cost = large_array((T, reach, 2, 2), np.float64)  # of t after t - 1 - gap: [state there, state at t]
    for gap in range(reach):
        now, before = slice(gap + 1, None), slice(None, T - gap - 1)
        same, swapped = (_off(points, own, joints, times, gap + 1) for joints in (own, other))
        near = times[now] - times[before] <= longest + 1
        for a in (0, 1):
            for b in (0, 1):
                step = np.where(near, swapped + switch if a != b else same, 0.0)
                cost[: gap + 1, gap, a, b], cost[now, gap, a, b] = np.inf, step + SKIP * gap + LESS_OFTEN * b
        release(cost)
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
        if t % FRAMES_AT_ONCE == 0:
            release(cost)
    t, state = map(int, divmod((total + SKIP * np.arange(T - 1, -1, -1)[:, None]).argmin(), 2))
    path: list[tuple[int, int]] = []
    while t >= 0:
        path.append((t, state))
        t, state = origin[t, state].tolist()
    frames, states = np.array(path[::-1]).T
    return frames, states.astype(bool)


def _clear(frames: Array, exchanged: Array, across: Array, times: Array, longest: int) -> Array:
    """Of (n,) bool, the runs at whose ends the trunk's line from right to left, (T, 2), turns over at once."""
    kept, line, clock = np.zeros_like(exchanged), across[frames], times[frames]
    for (run,) in find_objects(label(exchanged)[0]):
        ends = [(0, run.start, run.stop), (run.start, run.stop, len(exchanged))]
        sides = [
            (slice(max(first, end - 3 * AROUND), end), slice(end, min(last, end + 3 * AROUND)))
            for first, end, last in ends
            if 0 < end < len(exchanged)
        ]
        kept[run] = all(_turns_over(line[a], line[b], clock[a], clock[b], longest) for a, b in sides)
    return kept


def _turns_over(before: Array, after: Array, clock: Array, clock_after: Array, longest: int) -> bool:
    """Whether the trunk's line turns over at once between (n, 2) and (m, 2), at times (n,) and (m,).

    It is as wide next to the end as some frames away, where a body that turns is narrow.
    """
    widths = [np.linalg.norm(side, axis=-1) for side in (before, after)]
    at_once = clock_after[None] - clock[:, None] <= longest + 1  # pairs of frames
    least = np.minimum(widths[0][:, None] / _usual(before[::-1]), widths[1][None] / _usual(after))
    a, b = divmod(int(np.where(at_once, least, -1).argmax()), len(after))
    width = widths[0][a], widths[1][b]
    turned = before[a] @ after[b] < OVER * width[0] * width[1]
    return bool(at_once[a, b] and least[a, b] >= STEADY and min(width) > WIDTH and turned)


def _usual(line: Array) -> float:
    """The width of the trunk's line, (n, 2), some frames away from the first."""
    widths = np.linalg.norm(line, axis=-1)
    return max(float(np.median(widths[AROUND:] if len(widths) > AROUND else widths)), 1e-9)


def _between(frames: Array, exchanged: Array, across: Array, times: Array, longest: int) -> Array:
    """States of all frames, (T,): of one that is not on the path, whether the trunk is that of the last on it, over."""
    states = np.zeros(len(across), dtype=bool)
    for frame, end, state in zip(frames, [*frames[1:], len(across)], exchanged, strict=True):
        line, others = across[frame] * (-1 if state else 1), across[frame:end]
        widths, width = np.linalg.norm(others, axis=-1), np.linalg.norm(line)
        over = (others @ line < OVER * widths * width) & (widths >= STEADY * width) & (width > WIDTH)
        states[frame:end] = over & (times[frame:end] - times[frame] <= longest)
        states[frame] = state
    return states
