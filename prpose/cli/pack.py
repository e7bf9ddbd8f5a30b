"""``prpose pack`` and ``export``: a trained model as a folder that others can load, or one file for ONNX Runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import tyro
from torch import Tensor

from prpose.atomic import sha256_of
from prpose.card import Card, Network
from prpose.cli.console import Flag, print_result
from prpose.cli.evaluate import constructor_arguments
from prpose.config import InferenceConfig
from prpose.export import export_onnx
from prpose.hub import by_role, write_model_folder
from prpose.noise import variance_net_of
from prpose.regions import LEVEL
from prpose.tables import naming
from prpose.training.run import VALIDATION, WEIGHTS, read_run
from prpose.training.weak_supervision import FLOORS
from prpose.view.report_file import Report, read_report
from prpose.weights import LEARNT_PREFIX, VARIANCE_PREFIX, read_state_dict

MIXTURE = "gaussian_mixture"
DAMAGED = LookupError, TypeError, AttributeError  # of files with other content than ours
Weights = dict[str, Path | Mapping[str, Tensor]]  # by role


def pack(
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")],
    lifter_run: Path | None = None,
    noise_run: Path | None = None,
    alpha: float | None = None,
    sampler_run: tuple[Path, ...] = (),
    fps: float | None = None,
    half: Flag = False,
    reports: tuple[Path, ...] = (),
    overwrite: Flag = False,
) -> None:
    """Make a model folder from trainings, for --model, prpose.load and the Hugging Face hub.

    Give the runs of a lifter and its variance net, with alpha; or the run of a sampler.

    Pack, evaluate with --model and --json, and pack again with --reports and --overwrite: the card then has the scores.
    A report of the validation split also sets the size of the 95 % regions, if the samples' own regions hold less.

    Args:
        out: Model folder to write; its name is the model's.
        lifter_run: Run folder of the lifter.
        noise_run: Run folder of its variance net.
        alpha: Scale of the noise, chosen on the validation split; of one-pass networks, of single coordinates.
        sampler_run: Run folder of "prpose train sampler"; several, of one-pass lifters, make a mixture.
        fps: Frame rate of the training data; a lifter of several frames needs it.
        half: Store the weights in half precision.
        reports: JSON files of "prpose evaluate" on this model with the default configuration.
        overwrite: Replace the files of an existing folder.
    """
    if out.name in ("", "..") or not out.name.isprintable():
        raise ValueError(f"expected a folder whose name can be the model's, got {out}")
    with naming("expected the configs that prpose train writes, got others", DAMAGED):
        if sampler_run and (lifter_run, noise_run) == (None, None):
            card, weights, keypoints = _of_samplers(sampler_run, alpha)
        elif not sampler_run and lifter_run is not None and noise_run is not None and alpha is not None:
            card, weights, keypoints = _of_lifter_and_noise(lifter_run, noise_run, alpha)
        else:
            raise ValueError("expected --sampler-run, or all of --lifter-run, --noise-run and --alpha")
    card = replace(card, name=out.name, fps=fps, date=date.today().isoformat())
    contents = [_report(path, card) for path in reports]
    calibration = f"{card.data} {VALIDATION} {keypoints}"
    limits = [report.limits_95 for report in contents if _needs_limits(report) and _frames(report) == calibration]
    rounded = {joint: float(f"{value:.4g}") for joint, value in (limits[-1] if limits else {}).items()}
    card = replace(card, scores={_frames(report): _scores(report) for report in contents}, limits_95=rounded)
    model = write_model_folder(out, card, weights, half, overwrite, [report.sha256 for report in contents])
    print_result(f"Wrote {model.folder}, {model.size / 1e6:.1f} MB,", "Try it", "evaluate", "walkers", "--model", out)


def _of_lifter_and_noise(lifter_run: Path, noise_run: Path, alpha: float) -> tuple[Card, Weights, str]:
    """The card, the weights by role, and the kind of keypoints."""
    runs = {"lifter": _run(lifter_run, "lifter"), "noise": _run(noise_run, "noise", "variance")}
    weights: Weights = {"lifter": lifter_run / WEIGHTS, "noise": noise_run / WEIGHTS}
    lifter, noise = (run["training"] for run in runs.values())
    for key in ("lifter", "data", "data_sha256"):
        if lifter[key] != noise[key]:
            raise ValueError(f"expected two trainings with the same {key}, got {lifter[key]} and {noise[key]}")
    found, expected = sha256_of(lifter_run / WEIGHTS), noise.get("lifter_sha256")
    if found != expected:
        raise ValueError(f"{lifter_run / WEIGHTS}: expected the lifter of SHA-256 {expected}, got {found}")
    network = noise.get("network") or variance_net_of(lifter["lifter"])
    card = Card(
        name="",
        lifter=_network(runs["lifter"], str(lifter["lifter"]), lifter.get("lifter_args")),
        noise=_network(runs["noise"], VARIANCE_PREFIX + network, {}),
        alpha=alpha,
        floor=FLOORS[noise.get("target", "published")],
        data=str(lifter["data"]),
        data_sha256=str(lifter["data_sha256"]),
        date="",
    )
    return card, weights, str(lifter["keypoints"])


def _of_samplers(folders: Sequence[Path], alpha: float | None) -> tuple[Card, Weights, str]:
    """The card, the weights by role, and the kind of keypoints; of several, a mixture."""
    runs = [_run(folder, "sampler") for folder in folders]
    lifters = [_network(run, str(run["training"]["lifter"]), run["training"].get("lifter_args")) for run in runs]
    first, lifter = runs[0]["training"], lifters[0]
    for run in runs[1:]:
        if any(run["training"][key] != first[key] for key in ("data_sha256", "keypoints")):
            raise ValueError(f"expected trainings on the same data, got {[str(folder) for folder in folders]}")
    roles = [by_role(read_state_dict(folder / WEIGHTS)) for folder in folders]
    weights: Weights = {**roles[0]}
    noise, framed = None, bool(first.get("framed", lifter.arguments.get("framed")))
    if len(runs) > 1:
        if any(parts["noise"] for parts in roles):
            raise ValueError("expected one-pass lifters for a mixture, got one with noise")
        members = [{"name": each.network, **each.arguments} for each in lifters]
        command, training = ("; ".join(getattr(each, name) for each in lifters) for name in ("command", "training"))
        lifter = replace(lifter, network=MIXTURE, arguments={"members": members}, command=command, training=training)
        parts = [{f"members.{k}.{key}": x for key, x in part["lifter"].items()} for k, part in enumerate(roles)]
        weights["lifter"] = {key: x for part in parts for key, x in part.items()}
    elif weights["noise"]:
        noise = _network(runs[0], LEARNT_PREFIX + str(first["network"]), {"framed": True} if framed else {})
    if noise is not None and alpha is not None:
        raise ValueError("expected no alpha; the scale of the noise was learnt")
    scale, data, sha256 = 1.0 if alpha is None else alpha, str(first["data"]), str(first["data_sha256"])
    return Card("", lifter, noise, scale, data, sha256, date=""), weights, str(first["keypoints"])


def _run(folder: Path, *kinds: str) -> dict[str, Any]:
    content = read_run(folder)
    training = content["training"]
    if training.get("kind") not in kinds or not training.keys() >= {"lifter", "data", "data_sha256", "keypoints"}:
        raise ValueError(f"{folder}: expected the training of a {kinds[0]}, got {training.get('kind')}")
    return content


def _network(run: dict[str, Any], name: str, arguments: Any) -> Network:
    """Card entry of a network; runs before version 1 have a commit, and no command."""
    training, versions = run["training"], run.get("versions", {})
    kw = arguments if isinstance(arguments, dict) else constructor_arguments(arguments or "{}")
    command = run.get("command") or f"prpose train {training['kind']} --data {training['data']}"
    commit = run.get("commit") or f"prpose {versions.get('prpose', '')}".strip()
    device = f" on {run['device']}" if "device" in run else ""
    return Network(name, "", command, kw, commit, f"{training.get('epochs')} epochs{device}")


def _report(path: Path, card: Card) -> Report:
    """A report of ``prpose evaluate`` on the card's noise, all frames and the default config."""
    report, default = read_report(path), InferenceConfig()
    if set(report.sha256) != set(card.roles):
        raise ValueError(f"{path}: expected a report on {' and '.join(card.roles)}, got {', '.join(report.sha256)}")
    config = report.settings.get("config")
    config = config if isinstance(config, dict) else {}
    expected = {"alpha": card.alpha, "floor": card.floor, "stride": 1, "actions": "*"}
    for key, value in (expected | {name: getattr(default, name, None) for name in config}).items():
        if (found := (report.settings | config).get(key)) != value:
            raise ValueError(f"{path}: expected a report with {key} {value}, got {found}")
    return report


