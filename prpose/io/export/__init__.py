"""Poses into files that other programs read: npz, JSON, CSV, TRC (OpenSim), BVH (Blender)."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from prpose.atomic import check_output, replacing
from prpose.io.export import bvh_file, csv_file, json_file, npz_file, trc_file
from prpose.prediction import Kept, Prediction
from prpose.tables import look_up

FORMATS: dict[str, Callable[[Prediction, BinaryIO, str], None]] = {
    "npz": npz_file.write,
    "json": json_file.write,
    "csv": csv_file.write,
    "trc": trc_file.write,
    "bvh": bvh_file.write,
}
"""What writes each format; the key is the suffix of its files. docs/output.md describes them."""


def format_of(path: str | Path, name: str | None = None) -> str:
    """The format's name, or that of the file's suffix; ask this before the work, not after it.

    Raises:
        ValueError: if it is none of :data:`FORMATS`, or there is no suffix to tell.
    """
    if name is None:
        name = Path(path).suffix.lower().removeprefix(".")
        if not name:
            known = ", ".join(f".{known}" for known in FORMATS)
            raise ValueError(f"{path}: expected a file name that ends in one of {known}")
    look_up(name, FORMATS, "format of poses")
    return name


def write_prediction(
    poses: Prediction,
    path: str | Path,
    format: str | None = None,
    save_samples: Kept = "all",
    overwrite: bool = False,
) -> None:
    """The poses as a file, whole or not at all; the same poses make the same bytes.

    Args:
        poses: of one person.
        path: of the file; folders that do not exist are made.
        format: a key of :data:`FORMATS`; the file's suffix if None.
        save_samples: which hypotheses npz and JSON hold: ``all`` that there are, ``none``, or the
            first so many. The others hold the aggregate alone, whatever this is.
        overwrite: whether to replace what is there.

    Raises:
        ValueError: for an unknown format, more hypotheses than there are, a file that exists, or
            poses that lack what the format needs: TRC and BVH a frame rate, BVH even times.
    """
    write = FORMATS[format_of(path, format)]
    kept = poses.keeping(save_samples)
    check_output(path, overwrite)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        write(kept, stream, Path(path).name)


def read_prediction(path: str | Path) -> Prediction:
    """The poses of an npz or JSON file of :func:`write_prediction`, told apart by content.

    Raises:
        ValueError: naming the file, if it is missing, damaged, of something else or of a later
            version.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"PK"
    try:
        return npz_file.read(path) if zipped else json_file.read(path)
    except ValueError as error:
        said = str(error)
        raise ValueError(said if said.startswith(f"{path}: ") else f"{path}: {said}") from None
