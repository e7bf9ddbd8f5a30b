"""A training's data, and its folder, from which it resumes.

::

    config.json       everything that the training depends on, versions, command
    log.jsonl         a line per epoch
    checkpoint.pt     the state, replaced every few minutes and after every epoch
    best.safetensors  the weights with the best validation score
    tensorboard/      the same curves, with the extra ``train``
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from prpose.atomic import check_output, read_json, remove_temporary, replacing, write_json
from prpose.data import data_set, load_clips, load_motions
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.data.windows import Windows
from prpose.lifter import frame_step, is_causal, is_framed, receptive_field
from prpose.tables import is_number
from prpose.training import DEFAULTS, RENDERED, Loss, State, TrainConfig, TrainingData, fit, processes
from prpose.weights import check_archive

VALIDATION = "val"
WEIGHTS = "best.safetensors"


def training_data(
    name: str, root: Path, keypoints: str, net: nn.Module, config: TrainConfig, val_every: int = 1
) -> tuple[TrainingData, Windows]:
    """Training windows and validation windows of a data set, of the receptive field of a lifter.

    Motion capture is rendered anew for every batch. Of recorded 2D, the windows and their mirror images are the
    training data; where there is no validation split, some training subjects are held out for it, since the test split
    must not choose anything.

    Args:
        name, root, keypoints: as of :func:`prpose.data.load_clips`.
        net: lifter that is trained, or whose variance net is.
        config: settings of windows, cameras and held-out subjects.
        val_every: validate on the windows of every n-th frame.
    """
    shape: dict[str, Any] = {"F": receptive_field(net), "causal": is_causal(net), "framed": is_framed(net)}
    held_out = config.held_out
    if data_set(name, root).motions is not None:
        if held_out:
            raise ValueError(f"expected no held_out subjects, got {', '.join(held_out)}: {name} has a validation split")
        windows = Windows(load_clips(name, root, VALIDATION, keypoints), every=val_every, **shape)
        if config.repeated and receptive_field(net) == 1:
            raise ValueError(f"expected no repeated frames of a lifter of single frames, got {config.repeated}")
        shape |= {"every": config.every, "step": frame_step(net), "workers": config.workers}
        shape |= {"balance": config.balance, "repeated": config.repeated}
        cameras = RandomCameras(wide=config.wide_cameras)
        bodies = Proportions(wide=config.wide_bodies, exchanged=config.exchanged_limbs)
        motions = load_motions(name, root, "train")
        return RandomViews(motions, keypoints=keypoints, cameras=cameras, proportions=bodies, **shape), windows
    settings = *RENDERED, "workers"
    if unused := [setting for setting in settings if getattr(config, setting) != getattr(TrainConfig, setting)]:
        raise ValueError(f"expected no {', '.join(unused)}: {name} has recorded 2D, which is not rendered")
    clips = load_clips(name, root, "train", keypoints)
    subjects = list(dict.fromkeys(clip.subject for clip in clips))
    out = list(held_out) or subjects[-1:]
    if not set(out) < set(subjects):
        raise ValueError(f"expected some but not all of {', '.join(subjects)} in held_out, got {', '.join(out)}")
    train, val = ([clip for clip in clips if (clip.subject in out) == validation] for validation in (False, True))
    return Windows(train, mirrored=True, every=config.every, **shape), Windows(val, every=val_every, **shape)


def prepare_folder(folder: Path, config: Mapping[str, Any], resume: bool, **more: Any) -> None:
    """Creates a run folder with its config, or with ``resume`` checks that an existing one has the same.

    Args:
        folder: of the run; ``ValueError`` if it exists and ``resume`` is false, or has no such training to resume.
        config: what the training depends on.
        resume: whether to continue the training in the folder.
        more: also written to a new folder's config, and not compared: versions, command, measured numbers.
    """
    path = folder / "config.json"
    if resume:
        if not path.is_file():
            raise ValueError(f"{folder}: nothing to resume; expected {path.name} in it")
        before, now = read_run(folder)["training"], json.loads(json.dumps(config))
        before = {key: DEFAULTS.get(key) for key in now} | before  # settings that did not exist then
        changed = [key for key in sorted(before.keys() | now.keys()) if before[key] != now.get(key)]
        if changed:
            changes = ", ".join(f"{key} was {before[key]}, is {now.get(key)}" for key in changed)
            raise ValueError(f"{folder}: expected the same training; {changes}")
        return
    remove_temporary(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: exists already; name another folder or pass --resume")
    write_json(check_output(path, overwrite=False), {"training": config} | more)


def read_run(folder: Path) -> dict[str, Any]:
    """A run folder's config; ``ValueError`` naming the file if it is missing or damaged."""
    content = read_json(folder / "config.json")
    if not isinstance(content, dict) or not isinstance(content.get("training"), dict):
        raise ValueError(f"{folder / 'config.json'}: expected the config of a training, an object with 'training'")
    return content


