"""A detector's track → Human3.6M-17 that can be lifted: what is wrong is refused, mended or said.

Refused: coordinates that are no pixels of the image; a person on the head or lying throughout,
which is more often an axis than a person (``allow_implausible`` lifts them all the same); joints that cannot
be made. Mended, and marked: short gaps, by straight lines. Said: everything that was mended, and
doubts about the layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from prpose.camera import Array
from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.plausibility import doubts
from prpose.remap import is_seen, to_h36m17
from prpose.skeleton import H36M_17

MARGIN = 0.1
"""Detectors place joints somewhat beyond the edge of the image; that share of its size is fine."""


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """Keypoints to be lifted, and what they are worth.

    Args:
        xy: (T, 17, 2) float32 pixels, Human3.6M-17, nothing missing.
        frame_numbers: (T,) numbers of the frames, as in the file.
        detected: (T, 17) bool, the detector found the joint, or all that it is made of.
        interpolated: (T, 17) bool, it or a joint that it is made of was filled in between frames.
        derived: (T, 17) bool, it is a weighted sum of several joints (:mod:`prpose.remap`).
        confidence: (T, 17) the detector's, the lowest of what a joint is made of, 0 where interpolated.
        warnings: what was mended, and what looks wrong, one line each.
        times_s: (T,) seconds, where the track has them; those of frames that it lacked lie evenly
            between their neighbours'.
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
    track: Keypoints, max_gap: int = 5, drop_incomplete: bool = False, allow_implausible: bool = False
) -> Preprocessed:
    """Human3.6M-17 of a track, complete.

    Args:
        track: in any layout.
        max_gap: frames, at most, that a joint may be missing for to be filled in. Whole frames that
            are missing are filled in, too; nothing is before the first or after the last.
        drop_incomplete: leave out frames with joints that cannot be made, instead of refusing.
        allow_implausible: lift people who seem upside-down or lying, or outside of the image.

    Raises:
        ValueError: for a negative gap, and as the module says.
    """
    if max_gap < 0:
        raise ValueError(f"expected --max-gap >= 0 frames, got {max_gap}")
    track, messages = _without_zeros(track)
    messages = [*track.warnings, *messages, *_check_pixels(track, allow_implausible)]
    messages += _check_body(track, allow_implausible)
    filled, marks = fill_gaps(track, max_gap)
    messages += _said_of_gaps(track, filled, marks)
    body = to_h36m17(filled.xy, filled.layout, filled.confidence, marks)
    missing = ~body.seen
    kept: Array = np.ones(len(filled), dtype=bool)
    if missing.any():
        where = _listed_missing(missing, filled.frame_numbers)
        kept = np.asarray(~missing.any(axis=1))
        if not drop_incomplete:
            raise ValueError(
                f"expected every joint in every frame; neither seen nor made: {where}; --max-gap "
                "fills longer gaps, --skip-unseen leaves those frames out"
            )
        if not kept.any():
            raise ValueError(f"expected a frame with every joint, got none; missing: {where}")
        messages.append(f"{(~kept).sum()} frames left out; neither seen nor made: {where}")
    names = [name for j, name in enumerate(H36M_17.names) if body.made[kept, j].all()]
    if names:
        messages.append(f"{track.layout} has no {', '.join(names)}: made of other joints")
    return Preprocessed(
        body.keypoints_px[kept],
        filled.frame_numbers[kept],
        body.seen[kept] & ~body.marked[kept],
        body.marked[kept],
        body.made[kept],
        None if body.score is None else body.score[kept],
        tuple(messages),
        None if filled.times_s is None else filled.times_s[kept],
    )


def _without_zeros(track: Keypoints) -> tuple[Keypoints, list[str]]:
    """Joints at exactly (0, 0) are unseen, as many files have it; and that is said."""
    zero = (track.xy == 0).all(axis=-1)
    if not zero.any():
        return track, []
    if (zero | ~track.present).all():
        raise ValueError("expected keypoints, got (0, 0) everywhere")
    pixels = np.where(zero[..., None], np.float32(np.nan), track.xy)
    frames = np.any(zero, axis=1).sum()
    return replace(track, xy=pixels), [f"{zero.sum()} joints at exactly (0, 0), in {frames} frames, count as unseen"]


def _check_pixels(track: Keypoints, allow_implausible: bool) -> list[str]:
    """Are they pixels of an image of that size?"""
    points = track.xy[track.present].astype(np.float64)
    size = np.array([track.image_size[0], track.image_size[1]])
    if np.abs(points).max() <= 2 and size.min() >= 16:
        raise ValueError(
            f"expected pixels of an image of {track.image_size[0]} x {track.image_size[1]}, got coordinates from "
            f"{points.min():.2f} to {points.max():.2f}: they look normalised"
        )
    if len(points) > 1 and np.ptp(points, axis=0).max() == 0:
        raise ValueError("expected a body, got all joints in one point")
    outside = _outside(points, size)
    if outside.mean() > 0.5 and not allow_implausible:
        swapped = "; are x and y exchanged?" if _outside(points[:, ::-1], size).mean() < 0.1 else ""
        raise ValueError(
            f"expected joints within the image of {track.image_size[0]} x {track.image_size[1]}, got "
            f"{outside.mean():.0%} outside, x from {points[:, 0].min():.0f} to "
            f"{points[:, 0].max():.0f}, y from {points[:, 1].min():.0f} to "
            f"{points[:, 1].max():.0f}{swapped or ': is it of another size?'} (--as-is goes on)"
        )
    if outside.mean() > 0.01:
        return [
            f"{outside.mean():.0%} of the joints lie outside of the image of "
            f"{track.image_size[0]} x {track.image_size[1]}: guesses of the detector, if that is its size"
        ]
    return []


