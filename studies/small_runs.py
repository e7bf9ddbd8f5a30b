"""Small runs of all commands that write files, as forks of this process; used by the studies of faults."""

import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import prpose.cli
from prpose.atomic import TEMPORARY
from prpose.data import load_clips
from prpose.keypoints import Keypoints, save_keypoints

LIMIT_S = 600.0
"""Seconds after which a command that does not end counts as hanging."""
TRAINING = ["--data", "walkers", "--lifter", "mgcn_lw", "--lifter-args", '{"hidden": 16, "blocks": 1}']
TRAINING += ["--epochs", "2", "--config.every", "40", "--config.save-every", "0"]


@dataclass(frozen=True)
class Command:
    """A command of ``prpose``, run in a folder of its own.

    ``before`` are other options of an earlier run, whose outputs are replaced. A training that ``resumes`` has no
    earlier run, and its files are compared at the end, since a checkpoint is one of many.
    """

    words: list[str]
    outputs: tuple[str, ...]
    before: tuple[str, ...] = ()
    resumes: bool = False

    def run(self, *more: str) -> list[str]:
        """Its words, of which a file may keep all, so that they are the same whether or not an output exists."""
        return [*self.words, *more, *([] if self.resumes else ["--overwrite"])]


def commands(inputs: Path) -> dict[str, Command]:
    """All commands that write files, on the inputs of :func:`write_inputs`."""
    predict = ["predict", str(inputs / "clip.npz"), "--model", "mgcn-cmu17", "-n"]
    several = ["predict", str(inputs / "clips"), "--model", "mgcn-cmu17", "--out", "out", "-n"]
    drawn = ["predict", str(inputs / "photo.png"), "--model", "mgcn-cmu17", "--config.detector", "tests.videos:Finder"]
    drawn += ["--config.allow-implausible", "--overlay", "drawn.png", "--out", "out.npz", "-n"]
    evaluate = ["evaluate", "walkers", "--model", "mgcn-cmu17", "--stride", "60", "--json", "out.json", "-n"]
    mocap = ["data", "prepare", "mocap", str(inputs / "mocap"), "--format", "npz", "--name", "mine", "--root", "."]
    mocap += ["--joints", str(inputs / "joints.toml")]
    run, files = str(inputs / "sampler"), ("best.safetensors", "log.jsonl")
    pack = ["pack", "model", "--sampler-run", run]
    each = tuple(f"out/{number}.npz" for number in range(4))
    found = {f"predict, {kind}": Command([*predict, "4", "--out", f"out.{kind}"], (f"out.{kind}",), ("-n", "3"))
             for kind in ("npz", "json", "csv", "trc", "bvh")}  # fmt: skip
    return found | {
        "predict, folder": Command([*several, "4"], each, ("-n", "3")),
        "predict, folder, 2 processes": Command([*several, "4", "--config.jobs", "2"], each, ("-n", "3")),
        "predict, photo and overlay": Command([*drawn, "9"], ("out.npz", "drawn.png"), ("-n", "3")),
        "evaluate": Command([*evaluate, "4"], ("out.json",), ("-n", "3")),
        "report": Command(["report", str(inputs / "scores.json"), "--out", "out.html"], ("out.html",)),
        "train lifter": Command(
            ["train", "lifter", "--out", "run", *TRAINING], tuple(f"run/{name}" for name in files), (), True
        ),
        "data prepare mocap": Command(mocap, ("data_mine.npz",)),
        "pack": Command(pack, ("model/card.json", "model/lifter.safetensors", "model/noise.safetensors"), ("--half",)),
        "export": Command(["export", str(inputs / "small"), "out.onnx"], ("out.onnx",)),
    }


def write_inputs(folder: Path) -> None:
    """Keypoints, a photo, motion capture, a training, its model and scores, all of them small."""
    from tests.mocap_files import write_folder
    from tests.videos import picture, write_png

    clip = load_clips("walkers", ".", "test", actions=("reach",))[0]
    xy = np.tile(clip.keypoints_px[:100], (3, 1, 1))
    save_keypoints(folder / "clip.npz", Keypoints(xy, (1000, 1002), "h36m17", fps=60))
    (folder / "clips").mkdir()
    for number in range(4):
        save_keypoints(folder / "clips" / f"{number}.npz", Keypoints(xy[:100], (1000, 1002), "h36m17", fps=60))
    write_png(folder / "photo.png", picture())
    write_folder(folder)
    for words in (
        ["train", "sampler", "--out", "sampler", *TRAINING, "--epochs", "1"],
        ["pack", "small", "--sampler-run", "sampler"],
        ["evaluate", "walkers", "--model", "mgcn-cmu17", "--stride", "60", "--json", "scores.json", "-n", "3"],
    ):
        if (code := finished(started(words, folder))[0]) != 0:
            raise ValueError(f"prpose {' '.join(words)} ended with {code}: {(folder / 'log').read_text()}")


def started(words: list[str], folder: Path, log: Path = Path("log"), first: Callable[[], object] = int) -> int:
    """The id of a fork of this process, a group of its own, that runs ``prpose`` in a folder, and prints to ``log``.

    ``first`` is called in it before. PyTorch must have computed nothing in this process by several threads, which a
    fork lacks.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        first()
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(n, "w"), write_through=True) for n in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            prpose.cli.main(words)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def finished(pid: int, limit_s: float = LIMIT_S) -> tuple[int | None, float]:
    """The exit code of a process, negative for a signal, and the seconds that it took; None if it had to be killed."""
    start = time.monotonic()
    while time.monotonic() < start + limit_s:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - start
        time.sleep(0.002)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None, limit_s


def contents(folder: Path, outputs: tuple[str, ...]) -> dict[str, bytes]:
    """The outputs that exist."""
    return {name: (folder / name).read_bytes() for name in outputs if (folder / name).is_file()}


def print_markdown(columns: Sequence[str], rows: Mapping[str, Sequence[object]]) -> None:
    """A table as the documents have it; the first column is the rows' names."""
    lines = [["", *columns], ["---"] * (1 + len(columns)), *([name, *map(str, cells)] for name, cells in rows.items())]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


def temporary_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"{TEMPORARY}*"))
