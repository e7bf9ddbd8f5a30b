"""Plausibility: do keypoints look like a body in their layout, as cameras see it?

All lengths are fractions of the diagonal of the box around a person's joints, which does not depend on their names.
Thresholds are our choice, and wide: bodies bend, and cameras look from anywhere. docs/formats.md has the error rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.ndimage import binary_opening

from prpose.camera import Array
from prpose.layouts import LAYOUTS
from prpose.remap import is_present, to_h36m17
from prpose.skeleton import H36M_17

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
SEGMENTS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))

LENGTHS = {("hip", "knee"): 0.45, ("knee", "ankle"): 0.44, ("shoulder", "elbow"): 0.29}
OTHERS = {("elbow", "wrist"): 0.25, ("pelvis", "hip"): 0.13, ("thorax", "shoulder"): 0.16}
"""Usual lengths of segments, metres; that from pelvis to thorax is 0.5. Others tell the size of a body, but are often
wrong by themselves: a wrist alone is a common slip of detectors."""

MAX_FACE = 0.4  # nose, eyes and ears lie within that distance
MAX_TRUNK = 0.13  # of the pelvis from the middle of the hips, and of the spine from the line of the trunk
MAX_THORAX = 0.17  # from the middle of the shoulders
MAX_HEAD = 0.5  # from the thorax
MAX_LIMB = 0.75  # length
MAX_RATIO = 5.0  # longer limb of left and right over the shorter, over a clip, each at its 90th percentile
CLIP = 30  # in fewer frames, a limb may point at the camera throughout, and a layout is rejected only if another fits
MAX_STRETCH = 1.8  # of a limb, in units of LENGTHS, over the fourth longest segment; of walkers 1.4 at most
MIN_RUN = 3  # frames in a row; a detector's single slip is no other person
MIN_WIDTH = 0.06  # shoulders, hips or ears nearer to each other do not tell left from right
MIN_FRONTAL = 0.12  # shoulders as far apart are seen from the front or the back
OFTEN = 0.2  # smallest share of frames with a clear left and right in which these are judged
FACE_CONFIDENCE = 0.8  # nose and eyes are visible where their confidence is above that share of the median, and ...
OVER_EARS = 0.05  # ... so much of the median above the ears', which are visible from behind; else it tells nothing
USUALLY = 0.8  # share of frames that show a problem, where a single one may well


@dataclass(frozen=True)
class Implausibility:
    """One thing that looks wrong: a layout that does not fit, contradicting sides, a person upside down or lying, limbs
    that may be of two people."""

    kind: Literal["layout", "sides", "upside-down", "lying", "stretched"]
    message: str  # what, and what to check
    certain: bool = True  # whether keypoints should be rejected for it, rather than warned of
    frames: tuple[int, ...] = ()  # indices of the frames that show it, if not most of them do


def implausibilities(xy: Array, layout: str, confidence: Array | None = None) -> list[Implausibility]:
    """What looks wrong about keypoints (T, J, 2), pixels, NaN where missing, in a layout of J joints.

    Confidences (T, J) tell whether a face is visible.
    """
    body = _Body(xy, layout)
    found = [*_misplaced(body), *_misshapen(body)]
    if not found:
        return [*_posture(body), *_sides(body, confidence), *_stretched(body)]
    others = [name for name, other in LAYOUTS.items() if name != layout and len(other) == xy.shape[1]]
    bodies = {name: _Body(xy, name) for name in others}
    fitting = [name for name, b in bodies.items() if not [*_misplaced(b), *_misshapen(b), *_posture(b)]]
    hint = f"; the layout {' or '.join(fitting)} would fit" if fitting else ""
    message = f"they do not look like a body in the layout {layout}: {found[0]}{hint}."
    layout_finding = Implausibility("layout", message, bool(fitting) or len(body.xy) >= CLIP)
    return [layout_finding, *([] if fitting else _stretched(body))]


class _Body:
    """Keypoints with their joints by name, and the size of the person in each frame."""

    def __init__(self, xy: Array, layout: str) -> None:
        self.names = LAYOUTS[layout].names
        self.frames = is_present(xy).sum(axis=1) > 1
        self.xy = xy if self.frames.all() else xy[self.frames]
        self.h36m = to_h36m17(self.xy, layout).xy
        ends = [each(self.xy, axis=1).astype(np.float64) for each in (np.nanmax, np.nanmin)] if len(self.xy) else []
        extent = ends[0] - ends[1] if ends else np.zeros((0, 2))
        self.size = np.maximum(np.linalg.norm(extent, axis=-1), 1e-6)

    def joint(self, name: str) -> Array:
        return self.h36m[:, H36M_17.index(name)].astype(np.float64)

    def middle(self, name: str) -> Array:
        return (self.joint(f"left_{name}") + self.joint(f"right_{name}")) / 2

    def named(self, names: Sequence[str]) -> Array:
        """(T, len, 2) of the layout's own joints; NaN for those that it lacks."""
        absent = np.full((len(self.xy), 2), np.nan)
        known = [self.xy[:, self.names.index(n)] if n in self.names else absent for n in names]
        return np.stack(known, axis=1, dtype=np.float64)

    def distance(self, one: Array, other: Array) -> Array:
        return np.asarray(np.linalg.norm(one - other, axis=-1) / self.size)

    def order(self, left: Array, right: Array, apart: float = MIN_WIDTH) -> Array:
        """(T,): 1 where left is on the right of the image, as of a person facing the camera, -1 else, 0 if unclear."""
        across = (left - right)[:, 0] / self.size
        return np.where(np.abs(across) > apart, np.sign(across), 0.0)


