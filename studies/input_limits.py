"""Limits of the inputs that are like a model's training data (prpose/out_of_distribution.py), stored in its card.

    python studies/input_limits.py gaussian-wide mgcn-cmu17 --root dataset

Quantiles over detected keypoints of cmu17's validation recordings: half of them before the benchmark's cameras, half
before cameras and with bodies as in the model's training, by the command in its card. One frame in 200 is outside.
"""

import re
import sys
from pathlib import Path

import numpy as np
import torch
import tyro
from tyro.conf import Positional

from prpose.atomic import read_json, write_json
from prpose.camera import Array
from prpose.card import Card
from prpose.cli import guarded
from prpose.cli.console import print_line
from prpose.data import load_clips, load_motions
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.hub import CARD, find_model_folder
from prpose.lifter import is_framed
from prpose.out_of_distribution import input_measures

OUTSIDE = 0.005  # share of the frames, shared by the limits
SETTINGS = ("wide-cameras", "wide-bodies", "exchanged-limbs")


def trained_with(card: Card) -> list[float]:
    """Shares of windows of the SETTINGS in a card's training; of a mixture, on average."""
    commands = card.lifter.command.split("; ")
    found = [[re.search(rf"--config\.{name} ([\d.]+)", command) for name in SETTINGS] for command in commands]
    return np.mean([[float(value[1]) if value else 0.0 for value in row] for row in found], axis=0).tolist()


def inputs_of(card: Card, framed: bool, data: str, root: Path, number: int, seed: int) -> Array:
    """Lifter inputs of validation frames, (2 number, 17, 2)."""
    cameras, bodies, limbs = trained_with(card)
    views = RandomViews(
        load_motions(data, root, "val"), every=5, cameras=RandomCameras(wide=cameras), framed=framed, balance=0.5,
        proportions=Proportions(wide=bodies, exchanged=limbs),
    )  # fmt: skip
    rendered: list[Array] = []
    while sum(map(len, rendered)) < number:  # epoch by epoch
        rendered += [batch.keypoints[:, 0].numpy() for _, batch in views.batches(1024, (seed, len(rendered)))]
    fixed = [clip.camera.lifter_input(clip.keypoints_px, framed) for clip in load_clips(data, root, "val", "det")]
    chosen = np.random.default_rng(seed).choice(np.concatenate(fixed), number)
    return np.concatenate([np.concatenate(rendered)[:number], chosen])


def limits_of(x: Array, framed: bool) -> dict[str, float]:
    """A card's ``input_limits`` by the inputs (N, 17, 2)."""
    values = input_measures(x, framed)
    ends = [(f"largest_{name}", name, 1) for name in values] + [("smallest_size", "size", 0)] * ("size" in values)
    tail = OUTSIDE / len(ends)
    return {key: float(f"{np.quantile(values[name], abs(high - tail)):.4g}") for key, name, high in ends}


def main(
    models: Positional[tuple[str, ...]],
    root: Path = Path("dataset"),
    data: str = "cmu17",
    number: int = 20_000,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Set the limits of the inputs in the cards of models.

    Args:
        models: Bundled models or model folders.
        root: Folder with the data set.
        data: Data set made of motion capture.
        number: Number of rendered frames, and of those of the benchmark.
        seed: Of cameras, bodies, detector noise and the choice of frames.
    """
    found = {}
    for name in models:
        model = find_model_folder(name)
        framed = is_framed(model.sampler().lifter)
        with torch.no_grad():
            found[name] = limits_of(inputs_of(model.card, framed, data, root, number, seed), framed)
        path = model.folder / CARD
        write_json(path, read_json(path) | {"input_limits": found[name]})
        print_line(f"{name}: {found[name]}")
    return found


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