def _outside(points: Array, size: Array) -> Array:
    beyond = (points < -MARGIN * size) | (points > (1 + MARGIN) * size)
    return np.asarray(beyond.any(axis=-1))


def _check_body(track: Keypoints, allow_implausible: bool) -> list[str]:
    """Does the layout fit, and is up up?"""
    found = doubts(track.xy, track.layout, track.confidence)
    for doubt in found:
        if doubt.kind in ("upside-down", "lying") and not allow_implausible:
            raise ValueError(f"{doubt.message} (--as-is goes on if the person is like that)")
    return [f"doubtful: {doubt.message}" for doubt in found]


def fill_gaps(track: Keypoints, max_gap: int) -> tuple[Keypoints, Array]:
    """Gaps of up to ``max_gap`` frames filled in by straight lines, joint by joint.

    Frames are counted by the track's usual step, the median of the differences of its frame
    numbers, so that a file of every fifth frame has no gaps. Lines are straight over the times of
    the frames, if they have any, else over their numbers.

    Returns:
        The track, also with the frames that it lacked, and (T', J) bool of what was filled in,
        whose score is 0.
    """
    numbers = track.frame_numbers.astype(np.int64)
    step = max(1, int(np.median(np.diff(numbers)))) if len(numbers) > 1 else 1
    grid = _with_missing(numbers, step, max_gap)
    place = np.searchsorted(grid, numbers)
    pixels = np.full((len(grid), *track.xy.shape[1:]), np.nan, dtype=np.float32)
    pixels[place] = track.xy
    times = None if track.times_s is None else np.interp(grid, numbers, track.times_s)
    clock = grid if times is None else times
    shown = is_seen(pixels)
    marks = np.zeros(shown.shape, dtype=bool)
    for j in range(shown.shape[1]):
        known = np.flatnonzero(shown[:, j])
        holes = np.flatnonzero(np.diff(known) > 1)
        for before, after in zip(known[holes], known[holes + 1], strict=True):
            if (grid[after] - grid[before]) / step - 1 <= max_gap:
                between = np.arange(before + 1, after)
                share = (clock[between] - clock[before]) / (clock[after] - clock[before])
                way = pixels[after, j] - pixels[before, j]
                pixels[between, j] = pixels[before, j] + share[:, None].astype(np.float32) * way
                marks[between, j] = True
    score = None
    if track.confidence is not None:
        score = np.zeros(shown.shape, dtype=np.float32)
        score[place] = track.confidence
        score[marks] = 0
    names = [""] * len(grid)
    for at, name in zip(place, track.frame_names, strict=False):
        names[at] = name
    return replace(
        track,
        xy=pixels,
        confidence=score,
        frame_numbers=grid,
        frame_names=tuple(names) if track.frame_names else (),
        times_s=times,
    ), marks


def _with_missing(numbers: Array, step: int, max_gap: int) -> Array:
    """The numbers, and those between them where few are missing."""
    parts = [numbers[:1]]
    for before, after in pairwise(numbers):
        short = (after - before) % step == 0 and (after - before) // step - 1 <= max_gap
        parts.append(np.arange(before + step, after + 1, step) if short else np.array([after]))
    return np.concatenate(parts)


def _said_of_gaps(track: Keypoints, filled: Keypoints, marks: Array) -> list[str]:
    said = []
    if marks.any():
        names = filled_names(track.layout, marks)
        said.append(f"filled in by straight lines: {names}")
    if len(filled) > len(track):
        said.append(f"{len(filled) - len(track)} frames that the file lacks were filled in")
    jumps = np.diff(filled.frame_numbers)
    if len(jumps) and (jumps > np.median(jumps)).any():
        first = int(np.argmax(jumps > np.median(jumps)))
        before, after = filled.frame_numbers[first : first + 2]
        said.append(
            f"the person is absent {(jumps > np.median(jumps)).sum()} times, first between frames "
            f"{before} and {after}: lifters of several frames see across"
        )
    return said


def filled_names(layout: str, marks: Array) -> str:
    """The joints that were filled in most, with the number of frames of each."""
    counts = marks.sum(axis=0)
    order = [int(j) for j in np.argsort(-counts, kind="stable") if counts[j]]
    listed = [f"{LAYOUTS[layout].names[j]} in {counts[j]} frames" for j in order[:6]]
    return ", ".join(listed) + (f" and {len(order) - 6} more" if len(order) > 6 else "")


def _listed_missing(missing: Array, frames: Array) -> str:
    """Joints and frames, the worst first."""
    counts = missing.sum(axis=0)
    order = [int(j) for j in np.argsort(-counts, kind="stable") if counts[j]]
    listed = [f"{H36M_17.names[j]} in frames {ranges(frames[missing[:, j]])}" for j in order[:4]]
    return ", ".join(listed) + (f" and {len(order) - 4} more joints" if len(order) > 4 else "")


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
