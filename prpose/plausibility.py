"""Does a layout fit the keypoints? What a body seen by a camera can hardly look like.

All lengths are shares of the diagonal of the box around a person's joints, which does not depend on
what the joints are called. Thresholds are wide: bodies bend, and cameras look from anywhere. They
are our choice; docs/formats.md says how often they catch a wrong layout, and how often a right one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prpose.camera import Array
from prpose.layouts import LAYOUTS
from prpose.remap import is_seen, to_h36m17
from prpose.skeleton import H36M_17

Kind = Literal["layout", "sides", "upside-down", "lying"]

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))

WIDEST_FACE = 0.4
FARTHEST_MIDDLE = 0.13
"""A pelvis is no farther from the middle of the hips, nor a spine from the line of the trunk."""
FARTHEST_THORAX = 0.17
FARTHEST_HEAD = 0.5
LONGEST_LIMB = 0.75
MOST_UNEQUAL = 5.0
"""The longer of left and right limb over the other, over a clip, each at its 90th percentile."""
CLIP = 30
"""Fewer frames than that may show one limb from its end all the time."""
APART = 0.06
"""Shoulders, hips or ears nearer than that to each other say nothing of left and right."""
BROAD = 0.12
"""Shoulders as far from each other face us, or away."""
OFTEN = 0.2
"""Share of frames, at least, in which left and right are clear, for them to be judged."""
SURE = 0.8
"""Nose and eyes are seen where their scores are above that share of a usual one, the median."""
USUAL = 0.8
"""Share of frames that show what is wrong, where a single one may well."""


@dataclass(frozen=True)
class Implausibility:
    """One thing that looks wrong."""

    kind: Kind
    message: str


def doubts(keypoints_px: Array, layout: str, score: Array | None = None) -> list[Implausibility]:
    """What looks wrong about a track in a layout; nothing, mostly, if it is right.

    Args:
        keypoints_px: (T, J, 2) pixels, NaN where unseen.
        layout: a key of :data:`prpose.layouts.LAYOUTS`, with J joints.
        score: (T, J); tells whether a face is seen.

    Raises:
        ValueError: as of :func:`prpose.remap.to_h36m17`.
    """
    body = _Body(keypoints_px, layout)
    found = [*_misplaced(body), *_misshapen(body)]
    if found:
        others = [
            name
            for name, other in LAYOUTS.items()
            if name != layout
            and len(other) == keypoints_px.shape[1]
            # another layout must fit as it stands, this time without asking for more
            and not [*_misplaced(b := _Body(keypoints_px, name)), *_misshapen(b), *_posture(b)]
        ]
        hint = f"; {' or '.join(others)} would fit" if others else ""
        return [Implausibility("layout", f"{layout} does not look like a body: {found[0]}{hint}")]
    return [*_posture(body), *_sides(body, score)]


class _Body:
    """A track with its joints by name, and the size of the person in each frame."""

    def __init__(self, keypoints_px: Array, layout: str) -> None:
        self.layout = LAYOUTS[layout]
        self.own = keypoints_px.astype(np.float64)
        self.h36m = to_h36m17(keypoints_px, layout).keypoints_px.astype(np.float64)
        shown = is_seen(self.own)
        self.kept = kept = shown.sum(axis=1) > 1
        self.own, self.h36m = self.own[kept], self.h36m[kept]
        low = np.nanmin(self.own, axis=1) if kept.any() else np.zeros((0, 2))
        high = np.nanmax(self.own, axis=1) if kept.any() else np.zeros((0, 2))
        self.size = np.maximum(np.linalg.norm(high - low, axis=-1), 1e-6)

    def joint(self, name: str) -> Array:
        """(T, 2) of Human3.6M-17."""
        return self.h36m[:, H36M_17.index(name)]

    def middle(self, name: str) -> Array:
        """(T, 2) between left and right."""
        return (self.joint(f"left_{name}") + self.joint(f"right_{name}")) / 2

    def named(self, names: Sequence[str]) -> Array:
        """(T, len, 2) of the layout's own joints; those that it lacks are NaN."""
        there = self.layout.names
        columns = [self.own[:, there.index(n)] if n in there else np.full((len(self.own), 2), np.nan) for n in names]
        return np.stack(columns, axis=1)


