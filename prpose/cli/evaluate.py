"""prpose evaluate: a model on a data set."""

import hashlib
import json as json_format
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import tyro
from rich.table import Table

import prpose
from prpose.atomic import check_output, write_json
from prpose.cli.console import current_command, named_device, plain_console, progress
from prpose.config import InferenceConfig
from prpose.data import Clip, data_set, load_clips
from prpose.data.windows import Windows
from prpose.evaluation import (
    CHOICES,
    METRICS,
    MOCAP,
    PROTOCOLS,
    Protocol,
    Row,
    Scores,
    conformal_quantiles,
    score,
    seeded_draw,
    tabulate,
)
from prpose.evaluation.baselines import IsotropicCloud, baseline_samplers, sigma_rank_correlation
from prpose.hub import ROLES, find_model_folder
from prpose.lifter import is_causal, receptive_field
from prpose.noise import AdaptiveNoise, variance_net_of
from prpose.regions import is_calibrated
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17
from prpose.weights import VARIANCE_PREFIX, load_published

BATCH_SIZE = 64
"""Frames at once. Noise is drawn per batch, so that another size gives other samples."""
DEFAULT_FPS = 50.0
"""Frame rate of clips without one: Human3.6M's."""
SHOWN = ("deterministic", "mean", "best")
"""Choices of the printed tables; the JSON file has all of CHOICES."""
CURVE = (1, 5, 10, 20, 50, 100, 200)
"""Numbers of samples whose best is scored with the baselines."""
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
ConfigFile = Annotated[Path | None, tyro.conf.arg(name="config")]
"""Read by :mod:`prpose.cli` before the arguments are parsed."""
DEFAULT = InferenceConfig()


def evaluate(
    dataset: tyro.conf.Positional[str],
    num_samples: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50,
    model: str | None = None,
    lifter: str | None = None,
    lifter_args: str = "{}",
    lifter_weights: Path | None = None,
    noise_weights: Path | None = None,
    alpha: float | None = None,
    root: Path = Path("dataset"),
    split: str = "test",
    keypoints: str | None = None,
    actions: str = "*",
    stride: int = 1,
    seed: int = 0,
    device: str = "auto",
    json: Path | None = None,
    overwrite: Flag = False,
    baselines: Flag = False,
    config_file: ConfigFile = None,
    config: InferenceConfig = DEFAULT,
) -> None:
    """Evaluate a model on a data set: errors of one pose, and of the samples as a distribution.

    Args:
        dataset: Data set: h36m, 3dhp, cmu17, walkers, or the name of a prepared benchmark.
        num_samples: Number of samples per frame.
        model: Bundled model (see "prpose models"), model folder, or owner/name on the Hugging Face hub.
        lifter: Lifter, instead of a model: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, or package.module:Class.
        lifter_args: Constructor arguments of the lifter that differ from the published ones, as JSON.
        lifter_weights: Weights of the lifter (.pth or .safetensors).
        noise_weights: Weights of its variance net (.pth or .safetensors).
        alpha: Scale of the noise. Default: the model's, or the data set's published one.
        root: Folder with the npz files of the data set.
        split: Split of the data set: test, val or train.
        keypoints: 2D keypoints: det, gt, or as in the file's name. Default: the data set's detector.
        actions: First words of the actions to evaluate, separated by commas.
        stride: Evaluate every n-th of the frames of the protocol.
        seed: Random seed of the noise.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
        json: JSON file for all numbers and settings.
        overwrite: Replace an existing JSON file.
        baselines: Also evaluate constant noise of equal variance and a 3D Gaussian, fitted on the validation split.
        config_file: TOML file with defaults of the config options.
        config: Settings of the noise, with the defaults of "prpose predict"; other settings have no effect.
    """
    if json is not None:
        check_output(json, overwrite)
    protocol = PROTOCOLS.get(dataset, MOCAP)
    keypoints = keypoints or data_set(dataset, root).default_keypoints
    networks = _networks(model, lifter, lifter_args, lifter_weights, noise_weights, alpha, protocol.alpha)
    evaluation = _Evaluation(networks, protocol, named_device(device), num_samples, stride, seed, config)
    clips = load_clips(dataset, root, split, keypoints, tuple(actions.split(",")))
    val = load_clips(dataset, root, "val", keypoints) if baselines else None
    found = evaluation.run(clips, val)
    if json is not None:
        source = {"dataset": dataset, "split": split, "keypoints": keypoints, "actions": actions}
        write_json(json, {"settings": source | evaluation.settings} | found)
        print(f"Wrote {json}")


