"""Keypoints in any layout → Human3.6M-17 without missing joints, which can be lifted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from prpose.atomic import large_array, pieces, release
from prpose.camera import Array
from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.missing import FEWEST, fill_missing
from prpose.plausibility import implausibilities
from prpose.remap import Remapped, is_placeholder, is_present, to_h36m17
from prpose.skeleton import H36M_17
from prpose.swaps import exchanged_sides

MARGIN = 0.1  # share of the image size by which a joint may lie outside the image; detectors extrapolate that far
ALLOW = "allow_implausible (--config.allow-implausible)"


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """Keypoints that can be lifted: Human3.6M-17, none missing."""

    xy: Array  # (T, 17, 2) float32 pixels
    frame_numbers: Array  # (T,) as in the file
    missing: Array  # (T, 17) bool, the joint was neither detected nor interpolated but estimated from the others
    interpolated: Array  # (T, 17) bool, the joint, or one that it is derived from, was interpolated over time
    derived: Array  # (T, 17) bool, the joint is a weighted sum of several joints (prpose.remap)
    exchanged: Array  # (T, 17) bool, the detector had exchanged left and right
    sigma_px: Array  # (T, 17) standard deviation per axis of a missing joint, 0 of others
    confidence: Array | None  # (T, 17) the lowest of a joint's sources, 0 where interpolated or missing
    warnings: tuple[str, ...]  # what was interpolated or dropped, and what looks implausible, one sentence each
    times_s: Array | None = None  # (T,) seconds; those of interpolated frames are interpolated, too


def preprocess(
    keypoints: Keypoints,
    max_gap: int = 5,
    drop_incomplete: bool = False,
    allow_implausible: bool = False,
    keep_sides: bool = False,
    complete_photo: bool = False,
) -> Preprocessed:
    """Human3.6M-17 from one person's keypoints in any layout, complete.

    Joints missing for longer are estimated (:func:`prpose.missing.fill_missing`), exchanged sides exchanged back
    (:func:`prpose.swaps.exchanged_sides`), and frames of fewer than :data:`prpose.missing.FEWEST` joints dropped.

    Args:
        max_gap: longest gap to interpolate, frames: of a joint, or of whole frames.
        drop_incomplete: drop frames with missing joints.
        allow_implausible: warn of keypoints that do not fit the layout, are upside down, lying or outside the image,
            instead of raising an error.
        keep_sides: leave left and right as they are, also where continuity shows that they are exchanged.
        complete_photo: raise an error for a single frame with missing joints, of which no other frame tells anything.

    Raises:
        ValueError: for normalised coordinates, implausible keypoints, and no frame with enough joints.
    """
    keypoints, warnings = _checked(keypoints, allow_implausible)
    filled, marks = fill_gaps(keypoints, max_gap)
    numbers = np.asarray(filled.frame_numbers)
    warnings += _warnings_of_gaps(keypoints, numbers, marks)
    body = to_h36m17(filled.xy, filled.layout, filled.confidence, marks)
    exchanged = np.zeros(body.derived.shape, dtype=bool)
    if not keep_sides:
        exchanged = exchanged_sides(body.xy, numbers, H36M_17, keypoints.fps)
    if exchanged.any():
        body, where = _with_sides(body, exchanged), ranges(numbers[exchanged.any(axis=1)])
        hint = "--config.keep-sides leaves them as they were"
        warnings.append(f"left and right were exchanged in frames {where}, and were exchanged back; {hint}")
    missing = ~is_present(body.xy)
    enough = ~missing.any(axis=1) if drop_incomplete else (~missing).sum(axis=1) >= FEWEST
    where = _most_frequent(missing, lambda j: f"{H36M_17.names[j]} in frames {ranges(numbers[missing[:, j]])}")
    few = "missing joints" if drop_incomplete else f"fewer than {FEWEST} of 17 joints"
    if not enough.any():
        raise ValueError(f"expected a frame that can be lifted, got {few} in all of them: {where}")
    if not enough.all():
        warnings.append(f"{(~enough).sum()} frames were dropped for {few}: {where}")
    kept = slice(None) if enough.all() else enough
    missing, xy, numbers = missing[kept], body.xy[kept], numbers[kept]
    sigma = np.broadcast_to(0.0, missing.shape)
    if missing.any():
        if complete_photo and len(keypoints) == 1:
            expected = "expected every joint of a single frame, got missing joints"
            raise ValueError(f"{expected}: {where}; {ALLOW} estimates them from the others")
        warnings.append(f"missing joints were estimated from the others, with a wide spread: {where}")
        xy, sigma = fill_missing(xy, numbers, keypoints.fps)
    confidence = None if body.confidence is None else body.confidence[kept]
    times = None if filled.times_s is None else filled.times_s[kept]
    interpolated, derived = body.interpolated[kept], body.derived[kept]
    return Preprocessed(
        xy, numbers, missing, interpolated, derived, exchanged[kept], sigma, confidence, tuple(warnings), times
    )


def _checked(keypoints: Keypoints, allow_implausible: bool) -> tuple[Keypoints, list[str]]:
    """Keypoints without placeholders of missing ones, and warnings; ``ValueError`` if they are implausible."""
    warnings = list(keypoints.warnings)
    absent = is_placeholder(keypoints.xy)
    if absent.any():
        if (absent | ~keypoints.present).all():
            raise ValueError("expected keypoints, got (0, 0) or (-1, -1) everywhere")
        keypoints = replace(keypoints, xy=np.where(absent[..., None], np.float32(np.nan), keypoints.xy))
        where = f"{absent.sum()} keypoints in {absent.any(axis=1).sum()} frames"
        warnings.append(f"{where} are at exactly (0, 0) or (-1, -1) and count as missing")
    warnings += _check_range(keypoints, allow_implausible)
    for finding in implausibilities(keypoints.xy, keypoints.layout, keypoints.confidence):
        where = (
            f" In frames {ranges(np.asarray(keypoints.frame_numbers)[[*finding.frames]])}." if finding.frames else ""
        )
        warnings.append(f"implausible keypoints: {finding.message}{where}")
        if finding.certain and not allow_implausible:
            raise ValueError(f"{warnings[-1]} {ALLOW} predicts nevertheless")
    release(keypoints.xy)
    return keypoints, warnings


def _with_sides(body: Remapped, exchanged: Array) -> Remapped:
    """The body with left and right exchanged where they are, (T, 17) bool."""
    mirror = list(H36M_17.mirror)

    def back(values: Array) -> Array:
        marks = exchanged.reshape(*exchanged.shape, *(1,) * (values.ndim - 2))
        return np.where(marks, values[:, mirror], values)

    confidence = None if body.confidence is None else back(body.confidence)
    return Remapped(back(body.xy), confidence, back(body.derived), back(body.interpolated))


def _check_range(keypoints: Keypoints, allow_implausible: bool) -> list[str]:
    """Are they pixels of an image of that size?"""
    size = np.array(keypoints.image_size)
    image = f"the image of {size[0]} x {size[1]} pixels"
    low, high, count, off = np.full(2, np.inf), np.full(2, -np.inf), 0, np.zeros(2)  # off as they are, and exchanged
    for part in pieces(keypoints.xy):
        if len(points := part[is_present(part)].astype(np.float64)):
            low, high = np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))
            beyond = [(xy < -MARGIN * size) | (xy > (1 + MARGIN) * size) for xy in (points, points[:, ::-1])]
            count, off = count + len(points), off + [each.any(axis=-1).sum() for each in beyond]
    if max(-low.min(), high.max()) <= 2 and size.min() >= 16:
        raise ValueError(f"expected pixels of {image}, got normalised ones, from {low.min():.2f} to {high.max():.2f}")
    if count > 1 and (low == high).all():
        raise ValueError("expected a body, got all joints in one point")
    outside, exchanged = off / count
    if outside > 0.5 and not allow_implausible:
        hint = "are x and y exchanged?" if exchanged < 0.1 else "is --image-size right?"
        raise ValueError(
            f"expected joints within {image}, got {outside:.0%} outside, x from {low[0]:.0f} to {high[0]:.0f}, "
            f"y from {low[1]:.0f} to {high[1]:.0f}: {hint} {ALLOW} predicts nevertheless"
        )
    return [f"{outside:.0%} of the joints lie outside {image}"] if outside > 0.01 else []


def fill_gaps(keypoints: Keypoints, max_gap: int) -> tuple[Keypoints, Array]:
    """Gaps of up to ``max_gap`` frames interpolated, linearly in time, or in frame numbers; and (T', J) bool of where.

    Frames are counted by the usual step, the median difference of frame numbers: every fifth frame has no gaps.
    """
    numbers = np.asarray(keypoints.frame_numbers)
    steps = np.diff(numbers)
    step = max(1, int(np.median(steps))) if len(steps) else 1
    gaps = np.flatnonzero((steps > step) & (steps % step == 0) & (steps // step - 1 <= max_gap))
    grid = np.sort(np.concatenate([numbers, *(np.arange(numbers[i] + step, numbers[i + 1], step) for i in gaps)]))
    place = np.searchsorted(grid, numbers)
    times = None if keypoints.times_s is None else np.interp(grid, numbers, keypoints.times_s)
    clock = grid if times is None else times
    xy = large_array((len(grid), *keypoints.xy.shape[1:]), np.float32, np.nan)
    xy[place] = keypoints.xy
    present = is_present(xy)
    marks = np.zeros(present.shape, dtype=bool)
    for j in np.flatnonzero(present.any(axis=0) & ~present.all(axis=0)):
        known = np.flatnonzero(present[:, j])
        t = np.setdiff1d(np.arange(known[0], known[-1]), known)
        a, b = (known[np.searchsorted(known, t) - back] for back in (1, 0))  # the nearest frames with the joint
        near = (grid[b] - grid[a]) / step - 1 <= max_gap
        t, a, b = t[near], a[near], b[near]
        share = ((clock[t] - clock[a]) / (clock[b] - clock[a])).astype(np.float32)
        xy[t, j] = xy[a, j] + share[:, None] * (xy[b, j] - xy[a, j])
        marks[t, j] = True
    release(xy, keypoints.xy)
    confidence = None
    if keypoints.confidence is not None:
        confidence = large_array(present.shape, np.float32, 0)
        confidence[place] = keypoints.confidence
        confidence[marks] = 0
    return replace(keypoints, xy=xy, confidence=confidence, frame_numbers=grid, frame_names=(), times_s=times), marks


def _warnings_of_gaps(keypoints: Keypoints, numbers: Array, marks: Array) -> list[str]:
    warnings = []
    if marks.any():
        joints = _most_frequent(marks, lambda j: f"{LAYOUTS[keypoints.layout].names[j]} in {marks[:, j].sum()} frames")
        warnings.append(f"interpolated: {joints}")
    if len(numbers) > len(keypoints):
        warnings.append(f"{len(numbers) - len(keypoints)} missing frames were interpolated")
    steps = np.diff(numbers)
    gaps = np.flatnonzero(steps > np.median(steps)) if len(steps) else steps
    if len(gaps):
        first = f"between frames {numbers[gaps[0]]} and {numbers[gaps[0] + 1]}"
        combined = "temporal lifters combine frames from both sides of them"
        warnings.append(f"{len(gaps)} gaps are too long to interpolate, the first {first}; {combined}")
    return warnings


def _most_frequent(marks: Array, describe: Callable[[int], str]) -> str:
    """The four joints of (T, J) bool with the most frames."""
    counts = marks.sum(axis=0)
    joints = [int(j) for j in np.argsort(-counts, kind="stable") if counts[j]]
    return ", ".join(map(describe, joints[:4])) + (f" and {len(joints) - 4} more joints" if len(joints) > 4 else "")


def ranges(numbers: Sequence[int] | Array) -> str:
    """Whole numbers as ranges, ``3-5, 9``; the first five of them."""
    values = np.asarray(numbers)
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    listed = [f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:5]]
    return ", ".join(listed) + (" ..." if len(runs) > 5 else "")
