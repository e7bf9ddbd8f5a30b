"""What 200 samples of a frame cost: our models beside published methods, in turns on the same machine.

    python studies/peers.py
    python studies/peers.py --threads 2 --json peers.json
    python studies/peers.py --whole      # besides, D3DP with all hypotheses and iterations, once: half an hour

Makes the table "Against peers" of docs/speed.md. The networks of other methods are rebuilt from their descriptions,
with random weights, so that only their cost is known here and nothing of their accuracy. Of D3DP, one hypothesis and
one iteration of both images are timed and multiplied. Multiply-adds are those of matrix products and attention.
"""

import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

import prpose
from prpose.atomic import check_output, write_json
from prpose.cli import guarded
from prpose.cli.console import progress
from prpose.hub import bundled_models
from prpose.lifter import receptive_field
from prpose.skeleton import H36M_17
from studies.flow import Flow
from studies.published import D3DP, CouplingFlow, DiffPose, J, MixtureDensityNetwork
from studies.speed import machine

DEFAULT = "gaussian-wide"
HYPOTHESES, ITERATIONS = 20, 10  # as D3DP was published
FRAMES = 243  # of a call, as D3DP needs
CALLS = {"mgcn-cmu17": 64, "graphmlp-cmu17": 8, "flow": 8, "DiffPose": 4}  # of those that are faster so
UNIT = "D3DP, H = 1, K = 1"
FLOW_ES = 267.6  # mm, docs/results.md, "Ways to make samples"


class Way(NamedTuple):
    """A way to draw samples: its network, and a call that returns samples (S, frames, joints, 3)."""

    net: nn.Module
    draw: Callable[[], Tensor]
    ES: float | None = None  # mm, on the test split of cmu17
    published: str = ""  # best of S, P1 on Human3.6M, mm


def ours(name: str, S: int) -> Way:
    """A bundled model, of a clip of some frames and those that its receptive field needs besides."""
    model, generator = prpose.load(name), torch.Generator().manual_seed(0)
    T = CALLS.get(name, FRAMES) + receptive_field(model.sampler.lifter) - 1
    keypoints = torch.rand(1, T, len(H36M_17), 2) - 0.5
    assert model.card is not None, "bundled models have cards"
    score = model.card.scores["cmu17 test det"]["ES"]
    return Way(model.sampler, lambda: model.sampler.sample(keypoints, S, generator)[:, 0], score)


def peers(S: int) -> dict[str, Way]:
    """The other methods, with random weights; D3DP with one hypothesis and one iteration."""
    spline, coupling, diffusion = prpose.for_inference(Flow()), CouplingFlow(), D3DP(FRAMES)
    mixture, single = MixtureDensityNetwork(), DiffPose()
    clip, frames = torch.rand(FRAMES, len(H36M_17), 2) - 0.5, torch.rand(CALLS["flow"], 1, len(H36M_17), 2) - 0.5
    gaussians, condition = torch.randn(CALLS["flow"], 13 * 6), torch.randn(CALLS["DiffPose"], 128 * J)

    def draw_spline() -> Tensor:
        return spline(frames, *torch.randn(2, S, *frames.shape[:-1], 4))[:, :, 0]

    def draw_coupling() -> Tensor:
        return coupling.sample(gaussians, frames[:, 0, 1:], S)

    ways = {
        "spline flow (studies/flow.py)": Way(spline, draw_spline, FLOW_ES),
        "coupling flow (Wehrbein 2021)": Way(coupling, draw_coupling, published="44.3 (200)"),
        "mixture density network (Li 2019)": Way(mixture, lambda: mixture.sample(clip[:, 1:], S), published="52.7 (5)"),
        "DiffPose (Holmquist 2023)": Way(single, lambda: single.sample(condition, S), published="43.3 (200)"),
        UNIT: Way(diffusion, lambda: diffusion.sample(clip, 1, 1), published="39.5 (20)"),
    }
    for way in ways.values():
        way.net.eval()
    return ways


def multiply_adds(draw: Callable[[], Tensor]) -> tuple[torch.Size, float]:
    """Shape of the samples of a call, and the multiply-adds of its matrix products, convolutions and attention."""
    aten, fast, threads = torch.ops.aten, torch.backends.mha.get_fastpath_enabled(), torch.get_num_threads()
    uncounted = {  # by PyTorch itself, as are transformer layers in one operator
        aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1],
        aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v),
    }
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_num_threads(1)  # the counter counts in this thread only
    try:
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
            samples = draw()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_num_threads(threads)
    return samples.shape, counter.get_total_flops() / 2


