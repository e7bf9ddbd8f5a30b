"""What is reported: metrics with units, which pose is scored, the data sets' protocols, and tables of averages."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from prpose import metrics
from prpose.data import Clip, human36m, mpi_inf_3dhp
from prpose.data.windows import Windows
from prpose.regions import LEVEL, region_quantiles
from prpose.skeleton import H36M_17, PCK_14, PCK_17


@dataclass(frozen=True)
class Metric:
    """A value per pose, (*, J, 3) and (*, J, 3) → (*), and how it is reported."""

    of: Callable[[Tensor, Tensor], Tensor]
    unit: Literal["mm", "%"]
    higher_is_better: bool = False

    @property
    def scale(self) -> float:
        """Factor from metres to mm, or from a share to percent."""
        return {"mm": 1000.0, "%": 100.0}[self.unit]


METRICS = {
    "P1": Metric(metrics.mpjpe, "mm"),
    "P2": Metric(metrics.p_mpjpe, "mm"),
    "PCK14": Metric(partial(metrics.pck, joints=PCK_14), "%", higher_is_better=True),
    "PCK17": Metric(partial(metrics.pck, joints=PCK_17), "%", higher_is_better=True),
    "AUC14": Metric(partial(metrics.auc, joints=PCK_14), "%", higher_is_better=True),
}

CHOICES = {
    "deterministic": "the pose without noise",
    "mean": "the mean of the S samples, joint by joint (P-Agg)",
    "best": "the best of the S samples by the metric itself (an oracle)",
    "any": "one sample at random, on average",
}
"""Which pose of a frame is scored."""

CLOUD = {"ES": 1000.0, "spread": 1000.0}
"""Metrics of the samples as a distribution, with the factor to mm. Tables add ``ECE``, the calibration error (0 to 1),
and ``coverage_95``, the percentage of joints inside their 95 % regions."""


@dataclass(frozen=True)
class Protocol:
    """How a data set is reported.

    Args:
        metrics: keys of :data:`METRICS`.
        group: table row of a clip.
        average: mean over the groups' means (Human3.6M), or over all frames.
        alpha: published scale of the noise.
        every: every n-th frame of the clips is scored.
        cloud: whether the samples are also scored as a distribution.
    """

    metrics: tuple[str, ...]
    group: Callable[[Clip], str]
    average: Literal["groups", "frames"]
    alpha: float
    every: int = 1
    cloud: bool = False


def action_of(clip: Clip) -> str:
    """Action without the number of the take: 'Walking 1' → 'Walking'."""
    return clip.action.split(" ")[0]


MOCAP = Protocol(("P1", "P2", "PCK14", "AUC14"), action_of, "frames", alpha=0.005, every=6, cloud=True)
"""Benchmarks rendered from motion capture: 10 of 60 frames a second."""

PROTOCOLS = {
    "h36m": Protocol(("P1", "P2"), action_of, "groups", alpha=0.005),
    "3dhp": Protocol(
        ("PCK14", "AUC14", "P1", "P2", "PCK17"),
        lambda clip: mpi_inf_3dhp.SETTINGS.get(clip.subject, clip.subject),
        "frames",
        alpha=0.01,
    ),
    "cmu17": MOCAP,
    "walkers": MOCAP,
}

RELEASED_ACTIONS = {"h36m": human36m.ACTIONS, "3dhp": ("Seq1",)}
"""Actions that PRPose's release averages over."""


@dataclass(frozen=True)
class Row:
    """A table row: ``values[choice][metric]`` in mm or percent."""

    name: str
    frames: int
    values: dict[str, dict[str, float]]


def tabulate(
    scores: dict[str, dict[str, Tensor]], windows: Windows, protocol: Protocol, card: Mapping[str, Any] | None = None
) -> tuple[list[Row], Row]:
    """Averages of scores per frame.

    Args:
        scores: ``{choice: {metric: (N,)}}`` of :func:`prpose.evaluation.score`.
        windows: that were scored.
        protocol: of the data set.
        card: of the model, for the size of the 95 % regions (:func:`prpose.regions.region_quantiles`).

    Returns:
        A row per group, in alphabetical order, and their average.
    """
    groups = _groups(windows, protocol.group)
    quantiles = torch.from_numpy(region_quantiles(card or {}))[1:]
    rows = []
    for name in sorted(set(groups)):
        inside = torch.tensor([group == name for group in groups])
        rows.append(Row(name, int(inside.sum()), _means(scores, inside, quantiles)))
    if protocol.average == "frames":
        return rows, Row("all frames", len(groups), _means(scores, torch.ones(len(groups)).bool(), quantiles))
    average = {
        choice: {n: sum(r.values[choice][n] for r in rows) / len(rows) for n in by} for choice, by in scores.items()
    }
    return rows, Row("average", len(groups), average)


def _means(scores: dict[str, dict[str, Tensor]], inside: Tensor, quantiles: Tensor) -> dict[str, dict[str, float]]:
    means = {
        choice: {n: _mean(v[inside]) * METRICS[n].scale for n, v in by.items()}
        for choice, by in scores.items()
        if choice != "cloud"
    }
    if cloud := scores.get("cloud"):
        means["cloud"] = {n: _mean(cloud[n][inside]) * scale for n, scale in CLOUD.items()}
        means["cloud"]["ECE"] = calibration_error(cloud["covered"][inside])
        if "mahalanobis" in cloud:
            means["cloud"]["coverage_95"] = 100 * _mean(cloud["mahalanobis"][inside] <= quantiles)
    return means


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def calibration_error(covered: Tensor, levels: Sequence[float] = metrics.LEVELS) -> float:
    """Expected calibration error of N poses, (N, J, levels) → a number in [0, 1]; 0 is calibrated.

    Per level, the share of poses whose truth is covered, and the (lower) median of the joints' shares; the mean over
    levels of its distance from the level (arXiv 2210.11179).
    """
    share = covered.double().mean(0).median(0).values  # (levels,)
    return float((share - share.new_tensor(levels)).abs().mean())


def conformal_quantiles(distances: Tensor) -> dict[str, float]:
    """Squared Mahalanobis distances of the truth, (N, J - 1) → the conformal quantile at 0.95 by joint.

    Split conformal prediction: the quantile of N + 1, so that another frame of the same distribution is covered with a
    probability of at least 95 %; the largest distance where N is too small.
    """
    ordered = distances.double().sort(dim=0).values
    rank = min(len(ordered), math.ceil(LEVEL * (len(ordered) + 1))) - 1
    return dict(zip(H36M_17.names[1:], ordered[rank].tolist(), strict=True))


def average_as_released(
    values: Tensor, windows: Windows, batch_size: int, listed: Sequence[str], batch_mean: bool
) -> float:
    """The average that PRPose's release prints, with two of its faults, for ``main.py``.

    Args:
        values: (N,) per frame, in the order of the data set.
        batch_size: of the run that is repeated.
        listed: actions that are averaged; one without data counts as zero.
        batch_mean: first give every frame its batch's mean, which mixes the actions of a batch (the release's P2).
    """
    if batch_mean:
        values = torch.cat([b.mean().expand(len(b)) for b in values.split(batch_size)])
    groups, total = _groups(windows, action_of), 0.0
    for action in listed:
        inside = torch.tensor([group == action for group in groups])
        total += _mean(values[inside]) if inside.any() else 0.0
    return total / len(listed)


def _groups(windows: Windows, group: Callable[[Clip], str]) -> list[str]:
    names = [group(clip) for clip in windows.clips]
    return [names[clip] for clip in windows.clip_of.tolist()]
