"""Placement: the pelvis's position in camera space, by reprojection of root-relative poses.

The image plane is that at depth 1: (pixels - centre) / focal length.
"""

import math

import numpy as np

from prpose.camera import Array, Camera
from prpose.skeleton import H36M_17

NEAREST_M = 0.3  # least depth of a joint
FARTHEST_M = 1e4  # largest distance of the pelvis; that of a pose whose keypoints coincide is undetermined
STRAIGHT_KNEE = 0.766  # cosine of the largest bend, 40 degrees, of the knees of people who stand; lifted ones are bent
STRAIGHT_TRUNK = 0.866  # ... and, 30 degrees, of their trunk against the legs
ENOUGH_M = 1e-9  # Gauss-Newton stops at smaller steps, which are below float32's resolution
POSES_AT_ONCE = 2048  # whose coordinates fit the cache


def plane_of(keypoints_px: Array, camera: Camera) -> Array:
    """Pixels (*, 2) → the image plane, (*, 2) float64; lens distortion is ignored."""
    return np.asarray((keypoints_px - np.array(camera.center_px)) / np.array(camera.focal_px))


def place(poses: Array, plane: Array, weights: Array | None = None, iterations: int = 8) -> Array:
    r"""The pelvis's position with the smallest reprojection error, (*, 3) float64, camera axes, metres.

    .. math:: t = \arg\min_t \sum_j w_j ‖π(X_j + t) - x_j‖²

    Gauss-Newton from the linear solution (both sides multiplied by the depth); every joint is :data:`NEAREST_M` away.

    Args:
        poses: (*, J, 3) metres, camera axes, relative to the pelvis.
        plane: (*, J, 2) the keypoints, on the image plane; broadcasts against the poses.
        weights: (*, J) of the joints, >= 0. Default: equal ones.
    """
    *leading, J = np.broadcast_shapes(poses.shape[:-1], plane.shape[:-1])
    given = poses, plane, np.ones((J, 1)) if weights is None else weights[..., None]
    joints = [np.broadcast_to(each, (*leading, J, each.shape[-1])) for each in given]
    root = np.empty((math.prod(leading), 3))
    for start in range(0, len(root), POSES_AT_ONCE):
        few = np.arange(start, min(start + POSES_AT_ONCE, len(root)))
        parts = (each[np.unravel_index(few, leading)] if leading else each[None] for each in joints)  # (n, J, C)
        (x, y, z), (u, v), (w,) = (np.ascontiguousarray(part.transpose(2, 1, 0), np.float64) for part in parts)
        root[few] = _placed(x, y, z, u, v, w, iterations).T
    return root.reshape(*leading, 3)


def _placed(x: Array, y: Array, z: Array, u: Array, v: Array, w: Array, iterations: int) -> Array:
    """Gauss-Newton for coordinates (J, N) → (3, N)."""
    nearest = NEAREST_M - z.min(0)
    root = _bounded(_solved(w, u, v, w, u * z - x, v * z - y), nearest)
    for _ in range(iterations):
        near = 1 / (z + root[2])
        seen_x, seen_y = (x + root[0]) * near, (y + root[1]) * near
        once = w * near
        step = _solved(once * near, seen_x, seen_y, once, seen_x - u, seen_y - v)
        root = _bounded(root - step, nearest)
        if np.abs(step).max(initial=0) < ENOUGH_M:
            break
    return root


def reprojection_errors(poses: Array, plane: Array, root: Array) -> Array:
    """Distance of each joint from its keypoint on the image plane, (*, J)."""
    points = poses + root[..., None, :].astype(np.float64)
    return np.asarray(np.linalg.norm(points[..., :2] / points[..., 2:] - plane, axis=-1))


