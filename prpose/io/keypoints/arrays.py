"""Plain arrays: npy, and CSV with one column per number."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data.clip import FARTHEST
from prpose.io.keypoints.detections import Detection, Detections, hide_unseen
from prpose.layouts import LAYOUTS
from prpose.remap import is_seen


def read_npy(path: Path, content: Any) -> Detections:
    """One person: (T, J, 2) pixels, or (T, J, 3) with the score; the layout must be declared.

    Raises:
        ValueError: for another shape, or anything but numbers.
    """
    array = load_npy(path)
    if array.ndim != 3 or array.shape[2] not in (2, 3):
        raise ValueError(f"expected (frames, joints, 2), or 3 with a score; got an array of {array.shape}")
    keypoints, score = array[..., :2], None
    if array.shape[2] == 3:
        keypoints, score = hide_unseen(keypoints, array[..., 2])
    return Detections(
        [
            Detection(t, keypoints[t], None if score is None else score[t])
            for t in range(len(array))
            if is_seen(keypoints[t]).any()
        ]
    )


def load_npy(path: Path) -> Array:
    """An npy's numbers as float64; pickles are refused unread.

    Raises:
        ValueError: if it holds anything else.
    """
    try:
        with path.open("rb") as file:  # np.load would open a zip, too, and leave it open
            array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a damaged file can fail in many ways
        reason = "objects" if "pickle" in str(error).lower() else type(error).__name__
        raise ValueError(f"expected an npy file of plain numbers, got {reason}") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected an array of numbers, got {array.dtype}")
    with np.errstate(all="ignore"):  # what is beyond float64 is refused below
        return within(array.astype(np.float64))


def within(numbers: Array) -> Array:
    """The numbers, if none is infinite or beyond all measure; NaN may be among them."""
    if np.isinf(numbers).any() or (np.abs(numbers) > FARTHEST[2]).any():
        raise ValueError(f"expected numbers within {FARTHEST[2]:g}, got larger or infinite ones")
    return numbers


def read_csv(path: Path, content: Any) -> Detections:
    """One row per frame and person: frame, person, NAME_x, NAME_y, NAME_score of each joint.

    ``frame``, ``person`` and the scores may be left out; an empty cell is an unseen joint. The
    joints' names are those of a layout, which the file thereby declares.

    Raises:
        ValueError: naming the line and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError("expected CSV in UTF-8, got other bytes") from None
    header = [name.strip() for name in rows[0]] if rows else []
    if len(set(header)) != len(header):
        raise ValueError("expected columns of different names, got one twice")
    layout = _declared(header)
    names = LAYOUTS[layout].names
    scored = any(name.endswith("_score") for name in header)
    wanted = [f"{name}_{part}" for name in names for part in ("x", "y", "score")[: 2 + scored]]
    if missing := [name for name in wanted if name not in header]:
        raise ValueError(f"expected columns of every joint of {layout}, got none for {missing[0]}")
    columns = [header.index(name) for name in wanted]
    sightings = []
    for i, row in enumerate(rows[1:]):
        where = f"line {i + 2}"
        if len(row) != len(header):
            raise ValueError(f"{where}: expected {len(header)} cells, got {len(row)}")
        table = within(np.array([_cell(row[c], where, header[c]) for c in columns]))
        table = table.reshape(len(names), -1)
        score = table[:, 2] if scored else np.ones(len(names))
        keypoints, score = hide_unseen(table[:, :2], score)
        frame = _cell(row[header.index("frame")], where, "frame") if "frame" in header else i
        if not float(frame).is_integer():
            raise ValueError(f"{where}, frame: expected a whole number, got {frame:g}")
        person = row[header.index("person")].strip() if "person" in header else None
        sightings.append(Detection(int(frame), keypoints, score if scored else None, person))
    return Detections(sightings, layout, names=names)


def _declared(header: list[str]) -> str:
    """The layout whose joints the columns name."""
    named = {name.removesuffix("_x") for name in header if name.endswith("_x")}
    found = [key for key, layout in LAYOUTS.items() if set(layout.names) == named]
    if not found:
        some = ", ".join(header[:4]) or "nothing"
        raise ValueError(
            "expected a header with NAME_x and NAME_y of every joint of one layout "
            f"({', '.join(LAYOUTS)}), got {some:.80}"
        )
    return found[0]


def _cell(text: str, where: str, column: str) -> float:
    if not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}, {column}: expected a number, got {text!r:.40}") from None
