"""What is reported: metrics with units, which pose is scored, the data sets' protocols, and tables of averages."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from prpose import metrics
from prpose.data import Clip, mpi_inf_3dhp
from prpose.data.windows import Windows
from prpose.regions import LEVEL, region_quantiles
from prpose.skeleton import H36M_17, PCK_14, PCK_17

LEAST_N = 50  # least number of frames of a joint's rank correlation or calibration
Scores = dict[str, dict[str, Tensor]]
"""``{choice: {metric: (N, ...)}}``."""
Means = dict[str, dict[str, float]]


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
CHOICES = {  # which pose of a frame is scored
    "deterministic": "the pose without noise",
    "mean": "the mean of the S samples, joint by joint (P-Agg)",
    "best": "the best of the S samples by the metric itself (an oracle)",
    "any": "one sample at random, on average",
}


@dataclass(frozen=True)
class Protocol:
    """How a data set is reported."""

    metrics: tuple[str, ...]  # keys of METRICS
    group: Callable[[Clip], str]  # table row of a clip
    average: Literal["groups", "frames"]  # mean over the groups' means (Human3.6M), or over all frames
    alpha: float  # published scale of the noise
    every: int = 1  # every n-th frame of the clips is scored
    cloud: bool = False  # whether the samples are also scored as a distribution


def action_of(clip: Clip) -> str:
    """Action without the number of the take: 'Walking 1' → 'Walking'."""
    return clip.action.split(" ")[0]


def _setting_of(clip: Clip) -> str:
    return mpi_inf_3dhp.SETTINGS.get(clip.subject, clip.subject)


# Benchmarks rendered from motion capture: 10 of 60 frames a second.
MOCAP = Protocol(("P1", "P2", "PCK14", "AUC14"), action_of, "frames", alpha=0.005, every=6, cloud=True)
PROTOCOLS = {
    "h36m": Protocol(("P1", "P2"), action_of, "groups", alpha=0.005),
    "3dhp": Protocol(("PCK14", "AUC14", "P1", "P2", "PCK17"), _setting_of, "frames", alpha=0.01),
    "cmu17": MOCAP,
    "walkers": MOCAP,
}


@dataclass(frozen=True)
class Row:
    """A table row: ``values[choice][metric]`` in mm or percent.

    The choice ``cloud`` has ``ES`` and ``spread`` in mm, ``ECE`` and, of occluded joints where clips know them,
    ``ECE_hidden`` (0 to 1), and ``coverage_95`` in %.
    """

    name: str
    frames: int
    values: Means


def tabulate(
    scores: Scores, windows: Windows, protocol: Protocol, card: Mapping[str, Any] | None = None
) -> tuple[list[Row], Row]:
    """Scores of the frames of ``windows`` → a row per group, in alphabetical order, and their average.

    The model's card has the size of its 95 % regions (:func:`prpose.regions.region_quantiles`).
    """
    groups = groups_of(windows, protocol.group)
    quantiles, hidden = torch.from_numpy(region_quantiles(card or {}))[1:], windows.hidden
    rows = []
    for name in sorted(set(groups)):
        inside = torch.tensor([group == name for group in groups])
        rows.append(Row(name, int(inside.sum()), _means(scores, inside, quantiles, hidden)))
    if protocol.average == "frames":
        return rows, Row("all frames", len(groups), _means(scores, torch.ones(len(groups)).bool(), quantiles, hidden))
    average = {
        choice: {n: sum(r.values[choice][n] for r in rows) / len(rows) for n in by}
        for choice, by in rows[0].values.items()
    }
    return rows, Row("average", len(groups), average)


def _means(scores: Scores, inside: Tensor, quantiles: Tensor, hidden: Tensor | None) -> Means:
    means = {
        choice: {n: _mean(v[inside]) * METRICS[n].scale for n, v in by.items()}
        for choice, by in scores.items()
        if choice not in ("cloud", "joints")
    }
    if cloud := scores.get("cloud"):
        means["cloud"] = {n: _mean(cloud[n][inside]) * 1000 for n in ("ES", "spread")}
        means["cloud"]["ECE"] = calibration_error(cloud["covered"][inside])
        if hidden is not None and int(hidden[inside, 1:].sum(0).max()) >= LEAST_N:
            means["cloud"]["ECE_hidden"] = calibration_error(cloud["covered"][inside], hidden[inside, 1:])
        if "mahalanobis" in cloud:
            means["cloud"]["coverage_95"] = 100 * _mean(cloud["mahalanobis"][inside] <= quantiles)
    return means


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def calibration_error(covered: Tensor, counted: Tensor | None = None) -> float:
    """Expected calibration error of N poses, (N, J, levels) → a number in [0, 1]; 0 is calibrated.

    Per level, the share of poses whose truth is covered, and the (lower) median of the joints' shares; the mean over
    levels of its distance from the level (arXiv 2210.11179). With ``counted``, (N, J) bool, only over these poses of a
    joint, and over joints with at least 50 of them.
    """
    shares, enough = covered_shares(covered, counted)
    share = shares[enough].median(0).values  # (levels,)
    return _mean((share - share.new_tensor(metrics.LEVELS)).abs())


def covered_shares(covered: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Share of the N poses whose truth is covered, (J, levels) float64, and which joints have enough poses, (J,)."""
    weights = torch.ones(covered.shape[:2]) if counted is None else counted.to(torch.float64)
    enough = weights.sum(0) >= (1 if counted is None else LEAST_N)
    return (covered * weights[..., None]).sum(0, dtype=torch.float64) / weights.sum(0)[:, None].clamp_min(1), enough


def conformal_quantiles(distances: Tensor) -> dict[str, float]:
    """Squared Mahalanobis distances of the truth, (N, J - 1) → the conformal quantile at 0.95 by joint.

    Split conformal prediction: the quantile of N + 1, so that another frame of the same distribution is covered with a
    probability of at least 95 %; the largest distance where N is too small.
    """
    ordered = distances.double().sort(dim=0).values
    rank = min(len(ordered), math.ceil(LEVEL * (len(ordered) + 1))) - 1
    return dict(zip(H36M_17.names[1:], ordered[rank].tolist(), strict=True))


def groups_of(windows: Windows, group: Callable[[Clip], str]) -> list[str]:
    """Group of each of the N frames."""
    names = [group(clip) for clip in windows.clips]
    return [names[clip] for clip in windows.clip_of.tolist()]
