"""Whether a one-pass network gains from the detector's confidences as a third input of each joint.

    python studies/confidences.py runs/confidences --root dataset

Trains the network of the first row of studies/ablations.py with confidences, which a fifth of the windows lack, and
scores it on the validation split with them and without.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor

from prpose.cli import guarded
from prpose.cli.console import print_table, progress
from prpose.data import load_clips, load_motions
from prpose.data.synthetic.random_views import RandomViews
from prpose.data.windows import Batch, Windows
from prpose.evaluation.protocols import MOCAP
from prpose.nets.framed import Framed
from prpose.nets.gaussian import GaussianLifter, channels
from prpose.nets.layers import body_adjacency
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.one_pass import OnePassSampler
from prpose.skeleton import H36M_17
from prpose.training import SamplerTrainConfig, State
from prpose.training.energy import sampler_loss, sampler_scores
from prpose.training.run import WEIGHTS, train
from prpose.weights import read_state_dict
from studies.ablations import CLOUD, METRICS, average_of, formatted

MEAN, DEVIATION, MISSING = 0.8, 0.2, 0.2  # of the detector's confidences; share of the windows without them


def with_confidence(batch: Batch, known: Tensor) -> Batch:
    """The batch with standardised confidences as a third channel of the keypoints; 0 where not ``known``, (B,)."""
    confidence = ((batch.confidence - MEAN) / DEVIATION)[..., None] * known[:, None, None, None]
    return batch._replace(keypoints=torch.cat([batch.keypoints, confidence], dim=-1))


class ConfidentViews(RandomViews):
    def render(self, index: Tensor, rng: np.random.Generator) -> Batch:
        batch = super().render(index, rng)
        return with_confidence(batch, torch.from_numpy(rng.random(len(index)) >= MISSING))


class ConfidentWindows(Windows):
    known = True

    def __getitem__(self, index: int | Tensor) -> Batch:
        batch = super().__getitem__(index)
        return with_confidence(batch, torch.full((len(batch.clip),), self.known))


class ConfidentFramed(Framed):
    def _framed(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        framed, rotation = super()._framed(keypoints[..., :2])
        return torch.cat([framed, keypoints[:, :, None, :, 2:]], dim=-1), rotation


class ConfidentSampler(OnePassSampler):
    def _check(self, keypoints: Tensor, **eps: Tensor) -> None:
        super()._check(keypoints[..., :2], **eps)


def main(
    out: tyro.conf.Positional[Path],
    root: Path = Path("dataset"),
    epochs: int = 4,
    every: int = 2,
    num_samples: int = 200,
    stride: int = 2,
    data: str = "cmu17",
) -> dict[str, dict[str, Any]]:
    """Train, as far as it is not, and print a row with and one without confidences.

    Args:
        out: Folder of the training.
        root: Folder with the data set.
        epochs: Number of passes over the training data.
        every: Train on the windows of every n-th frame.
        num_samples: Number of samples of the evaluation.
        stride: Evaluate every n-th frame of the protocol.
        data: Data set.
    """
    config = SamplerTrainConfig(epochs=epochs, every=every, weight_decay=0.01, balance=0.5, draws=16, pose_weight=0.25)
    torch.manual_seed(config.seed)
    core = ModulatedGCN(body_adjacency(H36M_17.parents), 128, 4, channels(len(H36M_17)), False, in_channels=3)
    net = ConfidentSampler(ConfidentFramed(GaussianLifter(core)))
    windows = ConfidentWindows(load_clips(data, root, "val"), every=stride * MOCAP.every, framed=True)
    out.mkdir(parents=True, exist_ok=True)
    motions, loss = load_motions(data, root, "train"), sampler_loss(config.draws, config.pose_weight, 4, rho=1)
    views, state = ConfidentViews(motions, every=every, balance=config.balance, framed=True), State(net, config)
    with progress("train", epochs * len(views), "poses") as advance:
        train(out, state, views, loss, lambda net: sampler_scores(net, windows, state.device, rho=1), advance)
    net.load_state_dict(read_state_dict(out / WEIGHTS))
    values = {}
    for known, name in ((True, "with confidences"), (False, "without confidences")):
        windows.known = known
        values[name] = dict(average_of(net.eval(), windows, num_samples).values)
    print_table(f"val, S = {num_samples}", [*METRICS, *CLOUD], {name: formatted(v) for name, v in values.items()})
    return values


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
