"""Detections: one person in one frame each, and what the formats share: checked JSON and frame numbers."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from prpose.camera import Array
from prpose.keypoints import LARGEST_PX
from prpose.remap import is_present

T = TypeVar("T")

Value = Annotated[float, Meta(ge=-LARGEST_PX, le=LARGEST_PX)] | None  # null and NaN are missing
Whole = Annotated[float, Meta(multiple_of=1, ge=-(2**53), le=2**53)]  # some programs write 3.0
WORDS = {"float": "a number", "int": "a whole number", "str": "text", "object": "an object", "array": "a list"}


@dataclass(frozen=True, eq=False)
class Detection:
    """One person in one frame."""

    frame: int
    xy: Array  # (J, 2) float64, NaN where a keypoint is missing; pixels, unless the detections are normalised
    confidence: Array | None = None  # (J,)
    track_id: str | None = None  # the person's id over time, where the file has one


@dataclass(frozen=True, eq=False)
class Detections:
    """Everything that a file or a detector gives: all people in all frames."""

    detections: Sequence[Detection]
    layout: str | None = None  # order of the joints, where file or detector give it
    default_layouts: Mapping[int, str] = field(default_factory=dict)  # by number of joints; --layout overrides them
    joint_names: tuple[str, ...] = ()  # the file's, which give the layout if they are those of one
    image_size: tuple[int, int] | None = None  # width and height, pixels, where the file gives them
    image_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # by track id, where they differ
    fps: float | None = None
    frame_names: Mapping[int, str] = field(default_factory=dict)  # file names of the images, by frame
    normalised: bool = False  # x and y are fractions of width and height
    times_s: Mapping[int, float] = field(default_factory=dict)  # by frame, where the file has them
    warnings: tuple[str, ...] = ()  # problems of the file, one sentence each


def load_json(path: Path) -> Any:
    """A file's JSON, with or without a byte order mark; NaN becomes null. ``ValueError`` if it is invalid."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, got invalid JSON: {error}") from None
    except UnicodeDecodeError:
        raise ValueError("expected JSON in UTF-8, got another encoding") from None
    except (RecursionError, ValueError):
        raise ValueError("expected JSON, got JSON nested too deeply or a number too long") from None


def check(content: Any, schema: type[T], place: str = "") -> T:
    """JSON content in a schema; ``ValueError`` as ``people[3].pose_keypoints_2d[51]: expected a number, got text``."""
    try:
        return msgspec.convert(content, schema)
    except msgspec.ValidationError as error:
        what, _, inner = str(error).partition(" - at `$")
        place = (place + inner.rstrip("`")).lstrip(".") or "top level"
    what = re.sub("^Object missing required field `(.*)`$", r"expected the field \1, got none", what)
    what = what.replace("Number out of range", "expected a number in range, got a larger one")
    what = what.replace("`float` that's a multiple of 1.0", "a whole number").replace(" | null`", "`")
    what = re.sub("`([a-z |]+)`", lambda match: " or ".join(WORDS.get(t, t) for t in match[1].split(" | ")), what)
    raise ValueError(f"{place}: {what.replace('Expected', 'expected')}")


def has(content: Any, *fields: str) -> bool:
    """Whether JSON is an object, or a list that starts with one, with all these fields."""
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and all(name in first for name in fields)


def triplets(values: Sequence[float | None], place: str) -> tuple[Array, Array]:
    """(J, 2) and (J,) from a flat list x, y, confidence; keypoints of confidence 0 are missing."""
    if not values or len(values) % 3:
        raise ValueError(f"{place}: expected x, y, confidence of each joint, got {len(values)} numbers")
    table = np.array(values, dtype=np.float64).reshape(-1, 3)
    return without_missing(table[:, :2], table[:, 2])


def without_missing(xy: Array, confidence: Array) -> tuple[Array, Array]:
    """NaN as coordinates, and 0 as confidence, where either is missing or the confidence is not > 0."""
    present = is_present(xy) & (confidence > 0)
    return np.where(present[..., None], xy, np.nan), np.where(present, confidence, 0.0)


def frame_numbers(names: Sequence[str]) -> dict[str, int]:
    """Frame numbers from file names: the last number in each, if they all differ, else counted in natural order."""
    digits = {name: re.findall("[0-9]+", Path(name).stem) for name in names}
    numbers = {name: int(found[-1][:17]) for name, found in digits.items() if found}
    if len(numbers) == len(names) == len(set(numbers.values())):
        return numbers
    return {name: i for i, name in enumerate(sorted(names, key=natural))}


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10."""
    parts = re.split("([0-9]+)", name)
    return [(int(p[:4000]), "") if p.isdecimal() and p.isascii() else (-1, p) for p in parts]
