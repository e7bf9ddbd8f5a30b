"""CSV: a row per frame, or per frame and person, and columns named after joints; also DeepLabCut's and SLEAP's.

Columns are NAME_x, NAME_y and, optionally, NAME_score of each joint, with "_", "." or a space. DeepLabCut's header has
three lines, scorer, bodyparts and coords, and a line of individuals for several animals
(deeplabcut/utils/auxiliaryfunctions.py).
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.arrays import within_range
from prpose.io.keypoints.detections import Detection, Detections, without_missing
from prpose.layouts import LAYOUTS

SCORES = "score", "confidence", "likelihood", "visibility", "conf", "prob", "v", "c", "p"
FRAMES = "frame", "frame_idx", "frame_index", "frame_number", "frame_id", "frame_no", "image_id"
IMAGES = "image", "image_name", "file_name", "filename", "img_path", "image_path"
PEOPLE = "person", "track_id", "person_id", "track", "idx", "individual", "id"
TIMES = {"time_s": 1.0, "time": 1.0, "timestamp": 1.0, "seconds": 1.0, "time_ms": 1e-3, "timestamp_ms": 1e-3}
SLOWEST_S = 2.0  # longer usual steps are taken for milliseconds or frames, not seconds
MISSING = "", "nan", "na", "n/a", "null", "none"


@dataclass(frozen=True)
class Columns:
    """Where a table has what."""

    joints: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)  # by individual, of (joint, part)
    others: dict[str, int] = field(default_factory=dict)  # by name: frame, image, person, times
    unknown: list[str] = field(default_factory=list)

    def find(self, names: Sequence[str] | Mapping[str, float]) -> str | None:
        """The first of these columns that the table has."""
        return next((name for name in names if name in self.others), None)


def read_csv(path: Path) -> Detections:
    """People of all rows; cells may be empty. Columns that are not known are named in a warning."""
    rows, comma = _rows(path)
    depth = _header_lines(rows)
    columns = _columns(rows[:depth])
    layout, person = _layout(columns, rows[0]), columns.find(PEOPLE)
    scored = any(part == "score" for of in columns.joints.values() for _, part in of)
    parts = ("x", "y", "score") if scored else ("x", "y")
    names = LAYOUTS[layout].names
    J, width = len(names), len(rows[0])
    for i, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"line {i + 1}: expected {width} cells, got {len(row)}")
    frames, images, times = _clock(columns, rows[depth:], depth, comma)
    detections = []
    for i, row in enumerate(rows[depth:]):
        line = i + depth + 1
        for individual, of in columns.joints.items():
            wanted = [of.get((name, part)) for name in names for part in parts]
            cells = [1.0 if c is None else _number(row[c], line, rows[depth - 1][c], comma) for c in wanted]
            table = within_range(np.array(cells, dtype=np.float64)).reshape(J, len(parts))
            xy, confidence = without_missing(table[:, :2], table[:, 2] if scored else np.ones(J))
            track_id = individual or (row[columns.others[person]].strip() if person else "")
            track_id = "" if track_id in ("-1", "-1.0", *MISSING) else track_id
            detections.append(Detection(frames[i], xy, confidence if scored else None, track_id or None))
    some = ", ".join(columns.unknown[:4]) + (f" and {len(columns.unknown) - 4} more" if columns.unknown[4:] else "")
    warnings = (f"columns that are not known are not used: {some:.160}",) if columns.unknown else ()
    largest = max((float(np.nanmax(np.abs(each.xy), initial=0)) for each in detections), default=0.0)
    normalised = layout == "blazepose33" and 0 < largest <= 2  # as MediaPipe gives them
    return Detections(detections, layout, images=images, times_s=times, normalised=normalised, warnings=warnings)


def _rows(path: Path) -> tuple[list[list[str]], bool]:
    """The rows of a file that are not empty, and whether decimals have a comma, which other separators allow."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        head = text[:100_000].split("\n")[0]
        separator = max(",;\t", key=head.count)
        rows = [row for row in csv.reader(text.splitlines(), delimiter=separator) if any(row)]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError("expected CSV in UTF-8, got another encoding") from None
    return rows or [[]], separator != ","


def _header_lines(rows: list[list[str]]) -> int:
    """The number of lines of the header: DeepLabCut's three or four, else one."""
    first = [row[0].strip().lower() for row in rows[:4] if row]
    if "bodyparts" in first and "coords" in first[first.index("bodyparts") :]:
        return first.index("coords") + 1
    return 1


def _columns(header: list[list[str]]) -> Columns:
    """What the columns are, by the lines of the header."""
    found = Columns()
    if len({len(row) for row in header}) > 1:
        raise ValueError(f"expected header lines of as many cells, got {', '.join(str(len(row)) for row in header)}")
    if len(header) > 1:  # DeepLabCut's
        lines = {row[0].strip().lower(): row for row in header}
        people = lines.get("individuals", [""] * len(header[0]))
        start = 3 if not any(name.strip() for name in lines["bodyparts"][1:3]) else 1  # folder, video, image
        for c in range(start, len(header[0])):
            name = f"{lines['bodyparts'][c]}_{lines['coords'][c]}"
            _add(found, name, c, "" if people[c] == "single" else people[c])
        first = lines["coords"][0].strip()
        found.others["image_id" if first.lower() == "coords" else plain_name(first)] = start - 1
        return found
    for c, name in enumerate(header[0]):
        _add(found, name, c, "")
    return found


