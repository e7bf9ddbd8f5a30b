"""Noise without networks: seeds and generators, its size by a detector's confidences, its correlation over time."""

import hashlib
import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from prpose.atomic import large_array, release
from prpose.camera import Array
from prpose.tables import is_number, look_up

NoiseCorrelation = Literal["iid", "shared", "ar1"]
NOISE_CORRELATIONS = get_args(NoiseCorrelation)
"""Of the noise over time: independent, one draw for all frames, or first-order autoregressive."""

RATES = 1e-6, 1e6  # frames per second that there are: from one in 12 days
LEAST_CONFIDENCE = 0.02  # lower confidences count as this one, so that their noise stays finite


def mixed_seed(*numbers: int) -> int:
    """One 32-bit seed from several numbers >= 0; PyTorch's CPU generator uses no more bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def generator(*words: str) -> np.random.Generator:
    """A random generator seeded by words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def check_scale(name: str, value: float) -> None:
    """Raises ``ValueError`` unless the number is finite in float32 and not negative."""
    if not is_number(value) or not 0 <= value <= float(np.finfo(np.float32).max):
        raise ValueError(f"expected {name} to be a finite number >= 0, got {value!r:.80}")


def check_rate(fps: float | None, name: str = "fps") -> None:
    """Raises ``ValueError`` for a known frame rate that none of a video or a camera can be."""
    if fps is not None and not (is_number(fps) and RATES[0] <= fps <= RATES[1]):
        raise ValueError(f"expected {name} > 0, got {fps!r:.80} (from {RATES[0]:g} to {RATES[1]:g} a second)")


def confidence_sigma(keypoints: Array, confidence: Array, scale: float) -> Array:
    r"""Standard deviation of a detector's error from its confidence, (*, J, 2) and (*, J) → (*, J), normalised.

    .. math:: σ_j = k s \sqrt{1 / c_j - 1}

    with s the person's size: the root of the area of the keypoints' bounding box. A heatmap whose peak is
    c = 1 / (1 + w²) has the width w. Not of the paper; measured in docs/results.md.
    """
    check_scale("the confidence noise", scale)
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("expected confidences from 0 to 1, got others, or NaN")
    size = np.sqrt(np.ptp(keypoints, axis=-2).prod(-1))[..., None]
    return np.asarray(scale * size * np.sqrt(1 / np.maximum(confidence, LEAST_CONFIDENCE) - 1))


def noise_rho(kind: NoiseCorrelation, fps: float = 60.0, time_constant_s: float = 0.25) -> float:
    """Correlation of the noise of neighbouring frames, from 0 to 1; ``ar1`` falls to 1/e in ``time_constant_s``."""
    look_up(kind, dict.fromkeys(NOISE_CORRELATIONS), "noise correlation")
    for name, value in (("fps", fps), ("time_constant_s", time_constant_s)):
        if not is_number(value) or not 0 < value < 1e9:
            raise ValueError(f"expected {name} > 0, got {value!r:.80}")
    return {"iid": 0.0, "shared": 1.0}.get(kind, math.exp(-1 / (fps * time_constant_s)))


class NoiseProcess:
    r"""AR(1) noise of a stream of frames, float32; the result does not depend on the number of frames drawn at a time.

    .. math:: e_0 = ε_0, \quad e_t = ρ e_{t-1} + \sqrt{1 - ρ²} ε_t

    Every frame is standard normal; the correlation of frames n apart is ρⁿ. ``shape`` is that of one frame's noise,
    (*, J, C); ``rho`` may be one for each step, of which the last repeats.
    """

    def __init__(self, shape: tuple[int, ...], rho: float | Sequence[float], *seed: int) -> None:
        self.shape, self.generator = shape, np.random.default_rng(seed)
        self.rho = [rho] if isinstance(rho, float | int) else list(rho)
        self.drawn = 0
        self.last: Array | None = None

    def frames(self, count: int) -> list[Array]:
        """The noise of the next frames, one by one, (*, 1, J, C) each."""
        noise = self.next(count)
        return [noise[..., t : t + 1, :, :] for t in range(count)]

    def next(self, frames: int) -> Array:
        """The noise of the next frames, (*, frames, J, C)."""
        noise = large_array((frames, *self.shape), np.float32)
        for frame in noise:
            self.generator.standard_normal(dtype=np.float32, out=frame)
            if self.last is not None:
                rho = self.rho[min(self.drawn - 1, len(self.rho) - 1)]
                frame *= math.sqrt(1 - rho**2)
                frame += rho * self.last
            release(noise, self.last)
            self.drawn, self.last = self.drawn + 1, frame
        return np.moveaxis(noise, 0, -3)
