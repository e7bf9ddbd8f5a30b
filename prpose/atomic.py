"""Files appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_output(path: str | Path, overwrite: bool) -> Path:
    """The path, if something may be written there; ask this before the work, not after it.

    A folder that does not exist yet is made when the file is (:func:`replacing`).

    Raises:
        ValueError: if the file exists and ``overwrite`` is false, if it is something else than a
            file (a device, say), or if its folder is none or cannot be written to.
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
        raise ValueError(f"{path}: expected a folder that may be written to")
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place if, and only if, the block succeeds.

    Folders that do not exist are made. Where ``path`` is a symbolic link, the file that it leads to
    is replaced, and the link stays.

    Raises:
        ValueError: if ``path`` is neither a file nor free.
    """
    path = _resolved(Path(path))
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a file, got a folder, device, pipe or socket")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".prpose-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        raise ValueError(f"{path}: expected a file name, got a link that leads nowhere") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