def _add(found: Columns, name: str, column: int, individual: str) -> None:
    plain = plain_name(name)
    joint, _, part = plain.rpartition("_")
    known = (*FRAMES, *IMAGES, *PEOPLE, *TIMES)
    if plain in known and plain not in found.others:
        found.others[plain] = column
    elif joint in JOINTS and part in ("x", "y", *SCORES):
        of = found.joints.setdefault(individual, {})
        key = joint, part if part in ("x", "y") else "score"
        if key in of:
            raise ValueError(f"expected columns of different names, got {name.strip()!r:.40} twice")
        of[key] = column
    else:
        found.unknown.append(name.strip() or f"number {column + 1}")


def plain_name(name: str) -> str:
    """A name as of our layouts: ``LeftShoulder.x`` → ``left_shoulder_x``."""
    words = re.sub("([a-z])([A-Z])", r"\1_\2", name.strip())
    return re.sub("[^a-z0-9]+", "_", words.lower()).strip("_")


JOINTS = frozenset(name for layout in LAYOUTS.values() for name in layout.names)


def _layout(columns: Columns, header: Sequence[str]) -> str:
    """The layout whose joints are those of the columns."""
    joints = {joint for of in columns.joints.values() for joint, part in of if part == "x"}
    for key, layout in LAYOUTS.items():
        if set(layout.names) == joints:
            absent = [
                f"{n}_{p}" for of in columns.joints.values() for n in layout.names for p in "xy" if (n, p) not in of
            ]
            if absent:
                raise ValueError(f"expected columns of every joint of {key}, got none for {absent[0]}")
            return key
    program = "DeepLabCut's bodyparts" if "scorer" in header[:1] else "columns NAME_x and NAME_y"
    some = ", ".join([*sorted(joints), *columns.unknown][:4]) or "nothing"
    raise ValueError(f"expected {program} of every joint of one layout ({', '.join(LAYOUTS)}), got {some:.80}")


def _clock(
    columns: Columns, rows: list[list[str]], depth: int, comma: bool
) -> tuple[list[int], tuple[str, ...], dict[int, float]]:
    """Of each row, the frame; names of images that the frames count; and times by frame, if the table has them."""
    name, image, clock = columns.find(FRAMES), columns.find(IMAGES), columns.find(TIMES)
    cells = {each: [row[columns.others[each]].strip() for row in rows] for each in (name, image, clock) if each}
    if name == "image_id" and rows and not re.fullmatch("[-+]?[0-9.,]*", cells[name][0]):
        name, image = None, name  # DeepLabCut's labels are by image
    times = [] if clock is None else [_number(cell, i + depth + 1, clock, comma) for i, cell in enumerate(cells[clock])]
    images: tuple[str, ...] = ()
    if name:
        numbers = [_number(cell, i + depth + 1, name, comma) for i, cell in enumerate(cells[name])]
        for i, number in enumerate(numbers):
            if not float(number).is_integer():
                raise ValueError(f"line {i + depth + 1}, {name}: expected a whole number, got {number:g}")
        frames = [int(number) for number in numbers]
    elif image:
        images = tuple(sorted(set(cells[image])))
        place = {each: n for n, each in enumerate(images)}
        frames = [place[each] for each in cells[image]]
    elif columns.find(PEOPLE) and not times:
        raise ValueError("expected a column of frames, times or images beside that of people, got none")
    else:
        frames = np.unique(times, return_inverse=True)[1].tolist() if times else list(range(len(rows)))
    if clock is None or images:
        return frames, images, {}
    return frames, images, _times(frames, np.array(times) * TIMES[clock], clock)


def _times(frames: list[int], seconds: Array, name: str) -> dict[int, float]:
    """Times by frame, one for each; large steps are no seconds."""
    if np.isnan(seconds).any():
        raise ValueError(f"{name}: expected a time in every row, got an empty cell")
    steps = np.diff(np.unique(seconds))
    if TIMES[name] == 1 and len(steps) and np.median(steps) > SLOWEST_S:
        raise ValueError(f"{name}: expected seconds, got steps of {np.median(steps):g}; name milliseconds time_ms")
    found: dict[int, float] = {}
    for frame, second in zip(frames, seconds.tolist(), strict=True):
        if found.setdefault(frame, second) != second:
            raise ValueError(f"{name}: expected one time of frame {frame}, got {found[frame]:g} and {second:g}")
    return found


def _number(text: str, line: int, name: str, comma: bool) -> float:
    text = text.strip()
    try:
        return float("nan" if text.lower() in MISSING else text.replace(",", ".") if comma else text)
    except ValueError:
        raise ValueError(f"line {line}, {name}: expected a number, got {text!r:.40}") from None
