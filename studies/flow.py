"""A conditional normalising flow as a baseline: trained by likelihood on the same windows, scored as any sampler.

    python studies/flow.py --root dataset --minutes 60 --weights runs/flow.pt
    python studies/flow.py --root dataset --minutes 60 --weights runs/flow.pt --split test --stride 1

A neural spline flow (Durkan et al., NeurIPS 2019; zuko) from 48 standard-normal numbers to a pose, conditioned on the
features of a light Modulated GCN of the framed keypoints. The second command finds the weights and only evaluates.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
import tyro
import zuko
from torch import Tensor, nn

from prpose.cli import guarded
from prpose.cli.evaluate import show
from prpose.data import load_clips, load_motions
from prpose.data.synthetic.random_views import RandomCameras, RandomViews
from prpose.data.windows import Windows
from prpose.evaluation import score, seeded_draw
from prpose.evaluation.protocols import MOCAP, tabulate
from prpose.nets.framed import frame_person
from prpose.nets.layers import body_adjacency
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.skeleton import H36M_17, mirror_pose

SCALE_M = 0.3  # coordinates are divided by it


class Flow(nn.Module):
    """As :class:`prpose.sampler.OnePassSampler`: half of the samples are of the mirror image; single frames."""

    noise_channels = 4

    def __init__(self, context: int = 8, transforms: int = 4, hidden: int = 256) -> None:
        super().__init__()
        J = len(H36M_17)
        self.encoder = ModulatedGCN(body_adjacency(H36M_17.parents), 128, 4, context, split=False)
        self.flow = zuko.flows.NSF(3 * (J - 1), J * context, transforms=transforms, hidden_features=(hidden, hidden))

    def conditioned(self, keypoints: Tensor) -> tuple[Any, Tensor]:
        """The flow's distribution of framed poses for (B, 1, J, 2), and the rotations."""
        framed, rotation, _ = frame_person(keypoints)
        return self.flow(self.encoder(framed[:, 0]).flatten(1)), rotation

    def negative_log_likelihood(self, keypoints: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch, nats."""
        found, rotation = self.conditioned(keypoints)
        poses = target[:, 0, 1:] @ rotation.mT / SCALE_M
        return -found.log_prob(poses.flatten(1)).mean()

    def forward(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None, first: int = 0
    ) -> Tensor:
        """(B, 1, J, 2) and (S, B, 1, J, 4), of which three numbers a joint are used → (S, B, 1, J, 3)."""
        poses = eps.new_zeros(*eps.shape[:-1], 3)
        poses[::2, :, 0, 1:] = self._poses(keypoints, eps[::2])
        other = self._poses(mirror_pose(keypoints, H36M_17.mirror), eps_mirrored[1::2])
        poses[1::2, :, 0, 1:] = other
        poses[1::2] = mirror_pose(poses[1::2], H36M_17.mirror)
        return poses

    def deterministic(self, keypoints: Tensor) -> Tensor:
        """The mean of the poses of no noise of both images."""
        still = torch.zeros(2, *keypoints.shape[:-1], 4)
        return self(keypoints, still, still).mean(0)

    def _poses(self, keypoints: Tensor, eps: Tensor) -> Tensor:
        found, rotation = self.conditioned(keypoints)
        poses = found.transform.inv(eps[:, :, 0, 1:, :3].flatten(2)).unflatten(-1, (-1, 3))
        return SCALE_M * poses @ rotation


def main(
    root: Path = Path("dataset"),
    data: str = "cmu17",
    weights: Path = Path("flow.pt"),
    minutes: float = 60.0,
    batch_size: int = 256,
    lr: float = 1e-3,
    split: str = "val",
    num_samples: int = 200,
    stride: int = 2,
    seed: int = 0,
) -> dict[str, Any]:
    """Train the flow, if there are no weights, and print its scores.

    Args:
        root: Folder with the data set.
        data: Data set.
        weights: File of the weights.
        minutes: Duration of the training.
        batch_size: Number of windows per batch.
        lr: Learning rate, which falls to zero.
        split: Split to evaluate.
        num_samples: Number of samples.
        stride: Evaluate every n-th frame of the protocol.
        seed: Random seed.
    """
    torch.manual_seed(seed)
    net = Flow()
    if weights.is_file():
        net.load_state_dict(torch.load(weights, weights_only=True))
    else:
        cameras = RandomCameras(wide=0.2)
        views = RandomViews(load_motions(data, root, "train"), every=2, framed=True, balance=0.5, cameras=cameras)
        train(net, views, minutes, batch_size, lr, seed)
        torch.save(net.state_dict(), weights)
    windows = Windows(load_clips(data, root, split), every=stride * MOCAP.every, framed=True)
    scores = score(net.eval(), windows, MOCAP.metrics, seeded_draw(seed, num_samples), cloud=True)  # type: ignore[arg-type]
    _, average = tabulate(scores, windows, MOCAP)
    show([average], ("deterministic", "mean", "best"), MOCAP, num_samples, at_once=2)
    return dict(average.values)


def train(net: Flow, views: RandomViews, minutes: float, batch_size: int, lr: float, seed: int) -> None:
    """Minimises the negative log-likelihood for so many minutes; prints it now and then."""
    optimiser = torch.optim.AdamW(net.parameters(), lr, weight_decay=0.01)
    start, epoch, steps = time.monotonic(), 0, 0
    while True:
        for _, batch in views.batches(batch_size, (seed, epoch)):
            share = (time.monotonic() - start) / (60 * minutes)
            if share >= 1:
                return
            for group in optimiser.param_groups:
                group["lr"] = lr * min(1, (steps + 1) / 500) * (1 - share)
            loss = net.negative_log_likelihood(batch.keypoints, batch.target)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            steps += 1
            if steps % 500 == 0:
                print(f"step {steps}: {loss.item():.2f} nats", flush=True)
        epoch += 1


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
