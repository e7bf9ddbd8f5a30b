"""When frames are, and when the lifter and its noise want them.

Frames may come at any times, a lifter of several frames has learnt motions at one rate, and noise
that is forgotten is forgotten over seconds, not frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array
from prpose.config import InferenceConfig
from prpose.preprocess import Prepared

UNEVEN = 0.25
"""Frames that are off their rate's time by more than that share of a frame count as uneven."""

CLOSE = 0.05
"""A rate that differs by less from that of a lifter's training is as good as the same."""


FILLED = 0.3
"""Confidence of a joint that was filled in between frames, for the noise. A wrist that turns round
at 10 m/s² is 4 cm off a straight line of 0.17 s; at 0 it would be as unsure as one never seen."""


@dataclass(frozen=True, eq=False)
class Timing:
    """What the lifter gets, and how its answers are those of the track's frames.

    Args:
        ready: keypoints and scores of the frames that are lifted.
        keep: of a frame's noise in the next one's (:mod:`prpose.noise_in_time`); one number, or one
            for each step.
        positions: (T,) of the track's frames among those that are lifted; None if they are the
            same.
    """

    ready: Prepared
    keep: float | Sequence[float]
    positions: Array | None = None

    def keep_after(self, frames: int) -> float | Sequence[float]:
        """``keep``, of a clip that so many repetitions of its first frame come before."""
        if isinstance(self.keep, float | int):
            return self.keep
        return [*[self.keep[0]] * frames, *self.keep]

    def sampled(self, pieces: Iterator[tuple[slice, Tensor]]) -> Iterator[tuple[slice, Tensor]]:
        """Poses of the track's frames, of poses (*, t, 17, 3) of the frames that were lifted.

        Between two frames they are those of a straight line.
        """
        if self.positions is None:
            yield from pieces
            return
        done, before = 0, None
        for frames, poses in pieces:
            start = frames.start
            if before is not None:
                poses, start = torch.cat([before, poses], dim=-3), start - 1
            ready = int(np.searchsorted(self.positions, frames.stop - 1, side="right"))
            if ready > done:
                yield slice(done, ready), interpolated(poses, self.positions[done:ready] - start)
            done, before = ready, poses[..., -1:, :, :]


def timing(
    ready: Prepared,
    fps: float | None,
    how: InferenceConfig,
    F: int = 1,
    learnt_fps: float | None = None,
) -> Timing:
    """For a track, and a lifter.

    Args:
        ready: the track.
        fps: its nominal rate.
        how: noise hangs together in time.
        F: the lifter's frames.
        learnt_fps: frames per second of the motions that the lifter was trained on, where that
            matters and is known. Keypoints of another rate are interpolated, by straight lines.
    """
    if ready.score is not None:
        filled = np.where(ready.interpolated, FILLED, ready.score)
        ready = replace(ready, score=filled.astype(np.float32))
    times = seconds(ready, fps)
    uneven = ready.times_s is not None and is_uneven(ready, fps)
    if times is None or len(times) < 2:
        return Timing(ready, how.keep(fps))
    rate = float(1 / np.median(np.diff(times)))
    if F > 1 and learnt_fps and (uneven or abs(rate / learnt_fps - 1) > CLOSE):
        # across long absences the lifter sees one window of straight lines, not hours of them
        steps = np.minimum(np.diff(times) * learnt_fps, F)
        positions = np.concatenate([[0.0], np.cumsum(steps)]).round(6)  # 2 is 2, not 1.9999999
        return Timing(_on_grid(ready, positions), how.keep(learnt_fps), positions)
    steps = np.diff(times)
    if uneven or steps.max() > 1.5 * steps.min():  # or somebody was away
        return Timing(ready, [how.keep(1 / step) for step in steps])
    return Timing(ready, how.keep(fps and own_rate(ready, fps)))


def seconds(ready: Prepared, fps: float | None) -> Array | None:
    """(T,) when each frame was: its own time, or that of its number and the rate, if known."""
    if ready.times_s is not None:
        return ready.times_s
    return None if fps is None else ready.frames / fps


def own_rate(ready: Prepared, fps: float) -> float:
    """Frames of the track per second: of a track of every fifth frame, a fifth of the rate."""
    steps = np.diff(ready.frames)
    return fps / max(1.0, float(np.median(steps))) if len(steps) else fps


def is_uneven(ready: Prepared, fps: float | None) -> bool:
    """Whether times are not those of the frame numbers and the rate."""
    if ready.times_s is None or fps is None:
        return ready.times_s is not None
    off = (ready.times_s - ready.times_s[0]) * fps - (ready.frames - ready.frames[0])
    return bool(np.abs(off).max() > UNEVEN)


def evened(poses: Tensor, times_s: Array, fps: float) -> tuple[Tensor, Array]:
    """(T, 17, 3) at any times as (T', 17, 3) at an even rate, and (T,) where the T were."""
    positions = ((times_s - times_s[0]) * fps).round(6)
    grid = np.arange(np.ceil(positions[-1]) + 1)
    return interpolated(poses, np.interp(grid, positions, np.arange(len(times_s)))), positions


def interpolated(poses: Tensor, positions: Array) -> Tensor:
    """(*, T, 17, 3) at places between its frames, (*, len(positions), 17, 3)."""
    at = torch.from_numpy(np.clip(positions, 0, poses.shape[-3] - 1))
    low = at.floor().long()
    high = (low + 1).clamp_max(poses.shape[-3] - 1)
    share = (at - low).to(poses)[:, None, None]
    return (1 - share) * poses[..., low, :, :] + share * poses[..., high, :, :]


def _on_grid(ready: Prepared, positions: Array) -> Prepared:
    """Keypoints and scores at whole positions."""
    grid = np.arange(np.ceil(positions[-1]) + 1)
    rows = [ready.keypoints_px.reshape(len(positions), -1)]
    rows += [] if ready.score is None else [ready.score]
    columns = np.concatenate(rows, axis=1).astype(np.float64)
    even = np.stack([np.interp(grid, positions, column) for column in columns.T], axis=1)
    return replace(
        ready,
        keypoints_px=even[:, :34].reshape(-1, 17, 2).astype(np.float32),
        score=None if ready.score is None else even[:, 34:].astype(np.float32),
    )
