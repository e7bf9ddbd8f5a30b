"""Reads pickles, those in npz files above all, without running code in them.

A pickle is a program, and ``np.load(allow_pickle=True)`` runs it. This reader knows only the instructions that dict,
list, tuple, str, bytes, numbers and NumPy arrays need; the names under which NumPy pickles arrays stand for classes of
this module; attributes are never set. It extends Python's unpickler in Python: the one in C crashes on deeply nested
keys and allocates as many memo slots as a file asks for.
"""

import io
import math
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

SPARE, RATIO = 2**24, 20  # a file may unpack to so many bytes, or to so many times its size: measured poses need 4
FEWEST = 1_000_000  # instructions that any pickle may have; each takes up to 100 bytes of memory
EMPTY = 1000  # longest axis of an array beside an empty one; else loops over frames without joints would not end


def most_bytes(size: int) -> int:
    """The largest number of bytes that a file of this size may unpack to; zeros alone compress a thousandfold."""
    return max(SPARE, RATIO * size)


def read_npz(path: str | Path, key: str) -> Any:
    """One entry of an npz file, a pickled 0-d one unwrapped; ``ValueError`` naming the file if it has no plain data."""
    data = _entries(path, key).get(key)
    if data is None:
        names = ", ".join(map(repr, sorted(entry_names(path)))) or "nothing"
        raise ValueError(f"{path}: no entry {key!r}; the file holds {names:.800}")
    return _read_npy(data, Path(path).stat().st_size, f"{path}: {key}")


def read_array(path: str | Path) -> Any:
    """The array of an npy file; ``ValueError`` as of :func:`read_npz`, which does not name the file."""
    return _read_npy(data := Path(path).read_bytes(), len(data), "expected an npy file of plain numbers")


def read_pickle(data: bytes) -> Any:
    """The plain data of a pickle; ``ValueError`` for a damaged one, and for anything but plain data."""
    try:
        return _bounded(_plain(_Unpickler(io.BytesIO(data), len(data)).load(), {}), len(data))
    except pickle.UnpicklingError as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise ValueError(f"expected a pickle, got a damaged one ({type(error).__name__})") from None


def entry_names(path: str | Path) -> tuple[str, ...]:
    """Names of an npz file's entries; ``ValueError`` as in :func:`read_npz`."""
    return tuple(_entries(path))


def _entries(path: str | Path, wanted: str | None = None) -> dict[str, bytes]:
    """Entries by name; only the wanted one is read, the others are empty."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {info.filename[:-4]: info for info in archive.infolist() if info.filename.endswith(".npy")}
            size, most = sum(info.file_size for info in infos.values()), most_bytes(Path(path).stat().st_size)
            if size > most:  # more bytes than stated are never read
                raise pickle.UnpicklingError(f"expected at most {most:,} bytes, got {size:,}: save it uncompressed")
            if not {info.compress_type for info in infos.values()} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise pickle.UnpicklingError("expected entries compressed as NumPy does it, got another method")
            return {name: archive.read(info) if name == wanted else b"" for name, info in infos.items()}
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # zipfile raises many types for damaged files
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:160]
        raise ValueError(f"{path}: truncated or not an npz file ({reason})") from None


def _read_npy(data: bytes, size: int, where: str) -> Any:
    """The array of an npy's bytes, or the content of a pickled one, in a file of this size."""
    stream = io.BytesIO(data)
    try:
        first = np.lib.format.read_magic(stream) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a header that is odd, and may be of Python 2
            shape, _, dtype = read(stream)
        if not dtype.hasobject:
            if math.prod(shape) * dtype.itemsize > len(data) or not dtype.itemsize or dtype.kind not in "biufcSU":
                raise pickle.UnpicklingError(f"expected {shape} of {dtype}, got {len(data)} bytes")
            return _bounded(_checked(np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)), size)
        array = _bounded(_plain(_Unpickler(stream, size).load(), {}), size)
        if not isinstance(array, np.ndarray) or array.shape != shape:
            got = f"{type(array).__name__} of shape {getattr(array, 'shape', None)}"
            raise pickle.UnpicklingError(f"expected a pickled array of shape {shape}, got {got}")
        return array.item() if shape == () else array
    except pickle.UnpicklingError as error:
        raise ValueError(f"{where}: {error}") from None
    except Exception as error:  # a damaged entry can fail in any way
        raise ValueError(f"{where}: damaged entry ({type(error).__name__})") from None


def _bounded(content: Any, size: int) -> Any:
    """Plain data, unless they are too large for a file of this size, with shared parts counted each time."""
    known = dict[int, int]()

    def unfolded(value: Any) -> int:
        if isinstance(value, np.ndarray) and value.dtype != object:
            return value.size * max(value.itemsize, 4)  # as numbers are at least once it is read
        if not isinstance(value, dict | list | tuple | np.ndarray):
            return len(value) if isinstance(value, str | bytes) else 8
        if id(value) not in known:
            items = value.values() if isinstance(value, dict) else getattr(value, "flat", value)
            known[id(value)] = 64 + sum(map(unfolded, items))
        return known[id(value)]

    if unfolded(content) > most_bytes(size):
        raise pickle.UnpicklingError(f"expected at most {most_bytes(size):,} bytes, got more; save plain arrays")
    return content


