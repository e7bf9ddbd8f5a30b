"""CSV: a row per frame, per frame and person, or per joint; also DeepLabCut's, SLEAP's and those made with MediaPipe.

Columns are NAME_x, NAME_y and, optionally, NAME_score of each joint, with "_", "." or a space; joints may be numbered:
x1, y1, v1 or landmark_0_x. A table with a row per joint has columns x, y and the joint's name or number. DeepLabCut's
header has three lines, scorer, bodyparts and coords, and a line of individuals for several animals
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

SCORES = "score", "confidence", "likelihood", "visibility", "vis", "conf", "prob", "v", "c", "p"
FRAMES = "frame", "frame_idx", "frame_index", "frame_number", "frame_num", "frame_id", "frame_no", "image_id"
IMAGES = "image", "image_name", "file_name", "filename", "img_path", "image_path"
PEOPLE = "person", "track_id", "person_id", "track", "idx", "individual", "id"
TIMES = {"time_s": 1.0, "time": 1.0, "timestamp": 1.0, "seconds": 1.0, "time_ms": 1e-3, "timestamp_ms": 1e-3}
SLOWEST_S = 2.0  # longer usual steps are taken for milliseconds or frames, not seconds
ROW_JOINTS = tuple(  # columns of the joint in tables with a row per joint
    f"{noun}{end}"
    for end in ("_name", "", "_id", "_index", "_idx", "_number")
    for noun in ("landmark", "joint", "keypoint", "bodypart", "point", "lm", "name", "id", "index")
)
BODY, HOLISTIC = 33, (501, 543)  # points of MediaPipe's body; with those of the face, and of the hands, which follow
SPARSEST = 20  # times as many cells as a table with a row per joint may have, once each frame has every joint
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
    rows, lines, comma = _rows(path)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise ValueError(f"line {line}: expected {len(rows[0])} cells, got {len(row)}")
    return read_rows(*_joined(rows, lines, comma), comma)


def read_rows(rows: list[list[str]], lines: Sequence[int], comma: bool = False) -> Detections:
    """As :func:`read_csv`, from the cells of each row, the header's lines first, and the rows' lines in the file."""
    first = [row[0].strip().lower() for row in rows[:4] if row]
    is_deeplabcut = "bodyparts" in first and "coords" in first[first.index("bodyparts") :]
    depth = first.index("coords") + 1 if is_deeplabcut else 1
    columns = _columns(rows[:depth])
    (layout, names), person = _layout(columns, rows[0]), columns.find(PEOPLE)
    scored = any(part == "score" for of in columns.joints.values() for _, part in of)
    parts = ("x", "y", "score") if scored else ("x", "y")
    frames, images, times = _clock(columns, rows[depth:], lines[depth:], comma)
    detections = []
    for frame, line, row in zip(frames, lines[depth:], rows[depth:], strict=True):
        for individual, of in columns.joints.items():
            wanted = [of.get((name, part)) for name in names for part in parts]
            cells = [1.0 if c is None else _number(row[c], line, rows[depth - 1][c], comma) for c in wanted]
            table = within_range(np.array(cells, dtype=np.float64)).reshape(len(names), len(parts))
            xy, confidence = without_missing(table[:, :2], table[:, 2] if scored else np.ones(len(names)))
            track_id = individual or (row[columns.others[person]].strip() if person else "")
            track_id = "" if track_id in ("-1", "-1.0", *MISSING) else track_id
            detections.append(Detection(frame, xy, confidence if scored else None, track_id or None))
    some = ", ".join(columns.unknown[:4]) + (f" and {len(columns.unknown) - 4} more" if columns.unknown[4:] else "")
    warnings = (f"columns that are not known are not used: {some:.160}",) if columns.unknown else ()
    largest = max((float(np.nanmax(np.abs(each.xy), initial=0)) for each in detections), default=0.0)
    normalised = layout == "blazepose33" and 0 < largest <= 2  # as MediaPipe gives them
    return Detections(detections, layout, images=images, times_s=times, normalised=normalised, warnings=warnings)


def _rows(path: Path) -> tuple[list[list[str]], list[int], bool]:
    """The rows of a file that are not empty, their lines, and whether decimals have a comma: not if it separates."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        head = text[:100_000].split("\n")[0]
        separator = max(",;\t", key=head.count)
        reader = csv.reader(text.splitlines(), delimiter=separator)
        found = [(row, reader.line_num) for row in reader if any(row)] or [([], 1)]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError("expected CSV in UTF-8, got another encoding") from None
    return [row for row, _ in found], [line for _, line in found], separator != ","


