"""Any layout → Human3.6M-17, as named weighted sums; the only place that invents a joint.

Limbs are taken over. Of the joints that a detector lacks,

* ``pelvis`` is the middle of the hips, or the layout's own;
* ``thorax`` is the middle of the shoulders, or the layout's base of the neck. Human3.6M's lies some
  centimetres above the line of the shoulders;
* ``spine`` is half way between the two: a straight back, whatever the person does;
* ``neck``, Human3.6M's neck/nose point, is the nose, as the field takes it (seen from the side, the
  nose is further forward); where the nose is unseen, :data:`NECK_OVER_EARS` of the way from thorax
  to ears;
* ``head``, the top of the head, is the layout's own, or lies beyond the ears, seen from the thorax:
  :data:`TOP_OVER_EARS`. It does not know of nodding. With one ear seen it is that one's; with none,
  the nose serves.

Several recipes stand in order; the first whose sources are all seen is taken, frame by frame. Their
weights sum to 1, so that moving or scaling the image changes nothing, and the recipes of the left
side are those of the right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prpose.camera import Array
from prpose.layouts import LAYOUTS
from prpose.skeleton import H36M_17
from prpose.tables import look_up

Recipe = Mapping[str, float]
"""Source joints by name, with weights that sum to 1."""

TOP_OVER_EARS = 1.72
TOP_OVER_NOSE = 1.9
NECK_OVER_EARS = 0.86
"""Heights over the line of the shoulders, as multiples of the ears' or the nose's. A man of 1.756 m
has his shoulders (acromion) at 1.44 m and his ears (tragion) 0.13 m below the top of the head
(medians of ANSUR II, rounded), so (1.756 - 1.44) / (1.756 - 0.13 - 1.44) = 1.7; the nose is some
2 cm lower; the neck/nose point is taken half way between thorax and top."""

EARS: tuple[Recipe, ...] = (
    {"left_ear": 0.5, "right_ear": 0.5},
    {"left_ear": 1.0},  # of the two single ears, one at most is seen when these are tried
    {"right_ear": 1.0},
)
HIPS: Recipe = {"left_hip": 0.5, "right_hip": 0.5}
SHOULDERS: Recipe = {"left_shoulder": 0.5, "right_shoulder": 0.5}
LIMBS = tuple(name for name in H36M_17.names if name.startswith(("left_", "right_")))


def combined(*parts: tuple[float, Recipe]) -> Recipe:
    """A weighted sum of weighted sums.

    Example:
        >>> combined((0.5, {"left_hip": 1.0}), (0.5, {"left_hip": 0.5, "right_hip": 0.5}))
        {'left_hip': 0.75, 'right_hip': 0.25}
    """
    total: dict[str, float] = {}
    for weight, recipe in parts:
        for name, share in recipe.items():
            total[name] = total.get(name, 0.0) + weight * share
    return total


def _recipes(
    pelvis: Sequence[Recipe], thorax: Sequence[Recipe], head: Sequence[Recipe] = ()
) -> dict[str, tuple[Recipe, ...]]:
    """All joints of a layout with nose, ears and limbs."""

    def beyond(factor: float, points: Sequence[Recipe]) -> tuple[Recipe, ...]:
        return tuple(combined((factor, p), (1 - factor, base)) for p in points for base in thorax)

    nose: Recipe = {"nose": 1.0}
    return {
        **{name: ({name: 1.0},) for name in LIMBS},
        "pelvis": tuple(pelvis),
        "thorax": tuple(thorax),
        "spine": tuple(combined((0.5, low), (0.5, high)) for low in pelvis for high in thorax),
        "neck": (nose, *beyond(NECK_OVER_EARS, EARS)),
        "head": (*head, *beyond(TOP_OVER_EARS, EARS), *beyond(TOP_OVER_NOSE, [nose])),
    }


_COCO = _recipes([HIPS], [SHOULDERS])

RECIPES: dict[str, dict[str, tuple[Recipe, ...]]] = {
    "h36m17": {name: ({name: 1.0},) for name in H36M_17.names},
    "coco17": _COCO,
    "wholebody133": _COCO,
    "blazepose33": _COCO,
    "coco18": _recipes([HIPS], [{"neck": 1.0}, SHOULDERS]),
    "body25": _recipes([{"mid_hip": 1.0}, HIPS], [{"neck": 1.0}, SHOULDERS]),
    "halpe26": _recipes([{"hip": 1.0}, HIPS], [{"neck": 1.0}, SHOULDERS], [{"head": 1.0}]),
    "mpi28": {
        **{name: ({name: 1.0},) for name in (*LIMBS, "pelvis", "spine")},
        "thorax": ({"neck": 1.0},),
        "neck": ({"head": 1.0},),
        "head": ({"head_top": 1.0},),
    },
}
"""By layout and joint of Human3.6M-17, in order of preference."""


def is_seen(keypoints: Array) -> Array:
    """Joints that are there: (*, J, 2), NaN where unseen → (*, J) bool."""
    return np.asarray(np.isfinite(keypoints).all(axis=-1))


@dataclass(frozen=True, eq=False)
class Remapped:
    """A track in Human3.6M-17.

    Args:
        keypoints_px: (T, 17, 2) float32 pixels, NaN where a joint cannot be made.
        score: (T, 17) the lowest of a joint's sources, 0 where it cannot be made; None if the
            track has none.
        made: (T, 17) bool, computed from several joints rather than taken over from one.
        marked: (T, 17) bool, any of its sources was marked.
    """

    keypoints_px: Array
    score: Array | None
    made: Array
    marked: Array

    @property
    def seen(self) -> Array:
        """(T, 17) bool: joints that are there."""
        return is_seen(self.keypoints_px)


def to_h36m17(keypoints_px: Array, layout: str, score: Array | None = None, marks: Array | None = None) -> Remapped:
    """Human3.6M-17 of any layout.

    Args:
        keypoints_px: (T, J, 2) pixels, NaN where a joint is unseen.
        layout: a key of :data:`prpose.layouts.LAYOUTS`.
        score: (T, J).
        marks: (T, J) bool, to be passed on to what is made of the joints.

    Raises:
        ValueError: for an unknown layout, or another number of joints.
    """
    skeleton = look_up(layout, LAYOUTS, "layout")
    if keypoints_px.ndim != 3 or keypoints_px.shape[1:] != (len(skeleton), 2):
        raise ValueError(f"expected keypoints of {layout}, (T, {len(skeleton)}, 2), got {keypoints_px.shape}")
    T = len(keypoints_px)
    seen = is_seen(keypoints_px)
    found = np.full((T, len(H36M_17), 2), np.nan, dtype=np.float32)
    lowest = None if score is None else np.zeros((T, len(H36M_17)), dtype=np.float32)
    made = np.zeros((T, len(H36M_17)), dtype=bool)
    marked = np.zeros((T, len(H36M_17)), dtype=bool)
    for j, name in enumerate(H36M_17.names):
        missing = np.ones(T, dtype=bool)
        for recipe in RECIPES[layout][name]:
            sources, weights = list(skeleton.subset(tuple(recipe))), np.array([*recipe.values()])
            now = missing & seen[:, sources].all(axis=1)
            points = keypoints_px[now][:, sources].astype(np.float64)
            found[now, j] = (weights[:, None] * points).sum(axis=1)
            made[now, j] = len(sources) > 1
            if score is not None and lowest is not None:
                lowest[now, j] = score[now][:, sources].min(axis=1)
            if marks is not None:
                marked[now, j] = marks[now][:, sources].any(axis=1)
            missing &= ~now
    return Remapped(found, lowest, made, marked)
