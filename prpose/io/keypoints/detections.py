"""What a file of keypoints says, before anybody is told apart, and how JSON is read into it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data.clip import FARTHEST
from prpose.remap import is_seen


@dataclass(frozen=True, eq=False)
class Detection:
    """One person in one frame.

    Args:
        frame: its number.
        keypoints: (J, 2) float64, NaN where a joint is unseen; pixels, unless the reading says
            otherwise.
        score: (J,) the detector's, where it gives one.
        person: an identity over time, where the file has it.
    """

    frame: int
    xy: Array
    confidence: Array | None = None
    track_id: str | None = None


@dataclass(frozen=True, eq=False)
class Detections:
    """All that a file says.

    Args:
        sightings: everybody in every frame.
        layout: where the file or its format says it.
        by_convention: whether the layout is that of the format's definition rather than the
            file's own word, so that the user's word counts more.
        names: the file's names of joints, for the message if they are no layout's.
        size: width and height, pixels, where the file says it.
        sizes: the same by person, where they differ.
        fps: frames per second, where the file says it.
        frame_names: of images, by frame.
        normalised: whether x and y are shares of width and height.
        times: seconds, by frame, where the file has a clock.
        notes: what was wrong with the file, a line each.
    """

    detections: Sequence[Detection]
    layout: str | None = None
    by_convention: bool = False
    names: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    fps: float | None = None
    frame_names: Mapping[int, str] = field(default_factory=dict)
    normalised: bool = False
    times_s: Mapping[int, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_json(path: Path) -> Any:
    """A file's JSON.

    Raises:
        ValueError: if it is none.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"expected JSON, got something else at {where}: {error.msg}") from None
    except UnicodeDecodeError:
        raise ValueError("expected JSON in UTF-8, got other bytes") from None
    except (RecursionError, ValueError):
        raise ValueError("expected JSON, got too deep a nesting or too long a number") from None


def items(value: Any, kind: type, where: str, what: str) -> Any:
    """The value, if it is of a kind; ``ValueError`` else."""
    if not isinstance(value, kind):
        raise ValueError(f"{where}: expected {what}, got {type(value).__name__}")
    return value


def whole(value: Any, where: str, what: str) -> int:
    """A whole number, also one written as 3.0; ``ValueError`` else."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or abs(value) > 2**53:
        raise ValueError(f"{where}: expected {what} as a whole number, got {value!r:.40}")
    return value


def rate(value: Any, where: str) -> float:
    """Frames per second, a number; ``ValueError`` else."""
    if type(value) not in (int, float):
        raise ValueError(f"{where}: expected fps as a number, got {value!r:.40}")
    return float(value)


def floats(values: Any, where: str) -> Array:
    """A list of numbers as float64; null is NaN. ``ValueError`` for anything else."""
    items(values, list, where, "a list of numbers")
    for value in values:
        if value is not None and type(value) not in (int, float):
            raise ValueError(f"{where}: expected numbers, got {value!r:.40}")
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        raise ValueError(f"{where}: expected numbers, got one beyond all measure") from None
    if np.isinf(numbers).any() or (np.abs(numbers) > FARTHEST[2]).any():
        raise ValueError(f"{where}: expected numbers within {FARTHEST[2]:g}, got larger ones")
    return numbers


def triplets(values: Any, where: str) -> tuple[Array, Array]:
    """(J, 2) and (J,) of a flat list x, y, score; joints of score 0 are unseen.

    Raises:
        ValueError: for anything but numbers, three to a joint.
    """
    numbers = floats(values, where)
    if not len(numbers) or len(numbers) % 3:
        raise ValueError(f"{where}: expected x, y, score of each joint, got {len(numbers)} numbers")
    table = numbers.reshape(-1, 3)
    return hide_unseen(table[:, :2], table[:, 2])


def hide_unseen(keypoints: Array, score: Array) -> tuple[Array, Array]:
    """NaN for coordinates, and 0 for the score, where either is missing or the score is not > 0."""
    seen = is_seen(keypoints) & (score > 0)
    return np.where(seen[..., None], keypoints, np.nan), np.where(seen, score, 0.0)


def frame_numbers(names: Sequence[str]) -> dict[str, int]:
    """Numbers of frames from names of files: the last number in each, if they all differ.

    Otherwise they are counted from 0, in natural order (2 before 10).

    Example:
        >>> frame_numbers(["a_012_keypoints.json", "a_007_keypoints.json"])
        {'a_012_keypoints.json': 12, 'a_007_keypoints.json': 7}
        >>> frame_numbers(["cam2_end.png", "cam2_begin.png"])
        {'cam2_begin.png': 0, 'cam2_end.png': 1}
    """
    digits = {name: re.findall("[0-9]+", Path(name).stem) for name in names}
    numbers = {name: int(found[-1][:17]) for name, found in digits.items() if found}
    if len(numbers) == len(names) == len(set(numbers.values())):
        return numbers
    return {name: i for i, name in enumerate(sorted(names, key=natural))}


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10."""
    parts = re.split("([0-9]+)", name)
    return [(int(p[:4000]), "") if p.isdecimal() and p.isascii() else (-1, p) for p in parts]
