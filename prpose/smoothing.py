"""Temporal smoothing of point estimates."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import gaussian_filter1d

from prpose.atomic import pieces, release
from prpose.camera import Array
from prpose.preprocess import Preprocessed
from prpose.timing import actual_rate, interpolate, is_uneven, seconds

LEAST_SIGMA_M = 1e-4  # standard deviation of a coordinate's noise, at least
RELATIVE = (0.2, 50.0)  # range of a frame's variance over the clip's median
ACCELERATION = 2.0  # m²/s³; of 1, 5, 20 and 80, those up to 5 have the least error on cmu17 val
FEWEST_FRAMES = 9  # of which the noise can be estimated
MOST_EVEN = 50_000  # frames that uneven ones become
KEPT = 100  # distance of the frames whose states are kept, so that memory does not grow with the clip


def gaussian(poses: Array, fps: float, sigma_s: float = 0.05) -> Array:
    """Gaussian filter over time, (T, J, 3) → (T, J, 3), ends repeated, cut off at three standard deviations."""
    radius = max(1, math.ceil(3 * sigma_s * fps - 1e-6))
    return np.asarray(gaussian_filter1d(poses, sigma_s * fps, axis=0, mode="nearest", radius=radius))


def one_euro(poses: Array, fps: float, min_cutoff_hz: float = 1.5, beta: float = 3.0) -> Array:
    """The One-Euro filter, coordinate by coordinate, (T, J, 3) → (T, J, 3); causal, with a lag.

    A low-pass filter whose cutoff rises with speed: little jitter at rest, little lag in motion (Casiez et al., 1€
    Filter, CHI 2012; the derivative's cutoff is 1 Hz, as there). ``min_cutoff_hz`` is the cutoff at rest, ``beta`` its
    increase with speed, Hz per m/s.
    """

    def weight(cutoff_hz: Array) -> Array:  # of the new value, in a low-pass filter
        omega = 2 * math.pi * cutoff_hz / fps
        return omega / (omega + 1)

    out, speed = [poses[0]], np.zeros_like(poses[0])
    for pose in poses[1:]:
        speed = speed + weight(np.ones_like(speed)) * ((pose - out[-1]) * fps - speed)
        out.append(out[-1] + weight(min_cutoff_hz + beta * np.abs(speed)) * (pose - out[-1]))
    return np.stack(out)


def rts(values: Array, times_s: Array, variance: Array, out: Array | None = None) -> Array:
    r"""Rauch-Tung-Striebel smoother of each coordinate, (T, J, 3) m at times (T,) → (T, J, 3).

    Position and velocity, driven by white acceleration of :data:`ACCELERATION`, m²/s³, are observed with noise
    (Rauch, Tung & Striebel, AIAA Journal 3, 1965). The noise is that of the clip, by the median of the fourth
    differences, in which an error that lasts has no part; it follows the ``variance`` (T, J, 3), m², of the
    samples from frame to frame, so that uncertain frames count for less. ``out`` gets the result: the values, or None.
    """
    if len(values) < FEWEST_FRAMES:
        return values
    x, spread = values.reshape(len(values), -1), variance.reshape(len(values), -1)
    # Little of the fourth differences is motion; of white noise, they are √70 as large. Column by column, as of hours.
    changes = [np.median(np.abs(np.diff(column.astype(np.float64), 4))) for column in _columns(x)]
    sigma = np.maximum(np.array(changes) / 0.6745 / 70**0.5, LEAST_SIGMA_M)
    typical = np.maximum([np.median(column) for column in _columns(spread)], 1e-12)
    steps = np.diff(times_s)

    def predicted(t: int, state: Array, cov: Array) -> tuple[Array, Array]:
        dt = steps[t - 1]
        move, drift = np.array([[1, dt], [0, 1]]), ACCELERATION * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        return move @ state, np.einsum("ij,jkn,lk->iln", move, cov, move) + drift[..., None]

    def filtered(t: int, state: Array, cov: Array) -> tuple[Array, Array]:
        state, cov = predicted(t, state, cov)
        gain = cov[:, 0] / (cov[0, 0] + sigma**2 * (spread[t] / typical).clip(*RELATIVE))
        return state + gain * (x[t] - state[0]), cov - gain[:, None] * cov[0]

    cov = np.zeros((2, 2, x.shape[1]))
    cov[0, 0], cov[1, 1] = sigma**2 * (spread[0] / typical).clip(*RELATIVE), 100.0  # (m/s)²
    now, kept = (np.stack([x[0].astype(np.float64), np.zeros(x.shape[1])]), cov), {}
    for t in range(len(x)):  # forwards; of every hundredth frame the state is kept, and computed again from there
        now = filtered(t, *now) if t else now
        if t % KEPT == 0:
            kept[t] = now
            release(x, spread)
    found, ahead = np.empty_like(x) if out is None else out.reshape(x.shape), now[0]
    for start in sorted(kept, reverse=True):
        block = [kept[start]]
        for t in range(start + 1, min(start + KEPT, len(x))):
            block.append(filtered(t, *block[-1]))
        for t in range(start + len(block) - 1, start - 1, -1):
            state, cov = block[t - start]
            if t < len(x) - 1:
                next_state, ((a, b), (_, d)) = predicted(t + 1, state, cov)
                cross = np.einsum("ijn,kj->ikn", cov, np.array([[1, steps[t]], [0, 1]]))  # of the state with the next
                gain = np.einsum("ijn,jkn->ikn", cross, np.array([[d, -b], [-b, a]]) / (a * d - b * b))
                state = state + np.einsum("ijn,jn->in", gain, ahead - next_state)
            found[t], ahead = state[0], state
        release(x, spread, found)
    return found.reshape(values.shape)


def _columns(table: Array) -> Iterator[Array]:
    return (np.concatenate([part[:, i].copy() for part in pieces(table)]) for i in range(table.shape[1]))


SMOOTHERS: dict[str, Callable[[Array, float], Array]] = {"gaussian": gaussian, "one_euro": one_euro}


def smooth(
    values: Array, method: str, keypoints: Preprocessed, fps: float | None, variance: Array | None = None
) -> Array:
    """Positions (T, J, 3), m, smoothed over time by one of :data:`prpose.config.Smoothing`.

    ``variance`` (T, J, 3), m², is needed by ``rts``, which takes times as they are, and replaces the values. For the
    others, frames at uneven times are resampled to even ones, and back.
    """
    if method == "none":
        return values
    times = seconds(keypoints, fps)
    assert fps is not None, "the model checks that smoothing has a frame rate"
    assert times is not None
    if method == "rts":
        assert variance is not None
        return rts(values, times, variance, out=values)
    if not is_uneven(keypoints, fps):
        return SMOOTHERS[method](values, actual_rate(keypoints, fps))
    # Across a long absence, only so many straight frames that they all fit into little memory.
    steps = np.minimum(np.diff(times) * fps, max(10, MOST_EVEN // len(times)))
    positions = np.concatenate([[0.0], np.cumsum(steps)]).round(6)
    even = np.interp(np.arange(np.ceil(positions[-1]) + 1), positions, np.arange(len(positions)))
    return interpolate(SMOOTHERS[method](interpolate(values, even), fps), positions)
