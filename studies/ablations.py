"""Ablations of the training by the energy score: a training per row, scored on the validation split.

    python studies/ablations.py runs/ablations --root dataset --less-data dataset_v1
    python studies/ablations.py runs/ablations --root dataset --rows "2 draws" "no pose score"

Makes the table "Ablations" of docs/results.md. Rows of a one-pass network differ from the first in what their names
say, and take as many steps; rows of noise differ from "lifter and noise", which starts from the weights of the bundled
mgcn-cmu17. Rows whose model exists in the folder are not trained again, whatever the options. studies/confidences.py
makes a row of its own.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tyro

from prpose.cli import guarded, run
from prpose.cli.console import print_table
from prpose.data import load_clips, load_motions
from prpose.data.windows import Windows
from prpose.evaluation import score, seeded_draw
from prpose.evaluation.protocols import MOCAP, Row, tabulate
from prpose.hub import CARD, SHIPPED, read_model_folder
from prpose.lifter import is_framed

GCN = ["--lifter", "gaussian_gcn", "--lifter-args", '{"framed": true}', "--config.draws", "16"]
GCN += ["--config.pose-weight", "0.25", "--config.weight-decay", "0.01", "--config.balance", "0.5"]
NOISE = ["--lifter", "mgcn_lw", "--init", str(SHIPPED / "mgcn-cmu17" / "lifter.safetensors"), "--lr", "0.0001"]
NOISE += ["--config.network", "htnet", "--init-noise", str(SHIPPED / "mgcn-cmu17" / "noise.safetensors")]
ROWS: dict[str, list[str]] = {
    "one pass, graph network": GCN,
    "2 draws": [*GCN, "--config.draws", "2"],
    "4 draws": [*GCN, "--config.draws", "4"],
    "no pose score": [*GCN, "--config.pose-weight", "0"],
    "pose score x 4": [*GCN, "--config.pose-weight", "1"],
    "not framed": [*GCN, "--lifter-args", "{}"],
    "windows weighted alike": [*GCN, "--config.balance", "1"],
    "half wide cameras": [*GCN, "--config.wide-cameras", "0.5"],
    "0.3 wide bodies": [*GCN, "--config.wide-bodies", "0.3"],
    "0.3 exchanged limbs": [*GCN, "--config.exchanged-limbs", "0.3"],
    "0.1 dropout": [*GCN, "--lifter-args", '{"framed": true, "dropout": 0.1}'],
    "less data": GCN,
    "one pass, MLP": [*GCN, "--lifter", "gaussian_mlp"],
    "lifter and noise": NOISE,
    "constant noise": [*NOISE[:-4], "--config.network", "constant"],
    "frozen lifter": [*NOISE, "--config.no-train-lifter"],
}
AVERAGED = "lifter and noise"  # the row that is also scored with two images averaged in each sample, as published
METRICS = {"P1 det.": ("deterministic", "P1"), "P1 mean": ("mean", "P1"), "P1 best": ("best", "P1")}
CLOUD = {"ES": 1, "ECE": 3, "ECE_hidden": 3, "spread": 1}


def main(
    out: tyro.conf.Positional[Path],
    root: Path = Path("dataset"),
    less_data: Path | None = None,
    rows: tuple[str, ...] = tuple(ROWS),
    epochs: int = 4,
    noise_epochs: int = 1,
    every: int = 2,
    num_samples: int = 200,
    stride: int = 2,
    data: str = "cmu17",
) -> dict[str, list[str]]:
    """Print a row per training.

    Args:
        out: Folder for runs and reports.
        root: Folder with the data set.
        less_data: Folder with the data set made without the recordings that were added later, for that row.
        rows: Rows to train.
        epochs: Number of passes over the training data, for each row of a one-pass network.
        noise_epochs: The same, for each row of noise.
        every: Train on the windows of every n-th frame.
        num_samples: Number of samples of the evaluation.
        stride: Evaluate every n-th frame of the protocol.
        data: Data set.
    """
    cells = {}
    for name in rows:
        if name not in ROWS:
            raise ValueError(f"expected rows among {', '.join(ROWS)}, got {name}")
        folder, source = out / name.replace(" ", "_").replace(",", ""), less_data if name == "less data" else root
        if source is None:
            continue
        if not (folder / "model" / CARD).is_file():
            lasting = noise_epochs if "--init" in ROWS[name] else epochs
            if source != root:
                lasting = round(lasting * _frames(data, root) / _frames(data, source))
            budget = ["--epochs", str(lasting), "--config.every", str(every), "--data", data, "--root", str(source)]
            resume = ["--resume"] if (folder / "run" / "config.json").is_file() else []
            run(["train", "sampler", "--out", str(folder / "run"), *ROWS[name], *budget, *resume])
            run(["pack", str(folder / "model"), "--sampler-run", str(folder / "run"), "--overwrite"])
        net = read_model_folder(folder / "model").sampler()
        windows = windows_for(net, root, data, "val", stride)
        cells[name] = formatted(average_of(net, windows, num_samples).values)
        if name == AVERAGED:
            net.flip = "average"
            cells[f"{name}, flips averaged"] = formatted(average_of(net, windows, num_samples).values)
    print_table(f"val, S = {num_samples}", [*METRICS, *CLOUD], cells)
    return cells


def _frames(data: str, root: Path) -> int:
    return sum(len(motion) for motion in load_motions(data, root, "train"))


def windows_for(net: Any, root: Path, data: str, split: str, stride: int) -> Windows:
    """Every n-th frame of a benchmark's protocol, for a single-frame sampler, a cloud around one, or a flow."""
    framed = is_framed(getattr(net, "lifter", net))
    return Windows(load_clips(data, root, split), every=stride * MOCAP.every, framed=framed)


def average_of(net: Any, windows: Windows, num_samples: int, seed: int = 0) -> Row:
    """Metrics of what makes samples, averaged over the windows, by choice of a pose and of the cloud."""
    scores = score(net, windows, MOCAP.metrics, seeded_draw(seed, num_samples), cloud=True)
    return tabulate(scores, windows, MOCAP)[1]


def formatted(values: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    cells = [f"{values[choice][metric]:.1f}" for choice, metric in METRICS.values()]
    return cells + [f"{values['cloud'][key]:.{n}f}" if key in values["cloud"] else "–" for key, n in CLOUD.items()]


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
