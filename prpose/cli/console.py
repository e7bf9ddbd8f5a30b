"""What commands share: options, what they print, their progress, the command line they record and the device."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
ConfigFile = Annotated[Path | None, tyro.conf.arg(name="config")]  # read by prpose.cli before tyro parses the arguments
_arguments: list[str] = []


@contextmanager
def recorded(args: Sequence[str]) -> Iterator[None]:
    """While the block runs, ``args`` are the arguments of the current command."""
    before = _arguments[:]
    _arguments[:] = args
    try:
        yield
    finally:
        _arguments[:] = before


def current_command() -> str:
    """The command line that is running, quoted for a shell; files record it."""
    return shlex.join(["prpose", *_arguments])


def printable(text: object) -> str:
    """One line without control characters, which in a name could change the terminal."""
    line = " ".join(str(text).split("\n"))
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def print_line(text: object, error: bool = False) -> None:
    """One line on standard output, or on standard error, written at once."""
    print(printable(text), file=sys.stderr if error else sys.stdout, flush=True)


def plain_console() -> Console:
    """Standard output for tables, without rich's markup: names may contain brackets and colons."""
    return Console(markup=False, emoji=False)


def print_table(title: str, heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Prints a table; its columns are the rows' names and ``heads``."""
    table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    plain_console().print(table)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, if that is a terminal; the function yielded advances it by a number of steps.

    Args:
        description: What is counted.
        total: Number of steps, or None if unknown.
    """
    columns = *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


def named_device(name: str, process: int | None = None) -> torch.device:
    """A device by name; ``auto`` is a GPU if there is one, else the CPU. ``ValueError`` if it is not available.

    Args:
        name: Name of the device: auto, cpu, cuda, cuda:1 ...
        process: Number of this process among those of a machine, which share the GPUs. Default: torchrun's.
    """
    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        gpus = available[1:]
        process = int(os.environ.get("LOCAL_RANK", "0")) if process is None else process
        return torch.device(gpus[process % len(gpus)] if gpus else "cpu")
    if name not in available and not (name == "cuda" and len(available) > 1):
        raise ValueError(f"expected an available device, got {name!r} (available: {', '.join(available)})")
    return torch.device(name)
