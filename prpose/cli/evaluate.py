"""prpose evaluate: a model on a data set."""

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
import tyro

import prpose
from prpose.atomic import check_output, sha256_of, write_json
from prpose.cli.console import ConfigFile, Flag, current_command, named_device, print_result, print_table, progress
from prpose.config import NoiseConfig
from prpose.data import Clip, data_set, load_clips
from prpose.data.windows import Windows
from prpose.evaluation import baseline_samplers, score, seeded_draw, sigma_rank_correlation
from prpose.evaluation.details import MOST_SAMPLES, calibration, curve_over_samples, example_frames, joint_table
from prpose.evaluation.protocols import CHOICES, METRICS, MOCAP, PROTOCOLS, Protocol, Row, conformal_quantiles, tabulate
from prpose.hub import find_model_folder
from prpose.lifter import is_causal, is_framed, receptive_field
from prpose.noise import AdaptiveNoise, variance_net_of
from prpose.regions import is_calibrated
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17
from prpose.weights import VARIANCE_PREFIX, load_published

BATCH_SIZE = 64  # frames at once; noise is drawn per batch, so that another size gives other samples
DEFAULT_FPS = 50.0  # of clips without a frame rate: Human3.6M's
SHOWN = ("deterministic", "mean", "best")  # choices of the printed tables; the JSON file has all of CHOICES
CURVE = (1, 5, 10, 20, 50, 100, 200)  # numbers of samples whose best and mean are scored
DEFAULT = NoiseConfig()


def evaluate(
    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")],
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
    config: NoiseConfig = DEFAULT,
) -> None:
    """Evaluate a model on a data set: errors of one pose, and of the samples as a distribution.

    Args:
        dataset: Data set: h36m, 3dhp, cmu17, walkers, or the name of a prepared benchmark.
        num_samples: Number of samples per frame.
        model: Bundled model (see "prpose models"), model folder, or owner/name on the Hugging Face hub.
        lifter: Lifter with a variance net, instead of a model: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, or
            package.module:Class.
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
        baselines: Also evaluate a 3D Gaussian and, of a variance net, constant noise, fitted on the validation split.
        config_file: TOML file with defaults of the config options.
        config: Settings of the noise, with the defaults of "prpose predict".
    """
    if json is not None:
        check_output(json, overwrite)
    protocol = PROTOCOLS.get(dataset, MOCAP)
    keypoints = keypoints or data_set(dataset, root).default_keypoints
    networks = _networks(model, lifter, lifter_args, alpha, protocol.alpha, lifter_weights, noise_weights)
    evaluation = _Evaluation(*networks, protocol, named_device(device), num_samples, stride, seed, config)
    with progress("load data"):
        clips = load_clips(dataset, root, split, keypoints, tuple(actions.split(",")))
        val = load_clips(dataset, root, "val", keypoints) if baselines else None
    report = evaluation.report(clips, val)
    report["settings"] |= {"dataset": dataset, "split": split, "keypoints": keypoints, "actions": actions}
    print_report(report)
    _write(report, json)


def _write(report: Mapping[str, Any], json: Path | None) -> None:
    """Writes the report, if there is a file for it, and prints the command to go on with."""
    if json is None:
        dataset = report["settings"]["dataset"]
        again = shlex.split(current_command())[1:]
        return print_result("Evaluated", "Keep all numbers", *again, "--json", f"{dataset}.json")
    write_json(json, report)
    page = json.with_suffix(".html")
    replaced = ["--overwrite"] if page.exists() else []
    return print_result(f"Wrote {json}", "See it as a page", "report", json, "--out", page, *replaced)


def _networks(
    model: str | None, lifter: str | None, arguments: str, alpha: float | None, default: float, *weights: Path | None
) -> tuple[Sampler, dict[str, str], dict[str, Any]]:
    """Sampler, SHA-256 by role, and the card, empty if there is none or its regions are of another alpha."""
    if model is not None and (lifter, *weights) == (None, None, None):
        folder = find_model_folder(model)
        card, sampler = folder.card, folder.sampler(alpha)
        sha256 = {role: getattr(card, role).sha256 for role in card.roles}
        return sampler, sha256, asdict(card) if alpha in (None, card.alpha) else {}
    if model or not (lifter and weights[0] and weights[1]):
        raise ValueError("expected --model, or else all of --lifter, --lifter-weights and --noise-weights")
    net = load_published(lifter, weights[0], **constructor_arguments(arguments))
    variance_net = load_published(VARIANCE_PREFIX + variance_net_of(lifter), weights[1])
    noise = AdaptiveNoise(variance_net, default if alpha is None else alpha)
    return Sampler(net, noise), {"lifter": sha256_of(weights[0]), "noise": sha256_of(weights[1])}, {}


