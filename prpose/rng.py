"""Random numbers that are the same on every machine: seeds, generators and AR(1) noise."""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from prpose.camera import Array

X = TypeVar("X", Tensor, Array)


def mixed_seed(*numbers: int) -> int:
    """One 32-bit seed from several numbers >= 0; PyTorch's CPU generator uses no more bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def generator(*words: str) -> np.random.Generator:
    """A random generator seeded by words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def ar1(innovations: Sequence[X], rho: float | Sequence[float], previous: X | None = None) -> list[X]:
    r"""First-order autoregressive noise from independent standard-normal noise, one array per frame.

    .. math:: e_0 = ε_0, \quad e_t = ρ e_{t-1} + \sqrt{1 - ρ²} ε_t

    Every frame is standard normal; the correlation of frames n apart is ρⁿ. ``rho`` may be one number a frame.
    """
    frames: list[X] = []
    for t, fresh in enumerate(innovations):
        if previous is None:
            previous = fresh
        else:
            step = rho if isinstance(rho, float | int) else rho[t]
            previous = step * previous + math.sqrt(1 - step**2) * fresh
        frames.append(previous)
    return frames
