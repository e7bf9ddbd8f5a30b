"""Reads the field's pickled npz files without running what is in them.

A pickle is a program; ``np.load(allow_pickle=True)`` runs it. This reader admits dict, list,
tuple, str, numbers and NumPy arrays, and refuses everything else before any of it is called:
only the instructions that such data need are known to it, the four names that NumPy pickles
arrays with stand for classes of our own, and nothing is ever written to an object's attributes.
"""

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

LARGEST = 8 * 2**30
"""Bytes of an entry, unpacked: more than any file of the field, less than brings a machine down."""


def read_npz(path: str | Path, key: str) -> Any:
    """One entry of an npz file; a pickled 0-d object array is unwrapped.

    Raises:
        ValueError: naming the file, if it is missing, no npz file, truncated, lacks the entry,
            or holds anything but plain data (nothing of which is run).
    """
    data = _entries(path, key).get(key)
    if data is None:
        names = ", ".join(map(repr, sorted(entry_names(path)))) or "nothing"
        raise ValueError(f"{path}: no entry {key!r}; the file holds {names}")
    try:
        return _read_npy(data)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: {key}: {error}") from None


def entry_names(path: str | Path) -> tuple[str, ...]:
    """Names of an npz file's entries; ``ValueError`` as in :func:`read_npz`."""
    return tuple(_entries(path))


