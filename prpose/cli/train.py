"""prpose train: lifters and variance nets, from motion capture filmed anew or from recordings."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from prpose import processes
from prpose.cli.console import progress
from prpose.cli.trained import Options
from prpose.data.windows import Batch
from prpose.lifter import build_lifter, check_contract, own_frame
from prpose.metrics import mpjpe
from prpose.noise import build_variance_net, variance_net_of
from prpose.training import Loss, Source, State
from prpose.training.run import prepare_folder, train
from prpose.training.scores import lifter_scores, variance_scores
from prpose.training.weak_supervision import (
    made_on_the_way,
    published_target,
    response_target,
    targets_of,
    typical_of,
)
from prpose.weights import load_published


def train_lifter(options: Annotated[Options, tyro.conf.arg(name="")], init: Path | None = None) -> None:
    """A lifter: 2D keypoints to a 3D pose, by the mean joint error.

    Args:
        options: of the training.
        init: weights to begin with; random ones if not given.
    """
    begun = {} if init is None else {"init_sha256": _sha256(init)}
    _ = options.recipe  # refuses what trains nothing before anything is drawn
    torch.manual_seed(options.seed)
    name, kw = options.lifter, options.arguments
    net = build_lifter(name, **kw) if init is None else load_published(name, init, **kw)
    check_contract(net, name)
    views, windows = options.sources(net)

    def loss(net: torch.nn.Module, indices: torch.Tensor, batch: Batch) -> torch.Tensor:
        return mpjpe(net(batch.keypoints), batch.target).mean()

    device = options.on
    config = options.config("lifter") | begun
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
        network: the variance net of that lifter; the lifter's own if not given, or htnet's if it
            has none.
    """
    _ = options.recipe
    lifter = load_published(options.lifter, lifter_weights, **options.arguments)
    views, windows = options.sources(lifter)
    torch.manual_seed(options.seed)
    network, frame = network or variance_net_of(options.lifter), own_frame(lifter)
    net = build_variance_net(network)
    device = options.on
    lifter = lifter.to(device).requires_grad_(False)
    typical = typical_of(lifter, views, options.seed)
    config = options.config("variance") | {
        "target": target,
        "network": network,
        "lifter_sha256": _sha256(lifter_weights),
    }
    measured = {"mean_error_m": typical.mean_error_m, "response_m": typical.response_m}
    processes.once(lambda: prepare_folder(options.out, config, options.resume, measured))
    kind = {"published": published_target, "response": response_target}[target]
    of_val = kind(lifter, typical, torch.Generator().manual_seed(options.seed))
    wanted = targets_of(of_val, windows, device)
    _run(
        options,
        net.to(device),
        views,
        made_on_the_way(kind(lifter, typical), frame),
        lambda n: variance_scores(n, wanted, windows, device, frame=frame),
    )


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(
    options: Options,
    net: torch.nn.Module,
    views: Source,
    loss: Loss,
    validate: Any,
) -> None:
    state = State(net, options.recipe)

    def say(line: dict[str, float]) -> None:
        print("  ".join(f"{name} {value:.6g}" for name, value in line.items()), flush=True)

    with progress("train", options.epochs * len(views)) as advance:
        best = train(
            *(options.out, state, views, loss, validate),
            *(options.patience, options.save_every, advance, say),
        )
    say({"best " + name: value for name, value in best.items()})
    print(f"written: {options.out / 'best.safetensors'}")
