"""Which joints a camera cannot see, because the person's own body is in the way.

The body is a set of capsules (segments with a radius). A joint is hidden if the line of sight to it
runs through a capsule that it is no end of, well before it gets there.
"""

from dataclasses import dataclass

import numpy as np

from prpose.camera import Array
from prpose.skeleton import H36M_17

Capsule = tuple[str, str, float]

# Radii, metres: mean circumferences of the ANSUR II survey (Gordon et al., 2014, men and women)
# divided by 2π, rounded; of the trunk, which is flat, half its depth.
TRUNK: tuple[Capsule, ...] = (
    ("pelvis", "thorax", 0.12),
    ("left_hip", "right_hip", 0.10),
    ("left_shoulder", "right_shoulder", 0.09),
)
CAPSULES = (
    *TRUNK,
    ("neck", "head", 0.09),
    *((f"{side}_hip", f"{side}_knee", 0.08) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", 0.05) for side in ("left", "right")),
    *((f"{side}_shoulder", f"{side}_elbow", 0.05) for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_wrist", 0.04) for side in ("left", "right")),
)


@dataclass(frozen=True)
class Body:
    """A capsule body on Human3.6M-17.

    Args:
        capsules: (joint, joint, radius in metres).
        trunk: those of the capsules that make the trunk, and
        inside: the joints that lie inside of it, which it does not hide.
        clearance_m: a capsule hides only what lies further than this behind it; less than that is
            the joint's own flesh.
    """

    capsules: tuple[Capsule, ...] = CAPSULES
    trunk: tuple[Capsule, ...] = TRUNK
    inside: tuple[str, ...] = ("pelvis", "spine", "thorax")
    clearance_m: float = 0.15

    def hidden(self, poses_cam: Array) -> Array:
        """Joints that the camera at the origin cannot see, (*, 17, 3) → (*, 17) bool.

        Args:
            poses_cam: metres, camera axes, absolute.
        """
        starts = np.array([H36M_17.index(a) for a, _, _ in self.capsules])
        ends = np.array([H36M_17.index(b) for _, b, _ in self.capsules])
        radii = np.array([radius for _, _, radius in self.capsules])
        distance = np.linalg.norm(poses_cam, axis=-1)
        share = np.clip(1 - self.clearance_m / np.maximum(distance, 1e-9), 0, 1)
        sight = poses_cam * share[..., None]  # from the camera to just before the joint
        gap = segment_distance(sight[..., :, None, :], poses_cam[..., None, starts, :], poses_cam[..., None, ends, :])
        own = np.arange(len(H36M_17))[:, None]
        incident = (own == starts) | (own == ends) | self._on_trunk()
        return np.asarray(((gap < radii) & ~incident).any(axis=-1))

    def _on_trunk(self) -> Array:
        """(J, capsules): which joints lie inside of which capsules."""
        inside = np.isin(np.arange(len(H36M_17)), H36M_17.subset(self.inside))
        return inside[:, None] & np.array([capsule in self.trunk for capsule in self.capsules])


def segment_distance(tip: Array, start: Array, end: Array) -> Array:
    """Distance of the segment from the origin to ``tip`` from that from ``start`` to ``end``.

    All (*, 3), broadcast; after Ericson, Real-Time Collision Detection, 2005, §5.1.9.
    """
    along, back = end - start, -start
    a = (tip * tip).sum(-1)
    e = np.maximum((along * along).sum(-1), 1e-12)
    b = (tip * along).sum(-1)
    c = (tip * back).sum(-1)
    f = (along * back).sum(-1)
    spread = a * e - b * b
    s = np.clip((b * f - c * e) / np.where(spread > 1e-12, spread, 1), 0, 1)
    t = np.clip((b * s + f) / e, 0, 1)
    s = np.clip((b * t - c) / np.maximum(a, 1e-12), 0, 1)
    difference = tip * s[..., None] - (start + along * t[..., None])
    return np.asarray(np.sqrt((difference * difference).sum(-1)))
