"""Predictions as npz (arrays by name, and the header as JSON text ``info``) or as one JSON object; read back."""

from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
import numpy as np

from prpose.camera import Array
from prpose.io.export.schema import (
    FORMAT,
    FORMAT_1,
    OLD,
    Document,
    Header,
    arrays,
    header,
    to_prediction,
    upgraded,
)
from prpose.io.keypoints.detections import check
from prpose.prediction import ARRAYS, Prediction
from prpose.unpickle import entry_names, read_npz

H = TypeVar("H", bound=Header)


class _Version(msgspec.Struct):
    format: str = ""
    version: int = 0


def write_npz(prediction: Prediction, stream: BinaryIO, name: str) -> None:
    """Plain arrays without pickles; not compressed, as float noise hardly compresses."""
    head = header(prediction)
    content: dict[str, Any] = {
        **arrays(prediction),
        "joints": np.array(head.joints),
        "parents": np.array(head.parents),
        **({} if head.fps is None else {"fps": np.array(head.fps)}),
        "info": np.array(_text(head).decode()),
    }
    np.savez(stream, **content)


def write_json(prediction: Prediction, stream: BinaryIO, name: str) -> None:
    """The header's lines, then the arrays, a line for each frame (or each sample)."""
    stream.write(_text(header(prediction)).removesuffix(b"\n}"))
    for array_name, values in arrays(prediction).items():
        stream.write(f',\n "{array_name}": [\n'.encode())
        for i, row in enumerate(values):
            row = shortest(row) if row.dtype == np.float32 else row
            stream.write((b"," if i else b"") + msgspec.json.encode(row.tolist()) + b"\n")
        stream.write(b" ]")
    stream.write(b"\n}\n")


def read_npz_prediction(path: Path) -> Prediction:
    """Reads the npz that :func:`write_npz` writes, or one of version 1."""
    names = entry_names(path)
    if "info" not in names:
        raise ValueError("expected an entry info in the npz file, got none")
    head, version = _decode(str(read_npz(path, "info")).encode(), Header)
    entries = {name: old if version == 1 else name for name in ARRAYS for old in [OLD.get(name, name)]}
    return to_prediction(
        head, {k: np.asarray(read_npz(path, name)) if name in names else None for k, name in entries.items()}
    )


def read_json_prediction(path: Path) -> Prediction:
    """Reads the JSON that :func:`write_json` writes, or that of version 1."""
    document, _ = _decode(path.read_bytes(), Document)
    rows = {name: getattr(document, name) for name in ARRAYS}
    return to_prediction(document, {name: None if row is None else np.asarray(row) for name, row in rows.items()})


def _decode(text: bytes, kind: type[H]) -> tuple[H, int]:
    """Header or document, and the version of the file.

    Raises:
        ValueError: for damaged JSON, another format, a later version, or a wrong type, with its place.
    """
    try:
        found = msgspec.json.decode(text, type=_Version)
        if found.format not in (FORMAT, FORMAT_1):
            raise ValueError(f"expected a file of format {FORMAT}, got {found.format!r:.40}")
        if found.version != (1 if found.format == FORMAT_1 else 2):
            raise ValueError(f"expected version 1 or 2, got {found.version}")
        if found.version == 1:
            return check(upgraded(msgspec.json.decode(text)), kind), 1
        try:
            return msgspec.json.decode(text, type=kind), 2
        except msgspec.ValidationError:  # once more, for a message with the place
            return check(msgspec.json.decode(text), kind), 2
    except msgspec.ValidationError as error:
        raise ValueError(f"expected a file of format {FORMAT}: {error}") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a JSON file ({error})") from None


def _text(head: Header) -> bytes:
    return msgspec.json.format(msgspec.json.encode(head), indent=1)


def shortest(values: Array) -> Array:
    """Float32 as the float64 with the fewest digits, 7 to 9, that is the same float32: 0.1, not 0.10000000149011612.

    Example:
        >>> shortest(np.array([0.1, -2.5e-5, 1 / 3], dtype=np.float32)).tolist()
        [0.1, -2.5e-05, 0.33333334]
    """
    wide = values.astype(np.float64)
    size = np.abs(wide)
    exponent = np.floor(np.log10(size, where=size > 0, out=np.zeros_like(size)))
    for digits in (9, 8, 7):
        scale = 10.0 ** (digits - 1 - exponent)
        rounded = np.round(values * scale) / scale
        wide = np.where(rounded.astype(np.float32) == values, rounded, wide)
    return wide