def _needs_limits(report: Report) -> bool:
    """Whether conformal quantiles widen the regions; those of trained samples may hold enough without."""
    coverage = report.average.values.get("cloud", {}).get("coverage_95", 0.0)
    return bool(report.limits_95) and (report.calibrated or coverage < 100 * LEVEL)


def _frames(report: Report) -> str:
    """Data set, split and 2D keypoints of a report."""
    return " ".join(str(report.settings.get(key)) for key in ("dataset", "split", "keypoints"))


def _scores(report: Report) -> dict[str, float]:
    """The averages of a report."""
    S, values = report.settings["num_samples"], report.average.values
    scores = {key: round(value, 2) for key, value in values["deterministic"].items()}
    scores |= {f"{key}_best_of_{S}": round(value, 2) for key, value in values.get("best", {}).items()}
    return scores | {key: round(value, 3) for key, value in values.get("cloud", {}).items()}


def export(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")],
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")],
    overwrite: Flag = False,
) -> None:
    """Export a model to an ONNX file.

    The file holds both networks and the card; ``prpose predict --model OUT`` computes it with ONNX Runtime.

    Args:
        model: A bundled model, or a model's folder.
        out: File to write, *.onnx.
        overwrite: Replace an existing file.
    """
    difference = export_onnx(model, out, overwrite)
    print_result(f"{out}: poses within {1e6 * difference:.1f} micrometres of PyTorch's")
