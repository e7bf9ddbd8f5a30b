"""prpose pack: a trained lifter and its variance net become a model that others can load."""

import json
import shlex
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import tyro

from prpose.cli.arguments import constructor_arguments
from prpose.models import ROLES, Card, Network, write_model
from prpose.noise import variance_net_of
from prpose.weights import VARIANCE_PREFIX

WEIGHTS = "best.safetensors"


def pack(
    out: tyro.conf.Positional[Path],
    lifter_run: Path,
    noise_run: Path,
    alpha: float,
    floor: float = 1.0,
    training: str = "",
    half: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    scores: tuple[Path, ...] = (),
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
        training: how long it took, and on what, for the card.
        half: store weights as float16.
        scores: JSON files of "prpose evaluate" on this model, for the card.
        overwrite: replace the folder's files if it exists.
    """
    lifter, noise = _config(lifter_run, "lifter"), _config(noise_run, "variance")
    for key in ("lifter", "data", "data_sha256"):
        if lifter["training"][key] != noise["training"][key]:
            raise ValueError(
                f"expected two trainings with the same {key}, got "
                f"{lifter['training'][key]} and {noise['training'][key]}"
            )
    card = Card(
        name=out.name,
        lifter=_lifter(lifter, training),
        noise=_variance_net(noise),
        alpha=alpha,
        floor=floor,
        data=str(lifter["training"]["data"]),
        data_sha256=str(lifter["training"]["data_sha256"]),
        date=date.today().isoformat(),
    )
    weights = {"lifter": lifter_run / WEIGHTS, "noise": noise_run / WEIGHTS}
    card = replace(card, scores={name: row for path in scores for name, row in [_scores(path)]})
    model = write_model(out, card, weights, half, overwrite, [_sha256(path) for path in scores])
    print(f"written: {model.folder}, {model.size / 1e6:.1f} MB")


def _lifter(config: dict[str, Any], training: str) -> Network:
    settings = config["training"]
    arguments = constructor_arguments(settings.get("lifter_args"))
    name, commit = str(settings["lifter"]), str(config["commit"])
    return Network(name, "", command(config), arguments, commit, training)


def _variance_net(config: dict[str, Any]) -> Network:
    settings = config["training"]
    name = VARIANCE_PREFIX + str(settings.get("network", variance_net_of(settings["lifter"])))
    return Network(name, "", command(config), {}, str(config["commit"]))


def command(config: dict[str, Any]) -> str:
    """The command of a training, as its folder's config says; paths are the user's own."""
    settings = {k: v for k, v in config["training"].items() if k in FLAGS and v not in (None, "")}
    words = [[f"--{key.replace('_', '-')}", str(value)] for key, value in settings.items()]
    flags = shlex.join(word for pair in words for word in pair)
    return f"prpose train {config['training']['kind']} {flags}"


FLAGS = (
    *("init_sha256", "target", "network", "lifter", "lifter_args", "data", "keypoints", "every"),
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


def _scores(path: Path) -> tuple[str, dict[str, float]]:
    """Which frames a report is about, and its averages."""
    content = _read(path)
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
