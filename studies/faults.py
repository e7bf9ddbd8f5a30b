"""Commands that are killed at random moments: what they leave, and what the next run makes of it.

    python -m studies.faults --workers 2               # 50 moments for SIGKILL, 50 for others; two commands at once
    python -m studies.faults --kills 5 --only predict  # fewer, of the commands whose names begin with predict

Makes the first table of docs/reliability.md, on Linux. A command is run once, which is timed; then again and again, in
a folder of its own, and killed at a random moment: half of them are drawn from all of that time, half from the time
from the first temporary file to the end. Every second time, outputs of an earlier run are in the folder. Afterwards,
each output must be as before, or whole and as of a run that was not killed; after other signals than SIGKILL no
temporary file may be left. Where the folder is not as it was at first, the same command then runs to its end: its
outputs must be those of a run that was not killed, and no temporary file may be left. Every second signal of the
others is sent to all processes of the command, as a terminal does. The commands run in forks of this process, so that
most of their time is not spent on imports.
"""

import importlib
import json
import multiprocessing
import os
import pkgutil
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import tyro
from safetensors.torch import load_file

import prpose.cli
from prpose.cli import guarded
from prpose.model import load
from studies.small_runs import (
    Command,
    commands,
    contents,
    finished,
    print_markdown,
    started,
    temporary_files,
    write_inputs,
)

OTHERS = ("SIGTERM", "SIGINT", "SIGHUP")
IMPORTED = (
    "matplotlib.pyplot",
    "onnx",
    "onnxruntime",
    "onnxscript.optimizer",
    "torch._dynamo",
    "torch.onnx._internal.exporter._core",
)
"""By commands, and before them here, as they take seconds."""


def group_ended(pid: int, limit_s: float = 20.0) -> bool:
    """Waits for the other processes of a command, such as those of its pool, which end after it."""
    start = time.monotonic()
    while time.monotonic() < start + limit_s:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    return False


@dataclass
class Row:
    """What was counted for a command and a signal."""

    tried: int = 0
    written: int = 0  # killed after an output was written
    left: int = 0  # left a temporary file
    again: int = 0  # run again, as the folder was not as at first
    violations: int = 0


def strangers(folder: Path, command: Command) -> list[str]:
    """Visible files that are no outputs."""
    inside = (path.relative_to(folder) for path in folder.rglob("[!.]*") if path.is_file())
    known = {"log", *command.outputs} | ({"run/config.json", "run/checkpoint.pt"} if command.resumes else set())
    return sorted(str(path) for path in inside if str(path) not in known)


def check_training(folder: Path) -> None:
    """Raises an error if a file of an unfinished training is not whole."""
    run = folder / "run"
    for name in ("config.json", "log.jsonl"):
        for line in (run / name).read_text().splitlines() if name == "log.jsonl" and (run / name).exists() else []:
            json.loads(line)
    if (run / "config.json").exists():
        json.loads((run / "config.json").read_text())
    if (run / "best.safetensors").exists():
        load_file(run / "best.safetensors")
    if (run / "checkpoint.pt").exists():
        torch.load(run / "checkpoint.pt", weights_only=True)


def trial(command: Command, where: Path, name: str, moment_s: float, number: int, row: Row) -> Iterator[str]:
    """Kills a command at a moment, looks at what is left, and runs it again; yields what is wrong."""
    existing, to_all = number % 2 == 1 and not command.resumes, name != "SIGKILL" and number // 4 % 2 == 1
    folder, old, new = where / "trial", where / "old", contents(where / "new", command.outputs)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if existing:
        shutil.copytree(old, folder, dirs_exist_ok=True)
    before = contents(folder, command.outputs)
    pid = started(command.run(), folder)
    time.sleep(moment_s)
    with suppress(ProcessLookupError):
        (os.killpg if to_all else os.kill)(pid, getattr(signal, name))
    code, _ = finished(pid)
    if code is None or not group_ended(pid):
        yield f"did not end after {name}"
    after, left = contents(folder, command.outputs), temporary_files(folder)
    row.tried, row.left, row.written = row.tried + 1, row.left + bool(left), row.written + (after != before)
    if name != "SIGKILL" and left:
        yield f"left {left[0].name} after {name}"
    number, text = getattr(signal, name), (folder / "log").read_text() if (folder / "log").exists() else ""
    # Negative, or with a traceback of KeyboardInterrupt, before the command has begun.
    if name != "SIGKILL" and code not in (0, 130, 128 + number, -number) and "KeyboardInterrupt" not in text:
        yield f"ended with {code} after {name}: {text[-300:]}"
    if extra := strangers(folder, command):
        yield f"left {extra}"
    yield from wrong_outputs(command, folder, before, after, new)
    if left or command.resumes or after not in (before, new):
        row.again += 1
        yield from next_run(command, folder, new)


