"""Speed and memory of prediction: a clip from file to file, and frame by frame.

    python studies/speed.py                                     # or: make bench
    python studies/speed.py --model mgcn-cmu17 -n 50 --frames 600 --json speed.json
    python studies/speed.py --video walk.mp4 -n 50 --detector rtmlib    # a video with its overlay, stage by stage

Makes the tables of docs/speed.md, from keypoints of walkers. Models take turns, so that another load on the machine
affects all of them; medians are printed. The time in networks is measured by forward hooks, the rest around public
functions; placement and covariances are computed once more for it.
"""

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import tyro

import prpose
from prpose.atomic import check_output, write_json
from prpose.cli import guarded
from prpose.cli.console import named_device, print_table, progress
from prpose.data import load_clips
from prpose.io.detector import create_detector, run_detector
from prpose.io.keypoints import people_from, select_person
from prpose.io.overlay import Scene, write_overlay
from prpose.io.video import open_video
from prpose.keypoints import save_keypoints
from prpose.lifter import is_one_pass
from prpose.placement import place, plane_of
from prpose.postprocess import covariance

MODELS = ("mgcn-cmu17", "temporal-cmu17", "gaussian-cmu17")
"""graphmlp-cmu17 takes some ten times as long."""
SIZE, FPS = (1000, 1002), 30.0
CONFIG = prpose.InferenceConfig(allow_implausible=True)
PERCENTILES = (50, 90, 99)
WARM_UP = 30
"""Frames of a stream that are not counted."""


def main(
    model: tuple[str, ...] = MODELS,
    num_samples: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 200,
    frames: int = 1800,
    repeats: int = 3,
    stream_samples: tuple[int, ...] = (50, 200),
    stream_frames: int = 200,
    device: str = "auto",
    threads: int = 1,
    video: Path | None = None,
    detector: str = "mediapipe",
    json: Path | None = None,
    overwrite: bool = False,
) -> dict[str, dict[str, float]]:
    """Print a column per model.

    Args:
        model: Bundled models, model folders, or owner/name on the Hugging Face hub.
        num_samples: Number of samples of the clip.
        frames: Number of frames of the clip.
        repeats: Number of turns of each model.
        stream_samples: Numbers of samples frame by frame.
        stream_frames: Number of frames per turn, frame by frame.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
        threads: Number of PyTorch threads; with several, the networks' share is of the time of all of them.
        video: Video or photo to predict and draw, instead of keypoints of walkers.
        detector: Its keypoint detector.
        json: JSON file for the numbers.
        overwrite: Replace an existing JSON file.
    """
    if json is not None:
        check_output(json, overwrite)
    torch.set_num_threads(threads)
    on = named_device(device)
    models = {name: prpose.load(name, on) for name in model}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in model}
    with TemporaryDirectory() as folder, progress("time", repeats * len(model), "turns") as advance:
        clip, short = (write_walkers(Path(folder) / f"{n}.npz", n) for n in (frames, min(frames, 64)))
        for loaded in models.values():  # the first time is slower
            time_clip(loaded, short, 2)
        for _ in range(repeats):
            for name, loaded in models.items():
                if video is not None:
                    turn = time_video(loaded, video, detector, Path(folder), num_samples)
                else:
                    turn = time_clip(loaded, clip, num_samples)
                    for S in stream_samples if stream_frames else ():
                        turn |= time_stream(loaded, S, stream_frames)
                turns[name].append(turn)
                advance(1)
    found = {name: {key: median(turn[key] for turn in runs) for key in runs[0]} for name, runs in turns.items()}
    title = f"{video or f'{frames:,} frames'}, S = {num_samples}, on {machine(on)}"
    show(found, title)
    if json is not None:
        write_json(json, {"title": title, "models": found, "turns": turns})
    return found


