"""The mirror image's part in a sample: an average of two draws as published, one draw shared by both, or a mixture.

    python studies/flip.py --root dataset

Makes the table "The mirror image" of docs/results.md, on the validation split. The average and the shared draw lift
twice a sample, the mixture once. One-pass models are always mixtures.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import tyro
from torch import Tensor

from prpose.cli import guarded
from prpose.cli.console import print_table, progress
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import Draw, score, seeded_draw
from prpose.evaluation.protocols import MOCAP, tabulate
from prpose.hub import find_model_folder
from prpose.sampler import Sampler
from prpose.skeleton import mirror_pose


def main(
    model: str = "mgcn-cmu17",
    root: Path = Path("dataset"),
    data: str = "cmu17",
    num_samples: int = 200,
    stride: int = 20,
) -> list[list[str]]:
    """Print the table and return its rows.

    Args:
        model: Bundled model or folder, of a lifter of one frame with a noise network.
        root: Folder with the npz file of the data set.
        data: Data set: cmu17, walkers, or a prepared benchmark.
        num_samples: Number of samples.
        stride: Use every n-th of the frames of the protocol.
    """
    net = find_model_folder(model).sampler()
    windows = Windows(load_clips(data, root, "val"), net.F, framed=net.framed, every=6 * stride)
    published = seeded_draw(0, num_samples, 0.0)
    mixture = Sampler(net.lifter, net.noise, flip="mixture").eval()
    rows, seconds = {}, []
    with progress("evaluate", 3 * len(windows)) as advance:
        for name, sampler, draw in (
            ("average of two draws", net, published),
            ("average, shared draw", net, shared(published, net.mirror)),
            ("mixture", mixture, published),
        ):
            start = time.perf_counter()
            with torch.no_grad():
                scores = score(sampler, windows, MOCAP.metrics, draw, cloud=True, on_batch=advance)
            seconds.append(time.perf_counter() - start)
            values = tabulate(scores, windows, MOCAP)[1].values
            found = values["best"]["P1"], values["mean"]["P1"], values["cloud"]["ES"]
            rows[name] = [*(f"{value:.1f}" for value in found), f"{values['cloud']['ECE']:.3f}"]
            rows[name].append(f"{seconds[-1] / seconds[0]:.2f}")
    heads = [f"best of {num_samples}", "mean", "ES", "ECE", "time"]
    print_table(f"{model}, {len(windows)} frames of val", heads, rows)
    return list(rows.values())


def shared(draw: Draw, mirror: tuple[int, ...]) -> Draw:
    """The same noise for the mirror image as for the keypoints, mirrored as they are."""

    def both(items: range, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor]]:
        for eps, _ in draw(items, shape):
            yield eps, mirror_pose(eps, mirror)

    return both


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
