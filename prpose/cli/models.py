"""prpose models: the bundled models, and the architectures that can be trained."""

from typing import Annotated, Any

import torch
import tyro
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from prpose.cli.console import plain_console
from prpose.hub import bundled_models
from prpose.lifter import LIFTERS, build_lifter, receptive_field

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "modulated_gcn": ({}, {"joints": 16}, {"joints": 16, "nonlocal_blocks": True}),
    "graphmlp": ({}, {"frames": 27}),
    "temporal": ({}, {"filter_widths": [3, 3, 3, 3]}, {"filter_widths": [3, 3, 3, 3, 3]}),
}
"""Constructor arguments of the published networks, where there is more than one."""


def models(architectures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False) -> None:
    """List the bundled models: networks, training data and scores.

    Args:
        architectures: List the lifter architectures instead, with parameters and floating-point operations.
    """
    if architectures:
        return _list_architectures()
    console = plain_console()
    for name, model in bundled_models().items():
        card = model.card
        table = Table(title=name, title_justify="left", show_header=False)
        table.add_row("networks", f"{card.lifter.network} and its variance net, {model.size / 1e6:.1f} MB")
        table.add_row("data", f"{card.data} (inputs {card.data_sha256[:12]}…), {card.date}")
        table.add_row("noise", f"alpha {card.alpha}, floor {card.floor}, {card.noise.network}")
        for split, scores in card.scores.items():
            table.add_row(split, ", ".join(f"{key} {value}" for key, value in scores.items()))
        table.add_row("lifter trained by", card.lifter.command)
        table.add_row("noise trained by", card.noise.command)
        table.add_row("training", card.lifter.training)
        console.print(table)
    return None


def _list_architectures() -> None:
    """Every lifter with its published variants: frames, parameters, operations per pose."""
    table = Table(title="FLOPs: floating-point operations per pose, two per multiply-add", title_justify="left")
    table.add_column("lifter")
    for column in ("frames", "parameters", "FLOPs"):
        table.add_column(column, justify="right", no_wrap=True)
    for name in LIFTERS:
        for kw in VARIANTS.get(name, ({},)):
            lifter = build_lifter(name, **kw).eval()
            table.add_row(
                ", ".join([name, *(f"{k}={v}" for k, v in kw.items())]),
                str(receptive_field(lifter)),
                f"{sum(p.numel() for p in lifter.parameters()) / 1e6:.2f} M",
                f"{flops(lifter) / 1e6:,.0f} M",
            )
    plain_console().print(table)


def flops(lifter: torch.nn.Module, joints: int = 17) -> int:
    """Floating-point operations of matrix products and convolutions per pose."""
    keypoints = torch.zeros(1, receptive_field(lifter), joints, 2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        lifter(keypoints)
    return int(counter.get_total_flops())
