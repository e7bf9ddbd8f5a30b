"""Models on data sets: scores per frame, and the tables made of them."""

from prpose.evaluation.protocols import (
    CHOICES,
    METRICS,
    MOCAP,
    PROTOCOLS,
    RELEASED_ACTIONS,
    Protocol,
    action_of,
)
from prpose.evaluation.scoring import POSES_AT_ONCE, Draw, score, seeded_draw
from prpose.evaluation.tables import Row, average_as_released, limits_95, tabulate

__all__ = [
    "CHOICES",
    "METRICS",
    "MOCAP",
    "POSES_AT_ONCE",
    "PROTOCOLS",
    "RELEASED_ACTIONS",
    "Draw",
    "Protocol",
    "Row",
    "action_of",
    "average_as_released",
    "limits_95",
    "score",
    "seeded_draw",
    "tabulate",
]
