"""Commands without space or permission to write, two on one output, processes of a training and Ray workers that die.

    python -m studies.limits --times 10        # as root, who mounts small and read-only file systems, on Linux

Makes the second table of docs/reliability.md. Without space or permission, a command must end with exit code 1 and an
error that names the reason, without a traceback; earlier outputs must be as they were, and no temporary file is left.
"""

import concurrent.futures.process  # noqa: F401  # which another user may not be able to read later, nor
import os
import random
import resource
import signal
import subprocess
import sys
import time
import webbrowser  # noqa: F401  # this one
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import tyro
from torch import Tensor, nn

from prpose.cli import guarded
from prpose.lifter import build_lifter
from studies.small_runs import (
    TRAINING,
    Command,
    commands,
    contents,
    finished,
    print_markdown,
    started,
    temporary_files,
    write_inputs,
)

NOBODY = 65534
MARK = "PRPOSE_STUDY"
"""Of the environment of the processes of a command."""
Fault = Callable[[], object]


class Dying(nn.Module):
    """A lifter that raises an error, or kills its process, in some step of one of several processes."""

    F = 1

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = build_lifter("mgcn_lw", hidden=16, blocks=1), 0

    def forward(self, keypoints: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == 3 and os.environ.get("RANK") == os.environ.get("PRPOSE_DYING"):
            if os.environ["PRPOSE_FAULT"] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("this process has lost its data")
        return self.net(keypoints)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory at a folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # processes of a pool may end later


def refused(command: Command, folder: Path, log: Path, reasons: tuple[str, ...], first: Fault) -> Iterator[str]:
    """Runs a command that cannot write, and yields what is wrong."""
    before = contents(folder, command.outputs)
    code, _ = finished(started(command.run(), folder, log, first))
    text = log.read_text(errors="replace")
    if code != 1 or "error: " not in text or "Traceback" in text or not any(reason in text for reason in reasons):
        yield f"ended with {code}: {text[-300:]}"
    if contents(folder, command.outputs) != before:
        yield "changed an output"
    if temporary_files(folder):
        yield "left a temporary file"


def earlier(command: Command, folder: Path) -> None:
    """Small files as outputs of an earlier run."""
    for name in () if command.resumes else command.outputs:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("as it was")


def without_space(command: Command, where: Path) -> Iterator[tuple[str, list[str]]]:
    """Each kind of refusal with what is wrong."""
    log, full, large = where / "log", ("No space left",), ("File too large",)
    with mounted(where / "full", "size=32k") as folder:
        earlier(command, folder)
        yield "disk full", list(refused(command, folder, log, full, int))
    (where / "limited").mkdir()
    earlier(command, where / "limited")
    limit = (16384, 16384)
    wrong = refused(command, where / "limited", log, large, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    yield "files limited to 16 kB", list(wrong)
    with mounted(where / "readonly", "size=1m") as folder:
        earlier(command, folder)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield "read-only file system", list(refused(command, folder, log, ("Read-only", "writable"), int))
    (where / "forbidden").mkdir()
    earlier(command, where / "forbidden")
    for path in (where / "forbidden", *(each for each in (where / "forbidden").rglob("*") if each.is_dir())):
        path.chmod(0o555)
    where.chmod(0o777)
    log.unlink()
    denied = "Permission denied", "writable"
    yield "folder of someone else", list(refused(command, where / "forbidden", log, denied, lambda: os.setuid(NOBODY)))


def at_once(command: Command, where: Path, times: int) -> list[str]:
    """Two runs that differ write one output at the same time: it must be that of one of them."""
    problems, whole = list[str](), []
    for name, words in (("one", ()), ("other", command.before)):
        (where / name).mkdir()
        finished(started(command.run(*words), where / name))
        whole.append(contents(where / name, command.outputs))
    for number in range(times):
        (folder := where / f"both{number}").mkdir()
        pids = [started(command.run(*words), folder, where / f"log{i}") for i, words in enumerate(((), command.before))]
        codes = [finished(pid)[0] for pid in pids]
        if codes != [0, 0] or contents(folder, command.outputs) not in whole or temporary_files(folder):
            problems.append(f"ended with {codes}, {temporary_files(folder)}: {(where / 'log0').read_text()[-300:]}")
    return problems


def dying_process(where: Path, fault: str, process: str) -> list[str]:
    """A training of two processes of which one dies: the job must end with its error, or the signal's name."""
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29411"]
    words += ["-m", "prpose", "train", "lifter", "--out", str(where / f"{fault}{process}"), *TRAINING]
    words += ["--lifter", "studies.limits:Dying", "--lifter-args", "{}"]
    environment = os.environ | {"PRPOSE_FAULT": fault, "PRPOSE_DYING": process}
    run = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    wanted = "SIGKILL" if fault == "kill" else "this process has lost its data"
    fine = run.returncode != 0 and wanted in run.stderr and (fault == "kill" or "error" in run.stderr)
    return [] if fine else [f"ended with {run.returncode}: {run.stderr[-500:]}"]


WORKERS, NODE = (b"ray::Map",), (b"gcs_server", b"raylet")
"""Of names of processes: in which Ray predicts files, and of Ray itself."""


def processes_of(mark: str, names: tuple[bytes, ...]) -> list[int]:
    """Ids of the processes of a command whose programs' names begin with one of these."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            program = (path / "cmdline").read_bytes().partition(b"\0")[0].rpartition(b"/")[2]
            if program.startswith(names) and mark.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
    return found


def dying_in_ray(inputs: Path, where: Path, times: int, rng: random.Random, names: tuple[bytes, ...]) -> list[str]:
    """Workers are killed, and files must be those of one process; or Ray itself, and an error must say so."""
    where.mkdir()
    options = ["--model", "mgcn-cmu17", "-n", "4", "--overwrite"]
    words = [sys.executable, "-m", "prpose", "predict", str(inputs / "clips"), *options, "--out"]
    subprocess.run([*words, "out"], cwd=where, check=True, capture_output=True)
    wanted = contents(where, outputs := tuple(f"out/{number}.npz" for number in range(4)))
    problems = []
    for number in range(times):
        mark = f"{os.getpid()}-{number}"
        environment = os.environ | {MARK: mark}
        (folder := where / f"ray{number}").mkdir()
        command = [*words, "out", "--config.ray", "--config.jobs", "2"]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        while process.poll() is None and not processes_of(mark, WORKERS):
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 3 if names == WORKERS else 1))
        for pid in processes_of(mark, names)[: 1 if names == WORKERS else None]:
            os.kill(pid, signal.SIGKILL)
        error, found = process.communicate(timeout=300)[1].decode(), contents(folder, outputs)
        whole = all(found[name] == wanted[name] for name in found)
        said = process.returncode == 1 and "error: Ray ended" in error and "Traceback" not in error
        ended = found == wanted if not process.returncode else names == NODE and said
        if not whole or not ended:
            problems.append(f"ended with {process.returncode}: {error[-300:]}")
    return problems


def main(only: str = "", times: int = 20, workers: int = 10, seed: int = 0) -> dict[str, list[int]]:
    """Print a row per fault: how often it was tried, and how often something was wrong.

    Args:
        only: Begin of the names of the commands that are tried without space or permission.
        times: Number of times that two processes write one output.
        workers: Number of Ray workers to kill, and of times that Ray itself is killed.
        seed: Random seed of the moments.
    """
    torch.set_num_threads(1)
    found, begun = dict[str, list[int]](), time.monotonic()

    def count(name: str, problems: list[str], tried: int = 1) -> None:
        row = found.setdefault(name, [0, 0])
        row[0], row[1] = row[0] + tried, row[1] + len(problems)
        for problem in problems:
            print(f"{name}: {problem}", file=sys.stderr, flush=True)

    with TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        (inputs := Path(root) / "inputs").mkdir()
        write_inputs(inputs)
        every = commands(inputs)
        for name, command in ((name, command) for name, command in every.items() if name.startswith(only)):
            (where := Path(root) / name).mkdir()
            for fault, problems in without_space(command, where):
                count(fault, [f"{name}: {problem}" for problem in problems])
        for name in ("predict, npz", "predict, json") if times else ():
            (where := Path(root) / f"{name} at once").mkdir()
            count("two processes, one output", at_once(every[name], where, times // 2), times // 2)
            print(f"{name}: {time.monotonic() - begun:.0f} s, {found}", file=sys.stderr, flush=True)
        for fault, process in (("raise", "0"), ("raise", "1"), ("kill", "0"), ("kill", "1")):
            count("a process of torchrun dies", dying_process(Path(root), fault, process))
        for fault, names in (("a Ray worker is killed", WORKERS), ("Ray itself is killed", NODE)):
            rng, where = random.Random(seed), Path(root) / fault
            count(fault, dying_in_ray(inputs, where, workers, rng, names), workers)
            print(f"{fault}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print_markdown(["tried", "violations"], found)
    return found


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
