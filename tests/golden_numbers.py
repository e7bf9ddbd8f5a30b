"""The reference numbers in tests/golden (its README says what they are), as tensors and nets."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prpose import AdaptiveNoise, Sampler, load_published
from prpose.data.windows import Windows
from prpose.lifter import RemappedLifter
from prpose.nets.mlp import back_project

GOLDEN = Path(__file__).parent / "golden"
SEED = 1
VARIANCE_OF = {"htnet": "avg_modulated_gcn", "mgcn_lw": "avg_linear"}
OURS = {"htnet": "htnet", "mgcn_lw": "mgcn_lw", "avg_modulated_gcn": "avg_htnet", "avg_linear": "avg_mgcn_lw"}
LIFTER_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "graphmlp_f1": ("graphmlp", {}),
    "graphmlp_f1_refine": ("refine_graphmlp", {}),
    "graphmlp_f27": ("graphmlp", {"frames": 27}),
    "graphmlp_f27_refine": ("refine_graphmlp", {}),
    "modulated_gcn_16": ("modulated_gcn", {"joints": 16}),
    "modulated_gcn_16_nonlocal": ("modulated_gcn", {"joints": 16, "nonlocal_blocks": True}),
    "modulated_gcn_17": ("modulated_gcn", {}),
    "modulated_gcn_17_refine": ("refine_modulated_gcn", {}),
    "temporal_1": ("temporal", {"filter_widths": [1, 1, 1]}),
    "temporal_27": ("temporal", {}),
    "temporal_27_causal": ("temporal", {"causal": True}),
}
"""Files of golden/lifters: the network's name, and arguments as a card has them (JSON)."""


def table(path: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / path).read_text()))


@functools.cache
def arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / path) as file:
        return dict(file)


def rule_state(name: str, fitted: bool = False) -> dict[str, Tensor]:
    """State dict with published keys, filled by the rule; ``fitted`` with the realistic head."""
    path = f"{'lifters' if name in LIFTER_CASES else 'models'}/{name}"
    state = {tensor["key"]: torch.from_numpy(_filled(tensor, path)) for tensor in table(f"{path}.json")["tensors"]}
    if fitted:
        heads = arrays("models/fitted_heads.npz").items()
        state |= {k.removeprefix(f"{name}/"): torch.from_numpy(v) for k, v in heads if k.startswith(f"{name}/")}
    return state


def _filled(tensor: dict[str, Any], path: str) -> np.ndarray:
    if tensor["kind"] == "graph":
        return arrays(f"{path}.npz")[tensor["from"]].copy()
    v = np.random.default_rng([SEED, tensor["i"]]).standard_normal(tensor["shape"])
    spread = {"normal": v, "absnormal": np.abs(v), "const": np.zeros_like(v)}[tensor["kind"]]
    return np.asarray(tensor["mean"] + tensor["scale"] * spread, dtype=tensor["dtype"]).copy()


def golden_lifter(name: str, state: dict[str, Tensor] | None = None) -> nn.Module:
    """A network of golden/lifters; of 16 joints, the one inside the wrapper."""
    network, arguments = LIFTER_CASES[name]
    net = load_published(network, state or rule_state(name), **arguments)
    return net.net if isinstance(net, RemappedLifter) else net


def lifter_outputs(name: str, net: nn.Module, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """Our outputs for everything a file of golden/lifters has one for, beside the golden ones."""
    device = next(net.parameters()).device
    golden = {k: torch.from_numpy(v) for k, v in arrays(f"lifters/{name}.npz").items()}
    given = {key: value.to(device, dtype) for key, value in golden.items()}
    twin = "_float64" if dtype == torch.float64 else ""
    if "lifter_out" in golden:
        depth = given["root_and_relative_3d"][..., 0, 2]
        x = given["x_centre" if "x_centre" in golden else "x"]
        back = back_project(given["lifter_out"], x, depth, given["camera"][:, None])
        yield back, golden[f"back_projected{twin}"]
        yield net(given["lifter_out"], back), golden[f"y{twin}"]
    elif "x_long" in golden:
        yield net.dilated(given["x"]), golden[f"y{twin}"]
        yield net.strided(given["x"]), golden[f"y_strided{twin}"]
        yield net(given["x_long"]), golden[f"y_long{twin}"]
    else:
        yield net(given["x"]), golden[f"y{twin}"]


def network(name: str, fitted: bool = False) -> nn.Module:
    return load_published(OURS[name], rule_state(name, fitted))


def sampler(name: str, alpha: float = 0.005, chunk: int = 512) -> Sampler:
    return Sampler(network(name, fitted=True), AdaptiveNoise(network(VARIANCE_OF[name]), alpha), chunk=chunk).eval()


def golden_draw(S: int, seed: int = SEED):
    """The noise of golden/runs: by item, both images; another seed gives more of its kind."""

    def draw(items: range, shape: torch.Size) -> list[tuple[Tensor, Tensor]]:
        eps = [np.random.default_rng([seed, 777, g]).standard_normal((S, 2, 17, 2)) for g in items]
        both = torch.from_numpy(np.stack(eps, axis=1).astype(np.float32))[:, :, :, None]
        return [(both[:, :, 0], both[:, :, 1])]

    return draw


class InOrder(Windows):
    """Windows in their order in every epoch, as in golden/train."""

    def batches(self, batch_size: int, seed: tuple[int, ...] | None = None, start: int = 0) -> Iterator[Any]:
        return super().batches(batch_size, None, start)
