"""Things by name: entries of a table, or objects and modules by import path; networks from arguments; errors."""

import difflib
import importlib
import math
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def look_up(name: str, table: Mapping[str, T], kind: str) -> T:
    """``table[name]``, or a ``ValueError`` that lists the known names and the nearest one."""
    if name not in table:
        raise ValueError(unknown(name, table, kind))
    return table[name]


def unknown(name: str, known: Iterable[str], kind: str) -> str:
    """Message for an unknown name: "unknown lifter 'htent'; did you mean htnet? (known: htnet, mgcn_lw)"."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {name!r:.80}{hint} (known: {', '.join(known)})"


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


def construct(name: str, constructor: Callable[..., T], kw: Mapping[str, Any]) -> T:
    """A network built with keyword arguments; ``ValueError`` for arguments that it does not accept, NaN or infinity."""
    if not all(map(_is_finite, kw.values())):
        raise ValueError(f"{name} cannot be built with {kw!s:.200}: expected finite numbers")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # as of layers without elements
            return constructor(**kw)
    except (TypeError, RuntimeError, ArithmeticError, AttributeError, LookupError, MemoryError, UserWarning) as error:
        raise ValueError(f"{name} cannot be built with {kw!s:.200}: {error}") from None


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
