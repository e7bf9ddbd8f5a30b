"""Per-frame scores as tables. Only this file averages."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from prpose.data import Clip
from prpose.data.windows import Windows
from prpose.evaluation.protocols import CLOUD, METRICS, Protocol, action_of
from prpose.metrics import LEVELS
from prpose.regions import CHI_SQUARE, LEVEL
from prpose.skeleton import H36M_17


@dataclass(frozen=True)
class Row:
    """A line of the table: ``values[choice][metric]`` in mm or percent."""

    name: str
    frames: int
    values: dict[str, dict[str, float]]


def tabulate(
    scores: dict[str, dict[str, Tensor]],
    windows: Windows,
    protocol: Protocol,
    limits: Tensor | float = CHI_SQUARE,
) -> tuple[list[Row], Row]:
    """Per-frame scores → table.

    Args:
        scores: ``{choice: {metric: (N,)}}``, as :func:`score` gives them.
        windows: that were scored.
        protocol: how the data set is reported.
        limits: squared Mahalanobis distances of the 95 % regions, a number or (J - 1,).

    Returns:
        One row per group, in alphabetical order, and their average.
    """
    groups = _groups(windows, protocol.group)
    rows = []
    for name in sorted(set(groups)):
        inside = torch.tensor([group == name for group in groups])
        rows.append(Row(name, int(inside.sum()), _means(scores, inside, limits)))
    if protocol.average == "frames":
        everything = torch.ones(len(groups)).bool()
        return rows, Row("all frames", len(groups), _means(scores, everything, limits))
    average = {
        choice: {n: sum(r.values[choice][n] for r in rows) / len(rows) for n in by} for choice, by in scores.items()
    }
    return rows, Row("average", len(groups), average)


def _means(scores: dict[str, dict[str, Tensor]], inside: Tensor, limits: Tensor | float) -> dict[str, dict[str, float]]:
    means = {
        choice: {n: _mean(v[inside]) * METRICS[n].scale for n, v in by.items()}
        for choice, by in scores.items()
        if choice != "cloud"
    }
    if "cloud" in scores:
        by = scores["cloud"]
        means["cloud"] = {n: _mean(by[n][inside]) * scale for n, scale in CLOUD.items()}
        means["cloud"]["ECE"] = calibration_error(by["covered"][inside])
        if "mahalanobis" in by:
            means["cloud"]["held_95"] = 100 * _mean((by["mahalanobis"][inside] <= limits).float())
    return means


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def calibration_error(covered: Tensor, levels: Sequence[float] = LEVELS) -> float:
    """ECE of the coverage of N poses, (N, J, levels) → a number in [0, 1], 0 if calibrated.

    Per level, the share of poses whose truth is covered, and of the joints' shares the (lower)
    median; the mean over levels of its distance from the level (arXiv 2210.11179).
    """
    share = covered.double().mean(0).median(0).values  # (levels,)
    return float((share - share.new_tensor(levels)).abs().mean())


def limits_95(distances: Tensor) -> dict[str, float]:
    """How far regions must reach to hold each joint in 95 % of N frames, (N, J - 1) → by joint.

    The quantile of split conformal prediction: of N + 1, so that another frame of the same kind is
    held with a probability of 95 % or more; the largest distance where N is too small for one.

    Args:
        distances: squared Mahalanobis distances of all joints but the pelvis.
    """
    in_order = distances.double().sort(dim=0).values
    rank = min(len(in_order), math.ceil(LEVEL * (len(in_order) + 1))) - 1
    return dict(zip(H36M_17.names[1:], in_order[rank].tolist(), strict=True))


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
