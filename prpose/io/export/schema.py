"""What npz and JSON files of poses hold: a header, and arrays by name; version 1 of it.

``poses.schema.json`` says the same as a JSON Schema, and docs/output.md in words.
"""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from prpose.camera import Array, Camera
from prpose.prediction import FLAGS, Prediction
from prpose.regions import LEVEL, limits_of, reach_of, regions_of
from prpose.skeleton import H36M_17

FORMAT = "prpose-poses"
VERSION = 1
AXES = "camera: x right, y down, z forward; right-handed"
ORIGIN = "poses: the pelvis, joint 0, at 0; root_cam: the camera's centre"
UNITS = {
    "poses, roots, semi-axes": "m",
    "covariances": "m^2",
    "times": "s",
    "keypoints, focal lengths, centres": "px",
}
RAW = (
    "Over-confident: covariance and regions tell how the hypotheses scatter, and the truth lies "
    "outside more often than the level says."
)
CALIBRATED = (
    "The covariance tells how the hypotheses scatter, and is over-confident; regions are as large "
    "as they had to be to hold the truth as often as the level says in the model's validation "
    "data. They hold it less often in motions that are not like its training data's."
)
FEW = 20
"""Fewer hypotheses than those have a covariance that is itself unsure."""

ARRAYS = (
    *("frame_numbers", "times_s", "aggregate", "covariance", "single", "flags"),
    *("root_cam", "root_covariance", "keypoints_px", "hypotheses"),
)
"""Fields of :class:`Prediction` that are arrays, the largest last."""


def header(poses: Prediction) -> dict[str, Any]:
    """All but the arrays, as JSON can hold it."""
    kept = 0 if poses.samples is None else len(poses.samples)
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": poses.created_by,
        "command": poses.command,
        "notes": list(poses.warnings),
        "seed": None if poses.seed is None else int(poses.seed),
        "model": dict(poses.model),
        "axes": AXES,
        "origin": ORIGIN,
        "units": UNITS,
        "joints": list(H36M_17.names),
        "parents": list(H36M_17.parents),
        "frames": len(poses),
        "fps": poses.fps,
        "S": int(poses.S),
        "hypotheses_kept": kept,
        "aggregated_by": poses.point_estimate,
        "flag_names": list(FLAGS),
        "region": _region(poses),
        "camera": None if poses.camera is None else _plain(asdict(poses.camera)),
    }


def arrays(poses: Prediction) -> dict[str, Array]:
    """The arrays that there are, by name; with the regions, which follow from the covariance."""
    semi_axes, directions = regions_of(poses.covariance, poses.model)
    found = {name: getattr(poses, name) for name in ARRAYS[:-1]}
    found["region_semi_axes_m"] = semi_axes.astype(np.float32)
    found["region_directions"] = directions.astype(np.float32)
    found[ARRAYS[-1]] = getattr(poses, ARRAYS[-1])
    return {name: value for name, value in found.items() if value is not None}


def poses_of(head: Any, array: Callable[[str], Array | None]) -> Prediction:
    """The poses that a file holds.

    Args:
        head: what :func:`header` gave.
        array: gives the array of a name, or None if the file has none.

    Raises:
        ValueError: if it is no such header, of a later version, of other joints, or does not go
            with the arrays.
    """
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError(f"expected a file of format {FORMAT}, got something else")
    if head.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, got {head.get('version')!r:.40}")
    if head.get("joints") != list(H36M_17.names):
        raise ValueError("expected the 17 joints of Human3.6M, got others")
    said = ("made_by", "command", "notes", "seed", "model", "fps", "S", "aggregated_by", "camera")
    missing = [name for name in (*said, "frames", "hypotheses_kept") if name not in head]
    if missing:
        raise ValueError(f"expected {missing[0]} in the file, got none")
    found = {name: array(name) for name in ARRAYS}
    for name in ("frame_numbers", "aggregate", "covariance", "single", "flags"):
        if found[name] is None:
            raise ValueError(f"expected {name} in the file, got none")
    poses = Prediction(**(found | {name: head[name] for name in said} | {"camera": _camera(head)}))
    kept = 0 if poses.samples is None else len(poses.samples)
    if (head["frames"], head["hypotheses_kept"]) != (len(poses), kept):
        raise ValueError(
            f"expected {head['hypotheses_kept']!r:.20} hypotheses of {head['frames']!r:.20} "
            f"frames, got {kept} of {len(poses)}"
        )
    return poses


def _region(poses: Prediction) -> dict[str, Any]:
    limits = limits_of(poses.model)
    reach = reach_of(poses.model).tolist()
    note = RAW if limits is None else CALIBRATED
    if poses.S < FEW:
        note += f" Of {poses.S} hypotheses the covariance is itself unsure: less often still."
    return {"level": LEVEL, "calibrated": limits is not None, "limits": reach, "note": note}


def _plain(camera: dict[str, Any]) -> dict[str, Any]:
    """With Python's numbers in place of NumPy's, which JSON does not know."""
    return {
        name: value if value is None else np.asarray(value, dtype=float).tolist() for name, value in camera.items()
    } | {size: int(camera[size]) for size in ("width", "height")}


def _camera(head: dict[str, Any]) -> Camera | None:
    said = head["camera"]
    if said is None:
        return None
    names = {part.name for part in fields(Camera)}
    if not isinstance(said, dict) or set(said) != names:
        raise ValueError(f"expected camera with {', '.join(sorted(names))}, got others")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    return Camera(**values)


def short(values: Array) -> Array:
    """Float32 as the float64 with the fewest digits, 7 to 9, that is still the same float32.

    JSON then has ``0.1`` where it would have ``0.10000000149011612``.

    Example:
        >>> short(np.array([0.1, -2.5e-5, 1 / 3], dtype=np.float32)).tolist()
        [0.1, -2.5e-05, 0.33333334]
    """
    wide = values.astype(np.float64)
    size = np.abs(wide)
    exponent = np.floor(np.log10(size, where=size > 0, out=np.zeros_like(size)))
    for digits in (9, 8, 7):
        scale = 10.0 ** (digits - 1 - exponent)
        fewer = np.round(values * scale) / scale
        wide = np.where(fewer.astype(np.float32) == values, fewer, wide)
    return wide
