"""prpose bench: how fast, and where the time goes."""

import os
import platform
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import tyro
from rich.table import Table

from prpose.atomic import check_output
from prpose.bench import clip, live
from prpose.cli.console import plain_console
from prpose.cli.console import named_device
from prpose.cli.evaluate import write
from prpose.cli.console import progress
from prpose.model import Model

MODELS = ("mgcn-cmu17", "temporal-cmu17")
"""Those that are worth their time; graphmlp-cmu17 takes ten times as long."""


def bench(
    model: tuple[str, ...] = MODELS,
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 200,
    frames: int = 1800,
    repeats: int = 3,
    live_hypotheses: tuple[int, ...] = (50, 200),
    live_frames: int = 200,
    device: str = "auto",
    json: Path | None = None,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Speed and memory of predicting, on keypoints of walkers.

    A clip from a file of keypoints to an npz of poses, and frame by frame. Models take turns, so
    that a machine that is busy with something else is so for all of them; medians are shown.

    Args:
        model: names of models that prpose brings, folders, or owner/name on the hub.
        hypotheses: S, of the clip.
        frames: of the clip.
        repeats: turns of every model.
        live_hypotheses: S, frame by frame.
        live_frames: in every turn, after 30 that do not count; 0 for none.
        device: auto, cpu, cuda, cuda:1 ...
        json: file for every number.
        overwrite: replace the json file if it exists.
    """
    _check(model, hypotheses, frames, repeats, live_hypotheses, live_frames)
    if json is not None:
        check_output(json, overwrite)
    on = named_device(device)
    predictors = {name: Model.load(name, on) for name in model}
    runs: dict[str, list[clip.Run]] = {name: [] for name in model}
    ms: dict[str, dict[int, list[live.Frames]]] = {n: {S: [] for S in live_hypotheses} for n in model}
    with TemporaryDirectory() as folder, progress("turns", repeats * len(model)) as advance:
        keypoints, out = Path(folder) / "keypoints.npz", Path(folder) / "poses.npz"
        clip.write_walkers(keypoints, min(frames, 64))
        for predictor in predictors.values():  # the first time is always slower
            clip.run(predictor, keypoints, out, 2)
        clip.write_walkers(keypoints, frames)
        for _ in range(repeats):
            for name, predictor in predictors.items():
                runs[name].append(clip.run(predictor, keypoints, out, hypotheses))
                for S in live_hypotheses if live_frames else ():
                    ms[name][S].append(live.watch(predictor, S, live_frames))
                advance(1)
    found = {
        name: summed_up(runs[name], {S: v for S, v in ms[name].items() if v}, frames, hypotheses) for name in model
    }
    show(found, frames, hypotheses)
    if json is not None:
        settings = {"hypotheses": hypotheses, "frames": frames, "repeats": repeats}
        settings |= {"live_frames": live_frames}
        every = {name: [asdict(run) for run in runs[name]] for name in model}
        write(json, {"settings": settings, "machine": machine(on), "models": found, "runs": every})


def _check(model: tuple[str, ...], S: int, frames: int, repeats: int, live: tuple[int, ...], n: int) -> None:
    if not model or len(set(model)) < len(model):
        raise ValueError(f"expected models, each once, got {', '.join(model) or 'none'}")
    for flag, value, least in (
        ("hypotheses", S, 2),
        ("frames", frames, 1),
        ("repeats", repeats, 1),
        ("live-frames", n, 0),
        *(("live-hypotheses", value, 2) for value in live),
    ):
        if not least <= value < 2**31:
            raise ValueError(f"expected --{flag} >= {least}, got {value}")


def machine(device: torch.device) -> dict[str, Any]:
    """What the numbers depend on."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": gpu or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def summed_up(runs: list[clip.Run], ms: dict[int, list[live.Frames]], frames: int, S: int) -> dict[str, Any]:
    """Medians over the turns of a model."""
    seconds = median(run.seconds for run in runs)
    total = sum(run.seconds for run in runs)
    single = median(run.phases["single answer"] for run in runs)
    memory = [run.memory_mb for run in runs if run.memory_mb is not None]
    return {
        "seconds": seconds,
        "cpu_seconds": median(run.cpu_seconds for run in runs),
        "frames_per_s": frames / seconds,
        "hypotheses_per_s": frames * S / seconds,
        "single_per_s": frames / single,
        "hypothesis_in_singles": seconds / S / single,
        "memory_mb": max(memory) if memory else None,
        "percent": {name: 100 * sum(run.phases[name] for run in runs) / total for name in clip.PHASES},
        "live_ms": {str(S): live.percentiles(took) for S, took in ms.items()},
    }


def show(found: dict[str, dict[str, Any]], frames: int, S: int) -> None:
    """Prints a column for each model, and its ratio to the first."""
    first, *_ = found
    table = Table(title=f"{frames:,} frames, S = {S}", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in found:
        table.add_column(name, justify="right")
        if name != first:
            table.add_column("÷ first", justify="right", no_wrap=True)

    def row(label: str, digits: int, value: Any, ratio: bool = True) -> None:
        cells = []
        for name, one in found.items():
            number = value(one)
            cells.append("–" if number is None else f"{number:,.{digits}f}")
            if name != first:
                known = ratio and number is not None and value(found[first])
                cells.append(f"{number / value(found[first]):.2f}" if known else "")
        table.add_row(label, *cells)

    row("seconds, file to file", 1, lambda one: one["seconds"])
    row("CPU seconds of all threads", 1, lambda one: one["cpu_seconds"])
    row("frames per second", 1, lambda one: one["frames_per_s"])
    row("hypotheses per second", 0, lambda one: one["hypotheses_per_s"])
    row("single answers per second", 0, lambda one: one["single_per_s"])
    row("one hypothesis, in single answers", 2, lambda one: one["hypothesis_in_singles"])
    row("memory at most, MB", 0, lambda one: one["memory_mb"])
    table.add_section()
    for phase in clip.PHASES:
        row(f"{phase}, %", 1, lambda one, phase=phase: one["percent"][phase], ratio=False)
    for S_live in found[first]["live_ms"]:
        table.add_section()
        for q in live.PERCENTILES:
            label = f"live, S = {S_live}: {q} % within, ms"
            row(label, 1, lambda one, S=S_live, q=q: one["live_ms"][S][f"p{q}"])
        row(f"live, S = {S_live}: CPU ms", 1, lambda one, S=S_live: one["live_ms"][S]["cpu"])
    plain_console().print(table)