class _Networks(NamedTuple):
    """What is evaluated."""

    sampler: Sampler
    sha256: dict[str, str]
    card: dict[str, Any]
    """Empty if there is none, or its regions are of another alpha."""


def _networks(
    model: str | None,
    lifter: str | None,
    lifter_args: str,
    lifter_weights: Path | None,
    noise_weights: Path | None,
    alpha: float | None,
    published_alpha: float,
) -> _Networks:
    if model is not None and (lifter, lifter_weights, noise_weights) == (None, None, None):
        folder = find_model_folder(model)
        card, (net, variance_net) = folder.card, folder.networks()
        noise = AdaptiveNoise(variance_net, card.alpha if alpha is None else alpha, card.floor)
        sha256 = {role: getattr(card, role).sha256 for role in ROLES}
        return _Networks(Sampler(net, noise), sha256, asdict(card) if noise.alpha == card.alpha else {})
    if model or not (lifter and lifter_weights and noise_weights):
        raise ValueError("expected --model, or else all of --lifter, --lifter-weights and --noise-weights")
    net = load_published(lifter, lifter_weights, **constructor_arguments(lifter_args))
    variance_net = load_published(VARIANCE_PREFIX + variance_net_of(lifter), noise_weights)
    noise = AdaptiveNoise(variance_net, published_alpha if alpha is None else alpha)
    sha256 = {"lifter": sha256_of(lifter_weights), "noise": sha256_of(noise_weights)}
    return _Networks(Sampler(net, noise), sha256, {})


@dataclass
class _Evaluation:
    """Networks on clips; the fields are options of :func:`evaluate`."""

    networks: _Networks
    protocol: Protocol
    device: torch.device
    num_samples: int
    stride: int
    seed: int
    config: InferenceConfig

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"expected --stride >= 1, got {self.stride}")
        self.sampler = self.networks.sampler.to(self.device)

    def run(self, clips: Sequence[Clip], val: Sequence[Clip] | None) -> dict[str, Any]:
        """Prints the tables, and returns every number and what is needed to repeat it."""
        windows, kinds = self._windows(clips), dict[str, Sampler | IsotropicCloud](model=self.sampler)
        curve: list[int] = []
        if val is not None:
            if self.num_samples < 2:
                raise ValueError(f"expected --num-samples >= 2 with --baselines, got {self.num_samples}")
            kinds = baseline_samplers(self.sampler, self._windows(val), self.device)
            curve = sorted({S for S in CURVE if self.num_samples >= S} | {self.num_samples})
        draw = seeded_draw(self.seed, self.num_samples, self.config.rho(clips[0].fps or DEFAULT_FPS))
        extra = self._confidence_noise(windows)
        cloud = self.protocol.cloud or val is not None
        with progress("evaluate", len(kinds) * len(windows)) as advance:
            scores = [
                score(net, windows, self.protocol.metrics, draw, BATCH_SIZE, self.device, cloud, curve, advance, extra)
                for net in kinds.values()
            ]
        rows, average = tabulate(scores[0], windows, self.protocol, self.networks.card)
        show(rows, average, self.protocol, self.num_samples)
        report = self._report(rows, average, scores[0])
        if val is not None:
            averages = {kind: tabulate(by, windows, self.protocol)[1] for kind, by in zip(kinds, scores, strict=True)}
            correlation = sigma_rank_correlation(self.sampler, windows, self.device)
            show_baselines(averages, curve, correlation, self.protocol)
            report |= {"baselines": {kind: asdict(row) for kind, row in averages.items()}}
            report |= {"rank_correlation": correlation}
        return report

    @property
    def settings(self) -> dict[str, Any]:
        """The options that the numbers depend on."""
        noise = self.sampler.noise
        assert isinstance(noise, AdaptiveNoise), "of a card or a variance net"
        names = ("noise_correlation", "noise_time_constant_s", "confidence_noise")
        return {
            **{name: getattr(self, name) for name in ("num_samples", "stride", "seed")},
            "alpha": noise.alpha,
            "floor": noise.floor,
            "device": str(self.device),
            "config": {name: getattr(self.config, name) for name in names},
        }

    def _windows(self, clips: Sequence[Clip]) -> Windows:
        lifter = self.sampler.lifter
        return Windows(
            clips, receptive_field(lifter), every=self.stride * self.protocol.every, causal=is_causal(lifter)
        )

    def _confidence_noise(self, windows: Windows) -> float:
        """The config's scale; none where no clip has confidences, which are then 1."""
        confidence = windows.confidence.numpy()
        return self.config.confidence_scale(confidence) if (confidence < 1).any() else 0.0

    def _report(self, rows: list[Row], average: Row, scores: Scores) -> dict[str, Any]:
        report = {
            "command": current_command(),
            "versions": versions(),
            "sha256": self.networks.sha256,
            "units": {name: metric.unit for name, metric in METRICS.items()},
            "choices": CHOICES,
            "calibrated": is_calibrated(self.networks.card),
            "rows": [asdict(row) for row in rows],
            "average": asdict(average),
        }
        distances = scores.get("cloud", {}).get("mahalanobis")
        return report | ({} if distances is None else {"limits_95": conformal_quantiles(distances)})


