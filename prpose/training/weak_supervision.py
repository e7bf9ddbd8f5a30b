"""Weak supervision of the variance net (where, and how much, does a lifter err?), and validation scores."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.data.windows import Batch, Windows
from prpose.lifter import average_flipped
from prpose.metrics import joint_errors, mpjpe, p_mpjpe, rank_correlation
from prpose.skeleton import H36M_17, mirror_pose
from prpose.training import Loss, TrainingData

FLOORS = {"published": 1.0, "response": 0.0}  # lower bound of the relative sigma that goes with a target
RESPONSE_SIGMA = 0.0125  # of the noise of `response`, half image widths: near alpha of the bundled models
Target = Callable[[Batch], Tensor]
"""What the variance net should predict for a batch on the lifter's device, (B, 1, J, 1)."""


def batch_targets(target: Target, frame: int = 0) -> Loss:
    """Loss of a variance net against targets computed for each batch, of this frame of its windows."""
    return lambda net, indices, batch: F.mse_loss(net(batch.keypoints[:, frame : frame + 1]), target(batch))


@dataclass(frozen=True)
class Typical:
    """A lifter's average error and response over many windows."""

    error_m: Tensor  # (J,) mean distance of each joint from the truth, metres
    response_m: float  # mean of `response`, metres

    @property
    def mean_error_m(self) -> float:
        """Mean over all joints."""
        return float(self.error_m.double().mean())


def target_of(kind: str, lifter: nn.Module, typical: Typical, generator: torch.Generator | None = None) -> Target:
    """The variance net's target, 1 on average.

    ``published``: the error of each joint over the mean error (arXiv 2405.02114, §3.2). ``response``: the error of each
    joint over that joint's mean error, over the pose's relative response to noise (docs/results.md has the reasons).

    Args:
        kind: of the target.
        lifter: frozen, in eval mode, on the batches' device.
        typical: of the lifter.
        generator: of the response's noise, on the CPU. Default: torch's own.
    """

    @torch.no_grad()
    def target(batch: Batch) -> Tensor:
        error = joint_errors(lifter(batch.keypoints), batch.target)
        if kind == "published":
            return error[..., None] / typical.mean_error_m
        moved = response(lifter, batch.keypoints, generator) / typical.response_m
        return (error / typical.error_m.to(error) / moved[..., None])[..., None]

    return target


@torch.no_grad()
def response(lifter: nn.Module, keypoints: Tensor, generator: torch.Generator | None = None, draws: int = 4) -> Tensor:
    """How far equal noise moves a lifted pose: normalised keypoints (B, F, J, 2) → (B, 1), metres.

    The root of a joint's variance over the draws (all coordinates), averaged over all joints but the pelvis.
    """
    eps = torch.randn(draws, *keypoints.shape, generator=generator).to(keypoints)
    poses = lifter((keypoints + RESPONSE_SIGMA * eps).flatten(0, 1)).unflatten(0, (draws, -1))
    return poses.var(0).sum(-1).sqrt()[..., 1:].mean(-1)


@torch.no_grad()
def typical_of(lifter: nn.Module, data: TrainingData, seed: int, batches: int = 40, batch_size: int = 512) -> Typical:
    """A lifter's typical error and response, over some batches; ``ValueError`` as of :func:`mean_error`."""
    device, generator = next(lifter.parameters()).device, torch.Generator().manual_seed(seed)
    distances, responses = [], []
    for _, (_, batch) in zip(range(batches), data.batches(batch_size, (seed, 0)), strict=False):
        batch = batch.to(device)
        distances.append(joint_errors(lifter(batch.keypoints), batch.target).flatten(0, 1))
        responses.append(response(lifter, batch.keypoints, generator))
    distance = torch.cat(distances).double()
    mean_error(distance)
    return Typical(distance.mean(0).cpu(), float(torch.cat(responses).double().mean()))


def mean_error(distance: Tensor) -> float:
    """Mean of distances, metres; ``ValueError`` if it is not finite, or 0."""
    mean = float(distance.double().mean())
    if not 0 < mean < float("inf"):
        raise ValueError(f"expected a lifter with a finite mean error > 0, got {mean} m")
    return mean


def lifter_scores(net: nn.Module, windows: Windows, device: torch.device) -> dict[str, float]:
    """P1 and P2 of the flip-averaged deterministic pose, mm, mean over frames."""

    def values(batch: Batch) -> Tensor:
        mirrored = net(mirror_pose(batch.keypoints, H36M_17.mirror))
        poses = average_flipped(net(batch.keypoints), mirrored, H36M_17.mirror)
        return torch.cat([mpjpe(poses, batch.target), p_mpjpe(poses, batch.target)], dim=1)  # (B, 2)

    means = windows.values(values, device).double().mean(0) * 1000
    return dict(zip(("val_P1", "val_P2"), means.tolist(), strict=True))


def noise_scores(
    net: nn.Module, targets: Tensor, windows: Windows, device: torch.device, frame: int = 0
) -> dict[str, float]:
    """Mean squared error of a variance net, in eval mode, from targets (N, 1, J, 1) of the windows' ``frame``.

    And the negative of their Spearman correlation over frames, per joint, averaged over all joints but the pelvis:
    whether the net predicts *when* a joint is wrong, not only which joints tend to be.
    """
    sigma = windows.values(lambda batch: net(batch.keypoints[:, frame : frame + 1]), device)[:, 0, :, 0]
    error = targets[:, 0, :, 0]
    ranks = [rank_correlation(sigma[:, j].numpy(), error[:, j].numpy()) or 0.0 for j in range(1, sigma.shape[1])]
    return {"val_mse": float((sigma - error).square().mean()), "val_negative_rank": -sum(ranks) / len(ranks)}
