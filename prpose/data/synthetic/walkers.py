"""Walkers: procedural people on joint-angle curves, rendered like ``cmu17``, for machines without motion capture.

They serve tests, documentation and demonstrations, not results. Body axes at rest, standing upright: x forward,
y to the left, z up. Angles are in degrees; flexion moves a segment forward (a shin backward), abduction away from
the midline.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.data.clip import Clip
from prpose.data.mocap import euler, forward_kinematics
from prpose.data.motion import Motion
from prpose.data.release_files import Selection
from prpose.data.synthetic import KEYPOINTS, Rendering, Rig
from prpose.rng import generator
from prpose.skeleton import H36M_17
from prpose.tables import look_up

Angles = dict[str, Array]  # (T,) degrees: spine_*, neck_flexion, the others after left_ or right_
Move = Callable[[Array, np.random.Generator], Angles]  # from frame times (T,); with heading and lean of the pelvis

SPLITS = {"train": tuple(f"W{i:02d}" for i in range(1, 13)), "val": ("W13", "W14"), "test": ("W15", "W16", "W17")}
FPS, SECONDS = 60.0, 4.0

# Fractions of stature: Drillis & Contini, Body Segment Parameters, 1966, as drawn in Winter, Biomechanics and Motor
# Control of Human Movement, fig. 4.1. Trunk and head are divided as on Human3.6M's skeletons; hip and shoulder are half
# the breadth (the figure's 0.0955 of the hip is to the outside).
SEGMENTS = {
    "hip": 0.055,
    "knee": 0.245,
    "ankle": 0.246,
    "spine": 0.135,
    "thorax": 0.153,
    "neck": 0.07,
    "head": 0.07,
    "shoulder": 0.129,
    "elbow": 0.186,
    "wrist": 0.146,
}
ANKLE_HEIGHT = 0.039

LIMITS = {
    "spine_flexion": (-25.0, 70.0),
    "spine_bend": (-30.0, 30.0),
    "spine_twist": (-40.0, 40.0),
    "neck_flexion": (-40.0, 40.0),
    "hip_flexion": (-25.0, 120.0),
    "hip_abduction": (-20.0, 45.0),
    "knee_flexion": (0.0, 140.0),
    "shoulder_flexion": (-60.0, 170.0),
    "shoulder_abduction": (0.0, 170.0),
    "elbow_flexion": (0.0, 145.0),
}
"""Ranges of joint motion, degrees, after the American Academy of Orthopaedic Surgeons (1965), rounded inwards."""

# Hip and knee flexion at 0, 10, ..., 90 % of the cycle from heel strike: walking after Winter, Biomechanics and
# Motor Control of Human Gait (1991); running after Novacheck, The Biomechanics of Running, Gait & Posture 7, 1998.
# Read off the mean curves, to some 5 degrees.
GAIT = {
    "walk": {
        "hip_flexion": (25, 22, 14, 5, -4, -10, -4, 12, 25, 28),
        "knee_flexion": (5, 16, 17, 11, 6, 11, 35, 62, 48, 14),
    },
    "run": {
        "hip_flexion": (38, 32, 18, 2, -8, -4, 14, 36, 50, 46),
        "knee_flexion": (18, 38, 40, 24, 20, 45, 85, 105, 78, 34),
    },
}
CADENCE_HZ = {"walk": (0.8, 1.05), "run": (1.25, 1.5)}  # cycles (two steps) a second, ranges
ARMS = {"walk": (18.0, 20.0), "run": (32.0, 85.0)}  # amplitude of the shoulder, and least flexion of the elbow
LEAN = {"walk": 2.0, "run": 8.0}


def load(root: Path, split: str, selection: Selection, keypoints: str = "det") -> list[Clip]:
    """Clips of the walkers of a split, from four cameras each; ``root`` is not used."""
    look_up(keypoints, dict.fromkeys(KEYPOINTS), "2D of walkers")
    selection.check(MOVES, "walkers")
    wanted = [motion for motion in motions(root, split) if selection.wants(motion.action)]
    return [clip for m in wanted for clip in _rendering(m).clips(keypoints, selection.frames(len(m)))]


def motions(root: Path, split: str) -> list[Motion]:
    """Every action of each walker of a split; ``root`` is not used."""
    return [walker(name, action) for name in SPLITS[split] for action in MOVES]


@cache
def _rendering(motion: Motion) -> Rendering:
    return Rig().render(motion, seed="walkers")


@cache
def walker(subject: str, action: str) -> Motion:
    """One walker's motion, four seconds long, on level ground; any ``subject`` names a body, :data:`MOVES` actions."""
    move = look_up(action, MOVES, "action of walkers")
    body = random_body(generator("walker", subject))
    angles = move(np.arange(round(FPS * SECONDS)) / FPS, generator("walker", subject, action))
    heading, lean = angles.pop("heading"), angles.pop("lean")
    joints = pose(body, limited(angles), heading, lean)
    poses = joints + _root_path(joints, body["ankle_height"])[:, None]
    return Motion(f"{subject}_{action}", subject, action, poses.astype(np.float32), FPS)


