"""BVH (Biovision hierarchy) files: a joint tree with offsets and channels, then a row per frame."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.data.mocap import Recording, euler, forward_kinematics, line_error, numbers, recording_of

CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}


@dataclass
class Joint:
    """A joint or end site of the hierarchy; an end site has neither channels nor children."""

    name: str
    parent: int
    end: bool
    offset: Array | None = None
    channels: tuple[str, ...] = field(default=())


def read_bvh(path: Path) -> Recording:
    """Positions of all joints and end sites; an end site is named after its joint, ``Head_end``.

    A joint's rotations are multiplied in the order of its channels; position channels, where a joint has them,
    replace its offset.

    Raises:
        ValueError: naming file and line, for anything that is not BVH or is truncated.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        lines = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text file ({error.reason})") from None
    joints, motion_at = _hierarchy(path, lines)
    values, fps = _motion(path, lines, motion_at, sum(len(joint.channels) for joint in joints))
    return recording_of(path, [joint.name for joint in joints], _positions(joints, values), fps)


def _positions(joints: list[Joint], values: Array) -> Array:
    """World positions (T, P, 3) from channel values (T, C)."""
    turns, offsets, start = [Rotation.identity()], [], 0  # a joint's own rotation follows its parents'
    for joint in joints:
        own = values[:, start : start + len(joint.channels)]
        start += len(joint.channels)
        offset = np.tile(joint.offset if joint.offset is not None else 0.0, (len(values), 1))
        for i, channel in enumerate(joint.channels):
            if channel.endswith("position"):
                offset[:, "XYZ".index(channel[0])] = own[:, i]
        rotations = [i for i, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        axes = "".join(joint.channels[i][0] for i in rotations)
        turns.append(turns[joint.parent + 1] * euler(axes, own[:, rotations]))
        offsets.append(offset)
    parents = [joint.parent for joint in joints]
    return forward_kinematics(parents, [turns[parent + 1] for parent in parents], offsets)


def _hierarchy(path: Path, lines: list[list[str]]) -> tuple[list[Joint], int]:
    """Joints in the order of the file, parents first, and the number of the MOTION line."""
    joints: list[Joint] = []
    stack: list[int] = []  # open joints
    opening = False  # a name was read, its brace not yet
    for number, words in enumerate(lines, start=1):
        current = joints[stack[-1]] if stack and not opening else None
        match words:
            case []:
                continue
            case ["HIERARCHY"] if not joints:
                continue
            case ["MOTION"] if joints and not stack and not opening:
                return joints, number
            case [("ROOT" | "JOINT" | "End") as kind, *name] if not opening and name:
                if (kind == "ROOT") != (not stack) or (kind == "ROOT" and joints) or (current and current.end):
                    raise line_error(path, number, f"{kind} is not expected here")
                label = f"{current.name}_end" if current and kind == "End" else " ".join(name)
                if any(joint.name == label for joint in joints):
                    raise line_error(path, number, f"{label} is there already")
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
                distinct = set(channels) <= CHANNELS and len(set(channels)) == len(channels)
                if count != str(len(channels)) or not distinct:
                    message = f"expected {count} different channels such as Xrotation, got {channels}"
                    raise line_error(path, number, message)
                current.channels = tuple(channels)
            case _:
                raise line_error(path, number, f"{' '.join(words)[:60]!r} is not expected here")
    raise line_error(path, len(lines), "the file ends before its MOTION section")


def _motion(path: Path, lines: list[list[str]], motion_at: int, columns: int) -> tuple[Array, float]:
    """Channel values (T, C) and frame rate; ``motion_at`` is the number of the MOTION line."""
    body = [(n, words) for n, words in enumerate(lines[motion_at:], start=motion_at + 1) if words]
    heads = {"frames": ["Frames:"], "frame time": ["Frame", "Time:"]}
    found: list[float] = []
    for (what, head), (number, words) in zip(heads.items(), body + [(len(lines), [])] * 2, strict=False):
        if words[: len(head)] != head:
            raise line_error(path, number, f"expected {what} ({' '.join(head)} ...)")
        found += numbers(path, number, words[len(head) :], 1)
    frames, seconds = found
    rows = body[2:]
    if frames < 1 or frames != int(frames):
        raise line_error(path, body[0][0], f"expected at least one frame, got {frames:g}")
    if seconds <= 0:
        raise line_error(path, body[1][0], f"expected a frame time > 0, got {seconds:g}")
    if len(rows) != frames:
        number = rows[-1][0] if rows else len(lines)
        raise line_error(path, number, f"expected {int(frames)} rows of motion, got {len(rows)}")
    return np.array([numbers(path, number, row, columns) for number, row in rows]), 1 / seconds
