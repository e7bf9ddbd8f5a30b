"""Seeds: from names and numbers to random generators, the same on every machine."""

import hashlib

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """One 32-bit seed out of several numbers >= 0; PyTorch's CPU generator keeps no more bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def generator(*words: str) -> np.random.Generator:
    """A random generator that depends on the words alone."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
