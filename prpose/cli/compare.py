"""prpose compare: is adaptive noise worth it?"""

from dataclasses import asdict
from typing import Annotated, Any

import torch
import tyro
from rich.table import Table

from prpose.cli.console import plain_console
from prpose.cli.evaluate import as_json, write
from prpose.cli.console import progress
from prpose.cli.scored import Scored
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import MOCAP, Row, score, tabulate
from prpose.evaluation.baselines import IsotropicCloud, awareness, equal_variance, fitted_isotropic
from prpose.noise import AdaptiveNoise
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17

CURVE = (1, 5, 10, 20, 50, 100, 200)


def compare(
    dataset: tyro.conf.Positional[str],
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    options: Annotated[Scored, tyro.conf.arg(name="")],
) -> None:
    """Adaptive noise beside constant noise of equal variance and a 3D Gaussian around the lifter.

    Both widths are fitted on the validation split.

    Args:
        dataset: cmu17, walkers, or the name of a benchmark of your own.
        hypotheses: S, the number of hypotheses.
        options: of the scoring.
    """
    options.check()
    if hypotheses < 2:
        raise ValueError(f"expected -n >= 2 hypotheses, a distribution, got {hypotheses}")
    on = options.on
    networks = options.networks(MOCAP.alpha)
    noise = networks.noise
    net = Sampler(networks.lifter, noise).to(on)
    clips, val_clips = (load_clips(dataset, options.root, s) for s in (options.split, "val"))
    windows, val = (options.windows(each, net.lifter, MOCAP.every) for each in (clips, val_clips))
    draw = options.draw(clips, hypotheses)
    kinds = beside(net, noise, val, on)
    curve, rows = sorted({S for S in CURVE if hypotheses >= S} | {hypotheses}), {}
    with progress("compare", len(kinds) * len(windows)) as advance:
        for kind, each in kinds.items():
            size = options.batch_size
            scores = score(
                *(each, windows, MOCAP.metrics, draw, size, on, True, curve, advance),
                confidence_noise=options.confidence_noise,
            )
            rows[kind] = tabulate(scores, windows, MOCAP)[1]
    known = awareness(net, windows, on)
    show(rows, curve, known)
    if options.json is not None:
        settings = {"dataset": dataset, "hypotheses": hypotheses, **asdict(options)}
        settings |= {"alpha": noise.alpha, "floor": noise.floor, "device": on}
        content: dict[str, Any] = {"settings": {key: as_json(value) for key, value in settings.items()}}
        content |= {"sha256": networks.sha256, "awareness": known}
        write(options.json, content | {"kinds": {kind: asdict(row) for kind, row in rows.items()}})


def beside(
    net: Sampler, noise: AdaptiveNoise, val: Windows, device: torch.device
) -> dict[str, Sampler | IsotropicCloud]:
    """The adaptive noise and what it is compared with, by name."""
    constant = equal_variance(noise, val, device)
    isotropic = fitted_isotropic(net, val, device)
    return {
        f"adaptive, alpha {noise.alpha:.4g}": net,
        f"constant, sigma {constant.sigma:.4g}": Sampler(net.lifter, constant).to(device),
        f"3D Gaussian, {isotropic.width_m * 1000:.1f} mm": isotropic,
    }


def show(rows: dict[str, Row], curve: list[int], known: dict[str, list[float | None]]) -> None:
    """Prints a table for P1, P2 and the clouds, and one of what the variance net knows."""
    console = plain_console()
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
