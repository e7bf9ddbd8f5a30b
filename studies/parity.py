"""Prints the table of largest deviations from the golden numbers: ``python -m studies.parity``."""

from collections.abc import Iterator

import numpy as np
import torch

from main import error_targets, fixed_targets
from prpose import metrics
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import score
from prpose.skeleton import PCK_17
from prpose.training import State, TrainConfig, fit
from tests import golden_numbers
from tests.golden_numbers import GOLDEN, LIFTER_CASES, OURS, VARIANCE_OF, InOrder, arrays, network, sampler


def largest(ours: torch.Tensor, golden: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - golden).max())


def nets() -> Iterator[tuple[str, float, str]]:
    x = torch.from_numpy(arrays("models/inputs.npz")["x"])
    for name in OURS:
        golden = arrays(f"models/{name}.npz")
        net = network(name)
        for key, dtype, allowed in (("y", torch.float32, "5e-6"), ("y_float64", torch.float64, "1e-8")):
            net, given = net.to(dtype), x.to(dtype)
            value = max(largest(net(given), golden[key]), largest(net(given[:1]), golden[key][:1]))
            yield f"{name}, {str(dtype).removeprefix('torch.')}", value, allowed


def lifters() -> Iterator[tuple[str, float, str]]:
    for name in LIFTER_CASES:
        net = golden_numbers.golden_lifter(name)
        outputs = golden_numbers.lifter_outputs(name, net, torch.float32)
        yield f"{name}, float32", max(largest(y, golden.numpy()) for y, golden in outputs), "5e-6"
        outputs = golden_numbers.lifter_outputs(name, net.double(), torch.float64)
        worst = max(largest(y, golden.numpy()) / float(golden.abs().max()) for y, golden in outputs)
        yield f"{name}, float64, relative", worst, "1e-9"


def pipeline() -> Iterator[tuple[str, float, str]]:
    golden = arrays("pipeline/pipeline.npz")
    x = torch.from_numpy(golden["input_2D"][:, 0])[:, None]
    eps = torch.from_numpy(golden["noise"]).transpose(0, 1)[:, :, :, None]
    for name in VARIANCE_OF:
        for alpha in (0.005, 0.01):
            poses = sampler(name, alpha)(x, eps[:, :, 0], eps[:, :, 1])
            expected = golden[f"{name}/alpha{alpha}/output_3D"].swapaxes(0, 1)
            yield f"pipeline {name}, alpha {alpha}, m", largest(poses[:, :, 0], expected), "1e-5"


def of_metrics() -> Iterator[tuple[str, float, str]]:
    golden = arrays("metrics/metrics.npz")
    worst = {"P1, m": 0.0, "P2, m": 0.0, "PCK17, share": 0.0}
    for case in {key.split("/")[0] for key in golden}:
        pred = torch.from_numpy(golden[f"{case}/pred"]).transpose(0, 1)
        target = torch.from_numpy(golden[f"{case}/target"][:, 0])
        pairs = [("P1, m", "p1_hyp", metrics.mpjpe(pred, target))]
        if case != "pck_threshold":  # one point has no alignment there, and joints on the edge
            pairs.append(("P2, m", "p2_hyp_float64", metrics.p_mpjpe(pred, target)))
            pairs.append(("PCK17, share", "pck_hyp", metrics.pck(pred, target, PCK_17)))
        for label, key, value in pairs:
            worst[label] = max(worst[label], largest(value.T, golden[f"{case}/{key}"]))
    for label, value in worst.items():
        yield f"metric {label}", value, "1e-6" if "PCK" in label else "2e-6"


def runs() -> Iterator[tuple[str, float, str]]:
    for run, case in golden_numbers.table("runs/runs.json")["runs"].items():
        options = case["options"]
        which = options["dataset"], GOLDEN / "data", "test", options.get("keypoints"), (options.get("action", "*"),)
        clips = load_clips(*which, int(options.get("downsample", 1)))
        draw = golden_numbers.golden_draw(int(options["hypotheses"])) if options["multi_hypothesis"] else None
        net = sampler(options["lifter"], float(options["alpha"]))
        scores = score(net, Windows(clips), ("P1", "P2"), draw, int(options["batch_size"]))
        best = scores["best" if draw else "deterministic"]
        golden = arrays(f"runs/{run}.npz")
        value = max(largest(best[n], golden[n.lower()]) for n in ("P1", "P2"))
        yield f"run {run}, P1 and P2 per frame, m", value, "1e-5"


def training() -> Iterator[tuple[str, float, str]]:
    windows = InOrder(load_clips("h36m", GOLDEN / "data", "train"), mirrored=True)
    for lifter in VARIANCE_OF:
        golden = arrays(f"train/{lifter}.npz")
        targets = error_targets(network(lifter, fitted=True), windows)
        yield f"targets of {lifter}", largest(targets[:320, 0, :, 0], golden["sigma_target_head"]), "5e-5"
        net, losses = network(VARIANCE_OF[lifter]), []
        for module in net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        config = TrainConfig(1, 64, 5e-4, schedule="published", clip=None, ema=None, precision="float32")
        fit(State(net, config), windows, fixed_targets(targets), lambda n, loss, to=losses: to.append(loss))
        first = float(abs(losses[0] / golden["step_losses"][0] - 1))
        yield f"first step's loss of {lifter}, relative", first, "1e-5"


if __name__ == "__main__":
    for part in (nets, lifters, pipeline, of_metrics, runs, training):
        for label, value, allowed in part():
            print(f"| {label} | {value:.1e} | {allowed} |", flush=True)
