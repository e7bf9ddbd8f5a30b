"""Weak supervision of the variance net: where, and how much, does this lifter tend to err?"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.data.windows import Batch, Windows
from prpose.metrics import joint_errors
from prpose.training import Loss, Source

Target = Callable[[Batch], Tensor]
"""What the variance net is to predict for a batch on the lifter's device, (B, 1, J, 1)."""


@torch.no_grad()
def error_targets(
    lifter: nn.Module,
    windows: Windows,
    batch_size: int = 512,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int], None] = lambda items: None,
) -> Tensor:
    """What the variance net is to predict, (N, 1, J, 1), for every item of ``windows``.

    The distance of each joint from the truth, divided by the mean distance over all items and
    joints (arXiv 2405.02114, §3.2). The truth's pelvis is at 0, the prediction's is kept.

    All N targets are held in memory, 68 bytes each.

    Args:
        lifter: frozen, in eval mode, on ``device``.
        windows: with mirror images, as published.
        on_batch: told the number of items after each batch.

    Raises:
        ValueError: if the lifter's poses are not finite, or it never errs.
    """
    distances = []
    for _, batch in windows.batches(batch_size):
        poses = lifter(batch.keypoints.to(device))
        distances.append(joint_errors(poses, batch.target.to(device)).cpu())
        on_batch(len(batch.clip))
    distance = torch.cat(distances)[..., None]
    return distance / _mean(distance)


def given(targets: Tensor) -> Loss:
    """Loss against targets made beforehand, (N, 1, J, 1), by item, of windows of one frame."""

    def loss(net: nn.Module, indices: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(net(batch.keypoints), targets[indices].to(batch.keypoints))

    return loss


def made_on_the_way(target: Target, frame: int = 0) -> Loss:
    """Loss against targets of the batch at hand: for data that are never the same twice.

    Args:
        target: of a batch.
        frame: of its windows, which the target is of.
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
    """What a lifter does on average, over many windows.

    Args:
        error_m: (J,) mean distance of each joint from the truth, metres.
        response_m: mean of :func:`response`, metres.
    """

    error_m: Tensor
    response_m: float

    @property
    def mean_error_m(self) -> float:
        """Over all joints."""
        return float(self.error_m.double().mean())


def published_target(lifter: nn.Module, typical: Typical, generator: torch.Generator | None = None) -> Target:
    """How far each joint is off, over the mean over everything (arXiv 2405.02114, §3.2).

    Args:
        lifter: frozen, in eval mode, on the batches' device.
        typical: of the lifter.
        generator: not used: nothing is drawn.
    """

    @torch.no_grad()
    def target(batch: Batch) -> Tensor:
        distance = joint_errors(lifter(batch.keypoints), batch.target)[..., None]
        return distance / typical.mean_error_m

    return target


def response_target(lifter: nn.Module, typical: Typical, generator: torch.Generator | None = None) -> Target:
    """How far each joint is off *for its kind*, over how far noise moves this very pose.

    Equal noise on all joints already moves the wrists of a lifted pose further than its hips, much
    as the lifter's errors are larger there, and some poses further than others. A target of errors
    alone counts that again; this one asks for what equal noise lacks. 1 is the average.

    Args:
        lifter: frozen, in eval mode, on the batches' device.
        typical: of the lifter.
        generator: of the noise, on the CPU; torch's own if not given.
    """

    @torch.no_grad()
    def target(batch: Batch) -> Tensor:
        distance = joint_errors(lifter(batch.keypoints), batch.target)
        error = distance / typical.error_m.to(distance)
        moved = response(lifter, batch.keypoints, generator) / typical.response_m
        return (error / moved[..., None])[..., None]

    return target


WIDTH = 0.0125
"""Of the noise that a lifter's response is measured with, in half image widths: near to what
suits both shipped lifters. Where the lifter is smooth it does not matter."""


@torch.no_grad()
def response(lifter: nn.Module, keypoints: Tensor, generator: torch.Generator | None = None, draws: int = 4) -> Tensor:
    """How far equal noise moves a lifted pose: (B, F, J, 2) → (B, 1), metres.

    The root of a joint's variance over the draws (all three coordinates), meant over all joints but
    the pelvis.

    Args:
        lifter: in eval mode.
        keypoints: normalised.
        generator: of the noise, on the CPU; torch's own if not given.
        draws: >= 2.
    """
    eps = torch.randn(draws, *keypoints.shape, generator=generator).to(keypoints)
    poses = lifter((keypoints + WIDTH * eps).flatten(0, 1)).unflatten(0, (draws, -1))
    return poses.var(0).sum(-1).sqrt()[..., 1:].mean(-1)


@torch.no_grad()
def typical_of(
    lifter: nn.Module,
    data: Source,
    seed: int,
    batches: int = 40,
    batch_size: int = 512,
) -> Typical:
    """A lifter's typical error and response, over some batches.

    Raises:
        ValueError: if the lifter's poses are not finite, or it never errs.
    """
    device = next(lifter.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    distances, responses = [], []
    for number, (_, batch) in enumerate(data.batches(batch_size, (seed, 0))):
        if number == batches:
            break
        keypoints = batch.keypoints.to(device)
        distances.append(joint_errors(lifter(keypoints), batch.target.to(device)).flatten(0, 1))
        responses.append(response(lifter, keypoints, generator))
    distance = torch.cat(distances).double()
    _mean(distance)
    return Typical(distance.mean(0).cpu(), float(torch.cat(responses).double().mean()))


def _mean(distance: Tensor) -> float:
    mean = float(distance.double().mean())
    if not 0 < mean < float("inf"):
        raise ValueError(f"expected a lifter with a finite mean error > 0, got {mean} m")
    return mean
