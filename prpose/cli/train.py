"""prpose train: lifters and variance nets, from motion capture rendered anew or from recorded 2D."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from tyro.conf import arg

from prpose.atomic import sha256_of
from prpose.cli.console import ConfigFile, Flag, current_command, named_device, print_result, progress
from prpose.cli.evaluate import DEFAULT_FPS, constructor_arguments, versions
from prpose.config import InferenceConfig
from prpose.data import data_set, inputs_sha256
from prpose.data.windows import Windows
from prpose.evaluation.protocols import MOCAP, PROTOCOLS
from prpose.hub import by_role
from prpose.lifter import build_lifter, check_contract, is_framed, is_one_pass, own_frame
from prpose.metrics import mpjpe
from prpose.nets.gaussian import GaussianMixture
from prpose.noise import build_learnt_noise, build_variance_net, variance_net_of
from prpose.one_pass import build_sampler
from prpose.training import Loss, NoiseTrainConfig, SamplerTrainConfig, State, TrainConfig, TrainingData, processes
from prpose.training.energy import sampler_loss, sampler_scores
from prpose.training.run import VALIDATION, WEIGHTS, prepare_folder, train, training_data
from prpose.training.weak_supervision import batch_targets, lifter_scores, noise_scores, target_of, typical_of
from prpose.weights import LEARNT_PREFIX, VARIANCE_PREFIX, load_published, read_state_dict

LIFTER, NOISE, SAMPLER = TrainConfig(), NoiseTrainConfig(), SamplerTrainConfig()


@dataclass(frozen=True)
class Task:
    """What is trained, on which data, and where.

    Args:
        out: Folder of the run: config, log, checkpoint and best weights.
        lifter: Lifter: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, gaussian_gcn, gaussian_mlp, or
            package.module:Class.
        lifter_args: Constructor arguments that differ from the published ones, as JSON.
        data: Data set: cmu17, walkers, h36m, 3dhp, or the name of a prepared benchmark.
        root: Folder with the npz files of the data set.
        keypoints: 2D keypoints: det, gt, or as in the file's name. Default: the data set's detector.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
        resume: Continue the training in the folder.
    """

    out: Path
    lifter: str = "mgcn_lw"
    lifter_args: str = "{}"
    data: str = "cmu17"
    root: Path = Path("dataset")
    keypoints: str | None = None
    device: str = "auto"
    resume: Flag = False


Options = Annotated[Task, arg(name="")]


def train_lifter(
    task: Options, init: Path | None = None, config_file: ConfigFile = None, config: TrainConfig = LIFTER
) -> None:
    """Train a lifter, 2D keypoints to a 3D pose, with the mean joint error as loss.

    Args:
        task: What is trained, on which data, and where.
        init: Weights to start from. Default: random ones.
        config_file: TOML file with defaults of the config options.
        config: Settings of the training.
    """
    run = _Run(task, config)
    torch.manual_seed(config.seed)
    kw, name = run.arguments, task.lifter
    net = build_lifter(name, **kw) if init is None else load_published(name, init, **kw)
    check_contract(net, name)
    views, windows = run.data_for(net)
    run.prepare("lifter", {} if init is None else {"init_sha256": sha256_of(init)})
    run.fit(
        net.to(run.device),
        views,
        lambda net, indices, batch: mpjpe(net(batch.keypoints), batch.target).mean(),
        lambda net: lifter_scores(net, windows, run.device),
    )
    kind, weights = ("sampler", "--init") if is_framed(net) or is_one_pass(net) else ("noise", "--lifter-weights")
    more = weights, task.out / WEIGHTS, "--out", f"{task.out}_{kind}"
    run.print_result("Train its noise", "train", kind, *more, *run.options("lifter", "data"))


def train_noise(
    task: Options, lifter_weights: Path, config_file: ConfigFile = None, config: NoiseTrainConfig = NOISE
) -> None:
    """Train the variance net of a lifter: how large its error on each joint tends to be.

    Args:
        task: What is trained, on which data, and where.
        lifter_weights: Weights of the lifter, which is not trained.
        config_file: TOML file with defaults of the config options.
        config: Settings of the training.
    """
    config = replace(config, network=config.network or variance_net_of(task.lifter))
    run = _Run(task, config)
    frozen = load_published(task.lifter, lifter_weights, **run.arguments)
    if is_framed(frozen):
        raise ValueError("expected a lifter of normalised keypoints; noise of framed ones is trained by train sampler")
    views, windows = run.data_for(frozen)
    torch.manual_seed(config.seed)
    net, frame = build_variance_net(str(config.network)), own_frame(frozen)
    frozen = frozen.to(run.device).requires_grad_(False)
    with progress("measure"):
        typical = typical_of(frozen, views, config.seed)
    measured = {"mean_error_m": typical.mean_error_m, "response_m": typical.response_m}
    run.prepare("noise", {"lifter_sha256": sha256_of(lifter_weights)}, measured)
    validation = target_of(config.target, frozen, typical, torch.Generator().manual_seed(config.seed))
    with progress("measure", len(windows)) as advance:
        wanted = windows.values(validation, run.device, on_batch=advance)
    loss = batch_targets(target_of(config.target, frozen, typical), frame)
    run.fit(net.to(run.device), views, loss, lambda n: noise_scores(n, wanted, windows, run.device, frame))
    split = ["--split", VALIDATION] if VALIDATION in data_set(task.data, task.root).splits else []
    weights = "--lifter-weights", lifter_weights, "--noise-weights", task.out / WEIGHTS
    then = ["evaluate", task.data, *split, "--lifter", task.lifter, *weights, *run.options()]
    run.print_result("Choose its --alpha", *then)


def train_sampler(
    task: Options,
    init: Path | None = None,
    init_noise: Path | None = None,
    config_file: ConfigFile = None,
    config: SamplerTrainConfig = SAMPLER,
) -> None:
    """Train a lifter together with its noise, or gaussian_gcn or gaussian_mlp, by the energy score of the samples.

    Args:
        task: What is trained, on which data, and where.
        init: Weights of the lifter, or of an earlier training of a sampler, to start from. Default: random ones.
        init_noise: Weights of the variance net to start from. Default: random ones.
        config_file: TOML file with defaults of the config options.
        config: Settings of the training.
    """
    torch.manual_seed(config.seed)
    kw, name = constructor_arguments(task.lifter_args), task.lifter
    start = {"lifter": {}, "noise": {}} if init is None else _initial(init)
    lifter = build_lifter(name, **kw) if init is None else load_published(name, start["lifter"], **kw)
    check_contract(lifter, name)
    if isinstance(getattr(lifter, "lifter", lifter), GaussianMixture):
        raise ValueError("expected a lifter other than a mixture, whose members are trained one by one")
    if not is_one_pass(lifter):
        config = replace(config, network=config.network or variance_net_of(name))
    elif config.network or init_noise or not config.train_lifter:
        wrong = "network, init_noise or train_lifter = false"
        raise ValueError(f"expected no {wrong}: {name} predicts a distribution and has no noise to train")
    run = _Run(task, config)
    noise = None
    if config.network is not None:
        noise = _learnt_noise(config.network, is_framed(lifter), start["noise"], init_noise)
    views, windows = run.data_for(lifter)
    started = {"init_sha256": init, "init_noise_sha256": init_noise}
    hashes = {key: sha256_of(path) for key, path in started.items() if path is not None}
    run.prepare("sampler", hashes | {"framed": is_framed(lifter)})
    lifter.requires_grad_(config.train_lifter)
    net = build_sampler(lifter, noise).to(run.device)
    rho = 1.0 if is_one_pass(lifter) else InferenceConfig().rho(windows.clips[0].fps or DEFAULT_FPS)
    loss = sampler_loss(config.draws, config.pose_weight, net.noise_channels, rho)
    run.fit(net, views, loss, lambda net: sampler_scores(net, windows, run.device, rho))
    rate = [] if (fps := windows.clips[0].fps) is None else ["--fps", f"{fps:g}"]
    run.print_result("Make a model of it", "pack", f"{task.out}_model", "--sampler-run", task.out, *rate)


def _initial(path: Path) -> dict[str, dict[str, Tensor]]:
    """Weights by role of an earlier training of a sampler; of another file, all of it as the lifter's."""
    state = read_state_dict(path)
    parts = by_role(state)
    return parts if sum(map(len, parts.values())) == len(state) else {"lifter": state, "noise": {}}


