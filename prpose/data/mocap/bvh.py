"""BVH (Biovision hierarchy) files: a joint tree with offsets and channels, then a row per frame."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from prpose.camera import Array
from prpose.data.mocap.recording import Recording, euler_rotation, line_error, numbers, recording_of

CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}


@dataclass
class Joint:
    """A joint or end site of the hierarchy."""

    name: str
    parent: int
    offset: Array = field(default_factory=lambda: np.zeros(3))
    channels: tuple[str, ...] = ()
    placed: bool = False
    """Whether its offset was read."""
    end: bool = False
    """Whether it is an end site, which has neither channels nor children."""


def read_bvh(path: Path) -> Recording:
    """Positions of all joints and end sites; an end site is called after its joint, ``Head_end``.

    A joint's rotations are multiplied in the order of its channels; position channels, where a
    joint has them, take the place of its offset.

    Raises:
        ValueError: naming file and line, for anything that is no BVH or is truncated.
    """
    path = Path(path)
    lines = _lines(path)
    joints, motion_at = _hierarchy(path, lines)
    values, fps = _motion(path, lines, motion_at, sum(len(j.channels) for j in joints))
    positions = forward_kinematics(joints, values)
    return recording_of(path, tuple(joint.name for joint in joints), positions, fps)


def forward_kinematics(joints: list[Joint], values: Array) -> Array:
    """World positions (T, P, 3) from channel values (T, C), all frames at once."""
    positions = np.empty((len(values), len(joints), 3))
    rotations: list[Array] = []
    start = 0
    for index, joint in enumerate(joints):
        own = values[:, start : start + len(joint.channels)]
        start += len(joint.channels)
        turns = [i for i, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        turn = euler_rotation(own[:, turns], [joint.channels[i][0].lower() for i in turns])
        place = np.tile(joint.offset, (len(values), 1))
        for i, channel in enumerate(joint.channels):
            if channel.endswith("position"):
                place[:, "XYZ".index(channel[0])] = own[:, i]
        if joint.parent >= 0:
            parent = rotations[joint.parent]
            place = positions[:, joint.parent] + np.einsum("tij,tj->ti", parent, place)
            turn = parent @ turn
        positions[:, index] = place
        rotations.append(turn)
    return positions


def movable(joint: Joint) -> bool:
    """Whether channels may be read for it: no end site, and no joint that has them."""
    return not joint.end and not joint.channels


def _lines(path: Path) -> list[list[str]]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected a text file ({error.reason})") from None


def _hierarchy(path: Path, lines: list[list[str]]) -> tuple[list[Joint], int]:
    """Joints in the order of the file, parents first, and the number of the MOTION line."""
    joints: list[Joint] = []
    stack: list[int] = []  # open joints
    opening = False  # a name was read, its brace not yet
    for number, words in enumerate(lines, start=1):
        match words:
            case []:
                continue
            case ["HIERARCHY"] if not joints:
                continue
            case ["MOTION"] if joints and not stack and not opening:
                return joints, number
            case [("ROOT" | "JOINT" | "End") as kind, *name] if not opening and name:
                childless = bool(stack) and joints[stack[-1]].end
                if (kind == "ROOT") != (not stack) or (kind == "ROOT" and joints) or childless:
                    raise line_error(path, number, f"{kind} is not expected here")
                parent = stack[-1] if stack else -1
                end = kind == "End"
                called = f"{joints[parent].name}_end" if end else " ".join(name)
                if any(joint.name == called for joint in joints):
                    raise line_error(path, number, f"{called} is there already")
                joints.append(Joint(called, parent, end=end))
                opening = True
            case ["{"] if opening:
                stack.append(len(joints) - 1)
                opening = False
            case ["}"] if stack and not opening:
                done = joints[stack.pop()]
                if not done.placed:
                    raise line_error(path, number, f"{done.name} has no OFFSET")
            case ["OFFSET", *offset] if stack and not opening and not joints[stack[-1]].placed:
                joints[stack[-1]].offset = np.array(numbers(path, number, offset, 3))
                joints[stack[-1]].placed = True
            case ["CHANNELS", count, *channels] if stack and not opening and movable(joints[stack[-1]]):
                known = set(channels) <= CHANNELS and len(set(channels)) == len(channels)
                if count != str(len(channels)) or not known:
                    raise line_error(
                        path,
                        number,
                        f"expected {count} different channels such as Xrotation, got {channels}",
                    )
                joints[stack[-1]].channels = tuple(channels)
            case _:
                raise line_error(path, number, f"{' '.join(words)[:60]!r} is not expected here")
    raise line_error(path, len(lines), "the file ends before its MOTION section")


def _motion(path: Path, lines: list[list[str]], motion_at: int, columns: int) -> tuple[Array, float]:
    """Channel values (T, C) and frame rate; ``motion_at`` is the number of the MOTION line."""
    body = [(n, words) for n, words in enumerate(lines[motion_at:], start=motion_at + 1) if words]
    heads = {"frames": (["Frames:"], 1), "frame time": (["Frame", "Time:"], 1)}
    found: list[float] = []
    for (what, (head, count)), (number, words) in zip(heads.items(), body + [(len(lines), [])] * 2, strict=False):
        if words[: len(head)] != head:
            raise line_error(path, number, f"expected {what} ({' '.join(head)} ...)")
        found += numbers(path, number, words[len(head) :], count)
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
