"""prpose evaluate: a lifter and its variance net on a data set."""

import hashlib
import json as json_format
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

import prpose
from prpose.atomic import check_output, replacing
from prpose.cli.device import chunk_for, named_device
from prpose.cli.progress import progress
from prpose.data import data_set, load_clips
from prpose.data.windows import Windows
from prpose.evaluation import (
    CHOICES,
    METRICS,
    MOCAP,
    PROTOCOLS,
    Protocol,
    Row,
    score,
    seeded_draw,
    tabulate,
)
from prpose.hypotheses import HypothesisLifter
from prpose.noise import AdaptiveNoise
from prpose.weights import VARIANCE_PREFIX, load_published

SHOWN = ("single", "mean", "best")
"""Columns of the printed tables; the JSON has all of CHOICES."""


def evaluate(
    dataset: tyro.conf.Positional[str],
    lifter: str,
    lifter_weights: Path,
    noise_weights: Path,
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    root: Path = Path("dataset"),
    split: str = "test",
    keypoints: str | None = None,
    actions: str = "*",
    alpha: float | None = None,
    seed: int = 0,
    stride: int = 1,
    batch_size: int = 64,
    device: str = "auto",
    json: Path | None = None,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Errors of the single hypothesis, the mean of S and the best of S, side by side.

    Args:
        dataset: h36m, 3dhp, cmu17, walkers, or the name of a benchmark of your own.
        lifter: htnet or mgcn_lw.
        lifter_weights: the lifter's checkpoint (.pth or .safetensors).
        noise_weights: its variance net's checkpoint.
        hypotheses: S, the number of hypotheses.
        root: folder with the npz files; walkers need none.
        split: test, val or train.
        keypoints: which 2D: as in the file's name (cpn_ft_h36m_dbb, hrnet_coco, gt), or det, gt.
        actions: first words of the actions wanted, with commas between; * for all.
        alpha: scale of the noise; the published one of the data set if not given.
        seed: of the noise.
        stride: every stride-th of the frames that are usually scored.
        batch_size: frames at once; noise is drawn per batch, so it is part of the seed.
        device: auto, cpu, cuda, cuda:1 ...
        json: file for every number and setting.
        overwrite: replace the json file if it exists.
    """
    settings: dict[str, Any] = dict(locals())
    protocol = PROTOCOLS.get(dataset, MOCAP)
    for flag, value in (("stride", stride), ("batch-size", batch_size)):
        if not 1 <= value < 2**31:
            raise ValueError(f"expected --{flag} from 1 to 2^31 - 1, got {value}")
    if json is not None:
        check_output(json, overwrite)
    settings["alpha"] = alpha = protocol.alpha if alpha is None else alpha
    settings["keypoints"] = keypoints or data_set(dataset, root).default_keypoints
    settings["device"] = on = named_device(device)
    draw = seeded_draw(seed, hypotheses)
    weights = load_published(lifter, lifter_weights)
    noise = AdaptiveNoise(load_published(VARIANCE_PREFIX + lifter, noise_weights), alpha)
    sha256 = {"lifter": checksum(lifter_weights), "noise": checksum(noise_weights)}
    net = HypothesisLifter(weights, noise, chunk=chunk_for(on)).to(on)
    clips = load_clips(dataset, root, split, keypoints, tuple(actions.split(",")))
    windows = Windows(clips, every=stride * protocol.every)
    with progress("evaluate", len(windows)) as advance:
        scores = score(net, windows, protocol.metrics, draw, batch_size, on, advance)
    rows, average = tabulate(scores, windows, protocol)
    show(rows, average, protocol, hypotheses)
    if json is not None:
        write(json, report(rows, average, settings, sha256))


def show(rows: list[Row], average: Row, protocol: Protocol, S: int) -> None:
    """Prints a line per group, single, mean and best of S side by side, two metrics a table."""
    console = Console()
    for start in range(0, len(protocol.metrics), 2):
        names = protocol.metrics[start : start + 2]
        columns = [(choice, name) for name in names for choice in SHOWN]
        units = ", ".join(f"{name} in {METRICS[name].unit}" for name in names)
        table = Table(title=f"S = {S}; {units}", title_justify="left", padding=(0, 1, 0, 0))
        table.add_column("", no_wrap=True)
        table.add_column("frames", justify="right", no_wrap=True)
        for choice, name in columns:
            table.add_column(f"{name}\n{choice}", justify="right", no_wrap=True)
        for row in [*rows, average]:
            if row is average:
                table.add_section()
            cells = [f"{row.values[choice][name]:.1f}" for choice, name in columns]
            table.add_row(row.name, f"{row.frames:,}", *cells)
        console.print(table)
    console.print(*(f"{choice}: {CHOICES[choice]}" for choice in SHOWN), sep="\n", highlight=False)


def report(
    rows: list[Row], average: Row, settings: dict[str, Any], sha256: dict[str, str]
) -> dict[str, Any]:
    """Every number with what it takes to repeat it."""
    return {
        "settings": {
            key: value if isinstance(value, str | int | float | None) else str(value)
            for key, value in settings.items()
        },
        "versions": {
            "prpose": prpose.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "sha256": sha256,
        "units": {name: metric.unit for name, metric in METRICS.items()},
        "choices": CHOICES,
        "rows": [asdict(row) for row in rows],
        "average": asdict(average),
    }


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON, whole or not at all, and says so."""
    with replacing(path) as temporary:
        text = json_format.dumps(content, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    print(f"written: {path}")
