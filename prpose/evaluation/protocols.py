"""What is reported, and how: metrics with their units, which pose is scored, data sets' rules."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from prpose import metrics
from prpose.data import Clip, human36m, mpi_inf_3dhp
from prpose.skeleton import PCK_14, PCK_17


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


CLOUD = {"ES": 1000.0, "spread": 1000.0}
"""Of the hypotheses as a distribution, with the scale from metres to mm; and the calibration error,
``ECE``, which is a number between 0 and 1, and ``held_95``, the percentage of joints that the 95 %
regions hold."""


@dataclass(frozen=True)
class Protocol:
    """How a data set is reported.

    Args:
        metrics: keys of :data:`METRICS`.
        group: table row of a clip.
        average: mean over the ``groups``' means (Human3.6M), or over all ``frames``.
        alpha: published scale of the noise.
        every: of the clips' frames, every how many-th is scored.
        cloud: whether the hypotheses are scored as a distribution, too; all S of a batch are then
            held at once.
    """

    metrics: tuple[str, ...]
    group: Callable[[Clip], str]
    average: Literal["groups", "frames"]
    alpha: float
    every: int = 1
    cloud: bool = False


def action_of(clip: Clip) -> str:
    """'Walking 1' counts as 'Walking'."""
    return clip.action.split(" ")[0]


def _setting_of(clip: Clip) -> str:
    return mpi_inf_3dhp.SETTINGS.get(clip.subject, clip.subject)


MOCAP = Protocol(("P1", "P2", "PCK14", "AUC14"), action_of, "frames", alpha=0.005, every=6, cloud=True)
"""Benchmarks made of motion capture, ours and users': 10 of 60 frames a second."""

PROTOCOLS = {
    "h36m": Protocol(("P1", "P2"), action_of, "groups", alpha=0.005),
    "3dhp": Protocol(("PCK14", "AUC14", "P1", "P2", "PCK17"), _setting_of, "frames", alpha=0.01),
    "cmu17": MOCAP,
    "walkers": MOCAP,
}

RELEASED_ACTIONS = {"h36m": human36m.ACTIONS, "3dhp": ("Seq1",)}
"""The actions that the release's averages run over."""
