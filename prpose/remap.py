"""Any layout → Human3.6M-17, as named weighted sums; the only place that derives a joint from others.

Limbs are copied; docs/formats.md describes the other joints. The first weighted sum whose sources are all present is
taken, frame by frame. The weights sum to 1, so that the result moves and scales with the image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from prpose.atomic import large_array, release
from prpose.camera import Array
from prpose.layouts import LAYOUTS
from prpose.skeleton import H36M_17

WeightedSum = Mapping[str, float]  # source joints by name, with weights that sum to 1

# Heights over the line of the shoulders, as multiples of the ears' or the nose's. A man of 1.756 m has his shoulders
# (acromion) at 1.44 m and his ears (tragion) 0.13 m below the top of the head (medians of ANSUR II, rounded), so
# (1.756 - 1.44) / (1.756 - 0.13 - 1.44) = 1.7; the nose is some 2 cm lower; the neck is half way from thorax to top.
TOP_OVER_EARS, TOP_OVER_NOSE, NECK_OVER_EARS = 1.72, 1.9, 0.86

EARS: tuple[WeightedSum, ...] = ({"left_ear": 0.5, "right_ear": 0.5}, {"left_ear": 1.0}, {"right_ear": 1.0})
HIPS: WeightedSum = {"left_hip": 0.5, "right_hip": 0.5}
SHOULDERS: WeightedSum = {"left_shoulder": 0.5, "right_shoulder": 0.5}
LIMBS = tuple(name for name in H36M_17.names if name.startswith(("left_", "right_")))


def _combined(*parts: tuple[float, WeightedSum]) -> WeightedSum:
    total: dict[str, float] = {}
    for weight, part in parts:
        for name, share in part.items():
            total[name] = total.get(name, 0.0) + weight * share
    return total


def _sums(
    pelvis: Sequence[WeightedSum], thorax: Sequence[WeightedSum], head: Sequence[WeightedSum] = ()
) -> dict[str, tuple[WeightedSum, ...]]:
    """All joints of a layout with nose, ears and limbs."""

    def beyond(factor: float, points: Sequence[WeightedSum]) -> tuple[WeightedSum, ...]:
        return tuple(_combined((factor, p), (1 - factor, base)) for p in points for base in thorax)

    nose: WeightedSum = {"nose": 1.0}
    return {
        **{name: ({name: 1.0},) for name in LIMBS},
        "pelvis": tuple(pelvis),
        "thorax": tuple(thorax),
        "spine": tuple(_combined((0.5, low), (0.5, high)) for low in pelvis for high in thorax),
        "neck": (nose, *beyond(NECK_OVER_EARS, EARS)),
        "head": (*head, *beyond(TOP_OVER_EARS, EARS), *beyond(TOP_OVER_NOSE, [nose])),
    }


WEIGHTED_SUMS: dict[str, dict[str, tuple[WeightedSum, ...]]] = {  # by layout and joint, in order of preference
    "h36m17": {name: ({name: 1.0},) for name in H36M_17.names},
    **dict.fromkeys(("coco17", "wholebody133", "blazepose33"), _sums([HIPS], [SHOULDERS])),
    "coco18": _sums([HIPS], [{"neck": 1.0}, SHOULDERS]),
    "body25": _sums([{"mid_hip": 1.0}, HIPS], [{"neck": 1.0}, SHOULDERS]),
    "body25b": _sums([HIPS], [SHOULDERS], [{"head": 1.0}]),
    "halpe26": _sums([{"hip": 1.0}, HIPS], [{"neck": 1.0}, SHOULDERS], [{"head": 1.0}]),
    "mpi28": {
        **{name: ({name: 1.0},) for name in (*LIMBS, "pelvis", "spine")},
        "thorax": ({"neck": 1.0},),
        "neck": ({"head": 1.0},),
        "head": ({"head_top": 1.0},),
    },
}


def is_present(xy: Array) -> Array:
    """Keypoints that are not missing: (*, J, 2), NaN where missing → (*, J) bool."""
    return np.asarray(np.isfinite(xy).all(axis=-1))


def is_placeholder(xy: Array) -> Array:
    """Keypoints at exactly (0, 0) or (-1, -1), which many programs write for missing ones: (*, J, 2) → (*, J) bool."""
    return np.asarray((xy == 0).all(axis=-1) | (xy == -1).all(axis=-1))


@dataclass(frozen=True, eq=False)
class Remapped:
    """Keypoints in Human3.6M-17."""

    xy: Array  # (T, 17, 2) float32 pixels, NaN where a joint can neither be copied nor derived
    confidence: Array | None  # (T, 17) the lowest of a joint's sources, 0 where it has none
    derived: Array  # (T, 17) bool, computed from several joints rather than copied from one
    interpolated: Array  # (T, 17) bool, any of its sources was interpolated


def to_h36m17(xy: Array, layout: str, confidence: Array | None = None, interpolated: Array | None = None) -> Remapped:
    """Human3.6M-17 from (T, J, 2) pixels, NaN where missing, their confidence (T, J) and interpolated (T, J) bool."""
    shape = (len(xy), len(H36M_17))
    present = is_present(xy)
    scores = present if confidence is None else confidence
    marks = np.zeros_like(present) if interpolated is None else interpolated
    found, lowest = large_array((*shape, 2), np.float32, np.nan), large_array(shape, np.float32, 0)
    derived, marked = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for j, sums in enumerate(_indexed_sums(layout)):
        missing = np.ones(len(xy), dtype=bool)
        for sources, weights in sums:
            if not missing.any():
                break
            now = missing & present[:, sources].all(axis=1)
            chosen = np.flatnonzero(now)[:, None], sources
            found[now, j] = (weights[:, None] * xy[chosen].astype(np.float64)).sum(axis=1)
            release(found, xy)
            derived[now, j] = len(sources) > 1
            lowest[now, j] = scores[chosen].min(axis=1)
            marked[now, j] = marks[chosen].any(axis=1)
            release(lowest, scores)
            missing &= ~now
    return Remapped(found, None if confidence is None else lowest, derived, marked)


@cache
def _indexed_sums(layout: str) -> list[list[tuple[list[int], Array]]]:
    """For each joint of Human3.6M-17, the sums that may give it: indices of their sources, and weights."""
    sums = (WEIGHTED_SUMS[layout][name] for name in H36M_17.names)
    joints = LAYOUTS[layout]
    return [[(list(joints.subset(tuple(each))), np.array([*each.values()])) for each in joint] for joint in sums]
