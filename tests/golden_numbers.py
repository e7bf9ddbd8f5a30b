"""The reference numbers in tests/golden (its README says what they are), as tensors and nets."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prpose import AdaptiveNoise, HypothesisLifter, load_published

GOLDEN = Path(__file__).parent / "golden"
SEED = 1
VARIANCE_OF = {"htnet": "avg_modulated_gcn", "mgcn_lw": "avg_linear"}
OURS = {
    "htnet": "htnet",
    "mgcn_lw": "mgcn_lw",
    "avg_modulated_gcn": "avg_htnet",
    "avg_linear": "avg_mgcn_lw",
}


def table(path: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / path).read_text()))


@functools.cache
def arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / path) as file:
        return dict(file)


def rule_state(name: str, fitted: bool = False) -> dict[str, Tensor]:
    """State dict with published keys, filled by the rule; ``fitted`` with the realistic head."""
    state = {}
    for tensor in table(f"models/{name}.json")["tensors"]:
        v = np.random.default_rng([SEED, tensor["i"]]).standard_normal(tensor["shape"])
        mean, scale = tensor["mean"], tensor["scale"]
        filled = {
            "normal": mean + scale * v,
            "absnormal": mean + scale * np.abs(v),
            "const": np.full(tensor["shape"], mean),
        }[tensor["kind"]]
        state[tensor["key"]] = torch.from_numpy(np.asarray(filled, dtype=tensor["dtype"]).copy())
    if fitted:
        for key, value in arrays("models/fitted_heads.npz").items():
            if key.startswith(f"{name}/"):
                state[key.removeprefix(f"{name}/")] = torch.from_numpy(value)
    return state


def network(name: str, fitted: bool = False) -> nn.Module:
    return load_published(OURS[name], rule_state(name, fitted))


def hypothesis_lifter(name: str, alpha: float = 0.005, chunk: int = 512) -> HypothesisLifter:
    noise = AdaptiveNoise(network(VARIANCE_OF[name]), alpha)
    return HypothesisLifter(network(name, fitted=True), noise, chunk=chunk).eval()


def golden_draw(S: int, seed: int = SEED):
    """The noise of golden/runs: by item, both images; another seed gives more of its kind."""

    def draw(items: range, shape: torch.Size) -> list[tuple[Tensor, Tensor]]:
        eps = np.stack(
            [np.random.default_rng([seed, 777, g]).standard_normal((S, 2, 17, 2)) for g in items],
            axis=1,
        ).astype(np.float32)
        both = torch.from_numpy(eps)[:, :, :, None]
        return [(both[:, :, 0], both[:, :, 1])]

    return draw
