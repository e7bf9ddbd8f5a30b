"""The command line. Only here are device and seed chosen, and only here is printed and exited."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import tyro

import prpose
from prpose import processes
from prpose.cli.data import inspect, prepare_3dhp, prepare_cmu, prepare_h36m, prepare_mocap
from prpose.cli.evaluate import evaluate
from prpose.cli.models import models
from prpose.cli.pack import pack
from prpose.cli.predict import predict
from prpose.cli.train import train_lifter, train_noise

Tree = dict[str, Any]

COMMANDS: Tree = {
    "predict": predict,
    "evaluate": evaluate,
    "data": {
        "prepare": {
            "h36m": prepare_h36m,
            "3dhp": prepare_3dhp,
            "cmu": prepare_cmu,
            "mocap": prepare_mocap,
        },
        "inspect": inspect,
    },
    "models": models,
    "pack": pack,
    "train": {"lifter": train_lifter, "noise": train_noise},
}
SHARED = ("predict", "train")
"""Commands that several processes do together; others the first one does alone."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the ``prpose`` command."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args == ["--version"]:
        print(f"prpose {prpose.__version__}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that files are tidied up
    sys.exit(guarded(lambda: _run_together(args)))


def _run_together(args: list[str]) -> None:
    """The command in this process, or its share of it."""
    with processes.joined(), Path(os.devnull).open("w") as nowhere:
        if processes.rank() == 0:
            run(args)
        elif args[:1] and args[0] in SHARED:
            with redirect_stdout(nowhere):
                run(args)


def run(args: list[str]) -> None:
    """Walks down the tree of commands and runs the one that is named."""
    tree, words = COMMANDS, ["prpose"]
    while args and isinstance(tree.get(args[0]), dict):
        words.append(args[0])
        tree, args = tree[args[0]], args[1:]
    from prpose.cli.console import recorded

    commands = {name: _listed(name, node) for name, node in tree.items()}
    with recorded(sys.argv[1:]):
        tyro.extras.subcommand_cli_from_dict(commands, prog=" ".join(words), args=args)


def _listed(name: str, node: Any) -> Callable[..., Any]:
    """A command, or a stand-in that lists a subtree in the help text."""
    if not isinstance(node, dict):
        return node

    def group() -> None:
        raise AssertionError("a subtree is walked into before tyro sees it")

    group.__doc__ = "More commands: " + ", ".join(node) + "."
    return group


def guarded(command: Callable[[], None]) -> int:
    """Runs a command; what a user can do wrong becomes a line on stderr and an exit code."""
    try:
        command()
    except SystemExit as stop:  # tyro and argparse have said what was wrong with the arguments
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        if stop.code == 143:
            return 143
        return 0 if stop.code in (0, None) else 1
    except KeyboardInterrupt:
        print("interrupted; no file is left half-written", file=sys.stderr)
        return 130
    except (ValueError, OSError, MemoryError) as error:
        which = f" (process {processes.rank()})" if processes.rank() else ""
        print(f"error{which}:", " ".join(str(error).split("\n")), file=sys.stderr)
        return 1
    return 0
