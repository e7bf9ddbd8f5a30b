"""Weak supervision of the variance net: where, and how much, does this lifter tend to err?"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from prpose.data.windows import Windows
from prpose.metrics import joint_errors


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
    mean = float(distance.double().mean())
    if not 0 < mean < float("inf"):
        raise ValueError(f"expected a lifter with a finite mean error > 0, got {mean} m")
    return distance / mean
