"""A training's folder: what it is, how it goes, and what it goes on from.

::

    config.json       everything that the training depends on, versions and commit
    log.jsonl         a line per epoch
    checkpoint.pt     the state, replaced every few minutes and after every epoch
    best.safetensors  the weights that did best on validation
    tensorboard/      the same curves, with the extra ``train``
"""

import importlib
import json
import math
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from prpose import processes
from prpose.atomic import check_output, replacing
from prpose.training import Loss, Source, State, fit

SAVE_EVERY_MINUTES = 2.0


def prepare_folder(
    folder: Path,
    config: Mapping[str, Any],
    resume: bool,
    measured: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """A new folder with its config, or an old one that has the same.

    Args:
        folder: of the run.
        config: what the training depends on; a resumed one must have the same.
        resume: whether to go on with what is there.
        measured: numbers to be kept beside it; another machine may round them otherwise.

    Raises:
        ValueError: if the folder is there already and ``resume`` is false, if there is nothing to
            resume, or if what is there was another training.
    """
    path = folder / "config.json"
    if resume:
        if not path.is_file():
            raise ValueError(f"{folder}: nothing to resume; expected {path.name} in it")
        before = _training_of(path)
        now = json.loads(json.dumps(config))
        changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
        if changed:
            raise ValueError(
                f"{folder}: expected the training that was begun there; "
                + ", ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in changed)
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: exists already; name another folder or pass --resume")
    check_output(path, overwrite=False)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"training": config, "measured": dict(measured)}
    content |= {"versions": versions(), "commit": commit()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _training_of(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a training's config ({error})") from None
    training = content.get("training") if isinstance(content, dict) else None
    if not isinstance(training, dict):
        raise ValueError(f"{path}: not a training's config: expected an object with a training")
    return training


def versions() -> dict[str, str]:
    """Of what the numbers depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def commit() -> str | None:
    """This clone's git commit, with ``-dirty`` if it has changes; None outside of a clone."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def train(
    folder: Path,
    state: State,
    data: Source,
    loss: Loss,
    validate: Callable[[torch.nn.Module], dict[str, float]],
    patience: int | None = None,
    save_every: float = SAVE_EVERY_MINUTES,
    on_items: Callable[[int], None] = lambda items: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda line: None,
) -> dict[str, float]:
    """Fits, validates after every epoch, saves and logs; goes on where a checkpoint lies.

    Of several processes the first one validates, saves and logs.

    Args:
        folder: as of :func:`prepare_folder`.
        state: of the training, on its device.
        data, loss: as of :func:`prpose.training.fit`.
        validate: scores of a network in eval mode on the validation split; the first one chooses
            the best epoch, lower being better.
        patience: epochs without a better one after which to stop.
        save_every: minutes between checkpoints within an epoch; each epoch ends with one, too.
        on_items: told the number of items of each step, and of what was done before.
        on_epoch: told each log line.

    Returns:
        The best epoch's log line.

    Raises:
        ValueError: as of :func:`prpose.training.fit`, or for a checkpoint that cannot be read.
    """
    path, saved_at = folder / "checkpoint.pt", time.monotonic()
    lines = _load(path, state) if path.is_file() else []
    on_items(state.epoch * len(data) + state.batch * state.recipe.batch_size)
    first = processes.rank() == 0
    writer = _tensorboard(folder) if first else None

    def after_step(items: int, loss: float) -> None:
        nonlocal saved_at
        on_items(items)
        if first and time.monotonic() - saved_at > 60 * save_every:
            _save(path, state, lines)
            saved_at = time.monotonic()

    def after_epoch(steps: list[tuple[int, float]]) -> bool:
        mean = sum(n * value for n, value in steps) / max(1, sum(n for n, _ in steps))
        scores = processes.once(lambda: _finite(validate(state.result.eval()), state.epoch))
        lines.append({"epoch": state.epoch, "loss": mean} | scores)
        if first:
            _save_epoch(folder, state, lines, _best(lines) is lines[-1])
            _draw_curves(writer, lines[-1])
        on_epoch(lines[-1])
        return _is_patience_over(lines, patience)

    if not _is_patience_over(lines, patience):
        fit(state, data, loss, after_step, after_epoch)
    return _best(lines)


def _save_epoch(folder: Path, state: State, lines: list[dict[str, float]], best: bool) -> None:
    if best:
        _save_weights(folder / "best.safetensors", state.result)
    _write_log(folder / "log.jsonl", lines)
    _save(folder / "checkpoint.pt", state, lines)


def _finite(scores: dict[str, float], epoch: int) -> dict[str, float]:
    if not all(math.isfinite(value) for value in scores.values()):
        raise ValueError(f"the validation scores of epoch {epoch} are {scores}: is the learning rate too high?")
    return scores


def _is_patience_over(lines: list[dict[str, float]], patience: int | None) -> bool:
    if not lines or patience is None:
        return False
    return int(lines[-1]["epoch"]) - int(_best(lines)["epoch"]) >= patience


def _best(lines: list[dict[str, float]]) -> dict[str, float]:
    """The line with the lowest first validation score."""
    chosen = list(lines[0])[2]  # after epoch and loss
    return min(lines, key=lambda line: line[chosen])


def _draw_curves(writer: Any, line: dict[str, float]) -> None:
    if writer is not None:
        for name, value in line.items():
            writer.add_scalar(name, value, int(line["epoch"]))
        writer.flush()


def _save(path: Path, state: State, lines: list[dict[str, float]]) -> None:
    with replacing(path) as temporary:
        torch.save({"state": state.state_dict(), "log": lines}, temporary)


def _load(path: Path, state: State) -> list[dict[str, float]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state.load_state_dict(content["state"])
        lines = [dict(line) for line in content["log"]]
        if [line["epoch"] for line in lines] != list(range(1, state.epoch + 1)):
            raise ValueError(f"a log of {len(lines)} epochs, where {state.epoch} are done")
        if lines and not math.isfinite(_best(lines)[list(lines[0])[2]]):
            raise ValueError("a log without scores")
        return lines
    except Exception as error:  # a damaged file can fail in any way at all
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ValueError(f"{path}: not a checkpoint of this training ({reason})") from None


def _save_weights(path: Path, net: torch.nn.Module) -> None:
    with replacing(path) as temporary:
        save_file({k: v.cpu().contiguous() for k, v in net.state_dict().items()}, temporary)


def _write_log(path: Path, lines: list[dict[str, float]]) -> None:
    with replacing(path) as temporary:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")


def _tensorboard(folder: Path) -> Any:
    """A writer, if the extra ``train`` is installed."""
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    return module.SummaryWriter(folder / "tensorboard")
