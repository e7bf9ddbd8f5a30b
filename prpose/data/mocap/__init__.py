"""Motion capture files as point trajectories: what their readers share, BVH, C3D, and named points as npz."""

import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.apart import try_apart
from prpose.atomic import existing_file
from prpose.camera import Array
from prpose.tables import import_extra
from prpose.unpickle import read_npz

CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}

MOST_JOINTS = 5000  # of a skeleton; those with fingers and faces have some 200
POSITIONS = 100_000  # positions that a file of any size may describe; one takes some 200 bytes

Lines = list[tuple[int, list[str]]]  # numbers, counted from 1, and words of the lines that are not empty


@dataclass(frozen=True, eq=False)
class Recording:
    """Named points over time, in the file's own unit and axes."""

    names: tuple[str, ...]  # ends of bones (ASF/AMC), joints and end sites (BVH), markers (C3D)
    positions: Array  # (T, P, 3) float64; NaN where a marker is missing
    fps: float


def recording_of(path: Path, names: Sequence[str], positions: Array, fps: float) -> Recording:
    """The recording of a file, if it is valid."""
    if positions.shape != (len(positions), len(names), 3) or not len(positions):
        raise ValueError(f"{path}: expected positions of shape (T, {len(names)}, 3), T > 0, got {positions.shape}")
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ValueError(f"{path}: expected each name once, got {', '.join(twice)} more than once")
    if not 0 < fps < math.inf:
        raise ValueError(f"{path}: expected a frame rate > 0, got {fps}")
    return Recording(tuple(names), positions, fps)


