"""prpose evaluate: a lifter and its variance net on a data set."""

import json as json_format
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.table import Table

import prpose
from prpose import processes
from prpose.atomic import replacing
from prpose.cli.console import plain_console
from prpose.cli.console import progress
from prpose.cli.scored import Networks, Scored
from prpose.data import data_set, load_clips
from prpose.evaluation import (
    CHOICES,
    METRICS,
    MOCAP,
    PROTOCOLS,
    Protocol,
    Row,
    limits_95,
    score,
    tabulate,
)
from prpose.regions import CHI_SQUARE
from prpose.sampler import Sampler

SHOWN = ("single", "mean", "best")
"""Columns of the printed tables; the JSON has all of CHOICES."""


def evaluate(
    dataset: tyro.conf.Positional[str],
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    options: Annotated[Scored, tyro.conf.arg(name="")],
    keypoints: str | None = None,
    actions: str = "*",
) -> None:
    """Errors of the single hypothesis, the mean of S and the best of S, side by side.

    Args:
        dataset: h36m, 3dhp, cmu17, walkers, or the name of a benchmark of your own.
        hypotheses: S, the number of hypotheses.
        options: of the scoring.
        keypoints: which 2D: as in the file's name (cpn_ft_h36m_dbb, hrnet_coco, gt), or det, gt.
        actions: first words of the actions wanted, with commas between; * for all.
    """
    protocol = PROTOCOLS.get(dataset, MOCAP)
    options.check()
    found = keypoints or data_set(dataset, options.root).default_keypoints
    on = options.on
    networks = options.networks(protocol.alpha)
    net = Sampler(networks.lifter, networks.noise).to(on)
    clips = load_clips(dataset, options.root, options.split, found, tuple(actions.split(",")))
    windows = options.windows(clips, net.lifter, protocol.every)
    draw = options.draw(clips, hypotheses)
    with progress("evaluate", len(windows)) as advance:
        names, cloud, size = protocol.metrics, protocol.cloud, options.batch_size
        scores = score(
            *(net, windows, names, draw, size, on, cloud, (), advance),
            confidence_noise=options.confidence_noise,
        )
    limits = networks.limits
    reach = CHI_SQUARE if limits is None else torch.from_numpy(limits[1:])
    rows, average = tabulate(scores, windows, protocol, reach)
    show(rows, average, protocol, hypotheses)
    if options.json is not None:
        settings = {"dataset": dataset, "hypotheses": hypotheses, **asdict(options)}
        settings |= {"keypoints": found, "actions": actions, "device": on}
        distances = scores.get("cloud", {}).get("mahalanobis")
        measured = {} if distances is None else {"limits_95": limits_95(distances)}
        write(options.json, report(rows, average, settings, networks) | measured)


def show(rows: list[Row], average: Row, protocol: Protocol, S: int) -> None:
    """Prints a line per group, single, mean and best of S side by side, two metrics a table."""
    console = plain_console()
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
    heads = ["energy score\nmm", "spread\nmm", "ECE\n"]
    measured = "held_95" in average.values["cloud"]
    for head in heads + ["in 95 % regions\n%"] * measured:
        table.add_column(head, justify="right", no_wrap=True)
    for row in [*rows, average]:
        if row is average:
            table.add_section()
        cloud = row.values["cloud"]
        cells = [f"{cloud['ES']:.1f}", f"{cloud['spread']:.1f}", f"{cloud['ECE']:.3f}"]
        table.add_row(row.name, *cells, *[f"{cloud.get('held_95', 0):.1f}"] * measured)
    return table


def report(rows: list[Row], average: Row, settings: dict[str, Any], networks: Networks) -> dict[str, Any]:
    """Every number with what it takes to repeat it."""
    noise, calibrated = networks.noise, networks.limits is not None
    settings |= {"alpha": noise.alpha, "floor": noise.floor, "calibrated": calibrated}
    return {
        "settings": {key: as_json(value) for key, value in settings.items()},
        "versions": {
            "prpose": prpose.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "sha256": networks.sha256,
        "units": {name: metric.unit for name, metric in METRICS.items()},
        "choices": CHOICES,
        "rows": [asdict(row) for row in rows],
        "average": asdict(average),
    }


def as_json(value: Any) -> str | float | None:
    """A setting as JSON has it."""
    return value if isinstance(value, str | int | float | None) else str(value)


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON, whole or not at all, and says so."""
    if processes.rank() == 0:
        with replacing(path) as temporary:
            text = json_format.dumps(content, indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    print(f"written: {path}")
