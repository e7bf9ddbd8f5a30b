"""Motion capture files as point trajectories: what their readers share, and the formats without a skeleton."""

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.data.release_files import import_mocap
from prpose.unpickle import read_npz


@dataclass(frozen=True, eq=False)
class Recording:
    """Named points over time, in the file's own unit and axes.

    Args:
        names: of the points: ends of bones (ASF/AMC), joints and end sites (BVH), markers (C3D).
        positions: (T, P, 3) float64; NaN where a marker is missing.
        fps: frames per second.
    """

    names: tuple[str, ...]
    positions: Array
    fps: float


def recording_of(path: Path, names: Sequence[str], positions: Array, fps: float) -> Recording:
    """The recording of a file; ``ValueError`` for no frames, unnamed points, a name twice, or a wrong frame rate."""
    if positions.shape != (len(positions), len(names), 3) or not len(positions):
        raise ValueError(f"{path}: expected positions of shape (T, {len(names)}, 3), T > 0, got {positions.shape}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: expected each name once, got {', '.join(twice)} more than once")
    if not 0 < fps < math.inf:
        raise ValueError(f"{path}: expected a frame rate > 0, got {fps}")
    return Recording(tuple(names), positions, fps)


def euler(axes: str, degrees: Array) -> Rotation:
    """Rotations by angles (*, len(axes)): the product in the order of ``axes``, so that "zyx" is Rz·Ry·Rx."""
    return Rotation.from_euler(axes.upper(), degrees, degrees=True) if axes else Rotation.identity()


def forward_kinematics(parents: Sequence[int], turns: Iterable[Rotation], offsets: Iterable[Array]) -> Array:
    """Points of a tree, (T, P, 3): each is its parent plus its own offset, turned.

    Args:
        parents: index of each point's parent, which comes before it; -1 for the root.
        turns: rotation of each offset into the world, for T frames or for all.
        offsets: (T, 3) or (3,), from the parent; of the root, from the origin.
    """
    points: list[Array] = []
    for parent, turn, offset in zip(parents, turns, offsets, strict=True):
        step = turn.apply(offset)
        points.append(step if parent < 0 else points[parent] + step)
    return np.stack(np.broadcast_arrays(*points), axis=1)


def numbers(path: Path, line: int, words: Sequence[str], count: int) -> list[float]:
    """``count`` finite numbers from the words of a line; ``ValueError`` naming the line otherwise."""
    text = "".join(words)
    try:
        if "_" in text or not text.isascii():  # numbers in Python, but not in these formats
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


def read_c3d(path: Path) -> Recording:
    """Markers of a C3D file, in its own unit; a missing one is NaN.

    Raises:
        ValueError: naming the file, if ezc3d (extra ``mocap``) is missing or cannot read it.
    """
    ezc3d = import_mocap("ezc3d")
    try:
        data = Path(path).read_bytes()
        content = ezc3d.c3d(str(path))
        point = content["parameters"]["POINT"]
        # A parameter takes 255 names; more are in LABELS2, LABELS3 ...
        parts = ["LABELS", *(f"LABELS{n}" for n in range(2, 100) if f"LABELS{n}" in point)]
        names = [name.strip() for part in parts for name in point[part]["value"]]
        fps = float(point["RATE"]["value"][0])
        positions = np.array(content["data"]["points"][:3], dtype=np.float64).transpose(2, 1, 0)
        # ezc3d corrects the number of frames to what it finds. The header's words 4 and 5 are the first and last, in
        # the byte order of the processor that byte 4 of the parameter section names (86 is big-endian).
        order = ">" if data[512 * (data[0] - 1) + 3] == 86 else "<"
        first, last = struct.unpack(f"{order}HH", data[6:10])
    except Exception as error:  # ezc3d raises many kinds of errors for damaged files
        raise ValueError(f"{path}: damaged or not a C3D file ({error})") from None
    if last < 65535 and len(positions) < last - first + 1:
        raise ValueError(f"{path}: expected {last - first + 1} frames, got {len(positions)}; the file may be truncated")
    return recording_of(path, names, positions, fps)


def read_npz_points(path: Path) -> Recording:
    """An npz with ``positions`` (T, P, 3), ``names`` (P,) and ``fps``; ``ValueError`` naming the file otherwise."""
    names, positions, fps = (np.asarray(read_npz(path, key)) for key in ("names", "positions", "fps"))
    if names.dtype.kind != "U" or positions.dtype.kind not in "fiu" or fps.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected names as text, positions and fps as numbers")
    if fps.shape not in ((), (1,)) or names.ndim != 1 or positions.ndim != 3:
        got = f"{positions.shape}, {names.shape} and {fps.shape}"
        raise ValueError(f"{path}: expected positions (T, P, 3), names (P,) and one fps, got {got}")
    return recording_of(path, names.tolist(), positions.astype(np.float64), float(fps.item()))