def wrong_outputs(command: Command, folder: Path, before: dict, after: dict, new: dict) -> Iterator[str]:
    """Outputs that are neither as before nor those of a whole run."""
    if command.resumes:
        try:
            check_training(folder)
        except Exception as error:
            yield f"half-written: {error}"
        return
    for output in before.keys() | after.keys():
        if after.get(output) not in (before.get(output), new[output]):
            yield f"{output} is neither as before nor whole"
    model = folder / "model"
    if (model / "card.json").is_file():
        with suppress(ValueError):  # an error is fine: the checksums of a folder of several files differ
            load(model)


def next_run(command: Command, folder: Path, new: dict[str, bytes]) -> Iterator[str]:
    """Runs a command to its end, and yields what is not as if it had never been killed."""
    begun = command.resumes and (folder / "run" / "config.json").exists()
    code, _ = finished(started(command.run(*(["--resume"] if begun else [])), folder))
    if code != 0:
        yield f"the next run ended with {code}: {(folder / 'log').read_text()[-300:]}"
    if contents(folder, command.outputs) != new:
        yield "the next run wrote other outputs"
    if left := temporary_files(folder):
        yield f"{left[0].name} was left by the next run"


def tried(name: str, command: Command, where: Path, kills: int, seed: int) -> dict[str, Row]:
    """Rows by signal, of a command with a name."""
    begun, rng = time.monotonic(), random.Random(f"{name} {seed}")
    for place, words in (("old", command.before), ("new", ())):
        folder, start, begin_s = where / place, time.monotonic(), None
        folder.mkdir(parents=True)
        pid = started(command.run(*words), folder)
        while not (done := os.waitpid(pid, os.WNOHANG))[0]:
            time.sleep(0.005)
            if begin_s is None and temporary_files(folder):
                begin_s = time.monotonic() - start
        took_s = time.monotonic() - start
        if done[1] != 0:
            raise ValueError(f"{command.words} ended with {done[1]}: {(folder / 'log').read_text()}")
        (folder / "log").unlink()
    rows = {"SIGKILL": Row(), "others": Row()}
    for number in range(2 * kills):
        kind, sent = ("SIGKILL", "SIGKILL") if number < kills else ("others", OTHERS[number % len(OTHERS)])
        moment_s = rng.uniform((begin_s or 0) if number // 2 % 2 else 0, took_s)
        for problem in trial(command, where, sent, moment_s, number, rows[kind]):
            rows[kind].violations += 1
            print(f"{name}: {problem}", file=sys.stderr, flush=True)
    spent_s = time.monotonic() - begun
    print(f"{name}: {spent_s:.0f} s, of {took_s:.1f} s a run;", *rows.values(), file=sys.stderr, flush=True)
    return rows


def main(kills: int = 50, only: str = "", workers: int = 1, seed: int = 0) -> dict[str, dict[str, Row]]:
    """Print a row per command: how often it was killed, and how often something was wrong.

    Args:
        kills: Number of moments for SIGKILL, and for SIGTERM, SIGINT and SIGHUP in turns.
        only: Begin of the names of the commands that are tried.
        workers: Number of commands that are tried at the same time.
        seed: Random seed of the moments.
    """
    torch.set_num_threads(1)
    names = [f"prpose.cli.{module.name}" for module in pkgutil.iter_modules(prpose.cli.__path__)]
    for name in [*names, *IMPORTED]:
        importlib.import_module(name)
    found = {}
    with TemporaryDirectory() as root:
        inputs = Path(root) / "inputs"
        inputs.mkdir()
        write_inputs(inputs)
        chosen = {name: command for name, command in commands(inputs).items() if name.startswith(only)}
        with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
            # Slow ones are the last in the table, and should not be the last to begin.
            futures = {
                pool.submit(tried, name, command, Path(root) / name, kills, seed): name
                for name, command in reversed(chosen.items())
            }
            found = {futures[future]: future.result() for future in as_completed(futures)}
    rows = {}
    for name, (killed, ended) in ((name, found[name].values()) for name in chosen):
        of_kills = [killed.tried, killed.written, killed.left, killed.again]
        rows[name] = [*of_kills, ended.tried, ended.left, killed.violations + ended.violations]
    columns = "SIGKILL", "after an output", "temporary file left", "run again", "others", "left", "violations"
    print_markdown(columns, rows)
    return found


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
