"""Random numbers: generators seeded by names and numbers, the same on every machine; AR(1) noise."""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from prpose.camera import Array

X = TypeVar("X", Tensor, Array)


def mixed_seed(*numbers: int) -> int:
    """One 32-bit seed out of several numbers >= 0; PyTorch's CPU generator keeps no more bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def generator(*words: str) -> np.random.Generator:
    """A random generator that depends on the words alone."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def ar1(innovations: Sequence[X], rho: float | Sequence[float], previous: X | None = None) -> list[X]:
    r"""First-order autoregressive noise from independent standard-normal noise, frame by frame.

    .. math:: e_0 = ε_0, \quad e_t = ρ e_{t-1} + \sqrt{1 - ρ²} ε_t

    Every frame stays standard normal; frames n apart correlate by ρⁿ.

    Args:
        innovations: ε of each frame, tensors or arrays of one shape.
        rho: ρ; or one for each step from a frame to the next.
        previous: e of the frame before the first, if there is one.
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
