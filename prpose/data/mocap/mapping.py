"""Which of a recording's points make which joint: a small TOML file, one per kind of mocap.

::

    metres_per_unit = 0.001     # of the recording's positions
    up = "y"                    # the axis that points up: "x", "y" or "z"
    left_handed = false         # optional: axes of the recording
    [joints]                    # every joint of Human3.6M-17
    pelvis = ["LHIP", "RHIP"]   # several points: their mean
    right_hip = { RASI = 0.7, RKNE = 0.3 }   # or with weights, which sum to 1
    ...
    [floor]                     # optional; the ankles, 0.08 m above the ground, if left out
    points = ["LTOE", "RTOE"]
    clearance_m = 0.02          # height of the lowest of them at rest
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from prpose.atomic import read_toml
from prpose.camera import Array
from prpose.data.mocap.recording import Recording
from prpose.skeleton import H36M_17

SHIPPED = Path(__file__).parent.parent / "mappings"
"""Mappings that prpose brings: ``cmu_asf.toml``, ``cmu_bvh.toml``."""

Weights = Mapping[str, float]


@dataclass(frozen=True)
class JointMapping:
    """How a recording becomes Human3.6M-17 poses in metres, z up.

    Args:
        joints: weights of points, one mapping per joint of ``H36M_17``, in its order.
        metres_per_unit: scale of the recording.
        up: axis of the recording that points up.
        left_handed: whether the recording's axes are.
        floor: points of the feet; the ankles, 0.08 m above the ground, if empty or never seen.
        clearance_m: height of the lowest of them above the ground, at rest.
    """

    joints: tuple[Weights, ...]
    metres_per_unit: float
    up: str
    left_handed: bool = False
    floor: tuple[str, ...] = ()
    clearance_m: float = 0.08

    def poses(self, recording: Recording) -> Array:
        """(T, 17, 3) float64: metres, right-handed, z up, ground at 0; NaN where a point is.

        The ground is where the lowest point of the feet that was seen is at rest. Somebody far
        from the origin (map coordinates, say) is moved there: float32 is coarse out there.

        Raises:
            ValueError: naming the points that the recording lacks.
        """
        wanted = {name for weights in self.joints for name in weights} | set(self.floor)
        missing = sorted(wanted - set(recording.names))
        if missing:
            raise ValueError(f"no point {', '.join(missing)}; the recording has {', '.join(recording.names)}")
        world = self._to_world(recording.positions)
        index = {name: i for i, name in enumerate(recording.names)}
        poses = np.stack(
            [sum(w * world[:, index[name]] for name, w in each.items()) for each in self.joints],
            axis=1,
        )
        feet = [index[name] for name in self.floor]
        at_rest = lowest_at_rest(world[:, feet, 2]), self.clearance_m
        if at_rest[0] is None:
            ankles = poses[:, H36M_17.subset(ANKLES), 2]
            at_rest = lowest_at_rest(ankles), JointMapping.clearance_m
        lowest, clearance_m = at_rest
        poses[..., 2] += clearance_m - (lowest or 0.0)  # without feet there is no good frame
        seen = poses[np.isfinite(poses).all(axis=(1, 2)), 0, :2]
        if len(seen) and np.abs(seen).max() > FAR_M:
            poses[..., :2] -= np.median(seen, axis=0)
        return poses

    def _to_world(self, positions: Array) -> Array:
        up = "xyz".index(self.up)
        world = np.roll(positions, 2 - up, axis=-1) * self.metres_per_unit
        return world * [-1, 1, 1] if self.left_handed else world


ANKLES = ("left_ankle", "right_ankle")

FAR_M = 100.0
"""From the origin; float32 has steps of some 0.01 mm there."""

HIGHEST_M = 0.5
"""That a foot's point lies above the ground at rest."""


def lowest_at_rest(heights: Array) -> float | None:
    """5th percentile over time of the lowest of (T, P) heights; None if no point was ever seen."""
    lowest = np.where(np.isfinite(heights), heights, np.inf).min(axis=1, initial=np.inf)
    seen = lowest[np.isfinite(lowest)]
    return float(np.percentile(seen, 5)) if seen.size else None


def read_mapping(path: str | Path) -> JointMapping:
    """A joint mapping file.

    Raises:
        ValueError: naming the file and what it lacks.
    """
    content = read_toml(Path(path))
    try:
        return _mapping(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _mapping(content: dict[str, Any]) -> JointMapping:
    unknown = set(content) - {"metres_per_unit", "up", "left_handed", "joints", "floor"}
    if unknown:
        raise ValueError(f"unknown entries {', '.join(sorted(unknown))}")
    joints = content.get("joints")
    if not isinstance(joints, dict) or set(joints) != set(H36M_17.names):
        got = set(joints) if isinstance(joints, dict) else set()
        missing = ", ".join(sorted(set(H36M_17.names) - got)) or "none"
        surplus = ", ".join(sorted(got - set(H36M_17.names))) or "none"
        raise ValueError(f"expected [joints] of Human3.6M-17; missing: {missing}, unknown: {surplus}")
    scale, up = content.get("metres_per_unit"), content.get("up")
    if not _is_number(scale) or scale <= 0:
        raise ValueError(f"expected metres_per_unit > 0, got {scale!r}")
    if up not in ("x", "y", "z"):
        raise ValueError(f'expected up = "x", "y" or "z", got {up!r}')
    left_handed = content.get("left_handed", False)
    if not isinstance(left_handed, bool):
        raise ValueError(f"expected left_handed = true or false, got {left_handed!r}")
    points, clearance_m = _floor(content["floor"]) if "floor" in content else ((), None)
    return JointMapping(
        joints=tuple(_weights(name, joints[name]) for name in H36M_17.names),
        metres_per_unit=float(scale),
        up=up,
        left_handed=left_handed,
        floor=points,
        clearance_m=JointMapping.clearance_m if clearance_m is None else clearance_m,
    )


def _floor(value: Any) -> tuple[tuple[str, ...], float]:
    """Points of the feet, and their height."""
    entries = set(value) if isinstance(value, dict) else set()
    if entries != {"points", "clearance_m"} or not _are_names(value["points"], 1):
        raise ValueError("expected [floor] with points = [names] and clearance_m = a number")
    height = value["clearance_m"]
    if not _is_number(height) or not 0 <= height <= HIGHEST_M:
        raise ValueError(f"expected clearance_m from 0 to {HIGHEST_M} metres, got {height!r}")
    return tuple(value["points"]), float(height)


def _is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it is a finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -LARGEST < value < LARGEST


LARGEST = 1e9
"""No weight, scale or height is beyond it; TOML's integers have no end."""


def _are_names(value: Any, at_least: int) -> bool:
    return isinstance(value, list) and len(value) >= at_least and all(isinstance(name, str) for name in value)


def _weights(joint: str, value: Any) -> Weights:
    if _are_names(value, 1):
        return {name: value.count(name) / len(value) for name in value}
    numbers = isinstance(value, dict) and all(map(_is_number, value.values()))
    if not numbers or abs(sum(value.values()) - 1) > 1e-6:
        raise ValueError(f"expected {joint} as names, or as weights that sum to 1, got {value!r}")
    return {name: float(weight) for name, weight in value.items()}
