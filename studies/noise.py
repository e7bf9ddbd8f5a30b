"""Where noise helps: kinds of noise of equal mean variance, and the errors of their samples.

    python studies/noise.py --root dataset --lifter-weights runs/lifter/best.safetensors \\
        --published runs/published/best.safetensors --response runs/response/best.safetensors

Makes the table "Noise of equal mean variance" of docs/results.md, and the joints' ratios of error and spread beside it,
on the validation split. The lifter is mgcn_lw; its variance nets are its own (published target) and htnet's (response
target: ``prpose train noise --config.target response --config.network htnet``).
"""

import sys
from pathlib import Path

import torch
import tyro
from torch import Tensor

from prpose import metrics
from prpose.cli import guarded
from prpose.cli.console import print_table
from prpose.data import load_clips
from prpose.data.windows import Batch, Windows
from prpose.noise import ConstantNoise
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, mirror_pose
from prpose.training.weak_supervision import response
from prpose.weights import load_published

SIGMA = 0.0145
"""Root of the mean variance of every kind, half image widths."""


def main(
    lifter_weights: Path,
    published: Path,
    response: Path,
    root: Path = Path("dataset"),
    data: str = "cmu17",
    num_samples: int = 50,
    stride: int = 6,
) -> None:
    """Print both tables.

    Args:
        lifter_weights: Weights of mgcn_lw.
        published: Weights of its own variance net, trained on the published target.
        response: Weights of htnet's variance net, trained on the response target.
        root: Folder with the npz file of the data set.
        data: Data set: cmu17, walkers, or a prepared benchmark.
        num_samples: Number of samples.
        stride: Use every n-th of the frames of the protocol.
    """
    torch.manual_seed(0)
    lifter = load_published("mgcn_lw", lifter_weights)
    windows = Windows(load_clips(data, root, "val"), every=6 * stride)
    batch = windows[torch.arange(len(windows))]
    nets = load_published("avg_mgcn_lw", published), load_published("avg_htnet", response)
    with torch.no_grad():
        net = Sampler(lifter, ConstantNoise(SIGMA))
        error = metrics.joint_errors(net.deterministic(batch.keypoints), batch.target)
        show_joints(net, batch, error, num_samples)
        show_kinds(lifter, batch, kinds(lifter, nets, batch, error), num_samples)


def show_joints(net: Sampler, batch: Batch, error: Tensor, S: int) -> None:
    """Prints how far equal noise moves each joint, beside its error."""
    moved = net.sample(batch.keypoints, S, torch.Generator().manual_seed(1)).var(0).sum(-1).sqrt()
    rows = {}
    for j, name in enumerate(H36M_17.names[1:], start=1):
        a, b = float(error[..., j].mean()) * 1000, float(moved[..., j].mean()) * 1000
        rows[name] = [f"{a:.0f}", f"{b:.0f}", f"{a / b:.1f}"]
    print_table("equal noise on all joints, mm", ["mean error", "spread (3D)", "error / spread"], rows)


def kinds(
    lifter: torch.nn.Module, nets: tuple[torch.nn.Module, ...], batch: Batch, error: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Relative widths, (B, 1, J, 1), for the poses and for their mirror images."""
    mirror = list(H36M_17.mirror)
    poses = batch.keypoints, mirror_pose(batch.keypoints, mirror)
    by_joint = error.mean((0, 1))[None, None, :, None]
    by_joint[:, :, 0] = by_joint[:, :, 1:].mean()  # the pelvis has no error
    by_joint = (by_joint + by_joint[:, :, mirror]) / 2
    true = error[..., None].clone()
    true[:, :, 0] = true[:, :, 1:].mean(2)
    true = true, true[:, :, mirror]
    moved = [response(lifter, x, draws=16)[:, None, :, None] for x in poses]
    one = torch.ones_like(true[0])
    return {
        "constant": (one, one),
        "published net": tuple(nets[0](x).clamp_min(1) for x in poses),
        "each joint's mean error": (by_joint * one, by_joint * one),
        "1 / response": tuple(one / r for r in moved),
        "response net": tuple(nets[1](x).clamp_min(0.05) for x in poses),
        "true error": true,
        "true error / joint": tuple(e / by_joint for e in true),
        "true error / joint / response": tuple(e / by_joint / r for e, r in zip(true, moved, strict=True)),
    }


def show_kinds(lifter: torch.nn.Module, batch: Batch, widths: dict[str, tuple[Tensor, Tensor]], S: int) -> None:
    """Prints the errors of the samples of each kind of noise at the same mean variance."""
    cells = {}
    net = Sampler(lifter, ConstantNoise(SIGMA))  # only lifts; the noise is drawn here
    eps = torch.randn(S, 2, *batch.keypoints.shape, generator=torch.Generator().manual_seed(0))
    for name, relative in widths.items():
        parts = []
        scaled = [r * (SIGMA / r.square().mean().sqrt()) for r in relative]
        for rows in torch.arange(len(batch.clip)).split(64):
            own = batch.keypoints[rows]
            both = zip((own, mirror_pose(own, H36M_17.mirror)), scaled, (0, 1), strict=True)
            noisy = [(x + width[rows] * eps[:, n, rows]).flatten(0, 1) for x, width, n in both]
            poses = net.lift(*noisy).unflatten(0, (S, len(rows)))
            truth = batch.target[rows]
            scores = (
                metrics.mpjpe(poses, truth).min(0).values[:, 0],
                metrics.mpjpe(poses.mean(0), truth)[:, 0],
                metrics.energy_score(poses[:, :, 0], truth[:, 0]),
                metrics.spread(poses)[:, 0, 1:].mean((-2, -1)),
            )
            parts.append(torch.stack(scores))
        values = torch.cat(parts, dim=1).double().mean(1) * 1000
        cells[name] = [f"{value:.1f}" for value in values.tolist()]
    heads = [f"P1\nbest of {S}", "P1\nof mean", "energy\nscore", "spread"]
    print_table(f"S = {S}, noise of equal mean variance, mm", heads, cells)


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
