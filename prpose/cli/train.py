"""prpose train: lifters and variance nets, from motion capture filmed anew for every batch."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from prpose import processes
from prpose.cli.arguments import constructor_arguments
from prpose.cli.device import named_device
from prpose.cli.progress import progress
from prpose.data import inputs_sha256, load_clips, load_motions
from prpose.data.random_views import RandomViews
from prpose.data.windows import Batch, Windows
from prpose.evaluation import MOCAP
from prpose.lifter import LIFTERS, build_lifter
from prpose.metrics import mpjpe
from prpose.noise import build_variance_net
from prpose.tables import look_up
from prpose.training import Loss, Recipe, State
from prpose.training.run import prepare_folder, train
from prpose.training.scores import lifter_scores, variance_scores
from prpose.training.variance import (
    made_on_the_way,
    published_target,
    response_target,
    targets_of,
    typical_of,
)
from prpose.weights import load_published


@dataclass(frozen=True)
class Options:
    """What both trainings have.

    Args:
        out: folder of the run: config, log, checkpoint, best weights.
        lifter: htnet or mgcn_lw.
        lifter_args: arguments of its constructor that differ from the published ones, as JSON.
        data: cmu17, walkers, or the name of a benchmark of your own.
        root: folder with the prepared file; walkers need none.
        keypoints: det for the simulated detector, gt for the truth.
        every: every so many-th frame of 60 a second is the middle of a window.
        epochs: passes over the data.
        batch_size: windows at once.
        lr: largest learning rate; it falls along a cosine.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights.
        precision: of the forward pass.
        seed: of weights, order, cameras, bodies, detector errors and dropout.
        patience: epochs without a better validation score after which to stop.
        device: auto, cpu, cuda, cuda:1 ...
        resume: go on with the run in the folder.
    """

    out: Path
    lifter: str = "mgcn_lw"
    lifter_args: str | None = None
    data: str = "cmu17"
    root: Path = Path("dataset")
    keypoints: Literal["det", "gt"] = "det"
    every: int = 2
    epochs: int = 120
    batch_size: int = 256
    lr: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    patience: int | None = None
    device: str = "auto"
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            self.epochs,
            self.batch_size,
            lr=self.lr,
            clip=self.clip,
            ema=self.ema,
            precision=self.precision,
            seed=self.seed,
        )


def train_lifter(
    options: Annotated[Options, tyro.conf.arg(name="")], init: Path | None = None
) -> None:
    """A lifter: 2D keypoints to a 3D pose, by the mean joint error.

    Args:
        options: of the training.
        init: weights to begin with; random ones if not given.
    """
    look_up(options.lifter, LIFTERS, "lifter")
    begun = {} if init is None else {"init_sha256": _sha256(init)}
    views, windows = _data(options)
    torch.manual_seed(options.seed)
    kw = constructor_arguments(options.lifter_args)
    name = options.lifter
    net = build_lifter(name, **kw) if init is None else load_published(name, init, **kw)

    def loss(net: torch.nn.Module, indices: torch.Tensor, batch: Batch) -> torch.Tensor:
        return mpjpe(net(batch.keypoints), batch.target).mean()

    device = named_device(options.device)
    config = _config("lifter", options) | begun
    processes.once(lambda: prepare_folder(options.out, config, options.resume))
    _run(options, net.to(device), views, loss, lambda n: lifter_scores(n, windows, device))


def train_variance(
    options: Annotated[Options, tyro.conf.arg(name="")],
    lifter_weights: Path,
    target: Literal["published", "response"] = "published",
    network: str | None = None,
) -> None:
    """The variance net of a lifter: how far each joint of it tends to be wrong.

    Args:
        options: of the training.
        lifter_weights: of the lifter, which stays as it is.
        target: what is predicted: the error over the mean error, as published; or the error for
            such a joint over how far noise moves such a pose (docs/results.md says why).
        network: the variance net of that lifter; the lifter's own if not given.
    """
    kw = constructor_arguments(options.lifter_args)
    lifter = load_published(options.lifter, lifter_weights, **kw)
    views, windows = _data(options)
    torch.manual_seed(options.seed)
    network = network or options.lifter
    net = build_variance_net(network)
    device = named_device(options.device)
    lifter = lifter.to(device).requires_grad_(False)
    typical = typical_of(lifter, views, options.seed)
    config = _config("variance", options) | {
        "target": target,
        "network": network,
        "lifter_sha256": _sha256(lifter_weights),
        "mean_error_m": typical.mean_error_m,
        "response_m": typical.response_m,
    }
    processes.once(lambda: prepare_folder(options.out, config, options.resume))
    kind = {"published": published_target, "response": response_target}[target]
    of_val = kind(lifter, typical, torch.Generator().manual_seed(options.seed))
    wanted = targets_of(of_val, windows, device)
    _run(
        options,
        net.to(device),
        views,
        made_on_the_way(kind(lifter, typical)),
        lambda n: variance_scores(n, wanted, windows, device),
    )


def _data(options: Options) -> tuple[RandomViews, Windows]:
    motions = load_motions(options.data, options.root, "train")
    views = RandomViews(motions, every=options.every, keypoints=options.keypoints)
    clips = load_clips(options.data, options.root, "val", options.keypoints)
    return views, Windows(clips, every=MOCAP.every)


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _config(kind: str, options: Options) -> dict[str, Any]:
    """What may not change when a training is resumed."""
    _ = options.recipe  # refuses what trains nothing, before there is a folder
    kept = asdict(options)
    for name in ("out", "root", "device", "resume"):
        del kept[name]
    return {"kind": kind, "data_sha256": inputs_sha256(options.data, options.root)} | kept


def _run(
    options: Options,
    net: torch.nn.Module,
    views: RandomViews,
    loss: Loss,
    validate: Any,
) -> None:
    state = State(net, options.recipe)

    def say(line: dict[str, float]) -> None:
        print("  ".join(f"{name} {value:.6g}" for name, value in line.items()), flush=True)

    with progress("train", options.epochs * len(views)) as advance:
        best = train(options.out, state, views, loss, validate, options.patience, advance, say)
    say({"best " + name: value for name, value in best.items()})
    print(f"written: {options.out / 'best.safetensors'}")
