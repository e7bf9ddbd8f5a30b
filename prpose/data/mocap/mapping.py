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

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data.mocap.recording import Recording
from prpose.skeleton import H36M_17

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
        floor: points of the feet; the ankles if empty.
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

        Raises:
            ValueError: naming the points that the recording lacks.
        """
        wanted = {name for weights in self.joints for name in weights} | set(self.floor)
        missing = sorted(wanted - set(recording.names))
        if missing:
            raise ValueError(
                f"no point {', '.join(missing)}; the recording has {', '.join(recording.names)}"
            )
        world = self._to_world(recording.positions)
        index = {name: i for i, name in enumerate(recording.names)}
        poses = np.stack(
            [sum(w * world[:, index[name]] for name, w in each.items()) for each in self.joints],
            axis=1,
        )
        feet = [index[name] for name in self.floor]
        heights = world[:, feet, 2] if feet else poses[:, H36M_17.subset(ANKLES), 2]
        lowest = heights.min(axis=1)
        if not np.isfinite(lowest).any():
            raise ValueError("expected the feet to be seen in some frame, got none")
        lowest = np.percentile(lowest[np.isfinite(lowest)], 5)
        poses[..., 2] += self.clearance_m - lowest
        return poses

    def _to_world(self, positions: Array) -> Array:
        up = "xyz".index(self.up)
        world = np.roll(positions, 2 - up, axis=-1) * self.metres_per_unit
        return world * [-1, 1, 1] if self.left_handed else world


ANKLES = ("left_ankle", "right_ankle")


def read_mapping(path: str | Path) -> JointMapping:
    """A joint mapping file.

    Raises:
        ValueError: naming the file and what it lacks.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file ({error})") from None
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
        raise ValueError(
            f"expected [joints] of Human3.6M-17; missing: {missing}, unknown: {surplus}"
        )
    scale, up = content.get("metres_per_unit"), content.get("up")
    if not isinstance(scale, int | float) or not 0 < scale < float("inf"):
        raise ValueError(f"expected metres_per_unit > 0, got {scale!r}")
    if up not in ("x", "y", "z"):
        raise ValueError(f'expected up = "x", "y" or "z", got {up!r}')
    floor = content.get("floor", {"points": [], "clearance_m": JointMapping.clearance_m})
    floor = floor if isinstance(floor, dict) else {}
    points, clearance = floor.get("points"), floor.get("clearance_m")
    if points is None or not _are_names(points, 0) or not isinstance(clearance, int | float):
        raise ValueError("expected [floor] with points = [names] and clearance_m = a number")
    return JointMapping(
        joints=tuple(_weights(name, joints[name]) for name in H36M_17.names),
        metres_per_unit=float(scale),
        up=up,
        left_handed=bool(content.get("left_handed", False)),
        floor=tuple(points),
        clearance_m=float(clearance),
    )


def _are_names(value: Any, at_least: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= at_least
        and all(isinstance(name, str) for name in value)
    )


def _weights(joint: str, value: Any) -> Weights:
    if _are_names(value, 1):
        return {name: value.count(name) / len(value) for name in value}
    numbers = isinstance(value, dict) and all(isinstance(w, int | float) for w in value.values())
    if not numbers or abs(sum(value.values()) - 1) > 1e-6:
        raise ValueError(f"expected {joint} as names, or as weights that sum to 1, got {value!r}")
    return {name: float(weight) for name, weight in value.items()}
