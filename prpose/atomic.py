"""Files that appear whole or not at all; arrays in temporary files; JSON and TOML files; hashes."""

import hashlib
import json
import math
import mmap
import os
import stat
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows: temporary files of a killed process stay
    flock = None  # type: ignore[assignment]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST_TOML, MOST_DOTS = 100_000, 500  # characters of a file of settings, and dots in one of its lines
TEMPORARY = ".prpose-"  # begin of the names of temporary files
MOST_MAPPED = 256  # large arrays at a time that are in files, each of which takes a file descriptor
LARGE, PIECE = 2**22, 2**20  # bytes of an array that need not stay in memory, and of what is used of it at once
Mapped: Any = type("Mapped", (mmap.mmap,), {})  # of large arrays only: others must not lose their memory
_mapped = weakref.WeakSet[Any]()  # that are in use


def sha256_of(source: Path | bytes) -> str:
    """SHA-256 of a file or of bytes, in hexadecimal digits."""
    return hashlib.sha256(source if isinstance(source, bytes) else source.read_bytes()).hexdigest()


def check_output(path: str | Path, overwrite: bool) -> Path:
    """The path, if a file may be written there, in a folder that exists or can be created; before long work.

    ``ValueError`` if the file exists and ``overwrite`` is false, the path is not a file's, or its folder not writable.
    """
    path = Path(path)
    folder = _resolved(path).parent
    while not folder.exists():
        folder = folder.parent
    if path.is_dir() or not folder.is_dir():
        raise ValueError(f"{path}: expected a file name, got a folder, or a file in place of one")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a file, got a device, pipe or socket")
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: exists already; name another file or pass --overwrite")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: expected a writable folder")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that replaces it if, and only if, the block succeeds.

    Missing folders are created. An existing file keeps its permissions; of a symbolic link, the target is replaced.
    Temporary files of killed processes are removed.
    """
    path = _resolved(Path(path))
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a file, got a folder, device, pipe or socket")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_temporary(path.parent)
    temporary, handle = path.parent / f"{TEMPORARY}{os.urandom(8).hex()}{path.suffix}", None
    try:  # the name is known before the file exists, as a signal may end the process at once
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(OSError, TypeError):  # file systems and systems without locks
            flock(handle, LOCK_EX)
        yield temporary
        mask = os.umask(0o077)
        os.umask(mask)
        temporary.chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


@cache  # once in a process, as a folder may get many files
def remove_temporary(folder: Path) -> None:
    """Removes temporary files from a folder, but those of processes that still run, which keep them locked."""
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError, TypeError), path.open("rb+") as file:  # a lock that cannot be had is an error
            flock(file, LOCK_EX | LOCK_NB)
            path.unlink()


def large_array(shape: tuple[int, ...], dtype: Any, content: Any = None) -> Any:
    """A new array, uninitialised or filled with ``content``; a large one is in a file without a name, if one can be."""
    import numpy as np  # not all commands need it

    array, size = None, math.prod(shape) * np.dtype(dtype).itemsize
    if size > LARGE and hasattr(os, "posix_fallocate") and len(_mapped) < MOST_MAPPED:
        with suppress(OSError), tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would end the process at a later write
            array = np.ndarray(shape, dtype, mapped := Mapped(file.fileno(), size))
            _mapped.add(mapped)
    array = np.empty(shape, dtype) if array is None else array
    if content is not None:
        array[...] = content
        release(array, content)
    return array


def release(*arrays: Any) -> None:
    """Lets go of the memory of large arrays, whose content stays in their files until it is used again."""
    for array in arrays:
        while array is not None and not isinstance(array, Mapped):
            array = getattr(array, "base", None)
        if array is not None:
            array.madvise(mmap.MADV_DONTNEED)


def pieces(array: Any) -> Iterator[Any]:
    """Parts of an array in order, along its first axis or axes; of a large one, few are in memory at a time."""
    rows = max(1, PIECE * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        yield from pieces(part[0]) if part.nbytes > PIECE and part.ndim > 1 else (part,)
        release(array)


def json_text(content: Any) -> str:
    """The text of our JSON files."""
    return json.dumps(content, indent=1) + "\n"


def write_json(path: str | Path, content: Any) -> None:
    """Writes a JSON file, replacing an existing one."""
    with replacing(path) as temporary:
        temporary.write_text(json_text(content), encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Content of a JSON file; ``ValueError`` naming the file if it is missing or not JSON."""
    return _parsed(Path(path), json.loads, "JSON")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Content of a TOML file; ``ValueError`` naming the file if it is missing or not TOML."""
    return dict(_parsed(Path(path), _parsed_toml, "TOML"))


def _parsed_toml(text: str) -> dict[str, Any]:
    """The parser's time grows with the square of the number of dots in a key."""
    if len(text) > LARGEST_TOML or max(line.count(".") for line in text.split("\n")) > MOST_DOTS:
        raise ValueError(f"expected at most {LARGEST_TOML:,} characters, and {MOST_DOTS} dots in a line")
    return tomllib.loads(text)


def existing_file(path: str | Path) -> Path:
    """The path; ``ValueError`` naming it if there is no such file."""
    if not Path(path).is_file():
        kind = "a folder" if Path(path).is_dir() else "a device, pipe or socket"
        raise ValueError(f"{path}: {f'expected a file, got {kind}' if Path(path).exists() else 'no such file'}")
    return Path(path)


def _parsed(path: Path, parse: Callable[[str], Any], kind: str) -> Any:
    existing_file(path)
    try:
        return parse(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise ValueError(f"{path}: not a {kind} file that can be read: nested too deep") from None
    except ValueError as error:  # of the syntax, the encoding, or an integer with too many digits
        raise ValueError(f"{path}: not a {kind} file ({error})") from None


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise ValueError(f"{path}: expected a file name, got a symbolic link to itself") from None
