"""Training: the one loop, for lifters and variance nets, published and ours."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tyro.conf import arg

from prpose.config import check_least
from prpose.data.synthetic.random_views import RandomViews
from prpose.data.windows import Batch, Windows
from prpose.rng import mixed_seed
from prpose.training import processes

Loss = Callable[[nn.Module, Tensor, Batch], Tensor]
"""(net in training mode, the items' indices, their batch on the device) → scalar."""
TrainingData = Windows | RandomViews
MOST_WORKERS = 256
RENDERED = "balance", "wide_cameras", "wide_bodies", "exchanged_limbs", "repeated"
"""Settings of rendered windows, from 0 to 1."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training."""

    epochs: Annotated[int, arg(aliases=["--epochs"])] = 120  # Number of passes over the training data.
    batch_size: Annotated[int, arg(aliases=["--batch-size"])] = 256  # Number of windows per batch.
    lr: Annotated[float, arg(aliases=["--lr"])] = 1e-3  # Largest learning rate.
    seed: Annotated[int, arg(aliases=["--seed"])] = 0
    """Random seed of weights, order, synthetic cameras, body proportions, detector noise and dropout."""
    schedule: Literal["cosine", "published"] = "cosine"
    """Learning rate schedule: cosine with warm-up, or the published steps with AMSGrad."""
    warmup: int = 100  # Number of steps over which the cosine schedule rises.
    lr_decay: float = 0.95  # Factor of the published schedule after every epoch.
    lr_decay_large: float = 0.5
    """Factor of the published schedule after every large_decay_every epochs, instead of lr_decay."""
    large_decay_every: int = 5  # Number of epochs between large decays.
    clip: float | None = 1.0  # Largest norm of the gradient.
    ema: float | None = 0.999  # Decay of the moving average of the weights, which is then the result.
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the forward pass. Default: bfloat16 on GPUs that support it."""
    every: int = 2  # Train on the windows of every n-th frame.
    held_out: tuple[str, ...] = ()
    """Training subjects to validate on, for data without a validation split. Default: the last one."""
    patience: int | None = None  # Stop after this many epochs without a better validation score.
    save_every: float = 2.0  # Minutes between checkpoints within an epoch.
    weight_decay: float = 0.0  # Decoupled weight decay (AdamW).
    balance: float = 1.0
    """A recording's share of the windows is its length to this power; 1 takes each window once per epoch."""
    wide_cameras: float = 0.0  # Share of the windows seen by cameras of any pitch, roll, distance and field of view.
    wide_bodies: float = 0.0  # Share of the windows with bodies whose proportions may be unusual.
    exchanged_limbs: float = 0.0
    """Share of the windows with another person's arms, and of those with another person's legs."""
    # Share of the windows that repeat their own frame, half of them in place of all others, as in a photo, and half
    # in place of later ones, as in a live stream.
    repeated: float = 0.0
    workers: int = 0  # Number of processes that render windows.

    def __post_init__(self) -> None:
        check_least(self, epochs=1, batch_size=2, large_decay_every=1, every=1, patience=1)
        check_least(self, seed=0, warmup=0, save_every=0, weight_decay=0, workers=0)
        if self.workers is None or self.workers > MOST_WORKERS:
            raise ValueError(f"expected workers <= {MOST_WORKERS}, got {self.workers}")
        for name, limit in (("lr", 1e38), ("clip", 1e38), ("lr_decay", 1e38), ("lr_decay_large", 1e38), ("ema", 1)):
            value = getattr(self, name)
            if value is not None and not 0 < value < limit:
                raise ValueError(f"expected {name} > 0 and < {limit:g}, got {value}")
        for name in RENDERED:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} from 0 to 1, got {getattr(self, name)}")

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Learning rate of a step (from 0, of all epochs) out of ``steps``, in an epoch (from 0)."""
        if self.schedule == "cosine":
            rise = min(1.0, (step + 1) / (self.warmup + 1))
            return self.lr * rise * (1 + math.cos(math.pi * step / steps)) / 2
        rate = self.lr
        for done in range(1, epoch + 1):
            rate *= self.lr_decay if done % self.large_decay_every else self.lr_decay_large
        return rate


@dataclass(frozen=True)
class NoiseTrainConfig(TrainConfig):
    """Settings of the training of a variance net."""

    target: Literal["published", "response"] = "published"
    """Target of the variance net: the published one, or the error relative to the response to noise."""
    network: str | None = None
    """Architecture of the variance net, by its lifter's name. Default: the lifter's own, or htnet's."""


@dataclass(frozen=True)
class SamplerTrainConfig(TrainConfig):
    """Settings of the training of a sampler."""

    # Architecture of the variance net, by its lifter's name, or constant, the same noise for all poses. Default: the
    # lifter's own, or htnet's.
    network: str | None = None
    draws: int = 2  # Number of samples per window in the energy score.
    pose_weight: float = 0.125  # Weight of the whole pose's energy score beside the joints'.
    train_lifter: bool = True  # Whether the lifter is trained, too, or only its noise.

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, draws=2, pose_weight=0)


DEFAULTS = {field.name: field.default for kind in (NoiseTrainConfig, SamplerTrainConfig) for field in fields(kind)}
"""By setting, of all trainings."""


