"""The command line. Only this package chooses devices and seeds, prints and exits."""

import argparse
import ast
import functools
import importlib
import inspect
import operator
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

import prpose
from prpose.atomic import read_toml
from prpose.cli.console import print_line, process_count, rank, recorded
from prpose.tables import is_import_path, look_up

COMMANDS: dict[str, Any] = {
    "predict": "predict:predict",
    "view": "view:view",
    "evaluate": "evaluate:evaluate",
    "report": "report:report",
    "train": {"lifter": "train:train_lifter", "noise": "train:train_noise", "sampler": "train:train_sampler"},
    "data": {
        "prepare": {
            "h36m": "data:prepare_h36m",
            "3dhp": "data:prepare_3dhp",
            "cmu": "data:prepare_cmu",
            "mocap": "data:prepare_mocap",
        },
        "inspect": "data:inspect_data",
    },
    "figure": "figure:figure",
    "models": "models:models",
    "pack": "pack:pack",
    "export": "pack:export",
}
"""Commands and groups of them: functions, or where they are in this package, to be imported when they are run."""
CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]")
# Exit codes after signals that end a command; its temporary files are removed first.
STOPPED = {128 + getattr(signal, name): name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}

OPTIONS = ConstructorRegistry()  # how tyro reads options of our types


@OPTIONS.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """``T | None`` is read as T, or as None if that is the word: help has ``--fps FLOAT``, not ``{None}|FLOAT``."""
    kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
    if info.type_origin not in (Union, UnionType) or len(kinds) == len(get_args(info.type)):
        return None
    spec = ConstructorRegistry.get_primitive_spec(
        PrimitiveTypeInfo.make(functools.reduce(operator.or_, kinds), info.markers)
    )
    assert isinstance(spec, PrimitiveConstructorSpec), "options are of types that tyro knows"
    return replace(
        spec,
        instance_from_str=lambda words: None if words == ["None"] else spec.instance_from_str(words),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the ``prpose`` command."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args == ["--version"]:
        print(f"prpose {prpose.__version__}")
        return
    exit_on_signals()
    sys.exit(guarded(lambda: _run_together(args)))


def exit_on_signals() -> None:
    """Lets the first of the signals of :data:`STOPPED` raise ``SystemExit``; another one would disturb the end."""
    for name in STOPPED.values():
        if signal.getsignal(number := getattr(signal, name)) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _exit)


def _exit(number: int, _: object) -> None:
    for name in STOPPED.values():
        signal.signal(getattr(signal, name), lambda *_: None)
    sys.exit(128 + number)


def _run_together(args: list[str]) -> None:
    """Under torchrun, all processes train together, of which the first prints; it alone runs other commands."""
    if process_count() == 1:
        run(args)
        return
    processes = importlib.import_module("prpose.training.processes")
    with processes.joined(), Path(os.devnull).open("w") as nowhere:
        if not rank() or args[:1] == ["train"]:
            with redirect_stdout(nowhere if rank() else sys.stdout):
                run(args)


def run(args: Sequence[str]) -> None:
    """Runs the command that ``args`` name, as ``["predict", "walk.json", "--out", "walk.npz"]``.

    Raises:
        ValueError: for a user's mistake.
        SystemExit: after ``--help``, and for invalid options.
    """
    for before, word in zip(["", *args], args, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):
            raise ValueError(f"expected a value for {(before if not word else word[:-1]) or 'IN'}, got an empty one")
    tree, words, rest = COMMANDS, ["prpose"], list(args)
    while rest and isinstance(tree.get(rest[0]), dict):
        words.append(rest[0])
        tree, rest = tree[rest[0]], rest[1:]
    for place, word in enumerate(rest):  # which would be printed as it is where it is not expected
        if CONTROL.search(word) and not (place == 1 and Path(word).exists()):
            raise ValueError(f"expected arguments without control characters, got {word!r:.80}")
    commands = {name: _listed(node) for name, node in tree.items()}
    if rest and not rest[0].startswith("-"):
        commands[rest[0]], rest[1:] = _configured(imported(look_up(rest[0], tree, "command")), rest[1:])
    with recorded(args), OPTIONS:
        tyro.extras.subcommand_cli_from_dict(commands, prog=" ".join(words), args=rest)


def imported(command: Any) -> Callable[..., None]:
    """A command's function, imported if it is named."""
    if not isinstance(command, str):
        return cast(Callable[..., None], command)
    module, _, name = command.partition(":")
    return cast(Callable[..., None], getattr(importlib.import_module(f"prpose.cli.{module}"), name))


def _listed(node: Any) -> Callable[[], None]:
    """A function with the help text of a command or a group, for the list of commands; nothing is imported for it."""

    def listed() -> None:
        raise AssertionError("run() enters a group, and imports a command, before tyro parses the arguments")

    if isinstance(node, dict):
        listed.__doc__ = f"Commands: {', '.join(node)}."
    elif isinstance(node, str):
        module, _, name = node.partition(":")
        tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
        (function,) = (part for part in tree.body if isinstance(part, ast.FunctionDef) and part.name == name)
        listed.__doc__ = (ast.get_docstring(function) or "").partition("\n\n")[0]
    return listed


def _configured(command: Callable[..., None], args: list[str]) -> tuple[Callable[..., None], list[str]]:
    """The command with the defaults of its ``config`` from the TOML file of ``--config``, and the other arguments."""
    kind = get_type_hints(command).get("config")
    if kind is None:
        return command, args
    parser = argparse.ArgumentParser("prpose", argparse.SUPPRESS, add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    known, others = parser.parse_known_args(args)
    config = inspect.signature(command).parameters["config"].default
    if known.config is not None:
        from prpose.config import config_from

        content = read_toml(known.config)
        try:
            if is_import_path(str(content.get("detector", ""))):  # a file does not choose what is run
                raise ValueError("expected a detector of prpose; classes are named by --detector only")
            config = config_from(kind, content)
        except ValueError as error:
            raise ValueError(f"{known.config}: {error}") from None
    return functools.partial(command, config=_exiting(kind)(**vars(config))), others


def _exiting(kind: Any) -> Any:
    """A config's class that exits where ``kind`` raises a ``ValueError``, which tyro would print as a box of lines."""

    class Exiting(kind):  # type: ignore[misc]
        __doc__ = kind.__doc__

        def __post_init__(self) -> None:
            try:
                super().__post_init__()
            except ValueError as error:
                sys.exit(f"error: {error}")

        def __reduce__(self) -> tuple[Any, ...]:  # other processes have no such class
            return kind, tuple(vars(self).values())

    return dataclass(frozen=True)(Exiting)


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
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        print_line("error: this command needs PyTorch, which is not installed; .onnx models do not", error=True)
        return 1
    except BrokenPipeError:  # the program that reads the output has ended, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python prints an error at its end
        return 1
    except (ValueError, OSError, MemoryError) as error:
        which = f" (process {rank()})" if rank() else ""
        print_line(f"error{which}: {str(error) or 'out of memory'}", error=True)
        return 1
    return 0
