"""What a motion capture file holds once its joint angles are resolved: points that move."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prpose.camera import Array


@dataclass(frozen=True, eq=False)
class Recording:
    """Named points over time, in the file's own unit and axes.

    Args:
        names: of the points: ends of bones (ASF/AMC), joints and end sites (BVH), markers (C3D).
        positions: (T, P, 3) float64; NaN where a marker was not seen.
        fps: frames per second.

    Raises:
        ValueError: for wrong shapes, no frames, or names that occur twice.
    """

    names: tuple[str, ...]
    positions: Array
    fps: float

    def __post_init__(self) -> None:
        if self.positions.shape != (len(self.positions), len(self.names), 3):
            raise ValueError(f"expected positions of shape (T, {len(self.names)}, 3), got {self.positions.shape}")
        if not len(self.positions):
            raise ValueError("expected at least one frame, got none")
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"expected each name once, got {', '.join(twice)} more than once")
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"expected a frame rate > 0, got {self.fps}")

    def __len__(self) -> int:
        return len(self.positions)


def recording_of(path: Path, names: tuple[str, ...], positions: Array, fps: float) -> Recording:
    """What was read from ``path``; its ``ValueError`` names the file."""
    try:
        return Recording(names, positions, fps)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def euler_rotation(degrees: Array, axes: Sequence[str]) -> Array:
    """Rotation matrices (*, 3, 3) that act on columns, from angles (*, len(axes)).

    The product is taken in the order of ``axes``: ``("z", "y", "x")`` gives Rz·Ry·Rx.
    """
    rotation = np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3))
    for i, axis in enumerate(axes):
        radians = np.deg2rad(degrees[..., i])
        one = np.zeros((*radians.shape, 3, 3))
        a = "xyz".index(axis)
        b, c = (a + 1) % 3, (a + 2) % 3
        one[..., a, a] = 1
        one[..., b, b] = one[..., c, c] = np.cos(radians)
        one[..., c, b] = np.sin(radians)
        one[..., b, c] = -np.sin(radians)
        rotation = rotation @ one
    return rotation


def numbers(path: Path, line: int, words: Sequence[str], count: int) -> list[float]:
    """That many finite numbers from the words of a line; ``ValueError`` that names it if not."""
    text = "".join(words)
    try:
        if "_" in text or not text.isascii():  # numbers to Python, but to nobody else
            raise ValueError
        values = [float(word) for word in words]
    except ValueError:
        raise line_error(path, line, f"expected numbers, got {' '.join(words)[:60]!r}") from None
    if len(values) != count or not all(map(math.isfinite, values)):
        raise line_error(path, line, f"expected {count} finite numbers, got {' '.join(words)[:60]}")
    return values


def line_error(path: Path, line: int, message: str) -> ValueError:
    """A ``ValueError`` that names file and line, lines counted from 1."""
    return ValueError(f"{path}, line {line}: {message}")
