"""Predictions as files for other programs: npz, JSON, CSV, TRC (OpenSim), BVH (Blender)."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from prpose.atomic import check_output, existing_file, replacing
from prpose.io.export.csv_trc_bvh import write_bvh, write_csv, write_trc
from prpose.io.export.npz_json import read_json_prediction, read_npz_prediction, write_json, write_npz
from prpose.prediction import Prediction
from prpose.tables import look_up, naming
from prpose.unpickle import entry_names

Writer = Callable[[Prediction, BinaryIO, str, Callable[[float], None]], None]
FORMATS: dict[str, Writer]  # by the ending of their files
FORMATS = {"npz": write_npz, "json": write_json, "csv": write_csv, "trc": write_trc, "bvh": write_bvh}


def export_format(path: str | Path, name: str | None = None) -> str:
    """The format's name, by default the path's ending; ``ValueError`` if it is none of :data:`FORMATS`."""
    name = Path(path).suffix.lower().removeprefix(".") if name is None else name
    if not name:
        raise ValueError(f"{path}: expected a file name that ends in .{', .'.join(FORMATS)}")
    look_up(name, FORMATS, "export format")
    return name


def check_apart(path: Path, *outputs: Path) -> None:
    """``ValueError`` if an output would replace an input or another output, or be in a folder of which all is input."""
    from prpose.io.keypoints import FORMATS as INPUTS  # which not all commands need

    inside = INPUTS["openpose"].files_in(path) if path.is_dir() else []
    taken = {os.path.realpath(file) for file in (path, *inside)}
    for out in outputs:
        place = os.path.realpath(out)
        if place in taken:
            raise ValueError(f"{out}: expected an output of its own, got the input or another output")
        if not inside and os.path.dirname(place) in taken:
            raise ValueError(f"{out}: expected an output outside of the input folder")
        taken.add(place)


def save_prediction(
    prediction: Prediction,
    path: str | Path,
    format: str | None = None,
    overwrite: bool = False,
    on_share: Callable[[float], None] = lambda share: None,
) -> None:
    """Writes the prediction as a file, completely or not at all; equal predictions give equal bytes.

    Args:
        prediction: one person's. BVH without a frame rate is written at 30 frames per second, with a warning.
        path: file to write; missing folders are created.
        format: a key of :data:`FORMATS`. Default: the path's ending.
        on_share: called with the share of a JSON file that was written since the last call; other files take seconds.

    Raises:
        ValueError: for an unknown format, an existing file, TRC without a frame rate, or BVH with uneven times.
    """
    write = FORMATS[export_format(path, format)]
    check_output(path, overwrite)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        write(prediction, stream, Path(path).name, on_share)


def is_prediction(path: str | Path) -> bool:
    """Whether the file looks like one that :func:`read_prediction` reads, by its header."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as stream:
        start = stream.read(100)
    with suppress(ValueError):
        return b"prpose-" in start or (start.startswith(b"PK") and {"info", "frame_numbers"} <= set(entry_names(path)))
    return False


def read_prediction(path: str | Path) -> Prediction:
    """Reads an npz or JSON file of :func:`save_prediction`, of format version 2 or 1 (``prpose-poses``).

    Raises:
        ValueError: naming the file, if it is missing, damaged, of another format or of a later version.
    """
    path = existing_file(path)
    with naming(path), path.open("rb") as stream:
        if not (zipped := stream.read(2) == b"PK") and (ending := path.suffix.lower()) in (".csv", ".trc", ".bvh"):
            raise ValueError(f"expected .npz or .json, which hold the whole prediction, got {ending}")
        return read_npz_prediction(path) if zipped else read_json_prediction(path)
