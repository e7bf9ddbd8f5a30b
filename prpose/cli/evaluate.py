"""prpose evaluate: a lifter and its variance net on a data set."""

import hashlib
import json as json_format
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import nn

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
from prpose.models import find_card
from prpose.noise import AdaptiveNoise
from prpose.weights import VARIANCE_PREFIX, load_published

SHOWN = ("single", "mean", "best")
"""Columns of the printed tables; the JSON has all of CHOICES."""


def evaluate(
    dataset: tyro.conf.Positional[str],
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    model: str | None = None,
    lifter: str | None = None,
    lifter_weights: Path | None = None,
    noise_weights: Path | None = None,
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
        hypotheses: S, the number of hypotheses.
        model: one that prpose brings ("prpose models" lists them), or instead of it:
        lifter: htnet or mgcn_lw, with
        lifter_weights: the lifter's checkpoint (.pth or .safetensors), and
        noise_weights: its variance net's checkpoint.
        root: folder with the npz files; walkers need none.
        split: test, val or train.
        keypoints: which 2D: as in the file's name (cpn_ft_h36m_dbb, hrnet_coco, gt), or det, gt.
        actions: first words of the actions wanted, with commas between; * for all.
        alpha: scale of the noise; if not given, the model's, or the data set's published one.
        seed: of the noise.
        stride: every stride-th of the frames that are usually scored.
        batch_size: frames at once; noise is drawn per batch, so it is part of the seed.
        device: auto, cpu, cuda, cuda:1 ...
        json: file for every number and setting.
        overwrite: replace the json file if it exists.
    """
    settings: dict[str, Any] = dict(locals())
    protocol = PROTOCOLS.get(dataset, MOCAP)
    check_counts(stride=stride, batch_size=batch_size)
    if json is not None:
        check_output(json, overwrite)
    settings["keypoints"] = keypoints or data_set(dataset, root).default_keypoints
    settings["device"] = on = named_device(device)
    draw = seeded_draw(seed, hypotheses)
    networks = find_networks(model, lifter, lifter_weights, noise_weights)
    settings["alpha"] = alpha = first(alpha, networks.alpha, protocol.alpha)
    noise = AdaptiveNoise(networks.noise, alpha)
    net = HypothesisLifter(networks.lifter, noise, chunk=chunk_for(on)).to(on)
    clips = load_clips(dataset, root, split, keypoints, tuple(actions.split(",")))
    windows = Windows(clips, every=stride * protocol.every)
    with progress("evaluate", len(windows)) as advance:
        names, cloud = protocol.metrics, protocol.cloud
        scores = score(net, windows, names, draw, batch_size, on, cloud, (), advance)
    rows, average = tabulate(scores, windows, protocol)
    show(rows, average, protocol, hypotheses)
    if json is not None:
        write(json, report(rows, average, settings, networks.sha256))


class Networks(NamedTuple):
    """What is evaluated."""

    lifter: nn.Module
    noise: nn.Module
    alpha: float | None
    sha256: dict[str, str]


def find_networks(
    model: str | None, lifter: str | None, lifter_weights: Path | None, noise_weights: Path | None
) -> Networks:
    """Networks of a card, or of two files; ``ValueError`` if it is neither or both."""
    if model is not None and (lifter, lifter_weights, noise_weights) == (None,) * 3:
        card = find_card(model)
        sha256 = {"lifter": card.lifter_sha256, "noise": card.noise_sha256}
        return Networks(*card.networks(), card.alpha, sha256)
    if model is not None or lifter is None or lifter_weights is None or noise_weights is None:
        raise ValueError(
            "expected --model, or else all of --lifter, --lifter-weights and --noise-weights"
        )
    files = {"lifter": lifter_weights, "noise": noise_weights}
    return Networks(
        load_published(lifter, lifter_weights),
        load_published(VARIANCE_PREFIX + lifter, noise_weights),
        None,
        {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
    )


def check_counts(**counts: int) -> None:
    """``ValueError`` that names the flag, for one that counts nothing or too much."""
    for name, value in counts.items():
        if not 1 <= value < 2**31:
            flag = name.replace("_", "-")
            raise ValueError(f"expected --{flag} from 1 to 2^31 - 1, got {value}")


def first(*values: float | None) -> float:
    """The first that is given."""
    return next(value for value in values if value is not None)


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
    if "cloud" in average.values:
        console.print(_cloud_table(rows, average, S))
    console.print(*(f"{choice}: {CHOICES[choice]}" for choice in SHOWN), sep="\n", highlight=False)


def _cloud_table(rows: list[Row], average: Row, S: int) -> Table:
    table = Table(title=f"S = {S}; the hypotheses as a distribution", title_justify="left")
    table.add_column("", no_wrap=True)
    for head in ("energy score\nmm", "spread\nmm", "ECE\n"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in [*rows, average]:
        if row is average:
            table.add_section()
        cloud = row.values["cloud"]
        table.add_row(
            row.name, f"{cloud['ES']:.1f}", f"{cloud['spread']:.1f}", f"{cloud['ECE']:.3f}"
        )
    return table


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


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON, whole or not at all, and says so."""
    with replacing(path) as temporary:
        text = json_format.dumps(content, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    print(f"written: {path}")
