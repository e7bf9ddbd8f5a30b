"""Rates of the parts: networks against the machine's matrix products, sampling against its lifter, one pass, start-up.

    python studies/rates.py                                     # or: make bench

Everything of a table takes turns, so that another load on the machine affects all of it; medians are printed, and after
± half the distance of the quartiles, % of the median.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

import prpose
from prpose.cli import guarded
from prpose.cli.console import print_line, print_table, progress
from prpose.export import export_onnx
from prpose.lifter import build_lifter, poses_at_once
from prpose.nets.folded import for_inference
from prpose.noise import AdaptiveNoise, build_variance_net
from prpose.onnx import OnnxSampler
from prpose.postprocess import covariance
from prpose.prediction import Prediction
from prpose.sampler import Sampler
from studies.speed import machine

LIFTERS = {"mgcn_lw": (128, 100), "htnet": (512, 16), "modulated_gcn": (384, 16)}
"""Width of the matrices that a lifter multiplies, and a number of samples that takes about a second."""
FRAMES = 32
ONE_PASS = ("gaussian-cmu17", "gaussian-wide")
CPU = torch.device("cpu")


def main(threads: tuple[int, ...] = (1, 2), turns: int = 9, onnx: bool = True) -> dict[str, dict[str, list[str]]]:
    """Print the tables.

    Args:
        threads: Numbers of PyTorch threads.
        turns: Number of turns.
        onnx: Also time ONNX Runtime, with the largest number of threads.
    """
    print_line(machine(CPU))
    found = {f"lifters, {n} threads": lifter_rates(n, turns) for n in threads}
    torch.set_num_threads(max(threads))
    with tempfile.TemporaryDirectory() as folder:
        found["one pass"] = one_pass_times(turns, Path(folder) if onnx else None)
        found["start-up"] = start_up(turns, Path(folder) if onnx else None)
    heads = ["lifts/s", "of the matrix rate", "sample, lifts/s", "of the lifter"]
    for title, rows in found.items():
        print_table(title, heads if "lifters" in title else ["median"], rows)
    return found


def timed(turns: int, works: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each turn, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    with progress("time", turns + 1, "turns") as advance:
        for turn in range(turns + 1):
            for name, work in works.items():
                start = time.perf_counter()
                work()
                if turn:
                    seconds[name].append(time.perf_counter() - start)
            advance(1)
    return seconds


def spread(seconds: list[float]) -> str:
    """Half the distance of the quartiles, as a share of the median."""
    low, high = np.quantile(seconds, [0.25, 0.75])
    return f"± {50 * (high - low) / median(seconds):.0f} %"


@torch.no_grad()
def lifter_rates(threads: int, turns: int) -> dict[str, list[str]]:
    """Lifts and samples per second of each lifter, and the share of the rate of its matrix products."""
    torch.set_num_threads(threads)
    rows = {}
    for name, (width, S) in LIFTERS.items():
        lifter = for_inference(build_lifter(name))
        sampler = for_inference(Sampler(lifter, AdaptiveNoise(build_variance_net(name))).eval())
        few = 2 * poses_at_once(lifter, CPU)
        frames, lifted = torch.rand(FRAMES, 1, 17, 2) - 0.5, torch.rand(few, 1, 17, 2) - 0.5
        left, right, out = (
            torch.rand(*shape) for shape in ((few // 2 * 17, width), (width, width), (few // 2 * 17, width))
        )
        repeats = max(1, 2 * FRAMES * S // few)
        works: dict[str, Callable[[], object]] = {
            "product": lambda a=left, b=right, c=out: [torch.mm(a, b, out=c) for _ in range(100)],
            "lifter": lambda net=lifter, x=lifted, n=repeats: [net(x) for _ in range(n)],
            "sample": lambda net=sampler, x=frames, n=S: net.sample(x, n, torch.Generator().manual_seed(0)),
        }
        with FlopCounterMode(display=False) as counter:
            lifter(lifted)
        seconds = timed(turns, works)
        rate = 100 * 2 * left.numel() * width / median(seconds["product"])
        lifts = repeats * few / median(seconds["lifter"])
        sampled = 2 * FRAMES * S / median(seconds["sample"])
        share = lifts / few * counter.get_total_flops() / rate
        rows[name] = [f"{lifts:,.0f} {spread(seconds['lifter'])}", f"{share:.2f}"]
        rows[name] += [f"{sampled:,.0f} {spread(seconds['sample'])}", f"{sampled / lifts:.2f}"]
    return rows


def one_pass_times(turns: int, folder: Path | None) -> dict[str, list[str]]:
    """Milliseconds of a frame for 200 samples, covariances and regions, many frames at once, and one."""
    works: dict[str, Callable[[], object]] = {}
    frames = {}
    for name in ONE_PASS:
        engines = {"PyTorch": prpose.load(name).sampler}
        if folder is not None:
            export_onnx(name, folder / f"{name}.onnx")
            engines["ONNX Runtime"] = OnnxSampler(folder / f"{name}.onnx")
        for engine, sampler in engines.items():
            for T in (256, 1):
                x = np.random.default_rng(0).uniform(-0.3, 0.3, (1, T + sampler.F - 1, 17, 2)).astype(np.float32)
                eps = np.random.default_rng(1).standard_normal((200, *x.shape[:3], 4)).astype(np.float32)
                key = f"{name}, {engine}, ms a frame, {T} at once"
                works[key], frames[key] = lambda s=sampler, x=x, e=eps: _regions(s, x, e), T
    seconds = timed(turns, works)
    return {key: [f"{1000 * median(took) / frames[key]:.2f} {spread(took)}"] for key, took in seconds.items()}


def _regions(sampler: Sampler | OnnxSampler, keypoints: np.ndarray, eps: np.ndarray) -> None:
    found = sampler.draw(keypoints, eps, eps)
    assert found.covariance is not None
    Prediction(found.pose[0], found.covariance[0], found.pose[0], len(eps)).regions()
    covariance(found.samples[:, 0])


def start_up(turns: int, folder: Path | None) -> dict[str, list[str]]:
    """Seconds of commands, imports included, of a photo's keypoints."""
    keypoints = Path(prpose.__file__).parent.parent / "examples/walk_openpose"
    photo = [str(next(iter(sorted(keypoints.iterdir())))), "--image-size", "1000", "1002", "--overwrite"]
    with tempfile.TemporaryDirectory() as out:
        predict = ["predict", *photo, "--out", f"{out}/photo.npz"]
        commands = {"prpose --help": ["--help"], "prpose predict, one frame": predict}
        if folder is not None:
            commands["prpose predict, one frame, ONNX"] = [*predict, "--model", str(folder / f"{ONE_PASS[1]}.onnx")]
        seconds = timed(turns, {name: lambda words=words: _run(words) for name, words in commands.items()})
    return {name: [f"{median(took):.2f} s {spread(took)}"] for name, took in seconds.items()}


def _run(words: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "prpose", *words], capture_output=True, check=True)


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
