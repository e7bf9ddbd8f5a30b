"""Weak supervision of the variance net (where, and how much, does a lifter err?), and validation scores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.data.windows import Batch, Windows
from prpose.lifter import average_flipped
from prpose.metrics import joint_errors, mpjpe, p_mpjpe, rank_correlation
from prpose.skeleton import H36M_17, mirror_pose
from prpose.training import Loss, Source

TargetKind = Literal["published", "response"]

Target = Callable[[Batch], Tensor]
"""What the variance net should predict for a batch on the lifter's device, (B, 1, J, 1)."""


@torch.no_grad()
def error_targets(
    lifter: nn.Module,
    windows: Windows,
    batch_size: int = 512,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int], None] = lambda items: None,
) -> Tensor:
    """Targets of the variance net for every item of ``windows``, (N, 1, J, 1).

    The distance of each joint from the truth, divided by the mean distance over all items and joints (arXiv 2405.02114,
    §3.2). The truth's pelvis is at 0, the prediction's stays where the lifter puts it.

    Args:
        lifter: frozen, in eval mode, on ``device``.
        windows: with mirror images, as published.
        on_batch: called with the number of items after each batch.

    Raises:
        ValueError: if the lifter's poses are not finite, or it never errs.
    """
    distances = []
    for _, batch in windows.batches(batch_size):
        poses = lifter(batch.keypoints.to(device))
        distances.append(joint_errors(poses, batch.target.to(device)).cpu())
        on_batch(len(batch.clip))
    distance = torch.cat(distances)[..., None]
    return distance / _mean_error(distance)


def fixed_targets(targets: Tensor) -> Loss:
    """Loss against precomputed targets, (N, 1, J, 1), by item, of windows of one frame."""

    def loss(net: nn.Module, indices: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(net(batch.keypoints), targets[indices].to(batch.keypoints))

    return loss


def batch_targets(target: Target, frame: int = 0) -> Loss:
    """Loss against targets computed for each batch.

    Args:
        target: of a batch.
        frame: of its windows, whose target it is.
    """

    def loss(net: nn.Module, indices: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(net(batch.keypoints[:, frame : frame + 1]), target(batch))

    return loss


@torch.no_grad()
def targets_of(target: Target, windows: Windows, device: torch.device) -> Tensor:
    """Targets of all items, (N, 1, J, 1), on the CPU."""
    parts = [target(Batch(*(value.to(device) for value in batch))) for _, batch in windows.batches(512)]
    return torch.cat(parts).cpu()


@dataclass(frozen=True)
class Typical:
    """A lifter's average error and response over many windows.

    Args:
        error_m: (J,) mean distance of each joint from the truth, metres.
        response_m: mean of :func:`response`, metres.
    """

    error_m: Tensor
    response_m: float

    @property
    def mean_error_m(self) -> float:
        """Mean over all joints."""
        return float(self.error_m.double().mean())


def target_of(
    kind: TargetKind, lifter: nn.Module, typical: Typical, generator: torch.Generator | None = None
) -> Target:
    """The variance net's target.

    ``published``: the error of each joint over the mean error (arXiv 2405.02114, §3.2). ``response``: the error of each
    joint over that joint's mean error, over the pose's relative response to noise. Equal noise already moves the wrists
    of a lifted pose further than its hips, much as the lifter's errors are larger there, and some poses further than
    others; a target of errors counts that twice, this one is what equal noise lacks (docs/results.md). 1 is average.

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


FLOORS = {"published": 1.0, "response": 0.0}
"""Lower bound of the predicted relative sigma that goes with a target (:class:`prpose.noise.AdaptiveNoise`)."""

RESPONSE_SIGMA = 0.0125
"""Standard deviation of the noise of :func:`response`, half image widths: near alpha of the bundled models."""


@torch.no_grad()
def response(lifter: nn.Module, keypoints: Tensor, generator: torch.Generator | None = None, draws: int = 4) -> Tensor:
    """How far equal noise moves a lifted pose: (B, F, J, 2) → (B, 1), metres.

    The root of a joint's variance over the draws (all coordinates), averaged over all joints but the pelvis.

    Args:
        lifter: in eval mode.
        keypoints: normalised.
        generator: of the noise, on the CPU. Default: torch's own.
        draws: >= 2.
    """
    eps = torch.randn(draws, *keypoints.shape, generator=generator).to(keypoints)
    poses = lifter((keypoints + RESPONSE_SIGMA * eps).flatten(0, 1)).unflatten(0, (draws, -1))
    return poses.var(0).sum(-1).sqrt()[..., 1:].mean(-1)


@torch.no_grad()
def typical_of(lifter: nn.Module, data: Source, seed: int, batches: int = 40, batch_size: int = 512) -> Typical:
    """A lifter's typical error and response, over some batches.

    Raises:
        ValueError: if the lifter's poses are not finite, or it never errs.
    """
    device = next(lifter.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    distances, responses = [], []
    for _, (_, batch) in zip(range(batches), data.batches(batch_size, (seed, 0)), strict=False):
        keypoints = batch.keypoints.to(device)
        distances.append(joint_errors(lifter(keypoints), batch.target.to(device)).flatten(0, 1))
        responses.append(response(lifter, keypoints, generator))
    distance = torch.cat(distances).double()
    _mean_error(distance)
    return Typical(distance.mean(0).cpu(), float(torch.cat(responses).double().mean()))


def _mean_error(distance: Tensor) -> float:
    mean = float(distance.double().mean())
    if not 0 < mean < float("inf"):
        raise ValueError(f"expected a lifter with a finite mean error > 0, got {mean} m")
    return mean


@torch.no_grad()
def lifter_scores(net: nn.Module, windows: Windows, device: torch.device, batch_size: int = 512) -> dict[str, float]:
    """P1 and P2 of the flip-averaged deterministic pose, mm, mean over frames."""
    p1, p2 = [], []
    for _, batch in windows.batches(batch_size):
        keypoints, target = batch.keypoints.to(device), batch.target.to(device)
        mirrored = net(mirror_pose(keypoints, H36M_17.mirror))
        poses = average_flipped(net(keypoints), mirrored, H36M_17.mirror)
        p1.append(mpjpe(poses, target)[:, 0].cpu())
        p2.append(p_mpjpe(poses, target)[:, 0].cpu())
    return {f"val_P{n}": float(torch.cat(parts).double().mean()) * 1000 for n, parts in ((1, p1), (2, p2))}


@torch.no_grad()
def noise_scores(
    net: nn.Module, targets: Tensor, windows: Windows, device: torch.device, batch_size: int = 512, frame: int = 0
) -> dict[str, float]:
    """Mean squared error of a variance net's predictions, and the negative of their rank correlation.

    The correlation (Spearman's) is over frames, per joint, averaged over all joints but the pelvis: whether the net
    predicts *when* a joint is wrong, not only which joints tend to be.

    Args:
        net: in eval mode, on ``device``.
        targets: (N, 1, J, 1), of the items of ``windows``.
        frame: of the windows, whose targets they are.
    """
    found = [net(batch.keypoints[:, frame : frame + 1].to(device)).cpu() for _, batch in windows.batches(batch_size)]
    sigma, error = (values[:, 0, :, 0] for values in (torch.cat(found), targets))
    joints = range(1, sigma.shape[1])
    known = [rank_correlation(sigma[:, j].numpy(), error[:, j].numpy()) or 0.0 for j in joints]
    return {
        "val_mse": float((sigma - error).square().mean()),
        "val_negative_rank": -sum(known) / len(known),
    }
