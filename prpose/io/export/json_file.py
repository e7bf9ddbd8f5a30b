"""JSON: one object, as ``poses.schema.json`` describes it."""

import json
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from prpose.camera import Array
from prpose.io.export.schema import arrays, header, poses_of, short
from prpose.prediction import Prediction


def write(poses: Prediction, stream: BinaryIO, name: str) -> None:
    """The header's lines, then the arrays, a line for each frame (or each hypothesis)."""
    head = json.dumps(header(poses), indent=1)
    stream.write(head.removesuffix("\n}").encode())
    for array_name, values in arrays(poses).items():
        stream.write(f',\n "{array_name}": [\n'.encode())
        for i, row in enumerate(values):
            row = short(row) if row.dtype == np.float32 else row
            text = json.dumps(row.tolist(), separators=(",", ":"), allow_nan=False)
            stream.write(f"{',' if i else ''}{text}\n".encode())
        stream.write(b" ]")
    stream.write(b"\n}\n")


def read(path: Path) -> Prediction:
    """What :func:`write` wrote.

    Raises:
        ValueError: if the file is damaged or of something else.
    """
    try:
        found = json.loads(path.read_bytes(), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("not a JSON file that can be read: nested too deep") from None
    except ValueError as error:  # of JSON, of text, or of an integer with too many digits
        raise ValueError(f"not a JSON file of poses ({error})") from None
    return poses_of(found, lambda name: _array(name, found.get(name)))


def _array(name: str, rows: Any) -> Array | None:
    if rows is None:
        return None
    try:
        array = np.asarray(rows)
    except ValueError:  # rows of different lengths
        raise ValueError(f"expected {name} with rows of equal length, got others") from None
    return array


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, got {text}")
