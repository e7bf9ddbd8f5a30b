"""Times of frames: frame rates, uneven times, and resampling to the rate at which a lifter was trained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from prpose.camera import Array
from prpose.config import InferenceConfig
from prpose.keypoints import LEAST_STEP
from prpose.preprocess import Preprocessed

UNEVEN = 0.25  # times are uneven if one is off the frame rate by a larger share of a frame
SAME_RATE = 0.05  # frame rates that differ by a smaller share count as equal
INTERPOLATED_CONFIDENCE = 0.3  # of an interpolated keypoint, for the noise; with 0 it would be as good as missing


@dataclass(frozen=True, eq=False)
class Schedule:
    """The frames that the lifter gets, and how its poses become those of the input's frames."""

    keypoints: Preprocessed  # of the lifted frames
    rho: list[float]  # noise correlation of neighbouring frames, one per step, the last for all others
    positions: Array | None = None  # (T,) of the input's frames among the lifted ones; None if they are the same

    def resample(self, pieces: Iterator[tuple[slice, Array]]) -> Iterator[tuple[slice, Array]]:
        """Poses of the input's frames from pieces (*, t, 17, 3) of the lifted frames', linearly interpolated."""
        if self.positions is None:
            yield from pieces
            return
        done, before = 0, None
        for frames, poses in pieces:
            start = frames.start
            if before is not None:
                poses, start = np.concatenate([before, poses], axis=-3), start - 1
            ready = int(np.searchsorted(self.positions, frames.stop - 1, side="right"))
            for at in range(done, ready, few := frames.stop - frames.start):  # there may be many between two frames
                own = slice(at, min(at + few, ready))
                yield own, interpolate(poses, self.positions[own] - start)
            done, before = ready, poses[..., -1:, :, :]


def schedule(
    keypoints: Preprocessed, fps: float | None, config: InferenceConfig, F: int = 1, trained_fps: float | None = None
) -> Schedule:
    """The lifted frames of a clip of nominal rate ``fps``, for a lifter with a receptive field of F frames.

    Keypoints of another rate than ``trained_fps``, that of the lifter's training data, are interpolated linearly, and
    so are the samples: those between two frames of iid noise are narrower, of ar1 noise hardly.
    """
    if keypoints.confidence is not None:
        confidence = np.where(keypoints.interpolated, INTERPOLATED_CONFIDENCE, keypoints.confidence)
        confidence = np.where(keypoints.missing, 1.0, confidence)  # its noise is sigma_px
        keypoints = replace(keypoints, confidence=confidence.astype(np.float32))
    times = seconds(keypoints, fps)
    if times is None or len(times) < 2:
        return Schedule(keypoints, [config.rho(fps)])
    uneven = is_uneven(keypoints, fps)
    steps = np.diff(times).clip(LEAST_STEP)  # frame numbers of 53 bits leave no room for the times between them
    rate = float(1 / np.median(steps))
    if F > 1 and trained_fps and (uneven or abs(rate / trained_fps - 1) > SAME_RATE):
        # Across a long absence the lifter gets one window of straight lines, not hours of them.
        wide = np.minimum(steps * trained_fps, F)
        positions = np.concatenate([[0.0], np.cumsum(wide)]).round(6)  # 2 is 2, not 1.9999999
        return Schedule(_on_grid(keypoints, positions), [config.rho(trained_fps)], positions)
    if uneven or steps.max() > 1.5 * steps.min():  # or the person was absent
        return Schedule(keypoints, [config.rho(1 / step) for step in steps])
    return Schedule(keypoints, [config.rho(fps and actual_rate(keypoints, fps))])


def seconds(keypoints: Preprocessed, fps: float | None) -> Array | None:
    """(T,) times: measured, or from frame numbers and the frame rate, if known."""
    return keypoints.frame_numbers / fps if keypoints.times_s is None and fps else keypoints.times_s


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


def interpolate(values: Array, positions: Array | None) -> Array:
    """(*, T, J, C) at fractional positions, (*, len(positions), J, C); unchanged where these are None."""
    if positions is None:
        return values
    at = np.clip(positions, 0, values.shape[-3] - 1)
    low = at.astype(np.int64)
    high = np.minimum(low + 1, values.shape[-3] - 1)
    share = (at - low).astype(values.dtype)[:, None, None]
    return np.asarray((1 - share) * values[..., low, :, :] + share * values[..., high, :, :])


def _on_grid(keypoints: Preprocessed, positions: Array) -> Preprocessed:
    """Keypoints and confidences at whole positions."""
    grid = np.arange(np.ceil(positions[-1]) + 1)
    values = [keypoints.xy.reshape(-1, 34), keypoints.sigma_px]
    values += [] if keypoints.confidence is None else [keypoints.confidence]
    even = np.empty((len(grid), sum(table.shape[1] for table in values)), dtype=np.float32)
    for i, column in enumerate(column for table in values for column in table.T):
        even[:, i] = np.interp(grid, positions, column)
    confidence = None if keypoints.confidence is None else even[:, 51:]
    return replace(keypoints, xy=even[:, :34].reshape(-1, 17, 2), sigma_px=even[:, 34:51], confidence=confidence)
