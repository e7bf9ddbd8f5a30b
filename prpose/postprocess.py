"""From samples to one pose per frame, its covariance and its root."""

import math
from collections.abc import Callable

import numpy as np

from prpose.camera import Array, Camera
from prpose.config import InferenceConfig
from prpose.placement import place, placement_covariance, plane_of, reprojection_errors
from prpose.preprocess import Preprocessed

FRAMES_AT_ONCE = 64  # whose S² distances are in memory at once


def mean(poses: Array, weights: Array | None = None) -> Array:
    """Mean over the samples, (S, *, J, 3) → (*, J, 3), with weights (S, *) >= 0 that are equal where all are zero."""
    if weights is None:
        return np.asarray(poses.mean(0))
    total = weights.sum(0)
    share = np.where(total > 0, weights / np.maximum(total, 1e-30), 1 / len(weights)).astype(poses.dtype)
    return np.asarray((share[..., None, None] * poses).sum(0))


def medoid(poses: Array) -> Array:
    """The sample with the least mean joint distance from the others, (S, *, J, 3) → (*, J, 3)."""
    shape, chosen = poses.shape[1:], []
    flat = poses.reshape(len(poses), -1, *shape[-2:])
    for start in range(0, flat.shape[1], FRAMES_AT_ONCE):
        part = flat[:, start : start + FRAMES_AT_ONCE]
        total = np.stack([np.linalg.norm(part - one, axis=-1).mean(-1).sum(0) for one in part])  # (S, n)
        chosen.append(part[total.argmin(0), np.arange(part.shape[1])])
    return np.concatenate(chosen).reshape(shape)


def geometric_median(poses: Array, iterations: int = 32, eps_m: float = 1e-4) -> Array:
    """The point nearest to all samples, joint by joint, (S, *, J, 3) → (*, J, 3).

    Weiszfeld's iteration (Tôhoku Math. J. 1937), with distances of at least ``eps_m``.
    """
    median = poses.mean(0)
    for _ in range(iterations):
        weights = 1 / np.maximum(np.linalg.norm(poses - median, axis=-1, keepdims=True), eps_m)
        median = (weights * poses).sum(0) / weights.sum(0)
    return np.asarray(median)


def reprojection_weights(errors: Array) -> Array:
    """Weights of samples by their reprojection error in any unit, (S, *) → (S, *).

    A Gaussian whose width is the median error over S: a sample of median error weighs 0.6, one of twice that 0.14.
    """
    width = np.maximum(np.median(errors, axis=0), 1e-12)
    return np.asarray(np.exp(-((errors / width) ** 2) / 2))


POINT_ESTIMATES: dict[str, Callable[[Array], Array]]  # functions of the samples alone
POINT_ESTIMATES = {"mean": mean, "medoid": medoid, "geometric_median": geometric_median}


def flags_of(keypoints: Preprocessed, min_confidence: float, outside: Array) -> Array:
    """(T, 17) uint8 flags, as :data:`prpose.prediction.FLAGS` numbers them; ``outside`` is (T,) bool."""
    low = np.False_ if keypoints.confidence is None else keypoints.confidence < min_confidence
    states = [keypoints.missing, keypoints.interpolated, keypoints.exchanged, low, outside[:, None]]
    states = [np.broadcast_to(state, keypoints.missing.shape) for state in states]
    return np.select(states, [np.uint8(flag) for flag in (3, 2, 4, 1, 5)], np.uint8(0))


def assumed_covariance(
    pose: Array, plane: Array, camera: Camera, focal_sd: float, center_sd: float, weights: Array | None = None
) -> Array:
    """The root's covariance from an assumed camera, (T, 3, 3) m²: its shifts by one standard deviation, squared.

    Deviations are as in :func:`summarise`; the pose (T, 17, 3) and the pixels behind the plane (T, 17, 2) are fixed.
    """
    assert camera.focal_px is not None, "a camera of InferenceConfig has one"
    moves = np.diag(center_sd * np.hypot(camera.width, camera.height) / camera.focal_px)[:, None, None]
    ends = [np.concatenate([plane[None] * math.exp(-s * focal_sd), plane + s * moves]) for s in (1, -1)]
    longer, shorter = place(pose, np.stack(ends), weights)  # (3, T, 3) each
    return np.asarray(np.einsum("kti,ktj->tij", longer - shorter, longer - shorter) / 4)


def covariance(points: Array) -> Array:
    """Covariance of the samples, (S, *, 3) → (*, 3, 3) float64, square metres."""
    away = np.moveaxis(points - points.mean(0), -1, 0).astype(np.float64, order="C")
    found = np.empty((*points.shape[1:], 3))
    for i, k in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        found[..., i, k] = found[..., k, i] = (away[i] * away[k]).sum(0) / (len(points) - 1)
    return found


def summarise(
    samples: Array,
    deterministic: Array,
    keypoints_px: Array,
    camera: Camera,
    config: InferenceConfig,
    joint_covariance: Array | None = None,
    camera_sd: tuple[float, float] = (0.0, 0.0),
    present: Array | None = None,
) -> dict[str, Array]:
    """Fields of a prediction from samples (S, T, 17, 3), the pose without noise (T, 17, 3) and keypoints (T, 17, 2).

    The root's covariance is that of the samples' own roots, plus that of the placement given the reprojection error
    of the point estimate, plus that of an assumed camera: ``camera_sd`` are the standard deviations of the logarithm
    of the focal length, to which the depth is nearly proportional, and of the principal point, over the diagonal.
    Without ``joint_covariance``, (T, 17, 3, 3), or where it is NaN, that of the joints is the samples'. Only joints
    that are ``present``, (T, 17) bool, place the root.
    """
    plane = plane_of(keypoints_px, camera)
    weights = None if present is None or present.all() else present.astype(np.float64)
    roots = place(samples, plane, weights)  # (S, T, 3)
    if config.point_estimate == "deterministic":
        pose = deterministic
    elif config.point_estimate == "reprojection_weighted":
        errors = _root_mean_square(reprojection_errors(samples, plane, roots), weights)
        pose = mean(samples, reprojection_weights(errors))
    else:
        pose = POINT_ESTIMATES[config.point_estimate](samples)
    root = place(pose, plane, weights)
    error = _root_mean_square(reprojection_errors(pose, plane, root), weights)[..., None]
    placement = placement_covariance(pose, root, error / 2**0.5, weights)
    placement = placement + assumed_covariance(pose, plane, camera, *camera_sd, weights)
    joints = covariance(samples)
    if joint_covariance is not None:
        joints = np.where(np.isnan(joint_covariance), joints, joint_covariance)
    summary = {"pose": pose, "covariance": joints.astype(np.float32), "root": root.astype(np.float32)}
    summary |= {"root_covariance": (covariance(roots) + placement).astype(np.float32)}
    if config.save_samples != 0:
        summary["samples"] = samples[: config.save_samples]
    return summary


def _root_mean_square(errors: Array, weights: Array | None) -> Array:
    """Over the joints, (*, J) → (*)."""
    squared = errors**2
    return np.asarray(np.sqrt(squared.mean(-1) if weights is None else (weights * squared).sum(-1) / weights.sum(-1)))
