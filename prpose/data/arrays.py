"""Arrays of coordinates as files hold them, checked: the one place that says what is wrong."""

from typing import Any

import numpy as np

from prpose.camera import Array


def coordinates(value: Any, J: int, C: int, where: str, what: str) -> Array:
    """A file's coordinates of J joints, as (T, J, C) float32.

    Args:
        value: what the file holds.
        where, what: place and content, for messages.

    Raises:
        ValueError: starting with ``where``, for anything but at least one frame of real numbers
            of that shape, all of them finite and within :data:`FARTHEST`.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        got = f"{value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{where}: expected {what} as an array of numbers, got {got}")
    if value.ndim != 3 or value.shape[1:] != (J, C):
        raise ValueError(f"{where}: expected {what} of shape (T, {J}, {C}), got {value.shape}")
    if not len(value):
        raise ValueError(f"{where}: expected at least one frame of {what}, got none")
    narrow = finite_float32(value, where, what)
    largest = float(np.abs(narrow).max())
    if largest > FARTHEST[C]:
        raise ValueError(f"{where}: expected {what} within {FARTHEST[C]:g} {UNITS[C]}, got {largest:g}")
    return narrow


UNITS = {2: "pixels", 3: "metres"}
FARTHEST = {2: 1e7, 3: 1e5}
"""No joint is farther from the origin, in 2D and in 3D; sums and squares stay finite."""


def finite_float32(values: Array, where: str, what: str = "numbers") -> Array:
    """(T, *) numbers as float32.

    Raises:
        ValueError: starting with ``where``, if any is NaN, infinite or beyond float32.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and said so below
        narrow = np.asarray(values).astype(np.float32)
    if not np.isfinite(narrow).all():
        frame = int(np.argwhere(~np.isfinite(narrow))[0][0])
        raise ValueError(f"{where}: expected finite {what}, got NaN or infinity in frame {frame}")
    return narrow
