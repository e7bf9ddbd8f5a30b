"""Ways to make samples, trained on the same data in about the same time: a row each, on the test split.

    python studies/baselines.py runs/baselines --root dataset

Makes the table "Ways to make samples" of docs/results.md. All are light Modulated GCNs of single frames, trained for
half an hour on one core each: one-pass; lifter and learnt noise; a flow (studies/flow.py); and the published recipe,
with the alpha of the lowest energy score on val, constant noise of its mean variance, and an isotropic 3D Gaussian of
maximum likelihood on val around its pose. A study that was cut off goes on. The noise of low confidences, which
prpose evaluate adds to the published recipe's, is left out.
"""

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
import tyro

from prpose.cli import guarded, run
from prpose.cli.console import print_table
from prpose.data.windows import Windows
from prpose.evaluation import baseline_samplers
from prpose.hub import read_model_folder
from prpose.sampler import Sampler
from prpose.training.run import WEIGHTS
from studies import flow
from studies.ablations import CLOUD, METRICS, average_of, formatted, windows_for

SAME = ["--config.weight-decay", "0.01", "--config.warmup", "500", "--config.balance", "0.5"]
SAME += ["--config.wide-cameras", "0.2"]
FRAMED = ["--lifter-args", '{"framed": true}']
ONE_PASS = ["sampler", "--lifter", "gaussian_gcn", *FRAMED, "--config.draws", "16", "--config.pose-weight", "0.25"]
LIGHT = ["--lifter", "mgcn_lw"]
TRAININGS = {  # (arguments, epochs, option for the weights of an earlier training)
    "one pass": (ONE_PASS, 18, {}),
    "lifter": (["lifter", *LIGHT], 18, {}),
    "variance net": (
        ["noise", *LIGHT, "--config.target", "response", "--config.network", "htnet"],
        3,
        {"--lifter-weights": "lifter"},
    ),
    "lifter and noise": (
        ["sampler", *LIGHT, "--config.network", "htnet", "--lr", "0.0001"],
        2,
        {"--init": "lifter", "--init-noise": "variance net"},
    ),
}
FLOW_EPOCHS = 8
ALPHAS = (0.00625, 0.0125, 0.025, 0.05)
ALPHA_STRIDE = 6  # at least, of the frames of val that choose alpha
FRAMES, REPEATS = 64, 5  # of the timing, with one thread


def main(
    out: tyro.conf.Positional[Path],
    root: Path = Path("dataset"),
    budget: float = 1.0,
    num_samples: int = 200,
    stride: int = 12,
    every: int = 2,
    data: str = "cmu17",
) -> dict[str, list[str]]:
    """Train what is not, choose alpha on val, and print a row per way.

    Args:
        out: Folder of the trainings.
        root: Folder with the data set.
        budget: Factor on the number of epochs.
        num_samples: Number of samples of the evaluation.
        stride: Evaluate every n-th frame of the protocol.
        every: Train on the windows of every n-th frame.
        data: Data set.
    """
    same = ["--data", data, "--root", str(root), "--config.every", str(every), *SAME]
    for name, (arguments, epochs, starts) in TRAININGS.items():
        start = [text for option, run in starts.items() for text in (option, str(out / run / WEIGHTS))]
        lasting = ["--epochs", str(max(1, round(epochs * budget)))]
        resume = ["--resume"] if (out / name / "config.json").is_file() else []
        run(["train", *arguments, "--out", str(out / name), *lasting, *start, *same, *resume])
    ways: dict[str, Any] = {}
    for name in ("one pass", "lifter and noise"):
        _pack(out / "models" / name, ["--sampler-run", str(out / name)])
        ways[name] = read_model_folder(out / "models" / name).sampler()
    flow_epochs = max(1, round(FLOW_EPOCHS * budget))
    ways["flow, by likelihood"] = flow.trained(out / "flow", root, data, epochs=flow_epochs, every=every)
    ways |= _published(out, root, data, num_samples, stride)
    cells = {}
    for name, net in ways.items():
        windows = windows_for(net, root, data, "test", stride)
        cells[name] = [
            *formatted(average_of(net, windows, num_samples).values),
            f"{_milliseconds(net, windows, num_samples):.2f}",
        ]
    print_table(f"test, S = {num_samples}; ms per frame of a batch on one thread", [*METRICS, *CLOUD, "ms"], cells)
    return cells


def _published(out: Path, root: Path, data: str, num_samples: int, stride: int) -> dict[str, Any]:
    """The published recipe at its best alpha on val, and its baselines."""
    folder = out / "models" / "published"
    _pack(folder, ["--lifter-run", str(out / "lifter"), "--noise-run", str(out / "variance net"), "--alpha", "1"])
    found = {}
    for alpha in ALPHAS:
        net = read_model_folder(folder).sampler(alpha)
        windows = windows_for(net, root, data, "val", max(ALPHA_STRIDE, stride))
        found[alpha] = average_of(net, windows, num_samples).values["cloud"]["ES"]
    best = min(found, key=lambda alpha: found[alpha])
    print("energy score on val by alpha:", ", ".join(f"{alpha:g} {ES:.1f}" for alpha, ES in found.items()))
    net = read_model_folder(folder).sampler(best)
    return baseline_samplers(net, windows_for(net, root, data, "val", stride), torch.device("cpu"))


def _pack(folder: Path, runs: list[str]) -> None:
    run(["pack", str(folder), *runs, "--overwrite"])


def _milliseconds(net: Sampler | flow.Flow, windows: Windows, S: int) -> float:
    """Median time of a frame's samples, in a batch."""
    keypoints, times = windows[torch.arange(min(FRAMES, len(windows)))].keypoints, []
    eps, eps_mirrored = torch.randn(2, S, *keypoints.shape[:-1], net.noise_channels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        for _ in range(REPEATS):
            start = time.perf_counter()
            net(keypoints, eps, eps_mirrored)
            times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return statistics.median(times) * 1000 / len(keypoints)


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