def _root_path(joints: Array, ankle_height_m: float) -> Array:
    """Positions of the pelvis, (T, 3), at which the lower foot stands still."""
    feet = joints[:, H36M_17.subset(("left_ankle", "right_ankle"))]  # (T, 2, 3)
    step = np.diff(feet[..., :2], axis=0)
    # The weight passes to the other foot within some 5 cm of height difference.
    lower = (feet[..., 0, 2] - feet[..., 1, 2]) / 0.02
    left = (1 / (1 + np.exp(np.clip(lower, -50, 50))))[1:, None]
    path = np.zeros((len(joints), 3))
    path[1:, :2] = -np.cumsum(left * step[:, 0] + (1 - left) * step[:, 1], axis=0)
    path[:, 2] = ankle_height_m - feet[..., 2].min(axis=1)
    path[:, :2] -= path[:, :2].mean(axis=0)
    return path


def random_body(rng: np.random.Generator) -> dict[str, float]:
    """Lengths of :data:`SEGMENTS` and height of a standing foot's ankle, metres."""
    # Men and women, ANSUR II, rounded: 1.70 ± 0.10 m; segments ± 4 %.
    stature = float(np.clip(1.70 + 0.10 * rng.standard_normal(), 1.45, 2.0))
    body = {name: share * stature * float(np.exp(0.04 * rng.standard_normal())) for name, share in SEGMENTS.items()}
    return body | {"pelvis": 0.0, "ankle_height": ANKLE_HEIGHT * stature}


def pose(body: Mapping[str, float], angles: Mapping[str, Array], heading: Array, lean: Array) -> Array:
    """Joints relative to the pelvis, (T, 17, 3) metres, z up, of a body as of :func:`random_body`.

    Angles that are missing are 0; ``heading`` is from x towards y, ``lean`` the forward tilt of the pelvis.
    """

    def turn(axes: str, *joints: str, signs: tuple[float, ...] = (1, 1, 1)) -> Rotation:
        degrees = [sign * angles.get(name, 0 * heading) for name, sign in zip(joints, signs, strict=False)]
        return euler(axes, np.stack(degrees, axis=-1))

    pelvis = euler("zy", np.stack([heading, lean], axis=-1))
    trunk = pelvis * turn("zxy", "spine_twist", "spine_bend", "spine_flexion")
    neck = trunk * turn("y", "neck_flexion")
    up, down = np.array([0, 0, 1.0]), np.array([0, 0, -1.0])
    bones = {"pelvis": (pelvis, 0 * up), "spine": (pelvis, up), "thorax": (trunk, up)}
    bones |= {"neck": (neck, up), "head": (neck, up)}
    for side, left in (("left", 1.0), ("right", -1.0)):
        thigh = pelvis * turn("yx", f"{side}_hip_flexion", f"{side}_hip_abduction", signs=(-1, left))
        arm = trunk * turn("yx", f"{side}_shoulder_flexion", f"{side}_shoulder_abduction", signs=(-1, left))
        shin = thigh * turn("y", f"{side}_knee_flexion")
        forearm = arm * turn("y", f"{side}_elbow_flexion", signs=(-1,))
        out = np.array([0, left, 0])
        bones |= {f"{side}_hip": (pelvis, out), f"{side}_knee": (thigh, down), f"{side}_ankle": (shin, down)}
        bones |= {f"{side}_shoulder": (trunk, out), f"{side}_elbow": (arm, down), f"{side}_wrist": (forearm, down)}
    turns, directions = zip(*(bones[name] for name in H36M_17.names), strict=True)
    offsets = [way * body[_unsided(name)] for name, way in zip(H36M_17.names, directions, strict=True)]
    return forward_kinematics(H36M_17.parents, turns, offsets)