def _learnt_noise(network: str, framed: bool, start: Mapping[str, Tensor], init: Path | None) -> nn.Module:
    """Learnt noise from an earlier training's weights, or with a variance net's, or random ones."""
    if start and init is not None:
        raise ValueError("expected no init_noise beside the weights of an earlier training, which have noise")
    if start:
        return load_published(LEARNT_PREFIX + network, start, framed=framed)
    noise = build_learnt_noise(network, framed)
    if init is not None:
        if noise.variance_net is None:
            raise ValueError("expected no init_noise: constant noise has no variance net")
        noise.variance_net = load_published(VARIANCE_PREFIX + network, init)
    return noise


class _Run:
    """What the trainings have in common."""

    def __init__(self, task: Task, config: TrainConfig) -> None:
        self.task, self.arguments, self.config = task, constructor_arguments(task.lifter_args), config
        self.device = named_device(task.device)
        self.keypoints = task.keypoints or data_set(task.data, task.root).default_keypoints
        if config.precision == "auto":
            able = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
            self.config = replace(config, precision="bfloat16" if able else "float32")

    def data_for(self, lifter: nn.Module) -> tuple[TrainingData, Windows]:
        every = PROTOCOLS.get(self.task.data, MOCAP).every
        with progress("load data"):
            return training_data(self.task.data, self.task.root, self.keypoints, lifter, self.config, every)

    def prepare(self, kind: str, more: Mapping[str, Any], measured: Mapping[str, float] | None = None) -> None:
        """The run's folder; all but the first of several processes only wait for it."""
        task, settings = self.task, asdict(self.config)
        del settings["save_every"], settings["workers"]
        training: dict[str, Any] = {"kind": kind, "lifter": task.lifter, "lifter_args": self.arguments}
        training |= {"data": task.data, "keypoints": self.keypoints, **settings, **more}
        training["data_sha256"] = inputs_sha256(task.data, task.root, self.keypoints)
        origin = {"measured": measured or {}, "versions": versions(), "command": current_command()}
        processes.once(lambda: prepare_folder(task.out, training, task.resume, device=str(self.device), **origin))

    def fit(
        self, net: nn.Module, data: TrainingData, loss: Loss, validate: Callable[[nn.Module], dict[str, float]]
    ) -> None:
        def show(line: Mapping[str, float]) -> None:
            print("  ".join(f"{name} {value:.6g}" for name, value in line.items()), flush=True)

        with progress("train", self.config.epochs * len(data), "poses") as advance:
            best = train(self.task.out, State(net, self.config), data, loss, validate, advance, show)
        show({"best " + name: value for name, value in best.items()})

    def print_result(self, hint: str, *command: object) -> None:
        print_result(f"Wrote {self.task.out / WEIGHTS}", hint, *command)

    def options(self, *names: str) -> list[object]:
        """The task's options that are not the default, of these names and of those that all commands have."""
        values = {name: getattr(self.task, name) for name in (*names, "lifter_args", "root", "keypoints", "device")}
        changed = {name: value for name, value in values.items() if value != getattr(Task, name)}
        return [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", value)]
