"""Predictions as npz (arrays by name, and the header as JSON text ``info``) or as one JSON object; read back."""

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import numpy as np

from prpose.camera import Array
from prpose.io.export.schema import FORMAT, FORMAT_1, OLD, Document, Header, arrays, header, to_prediction, upgraded
from prpose.io.keypoints.detections import check
from prpose.prediction import ARRAYS, Prediction
from prpose.unpickle import entry_names, read_npz

H = TypeVar("H", bound=Header)


class _Version(msgspec.Struct):
    format: str = ""
    version: int = 0


def write_npz(prediction: Prediction, stream: BinaryIO, name: str) -> None:
    """Plain arrays without pickles; not compressed, as float noise hardly compresses."""
    head, content = header(prediction), arrays(prediction)
    content |= {"joints": np.array(head.joints), "parents": np.array(head.parents)}
    content |= {} if head.fps is None else {"fps": np.array(head.fps)}
    np.savez(stream, **content, info=np.array(_text(head).decode()))  # type: ignore[arg-type]


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
    """The prediction of an npz file, also of version 1."""
    names = entry_names(path)
    if "info" not in names:
        raise ValueError("expected an entry info in the npz file, got none")
    head = _decode(str(read_npz(path, "info")).encode(), Header)
    entries = {name: name if name in names else OLD.get(name, "") for name in ARRAYS}
    return to_prediction(head, {k: read_npz(path, name) for k, name in entries.items() if name in names})


def read_json_prediction(path: Path) -> Prediction:
    """The prediction of a JSON file, also of version 1."""
    document = _decode(path.read_bytes(), Document)
    rows = {name: getattr(document, name) for name in ARRAYS}
    return to_prediction(document, {name: np.asarray(row) for name, row in rows.items() if row is not None})


def _decode(text: bytes, kind: type[H]) -> H:
    try:
        found = msgspec.json.decode(text, type=_Version)
        if found.format not in (FORMAT, FORMAT_1):
            raise ValueError(f"expected a file of format {FORMAT}, got {found.format!r:.40}")
        if found.version != (1 if found.format == FORMAT_1 else 2):
            raise ValueError(f"expected version 1 or 2, got {found.version}")
        if found.version == 2:
            with suppress(msgspec.ValidationError):  # once more below, for a message with the place
                return msgspec.json.decode(text, type=kind)
        content = msgspec.json.decode(text)
        return check(upgraded(content) if found.version == 1 else content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"expected a file of format {FORMAT}: {error}") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a JSON file ({error})") from None


def _text(head: Header) -> bytes:
    return msgspec.json.format(msgspec.json.encode(head), indent=1)


def shortest(values: Array) -> Array:
    """Float32 as the float64 with the fewest digits, 7 to 9, that is the same float32: 0.1, not 0.10000000149011612."""
    wide = values.astype(np.float64)
    size = np.abs(wide)
    exponent = np.floor(np.log10(size, where=size > 0, out=np.zeros_like(size)))
    for digits in (9, 8, 7):
        scale = 10.0 ** (digits - 1 - exponent)
        rounded = np.round(values * scale) / scale
        wide = np.where(rounded.astype(np.float32) == values, rounded, wide)
    return wide