def _misplaced(body: _Body) -> list[str]:
    """Joints that belong together and are apart."""
    face = body.named(FACE)
    apart = np.linalg.norm(face[:, :, None] - face[:, None], axis=-1)  # (T, 5, 5)
    widest = np.max(np.where(np.isfinite(apart), apart, 0), axis=(1, 2)) / body.size
    low, high = body.joint("pelvis"), body.joint("thorax")
    trunk = np.linalg.norm(high - low, axis=-1)
    away = {
        "nose, eyes and ears": (widest, WIDEST_FACE),
        "pelvis and middle of the hips": (_far(low, body.middle("hip"), body), FARTHEST_MIDDLE),
        "spine and trunk": (
            np.maximum(0, _detour(body.joint("spine"), low, high) - trunk) / 2 / body.size,
            FARTHEST_MIDDLE,
        ),
        "thorax and middle of the shoulders": (
            _far(high, body.middle("shoulder"), body),
            FARTHEST_THORAX,
        ),
        "head and thorax": (_far(body.joint("head"), high, body), FARTHEST_HEAD),
    }
    return [
        f"{what} lie {middle:.2f} of its size apart, expected {most} at most"
        for what, (values, most) in away.items()
        if (middle := _median(values)) > most
    ]


def _misshapen(body: _Body) -> list[str]:
    """Limbs that are too long, or longer on one side."""
    found = []
    for upper, lower in LIMBS:
        lengths = [
            _far(body.joint(f"{side}_{upper}"), body.joint(f"{side}_{lower}"), body) for side in ("left", "right")
        ]
        left, right = (_percentile(length, 90) for length in lengths)
        longest, shortest = max(left, right), min(left, right)
        what = f"{upper} to {lower} is"
        if longest > LONGEST_LIMB:
            found.append(f"{what} {longest:.2f} of its size, expected {LONGEST_LIMB} at most")
        elif len(body.own) >= CLIP and longest > MOST_UNEQUAL * max(shortest, 0.01):
            found.append(f"{what} {left:.2f} of its size on the left, {right:.2f} on the right")
    return found


def _posture(body: _Body) -> list[Implausibility]:
    """People on their heads, or lying, throughout."""
    up = body.joint("thorax") - body.joint("pelvis")
    legs = body.joint("pelvis") - body.middle("ankle")
    if _share((up[:, 1] > 0) & (legs[:, 1] > 0), up + legs) > USUAL:
        return [
            Implausibility(
                "upside-down",
                "the head is below the hips, and the hips below the feet: does y count upwards?",
            )
        ]
    across = [np.abs(part[:, 0]) > 1.5 * np.abs(part[:, 1]) for part in (up, legs)]
    if _share(across[0] & across[1], up + legs) > USUAL:
        return [
            Implausibility(
                "lying",
                "trunk and legs lie across the image: are x and y exchanged?",
            )
        ]
    return []


def _sides(body: _Body, score: Array | None) -> list[Implausibility]:
    """Left and right that do not go together, or do not go with a face that is seen."""
    found = []
    order = {
        name: _order(body.joint(f"left_{name}"), body.joint(f"right_{name}"), body) for name in ("shoulder", "hip")
    }
    ears = body.named(("left_ear", "right_ear"))
    order["ear"] = _order(ears[:, 0], ears[:, 1], body)
    for one, other in (("shoulder", "hip"), ("ear", "shoulder")):
        both = (order[one] != 0) & (order[other] != 0)
        against = (order[one] != order[other])[both]
        if len(against) > max(4, OFTEN * len(both)) and against.mean() > USUAL:
            found.append(Implausibility("sides", f"left and right {one}s go against those of the {other}s"))
    if score is not None and set(FACE) <= set(body.layout.names):
        seen = score[body.kept][:, body.layout.subset(FACE[:3])] > SURE * np.median(score)
        broad = _order(body.joint("left_shoulder"), body.joint("right_shoulder"), body, BROAD)
        facing = np.all(seen, axis=1) & (broad != 0)
        if facing.sum() > max(4, OFTEN * len(facing)) and (broad[facing] < 0).mean() > USUAL:
            found.append(
                Implausibility(
                    "sides",
                    "a face is seen where left and right are those of a back: mirrored?",
                )
            )
    return found


def _order(left: Array, right: Array, body: _Body, apart: float = APART) -> Array:
    """1 where left is on the right of the image, as of somebody facing us, -1 else, 0 unclear."""
    across = (left - right)[:, 0] / body.size
    return np.where(np.abs(across) > apart, np.sign(across), 0.0)


def _far(one: Array, other: Array, body: _Body) -> Array:
    return np.asarray(np.linalg.norm(one - other, axis=-1) / body.size)


def _detour(point: Array, start: Array, end: Array) -> Array:
    """Length of the way from start to end by a point."""
    return np.asarray(np.linalg.norm(point - start, axis=-1) + np.linalg.norm(end - point, axis=-1))


def _median(values: Array) -> float:
    return _percentile(values, 50)


def _percentile(values: Array, q: float) -> float:
    """Of those that are known; 0 if none is."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, q)) if len(known) else 0.0


def _share(true: Array, known: Array) -> float:
    """Of frames in which something is true, among those in which it is known."""
    there = np.isfinite(known).all(axis=-1)
    return float(true[there].mean()) if there.any() else 0.0
