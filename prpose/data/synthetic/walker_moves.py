"""Actions of walkers: joint angles over time, in degrees, with random pace and amplitude.

Each move takes the frame times and a generator and gives the angles of :mod:`prpose.data.synthetic.walkers`, with
``heading`` and ``lean`` of the pelvis among them.
"""

from collections.abc import Callable

import numpy as np

from prpose.camera import Array

Move = Callable[[Array, np.random.Generator], dict[str, Array]]

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
CADENCE_HZ = {"walk": (0.8, 1.05), "run": (1.25, 1.5)}
"""Cycles (two steps) a second, ranges."""


def gait(kind: str) -> Move:
    """Walking or running straight on; arms swing against the legs."""

    def move(t: Array, rng: np.random.Generator) -> dict[str, Array]:
        phase = rng.uniform() + t * rng.uniform(*CADENCE_HZ[kind])
        amplitude = rng.uniform(0.85, 1.1)
        swing, bent = {"walk": (18.0, 20.0), "run": (32.0, 85.0)}[kind]
        swing, bent = swing * rng.uniform(0.6, 1.3), bent * rng.uniform(0.8, 1.15)
        angles = {
            "heading": np.full(len(t), rng.uniform(0, 360)),
            "lean": np.full(len(t), {"walk": 2.0, "run": 8.0}[kind]),
            "spine_twist": 6 * np.sin(2 * np.pi * phase),
        }
        for side, shift in (("left", 0.0), ("right", 0.5)):
            own = phase + shift
            for joint, values in GAIT[kind].items():
                angles[f"{side}_{joint}"] = amplitude * cycle(values, own)
            angles[f"{side}_hip_abduction"] = np.full(len(t), 2.0)
            angles[f"{side}_shoulder_flexion"] = -swing * np.cos(2 * np.pi * own)
            angles[f"{side}_shoulder_abduction"] = np.full(len(t), 8.0)
            angles[f"{side}_elbow_flexion"] = bent + 0.4 * swing * (1 - np.cos(2 * np.pi * own))
        return angles

    return move


def turn(t: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Walking in a curve."""
    angles = gait("walk")(t, rng)
    rate = rng.choice([-1, 1]) * rng.uniform(30, 80)
    angles["heading"] = angles["heading"] + rate * t
    angles["spine_twist"] = angles["spine_twist"] + 0.15 * rate
    return angles


def squat(t: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Squats, arms stretched forward."""
    depth = between(t, rng, 0.0, 1.0, rng.uniform(0.3, 0.5))
    angles = standing(t, rng)
    angles |= legs(t, hip=depth * rng.uniform(80, 105), knee=depth * rng.uniform(90, 125), abduction=12)
    angles["lean"] = depth * rng.uniform(15, 30)
    return angles | both("shoulder_flexion", 10 + depth * rng.uniform(50, 85))


def sit(t: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Sitting down on an invisible chair, and getting up again."""
    down = between(t, rng, 0.0, 1.0, rng.uniform(0.15, 0.3), hold=2.5)
    bow = 4 * down * (1 - down)  # the trunk leans forward while the weight is shifted
    return {
        **standing(t, rng),
        **legs(t, hip=88 * down, knee=90 * down, abduction=8),
        "lean": 30 * bow,
        "spine_flexion": 15 * bow + 5 * down,
        **both("shoulder_flexion", 8 + 25 * down),
        **both("elbow_flexion", 15 + 45 * down),
    }


def wave(t: Array, rng: np.random.Generator) -> dict[str, Array]:
    """One arm raised, the forearm swinging."""
    side = rng.choice(["left", "right"])
    rate = rng.uniform(1.0, 2.0)
    return standing(t, rng) | {
        f"{side}_shoulder_flexion": np.full(len(t), rng.uniform(10, 50)),
        f"{side}_shoulder_abduction": rng.uniform(75, 125) + 8 * np.sin(2 * np.pi * rate * t),
        f"{side}_elbow_flexion": rng.uniform(50, 80) + 30 * np.sin(2 * np.pi * rate * t + 1),
    }


def reach(t: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Both hands move from place to place, the trunk follows."""
    angles = standing(t, rng)
    for side in ("left", "right"):
        angles[f"{side}_shoulder_flexion"] = between(t, rng, 0, 150, rng.uniform(0.3, 0.6))
        angles[f"{side}_shoulder_abduction"] = between(t, rng, 5, 80, rng.uniform(0.2, 0.5))
        angles[f"{side}_elbow_flexion"] = between(t, rng, 5, 110, rng.uniform(0.3, 0.6))
    bow = between(t, rng, 0, 50, rng.uniform(0.2, 0.4))
    return angles | {
        "spine_flexion": bow,
        "spine_twist": between(t, rng, -35, 35, 0.3),
        **both("hip_flexion", 0.5 * bow),
        "lean": 0.5 * bow,
    }


def standing(t: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Upright with hanging arms and small movements."""
    angles = {
        "heading": rng.uniform(0, 360) + between(t, rng, -8, 8, 0.2),
        "lean": between(t, rng, -2, 3, 0.3),
        "spine_flexion": between(t, rng, 0, 6, 0.2),
        "spine_bend": between(t, rng, -4, 4, 0.2),
        "neck_flexion": between(t, rng, -8, 15, 0.3),
    }
    for side in ("left", "right"):
        angles |= {
            f"{side}_hip_abduction": np.full(len(t), rng.uniform(2, 8)),
            f"{side}_shoulder_flexion": between(t, rng, -5, 15, 0.3),
            f"{side}_shoulder_abduction": between(t, rng, 5, 15, 0.3),
            f"{side}_elbow_flexion": between(t, rng, 10, 30, 0.3),
        }
    return angles


MOVES: dict[str, Move] = {
    "walk": gait("walk"),
    "run": gait("run"),
    "turn": turn,
    "squat": squat,
    "sit": sit,
    "wave": wave,
    "reach": reach,
}
"""By action name."""


def both(joint: str, value: Array) -> dict[str, Array]:
    """The same angle on both sides."""
    return {f"{side}_{joint}": value for side in ("left", "right")}


def legs(t: Array, hip: Array, knee: Array, abduction: float) -> dict[str, Array]:
    """Both legs bent alike."""
    return {
        **both("hip_flexion", hip),
        **both("knee_flexion", knee),
        **both("hip_abduction", np.full(len(t), float(abduction))),
    }


def cycle(values: tuple[float, ...], phase: Array, harmonics: int = 4) -> Array:
    """A periodic curve through values at equal steps of the phase: their first harmonics."""
    n = len(values)
    k = np.arange(1, harmonics + 1)
    terms = np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n) @ np.array(values) * 2 / n
    return np.asarray(np.mean(values) + (terms * np.exp(2j * np.pi * np.outer(phase, k))).real.sum(-1))


def between(t: Array, rng: np.random.Generator, low: float, high: float, rate_hz: float, hold: float = 1.0) -> Array:
    """Smooth, irregular movement between two values; ``hold`` > 1 stays longer at each."""
    slow = 0.6 * np.sin(2 * np.pi * (0.37 * rate_hz * t + rng.uniform()))
    swing = np.sin(2 * np.pi * (rate_hz * t + rng.uniform()) + slow)
    share = 0.5 + 0.5 * np.tanh(hold * swing) / np.tanh(hold)
    return np.asarray(low + (high - low) * share)
