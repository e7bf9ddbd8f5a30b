"""Models on data sets: scores per frame, and the tables made of them. Only this file averages."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from prpose import metrics
from prpose.data import Clip, human36m, mpi_inf_3dhp
from prpose.data.windows import Windows
from prpose.hypotheses import HypothesisLifter
from prpose.noise import draw_eps
from prpose.skeleton import PCK_14, PCK_17

Draw = Callable[[range, torch.Size], Iterable[tuple[Tensor, Tensor]]]
"""(positions in the data set, keypoints' shape) → eps and mirrored eps, in parts of (s, *shape)."""

POSES_AT_ONCE = 4096
"""Most poses that are held and scored at once, whatever S is; Procrustes needs some kB for each."""


@dataclass(frozen=True)
class Metric:
    """A per-pose value, (*, J, 3) and (*, J, 3) → (*), and how it is reported."""

    of: Callable[[Tensor, Tensor], Tensor]
    unit: Literal["mm", "%"]
    higher_is_better: bool = False

    @property
    def scale(self) -> float:
        """From metres to mm, from a share to percent."""
        return {"mm": 1000.0, "%": 100.0}[self.unit]


METRICS = {
    "P1": Metric(metrics.mpjpe, "mm"),
    "P2": Metric(metrics.p_mpjpe, "mm"),
    "PCK14": Metric(partial(metrics.pck, joints=PCK_14), "%", higher_is_better=True),
    "PCK17": Metric(partial(metrics.pck, joints=PCK_17), "%", higher_is_better=True),
    "AUC14": Metric(partial(metrics.auc, joints=PCK_14), "%", higher_is_better=True),
}

CHOICES = {
    "single": "the lifter's own answer, without noise",
    "mean": "the mean of the S hypotheses, joint by joint (P-Agg)",
    "best": "the best of the S hypotheses by this very metric: an oracle",
    "any": "one of the S hypotheses at random, on average",
}
"""Which pose of a frame is scored."""


@dataclass(frozen=True)
class Protocol:
    """How a data set is reported.

    Args:
        metrics: keys of :data:`METRICS`.
        group: table row of a clip.
        average: mean over the ``groups``' means (Human3.6M), or over all ``frames``.
        alpha: published scale of the noise.
        every: of the clips' frames, every how many-th is scored.
    """

    metrics: tuple[str, ...]
    group: Callable[[Clip], str]
    average: Literal["groups", "frames"]
    alpha: float
    every: int = 1


def action_of(clip: Clip) -> str:
    """'Walking 1' counts as 'Walking'."""
    return clip.action.split(" ")[0]


def _setting_of(clip: Clip) -> str:
    return mpi_inf_3dhp.SETTINGS.get(clip.subject, clip.subject)


MOCAP = Protocol(("P1", "P2", "PCK14", "AUC14"), action_of, "frames", alpha=0.005, every=6)
"""Benchmarks made of motion capture, ours and users': 10 of 60 frames a second."""

PROTOCOLS = {
    "h36m": Protocol(("P1", "P2"), action_of, "groups", alpha=0.005),
    "3dhp": Protocol(("PCK14", "AUC14", "P1", "P2", "PCK17"), _setting_of, "frames", alpha=0.01),
    "cmu17": MOCAP,
    "walkers": MOCAP,
}


def seeded_draw(seed: int, S: int) -> Draw:
    """Noise of S hypotheses that depends on the seed and on a batch's place alone.

    Drawn on the CPU, so that every device gets the same numbers; the first of a larger S are those
    of a smaller one.

    Raises:
        ValueError: if S < 1 or seed < 0.
    """
    if S < 1:
        raise ValueError(f"expected S >= 1 hypotheses, got {S}")
    if seed < 0:
        raise ValueError(f"expected seed >= 0, got {seed}")

    def draw(items: range, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor]]:
        # PyTorch's CPU generator keeps 32 bits of its seed, so both numbers are mixed into those.
        mixed = int(np.random.SeedSequence([seed, items.start]).generate_state(1)[0])
        generator = torch.Generator().manual_seed(mixed)
        at_once = max(1, POSES_AT_ONCE // shape[0])
        for start in range(0, S, at_once):
            eps = draw_eps(min(at_once, S - start), (2, *shape), generator)
            yield eps[:, 0], eps[:, 1]

    return draw


@torch.no_grad()
def score(
    net: HypothesisLifter,
    windows: Windows,
    names: Sequence[str],
    draw: Draw | None,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int], None] = lambda frames: None,
) -> dict[str, dict[str, Tensor]]:
    """Scores of every frame, in bounded memory.

    Args:
        net: on ``device``, in eval mode.
        windows: of the test clips, without mirror images.
        names: keys of :data:`METRICS`.
        draw: the noise of each batch; without it only the ``single`` choice is scored.
        batch_size: frames at once.
        on_batch: told the number of frames after each batch.

    Returns:
        ``{choice: {metric: (N,)}}`` for each of :data:`CHOICES`, in metres or shares, on the CPU.

    Raises:
        ValueError: if poses are not finite, naming the frames.
    """
    parts: list[dict[str, dict[str, Tensor]]] = []
    for indices, batch in windows.batches(batch_size):
        keypoints, target = batch.keypoints.to(device), batch.target.to(device)
        items = range(int(indices[0]), int(indices[-1]) + 1)
        scores = {"single": _values(net.single(keypoints)[None], target, names, items)}
        if draw is not None:
            noise = draw(items, keypoints.shape)
            scores |= _score_many(net, keypoints, target, names, noise, items)
        parts.append({c: {n: v[0].cpu() for n, v in by.items()} for c, by in scores.items()})
        on_batch(len(indices))
    return {
        choice: {name: torch.cat([part[choice][name] for part in parts]) for name in names}
        for choice in parts[0]
    }