def _misplaced(body: _Body) -> list[str]:
    """Joints that should be close and are not."""
    face = body.named(FACE)
    apart = (np.linalg.norm(face[:, a] - face[:, b], axis=-1) for a, b in combinations(range(len(FACE)), 2))
    widest = reduce(np.fmax, apart, np.zeros(len(face))) / body.size
    pelvis, spine, thorax = (body.joint(name) for name in ("pelvis", "spine", "thorax"))
    detour = body.distance(spine, pelvis) + body.distance(thorax, spine) - body.distance(thorax, pelvis)
    distances = (
        ("nose, eyes and ears", widest, MAX_FACE),
        ("pelvis and middle of the hips", body.distance(pelvis, body.middle("hip")), MAX_TRUNK),
        ("spine and trunk", np.maximum(0, detour) / 2, MAX_TRUNK),
        ("thorax and middle of the shoulders", body.distance(thorax, body.middle("shoulder")), MAX_THORAX),
        ("head and thorax", body.distance(body.joint("head"), thorax), MAX_HEAD),
    )
    return [
        f"{what} lie {middle:.2f} of its size apart, expected {most} at most"
        for what, values, most in distances
        if (middle := _percentile(values, 50)) > most
    ]


def _misshapen(body: _Body) -> list[str]:
    """Limbs that are too long, or longer on one side."""
    found = []
    for upper, lower in SEGMENTS:
        ends = [(body.joint(f"{side}_{upper}"), body.joint(f"{side}_{lower}")) for side in ("left", "right")]
        lengths = [body.distance(*pair) for pair in ends]
        both = min(int(np.isfinite(values).sum()) for values in lengths) >= 0.2 * len(body.xy)
        left, right = (_percentile(values, 90) for values in lengths)
        longest, shortest = max(left, right), min(left, right)
        if longest > MAX_LIMB:
            found.append(f"{upper} to {lower} is {longest:.2f} of its size, expected {MAX_LIMB} at most")
        elif both and len(body.xy) >= CLIP and longest > MAX_RATIO * max(shortest, 0.01):
            found.append(f"{upper} to {lower} is {left:.2f} of its size on the left, {right:.2f} on the right")
    return found


