"""Changes of npy, npz, pickles, safetensors and PyTorch's files; archives keep correct checksums."""

import io
import math
import pickle
import pickletools
import struct
import warnings
import zipfile
from itertools import pairwise

import numpy as np

from tests.fuzz import damage

TYPES = ("f2", "f4", "f8", ">f4", "g", "i1", "u1", "i4", "i8", ">u8", "?", "c8", "U3", ">U2", "S4", "M8[s]", "V4", "O")
SHAPES = (
    *("()", "(0,)", "(1,)", "(0, 17, 2)", "(1, 0, 2)", "(-1,)", "(2,", "(1.5,)", "(10**9,)", "(1000000000000,)"),
    *("(4294967296, 4294967296)", "(0, 9223372036854775807)", "(1,) * 40", "(True,)", "('a',)", "[2]", "None"),
)
DESCRIPTIONS = (
    *(
        "'<f8'",
        "'|O'",
        "'<U1'",
        "'<U0'",
        "'|V0'",
        "'|S0'",
        "'<U999999999'",
        "'<M8[9999999999s]'",
        "'<c16'",
        "'<f3'",
        "8",
    ),
    *("[('a', '<f8')]", "[('a', '|O')]", "[]", "[('a', '<f8', (1000000, 1000000))]", "('<f8', (0,))", "'x' * 9999"),
)


def as_npy(data, rng):
    """An array of another type, shape, order or content, or another header."""
    change = rng.randrange(12)
    if change == 0:
        return damage.raw(data, rng)
    if change <= 2:
        return _header(data, rng)
    try:
        return npy_of(_array(_loaded(data), rng))
    except Exception:  # a pickle, or changed before
        return _payload(data, rng)


def _loaded(data):
    """The array of an npy that is small."""
    stream = io.BytesIO(data)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if math.prod(shape) * dtype.itemsize > len(data):
        raise ValueError("changed before")
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def npy_of(array):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _array(array, rng):
    change = rng.randrange(10)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if change <= 3:
            if array.size and array.dtype.kind in "fiu":
                array = array.copy()
                count = rng.choice((1, 1, 5, array.size))
                number = rng.choice(damage.NUMBERS)
                number = float(number) if abs(number) < 1e300 else np.inf
                if array.dtype.kind != "f":
                    number = int(min(max(np.nan_to_num(number), np.iinfo(array.dtype).min), np.iinfo(array.dtype).max))
                array.reshape(-1)[rng.randrange(array.size) :][:count] = number
            elif array.size:
                array = np.array(rng.choice(damage.TEXTS[:-1]).encode("utf-8", "replace").decode())
        elif change == 4:
            array = array.astype(rng.choice(TYPES))
        elif change == 5:
            array = array[..., : rng.choice((0, 1, 2, 3))] if array.ndim else array[None]
        elif change == 6:
            array = array[: rng.choice((0, 1, 2, 5))] if array.ndim else array[None]
        elif change == 7:
            array = array[None] if rng.randrange(2) else array[..., None]
        elif change == 8:
            array = np.asfortranarray(array.swapaxes(0, -1)) if array.ndim else array
        else:
            times = rng.choice((2, 3, 20))
            array = np.concatenate([array] * times, axis=rng.randrange(array.ndim)) if array.ndim else array
    return array


def _header(data, rng):
    """Version, type, order or shape of the header replaced; the content stays."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        return damage.raw(data, rng)
    length = int.from_bytes(data[8:10], "little")
    head, rest = data[10 : 10 + length].decode("latin1"), data[10 + length :]
    change = rng.randrange(5)
    if change >= 2:
        named = (("descr", DESCRIPTIONS), ("shape", SHAPES), ("fortran_order", ("True", "1", "None")))
        name, values = named[change - 2]
        before, _, after = head.partition(f"'{name}': ")
        end = after.find(", '") if ", '" in after else after.find(", }")
        head = f"{before}'{name}': {rng.choice(values)}{after[end:]}"
    if change == 0:
        head = damage.words(head.encode("latin1"), rng).decode("latin1")
    if change == 1:
        head = "(" * 300 + head
    encoded = head.rstrip().encode("latin1", "replace")
    version = rng.choice((1, 1, 1, 1, 2, 3, 0, 9))
    size = struct.pack("<H" if version < 2 else "<I", min(len(encoded) + 1, 65535))
    return b"\x93NUMPY" + bytes([version, 0]) + size + encoded + b"\n" + rest


def _payload(data, rng):
    """The pickle after an npy's header changed."""
    at = data.find(b"\n") + 1
    return data[:at] + as_pickle(data[at:], rng) if at and data[:1] == b"\x93" else damage.raw(data, rng)


