"""prpose compare: is adaptive noise worth it?"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from prpose.atomic import check_output
from prpose.cli.device import chunk_for, named_device
from prpose.cli.evaluate import check_counts, find_networks, first, write
from prpose.cli.progress import progress
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import MOCAP, Row, score, seeded_draw, tabulate
from prpose.evaluation.baselines import IsotropicCloud, awareness, equal_variance, fitted_isotropic
from prpose.hypotheses import HypothesisLifter
from prpose.noise import AdaptiveNoise
from prpose.skeleton import H36M_17

CURVE = (1, 5, 10, 20, 50, 100, 200)


def compare(
    dataset: tyro.conf.Positional[str],
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    model: str | None = None,
    lifter: str | None = None,
    lifter_weights: Path | None = None,
    noise_weights: Path | None = None,
    root: Path = Path("dataset"),
    split: str = "test",
    alpha: float | None = None,
    seed: int = 0,
    stride: int = 1,
    batch_size: int = 64,
    device: str = "auto",
    json: Path | None = None,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Adaptive noise beside constant noise of equal variance and a 3D Gaussian around the lifter.

    Both widths are fitted on the validation split.

    Args:
        dataset: cmu17, walkers, or the name of a benchmark of your own.
        hypotheses: S, the number of hypotheses.
        model: one that prpose brings, or instead of it:
        lifter: htnet or mgcn_lw, with
        lifter_weights: its checkpoint, and
        noise_weights: its variance net's checkpoint.
        root: folder with the npz files; walkers need none.
        split: test, val or train.
        alpha: scale of the adaptive noise; if not given, the model's, or 0.005.
        seed: of the noise.
        stride: every stride-th of the frames that are usually scored.
        batch_size: frames at once.
        device: auto, cpu, cuda, cuda:1 ...
        json: file for every number and setting.
        overwrite: replace the json file if it exists.
    """
    settings: dict[str, Any] = {k: str(v) for k, v in locals().items()}
    check_counts(stride=stride, batch_size=batch_size)
    if hypotheses < 2:
        raise ValueError(f"expected -n >= 2 hypotheses, a distribution, got {hypotheses}")
    if json is not None:
        check_output(json, overwrite)
    on, draw = named_device(device), seeded_draw(seed, hypotheses)
    networks = find_networks(model, lifter, lifter_weights, noise_weights)
    noise = AdaptiveNoise(networks.noise, first(alpha, networks.alpha, MOCAP.alpha))
    net = HypothesisLifter(networks.lifter, noise, chunk=chunk_for(on)).to(on)
    every = stride * MOCAP.every
    windows = Windows(load_clips(dataset, root, split), every=every)
    kinds = beside(net, noise, Windows(load_clips(dataset, root, "val"), every=every), on)
    curve, rows = sorted({S for S in CURVE if hypotheses >= S} | {hypotheses}), {}
    with progress("compare", len(kinds) * len(windows)) as advance:
        for kind, each in kinds.items():
            scores = score(each, windows, MOCAP.metrics, draw, batch_size, on, True, curve, advance)
            rows[kind] = tabulate(scores, windows, MOCAP)[1]
    known = awareness(net, windows, on)
    show(rows, curve, known)
    if json is not None:
        content = {"settings": settings, "sha256": networks.sha256, "awareness": known}
        write(json, content | {"kinds": {kind: asdict(row) for kind, row in rows.items()}})


def beside(
    net: HypothesisLifter, noise: AdaptiveNoise, val: Windows, device: torch.device
) -> dict[str, HypothesisLifter | IsotropicCloud]:
    """The adaptive noise and what it is compared with, by name."""
    constant = equal_variance(noise, val, device)
    isotropic = fitted_isotropic(net, val, device)
    return {
        f"adaptive, alpha {noise.alpha:.4g}": net,
        f"constant, sigma {constant.sigma:.4g}": HypothesisLifter(net.lifter, constant).to(device),
        f"3D Gaussian, {isotropic.width_m * 1000:.1f} mm": isotropic,
    }


def show(rows: dict[str, Row], curve: list[int], known: dict[str, list[float | None]]) -> None:
    """Prints a table for P1, P2 and the clouds, and one of what the variance net knows."""
    console = Console()
    choices = ["single", "mean", *(f"best_of_{S}" for S in curve)]
    for name in ("P1", "P2", "PCK14", "AUC14"):
        table = Table(title=name, title_justify="left", padding=0)
        table.add_column("noise", no_wrap=True)
        for choice in choices:
            table.add_column(choice.replace("best_of_", "best of\n"), justify="right")
        for kind, row in rows.items():
            table.add_row(kind, *(f"{row.values[choice][name]:.1f}" for choice in choices))
        console.print(table)
    table = Table(title="the hypotheses as a distribution", title_justify="left")
    for head in ("noise", "energy score, mm", "ECE", "spread, mm"):
        table.add_column(head, justify="left" if head == "noise" else "right", no_wrap=True)
    for kind, row in rows.items():
        cloud = row.values["cloud"]
        table.add_row(kind, f"{cloud['ES']:.1f}", f"{cloud['ECE']:.3f}", f"{cloud['spread']:.1f}")
    console.print(table)
    table = Table(title="rank correlation of predicted sigma and error", title_justify="left")
    table.add_column("joint", no_wrap=True)
    for head in known:
        table.add_column(head, justify="right")
    for j, joint in enumerate(H36M_17.names[1:], start=1):
        values = [by[j] for by in known.values()]
        table.add_row(joint, *("–" if value is None else f"{value:.2f}" for value in values))
    console.print(table)