def _unsided(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def limited(angles: Mapping[str, Array]) -> Angles:
    """The angles within :data:`LIMITS`."""
    return {name: np.clip(value, *LIMITS[_unsided(name)]) for name, value in angles.items()}


def _gait(kind: str, t: Array, rng: np.random.Generator) -> Angles:
    """Walking or running straight on; arms swing against the legs."""
    phase = rng.uniform() + t * rng.uniform(*CADENCE_HZ[kind])
    amplitude, (swing, bent) = rng.uniform(0.85, 1.1), ARMS[kind]
    swing, bent = swing * rng.uniform(0.6, 1.3), bent * rng.uniform(0.8, 1.15)
    angles = {"heading": 0 * t + rng.uniform(0, 360), "lean": 0 * t + LEAN[kind]}
    angles |= {"spine_twist": 6 * np.sin(2 * np.pi * phase)}
    angles |= _both(hip_abduction=0 * t + 2, shoulder_abduction=0 * t + 8)
    for side, own in (("left", phase), ("right", phase + 0.5)):
        angles |= {f"{side}_{joint}": amplitude * cycle(values, own) for joint, values in GAIT[kind].items()}
        angles[f"{side}_shoulder_flexion"] = -swing * np.cos(2 * np.pi * own)
        angles[f"{side}_elbow_flexion"] = bent + 0.4 * swing * (1 - np.cos(2 * np.pi * own))
    return angles


def _turn(t: Array, rng: np.random.Generator) -> Angles:
    """Walking in a curve."""
    angles = _gait("walk", t, rng)
    rate = rng.choice([-1, 1]) * rng.uniform(30, 80)
    return angles | {"heading": angles["heading"] + rate * t, "spine_twist": angles["spine_twist"] + 0.15 * rate}


def _squat(t: Array, rng: np.random.Generator) -> Angles:
    """Squats, arms stretched forward."""
    depth = _between(t, rng, 0.0, 1.0, rng.uniform(0.3, 0.5))
    angles = _stand(t, rng)
    hips, knees = depth * rng.uniform(80, 105), depth * rng.uniform(90, 125)
    angles["lean"] = depth * rng.uniform(15, 30)
    arms = 10 + depth * rng.uniform(50, 85)
    return angles | _both(hip_flexion=hips, knee_flexion=knees, hip_abduction=0 * t + 12, shoulder_flexion=arms)


def _sit(t: Array, rng: np.random.Generator) -> Angles:
    """Sitting down on an invisible chair, and getting up again."""
    down = _between(t, rng, 0.0, 1.0, rng.uniform(0.15, 0.3), hold=2.5)
    bow = 4 * down * (1 - down)  # the trunk leans forward while the weight is shifted
    legs = _both(hip_flexion=88 * down, knee_flexion=90 * down, hip_abduction=0 * t + 8)
    arms = _both(shoulder_flexion=8 + 25 * down, elbow_flexion=15 + 45 * down)
    return _stand(t, rng) | legs | arms | {"lean": 30 * bow, "spine_flexion": 15 * bow + 5 * down}


def _wave(t: Array, rng: np.random.Generator) -> Angles:
    """One arm raised, the forearm swinging."""
    side, rate = rng.choice(["left", "right"]), rng.uniform(1.0, 2.0)
    return _stand(t, rng) | {
        f"{side}_shoulder_flexion": 0 * t + rng.uniform(10, 50),
        f"{side}_shoulder_abduction": rng.uniform(75, 125) + 8 * np.sin(2 * np.pi * rate * t),
        f"{side}_elbow_flexion": rng.uniform(50, 80) + 30 * np.sin(2 * np.pi * rate * t + 1),
    }


def _reach(t: Array, rng: np.random.Generator) -> Angles:
    """Both hands move from place to place, the trunk follows."""
    angles = _stand(t, rng)
    for side in ("left", "right"):
        angles[f"{side}_shoulder_flexion"] = _between(t, rng, 0, 150, rng.uniform(0.3, 0.6))
        angles[f"{side}_shoulder_abduction"] = _between(t, rng, 5, 80, rng.uniform(0.2, 0.5))
        angles[f"{side}_elbow_flexion"] = _between(t, rng, 5, 110, rng.uniform(0.3, 0.6))
    bow = _between(t, rng, 0, 50, rng.uniform(0.2, 0.4))
    angles |= {"spine_flexion": bow, "spine_twist": _between(t, rng, -35, 35, 0.3), "lean": 0.5 * bow}
    return angles | _both(hip_flexion=0.5 * bow)


def _stand(t: Array, rng: np.random.Generator) -> Angles:
    """Upright with hanging arms and small movements."""
    angles = {
        "heading": rng.uniform(0, 360) + _between(t, rng, -8, 8, 0.2),
        "lean": _between(t, rng, -2, 3, 0.3),
        "spine_flexion": _between(t, rng, 0, 6, 0.2),
        "spine_bend": _between(t, rng, -4, 4, 0.2),
        "neck_flexion": _between(t, rng, -8, 15, 0.3),
    }
    for side in ("left", "right"):
        angles[f"{side}_hip_abduction"] = 0 * t + rng.uniform(2, 8)
        angles[f"{side}_shoulder_flexion"] = _between(t, rng, -5, 15, 0.3)
        angles[f"{side}_shoulder_abduction"] = _between(t, rng, 5, 15, 0.3)
        angles[f"{side}_elbow_flexion"] = _between(t, rng, 10, 30, 0.3)
    return angles


MOVES: dict[str, Move] = {
    "walk": partial(_gait, "walk"),
    "run": partial(_gait, "run"),
    "turn": _turn,
    "squat": _squat,
    "sit": _sit,
    "wave": _wave,
    "reach": _reach,
}
"""By action name."""


def _both(**angles: Array) -> Angles:
    """The same angles on both sides."""
    return {f"{side}_{joint}": value for side in ("left", "right") for joint, value in angles.items()}


def cycle(values: tuple[float, ...], phase: Array) -> Array:
    """A periodic curve through values at equal steps of the phase: their first four harmonics."""
    n, k = len(values), np.arange(1, 5)
    terms = np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n) @ np.array(values) * 2 / n
    return np.asarray(np.mean(values) + (terms * np.exp(2j * np.pi * np.outer(phase, k))).real.sum(-1))


def _between(t: Array, rng: np.random.Generator, low: float, high: float, rate_hz: float, hold: float = 1.0) -> Array:
    """Smooth, irregular movement between two values; ``hold`` > 1 stays longer at each."""
    slow = 0.6 * np.sin(2 * np.pi * (0.37 * rate_hz * t + rng.uniform()))
    swing = np.sin(2 * np.pi * (rate_hz * t + rng.uniform()) + slow)
    share = 0.5 + 0.5 * np.tanh(hold * swing) / np.tanh(hold)
    return np.asarray(low + (high - low) * share)