def check_size(path: Path, T: int, P: int, size: int) -> None:
    """``ValueError`` for too many points, or if most T x P positions were not written to files of this size."""
    if P > MOST_JOINTS or max(POSITIONS, size // 4) < T * P:
        raise ValueError(f"{path}: expected a body's joints with their angles, got {T} frames of {P} in {size:,} bytes")


def euler(axes: str, degrees: Array) -> Rotation:
    """Rotations by angles (*, len(axes)): the product in the order of ``axes``, so that "zyx" is Rz·Ry·Rx."""
    return Rotation.from_euler(axes.upper(), degrees, degrees=True) if axes else Rotation.identity()


def forward_kinematics(parents: Sequence[int], turns: Iterable[Rotation], offsets: Iterable[Array]) -> Array:
    """Points of a tree, (T, P, 3): each is its parent (-1: the origin), which comes before it, plus its turned offset.

    Rotations into the world, and offsets, (T, 3) or (3,), are for T frames or for all.
    """
    points: list[Array] = []
    for parent, turn, offset in zip(parents, turns, offsets, strict=True):
        step = turn.apply(offset)
        points.append(step if parent < 0 else points[parent] + step)
    return np.stack(np.broadcast_arrays(*points), axis=1)


def lines_of(path: Path, encoding: str = "utf-8", comment: str | None = None) -> Lines:
    """Lines of a text file, up to ``comment``."""
    try:
        text = existing_file(path).read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text file ({error.reason})") from None
    lines = ((line.partition(comment)[0] if comment else line).split() for line in text.splitlines())
    return [(number, words) for number, words in enumerate(lines, start=1) if words]


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
    return ValueError(f"{path}, line {line}: {message}")


@dataclass
class Joint:
    """A joint or end site of a BVH hierarchy; an end site has neither channels nor children."""

    name: str
    parent: int
    end: bool
    offset: Array | None = None
    channels: tuple[str, ...] = ()


def read_bvh(path: Path) -> Recording:
    """Positions of all joints and end sites of a BVH file; an end site is named after its joint, ``Head_end``.

    A joint's rotations are multiplied in the order of its channels; position channels replace its offset.
    ``ValueError``, naming file and line, for anything that is not BVH or is truncated.
    """
    lines = lines_of(path)
    joints, length = _hierarchy(path, lines)
    values, fps = _motion(path, lines[length:], sum(len(joint.channels) for joint in joints))
    check_size(path, len(values), len(joints), path.stat().st_size)
    turns, offsets, start = [Rotation.identity()], [], 0  # a joint's own rotation follows its parents'
    for joint in joints:
        columns = list(enumerate(joint.channels, start))
        start += len(joint.channels)
        offset = np.tile(np.asarray(joint.offset), (len(values), 1))
        for column, channel in columns:
            if channel.endswith("position"):
                offset[:, "XYZ".index(channel[0])] = values[:, column]
        rotations = {column: channel[0] for column, channel in columns if channel.endswith("rotation")}
        turns.append(turns[joint.parent + 1] * euler("".join(rotations.values()), values[:, list(rotations)]))
        offsets.append(offset)
    parents = [joint.parent for joint in joints]
    positions = forward_kinematics(parents, [turns[parent + 1] for parent in parents], offsets)
    return recording_of(path, [joint.name for joint in joints], positions, fps)


def _hierarchy(path: Path, lines: Lines) -> tuple[list[Joint], int]:
    """Joints in the order of the file, parents first, and the number of lines up to MOTION."""
    joints: list[Joint] = []
    taken = set[str]()
    stack: list[int] = []  # open joints
    opening = False  # a name was read, its brace not yet
    for index, (number, words) in enumerate(lines):
        current = joints[stack[-1]] if stack and not opening else None
        match words:
            case ["HIERARCHY"] if not joints:
                continue
            case ["MOTION"] if joints and not stack and not opening:
                return joints, index + 1
            case [("ROOT" | "JOINT" | "End") as kind, *name] if not opening and name:
                if (kind == "ROOT") != (not stack) or (kind == "ROOT" and joints) or (current and current.end):
                    raise line_error(path, number, f"{kind} is not expected here")
                label = f"{current.name}_end" if current and kind == "End" else " ".join(name)
                if label in taken:
                    raise line_error(path, number, f"{label} is there already")
                taken.add(label)
                joints.append(Joint(label, stack[-1] if stack else -1, end=kind == "End"))
                opening = True
            case ["{"] if opening:
                stack.append(len(joints) - 1)
                opening = False
            case ["}"] if current:
                if current.offset is None:
                    raise line_error(path, number, f"{current.name} has no OFFSET")
                stack.pop()
            case ["OFFSET", *offset] if current and current.offset is None:
                current.offset = np.array(numbers(path, number, offset, 3))
            case ["CHANNELS", count, *channels] if current and not current.end and not current.channels:
                if count != str(len(channels)) or not set(channels) <= CHANNELS or len(set(channels)) != len(channels):
                    expected = f"expected {count} different channels such as Xrotation"
                    raise line_error(path, number, f"{expected}, got {channels}")
                current.channels = tuple(channels)
            case _:
                raise line_error(path, number, f"{' '.join(words)[:60]!r} is not expected here")
    raise ValueError(f"{path}: the file ends before its MOTION section")


def _motion(path: Path, lines: Lines, columns: int) -> tuple[Array, float]:
    """Channel values (T, C) and frame rate, from the lines after MOTION."""
    match lines:
        case [(at, ["Frames:", frames]), (then, ["Frame", "Time:", time]), *rows]:
            (T,), (seconds,) = numbers(path, at, [frames], 1), numbers(path, then, [time], 1)
        case _:
            raise ValueError(f"{path}: expected Frames: and Frame Time: after MOTION, with a number each")
    if T < 1 or len(rows) != T:
        raise line_error(path, at, f"expected as many frames as rows of motion, got {frames} and {len(rows)} rows")
    if seconds <= 0:
        raise line_error(path, then, f"expected a frame time > 0, got {time}")
    return np.array([numbers(path, number, row, columns) for number, row in rows]), 1 / seconds


def read_c3d(path: Path) -> Recording:
    """Markers of a C3D file, NaN where missing; ``ValueError`` without ezc3d (extra ``mocap``) or if it fails."""
    ezc3d = import_extra("ezc3d", "mocap")
    try_apart(ezc3d.c3d, "ezc3d", path)
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