class State:
    """A training in progress, equal in several processes but for batch statistics; the first one's are saved."""

    def __init__(self, net: nn.Module, config: TrainConfig) -> None:
        self.net, self.config = net, config
        self.device = next(net.parameters()).device
        self.model = net if processes.count() == 1 else DistributedDataParallel(net)  # what a step calls
        kind = torch.optim.AdamW if config.weight_decay else torch.optim.Adam
        settings: dict[str, Any] = {"amsgrad": config.schedule == "published", "weight_decay": config.weight_decay}
        settings["fused"] = config.schedule != "published"
        named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
        # Decay would pull the scale of learnt noise towards 1, which is not a small one.
        scales = {name for name, _ in named if name.endswith(("log_alpha", "log_scale"))}
        groups: list[dict[str, Any]] = [{"params": [p for name, p in named if name not in scales]}]
        groups += [{"params": [p for name, p in named if name in scales], "weight_decay": 0.0}] if scales else []
        self.optimiser = kind(groups, config.lr, **settings)
        self.average: AveragedModel | None = None
        if config.ema is not None:  # batch statistics belong to the weights, so they are averaged, too
            self.average = AveragedModel(net, multi_avg_fn=_moving_average(config.ema), use_buffers=True)
        self.epoch = 0  # epochs done
        self.batch = 0  # batches done of the next one
        self.steps: list[tuple[int, float]] = []  # (items, loss) of those batches

    @property
    def result(self) -> nn.Module:
        """The trained network: the averaged one where there is one."""
        return self.net if self.average is None else self.average.module

    @property
    def _settings(self) -> list[dict[str, Any]]:
        """The optimiser's, but for the rate, which every step sets."""
        return [group | {"params": len(group["params"]), "lr": 0.0} for group in self.optimiser.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All of it, for :func:`torch.save`."""
        average = None if self.average is None else self.average.state_dict()
        state = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), "average": average}
        return state | {"epoch": self.epoch, "batch": self.batch, "steps": [list(step) for step in self.steps]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state; raises any error if it is of another training, or damaged."""
        self.net.load_state_dict(state["net"])
        before = self._settings
        self.optimiser.load_state_dict(state["optimiser"])
        moments = {*("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 4 if before[0]["amsgrad"] else 3]}
        fits = [found.keys() == moments for found in self.optimiser.state.values()]
        for parameter, found in self.optimiser.state.items():
            fits += [isinstance(x, Tensor) and x.shape in ((), parameter.shape) for x in found.values()]
        if self._settings != before or not all(fits):
            raise ValueError("the state of another optimiser")
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        epoch, batch = int(state["epoch"]), int(state["batch"])
        if not 0 <= epoch <= self.config.epochs or batch < 0:
            raise ValueError(f"epoch {epoch}, batch {batch}")
        self.epoch, self.batch = epoch, batch
        self.steps = [(int(items), float(loss)) for items, loss in state["steps"]]


def fit(
    state: State,
    data: TrainingData,
    loss: Loss,
    on_step: Callable[[int, float], None] = lambda items, loss: None,
    on_epoch: Callable[[list[tuple[int, float]]], bool | None] = lambda steps: None,
) -> None:
    """Trains until the last epoch, or until ``on_epoch`` returns True.

    A last batch of one item is left out: it has no batch statistics. What is random in a step depends only on the seed
    and the step, so that a resumed training equals an uninterrupted one. Several processes share every batch.

    Args:
        state: where to begin; changed in place after every step.
        data, loss: what to train on, and to minimise; ``ValueError`` when the loss is not finite.
        on_step: called with items and loss after each step; the place to save the state.
        on_epoch: called with (items, loss) of the epoch's steps; True stops.
    """
    config, least = state.config, 2 * processes.count()
    if config.batch_size < least:
        raise ValueError(f"expected batch_size >= {least}, two per process, got {config.batch_size}")
    per_epoch = -(-len(data) // config.batch_size)
    while state.epoch < config.epochs:
        for indices, batch in data.batches(config.batch_size, (config.seed, state.epoch), state.batch):
            if len(indices) < least <= len(data):
                continue
            done = state.epoch * per_epoch + state.batch
            rate = config.rate(state.epoch, done, config.epochs * per_epoch)
            value = _step(state, loss, indices, batch, rate)
            state.batch += 1
            state.steps.append((len(indices), value))
            on_step(*state.steps[-1])
        state.epoch, state.batch, steps, state.steps = state.epoch + 1, 0, state.steps, []
        if on_epoch(steps):
            return


def _step(state: State, loss: Loss, indices: Tensor, batch: Batch, rate: float) -> float:
    config, device, count, rank = state.config, state.device, processes.count(), processes.rank()
    share = slice(rank, None, count)
    weight = len(indices[share]) / len(indices)
    own = Batch(*(value[share] for value in batch)).to(device)
    torch.manual_seed(mixed_seed(config.seed, state.epoch, state.batch, *([rank] if count > 1 else [])))
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.net.train()
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        value = loss(state.model, indices[share], own)
    number = processes.total(value.item() * weight, device)
    if not math.isfinite(number):
        raise ValueError(f"the loss is {number} in epoch {state.epoch + 1}: is the learning rate too high?")
    state.optimiser.zero_grad()
    (value * (weight * count)).backward()  # gradients are averaged over processes
    if config.clip is not None:
        nn.utils.clip_grad_norm_(state.net.parameters(), config.clip)
    state.optimiser.step()
    if state.average is not None:
        state.average.update_parameters(state.net)
    return number


def _moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average, with a smaller decay in the first steps; indices and counts are copied."""

    def average(averaged: Any, current: Any, steps: Any) -> None:
        early = (1 + float(steps)) / (10 + float(steps)) if averaged[0].is_floating_point() else 0.0
        get_ema_multi_avg_fn(min(decay, early))(averaged, current, steps)

    return average
