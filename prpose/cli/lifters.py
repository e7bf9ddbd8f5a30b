"""prpose lifters: the networks that can be trained and loaded, and what they cost."""

from typing import Any

import torch
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from prpose.cli.console import plain_console
from prpose.lifter import LIFTERS, build_lifter, receptive_field

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "modulated_gcn": ({}, {"joints": 16}, {"joints": 16, "nonlocal_blocks": True}),
    "graphmlp": ({}, {"frames": 27}),
    "temporal": ({}, {"filter_widths": [3, 3, 3, 3]}, {"filter_widths": [3, 3, 3, 3, 3]}),
}
"""Constructor arguments of the published networks, where there is more than one."""


def lifters() -> None:
    """Every lifter with its published variants: frames, parameters, operations per pose."""
    title = "FLOPs: floating-point operations per pose, a multiply-add being two"
    table = Table(title=title, title_justify="left")
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
                f"{operations(lifter) / 1e6:,.0f} M",
            )
    plain_console().print(table)


def operations(lifter: torch.nn.Module, joints: int = 17) -> int:
    """Floating-point operations of matrix products and convolutions for one pose."""
    keypoints = torch.zeros(1, receptive_field(lifter), joints, 2)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        lifter(keypoints)
    return int(counter.get_total_flops())
