"""Detections: one person in one frame each, and what the formats share: checked JSON and frame numbers."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
ENDINGS = re.compile(r"([.](json|txt|csv|npy|jpe?g|png|bmp|webp|tiff?|hei[cf]))+$", re.IGNORECASE)
LONGEST_NAME = 1000  # characters of an image's name, with its folders
WORDS = {"float": "a number", "int": "a whole number", "str": "text", "object": "an object", "array": "a list"}


@dataclass(frozen=True, eq=False, slots=True)
class Detection:
    """One person in one frame."""

    frame: int  # number of the frame, or of its image if the detections have images
    xy: Array  # (J, 2) float64, NaN where a keypoint is missing; pixels, unless the detections are normalised
    confidence: Array | None = None  # (J,)
    track_id: str | None = None  # the person's id over time, where the file has one

    @classmethod
    def of(cls, frame: int, table: Array, track_id: str | None = None) -> "Detection":
        """From x and y of each joint, (J, 2), or x, y and the confidence, (J, 3): :func:`without_missing`."""
        xy, confidence = without_missing(table[:, :2], table[:, 2]) if table.shape[1] == 3 else (table, None)
        return cls(frame, xy, confidence, track_id)


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
    images: tuple[str, ...] = ()  # names of the images, also of those without people; numbered() numbers the frames
    frame_names: Mapping[int, str] = field(default_factory=dict)  # file names of the images, by frame
    normalised: bool = False  # x and y are fractions of width and height
    times_s: Mapping[int, float] = field(default_factory=dict)  # by frame, where the file has them
    warnings: tuple[str, ...] = ()  # problems of the file, one sentence each
    focal_px: float | None = None  # focal length that the photo or video states, pixels


def load_json(path: Path) -> Any:
    """A file's JSON, or a list of its lines' JSON; with or without a byte order mark; NaN becomes null.

    ``ValueError`` if it is invalid.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        decoder = json.JSONDecoder(parse_constant=lambda name: None if name == "NaN" else float(name))
        try:
            return decoder.decode(text)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Extra data"):  # else a line each
                raise
            return [decoder.decode(line) for line in text.splitlines() if line.strip()]
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
    except AttributeError:  # of an array of NumPy, which a pickle may hold instead
        raise ValueError(f"{place}: expected an object, got {type(content).__name__}") from None
    what = re.sub("^Object missing required field `(.*)`$", r"expected the field \1, got none", what)
    what = what.replace("Number out of range", "expected a number in range, got a larger one")
    what = what.replace("`float` that's a multiple of 1.0", "a whole number").replace(" | null`", "`")
    what = re.sub("`([a-z |]+)`", lambda match: " or ".join(WORDS.get(t, t) for t in match[1].split(" | ")), what)
    raise ValueError(f"{place}: {what.replace('Expected', 'expected')}")


class Tracked(msgspec.Struct, kw_only=True):
    """An object with the id of a person, where programs write it."""

    track_id: Any = None  # MMPose, Ultralytics, PoseTrack
    idx: Any = None  # AlphaPose
    person_id: Any = None  # OpenPose: a list of one, -1 unless people are tracked
    instance_id: Any = None
    attributes: Any = None  # CVAT: an object with a track_id

    @property
    def person(self) -> str | None:
        """The id as text; some trackers write a list of one. None for -1 and everything that is no id."""
        within = self.attributes.get("track_id") if isinstance(self.attributes, dict) else None
        for value in (self.track_id, self.idx, within, self.person_id, self.instance_id):
            while isinstance(value, list) and len(value) == 1:
                value = value[0]
            if type(value) is float and value.is_integer():
                value = int(value)
            if type(value) in (int, str) and str(value).strip() not in ("", "-1"):
                return str(value).strip()
        return None


def innermost(content: Any) -> tuple[int, Any]:
    """The first object within lists of lists that are not empty, and how many lists are around it."""
    levels = 0
    while isinstance(content, list):
        levels, content = levels + 1, next((item for item in content if item), None)
    return levels, content


def has(content: Any, *fields: str) -> bool:
    """Whether JSON is an object, or a list of such or of lists of them, and the first one has all these fields."""
    first = innermost(content)[1]
    return isinstance(first, dict) and all(name in first for name in fields)