def _score_many(
    net: HypothesisLifter,
    keypoints: Tensor,
    target: Tensor,
    names: Sequence[str],
    noise: Iterable[tuple[Tensor, Tensor]],
    items: range,
) -> dict[str, dict[str, Tensor]]:
    """Mean, best and average hypothesis of a batch, ``{choice: {metric: (1, B)}}``.

    Of each part of the noise only sums and the best values are kept, so that S may be any number.
    """
    S, total = 0, torch.zeros_like(target, dtype=torch.float64)
    best: dict[str, Tensor] = {}
    sums = {name: torch.zeros(len(target), dtype=torch.float64) for name in names}
    for eps, eps_mirrored in noise:
        poses = net(keypoints, eps.to(keypoints), eps_mirrored.to(keypoints))
        S, total = S + len(poses), total + poses.sum(0, dtype=torch.float64)
        for name, values in _values(poses, target, names, items).items():
            so_far = torch.cat([best[name], values]) if name in best else values
            best[name] = metrics.best_of_s(so_far, METRICS[name].higher_is_better)[None]
            sums[name] += values.sum(0, dtype=torch.float64).cpu()
    mean = (total / S).to(target)[None]
    return {
        "mean": _values(mean, target, names, items),
        "best": best,
        "any": {name: (value / S).float()[None] for name, value in sums.items()},
    }


def _values(poses: Tensor, target: Tensor, names: Sequence[str], items: range) -> dict[str, Tensor]:
    """Metrics of (S, B, 1, J, 3) against (B, 1, J, 3), each (S, B)."""
    if not poses.isfinite().all():
        raise ValueError(
            f"expected finite poses, got NaN or infinity in frames {items.start} to "
            f"{items.stop - 1} of the data set: are weights and alpha what they should be?"
        )
    return {name: METRICS[name].of(poses, target)[..., 0] for name in names}


@dataclass(frozen=True)
class Row:
    """A line of the table: ``values[choice][metric]`` in mm or percent."""

    name: str
    frames: int
    values: dict[str, dict[str, float]]


def tabulate(
    scores: dict[str, dict[str, Tensor]], windows: Windows, protocol: Protocol
) -> tuple[list[Row], Row]:
    """Per-frame scores → table.

    Args:
        scores: ``{choice: {metric: (N,)}}``, as :func:`score` gives them.
        windows: that were scored.
        protocol: how the data set is reported.

    Returns:
        One row per group, in alphabetical order, and their average.
    """
    groups = _groups(windows, protocol.group)
    rows = []
    for name in sorted(set(groups)):
        inside = torch.tensor([group == name for group in groups])
        rows.append(Row(name, int(inside.sum()), _means(scores, inside)))
    if protocol.average == "frames":
        return rows, Row("all frames", len(groups), _means(scores, torch.ones(len(groups)).bool()))
    average = {
        choice: {n: sum(r.values[choice][n] for r in rows) / len(rows) for n in by}
        for choice, by in scores.items()
    }
    return rows, Row("average", len(groups), average)


def _means(scores: dict[str, dict[str, Tensor]], inside: Tensor) -> dict[str, dict[str, float]]:
    return {
        choice: {n: float(v[inside].double().mean()) * METRICS[n].scale for n, v in by.items()}
        for choice, by in scores.items()
    }


def average_as_released(
    values: Tensor, windows: Windows, batch_size: int, listed: Sequence[str], batch_mean: bool
) -> float:
    """The average that PRPose's release prints, two of its faults included.

    Kept so that ``main.py`` repeats published numbers; :func:`tabulate` is right.

    Args:
        values: (N,) per-frame values in the order of the data set.
        batch_size: of the run that is repeated.
        listed: the actions that the release averages over; one without data counts as zero.
        batch_mean: give every frame its batch's mean first. The release does so with P2, which
            so mixes the actions of a batch.
    """
    if batch_mean:
        values = torch.cat([b.mean().expand(len(b)) for b in values.split(batch_size)])
    groups = _groups(windows, action_of)
    total = 0.0
    for action in listed:
        inside = torch.tensor([group == action for group in groups])
        total += float(values[inside].double().mean()) if inside.any() else 0.0
    return total / len(listed)


def _groups(windows: Windows, group: Callable[[Clip], str]) -> list[str]:
    names = [group(clip) for clip in windows.clips]
    return [names[clip] for clip in windows.clip_of.tolist()]


RELEASED_ACTIONS = {"h36m": human36m.ACTIONS, "3dhp": ("Seq1",)}
"""The actions that the release's averages run over."""