class _Dtype:
    """Replaces ``numpy.dtype``, whose own state can declare bytes to be pointers."""

    def __init__(self, spec: str, align: bool = False, copy: bool = True) -> None:
        if not isinstance(spec, str) or not re.fullmatch(r"[<>|=]?[?biufcSUO]\d{0,6}", spec):
            raise pickle.UnpicklingError(f"refused dtype {_short(spec)}: expected numbers, text or objects")
        self.numpy = np.dtype(spec)

    def restore(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(state[1])


class _Array:
    """Replaces ``numpy.ndarray``; its data must fit its dtype and shape."""

    def __init__(self, subtype: None, shape: tuple[int, ...], typecode: bytes) -> None:
        self.numpy = np.empty(0)

    def restore(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        if _numpy(dtype).hasobject:  # pickled row by row, whatever the order in memory
            self.numpy = np.fromiter(data, object, len(data)).reshape(shape)
        else:
            order: Literal["F", "C"] = "F" if column_major else "C"
            self.numpy = _checked(np.frombuffer(data, _numpy(dtype)).reshape(shape, order=order))


def _scalar(dtype: _Dtype, data: Any) -> Any:
    """Replaces ``numpy.core.multiarray.scalar``."""
    return data if _numpy(dtype).hasobject else _checked(np.frombuffer(data, _numpy(dtype)))[0]


def _encode(text: str, encoding: str) -> bytes:
    """Replaces ``_codecs.encode``, which old pickles make bytes with."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"expected bytes as latin1 text, got {_short(encoding)}")
    return text.encode("latin1")


ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): None,  # only the first argument of _reconstruct
    ("numpy", "dtype"): _Dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    ("_codecs", "encode"): _encode,
}


def _checked(array: np.ndarray) -> np.ndarray:
    """The array, unless it is text with code points beyond Unicode, which crash whatever reads them, or endless."""
    if not array.size and max(array.shape) > EMPTY:
        raise pickle.UnpicklingError(f"expected numbers, got an empty array of shape {array.shape}")
    if array.dtype.kind == "U" and array.size:
        points = np.ascontiguousarray(array).view(array.dtype.byteorder.replace("|", "=") + "u4")
        if points.max(initial=0) > 0x10FFFF:
            raise pickle.UnpicklingError("expected text, got code points beyond Unicode")
    return array


def _numpy(dtype: _Dtype) -> np.dtype[Any]:
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError(f"expected a dtype, got {type(dtype).__name__}")
    return dtype.numpy


def _plain(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """The content with arrays in place of their replacements; shared parts are converted once."""
    if value is None or isinstance(value, str | bytes | int | float | complex | np.generic):
        return value
    if id(value) in done:
        return done[id(value)][1]
    plain: Any
    if isinstance(value, _Array):
        plain = value.numpy
        for i, item in enumerate(plain.flat if plain.dtype == object else ()):
            plain.flat[i] = _plain(item, done)
    elif isinstance(value, dict):
        plain = {key: _plain(item, done) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        plain = type(value)(_plain(item, done) for item in value)
    else:
        raise pickle.UnpicklingError(f"expected plain data, got {type(value).__name__}")
    done[id(value)] = value, plain  # the value is stored, too, so that its id stays its own
    return plain


class _Unpickler(pickle._Unpickler):
    """Python's unpickler, restricted to the instructions and names of plain data."""

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, size: int) -> None:
        super().__init__(stream)
        self.count, self.most = 0, FEWEST + size // 4

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise _refused(f"{module}.{name}")
        return ADMITTED[module, name]

    def set_items(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not dict:
            raise _refused("items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Tuples can be nested too deeply to hash, and larger integers chosen to collide.
            if not isinstance(key, str | bytes) and not (type(key) is int and abs(key) < 2**31):
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
        arguments, function = self.stack.pop(), self.stack.pop()
        if not any(function is admitted for admitted in (_Dtype, _Array, _scalar, _encode)):
            raise _refused("a call of something other than NumPy's functions")
        self.stack.append(function(*arguments))

    def build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], _Dtype | _Array):
            raise _refused("a state of something that has none")
        self.stack[-1].restore(state)


def _short(value: Any) -> str:
    """The beginning of a text, or the type of anything else, whose text may be of any length."""
    return repr(value[:80]) if isinstance(value, str) else f"a {type(value).__name__}"


def _refused(what: str) -> pickle.UnpicklingError:
    expected = "expected dict, list, str, numbers and arrays only; nothing of it was run"
    return pickle.UnpicklingError(f"refused {_short(what)}: {expected}")


_OWN: dict[str, Callable[[Any], None]] = {
    "DICT": _Unpickler.new_dict,
    "SETITEM": _Unpickler.set_item,
    "SETITEMS": _Unpickler.set_items,
    "REDUCE": _Unpickler.reduce,
    "BUILD": _Unpickler.build,
}
_INHERITED = (
    *("PROTO", "FRAME", "STOP", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "GLOBAL", "STACK_GLOBAL"),
)


def _instruction(name: str, code: int) -> Callable[[Any], None]:
    run: Callable[[Any], None] | None = pickle._Unpickler.dispatch[code] if name in _INHERITED else _OWN.get(name)

    def step(unpickler: _Unpickler) -> None:
        unpickler.count += 1
        if run is None:
            raise _refused(f"instruction {name}")
        if unpickler.count > unpickler.most:
            raise pickle.UnpicklingError(f"expected at most {unpickler.most:,} pickled values; store numbers as arrays")
        run(unpickler)

    return step


_Unpickler.dispatch = {ord(op.code): _instruction(op.name, ord(op.code)) for op in pickletools.opcodes}
