"""Reads the field's pickled npz files without running what is in them.

A pickle is a program; ``np.load(allow_pickle=True)`` runs it. This reader admits dict, list,
tuple, str, numbers and NumPy arrays, and refuses everything else before any of it is called.
"""

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

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
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if not dtype.hasobject:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    try:
        array = _PlainDataUnpickler(stream).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise pickle.UnpicklingError(f"damaged pickle ({type(error).__name__})") from None
    if not isinstance(array, np.ndarray):
        raise pickle.UnpicklingError(f"expected a pickled array, got {type(array).__name__}")
    return array.item() if shape == () else array


def _encode(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` does in pickles that hold bytes as text, and no more."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"expected bytes as latin1 text, got {encoding}")
    return text.encode("latin1")


class _PlainDataUnpickler(pickle.Unpickler):
    """Knows the four names that NumPy arrays and numbers are pickled with."""

    ADMITTED = {  # noqa: RUF012 - a constant
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
        ("numpy.core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
        ("numpy._core.multiarray", "scalar"): np.float64(0).__reduce__()[0],
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ADMITTED:
            raise pickle.UnpicklingError(
                f"refused {module}.{name}: expected dict, list, str, numbers and arrays only; "
                "nothing of it was run"
            )
        return self.ADMITTED[module, name]
