"""prpose train: lifters and variance nets, from motion capture rendered anew or from recorded 2D."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prpose.cli.console import current_command, named_device, progress
from prpose.cli.evaluate import ConfigFile, Flag, constructor_arguments, sha256_of, versions
from prpose.data import data_set, inputs_sha256
from prpose.data.windows import Batch, Windows
from prpose.evaluation import MOCAP, PROTOCOLS
from prpose.lifter import build_lifter, check_contract, own_frame
from prpose.metrics import mpjpe
from prpose.noise import build_variance_net, variance_net_of
from prpose.training import Loss, Source, State, TrainConfig, processes
from prpose.training.run import prepare_folder, train, training_data
from prpose.training.weak_supervision import (
    TARGETS,
    batch_targets,
    lifter_scores,
    noise_scores,
    targets_of,
    typical_of,
)
from prpose.weights import load_published

DEFAULT = TrainConfig()


def train_lifter(
    out: Path,
    lifter: str = "mgcn_lw",
    lifter_args: str = "{}",
    data: str = "cmu17",
    root: Path = Path("dataset"),
    keypoints: str | None = None,
    init: Path | None = None,
    device: str = "auto",
    resume: Flag = False,
    config_file: ConfigFile = None,
    config: TrainConfig = DEFAULT,
) -> None:
    """Train a lifter, 2D keypoints to a 3D pose, with the mean joint error as loss.

    Args:
        out: Folder of the run: config, log, checkpoint and best weights.
        lifter: Lifter: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, or package.module:Class.
        lifter_args: Constructor arguments that differ from the published ones, as JSON.
        data: Data set: cmu17, walkers, h36m, 3dhp, or the name of a prepared benchmark.
        root: Folder with the npz files of the data set.
        keypoints: 2D keypoints: det, gt, or as in the file's name. Default: the data set's detector.
        init: Weights to start from. Default: random ones.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
        resume: Continue the training in the folder.
        config_file: TOML file with defaults of the config options.
        config: Settings of the training.
    """
    task = _Task(out, lifter, constructor_arguments(lifter_args), data, root, keypoints, device, resume, config)
    torch.manual_seed(task.config.seed)
    kw = task.arguments
    net = build_lifter(lifter, **kw) if init is None else load_published(lifter, init, **kw)
    check_contract(net, lifter)
    views, windows = task.data_for(net)
    task.prepare("lifter", {} if init is None else {"init_sha256": sha256_of(init)})

    def loss(net: nn.Module, indices: torch.Tensor, batch: Batch) -> torch.Tensor:
        return mpjpe(net(batch.keypoints), batch.target).mean()

    task.fit(net.to(task.on), views, loss, lambda n: lifter_scores(n, windows, task.on))


def train_noise(
    out: Path,
    lifter_weights: Path,
    lifter: str = "mgcn_lw",
    lifter_args: str = "{}",
    data: str = "cmu17",
    root: Path = Path("dataset"),
    keypoints: str | None = None,
    device: str = "auto",
    resume: Flag = False,
    config_file: ConfigFile = None,
    config: TrainConfig = DEFAULT,
) -> None:
    """Train the variance net of a lifter: how large its error on each joint tends to be.

    Args:
        out: Folder of the run: config, log, checkpoint and best weights.
        lifter_weights: Weights of the lifter, which is not trained.
        lifter: Lifter: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, or package.module:Class.
        lifter_args: Constructor arguments that differ from the published ones, as JSON.
        data: Data set: cmu17, walkers, h36m, 3dhp, or the name of a prepared benchmark.
        root: Folder with the npz files of the data set.
        keypoints: 2D keypoints: det, gt, or as in the file's name. Default: the data set's detector.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
        resume: Continue the training in the folder.
        config_file: TOML file with defaults of the config options.
        config: Settings of the training.
    """
    config = replace(config, network=config.network or variance_net_of(lifter))
    task = _Task(out, lifter, constructor_arguments(lifter_args), data, root, keypoints, device, resume, config)
    frozen = load_published(lifter, lifter_weights, **task.arguments)
    views, windows = task.data_for(frozen)
    torch.manual_seed(config.seed)
    net, frame = build_variance_net(str(config.network)), own_frame(frozen)
    frozen = frozen.to(task.on).requires_grad_(False)
    typical, target = typical_of(frozen, views, config.seed), TARGETS[config.target]
    measured = {"mean_error_m": typical.mean_error_m, "response_m": typical.response_m}
    task.prepare("noise", {"lifter_sha256": sha256_of(lifter_weights)}, measured)
    validation = target(frozen, typical, torch.Generator().manual_seed(config.seed))
    wanted = targets_of(validation, windows, task.on)
    task.fit(
        net.to(task.on),
        views,
        batch_targets(target(frozen, typical), frame),
        lambda n: noise_scores(n, wanted, windows, task.on, frame=frame),
    )


@dataclass
class _Task:
    """What both trainings have in common."""

    out: Path
    lifter: str
    arguments: dict[str, Any]
    data: str
    root: Path
    keypoints: str | None
    device: str
    resume: bool
    config: TrainConfig

    def __post_init__(self) -> None:
        self.on = named_device(self.device)
        self.keypoints = self.keypoints or data_set(self.data, self.root).default_keypoints
        if self.config.precision == "auto":
            able = self.on.type == "cuda" and torch.cuda.is_bf16_supported()
            self.config = replace(self.config, precision="bfloat16" if able else "float32")

    def data_for(self, lifter: nn.Module) -> tuple[Source, Windows]:
        every = self.config.every, PROTOCOLS.get(self.data, MOCAP).every
        return training_data(self.data, self.root, str(self.keypoints), lifter, *every, self.config.held_out)

    def prepare(self, kind: str, more: dict[str, Any], measured: dict[str, float] | None = None) -> None:
        """The run's folder; all but the first of several processes only wait for it."""
        settings = asdict(self.config)
        for name in ("save_every", *(() if kind == "noise" else ("target", "network"))):
            del settings[name]
        training = {"kind": kind, "lifter": self.lifter, "lifter_args": self.arguments, "data": self.data}
        training |= {"keypoints": self.keypoints, **settings, **more}
        training["data_sha256"] = inputs_sha256(self.data, self.root, str(self.keypoints))
        origin = {"measured": measured or {}, "versions": versions(), "command": current_command()}
        processes.once(lambda: prepare_folder(self.out, training, self.resume, device=str(self.on), **origin))

    def fit(self, net: nn.Module, data: Source, loss: Loss, validate: Callable[[nn.Module], dict[str, float]]) -> None:
        def show(line: dict[str, float]) -> None:
            print("  ".join(f"{name} {value:.6g}" for name, value in line.items()), flush=True)

        with progress("train", self.config.epochs * len(data)) as advance:
            best = train(self.out, State(net, self.config), data, loss, validate, advance, show)
        show({"best " + name: value for name, value in best.items()})
        print(f"Wrote {self.out / 'best.safetensors'}")