def _entries(path: str | Path, wanted: str | None = None) -> dict[str, bytes]:
    """Entries by name; only the wanted one is read, the others are empty."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            for name in names:
                if name[:-4] == wanted and archive.getinfo(name).file_size > LARGEST:
                    raise ValueError(f"entry {wanted!r} is larger than {LARGEST:,} bytes")
            return {name[:-4]: archive.read(name) if name[:-4] == wanted else b"" for name in names}
    except Exception as error:  # zipfile has a dozen ways to say that a file is damaged
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:160]
        raise ValueError(f"{path}: truncated or not an npz file ({reason})") from None


def _read_npy(data: bytes) -> Any:
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        if not dtype.hasobject:
            if math.prod(shape) * dtype.itemsize > len(data) or not dtype.itemsize:
                raise pickle.UnpicklingError(f"expected {shape} of {dtype}, got {len(data)} bytes")
            return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        array = _plain(_PlainDataUnpickler(stream).load(), {})
        content = array.item() if isinstance(array, np.ndarray) and array.shape == () else array
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged entry can fail in any way at all
        raise pickle.UnpicklingError(f"damaged entry ({type(error).__name__})") from None
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise pickle.UnpicklingError(
            f"expected a pickled array of shape {shape}, got {type(array).__name__} "
            f"of shape {getattr(array, 'shape', None)}"
        )
    return content


class _Dtype:
    """Stands for a pickled NumPy dtype; NumPy's own can be told to mistake bytes for pointers."""

    def __init__(self, spec: str, align: bool = False, copy: bool = True) -> None:
        if not isinstance(spec, str) or not re.fullmatch(r"[<>|=]?[?biufcSUO]\d{0,6}", spec):
            raise pickle.UnpicklingError(f"refused dtype {_short(spec)}: expected numbers, text or objects")
        self.numpy = np.dtype(spec)

    def restore(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(state[1])


class _Array:
    """Stands for a pickled NumPy array, and makes one only of data that fits its dtype."""

    def __init__(self, subtype: None, shape: tuple[int, ...], typecode: bytes) -> None:
        self.numpy = np.empty(0)

    def restore(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        if _numpy(dtype).hasobject:  # its items come row by row, whatever the order in memory
            flat = np.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                flat[i] = item
            self.numpy = flat.reshape(shape)
        else:
            order: Literal["F", "C"] = "F" if column_major else "C"
            self.numpy = _checked(np.frombuffer(data, _numpy(dtype)).reshape(shape, order=order))


def _scalar(dtype: _Dtype, data: Any) -> Any:
    """A pickled NumPy number."""
    return data if _numpy(dtype).hasobject else _checked(np.frombuffer(data, _numpy(dtype)))[0]


def _checked(array: np.ndarray) -> np.ndarray:
    """The array, if its text is text: code points beyond Unicode's crash what reads them."""
    if array.dtype.kind == "U" and array.size:
        points = np.ascontiguousarray(array).view(array.dtype.byteorder.replace("|", "=") + "u4")
        if points.max(initial=0) > 0x10FFFF:
            raise pickle.UnpicklingError("expected text, got code points beyond Unicode")
    return array


def _numpy(dtype: _Dtype) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError(f"expected a dtype, got {type(dtype).__name__}")
    return dtype.numpy


def _encode(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` does in pickles that hold bytes as text, and no more."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"expected bytes as latin1 text, got {_short(encoding)}")
    return text.encode("latin1")


def _plain(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """The content with real arrays where stand-ins are; what is shared is visited once."""
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic):
        return value
    if id(value) not in done:
        # The value is kept beside its result: its id is its own for as long as it lives.
        done[id(value)] = value, _plain_container(value, done)
    return done[id(value)][1]


def _plain_container(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(value, _Array):
        array = value.numpy
        if array.dtype == object:
            for i, item in enumerate(array.flat):
                array.flat[i] = _plain(item, done)
        return array
    if isinstance(value, dict):
        return {key: _plain(item, done) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, done) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item, done) for item in value)
    raise pickle.UnpicklingError(f"expected plain data, got {type(value).__name__}")


_INSTRUCTIONS = (
    *("PROTO", "FRAME", "STOP", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"),
    *("GET", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_LIST", "LIST", "APPEND"),
    *("APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT"),
    *("GLOBAL", "STACK_GLOBAL"),
)
"""Run as Python's own unpickler does; DICT, SETITEM(S), REDUCE and BUILD are checked first."""


SMALL = range(-(2**31), 2**31)
"""Integers admitted as keys: larger ones can be chosen to collide."""


class _PlainDataUnpickler(pickle._Unpickler):
    """Python's unpickler with few instructions, and the names NumPy pickles arrays with.

    The one in Python, not the one in C: that crashes on a key of a million nested tuples.
    """

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]

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
            raise _refused(f"{module}.{name}")
        return self.ADMITTED[module, name]

    def set_items(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not dict:
            raise _refused("items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | bytes) and not (type(key) is int and key in SMALL):
                raise _refused(f"a {type(key).__name__} as a key")
            self.stack[-1][key] = value

    def set_item(self) -> None:
        items = [self.stack.pop(), self.stack.pop()][::-1]
        self.metastack.append(self.stack)
        self.stack = items
        self.set_items()

    def new_dict(self) -> None:
        self.metastack[-1].append({})
        self.set_items()

    def reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if not any(function is admitted for admitted in (_Dtype, _Array, _scalar, _encode)):
            raise _refused("a call of something else than NumPy's four")
        self.stack.append(function(*arguments))

    def build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Dtype | _Array):
            raise _refused("a state of something that has none")
        self.stack[-1].restore(state)


def _short(value: Any) -> str:
    """For messages: some of a text, or what it is instead; anything else may be of any size."""
    return repr(value[:80]) if isinstance(value, str) else f"a {type(value).__name__}"


def _refused(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(
        f"refused {_short(what)}: expected dict, list, str, numbers and arrays only; nothing of it was run"
    )


def _refusal(instruction: str) -> Callable[[Any], None]:
    def refuse(unpickler: Any) -> None:
        raise _refused(f"instruction {instruction}")

    return refuse


_PlainDataUnpickler.dispatch = {
    ord(op.code): pickle._Unpickler.dispatch[ord(op.code)] if op.name in _INSTRUCTIONS else _refusal(op.name)
    for op in pickletools.opcodes
} | {
    pickle.DICT[0]: _PlainDataUnpickler.new_dict,
    pickle.SETITEM[0]: _PlainDataUnpickler.set_item,
    pickle.SETITEMS[0]: _PlainDataUnpickler.set_items,
    pickle.REDUCE[0]: _PlainDataUnpickler.reduce,
    pickle.BUILD[0]: _PlainDataUnpickler.build,
}
