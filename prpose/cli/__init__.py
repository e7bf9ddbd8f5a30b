"""The command line. Only this package chooses devices and seeds, prints and exits."""

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import tyro

import prpose
from prpose.atomic import read_toml
from prpose.cli.console import current_command, print_line, recorded
from prpose.cli.data import inspect_data, prepare_3dhp, prepare_cmu, prepare_h36m, prepare_mocap
from prpose.cli.evaluate import evaluate
from prpose.cli.models import models
from prpose.cli.pack import pack
from prpose.cli.predict import predict
from prpose.cli.train import train_lifter, train_noise
from prpose.training import processes

__all__ = ["current_command", "guarded", "main", "run"]

Tree = dict[str, Any]

COMMANDS: Tree = {
    "predict": predict,
    "evaluate": evaluate,
    "train": {"lifter": train_lifter, "noise": train_noise},
    "data": {
        "prepare": {"h36m": prepare_h36m, "3dhp": prepare_3dhp, "cmu": prepare_cmu, "mocap": prepare_mocap},
        "inspect": inspect_data,
    },
    "models": models,
    "pack": pack,
}
GROUPS = {
    "train": "Train a lifter or a noise model: lifter, noise.",
    "data": "Prepare a data set or inspect one: prepare, inspect.",
    "prepare": "Convert original files to the data sets that prpose reads: h36m, 3dhp, cmu, mocap.",
}
STOPPED = {128 + getattr(signal, name): name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
"""Exit codes after signals that end a command; its temporary files are removed first."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the ``prpose`` command."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args == ["--version"]:
        print(f"prpose {prpose.__version__}")
        return
    for name in STOPPED.values():
        if signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:  # as under nohup
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    sys.exit(guarded(lambda: _run_together(args)))


def _run_together(args: list[str]) -> None:
    """Runs the command; under torchrun, all processes train together, and other commands run in the first one."""
    with processes.joined(), Path(os.devnull).open("w") as nowhere:
        if processes.rank() == 0:
            run(args)
        elif args[:1] == ["train"]:
            with redirect_stdout(nowhere):
                run(args)


def run(args: Sequence[str]) -> None:
    """Runs the command that ``args`` name, as ``["predict", "walk.json", "--out", "walk.npz"]``.

    Raises:
        ValueError: for a user's mistake.
        SystemExit: after ``--help``, and for arguments that do not exist.
    """
    for before, word in zip(["", *args], args, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):
            raise ValueError(f"expected a value for {(before if not word else word[:-1]) or 'IN'}, got an empty one")
    tree, words, rest = COMMANDS, ["prpose"], list(args)
    while rest and isinstance(tree.get(rest[0]), dict):
        words.append(rest[0])
        tree, rest = tree[rest[0]], rest[1:]
    commands = {name: _group(name) if isinstance(node, dict) else node for name, node in tree.items()}
    if rest and rest[0] in commands:
        commands[rest[0]], rest[1:] = _configured(commands[rest[0]], rest[1:])
    with recorded(args):
        try:
            tyro.extras.subcommand_cli_from_dict(commands, prog=" ".join(words), args=rest)
        except _InvalidConfig as error:
            raise ValueError(str(error)) from None


def _group(name: str) -> Callable[[], None]:
    """A stand-in that lists a group of commands in the help text."""

    def group() -> None:
        raise AssertionError("run() enters a group before tyro parses the arguments")

    group.__doc__ = GROUPS[name]
    return group


def _configured(command: Callable[..., None], args: list[str]) -> tuple[Callable[..., None], list[str]]:
    """The command with the defaults of its ``config`` from the TOML file of ``--config``, and the other arguments."""
    kind = get_type_hints(command).get("config")
    if kind is None:
        return command, args
    config, others = inspect.signature(command).parameters["config"].default, list[str]()
    words = iter(args)
    for word in words:
        option, equals, file = word.partition("=")
        if option != "--config":
            others.append(word)
            continue
        path = Path(file if equals else next(words, ""))
        content = read_toml(path)
        try:
            config = kind.from_mapping(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return functools.partial(command, config=_reporting(kind)(**vars(config))), others


class _InvalidConfig(Exception):
    """A ``ValueError`` of a config."""


def _reporting(kind: type[Any]) -> type[Any]:
    """A config's class, but tyro does not catch its ``ValueError`` to print it as a box of several lines."""

    def check(self: Any) -> None:
        try:
            kind.__post_init__(self)
        except ValueError as error:
            raise _InvalidConfig(str(error)) from None

    def reduce(self: Any) -> tuple[Any, ...]:
        return kind, tuple(vars(self).values())

    methods = {"__post_init__": check, "__reduce__": reduce, "__doc__": kind.__doc__}
    return dataclass(frozen=True)(type(kind.__name__, (kind,), methods))


def guarded(command: Callable[[], None]) -> int:
    """Runs a command and returns its exit code; a user's mistake becomes one line on standard error.

    Exit codes: 0, success; 1, an error; 130, interrupted; 129 and 143, ended by SIGHUP and SIGTERM.
    """
    try:
        command()
    except SystemExit as stop:  # after --help, or tyro has printed what is wrong with the arguments
        if isinstance(stop.code, str):
            print_line(stop.code, error=True)
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        return code if code in STOPPED else min(code, 1)
    except KeyboardInterrupt:
        print_line("interrupted; no incomplete file was written", error=True)
        return 130
    except (ValueError, OSError, MemoryError) as error:
        which = f" (process {processes.rank()})" if processes.rank() else ""
        print_line(f"error{which}: {error}", error=True)
        return 1
    return 0