def write_walkers(path: Path, frames: int) -> Path:
    """A keypoints file of walkers, one after the other."""
    xy = np.concatenate([clip.keypoints_px for clip in load_clips("walkers", ".", "test")])
    xy = np.tile(xy, (-(-frames // len(xy)), 1, 1))[:frames]
    save_keypoints(path, prpose.Keypoints(xy, SIZE, "h36m17", fps=FPS))
    return path


def time_clip(model: prpose.Model, path: Path, S: int) -> dict[str, float]:
    """Seconds, shares in percent and memory of one clip from file to file."""
    sampler, spent = model.sampler, {"lifter": 0.0, "variance net": 0.0}
    device = model.device
    now, out = clock(device), path.with_name("prediction.npz")
    reset_peak(device)
    cpu, start = time.process_time(), now()
    keypoints = prpose.read_keypoints(path)
    read = now()
    with (
        timed(network_of(sampler.lifter), "lifter", spent, now),
        timed(sampler.noise, "variance net", spent, now) if sampler.noise is not None else nullcontext(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        prediction = model(keypoints, S, config=CONFIG)
    predicted = now()
    prediction.save(out, overwrite=True)
    seconds, cpu, peak = now() - start, time.process_time() - cpu, peak_mb(device)
    before = now()
    samples, plane = prediction.samples, plane_of(prediction.keypoints_px, prediction.camera)
    for start in range(0, len(prediction), 256):
        few = slice(start, start + 256)
        covariance(samples[:, few])
        place(samples[:, few], plane[few])
    spent["placement and covariances"] = now() - before  # once more, on the same samples
    spent |= {"reading and writing": read - start + seconds - (predicted - start)}
    spent["rest"] = seconds - sum(spent.values())
    T = len(prediction)
    found = {"seconds": seconds, "CPU seconds": cpu, "frames per second": T / seconds}
    found |= {"samples per second": T * S / seconds, "peak memory, MB": peak}
    return found | {f"{name}, %": 100 * value / seconds for name, value in spent.items()}


def time_video(model: prpose.Model, path: Path, detector: str, folder: Path, S: int) -> dict[str, float]:
    """Frames per second of a video or photo with its overlay, and CPU milliseconds of the stages, of all threads."""
    with create_detector(detector) as found, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        video, start, stages = open_video(path), time.perf_counter(), [("", time.process_time())]
        detections = run_detector(video, found)
        stages.append(("decoding, detecting", time.process_time()))
        prediction = model(select_person(people_from(detections)), S, config=CONFIG)
        stages.append(("predicting", time.process_time()))
        prediction.save(folder / "prediction.npz", overwrite=True)
        stages.append(("writing", time.process_time()))
        write_overlay(video, prediction, folder / f"overlay{'.png' if video.kind == 'photo' else '.mp4'}", True)
        stages.append(("decoding, drawing, encoding", time.process_time()))
        seconds = time.perf_counter() - start
        T = sum(1 for _ in video.frames())  # once more, to tell the parts
        stages.append(("decoding alone", time.process_time()))
        scene = Scene(prediction, *detections.image_size)
        for t, frame in zip(range(len(prediction)), video.frames(), strict=False):
            scene.draw(frame.image, t, frame.time_s)
        stages.append(("decoding, drawing", time.process_time()))
    spent = {f"{stage}, CPU ms": 1000 * (end - before) / T for (_, before), (stage, end) in pairwise(stages)}
    return {"frames": T, "frames per second": T / seconds} | spent


def network_of(lifter: torch.nn.Module) -> torch.nn.Module:
    """The module whose forward pass does the work: that inside a framed or a one-pass lifter."""
    inner = getattr(lifter, "lifter", lifter)
    return getattr(inner, "net", inner) if is_one_pass(inner) else inner


@contextmanager
def timed(module: torch.nn.Module, name: str, spent: dict[str, float], now: Callable[[], float]) -> Iterator[None]:
    """Adds the time in the module's forward pass to ``spent[name]``."""
    started = [0.0]

    def before(*_: Any) -> None:
        started[0] = now()

    def after(*_: Any) -> None:
        spent[name] += now() - started[0]

    hooks = module.register_forward_pre_hook(before), module.register_forward_hook(after)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def time_stream(model: prpose.Model, S: int, frames: int) -> dict[str, float]:
    """Percentiles of the milliseconds per frame, and CPU milliseconds."""
    xy = np.concatenate([clip.keypoints_px for clip in load_clips("walkers", ".", "test")])
    now = clock(model.device)
    stream, took, cpu = model.stream(SIZE, "h36m17", S, fps=FPS, config=CONFIG), [], 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t in range(WARM_UP + frames):
            if t == WARM_UP:
                cpu = time.process_time()
            start = now()
            stream(xy[t % len(xy)])
            took.append(1000 * (now() - start))
    cpu = 1000 * (time.process_time() - cpu) / frames
    label = f"stream, S = {S}"
    found = {f"{label}: {q} % within, ms": float(np.percentile(took[WARM_UP:], q)) for q in PERCENTILES}
    return found | {f"{label}: CPU per frame, ms": cpu}


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds, after the device has finished its work."""
    if device.type != "cuda":
        return time.perf_counter

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def reset_peak(device: torch.device) -> None:
    """Restarts the measurement of peak memory, on Linux and on GPUs."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb(device: torch.device) -> float:
    """Peak memory since then, 10⁶ bytes, of the GPU or the process; NaN where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return float(lines["VmHWM"].split()[0]) * 1024 / 1e6


def machine(device: torch.device) -> str:
    """What the numbers depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{name}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


def show(found: dict[str, dict[str, float]], title: str) -> None:
    """Prints a column per model, and its ratio to the first."""
    first, *others = found
    rows = {}
    for key, base in found[first].items():
        ratios = [f"{found[name][key] / base:.2f}" if base else "" for name in others]
        rows[key] = [*(f"{one[key]:,.1f}" for one in found.values()), *ratios]
    print_table(title, [*found, *["÷ first"] * len(others)], rows)


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
