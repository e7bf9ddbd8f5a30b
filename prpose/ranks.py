"""Rank correlation: whether one number knows when another is large."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def rank_correlation(a: Array, b: Array) -> float | None:
    """Spearman's rho of two sets of N numbers (any shape); None if all of one are equal."""
    x, y = ranks(a), ranks(b)
    norm = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / norm) if norm else None


def ranks(values: Array) -> Array:
    """Ranks of N numbers, (N,), with mean 0; equal numbers share their mean rank."""
    _, which, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    return np.asarray(rank[which] - (len(which) + 1) / 2)