def compare(ways: Mapping[str, Way], turns: int) -> dict[str, dict[str, Any]]:
    """A row per way, of each frame: median, lowest and highest milliseconds of its turns, and what it computes."""
    rows: dict[str, dict[str, Any]] = {}
    with progress("time", (turns + 1) * len(ways), "calls") as advance:
        for name, way in ways.items():  # the first call of each, which is slower, is not timed
            (S, frames, *_), products = multiply_adds(way.draw)
            parameters = sum(parameter.numel() for parameter in way.net.parameters())
            rows[name] = {"S": S, "frames": frames, "multiply-adds": products / frames}
            rows[name] |= {"parameters": parameters, "ES": way.ES, "published": way.published, "turns, ms": []}
            advance(1)
        for _ in range(turns):
            for name, way in ways.items():
                start = time.perf_counter()
                with torch.no_grad():
                    way.draw()
                rows[name]["turns, ms"].append(1000 * (time.perf_counter() - start) / rows[name]["frames"])
                advance(1)
    for row in rows.values():
        row |= {"ms": median(row["turns, ms"])}
    return rows


def scaled(row: Mapping[str, Any], H: int, K: int) -> dict[str, Any]:
    """The row of D3DP with H hypotheses and K iterations, from that of one hypothesis and one iteration."""
    found: dict[str, Any] = {key: H * K * row[key] for key in ("ms", "multiply-adds")}
    found["published"] = row["published"] if (H, K) == (HYPOTHESES, ITERATIONS) else ""
    return {**row, **found, "S": H, "turns, ms": [H * K * turn for turn in row["turns, ms"]]}


def table(rows: Mapping[str, Mapping[str, Any]], base: str) -> str:
    """The rows in Markdown, with their ratios to the row ``base``."""
    heads = ["", "S", "ms per frame", "lowest to highest", f"÷ {base}", "multiply-adds, G", "parameters, M"]
    heads += ["frames at once", "ES, mm", "P1 on Human3.6M, best of (S)"]
    lines = [heads, ["---"] * len(heads)]
    for name, row in rows.items():
        numbers = row["ms"] / rows[base]["ms"], row["multiply-adds"] / 1e9, row["parameters"] / 1e6
        spread = " to ".join(short(pick(row["turns, ms"])) for pick in (min, max))
        cells = [name, str(row["S"]), short(row["ms"]), spread, *map(short, numbers), str(row["frames"])]
        lines.append([*cells, "not known" if row["ES"] is None else f"{row['ES']:.1f}", row["published"] or "–"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(value: float) -> str:
    """Three digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(
    num_samples: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 200,
    turns: int = 9,
    threads: int = 1,
    whole: bool = False,
    json: Path | None = None,
    overwrite: bool = False,
) -> dict[str, dict[str, Any]]:
    """Print a row per way to draw samples.

    Args:
        num_samples: Number of samples of each frame.
        turns: Number of timed calls of each way.
        threads: Number of PyTorch's threads.
        whole: Besides, time D3DP with all of its hypotheses and iterations, once.
        json: JSON file for the numbers.
        overwrite: Replace an existing JSON file.
    """
    if json is not None:
        check_output(json, overwrite)
    before, S = torch.get_num_threads(), num_samples
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    try:
        ways = {name: ours(name, S) for name in sorted(bundled_models(), key=lambda name: (name != DEFAULT, name))}
        ways |= peers(S)
        rows, title = compare(ways, turns), f"{machine(torch.device('cpu'))}, zuko {version('zuko')}"
        one, (H, K) = rows.pop(UNIT), (HYPOTHESES, ITERATIONS)
        rows |= {f"D3DP (Shan 2023), {count} hypotheses": scaled(one, count, K) for count in sorted({H, S})}
        if whole:
            net, clip, start = D3DP(FRAMES).eval(), torch.rand(FRAMES, len(H36M_17), 2) - 0.5, time.perf_counter()
            with torch.no_grad():
                net.sample(clip, H, K)
            took = 1000 * (time.perf_counter() - start) / FRAMES
            rows[f"D3DP (Shan 2023), {H} hypotheses, whole"] = scaled(one, H, K) | {"ms": took, "turns, ms": [took]}
    finally:
        torch.set_num_threads(before)
    print(f"{turns} turns on {title}\n\n{table(rows, DEFAULT)}")
    if json is not None:
        write_json(json, {"title": title, "num_samples": S, "threads": threads, "rows": rows})
    return rows


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
