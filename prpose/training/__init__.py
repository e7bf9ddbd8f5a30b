"""Training: the loop, and the published schedule."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.data.windows import Windows

__all__ = ["fit", "published_rates"]


def published_rates(
    epochs: int, lr: float = 5e-4, decay: float = 0.95, large_decay: float = 0.5, every: int = 5
) -> list[float]:
    """Rate of each epoch: times ``decay`` after each, but ``large_decay`` after every fifth."""
    rates = []
    for epoch in range(1, epochs + 1):
        rates.append(lr)
        lr *= decay if epoch % every else large_decay
    return rates


def fit(
    net: nn.Module,
    windows: Windows,
    targets: Tensor,
    rates: list[float],
    batch_size: int = 512,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int, float], None] = lambda items, loss: None,
    on_epoch: Callable[[int, list[tuple[int, float]]], None] = lambda epoch, steps: None,
) -> None:
    """Minimises the mean squared error of ``net(keypoints)`` with Adam (amsgrad), in place.

    A last batch of one item is left out: it has no batch statistics.

    Args:
        net: (B, 1, J, 2) → (B, 1, J, 1), on ``device``.
        windows: the inputs.
        targets: (N, 1, J, 1), one for each item of ``windows``.
        rates: learning rate of each epoch.
        generator: shuffles the items of each epoch; without it they come in order.
        on_batch: told items and loss of each step.
        on_epoch: told the epoch, from 1, and (items, loss) of its steps; the place to save.

    Raises:
        ValueError: if there are not as many targets as items; for a batch size or rates that train
            nothing; and when the loss is not finite any more, before ``on_epoch`` could save that.
    """
    if len(targets) != len(windows):
        raise ValueError(f"expected {len(windows)} targets, one per item, got {len(targets)}")
    if batch_size < 2 < len(windows) or not all(0 < rate < float("inf") for rate in rates):
        raise ValueError(
            f"expected a batch size >= 2 and finite rates > 0, got {batch_size} and {rates[:3]} ..."
        )
    optimiser = torch.optim.Adam(net.parameters(), lr=rates[0] if rates else 0.0, amsgrad=True)
    for epoch, rate in enumerate(rates, start=1):
        for group in optimiser.param_groups:
            group["lr"] = rate
        net.train()
        steps = []
        for indices, batch in windows.batches(batch_size, generator):
            if len(indices) == 1 < len(windows):
                continue
            loss = F.mse_loss(net(batch.keypoints.to(device)), targets[indices].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if not math.isfinite(loss.item()):
                raise ValueError(
                    f"the loss is {loss.item()} in epoch {epoch}: is the learning rate too high?"
                )
            steps.append((len(indices), loss.item()))
            on_batch(*steps[-1])
        on_epoch(epoch, steps)
