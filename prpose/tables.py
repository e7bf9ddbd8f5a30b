"""Tables of named things, and what to say when a name is not in one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def look_up(name: str, table: Mapping[str, T], kind: str) -> T:
    """``table[name]``, or a ``ValueError`` that lists the known names and the nearest."""
    if name not in table:
        raise ValueError(unknown(name, table, kind))
    return table[name]


def unknown(name: str, known: Iterable[str], kind: str) -> str:
    """Message for a name that is not among the known ones.

    Example:
        >>> unknown("htent", ["htnet", "mgcn_lw"], "lifter")
        "unknown lifter 'htent'; did you mean htnet? (known: htnet, mgcn_lw)"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})"