def _posture(body: _Body) -> list[Implausibility]:
    """People upside down, or lying, throughout."""
    up = body.joint("thorax") - body.joint("pelvis")
    legs = body.joint("pelvis") - body.middle("ankle")
    if _share((up[:, 1] > 0) & (legs[:, 1] > 0), up + legs) > USUALLY:
        problem = "the head is below the hips, and the hips are below the feet; does y point up?"
        return [Implausibility("upside-down", problem)]
    lying = [np.abs(part[:, 0]) > 1.5 * np.abs(part[:, 1]) for part in (up, legs)]
    if _share(lying[0] & lying[1], up + legs) > USUALLY:
        return [Implausibility("lying", "trunk and legs are horizontal; are x and y exchanged?")]
    return []


def _sides(body: _Body, confidence: Array | None) -> list[Implausibility]:
    """Left and right that contradict each other, or a visible face."""
    messages = []
    order = {name: body.order(body.joint(f"left_{name}"), body.joint(f"right_{name}")) for name in ("shoulder", "hip")}
    ears = body.named(("left_ear", "right_ear"))
    order["ear"] = body.order(ears[:, 0], ears[:, 1])
    for one, other in (("shoulder", "hip"), ("ear", "shoulder")):
        both = (order[one] != 0) & (order[other] != 0)
        against = (order[one] != order[other])[both]
        if len(against) > max(4, OFTEN * len(both)) and against.mean() > USUALLY:
            messages.append(f"left and right {one}s are in the opposite order of the {other}s; are sides exchanged?")
    if confidence is not None and set(FACE) <= set(body.names):
        face = confidence[body.frames][:, [body.names.index(name) for name in FACE]] / max(np.median(confidence), 1e-9)
        front = body.order(body.joint("left_shoulder"), body.joint("right_shoulder"), MIN_FRONTAL)
        visible = (face[:, :3] > FACE_CONFIDENCE).all(axis=1)
        facing = visible & (face[:, :3].mean(axis=1) > face[:, 3:].mean(axis=1) + OVER_EARS) & (front != 0)
        if facing.sum() > max(4, OFTEN * len(facing)) and (front[facing] < 0).mean() > USUALLY:
            messages.append("a face is visible where left and right are those of a back; is the image mirrored?")
    return [Implausibility("sides", message, certain=False) for message in messages]


def _stretched(body: _Body) -> list[Implausibility]:
    """Limbs, or a trunk, far longer than the rest of the body suggests, as where joints of two people are mixed."""
    names, ratios = ["pelvis to thorax"], [body.distance(body.joint("pelvis"), body.joint("thorax")) / 0.5]
    for (upper, lower), length in (LENGTHS | OTHERS).items():
        for side in ("left", "right"):
            start = upper if upper in ("pelvis", "thorax") else f"{side}_{upper}"
            names.append(f"{start} to {side}_{lower}".replace("_", " "))
            ratios.append(body.distance(body.joint(start), body.joint(f"{side}_{lower}")) / length)
    lengths = np.nan_to_num(np.stack(ratios, axis=1), copy=False)
    limbs, fourth = lengths[:, : 1 + 2 * len(LENGTHS)], np.sort(lengths, axis=1)[:, -4]
    stretch = limbs / np.where(fourth > 0, fourth, np.inf)[:, None]
    long = stretch.max(axis=1, initial=0) > MAX_STRETCH
    if not (run := binary_opening(long, np.ones(min(MIN_RUN, max(1, len(long)))))).any():
        return []
    worst = int(np.where(run[:, None], stretch, 0).max(axis=0).argmax())
    message = f"{names[worst]} is up to {stretch[run, worst].max():.1f} times as long as the rest of the body suggests"
    frames = tuple(np.flatnonzero(body.frames)[run].tolist())
    return [Implausibility("stretched", f"{message}; are joints of two people mixed, or misplaced?", False, frames)]


def _percentile(values: Array, q: float) -> float:
    """Of the known values; 0 if there is none."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, q)) if len(known) > 1 else float(known.sum())


def _share(true: Array, known: Array) -> float:
    """Of frames in which something is true, among those in which it is known."""
    finite = np.isfinite(known).all(axis=-1)
    return float(true[finite].mean()) if finite.any() else 0.0