def train(
    folder: Path,
    state: State,
    data: TrainingData,
    loss: Loss,
    validate: Callable[[nn.Module], dict[str, float]],
    on_items: Callable[[int], None] = lambda items: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda line: None,
) -> dict[str, float]:
    """Fits, validates after every epoch, saves and logs; returns the best epoch's log line.

    Continues from a checkpoint in the folder. Of several processes the first one validates, saves and logs.

    Args:
        folder: as of :func:`prepare_folder`; ``ValueError`` if its checkpoint is damaged.
        state, data, loss: as of :func:`prpose.training.fit`.
        validate: scores of a network in eval mode on the validation split; the lowest first score is the best epoch.
        on_items: called with the number of items of each step, and of those done before.
        on_epoch: called with each log line.
    """
    path, saved_at, config = folder / "checkpoint.pt", time.monotonic(), state.config
    lines = _load(path, state) if path.is_file() else []
    on_items(state.epoch * len(data) + state.batch * config.batch_size)
    first = processes.rank() == 0
    add_scalar = _tensorboard(folder)

    def after_step(items: int, loss: float) -> None:
        nonlocal saved_at
        on_items(items)
        if first and time.monotonic() - saved_at > 60 * config.save_every:
            _save(path, state, lines)
            saved_at = time.monotonic()

    def after_epoch(steps: list[tuple[int, float]]) -> bool:
        mean = sum(n * value for n, value in steps) / max(1, sum(n for n, _ in steps))
        scores = processes.once(lambda: _finite(validate(state.result.eval()), state.epoch))
        lines.append({"epoch": state.epoch, "loss": mean} | scores)
        if lines[-1].keys() != lines[0].keys():
            raise ValueError(f"{path}: expected a log of {', '.join(lines[-1])}, got {', '.join(map(str, lines[0]))}")
        if first:
            _save_epoch(folder, state, lines)
        for name, value in lines[-1].items():
            add_scalar(name, value, state.epoch)
        on_epoch(lines[-1])
        return is_over()

    def is_over() -> bool:
        return bool(lines) and lines[-1]["epoch"] - _best(lines)["epoch"] >= (config.patience or math.inf)

    if not is_over():
        fit(state, data, loss, after_step, after_epoch)
    return _best(lines)


def _finite(scores: dict[str, float], epoch: int) -> dict[str, float]:
    if not all(math.isfinite(value) for value in scores.values()):
        raise ValueError(f"the validation scores of epoch {epoch} are {scores}: is the learning rate too high?")
    return scores


def _best(lines: list[dict[str, float]]) -> dict[str, float]:
    """The line with the lowest first validation score."""
    score = list(lines[0])[2]  # after epoch and loss
    return min(lines, key=lambda line: line[score])


def _save_epoch(folder: Path, state: State, lines: list[dict[str, float]]) -> None:
    if _best(lines) is lines[-1]:
        with replacing(folder / WEIGHTS) as temporary:
            save_file({k: v.cpu().contiguous() for k, v in state.result.state_dict().items()}, temporary)
    with replacing(folder / "log.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    _save(folder / "checkpoint.pt", state, lines)


def _save(path: Path, state: State, lines: list[dict[str, float]]) -> None:
    with replacing(path) as temporary, BytesIO() as stream:  # torch.save hides the error of a full disk
        torch.save({"state": state.state_dict(), "log": lines}, stream)
        temporary.write_bytes(stream.getvalue())


def _load(path: Path, state: State) -> list[dict[str, float]]:
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        state.load_state_dict(content["state"])
        lines = [dict(line) for line in content["log"]]
        if [line["epoch"] for line in lines] != list(range(1, state.epoch + 1)):
            raise ValueError(f"a log of {len(lines)} epochs, where {state.epoch} are done")
        if not all(line.keys() == lines[0].keys() and all(map(is_number, line.values())) for line in lines):
            raise ValueError("a log of something else than numbers")
        if lines:
            _best(lines)
        return lines
    except Exception as error:  # a damaged file can fail in any way
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise ValueError(f"{path}: not a checkpoint of this training ({reason})") from None


def _tensorboard(folder: Path) -> Callable[..., Any]:
    """Adds a value to a curve, in the first process, if the extra ``train`` is installed."""
    if processes.rank() == 0:
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            return SummaryWriter(folder / "tensorboard").add_scalar
    return lambda name, value, epoch: None
