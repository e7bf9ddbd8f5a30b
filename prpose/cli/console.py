"""What commands share: options, what they print, their progress, the command line they record and the device."""

import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column, Table
from rich.text import Text

from prpose.tables import printable

if TYPE_CHECKING:
    import torch

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
ConfigFile = Annotated[Path | None, tyro.conf.arg(name="config")]  # read by prpose.cli before tyro parses the arguments
Advance = Callable[..., None]  # of a bar: by a number of steps; a second number replaces that of all steps
Bar = Callable[..., AbstractContextManager[Advance]]  # as :func:`progress`
NO_BAR: Bar = lambda *_: nullcontext(lambda *_: None)  # noqa: E731
BAR_WIDTH = 20  # columns
LONGEST = 4000  # characters of an error
_arguments: list[str] = []
_started = [time.monotonic()]  # when the current command began


@contextmanager
def recorded(args: Sequence[str]) -> Iterator[None]:
    """While the block runs, ``args`` are the arguments of the current command."""
    before = _arguments[:], _started[:]
    _arguments[:], _started[:] = args, [time.monotonic()]
    try:
        yield
    finally:
        _arguments[:], _started[:] = before


def process_count() -> int:
    """Number of processes that torchrun has started, or 1; known before PyTorch is imported."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0, among those that torchrun has started."""
    return int(os.environ.get("RANK", "0")) if process_count() > 1 else 0


def current_command() -> str:
    """The command line that is running, quoted for a shell; files record it."""
    return shlex.join(["prpose", *_arguments])


def told_apart(paths: Sequence[Path]) -> list[str]:
    """Names of files: their stems or, if some of these are equal, their paths."""
    stems = [path.stem for path in paths]
    return [printable(name) for name in (stems if len({*stems}) == len(stems) else paths)]


def print_line(text: object, error: bool = False) -> None:
    """One line on standard output, or on standard error, written at once; an error may quote the whole of a file."""
    print(printable(str(text)[:LONGEST] if error else text), file=sys.stderr if error else sys.stdout, flush=True)


def print_result(done: str, hint: str = "", *command: object) -> None:
    """A command's last line: what it has done and in what time and, after a hint, the command to go on with."""
    took = time.monotonic() - _started[0]
    then = f" {hint}: {shlex.join(map(str, ('prpose', *command)))}" if command else ""
    print_line(f"{done} in {f'{took:.1f} s' if took < 60 else duration(took)}.{then}")


def duration(seconds: float) -> str:
    """Whole seconds, up to an hour with minutes, then hours and minutes: 5 s, 2 min 05 s, 1 h 03 min."""
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left:02d} s" if minutes else f"{left} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def exit_without(addresses: Sequence[str], patience_s: float, ended: Event, error: str) -> None:
    """In a thread: exit code 1, and an error, once a host and port that answered have not for so long, until an end."""
    last: dict[str, float] = {}
    while not ended.wait(0.5):
        for host, _, port in (address.rpartition(":") for address in addresses):
            with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=patience_s):
                last[port] = time.monotonic()
        if last and time.monotonic() > min(last.values()) + patience_s and not ended.is_set():
            print_line(f"error: {error}", error=True)
            os._exit(1)


def plain_console() -> Console:
    """Standard output for tables, without rich's markup: names may contain brackets and colons."""
    return Console(markup=False, emoji=False)


def print_table(title: str, heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Prints a table; its columns are the rows' names and ``heads``. No number is cut, even if lines get too long."""
    table = Table(title=printable(title), title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, cells in rows.items():
        table.add_row(*map(printable, (name, *cells)))
    console = plain_console()
    console.width = max(console.width, console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table)


class _Pace(ProgressColumn):
    """Steps done, steps per second and the time left, as far as they are known; else the time so far."""

    def render(self, task: Task) -> Text:
        done, elapsed, unit = task.completed, task.elapsed or 0.0, task.fields["unit"]
        total = "" if task.total is None else f"/{task.total:,.0f}"
        if not done:
            return Text(f"0{total} {unit}" if total else duration(elapsed))
        speed = task.speed or done / max(elapsed, 1e-9)  # without the first step's, such as that of a resumed training
        rate = f"{speed:,.0f}" if speed >= 100 else f"{speed:.2g}"
        left = f"{duration(elapsed)}" if task.total is None else f"{duration((task.total - done) / speed)} left"
        return Text(f"{done:,.0f}{total} · {rate} {unit}/s · {left}")


@contextmanager
def progress(description: str, total: float | None = None, unit: str = "frames") -> Iterator[Advance]:
    """A progress bar on standard error, if that is a terminal, in the first of several processes; yields its advance.

    It disappears at the end of the block, as the command's results say what was done.

    Args:
        description: What is done.
        total: Number of steps, or None while it is unknown.
        unit: What a step is, in the plural.
    """
    console, column = Console(stderr=True), Column(no_wrap=True)
    columns = TextColumn("{task.description}", table_column=column), BarColumn(BAR_WIDTH), _Pace(table_column=column)
    shown = console.is_terminal and sys.stderr.isatty() and not rank()
    # rich would also print standard output above the bar, on standard error; a file gets its own
    with Progress(
        *columns, console=console, disable=not shown, transient=True, redirect_stdout=sys.stdout.isatty()
    ) as bar:
        task = bar.add_task(description, total=total, unit=unit)
        yield lambda steps=1, total=None: bar.update(task, advance=steps, total=total)


def named_device(name: str, process: int | None = None) -> "torch.device":
    """A device by name; ``auto`` is a GPU if there is one, else the CPU. ``ValueError`` if it is not available.

    Args:
        name: Name of the device: auto, cpu, cuda, cuda:1 ...
        process: Number of this process among those of a machine, which share the GPUs. Default: torchrun's.
    """
    import torch  # takes more than a second, and not all commands need it

    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if name == "auto":
        gpus = available[1:]
        process = int(os.environ.get("LOCAL_RANK", "0")) if process is None else process
        return torch.device(gpus[process % len(gpus)] if gpus else "cpu")
    if name not in available and not (name == "cuda" and len(available) > 1):
        raise ValueError(f"expected an available device, got {name!r} (available: {', '.join(available)})")
    return torch.device(name)


def device_of(model: str, name: str, process: int | None = None) -> "torch.device | str":
    """As :func:`named_device`; that of ONNX Runtime, whose ``auto`` is the CPU, by its name."""
    from prpose.onnx import is_onnx  # imports NumPy, which not all commands need

    if is_onnx(model):
        return "cpu" if name == "auto" else name
    return named_device(name, process)