def triplets(values: Sequence[float | None], place: str) -> Array:
    """(J, 3) from a flat list x, y, confidence."""
    if not values or len(values) % 3:
        raise ValueError(f"{place}: expected x, y, confidence of each joint, got {len(values)} numbers")
    return np.array(values, dtype=np.float64).reshape(-1, 3)


def without_missing(xy: Array, confidence: Array) -> tuple[Array, Array]:
    """NaN as coordinates, and 0 as confidence, where either is missing or the confidence is not > 0."""
    present = is_present(xy) & (confidence > 0)
    return np.where(present[..., None], xy, np.nan), np.where(present, confidence, 0.0)


def numbered(found: Detections, prefix: str | None = None) -> Detections:
    """The detections with the frame numbers that are in the names of their images; only of names with this prefix."""
    names = with_prefix(found.images, prefix)
    if not names:
        return found
    numbers, warnings = frame_numbers(names)
    named = [(each, found.images[each.frame]) for each in found.detections]
    return replace(
        found,
        detections=[replace(each, frame=numbers[name]) for each, name in named if name in numbers],
        frame_names={number: name for name, number in numbers.items()},
        warnings=(*found.warnings, *warnings),
    )


def with_prefix(names: Sequence[str], prefix: str | None) -> list[str]:
    """The names of images or files that begin with a prefix; ``ValueError`` if there are others only."""
    found = [name for name in names if name.startswith(prefix or "")]
    if prefix and not found:
        some = ", ".join(names[:3]) or "no names of images"
        raise ValueError(f"expected images or files whose names begin with {prefix!r:.60}, got {some:.120}")
    return found


def frame_numbers(names: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Frame numbers from the names of files, and a warning where the names do not tell them and files are counted.

    Of the numbers in a name, the frame's is the one that differs in all files. ``ValueError`` for the files of several
    videos.
    """
    alike: dict[tuple[str, ...], dict[str, list[str]]] = {}  # names by the text between their numbers
    for name in dict.fromkeys(names):
        if len(name) > LONGEST_NAME:
            raise ValueError(f"expected names of images of at most {LONGEST_NAME} characters, got {name:.40} ...")
        parts = re.split("([0-9]+)", ENDINGS.sub("", name))
        alike.setdefault(tuple(parts[::2]), {})[name] = parts
    found, videos = dict[str, int](), dict[str, list[str]]()
    for group in alike.values():
        numbers = np.array([[int(digits[:17]) for digits in parts[1::2]] for parts in group.values()], dtype=np.int64)
        differing = [len(np.unique(column)) for column in numbers.T]
        if not differing:
            break
        spread = np.ptp(numbers, axis=0)
        best = [c for c, count in enumerate(differing) if count == max(differing)]
        column = best[-1] if len(group) == 1 else min(best, key=lambda c: (spread[c], -c))
        found |= {name: int(row[column]) for name, row in zip(group, numbers, strict=True)}
        for name, parts in group.items():
            videos.setdefault("".join((*parts[: 2 * column + 1], "#", *parts[2 * column + 2 :])), []).append(name)
    if len(found) == len(set(names)) == len(set(found.values())):
        several = [own[0] for own in videos.values() if len(own) > 1]
        if len(several) < 2:
            return found, ()
        return found, (f"the names may be of {len(several)} videos, from {', '.join(several[:3]):.120} on",)
    differ = all(len({found[name] for name in own}) == len(own) for own in videos.values())
    if differ and len(found) == len(set(names)) > len(videos):
        listed = "; ".join(f"{own[0]} and {len(own) - 1} more" for own in [*videos.values()][:4])
        hint = "config.prefix (--prefix) chooses those of one"
        raise ValueError(f"expected the frames of one video, got those of {len(videos)}: {listed}; {hint}")
    counted = {name: i for i, name in enumerate(sorted(set(names), key=natural))}
    if len(counted) == 1:
        return counted, ()
    first, *_, last = counted
    order = f"in the order of their names, from {first:.60} to {last:.60}"
    return counted, (f"the file names do not tell frame numbers: frames are counted {order}",)


def is_normalised(detections: Sequence[Detection]) -> bool:
    """Whether all keypoints lie within 0 to 1, of a person who would be one pixel large."""
    largest = [float(np.abs(each.xy[is_present(each.xy)]).max(initial=0)) for each in detections]
    return bool(largest) and 0 < max(largest) <= 1


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10."""
    parts = re.split("([0-9]+)", name)
    return [(int(p[:4000]), "") if p.isdecimal() and p.isascii() else (-1, p) for p in parts]
