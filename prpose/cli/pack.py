"""prpose pack: a trained lifter and its variance net become a model that others can load."""

import hashlib
import json
import shlex
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import tyro

from prpose.cli.arguments import constructor_arguments
from prpose.config import CONFIDENCE_NOISE
from prpose.hub import ROLES, Card, Network, write_model_folder
from prpose.noise import variance_net_of
from prpose.training.sources import VALIDATION
from prpose.weights import VARIANCE_PREFIX

WEIGHTS = "best.safetensors"


def pack(
    out: tyro.conf.Positional[Path],
    lifter_run: Path,
    noise_run: Path,
    alpha: float,
    floor: float = 1.0,
    fps: float | None = None,
    training: str = "",
    half: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    scores: tuple[Path, ...] = (),
    regions: Path | None = None,
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Makes a folder with a card of what "prpose train" made, for --model, load() and the hub.

    Pack, evaluate with --model and --json, and pack again with --scores and --overwrite: scores of
    other weights than those packed are refused.

    Args:
        out: folder; its name is the model's.
        lifter_run: folder of the lifter's training.
        noise_run: folder of its variance net's training.
        alpha: scale of the noise, chosen on validation.
        floor: least relative width of the noise; 1 is the published one.
        fps: frames per second of the data, for a lifter of several frames: tracks of other rates
            are interpolated to it.
        training: how long it took, and on what, for the card.
        half: store weights as float16.
        scores: JSON files of "prpose evaluate" on this model, for the card.
        regions: JSON file of "prpose evaluate --confidence-noise 0.03" on this model and the
            validation split of its data: how large 95 % regions must be, with the noise that
            "prpose predict" draws.
        overwrite: replace the folder's files if it exists.
    """
    lifter, noise = _config(lifter_run, "lifter"), _config(noise_run, "variance")
    for key in ("lifter", "data", "data_sha256"):
        if lifter["training"][key] != noise["training"][key]:
            raise ValueError(
                f"expected two trainings with the same {key}, got "
                f"{lifter['training'][key]} and {noise['training'][key]}"
            )
    name, weights = _name(out), {"lifter": lifter_run / WEIGHTS, "noise": noise_run / WEIGHTS}
    _check_pair(noise, weights["lifter"])
    card = Card(
        name=name,
        lifter=_lifter(lifter, training),
        noise=_variance_net(noise),
        alpha=alpha,
        floor=floor,
        data=str(lifter["training"]["data"]),
        data_sha256=str(lifter["training"]["data_sha256"]),
        date=date.today().isoformat(),
        fps=fps,
    )
    reports = [*scores, *([] if regions is None else [regions])]
    rows = dict(_scores(path, alpha, floor) for path in scores)
    card = replace(card, scores=rows, limits_95=_limits(regions, card))
    model = write_model_folder(out, card, weights, half, overwrite, [_sha256(path) for path in reports])
    print(f"written: {model.folder}, {model.size / 1e6:.1f} MB")


def _name(out: Path) -> str:
    """Of the model; ``ValueError`` for a path that does not end in one."""
    if out.name in ("", "..") or not out.name.isprintable():
        raise ValueError(f"expected a folder whose name can be the model's, got {out}")
    return out.name


def _check_pair(noise: dict[str, Any], lifter: Path) -> None:
    """``ValueError`` if the variance net was trained for another lifter."""
    wanted = noise["training"].get("lifter_sha256")
    found = hashlib.sha256(lifter.read_bytes()).hexdigest() if lifter.is_file() else "no file"
    if found != wanted:
        raise ValueError(f"{lifter}: expected the lifter of SHA-256 {wanted}, got {found}")


def _lifter(config: dict[str, Any], training: str) -> Network:
    settings = config["training"]
    said = settings.get("lifter_args")
    arguments = said if isinstance(said, dict) else constructor_arguments(said)
    name, commit = str(settings["lifter"]), str(config["commit"])
    return Network(name, "", command(config), arguments, commit, training)


def _variance_net(config: dict[str, Any]) -> Network:
    settings = config["training"]
    name = VARIANCE_PREFIX + str(settings.get("network", variance_net_of(settings["lifter"])))
    return Network(name, "", command(config), {}, str(config["commit"]))


def command(config: dict[str, Any]) -> str:
    """The command of a training, as its folder's config says; files are named by their hashes."""
    settings = config["training"]
    words = ["prpose", "train", str(settings["kind"])]
    for key, value in settings.items():
        if key in FILES:
            words += [FILES[key], f"sha256:{value}"]
        elif key in FLAGS and value not in (None, "", {}):
            text = json.dumps(value) if isinstance(value, dict) else str(value)
            words += [f"--{key.replace('_', '-')}", text]
    return shlex.join(words)


FILES = {"init_sha256": "--init", "lifter_sha256": "--lifter-weights"}
FLAGS = (
    *("target", "network", "lifter", "lifter_args", "data", "keypoints", "every"),
    *("held_out", "epochs", "batch_size", "schedule", "lr", "clip", "ema", "precision", "seed"),
    "patience",
)


def _config(run: Path, kind: str) -> dict[str, Any]:
    path = run / "config.json"
    content = _read(path)
    training = content.get("training")
    if not isinstance(training, dict) or training.get("kind") != kind:
        raise ValueError(f"{path}: expected the training of a {kind}")
    missing = [key for key in ("lifter", "data", "data_sha256") if key not in training]
    if missing or "commit" not in content:
        raise ValueError(f"{path}: expected {', '.join(missing) or 'commit'} in it")
    return content


def _scores(path: Path, alpha: float, floor: float) -> tuple[str, dict[str, float]]:
    """Which frames a report is about, and its averages.

    Raises:
        ValueError: if it is no report, or of other noise than the card's, or of part of the data.
    """
    content = _read(path)
    wanted = {"alpha": alpha, "floor": floor, "stride": 1, "actions": "*", "confidence_noise": 0}
    settings = content.get("settings")
    found: dict[str, Any] = settings if isinstance(settings, dict) else {}
    for key, value in wanted.items():
        if found.get(key, value) != value:
            raise ValueError(f"{path}: expected scores of {key} {value}, got {found[key]}")
    try:
        settings, values = content["settings"], content["average"]["values"]
        name = f"{settings['dataset']} {settings['split']} {settings['keypoints']}"
        S = int(settings["hypotheses"])
        row = {key: round(float(value), 2) for key, value in values["single"].items()}
        row |= {f"{key}_best_of_{S}": round(float(v), 2) for key, v in values["best"].items()}
        row |= {key: round(float(value), 3) for key, value in values.get("cloud", {}).items()}
        return name, row
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError(f"{path}: expected a report of prpose evaluate") from None


def _limits(path: Path | None, card: Card) -> dict[str, float]:
    """Of 95 % regions; nothing without a report.

    Raises:
        ValueError: if it is of other data than the training's validation split, of other noise
            than is drawn, or of fewer than four hypotheses.
    """
    if path is None:
        return {}
    content = _read(path)
    settings, limits = content.get("settings"), content.get("limits_95")
    if not isinstance(settings, dict) or not isinstance(limits, dict):
        raise ValueError(f"{path}: expected a report of prpose evaluate with limits_95 in it")
    wanted = {"dataset": card.data, "split": VALIDATION, "confidence_noise": CONFIDENCE_NOISE}
    wanted |= {"alpha": card.alpha, "floor": card.floor, "actions": "*"}
    for key, value in wanted.items():
        if settings.get(key) != value:
            raise ValueError(f"{path}: expected limits_95 of {key} {value}, got {settings.get(key)}")
    return {name: float(f"{value:.4g}") for name, value in limits.items()}


def _sha256(path: Path) -> dict[str, str]:
    found = _read(path).get("sha256")
    if not isinstance(found, dict) or set(found) != set(ROLES):
        raise ValueError(f"{path}: expected a report of prpose evaluate")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return content
