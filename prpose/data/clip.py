"""A clip: paired 2D keypoints and 3D poses of one person seen by one camera; counts and errors of clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from prpose.camera import Array, Camera
from prpose.skeleton import H36M_17

UNITS = {2: "pixels", 3: "metres"}
FARTHEST = {2: 1e7, 3: 1e5}  # largest coordinate in 2D and in 3D; sums of squares stay finite in float32
LEG_M = (0.3, 1.4)  # admitted lengths from hip to ankle along the bones, from toddlers to giants
PERCENTILES = (50, 90, 99)  # of JointErrors


@dataclass(frozen=True, eq=False)
class Clip:
    """Paired 2D keypoints and 3D poses of one person seen by one camera.

    ``ValueError`` for wrong shapes, different lengths, or values that are not finite.
    """

    keypoints_px: Array  # (T, J, 2) float32 pixels
    poses_cam: Array  # (T, J, 3) float32 metres, camera axes (x right, y down, z forward), absolute
    camera: Camera
    subject: str
    action: str
    camera_index: int
    fps: float | None = None
    confidence: Array | None = None  # (T, J) of the keypoints in [0, 1], if known
    hidden: Array | None = None  # (T, J) bool, joints that the person's own body occludes, if known

    def __post_init__(self) -> None:
        where = f"subject {self.subject}, action {self.action!r}, camera {self.camera_index}"
        J = self.keypoints_px.shape[1] if self.keypoints_px.ndim == 3 else 0
        check_coordinates(self.keypoints_px, J, 2, where, "2D keypoints")
        check_coordinates(self.poses_cam, J, 3, where, "3D poses")
        for name, value in (("3D poses", self.poses_cam), ("confidence", self.confidence), ("hidden", self.hidden)):
            if value is not None and value.shape[:2] != self.keypoints_px.shape[:2]:
                raise ValueError(f"{where}: expected {name} of {self.keypoints_px.shape[:2]}, got {value.shape[:2]}")

    def __len__(self) -> int:
        return len(self.keypoints_px)


def check_coordinates(value: Any, J: int, C: int, where: str, what: str) -> Array:
    """Finite coordinates as (T, J, C) float32, T > 0; ``ValueError``, starting with ``where``, for anything else."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{where}: expected {what} as an array of numbers, got {got}")
    if value.ndim != 3 or value.shape[1:] != (J, C) or not len(value):
        raise ValueError(f"{where}: expected {what} of shape (T, {J}, {C}), T > 0, got {value.shape}")
    narrow = finite_float32(value, where, what)
    largest = max(float(narrow.max()), -float(narrow.min()))
    if largest > FARTHEST[C]:
        raise ValueError(f"{where}: expected {what} within {FARTHEST[C]:g} {UNITS[C]}, got {largest:g}")
    return narrow


def finite_float32(values: Array, where: str, what: str = "numbers") -> Array:
    """(T, *) numbers as float32, the same array if they are; ``ValueError`` starting with ``where`` if not finite."""
    with np.errstate(over="ignore"):
        narrow = np.asarray(values).astype(np.float32, copy=False)
    if not np.isfinite(narrow).all():
        frame = int(np.argwhere(~np.isfinite(narrow))[0][0])
        raise ValueError(f"{where}: expected finite {what}, got NaN or infinity in frame {frame}")
    return narrow


def unusual_legs(poses: Array) -> str:
    """What is wrong with the median length of the left leg of (T, 17, 3) metres; nothing of a person's, or all NaN."""
    complete = np.flatnonzero(np.isfinite(poses).all(axis=(1, 2)))
    joints = [H36M_17.index(f"left_{name}") for name in ("hip", "knee", "ankle")]
    hip, knee, ankle = (poses[complete, joint].astype(np.float64) for joint in joints)
    with np.errstate(over="ignore"):
        bones = np.linalg.norm([knee - hip, ankle - knee], axis=-1)
    length = float(np.median(bones.sum(axis=0))) if len(complete) else LEG_M[0]
    if LEG_M[0] <= length <= LEG_M[1]:
        return ""
    return f"expected legs of {LEG_M[0]} to {LEG_M[1]} m, got {length:.3g} m"


class JointErrors(NamedTuple):
    """Errors of one joint's 2D keypoints, or of all joints', in thousandths of the image width."""

    joint: str
    hidden_share: float  # share of frames in which the joint is occluded
    visible: tuple[float, ...] | None  # PERCENTILES where it is visible; None if it never is
    hidden: tuple[float, ...] | None  # and where it is occluded
    mean: float


def count(clips: Sequence[Clip]) -> dict[tuple[str, str], tuple[int, int]]:
    """Clips and frames by subject and first word of the action, sorted."""
    lengths: dict[tuple[str, str], list[int]] = {}
    for clip in clips:
        lengths.setdefault((clip.subject, clip.action.split(" ")[0]), []).append(len(clip))
    return {key: (len(found), sum(found)) for key, found in sorted(lengths.items())}


def detector_errors(clips: Sequence[Clip]) -> list[JointErrors]:
    """Distance of 2D keypoints from projected 3D, by joint and, last, of all; empty without cameras or occlusion."""
    if not clips or any(clip.camera.focal_px is None or clip.hidden is None for clip in clips):
        return []
    error = np.concatenate([_errors_px(clip) * 1000 / clip.camera.width for clip in clips])
    hidden = np.concatenate([np.asarray(clip.hidden) for clip in clips])
    joints: list[tuple[str, Any]] = [(name, j) for j, name in enumerate(H36M_17.names)]
    rows = []
    for joint, columns in [*joints, ("all", slice(None))]:
        e, h = error[:, columns], hidden[:, columns]
        visible, occluded = (tuple(np.percentile(x, PERCENTILES).tolist()) if x.size else None for x in (e[~h], e[h]))
        rows.append(JointErrors(joint, float(h.mean()), visible, occluded, float(e.mean())))
    return rows


def confidence_rank_correlation(clips: Sequence[Clip]) -> float | None:
    """Spearman's rank correlation of confidence and error; None if either is not known."""
    known = [clip for clip in clips if clip.confidence is not None and clip.camera.focal_px is not None]
    if not known:
        return None
    from prpose.metrics import rank_correlation  # imports PyTorch, which clips do not need

    errors = np.concatenate([_errors_px(clip) for clip in known])
    return rank_correlation(errors, np.concatenate([np.asarray(clip.confidence) for clip in known]))


def _errors_px(clip: Clip) -> Array:
    truth = clip.camera.project(clip.poses_cam.astype(np.float64))
    return np.asarray(np.linalg.norm(clip.keypoints_px - truth, axis=-1))
