"""A conditional normalising flow as a baseline: trained by likelihood on the same windows, scored as any sampler.

    python studies/flow.py runs/flow --root dataset
    python studies/flow.py runs/flow --root dataset --split test --stride 1

A neural spline flow (Durkan et al., NeurIPS 2019; zuko) from 48 standard-normal numbers to a pose, conditioned on the
features of a light Modulated GCN of the framed keypoints. Its layers are couplings (two passes), since sampling
autoregressive ones takes 24 times as long. A training that was cut off goes on; the second command only
evaluates.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import tyro
import zuko
from torch import Tensor, nn

from prpose.cli import guarded
from prpose.cli.console import progress
from prpose.cli.evaluate import show
from prpose.data.windows import Batch
from prpose.evaluation.protocols import MOCAP
from prpose.nets.framed import frame_person
from prpose.nets.layers import body_adjacency
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.skeleton import H36M_17, mirror_pose
from prpose.training import State, TrainConfig
from prpose.training.run import WEIGHTS, train, training_data
from prpose.weights import read_state_dict
from studies.ablations import average_of, windows_for

SCALE_M = 0.3  # coordinates are divided by it


class Flow(nn.Module):
    """As :class:`prpose.sampler.OnePassSampler`: half of the samples are of the mirror image; single frames."""

    noise_channels, framed = 4, True

    def __init__(self, context: int = 8, transforms: int = 6, hidden: int = 256) -> None:
        super().__init__()
        J = len(H36M_17)
        self.encoder = ModulatedGCN(body_adjacency(H36M_17.parents), 128, 4, context, split=False)
        layers = {"transforms": transforms, "passes": 2, "hidden_features": (hidden, hidden)}
        self.flow = zuko.flows.NSF(3 * (J - 1), J * context, **layers)

    def conditioned(self, keypoints: Tensor) -> tuple[Any, Tensor]:
        """The flow's distribution of framed poses for (B, 1, J, 2), and the rotations."""
        framed, rotation, _ = frame_person(keypoints)
        return self.flow(self.encoder(framed[:, 0]).flatten(1)), rotation

    def negative_log_likelihood(self, keypoints: Tensor, target: Tensor) -> Tensor:
        """Of each pose, (B,), nats."""
        found, rotation = self.conditioned(keypoints)
        poses = target[:, 0, 1:] @ rotation.mT / SCALE_M
        nats: Tensor = -found.log_prob(poses.flatten(1))
        return nats

    def forward(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, first: int = 0, prepared: Any = None
    ) -> Tensor:
        """(B, 1, J, 2) and (S, B, 1, J, 4), of which three numbers a joint are used → (S, B, 1, J, 3)."""
        poses = eps.new_zeros(*eps.shape[:-1], 3)
        poses[::2, :, 0, 1:] = self._poses(keypoints, eps[::2])
        poses[1::2, :, 0, 1:] = self._poses(mirror_pose(keypoints, H36M_17.mirror), eps_mirrored[1::2])
        poses[1::2] = mirror_pose(poses[1::2], H36M_17.mirror)
        return poses

    def prepare(self, keypoints: Tensor, extra_sigma: Tensor | None = None) -> None:
        """Nothing: the encoder runs again for every few samples, at small cost beside the flow."""

    def moments(self, keypoints: Tensor, prepared: Any = None) -> tuple[Tensor, None]:
        """The mean of the poses of no noise of both images; the covariance is estimated from samples."""
        still = torch.zeros(2, *keypoints.shape[:-1], 4)
        return self(keypoints, still, still).mean(0), None

    def _poses(self, keypoints: Tensor, eps: Tensor) -> Tensor:
        found, rotation = self.conditioned(keypoints)
        poses = found.transform.inv(eps[:, :, 0, 1:, :3].flatten(2)).unflatten(-1, (-1, 3))
        return SCALE_M * poses @ rotation


def main(
    out: tyro.conf.Positional[Path],
    root: Path = Path("dataset"),
    data: str = "cmu17",
    epochs: int = 8,
    every: int = 2,
    split: str = "val",
    num_samples: int = 200,
    stride: int = 2,
    seed: int = 0,
) -> dict[str, Any]:
    """Train the flow, as far as it is not, and print its scores.

    Args:
        out: Folder of the training.
        root: Folder with the data set.
        data: Data set.
        epochs: Number of passes over the training data.
        every: Train on the windows of every n-th frame.
        split: Split to evaluate.
        num_samples: Number of samples.
        stride: Evaluate every n-th frame of the protocol.
        seed: Random seed.
    """
    net = trained(out, root, data, epochs, every, seed)
    average = average_of(net, windows_for(net, root, data, split, stride), num_samples, seed)
    show([average], ("deterministic", "mean", "best"), num_samples, at_once=2)
    return dict(average.values)


def trained(out: Path, root: Path, data: str, epochs: int, every: int, seed: int = 0) -> Flow:
    """The flow of the epoch of the highest likelihood on the validation split."""
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    config = TrainConfig(
        epochs=epochs, every=every, seed=seed, weight_decay=0.01, warmup=500, balance=0.5, wide_cameras=0.2
    )
    net = Flow()
    views, windows = training_data(data, root, "det", net, config, MOCAP.every)

    def nats(net: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(net, Flow)
        return net.negative_log_likelihood(batch.keypoints, batch.target)

    def validate(net: nn.Module) -> dict[str, float]:
        return {"val_NLL": float(windows.values(lambda batch: nats(net, batch)).mean())}

    with progress("train", epochs * len(views), "poses") as advance:
        train(out, State(net, config), views, lambda net, indices, batch: nats(net, batch).mean(), validate, advance)
    net.load_state_dict(read_state_dict(out / WEIGHTS))
    return net.eval()


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
