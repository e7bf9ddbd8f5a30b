"""Keypoints in any layout → Human3.6M-17 without missing joints, which can be lifted.

Short gaps are interpolated linearly. Keypoints that are implausible (:mod:`prpose.plausibility`), outside the image, or
cannot be completed are errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from prpose.camera import Array
from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.plausibility import implausibilities
from prpose.remap import is_present, to_h36m17
from prpose.skeleton import H36M_17

MARGIN = 0.1
"""Share of the image size by which a joint may lie outside the image; detectors extrapolate that far."""

ALLOW = "allow_implausible (--config.allow-implausible)"


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """Keypoints that can be lifted.

    Args:
        xy: (T, 17, 2) float32 pixels, Human3.6M-17, none missing.
        frame_numbers: (T,) numbers of the frames, as in the file.
        detected: (T, 17) bool, the joint, or all that it is derived from, was detected.
        interpolated: (T, 17) bool, the joint, or one that it is derived from, was interpolated over time.
        derived: (T, 17) bool, the joint is a weighted sum of several joints (:mod:`prpose.remap`).
        confidence: (T, 17) the detector's, the lowest of the joints that it is derived from, 0 where interpolated.
        warnings: what was interpolated or dropped, and what looks implausible, one sentence each.
        times_s: (T,) seconds, where the keypoints have them; those of interpolated frames are interpolated, too.
    """

    xy: Array
    frame_numbers: Array
    detected: Array
    interpolated: Array
    derived: Array
    confidence: Array | None
    warnings: tuple[str, ...]
    times_s: Array | None = None


def preprocess(
    keypoints: Keypoints, max_gap: int = 5, drop_incomplete: bool = False, allow_implausible: bool = False
) -> Preprocessed:
    """Human3.6M-17 from keypoints in any layout, complete.

    Args:
        keypoints: of one person.
        max_gap: longest gap to interpolate, frames: of a joint, or of whole frames. Nothing is extrapolated before the
            first or after the last frame.
        drop_incomplete: drop frames with missing joints instead of raising an error.
        allow_implausible: warn of keypoints that do not fit the layout, are upside down, lying or outside the image,
            instead of raising an error.

    Raises:
        ValueError: for normalised coordinates, implausible keypoints and missing joints.
    """
    keypoints, warnings = _without_zeros(keypoints)
    warnings = [*keypoints.warnings, *warnings, *_check_range(keypoints, allow_implausible)]
    for finding in implausibilities(keypoints.xy, keypoints.layout, keypoints.confidence):
        warnings.append(f"implausible keypoints: {finding.message}")
        if finding.certain and not allow_implausible:
            raise ValueError(f"{warnings[-1]} {ALLOW} predicts nevertheless")
    filled, marks = fill_gaps(keypoints, max_gap)
    warnings += _warnings_of_gaps(keypoints, filled, marks)
    body = to_h36m17(filled.xy, filled.layout, filled.confidence, marks)
    missing = ~is_present(body.xy)
    complete = np.asarray(~missing.any(axis=1))
    assert filled.frame_numbers is not None, "filled in by Keypoints"
    if missing.any():
        numbers = filled.frame_numbers
        where = _most_frequent(missing, lambda j: f"{H36M_17.names[j]} in frames {ranges(numbers[missing[:, j]])}")
        if not drop_incomplete:
            raise ValueError(
                f"expected every joint in every frame, got missing joints: {where}; --config.max-gap interpolates "
                "longer gaps, --config.drop-incomplete drops these frames"
            )
        if not complete.any():
            raise ValueError(f"expected at least one frame with every joint, got missing joints: {where}")
        warnings.append(f"{(~complete).sum()} frames were dropped for missing joints: {where}")
    return Preprocessed(
        body.xy[complete],
        filled.frame_numbers[complete],
        ~body.interpolated[complete],
        body.interpolated[complete],
        body.derived[complete],
        None if body.confidence is None else body.confidence[complete],
        tuple(warnings),
        None if filled.times_s is None else filled.times_s[complete],
    )


def _without_zeros(keypoints: Keypoints) -> tuple[Keypoints, list[str]]:
    """Keypoints at exactly (0, 0) are missing, as in many files; with a warning."""
    zero = (keypoints.xy == 0).all(axis=-1)
    if not zero.any():
        return keypoints, []
    if (zero | ~keypoints.present).all():
        raise ValueError("expected keypoints, got (0, 0) everywhere")
    frames = np.any(zero, axis=1).sum()
    warning = f"{zero.sum()} keypoints in {frames} frames are at exactly (0, 0) and count as missing"
    return replace(keypoints, xy=np.where(zero[..., None], np.float32(np.nan), keypoints.xy)), [warning]


def _check_range(keypoints: Keypoints, allow_implausible: bool) -> list[str]:
    """Are they pixels of an image of that size?"""
    points = keypoints.xy[keypoints.present].astype(np.float64)
    size = np.array(keypoints.image_size)
    image = f"the image of {size[0]} x {size[1]} pixels"
    low, high = points.min(axis=0), points.max(axis=0)
    if np.abs(points).max() <= 2 and size.min() >= 16:
        raise ValueError(f"expected pixels of {image}, got normalised ones, from {low.min():.2f} to {high.max():.2f}")
    if len(points) > 1 and (low == high).all():
        raise ValueError("expected a body, got all joints in one point")
    outside = _outside(points, size)
    if outside.mean() > 0.5 and not allow_implausible:
        exchanged = _outside(points[:, ::-1], size).mean() < 0.1
        hint = "are x and y exchanged?" if exchanged else "is --image-size right?"
        raise ValueError(
            f"expected joints within {image}, got {outside.mean():.0%} outside, x from {low[0]:.0f} to {high[0]:.0f}, "
            f"y from {low[1]:.0f} to {high[1]:.0f}: {hint} {ALLOW} predicts nevertheless"
        )
    return [f"{outside.mean():.0%} of the joints lie outside {image}"] if outside.mean() > 0.01 else []


def _outside(points: Array, size: Array) -> Array:
    return np.asarray(((points < -MARGIN * size) | (points > (1 + MARGIN) * size)).any(axis=-1))


def fill_gaps(keypoints: Keypoints, max_gap: int) -> tuple[Keypoints, Array]:
    """Gaps of up to ``max_gap`` frames interpolated linearly, joint by joint.

    Frames are counted by the usual step, the median of the differences of the frame numbers, so that a file of every
    fifth frame has no gaps. Interpolation is linear in the times of the frames, where known, else in their numbers.

    Returns:
        The keypoints, with the missing frames, and (T', J) bool of what was interpolated, whose confidence is 0.
    """
    assert keypoints.frame_numbers is not None, "filled in by Keypoints"
    numbers = keypoints.frame_numbers
    step = max(1, int(np.median(np.diff(numbers)))) if len(numbers) > 1 else 1
    grid = _with_missing(numbers, step, max_gap)
    place = np.searchsorted(grid, numbers)
    xy = np.full((len(grid), *keypoints.xy.shape[1:]), np.nan, dtype=np.float32)
    xy[place] = keypoints.xy
    times = None if keypoints.times_s is None else np.interp(grid, numbers, keypoints.times_s)
    clock = grid if times is None else times
    present = is_present(xy)
    marks = np.zeros(present.shape, dtype=bool)
    for j in range(present.shape[1]):
        known = np.flatnonzero(present[:, j])
        gaps = np.flatnonzero(np.diff(known) > 1)
        for before, after in zip(known[gaps], known[gaps + 1], strict=True):
            if (grid[after] - grid[before]) / step - 1 <= max_gap:
                between = np.arange(before + 1, after)
                share = (clock[between] - clock[before]) / (clock[after] - clock[before])
                way = xy[after, j] - xy[before, j]
                xy[between, j] = xy[before, j] + share[:, None].astype(np.float32) * way
                marks[between, j] = True
    confidence = None
    if keypoints.confidence is not None:
        confidence = np.zeros(present.shape, dtype=np.float32)
        confidence[place] = keypoints.confidence
        confidence[marks] = 0
    names = dict(zip(place.tolist(), keypoints.frame_names, strict=False))
    return replace(
        keypoints,
        xy=xy,
        confidence=confidence,
        frame_numbers=grid,
        frame_names=tuple(names.get(t, "") for t in range(len(grid))) if names else (),
        times_s=times,
    ), marks


def _with_missing(numbers: Array, step: int, max_gap: int) -> Array:
    """The numbers, and those between them where few are missing."""
    parts = [numbers[:1]]
    for before, after in pairwise(numbers):
        short = (after - before) % step == 0 and (after - before) // step - 1 <= max_gap
        parts.append(np.arange(before + step, after + 1, step) if short else np.array([after]))
    return np.concatenate(parts)


def _warnings_of_gaps(keypoints: Keypoints, filled: Keypoints, marks: Array) -> list[str]:
    assert filled.frame_numbers is not None, "filled in by Keypoints"
    warnings = []
    if marks.any():
        joints = _most_frequent(marks, lambda j: f"{LAYOUTS[keypoints.layout].names[j]} in {marks[:, j].sum()} frames")
        warnings.append(f"interpolated: {joints}")
    if len(filled) > len(keypoints):
        warnings.append(f"{len(filled) - len(keypoints)} missing frames were interpolated")
    steps = np.diff(filled.frame_numbers)
    gaps = np.flatnonzero(steps > np.median(steps)) if len(steps) else np.array([], dtype=int)
    if len(gaps):
        before, after = filled.frame_numbers[gaps[0] : gaps[0] + 2]
        warnings.append(
            f"{len(gaps)} gaps are too long to interpolate, the first between frames {before} and {after}; temporal "
            "lifters combine frames from both sides of them"
        )
    return warnings


def _most_frequent(marks: Array, describe: Callable[[int], str]) -> str:
    """The four joints of (T, J) bool with the most frames."""
    counts = marks.sum(axis=0)
    joints = [int(j) for j in np.argsort(-counts, kind="stable") if counts[j]]
    return ", ".join(map(describe, joints[:4])) + (f" and {len(joints) - 4} more joints" if len(joints) > 4 else "")


def ranges(numbers: Sequence[int] | Array) -> str:
    """Numbers as ranges, the first five.

    Example:
        >>> ranges([3, 4, 5, 9])
        '3-5, 9'
    """
    parts: list[list[int]] = []
    for number in map(int, numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    listed = [f"{a}-{b}" if b > a else f"{a}" for a, b in parts[:5]]
    return ", ".join(listed) + (" ..." if len(parts) > 5 else "")
