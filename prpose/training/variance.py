"""Weak supervision of the variance net: where, and how much, does this lifter tend to err?"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.data.windows import Batch, Windows
from prpose.metrics import joint_errors
from prpose.training import Loss, Source


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
    """Loss against targets made beforehand, (N, 1, J, 1), by item: as published."""

    def loss(net: nn.Module, indices: Tensor, batch: Batch) -> Tensor:
        return F.mse_loss(net(batch.keypoints), targets[indices].to(batch.keypoints))

    return loss


def made_on_the_way(lifter: nn.Module, mean_error_m: float) -> Loss:
    """Loss against targets of the batch at hand: for data that are never the same twice.

    Args:
        lifter: frozen, in eval mode, on the batches' device.
        mean_error_m: its mean error over items and joints; see :func:`mean_error`.
    """

    def loss(net: nn.Module, indices: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            distance = joint_errors(lifter(batch.keypoints), batch.target)[..., None]
        return F.mse_loss(net(batch.keypoints), distance / mean_error_m)

    return loss


@torch.no_grad()
def mean_error(
    lifter: nn.Module, data: Source, seed: int, batches: int = 40, batch_size: int = 512
) -> float:
    """Mean distance of the lifter's joints from the truth, metres, over some batches.

    Raises:
        ValueError: if the lifter's poses are not finite, or it never errs.
    """
    device = next(lifter.parameters()).device
    distances = []
    for number, (_, batch) in enumerate(data.batches(batch_size, (seed, 0))):
        if number == batches:
            break
        distances.append(joint_errors(lifter(batch.keypoints.to(device)), batch.target.to(device)))
    return _mean(torch.cat(distances))


def _mean(distance: Tensor) -> float:
    mean = float(distance.double().mean())
    if not 0 < mean < float("inf"):
        raise ValueError(f"expected a lifter with a finite mean error > 0, got {mean} m")
    return mean