class _Loader(pickle._Unpickler):  # in Python, as the one in C crashes on some files that were changed before
    """Loads pickles that were changed before: names of NumPy's arrays only, so that none of it is run."""

    def find_class(self, module, name):
        if name not in ("_reconstruct", "scalar", "ndarray", "dtype") or module.partition(".")[0] != "numpy":
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def as_pickle(data, rng):
    """A pickle with another content, or other instructions."""
    change = rng.randrange(8)
    if change == 0:
        return damage.raw(data, rng)
    if change <= 3:
        try:
            content = _Loader(io.BytesIO(data)).load()
            if isinstance(content, np.ndarray):
                boxed = np.empty((), dtype=object)
                boxed[()] = objects(content.item(), rng) if content.shape == () else objects(content.tolist(), rng)
                content = boxed
            else:
                content = objects(content, rng)
            return pickle.dumps(content, protocol=rng.randrange(6))
        except Exception:
            return _instructions(data, rng)
    return _instructions(data, rng)


def objects(content, rng):
    """A tree that may hold arrays, changed."""
    if isinstance(content, np.ndarray | np.generic):
        return _array(np.asarray(content), rng) if content.dtype != object else damage.value(rng)
    if isinstance(content, dict) and content and rng.randrange(6):
        key = rng.choice(list(content))
        return content | {key: objects(content[key], rng)}
    if isinstance(content, list | tuple) and content and rng.randrange(6):
        at = rng.randrange(len(content))
        return [*content[:at], objects(content[at], rng), *content[at + 1 :]]
    return damage.tree(content, rng)


def _instructions(data, rng):
    try:
        places = [place for *_, place in pickletools.genops(data)] + [len(data)]
    except Exception:
        return damage.raw(data, rng)
    parts = [data[a:b] for a, b in pairwise(places)]
    for _ in range(rng.choice((1, 1, 3))):
        at, change = rng.randrange(len(parts)), rng.randrange(7)
        if change == 0:
            del parts[at]
        elif change == 1:
            parts.insert(at, parts[at])
        elif change == 2:
            parts.insert(at, rng.choice(parts))
        elif change == 3:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif change == 4:
            parts.insert(at, rng.choice(OPCODES))
        elif change == 5:
            start = rng.randrange(max(1, at))
            parts[at:at] = parts[start:at] * rng.choice((1, 2, 20))
        else:
            parts[at] = damage.raw(parts[at], rng)
        if not parts:
            return b"."
    return b"".join(parts)


OPCODES = (
    *(bytes([ord(op.code)]) for op in pickletools.opcodes if op.arg is None),
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n"),
    *(b"h\x00", b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f", b"X\xff\xff\xff\x7f", b"I99999999999999999999\n", b"K\x01"),
    *(b"\x8a\x10" + b"\xff" * 16, b"X\x03\x00\x00\x00\x1b[3", b"\x8c\x02O8", b"\x8c\x03<U9", b"N"),
)


def as_npz(data, rng):
    """An archive with an entry changed, renamed, missing, twice or in another form; or bytes of it changed."""
    change = rng.randrange(16)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:
        return damage.raw(data, rng)
    if not entries or change == 0:
        return damage.raw(data, rng)
    at, how = rng.randrange(len(entries)), zipfile.ZIP_STORED
    name, content = entries[at]
    if change <= 9:
        entries[at] = (name, as_entry(name, content, rng))
    elif change == 10:
        del entries[at]
    elif change == 11:
        entries[at] = (rng.choice(damage.TEXTS).encode("utf-8", "replace").decode() + ".npy", content)
    elif change == 12:
        entries.insert(0, (name, as_npy(content, rng)))
    elif change == 13:
        entries[at] = (name, entries[rng.randrange(len(entries))][1])
    elif change == 14:
        how = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    elif not rng.randrange(32):  # far larger than its file
        how, shape = zipfile.ZIP_DEFLATED, rng.choice(((20_000, 17, 2), (400_000, 17, 2)))
        entries[at] = (name, npy_of(np.zeros(shape, np.float32)))
    return archive_of(entries, how)


def as_entry(name, content, rng):
    """One entry of an archive, changed as what it is."""
    if name.endswith(".npy"):
        return as_npy(content, rng)
    return as_pickle(content, rng) if name.endswith(".pkl") else damage.raw(content, rng)


def archive_of(entries, how=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", how) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return stream.getvalue()


def as_safetensors(data, rng):
    """The JSON header changed, or bytes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 + length or not rng.randrange(6):
        return damage.raw(data, rng)
    head = damage.as_json(data[8 : 8 + length], rng)
    stated = len(head) if rng.randrange(8) else rng.choice((0, len(head) - 1, len(head) + 1, 2**32, 2**63))
    return stated.to_bytes(8, "little", signed=False) + head + data[8 + length :]