def placement_covariance(poses: Array, root: Array, sigma: Array | float, weights: Array | None = None) -> Array:
    """Covariance of the root from that of the keypoints, (*, 3, 3) m².

    First order: (JᵀWJ)⁻¹ JᵀWΣWJ (JᵀWJ)⁻¹, scaled down to :data:`FARTHEST_M` where it is larger. Errors of the pose, of
    the person's size and of the intrinsics are not included; the spread of the samples' own roots adds the first.

    ``sigma`` is the standard deviation of the keypoints per axis of the image plane, a number or (*, J).
    """
    w = np.ones(poses.shape[:-1]) if weights is None else np.broadcast_to(weights, poses.shape[:-1])
    jacobian = _jacobian(poses + root[..., None, :].astype(np.float64))  # (*, J, 2, 3)
    variance = np.broadcast_to(sigma, poses.shape[:-1]) ** 2

    def summed(weight: Array) -> Array:
        rows = jacobian * weight[..., None, None]
        return np.asarray((rows[..., None] * jacobian[..., None, :]).sum((-4, -3)))

    bread, meat = summed(w), summed(w * w * variance)
    # A larger trace keeps the matrix regular where keypoints coincide, so that the depth is undetermined.
    trace = np.maximum(np.trace(bread, axis1=-2, axis2=-1), 1e-12)[..., None, None]
    inverse = np.linalg.inv(bread + 1e-9 * trace * np.eye(3))
    covariance = inverse @ meat @ inverse
    size = np.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    return np.asarray(covariance * (FARTHEST_M**2 / np.maximum(size, FARTHEST_M**2)))


def standing_up(pose: Array) -> tuple[Array | None, int]:
    """Up in camera axes, (3,) unit vector, by poses (T, 17, 3) that stand; None if none does. And how many do.

    The median over the frames of the directions from the middle of the ankles to the thorax. Who stands has nearly
    straight knees, and legs in line with the trunk.
    """
    pose = pose.astype(np.float64)
    knee, ankle, hip = (
        pose[:, [H36M_17.index(f"{side}_{name}") for side in ("left", "right")]] for name in ("knee", "ankle", "hip")
    )
    thorax, feet = pose[:, H36M_17.index("thorax")], ankle.mean(axis=1)
    stands = (_cosine(hip - knee, knee - ankle).min(axis=1) > STRAIGHT_KNEE) & (_cosine(thorax, -feet) > STRAIGHT_TRUNK)
    if not stands.any():
        return None, 0
    upwards = (thorax - feet)[stands]
    middle = np.median(upwards / np.linalg.norm(upwards, axis=-1, keepdims=True), axis=0)
    return middle / np.linalg.norm(middle), int(stands.sum())


def _cosine(one: Array, other: Array) -> Array:
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return np.asarray((one * other).sum(axis=-1) / np.maximum(lengths, 1e-12))


def _solved(a: Array, p: Array, q: Array, b: Array, right_x: Array, right_y: Array) -> Array:
    r"""Solves a least squares problem whose rows are (1, 0, -p) and (0, 1, -q), (J, N) → (3, N).

    .. math:: \sum a \begin{pmatrix} 1 & 0 & -p \\ 0 & 1 & -q \\ -p & -q & p² + q²
        \end{pmatrix} t = \sum b \begin{pmatrix} r_x \\ r_y \\ -p r_x - q r_y \end{pmatrix}

    A small multiple of the trace is added: keypoints that coincide make the matrix singular.
    """
    ap, aq, bx, by = a * p, a * q, b * right_x, b * right_y
    near, far = a.sum(0), (ap * p + aq * q).sum(0)
    more = 1e-9 * np.maximum(2 * near + far, 1e-12)
    across, down = ap.sum(0) / (near + more), aq.sum(0) / (near + more)
    to_x, to_y = bx.sum(0), by.sum(0)
    away = across * to_x + down * to_y - (bx * p + by * q).sum(0)
    t_z = away / (far + more - (near + more) * (across * across + down * down))
    return np.stack([to_x / (near + more) + across * t_z, to_y / (near + more) + down * t_z, t_z])


def _jacobian(points: Array) -> Array:
    """Derivative of the points' projections by the root, (*, J, 3) → (*, J, 2, 3)."""
    jacobian = np.zeros((*points.shape[:-1], 2, 3))
    near = 1 / points[..., 2]
    jacobian[..., 0, 0] = jacobian[..., 1, 1] = near
    jacobian[..., 2] = -points[..., :2] * (near * near)[..., None]
    return jacobian


def _bounded(root: Array, nearest: Array) -> Array:
    root = np.where(np.isnan(root), 0.0, np.minimum(np.maximum(root, -FARTHEST_M), FARTHEST_M))
    root[2] = np.maximum(root[2], nearest)
    return root
