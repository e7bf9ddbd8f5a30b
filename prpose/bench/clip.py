"""A clip from a file of keypoints to a file of poses: time, where it goes, and memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import prpose.model
from prpose import summary
from prpose.bench.clock import Clock
from prpose.config import InferenceConfig
from prpose.data import load_clips
from prpose.io.export import schema as document
from prpose.io.export import write_prediction
from prpose.io.keypoints import pick, read_people
from prpose.keypoints import Keypoints, write_keypoints
from prpose.model import Model
from prpose.noise import NoiseProcess

SIZE = (1000, 1002)
FPS = 30.0
PHASES = {
    "read": "the file of keypoints",
    "check": "the track: doubts, gaps, joints that are made",
    "noise": "drawn, and correlated in time",
    "variance net": "the width of the noise, of the keypoints and their mirror image",
    "noisy keypoints": "noise put onto keypoints, flips averaged, inputs checked",
    "lifter": "the hypotheses, each with its mirror image",
    "placement": "of every hypothesis in camera space, by reprojection",
    "covariance": "mean and covariances",
    "single answer": "the lifter's own, without noise",
    "poses": "put together and checked",
    "regions": "95 % ellipsoids",
    "write": "the npz, with all hypotheses",
}


PLACING = ("place", "reprojection_errors", "placement_covariance")


@dataclass(frozen=True)
class Run:
    """One clip, once.

    Args:
        seconds: from file to file.
        cpu_seconds: of all threads; on a busy machine, what ratios are to be taken of.
        phases: of them, by the names of :data:`PHASES`.
        memory_mb: at most, of the process (of the GPU, if on one); None if not known.
    """

    seconds: float
    cpu_seconds: float
    phases: dict[str, float]
    memory_mb: float | None


def write_walkers(path: Path, frames: int) -> None:
    """Keypoints of walkers, one after the other, (frames, 17, 2), as a track's npz."""
    clips = load_clips("walkers", ".", "test")
    pixels = np.concatenate([clip.keypoints_px for clip in clips])
    pixels = np.tile(pixels, (-(-frames // len(pixels)), 1, 1))[:frames]
    write_keypoints(path, Keypoints(pixels, *SIZE, layout="h36m17", fps=FPS))


def run(predictor: Model, keypoints: Path, out: Path, S: int, seed: int = 0) -> Run:
    """Lifts a clip, from file to file.

    Args:
        keypoints: as of :func:`write_keypoints`.
        out: replaced if it exists.
        S: number of hypotheses.
    """
    device = next(predictor.net.parameters()).device
    clock = Clock(now_on(device))
    reset_peak(device)

    def whole() -> None:
        read = clock.wrapped("read", lambda: pick(read_people(keypoints)))
        predict = clock.wrapped("poses", predictor.predict_track)
        write = clock.wrapped("write", write_prediction)
        poses, _ = predict(read(), S, seed, InferenceConfig(allow_implausible=True))
        write(poses, out, overwrite=True)

    net = predictor.net
    with clock.on(
        ("check", prpose.model, "prepare"),
        ("noise", NoiseProcess, "next"),
        ("variance net", net, "_noises"),
        ("noisy keypoints", net, "forward"),
        ("lifter", net.lifter, "forward"),
        ("covariance", prpose.model, "summed_up"),
        *(("placement", summary, name) for name in PLACING),
        ("single answer!", predictor, "_single"),
        ("regions", document, "regions_of"),
    ):
        start, cpu = clock.now(), time.process_time()
        whole()
        seconds, cpu = clock.now() - start, time.process_time() - cpu
    assert clock.seconds.keys() == PHASES.keys(), "every phase is met"
    return Run(seconds, cpu, {name: clock.seconds[name] for name in PHASES}, peak_mb(device))


def now_on(device: torch.device) -> Callable[[], float]:
    """Seconds, when all that was asked of the device is done."""
    if device.type != "cuda":
        return time.perf_counter

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def reset_peak(device: torch.device) -> None:
    """Forgets the most memory that there was; on Linux, and on GPUs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb(device: torch.device) -> float | None:
    """The most memory since then, 10⁶ bytes; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return float(lines["VmHWM"].split()[0]) * 1024 / 1e6