@dataclass(frozen=True)
class _Evaluation:
    sampler: Sampler
    sha256: dict[str, str]
    card: dict[str, Any]
    protocol: Protocol
    device: torch.device
    num_samples: int
    stride: int
    seed: int
    config: NoiseConfig

    def report(self, clips: Sequence[Clip], val: Sequence[Clip] | None) -> dict[str, Any]:
        """Every number, and what is needed to repeat it; with baselines if there are clips to fit them on."""
        if not 1 <= self.stride < 2**31:
            raise ValueError(f"expected --stride >= 1, got {self.stride}")
        self.sampler.to(self.device)
        windows, curve = self._windows(clips), sorted({S for S in CURVE if self.num_samples >= S} | {self.num_samples})
        kinds = {"model": self.sampler} if val is None else self._baselines(val)
        rho = self.config.rho(clips[0].fps or DEFAULT_FPS)
        draw, few = (seeded_draw(self.seed, S, rho) for S in (self.num_samples, min(self.num_samples, MOST_SAMPLES)))
        confidence = windows.confidence.numpy()  # all 1 where no clip has confidences
        known = (confidence < 1).any()
        extra = self.config.confidence_scale(confidence, self.sampler.trained) if known else 0.0
        cloud = self.protocol.cloud or val is not None
        with progress("evaluate", len(kinds) * len(windows)) as advance:
            scores = [
                score(net, windows, self.protocol.metrics, draw, BATCH_SIZE, self.device, cloud, curve, advance, extra)
                for net in kinds.values()
            ]
        rows, average = tabulate(scores[0], windows, self.protocol, self.card)
        report = self._origin() | {"rows": [asdict(row) for row in rows], "average": asdict(average)}
        if "mahalanobis" in scores[0].get("cloud", {}):
            report["limits_95"] = conformal_quantiles(scores[0]["cloud"]["mahalanobis"])
        report["joints"] = joint_table(scores[0], windows, self.protocol)
        if "cloud" in scores[0]:
            report["calibration"] = calibration(scores[0]["cloud"]["covered"], windows.hidden)
        report["curve"] = curve_over_samples(average, curve)
        report["frames"] = example_frames(self.sampler, windows, scores[0], few, BATCH_SIZE, self.device, extra)
        if val is not None:
            averages = {kind: tabulate(by, windows, self.protocol)[1] for kind, by in zip(kinds, scores, strict=True)}
            report["baselines"] = {kind: asdict(replace(row, name=kind)) for kind, row in averages.items()}
            with progress("correlate", 2 * len(windows)) as advance:
                report["rank_correlation"] = sigma_rank_correlation(self.sampler, windows, self.device, advance)
        return report

    def _windows(self, clips: Sequence[Clip]) -> Windows:
        lifter, every = self.sampler.lifter, self.stride * self.protocol.every
        return Windows(clips, receptive_field(lifter), False, every, is_causal(lifter), is_framed(lifter))

    def _baselines(self, val: Sequence[Clip]) -> Mapping[str, Sampler]:
        if self.num_samples < 2:
            raise ValueError(f"expected --num-samples >= 2 with --baselines, got {self.num_samples}")
        with progress("fit", len(fitted := self._windows(val))) as advance:
            return baseline_samplers(self.sampler, fitted, self.device, advance)

    def _origin(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in ("num_samples", "stride", "seed")}
        scaled = self.sampler if self.sampler.noise is None else self.sampler.noise
        settings |= {name: getattr(scaled, name, 1.0) for name in ("alpha", "floor")} | {"device": str(self.device)}
        return {
            "settings": settings | {"config": asdict(self.config)},
            "command": current_command(),
            "versions": versions(),
            "sha256": self.sha256,
            "units": {name: metric.unit for name, metric in METRICS.items()},
            "choices": CHOICES,
            "calibrated": is_calibrated(self.card),
        }


def print_report(report: Mapping[str, Any]) -> None:
    """Prints the tables of a report."""
    S, curve = report["settings"]["num_samples"], report["curve"]["num_samples"]
    show([Row(**row) for row in (*report["rows"], report["average"])], SHOWN, S, at_once=2)
    print(*(f"{choice}: {CHOICES[choice]}" for choice in SHOWN), sep="\n")
    if "baselines" in report:
        choices = ["deterministic", "mean", *(f"best_of_{few}" for few in curve)]
        show([Row(**row) for row in report["baselines"].values()], choices, S, at_once=1)
        correlation = report["rank_correlation"]
        joints = zip(H36M_17.names, zip(*correlation.values(), strict=True), strict=True)
        cells = {name: ["–" if r is None else f"{r:.2f}" for r in values] for name, values in [*joints][1:]}
        print_table("rank correlation of predicted sigma and error", list(correlation), cells)


def show(rows: Sequence[Row], choices: Sequence[str], S: int, at_once: int) -> None:
    """Prints a line per row: the choices side by side, some metrics per table, and the samples as a distribution."""
    metrics = list(rows[0].values[choices[0]])
    for start in range(0, len(metrics), at_once):
        names = metrics[start : start + at_once]
        columns = [(choice, name) for name in names for choice in choices]
        values = {row.name: [f"{row.values[choice][name]:.1f}" for choice, name in columns] for row in rows}
        units = ", ".join(f"{name} in {METRICS[name].unit}" for name in names)
        heads = ["frames", *(f"{name}\n{choice.replace('_', ' ')}" for choice, name in columns)]
        print_table(f"S = {S}; {units}", heads, {row.name: [f"{row.frames:,}", *values[row.name]] for row in rows})
    if "cloud" in rows[0].values:
        digits = {"ES": 1, "spread": 1, "ECE": 3, "ECE_hidden": 3, "coverage_95": 1}
        clouds = {row.name: row.values["cloud"] for row in rows}
        values = {
            name: [f"{cloud[key]:.{n}f}" if key in cloud else "–" for key, n in digits.items()]
            for name, cloud in clouds.items()
        }
        heads = ["energy score\nmm", "spread\nmm", "ECE\n", "ECE of\nhidden joints", "in 95 % regions\n%"]
        print_table(f"S = {S}; the samples as a distribution", heads, values)


def constructor_arguments(text: str) -> dict[str, Any]:
    """Keyword arguments from a JSON object."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ValueError(f'expected a JSON object such as {{"dropout": 0}}, got {text!r:.80}') from None


def versions() -> dict[str, str]:
    """Versions that the numbers depend on."""
    found = {"prpose": prpose.__version__, "python": platform.python_version()}
    return found | {"torch": torch.__version__, "numpy": np.__version__}
