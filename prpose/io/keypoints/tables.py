"""Tables: npy arrays, and CSV with a row per frame and person and a column per number."""

import csv
from pathlib import Path

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import Detection, Detections, without_missing
from prpose.keypoints import LARGEST_PX
from prpose.layouts import LAYOUTS
from prpose.remap import is_present

MISSING = ("", "nan", "na", "n/a", "null", "none")


def read_npy(path: Path) -> Detections:
    """One person: (T, J, 2) pixels, or (T, J, 3) with the confidence."""
    array = load_npy(path)
    if array.ndim != 3 or array.shape[2] not in (2, 3):
        raise ValueError(f"expected an array (T, J, 2), or (T, J, 3) with the confidence, got {array.shape}")
    xy, confidence = array[..., :2], None
    if array.shape[2] == 3:
        xy, confidence = without_missing(xy, array[..., 2])
    frames = np.flatnonzero(is_present(xy).any(axis=1))
    return Detections([Detection(int(t), xy[t], None if confidence is None else confidence[t]) for t in frames])


def load_npy(path: Path) -> Array:
    """The numbers of an npy as float64; ``ValueError`` for anything else, pickles included, which are not run."""
    try:
        with path.open("rb") as file:  # np.load would open a zip, too, and leave it open
            array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a damaged file can fail in many ways
        reason = "objects" if "pickle" in str(error).lower() else type(error).__name__
        raise ValueError(f"expected an npy file of plain numbers, got {reason}") from None
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected an array of numbers, got {array.dtype}")
    with np.errstate(all="ignore"):  # numbers beyond float64 are an error below
        return within_range(array.astype(np.float64))


def within_range(numbers: Array) -> Array:
    """The numbers; ``ValueError`` if any is infinite or too large for pixels. NaN is missing."""
    if (np.abs(numbers) > LARGEST_PX).any():
        raise ValueError(f"expected numbers within {LARGEST_PX:g}, got larger or infinite ones")
    return numbers


def read_csv(path: Path) -> Detections:
    """Columns NAME_x, NAME_y of each joint of a layout; optionally NAME_score, frame and person. Cells may be empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError("expected CSV in UTF-8, got another encoding") from None
    columns = {name.strip(): c for c, name in enumerate(header)}
    if len(columns) != len(header):
        raise ValueError("expected columns of different names, got one twice")
    joints = {name.removesuffix("_x") for name in columns if name.endswith("_x")}
    layout = next((key for key, layout in LAYOUTS.items() if set(layout.names) == joints), None)
    if layout is None:
        known, some = ", ".join(LAYOUTS), ", ".join([*columns][:4]) or "nothing"
        raise ValueError(f"expected columns NAME_x and NAME_y of every joint of one layout ({known}), got {some:.80}")
    parts = ("x", "y", "score")[: 2 + any(name.endswith("_score") for name in columns)]
    wanted = [f"{name}_{part}" for name in LAYOUTS[layout].names for part in parts]
    if missing := [name for name in wanted if name not in columns]:
        raise ValueError(f"expected columns of every joint of {layout}, got none for {missing[0]}")
    detections = []
    for i, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(f"line {i + 2}: expected {len(header)} cells, got {len(row)}")
        cells = {name: row[c].strip() for name, c in columns.items()}
        numbers = {name: _number(cells[name], f"line {i + 2}, {name}") for name in wanted}
        table = within_range(np.array([*numbers.values()])).reshape(-1, len(parts))
        xy, confidence = without_missing(table[:, :2], table[:, 2] if len(parts) == 3 else np.ones(len(table)))
        frame = _number(cells["frame"], f"line {i + 2}, frame") if "frame" in cells else i
        if not float(frame).is_integer():
            raise ValueError(f"line {i + 2}, frame: expected a whole number, got {frame:g}")
        detections.append(Detection(int(frame), xy, confidence if len(parts) == 3 else None, cells.get("person")))
    return Detections(detections, layout)


def _number(text: str, place: str) -> float:
    try:
        return float("nan" if text.lower() in MISSING else text)
    except ValueError:
        raise ValueError(f"{place}: expected a number, got {text!r:.40}") from None
