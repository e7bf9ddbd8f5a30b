"""Training: the one loop, for lifters and variance nets, published and ours."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from prpose import processes
from prpose.data.windows import Batch
from prpose.rng import mixed_seed

__all__ = ["Recipe", "Source", "State", "fit", "published_rates"]

Loss = Callable[[nn.Module, Tensor, Batch], Tensor]
"""(net in training mode, the items' indices, their batch on the device) → scalar."""


class Source(Protocol):
    """What can be trained on: :class:`prpose.data.windows.Windows` or ``RandomViews``."""

    def __len__(self) -> int: ...

    def batches(
        self, batch_size: int, seed: tuple[int, ...] | None = None, start: int = 0
    ) -> Iterator[tuple[Tensor, Batch]]:
        """All items once from the start-th batch on; order and content depend on the seed."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Args:
        epochs: passes over the data.
        batch_size: items at once.
        rates: learning rate of each epoch; constant within it. If empty, ``lr`` falls along a
            cosine to nothing, step by step, after rising over ``warmup`` steps.
        lr, warmup: as above.
        amsgrad: Adam's variant, as PRPose's release trains with.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights, which is then the result.
        precision: of the forward pass.
        seed: of order, data and dropout; None for unshuffled data and torch's own stream.

    Raises:
        ValueError: for numbers that train nothing.
    """

    epochs: int
    batch_size: int
    rates: tuple[float, ...] = ()
    lr: float = 1e-3
    warmup: int = 100
    amsgrad: bool = False
    clip: float | None = None
    ema: float | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int | None = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.warmup < 0:
            raise ValueError(
                "expected epochs >= 1, a batch size >= 2 and warmup >= 0, "
                f"got {self.epochs}, {self.batch_size} and {self.warmup}"
            )
        if self.rates and len(self.rates) != self.epochs:
            raise ValueError(f"expected {self.epochs} rates, got {len(self.rates)}")
        if not all(0 < rate < math.inf for rate in (self.lr, *self.rates)):
            raise ValueError(f"expected finite learning rates > 0, got {self.rates or self.lr}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"expected clip > 0, got {self.clip}")
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"expected a seed >= 0, got {self.seed}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"expected ema between 0 and 1, got {self.ema}")

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Learning rate of a step (from 0, of all epochs) out of ``steps``."""
        if self.rates:
            return self.rates[epoch]
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.lr * rise * (1 + math.cos(math.pi * step / steps)) / 2


def published_rates(
    epochs: int, lr: float = 5e-4, decay: float = 0.95, large_decay: float = 0.5, every: int = 5
) -> tuple[float, ...]:
    """Rate of each epoch: times ``decay`` after each, but ``large_decay`` after every fifth."""
    rates = []
    for epoch in range(1, epochs + 1):
        rates.append(lr)
        lr *= decay if epoch % every else large_decay
    return tuple(rates)


class State:
    """A training in progress: everything that it goes on from.

    Where several processes train together, each has one, and they stay equal. Batch statistics are
    of a process's own share of a batch; the running ones are the first process's.

    Args:
        net: on its device.
        recipe: how it is trained.
    """

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        self.net = net
        self.model = net if processes.count() == 1 else DistributedDataParallel(net)
        """What is called in a step."""
        self.recipe = recipe
        self.optimiser = torch.optim.Adam(net.parameters(), recipe.lr, amsgrad=recipe.amsgrad)
        self.average: AveragedModel | None = None
        if recipe.ema is not None:
            # Batch statistics belong to the weights that they were measured with: averaged, too.
            average = _moving_average(recipe.ema)
            self.average = AveragedModel(net, multi_avg_fn=average, use_buffers=True)
        self.epoch = 0
        """Epochs done."""
        self.batch = 0
        """Batches done of the next one."""
        self.steps: list[tuple[int, float]] = []
        """(items, loss) of those batches."""

    @property
    def device(self) -> torch.device:
        """Of the network."""
        return next(self.net.parameters()).device

    @property
    def result(self) -> nn.Module:
        """The network to use: the averaged one where there is one."""
        return self.net if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """All of it, for :func:`torch.save`."""
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "steps": [list(step) for step in self.steps],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Puts everything back; some error or other if it is of another training, or damaged."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if not 0 <= epoch <= self.recipe.epochs or batch < 0:
            raise ValueError(f"epoch {epoch}, batch {batch}")
        self.epoch, self.batch = epoch, batch
        self.steps = [(int(items), float(loss)) for items, loss in state["steps"]]


def fit(
    state: State,
    data: Source,
    loss: Loss,
    on_step: Callable[[int, float], None] = lambda items, loss: None,
    on_epoch: Callable[[list[tuple[int, float]]], bool | None] = lambda steps: None,
) -> None:
    """Trains until the recipe's end, or until ``on_epoch`` says so.

    A last batch of one item is left out: it has no batch statistics. What is random in a step
    depends on the recipe's seed and the step alone, so that a training that goes on from a saved
    state goes on as if it had never stopped. Several processes share every batch.

    Args:
        state: where to begin; changed in place after every step.
        data: what to train on.
        loss: what to minimise.
        on_step: told items and loss of each step, after it; the place to save the state.
        on_epoch: told (items, loss) of the epoch's steps; True stops.

    Raises:
        ValueError: when the loss is not finite any more; the state is then that of the step before;
            and for a batch size of less than two items a process.
    """
    recipe, least = state.recipe, 2 * processes.count()
    if recipe.batch_size < least:
        raise ValueError(f"expected a batch size >= {least}, two a process, got {recipe.batch_size}")
    per_epoch = -(-len(data) // recipe.batch_size)
    while state.epoch < recipe.epochs:
        seed = None if recipe.seed is None else (recipe.seed, state.epoch)
        for indices, batch in data.batches(recipe.batch_size, seed, state.batch):
            if len(indices) < least <= len(data):
                continue
            done = state.epoch * per_epoch + state.batch
            rate = recipe.rate(state.epoch, done, recipe.epochs * per_epoch)
            value = _step(state, loss, indices, batch, rate)
            state.batch += 1
            state.steps.append((len(indices), value))
            on_step(*state.steps[-1])
        state.epoch, state.batch, steps, state.steps = state.epoch + 1, 0, state.steps, []
        if on_epoch(steps):
            return


def _step(state: State, loss: Loss, indices: Tensor, batch: Batch, rate: float) -> float:
    recipe, device = state.recipe, state.device
    share = slice(processes.rank(), None, processes.count())
    weight = len(indices[share]) / len(indices)
    own = Batch(*(value[share].to(device) for value in batch))
    if recipe.seed is not None:
        mine = (processes.rank(),) if processes.count() > 1 else ()
        torch.manual_seed(mixed_seed(recipe.seed, state.epoch, state.batch, *mine))
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.net.train()
    reduced = recipe.precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16, enabled=reduced):
        value = loss(state.model, indices[share], own)
    number = processes.total(value.item() * weight, device)
    if not math.isfinite(number):
        raise ValueError(f"the loss is {number} in epoch {state.epoch + 1}: is the learning rate too high?")
    state.optimiser.zero_grad()
    (value * (weight * processes.count())).backward()  # gradients are averaged over processes
    if recipe.clip is not None:
        nn.utils.clip_grad_norm_(state.net.parameters(), recipe.clip)
    state.optimiser.step()
    if state.average is not None:
        state.average.update_parameters(state.net)
    return number


def _moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential average that at first forgets faster, so that it is never far behind."""

    def average(averaged: Any, current: Any, steps: Any) -> None:
        if not averaged[0].is_floating_point():  # indices and counts have no average
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)
            return
        early = (1 + float(steps)) / (10 + float(steps))
        get_ema_multi_avg_fn(min(decay, early))(averaged, current, steps)

    return average
