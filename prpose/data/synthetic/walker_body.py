"""The body of a walker: segment lengths, joint limits, and forward kinematics from joint angles.

Body axes at rest, standing upright: x forward, y to the left, z up. Angles are in degrees; flexion
brings a segment forward (a knee, backward), abduction takes it away from the midline.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from prpose.camera import Array
from prpose.data.mocap.recording import euler_rotation
from prpose.skeleton import H36M_17

# Fractions of stature: Drillis & Contini, Body Segment Parameters, 1966, as drawn in Winter,
# Biomechanics and Motor Control of Human Movement, fig. 4.1. The trunk is divided at the spine
# point, and the head at the neck/nose point, as on Human3.6M's skeletons.
SEGMENTS = {
    "hip": 0.055,  # half the way between the hip joints; the figure's 0.0955 is to the outside
    "knee": 0.245,
    "ankle": 0.246,
    "spine": 0.135,
    "thorax": 0.153,
    "neck": 0.07,
    "head": 0.07,
    "shoulder": 0.129,  # half of the shoulders' breadth
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
"""Ranges of joint motion, degrees, after the American Academy of Orthopaedic Surgeons (1965),
rounded inwards."""

Angles = Mapping[str, Array]
"""Joint angles over time, (T,) degrees: ``spine_*``, ``neck_flexion``, and ``left_`` or ``right_``
before the others."""


@dataclass(frozen=True)
class WalkerBody:
    """Segment lengths of one person.

    Args:
        stature_m: height.
        scale: factor on each of :data:`SEGMENTS`.
    """

    stature_m: float
    scale: Mapping[str, float]

    @staticmethod
    def random(rng: np.random.Generator) -> "WalkerBody":
        """Stature 1.70 ± 0.10 m (men and women, ANSUR II, rounded), segments ± 4 %."""
        stature = float(np.clip(1.70 + 0.10 * rng.standard_normal(), 1.45, 2.0))
        return WalkerBody(stature, {name: float(np.exp(0.04 * rng.standard_normal())) for name in SEGMENTS})

    def length(self, segment: str) -> float:
        """Metres."""
        return SEGMENTS[segment] * self.stature_m * self.scale[segment]

    @property
    def ankle_height_m(self) -> float:
        """Of a foot that stands on the ground."""
        return ANKLE_HEIGHT * self.stature_m

    def pose(self, angles: Angles, heading_deg: Array, lean_deg: Array) -> Array:
        """Joints relative to the pelvis, (T, 17, 3) metres, z up.

        Args:
            angles: over time; those that are missing are 0.
            heading_deg: where the pelvis faces, (T,), from x towards y.
            lean_deg: forward tilt of the pelvis, (T,).
        """
        pelvis = turned("zy", heading_deg, lean_deg)

        def angle(name: str) -> Array:
            return np.asarray(angles.get(name, np.zeros(len(heading_deg))))

        trunk = pelvis @ turned("zxy", angle("spine_twist"), angle("spine_bend"), angle("spine_flexion"))
        neck = trunk @ turned("y", angle("neck_flexion"))
        up, down = np.array([0, 0, 1.0]), np.array([0, 0, -1.0])
        bones = {
            "spine": (pelvis, up),
            "thorax": (trunk, up),
            "neck": (neck, up),
            "head": (neck, up),
        }
        for side, left in (("left", 1.0), ("right", -1.0)):
            thigh = pelvis @ turned("yx", -angle(f"{side}_hip_flexion"), left * angle(f"{side}_hip_abduction"))
            arm = trunk @ turned("yx", -angle(f"{side}_shoulder_flexion"), left * angle(f"{side}_shoulder_abduction"))
            out = np.array([0, left, 0])
            bones |= {
                f"{side}_hip": (pelvis, out),
                f"{side}_knee": (thigh, down),
                f"{side}_ankle": (thigh @ turned("y", angle(f"{side}_knee_flexion")), down),
                f"{side}_shoulder": (trunk, out),
                f"{side}_elbow": (arm, down),
                f"{side}_wrist": (arm @ turned("y", -angle(f"{side}_elbow_flexion")), down),
            }
        joints = np.zeros((len(heading_deg), len(H36M_17), 3))
        for j, (name, parent) in enumerate(zip(H36M_17.names, H36M_17.parents, strict=True)):
            if parent >= 0:
                rotation, direction = bones[name]
                length = self.length(name.removeprefix("left_").removeprefix("right_"))
                joints[:, j] = joints[:, parent] + rotation @ (direction * length)
        return joints


def turned(axes: str, *degrees: Array) -> Array:
    """Rotations (T, 3, 3), one axis after the other."""
    return euler_rotation(np.stack(degrees, axis=-1), tuple(axes))


def limited(angles: Angles) -> dict[str, Array]:
    """The angles, kept within :data:`LIMITS`."""
    return {
        name: np.clip(value, *LIMITS[name.removeprefix("left_").removeprefix("right_")])
        for name, value in angles.items()
    }
