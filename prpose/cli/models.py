"""prpose models: the bundled models, and the architectures that can be trained."""

from typing import Annotated, Any

import torch
import tyro
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from prpose.cli.console import plain_console, print_table, progress
from prpose.hub import bundled_models
from prpose.io.keypoints import known_formats
from prpose.lifter import LIFTERS, build_lifter, receptive_field
from prpose.weights import VARIANCE_PREFIX

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {  # constructor arguments of the published networks
    "modulated_gcn": ({}, {"joints": 16}, {"joints": 16, "nonlocal_blocks": True}),
    "graphmlp": ({}, {"frames": 27}),
    "temporal": ({}, {"filter_widths": [3, 3, 3, 3]}, {"filter_widths": [3, 3, 3, 3, 3]}),
}


def models(
    architectures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    formats: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """List the bundled models: networks, training data and scores.

    Args:
        architectures: List the lifter architectures instead, with parameters and floating-point operations.
        formats: List the keypoint formats that can be read instead.
    """
    if formats:
        clip = {False: "a file", True: "a file or a folder of frames"}
        rows = {name: [f"*{each.ending}", clip[each.frame_files]] for name, each in known_formats().items()}
        return print_table("keypoint formats; examples in docs/formats.md", ["files", "a clip is"], rows)
    if architectures:
        return _list_architectures()
    for name, model in bundled_models().items():
        card = model.card
        table = Table(title=name, title_justify="left", show_header=False)
        networks = " and ".join(getattr(card, role).network for role in card.roles)
        table.add_row("networks", f"{networks}, {model.size / 1e6:.1f} MB")
        table.add_row("data", f"{card.data} (inputs {card.data_sha256[:12]}…), {card.date}")
        if card.noise is None or card.noise.network.startswith(VARIANCE_PREFIX):
            table.add_row("noise", f"alpha {card.alpha}, floor {card.floor}")
        for split, scores in card.scores.items():
            table.add_row(split, ", ".join(f"{key} {value}" for key, value in scores.items()))
        table.add_row("lifter trained by", card.lifter.command)
        if card.noise is not None:
            table.add_row("noise trained by", card.noise.command)
        table.add_row("training", card.lifter.training)
        plain_console().print(table)
    return None


def _list_architectures() -> None:
    rows, variants = {}, [(name, kw) for name in LIFTERS for kw in VARIANTS.get(name, ({},))]
    with progress("count", len(variants), "lifters") as advance:
        for name, kw in variants:
            lifter = build_lifter(name, **kw).eval()
            parameters = f"{sum(p.numel() for p in lifter.parameters()) / 1e6:.2f} M"
            cells = [str(receptive_field(lifter)), parameters, f"{flops(lifter) / 1e6:,.0f} M"]
            rows[", ".join([name, *(f"{k}={v}" for k, v in kw.items())])] = cells
            advance(1)
    title = "FLOPs: floating-point operations per pose, two per multiply-add"
    print_table(title, ["frames", "parameters", "FLOPs"], rows)


def flops(lifter: torch.nn.Module) -> int:
    """Floating-point operations of matrix products and convolutions per pose."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        lifter(torch.zeros(1, receptive_field(lifter), 17, 2))
    return int(counter.get_total_flops())
