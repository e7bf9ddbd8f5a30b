"""Times of frames: frame rates, uneven times, and resampling to the rate a lifter was trained at.

Frames may come at any times; a lifter with a receptive field of several frames was trained at one rate; the correlation
of the noise decays over seconds, not frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array
from prpose.config import InferenceConfig
from prpose.preprocess import Preprocessed

UNEVEN = 0.25
"""Times are uneven if one is off the frame rate by more than this share of a frame."""

SAME_RATE = 0.05
"""Frame rates that differ by a smaller share count as equal."""

INTERPOLATED_CONFIDENCE = 0.3
"""Confidence of an interpolated keypoint, for the noise: a wrist that reverses at 10 m/s² is 4 cm off a straight line
over 0.17 s; at 0 it would be as uncertain as one that was never detected."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """The frames that the lifter gets, and how its poses become those of the input's frames.

    Args:
        keypoints: of the lifted frames.
        rho: noise correlation of neighbouring frames: one number, or one per step.
        positions: (T,) of the input's frames among the lifted ones; None if they are the same.
    """

    keypoints: Preprocessed
    rho: float | Sequence[float]
    positions: Array | None = None

    def rho_after(self, padding: int) -> float | Sequence[float]:
        """``rho``, with this many repetitions of the first frame before it."""
        return self.rho if isinstance(self.rho, float | int) else [*[self.rho[0]] * padding, *self.rho]

    def at_input(self, poses: Tensor) -> Tensor:
        """Poses (*, T', 17, 3) of the lifted frames, interpolated at the input's frames."""
        return poses if self.positions is None else interpolate(poses, self.positions)

    def resample(self, pieces: Iterator[tuple[slice, Tensor]]) -> Iterator[tuple[slice, Tensor]]:
        """Poses of the input's frames, by linear interpolation of poses (*, t, 17, 3) of the lifted frames."""
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
                yield slice(done, ready), interpolate(poses, self.positions[done:ready] - start)
            done, before = ready, poses[..., -1:, :, :]


def schedule(
    keypoints: Preprocessed, fps: float | None, config: InferenceConfig, F: int = 1, trained_fps: float | None = None
) -> Schedule:
    """The lifted frames of a clip.

    Args:
        keypoints: the clip.
        fps: its nominal frame rate.
        config: correlation of the noise.
        F: the lifter's receptive field, frames.
        trained_fps: frame rate of the lifter's training data, where it matters. Keypoints of another rate are
            interpolated linearly.
    """
    if keypoints.confidence is not None:
        confidence = np.where(keypoints.interpolated, INTERPOLATED_CONFIDENCE, keypoints.confidence)
        keypoints = replace(keypoints, confidence=confidence.astype(np.float32))
    times = seconds(keypoints, fps)
    uneven = keypoints.times_s is not None and is_uneven(keypoints, fps)
    if times is None or len(times) < 2:
        return Schedule(keypoints, config.rho(fps))
    rate = float(1 / np.median(np.diff(times)))
    if F > 1 and trained_fps and (uneven or abs(rate / trained_fps - 1) > SAME_RATE):
        # Across a long absence the lifter gets one window of straight lines, not hours of them.
        steps = np.minimum(np.diff(times) * trained_fps, F)
        positions = np.concatenate([[0.0], np.cumsum(steps)]).round(6)  # 2 is 2, not 1.9999999
        return Schedule(_on_grid(keypoints, positions), config.rho(trained_fps), positions)
    steps = np.diff(times)
    if uneven or steps.max() > 1.5 * steps.min():  # or the person was absent
        return Schedule(keypoints, [config.rho(1 / step) for step in steps])
    return Schedule(keypoints, config.rho(fps and actual_rate(keypoints, fps)))


def seconds(keypoints: Preprocessed, fps: float | None) -> Array | None:
    """(T,) times: measured, or from frame numbers and the frame rate, if known."""
    if keypoints.times_s is not None:
        return keypoints.times_s
    return None if fps is None else keypoints.frame_numbers / fps


def actual_rate(keypoints: Preprocessed, fps: float) -> float:
    """Frames of the clip per second: a fifth of the nominal rate for every fifth frame."""
    steps = np.diff(keypoints.frame_numbers)
    return fps / max(1.0, float(np.median(steps))) if len(steps) else fps


def is_uneven(keypoints: Preprocessed, fps: float | None) -> bool:
    """Whether the times differ from those of frame numbers and frame rate."""
    if keypoints.times_s is None or fps is None:
        return keypoints.times_s is not None
    off = (keypoints.times_s - keypoints.times_s[0]) * fps - (keypoints.frame_numbers - keypoints.frame_numbers[0])
    return bool(np.abs(off).max() > UNEVEN)


def to_even(poses: Tensor, times_s: Array, fps: float) -> tuple[Tensor, Array]:
    """(T, 17, 3) at any times → (T', 17, 3) at an even rate, and the positions (T,) of the T in it."""
    positions = ((times_s - times_s[0]) * fps).round(6)
    grid = np.arange(np.ceil(positions[-1]) + 1)
    return interpolate(poses, np.interp(grid, positions, np.arange(len(times_s)))), positions


def interpolate(poses: Tensor, positions: Array) -> Tensor:
    """(*, T, 17, 3) at fractional positions, (*, len(positions), 17, 3)."""
    at = torch.from_numpy(np.clip(positions, 0, poses.shape[-3] - 1))
    low = at.floor().long()
    high = (low + 1).clamp_max(poses.shape[-3] - 1)
    share = (at - low).to(poses)[:, None, None]
    return (1 - share) * poses[..., low, :, :] + share * poses[..., high, :, :]


def _on_grid(keypoints: Preprocessed, positions: Array) -> Preprocessed:
    """Keypoints and confidences at whole positions."""
    grid = np.arange(np.ceil(positions[-1]) + 1)
    rows = [keypoints.xy.reshape(len(positions), -1)]
    rows += [] if keypoints.confidence is None else [keypoints.confidence]
    columns = np.concatenate(rows, axis=1).astype(np.float64)
    even = np.stack([np.interp(grid, positions, column) for column in columns.T], axis=1)
    return replace(
        keypoints,
        xy=even[:, :34].reshape(-1, 17, 2).astype(np.float32),
        confidence=None if keypoints.confidence is None else even[:, 34:].astype(np.float32),
    )
