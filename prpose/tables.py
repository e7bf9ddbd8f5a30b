"""Things by name: entries of a table, or objects and modules by import path; errors."""

import difflib
import importlib
import numbers
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
LARGEST = sys.float_info.max


def look_up(name: str, table: Mapping[str, T], kind: str) -> T:
    """``table[name]``, or a ``ValueError`` that lists the known names and the nearest one."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(unknown(name, table, kind))
    return table[name]


def unknown(name: str, known: Iterable[str], kind: str) -> str:
    """Message for an unknown name: "unknown lifter 'htent'; did you mean htnet? (known: htnet, mgcn_lw)"."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name)[:80], known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {name!r:.80}{hint} (known: {', '.join(known)})"


def is_number(value: Any) -> bool:
    """Whether a value, or an array without axes, is a finite real number of Python or NumPy, and not a Boolean."""
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    return isinstance(value, numbers.Real) and type(value) is not bool and bool(-LARGEST <= value <= LARGEST)  # type: ignore


def is_import_path(name: str) -> bool:
    """Whether a name is an import path, ``package.module:Class``, rather than an entry of a table."""
    return ":" in name


def import_object(path: str) -> Any:
    """The object at ``package.module:name``, which runs code: the path must come from the user, never from a file."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return pkgutil.resolve_name(path)
    except Exception as error:  # the module is the user's and can raise anything
        raise ValueError(f"expected package.module:Class, cannot import {path!r:.80}: {error}") from None
    finally:
        sys.path.remove(here)


def import_extra(module: str, extra: str | None = None) -> Any:
    """A module of an optional dependency; ``ValueError`` naming what to install, the extra or itself, without it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        problem = "is not installed" if error.name == name else f"cannot be imported ({error})"
        raise ValueError(f"{name} {problem}: pip install " + (f'"prpose[{extra}]"' if extra else name)) from None


@contextmanager
def naming(where: object, errors: type[Exception] | tuple[type[Exception], ...] = ValueError) -> Iterator[None]:
    """Names a place in errors of the block, which become a ``ValueError`` of one line: "walk.json: expected ..."."""
    try:
        yield
    except errors as error:
        text, start = printable(error), printable(f"{where}: ")
        raise ValueError(start + text.removeprefix(start)) from None


def printable(text: object) -> str:
    """One line without control characters, which in a name could change the terminal."""
    line = " ".join(str(text).split("\n"))
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