def _joined(rows: list[list[str]], lines: list[int], comma: bool) -> tuple[list[list[str]], list[int]]:
    """A table with a row per joint as one with a row per frame and person, and their first lines; others unchanged."""
    header = [plain_name(name) for name in rows[0]]
    naming = [header.index(name) for name in ROW_JOINTS if name in header]
    if not naming or not {"x", "y"} <= {*header}:
        return rows, lines
    for column in naming:
        joints = [joint_name(row[column]) for row in rows[1:]]
        if len({joint.isdecimal() for joint in joints if joint.isdecimal() or joint in JOINTS}) == 1:
            break
    score = next((name for name in SCORES if name in header), None)
    parts = {"x": header.index("x"), "y": header.index("y"), **({"score": header.index(score)} if score else {})}
    rest = [c for c in range(len(header)) if c not in (*naming, *parts.values())]
    keys = [c for c in rest if header[c] in KNOWN]
    found: dict[tuple[str, ...], tuple[int, list[str], dict[str, str]]] = {}
    for line, row, joint in zip(lines[1:], rows[1:], joints, strict=True):
        *_, cells = found.setdefault(tuple(row[c] for c in keys), (line, [row[c] for c in rest], {}))
        if f"{joint}_x" in cells:
            hint = "columns frame and person tell them apart"
            raise ValueError(f"line {line}: expected each joint once per frame and person, got {joint} again; {hint}")
        for part, c in parts.items():
            _number(row[c], line, rows[0][c], comma)
            cells[f"{joint}_{part}"] = row[c]
    if len(found) == len(joints) > 1:
        got = ", ".join(header[c] for c in keys)
        raise ValueError(f"expected a row for each joint of a frame, got another {got} in every row")
    names = dict.fromkeys(name for *_, cells in found.values() for name in cells)
    if len(found) * len(names) > SPARSEST * len(rows) * len(parts):
        raise ValueError(f"expected frames with the same joints, got {len(names) // len(parts)} joints that few have")
    wide = [[*row, *(cells.get(name, "") for name in names)] for _, row, cells in found.values()]
    return [[*(rows[0][c] for c in rest), *names], *wide], [lines[0], *(line for line, *_ in found.values())]


def _columns(header: list[list[str]]) -> Columns:
    """What the columns are, by the lines of the header."""
    found = Columns()
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
    named = {joint for of in found.joints.values() for joint, _ in of if joint in JOINTS}
    if named:  # columns with numbers are something else
        for of in found.joints.values():
            for key in [key for key in of if key[0] not in named]:
                found.unknown.append(header[0][of.pop(key)].strip())
    return found


def _add(found: Columns, name: str, column: int, individual: str) -> None:
    plain = plain_name(name)
    joint, _, part = plain.rpartition("_")
    if numbered := re.fullmatch(f"({'|'.join(('x', 'y', *SCORES))})_?([0-9]+)", plain):  # x1
        part, joint = numbered.groups()
    joint = joint_name(joint)
    if plain in KNOWN and plain not in found.others:
        found.others[plain] = column
    elif (joint in JOINTS or joint.isdecimal()) and part in ("x", "y", *SCORES):
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


def joint_name(name: str) -> str:
    """A joint as of our layouts, ``PoseLandmark.MOUTH_LEFT`` → ``left_mouth``, or its number, ``lm_07`` → ``7``."""
    plain = re.sub("^(pose_)?landmark_", "", plain_name(name))
    plain = re.sub("^mouth_(left|right)$", r"\1_mouth", plain)
    number = None if plain in JOINTS else re.fullmatch("([a-z]+_?)?([0-9]{1,4})", plain)
    return str(int(number[2])) if number else plain


JOINTS = frozenset(name for layout in LAYOUTS.values() for name in layout.names)
KNOWN = frozenset((*FRAMES, *IMAGES, *PEOPLE, *TIMES))


def _layout(columns: Columns, header: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The layout whose joints are those of the columns, None for numbered ones, and the joints in its order."""
    joints = {joint for of in columns.joints.values() for joint, part in of if part == "x"}
    orders: dict[str | None, Sequence[str]] = {key: layout.names for key, layout in LAYOUTS.items()}
    if numbers := sorted(int(joint) for joint in joints if joint.isdecimal()):
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
            raise ValueError(f"expected joints that are numbered from 0 or 1 on, got {numbers[:3]} to {numbers[-1]}")
        if len(numbers) in HOLISTIC:
            columns.unknown.insert(0, f"points after the first {BODY}, MediaPipe's body")
        body = len(numbers) in (BODY, *HOLISTIC)
        first = [str(n) for n in numbers[: BODY if body else None]]
        joints, orders = set(first), {"blazepose33" if body else None: first}
    for key, order in orders.items():
        if set(order) == joints:
            absent = [f"{n}_{p}" for of in columns.joints.values() for n in order for p in "xy" if (n, p) not in of]
            if absent:
                raise ValueError(f"expected columns of every joint of {key or 'a layout'}, got none for {absent[0]}")
            return key, order
    program = "DeepLabCut's bodyparts" if "scorer" in header[:1] else "columns NAME_x and NAME_y"
    some = ", ".join([*sorted(joints), *columns.unknown][:4]) or "nothing"
    raise ValueError(f"expected {program} of every joint of one layout ({', '.join(LAYOUTS)}), got {some:.80}")


def _clock(
    columns: Columns, rows: list[list[str]], lines: Sequence[int], comma: bool
) -> tuple[list[int], tuple[str, ...], dict[int, float]]:
    """Of each row, the frame; names of images that the frames count; and times by frame, if the table has them."""

    def cells(name: str) -> list[str]:
        return [row[columns.others[name]].strip() for row in rows]

    def numbers(name: str) -> list[float]:
        return [_number(cell, line, name, comma) for line, cell in zip(lines, cells(name), strict=True)]

    name, image, clock = columns.find(FRAMES), columns.find(IMAGES), columns.find(TIMES)
    if name == "image_id" and rows and not re.fullmatch("[-+]?[0-9.,]*", cells(name)[0]):
        name, image = None, name  # DeepLabCut's labels are by image
    times, images = numbers(clock) if clock else [], tuple[str, ...]()
    if name:
        for line, number in zip(lines, found := numbers(name), strict=True):
            if not (number.is_integer() and abs(number) <= 2**53):
                raise ValueError(f"line {line}, {name}: expected a whole number up to 2^53, got {number:g}")
        frames = [int(number) for number in found]
    elif image:
        images = tuple(sorted(set(cells(image))))
        place = {each: n for n, each in enumerate(images)}
        frames = [place[each] for each in cells(image)]
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