def show(rows: list[Row], average: Row, protocol: Protocol, S: int) -> None:
    """Prints a line per group: deterministic, mean and best of S side by side, two metrics per table."""
    console = plain_console()
    for start in range(0, len(protocol.metrics), 2):
        names = protocol.metrics[start : start + 2]
        columns = [(choice, name) for name in names for choice in SHOWN]
        units = ", ".join(f"{name} in {METRICS[name].unit}" for name in names)
        table = _table(f"S = {S}; {units}", ["frames", *(f"{name}\n{choice}" for choice, name in columns)])
        for row in [*rows, average]:
            if row is average:
                table.add_section()
            cells = [f"{row.values[choice][name]:.1f}" for choice, name in columns]
            table.add_row(row.name, f"{row.frames:,}", *cells)
        console.print(table)
    if "cloud" in average.values:
        console.print(_cloud_table({row.name: row for row in rows} | {average.name: average}, S))
    console.print(*(f"{choice}: {CHOICES[choice]}" for choice in SHOWN), sep="\n", highlight=False)


def show_baselines(
    averages: dict[str, Row], curve: list[int], correlation: dict[str, list[float | None]], protocol: Protocol
) -> None:
    """Prints a table per metric and one of the distributions, a line per kind of noise; and the rank correlations."""
    console = plain_console()
    choices = ["deterministic", "mean", *(f"best_of_{S}" for S in curve)]
    for name in protocol.metrics:
        table = _table(name, [choice.replace("best_of_", "best of\n") for choice in choices])
        for kind, row in averages.items():
            table.add_row(kind, *(f"{row.values[choice][name]:.1f}" for choice in choices))
        console.print(table)
    console.print(_cloud_table(averages, curve[-1]))
    table = _table("rank correlation of predicted sigma and error", list(correlation))
    for j, joint in enumerate(H36M_17.names[1:], start=1):
        values = [by[j] for by in correlation.values()]
        table.add_row(joint, *("–" if value is None else f"{value:.2f}" for value in values))
    console.print(table)


def _cloud_table(rows: dict[str, Row], S: int) -> Table:
    heads = {"energy score\nmm": ("ES", 1), "spread\nmm": ("spread", 1), "ECE\n": ("ECE", 3)}
    heads |= {"in 95 % regions\n%": ("coverage_95", 1)}
    table = _table(f"S = {S}; the samples as a distribution", list(heads))
    for name, row in rows.items():
        cloud = row.values["cloud"]
        cells = [f"{cloud[key]:.{digits}f}" if key in cloud else "–" for key, digits in heads.values()]
        table.add_row(name, *cells)
    return table


def _table(title: str, heads: list[str]) -> Table:
    table = Table(title=title, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def constructor_arguments(text: str) -> dict[str, Any]:
    """Keyword arguments from a JSON object."""
    try:
        arguments = json_format.loads(text)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError(f'expected a JSON object such as {{"dropout": 0}}, got {text!r:.80}')
    return arguments


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """Versions that the numbers depend on."""
    return {
        "prpose": prpose.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
