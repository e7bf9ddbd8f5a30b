"""Reads the field's pickled npz files without running what is in them.

A pickle is a program; ``np.load(allow_pickle=True)`` runs it. This reader admits dict, list,
tuple, str, numbers and NumPy arrays, and refuses everything else before any of it is called.
"""

import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np


def read_npz(path: str | Path, key: str) -> Any:
    """One entry of an npz file; a pickled 0-d object array is unwrapped.

    Raises:
        ValueError: naming the file, if it is missing, no npz file, truncated, lacks the entry,
            or holds anything but plain data (nothing of which is run).
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{key}.npy" not in archive.namelist():
                names = ", ".join(sorted(archive.namelist())) or "nothing"
                raise ValueError(f"{path}: no entry {key!r}; the file holds {names}")
            return _read_npy(archive.read(f"{key}.npy"))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path}: truncated or not an npz file ({error})") from None
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: {key}: {error}") from None


def _read_npy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        if not dtype.hasobject:
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        array = _plain(_PlainDataUnpickler(stream).load())
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged entry can fail in any way at all
        raise pickle.UnpicklingError(f"damaged entry ({type(error).__name__})") from None
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise pickle.UnpicklingError(
            f"expected a pickled array of shape {shape}, got {type(array).__name__} "
            f"of shape {getattr(array, 'shape', None)}"
        )
    return array.item() if shape == () else array


class _Dtype:
    """Stands for a pickled NumPy dtype; NumPy's own can be told to mistake bytes for pointers."""

    def __init__(self, spec: str, align: bool = False, copy: bool = True) -> None:
        if not isinstance(spec, str) or not re.fullmatch(r"[<>|=]?[?biufcSUO]\d{0,6}", spec):
            raise pickle.UnpicklingError(
                f"refused dtype {spec!r}: expected numbers, text or objects"
            )
        self.numpy = np.dtype(spec)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(state[1])


class _Array:
    """Stands for a pickled NumPy array, and makes one only of data that fits its dtype."""

    def __init__(self, subtype: None, shape: tuple[int, ...], typecode: bytes) -> None:
        self.numpy = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        order: Literal["F", "C"] = "F" if column_major else "C"
        if dtype.numpy.hasobject:
            flat = np.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                flat[i] = item
        else:
            flat = np.frombuffer(data, dtype.numpy).copy()
        self.numpy = flat.reshape(shape, order=order)


def _scalar(dtype: _Dtype, data: Any) -> Any:
    """A pickled NumPy number."""
    return data if dtype.numpy.hasobject else np.frombuffer(data, dtype.numpy)[0]


def _encode(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` does in pickles that hold bytes as text, and no more."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"expected bytes as latin1 text, got {encoding}")
    return text.encode("latin1")


def _plain(value: Any) -> Any:
    """The content with real arrays where stand-ins are."""
    if isinstance(value, _Array):
        array = value.numpy
        if array.dtype == object:
            for i, item in enumerate(array.flat):
                array.flat[i] = _plain(item)
        return array
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return tuple(_plain(item) for item in value) if isinstance(value, tuple) else value


class _PlainDataUnpickler(pickle.Unpickler):
    """Knows the four names that NumPy arrays and numbers are pickled with."""

    ADMITTED: Mapping[tuple[str, str], Any] = MappingProxyType(
        {
            ("numpy", "ndarray"): None,  # only ever the first argument of _reconstruct
            ("numpy", "dtype"): _Dtype,
            ("numpy.core.multiarray", "_reconstruct"): _Array,
            ("numpy._core.multiarray", "_reconstruct"): _Array,
            ("numpy.core.multiarray", "scalar"): _scalar,
            ("numpy._core.multiarray", "scalar"): _scalar,
            ("_codecs", "encode"): _encode,
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(
                f"refused {module}.{name}: expected dict, list, str, numbers and arrays only; "
                "nothing of it was run"
            )
        return self.ADMITTED[module, name]
