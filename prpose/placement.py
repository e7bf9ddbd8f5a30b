"""Placement: the pelvis's position in camera space, by reprojection of root-relative poses.

The image plane is that at depth 1: (pixels - centre) / focal length.
"""

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array, Camera
from prpose.skeleton import H36M_17

NEAREST_M = 0.3  # least depth of a joint
FARTHEST_M = 1e4  # largest distance of the pelvis; that of a pose whose keypoints coincide is undetermined
STRAIGHT_KNEE = 0.766  # cosine of the largest bend, 40 degrees, of the knees of people who stand; lifted ones are bent
STRAIGHT_TRUNK = 0.866  # ... and, 30 degrees, of their trunk against the legs
ENOUGH_M = 1e-9  # Gauss-Newton stops at smaller steps, which are below float32's resolution


def plane_of(keypoints_px: Array, camera: Camera) -> Tensor:
    """Pixels (*, 2) → the image plane, (*, 2) float64; lens distortion is ignored."""
    return torch.from_numpy((keypoints_px - np.array(camera.center_px)) / np.array(camera.focal_px))


def place(poses: Tensor, plane: Tensor, weights: Tensor | None = None, iterations: int = 8) -> Tensor:
    r"""The pelvis's position with the smallest reprojection error, (*, 3) float64, camera axes, metres.

    .. math:: t = \arg\min_t \sum_j w_j ‖π(X_j + t) - x_j‖²

    Gauss-Newton from the linear solution (both sides multiplied by the depth); every joint is :data:`NEAREST_M` away.

    Args:
        poses: (*, J, 3) metres, camera axes, relative to the pelvis.
        plane: (*, J, 2) the keypoints, on the image plane; broadcasts against the poses.
        weights: (*, J) of the joints, >= 0. Default: equal ones.
    """
    shape = np.broadcast_shapes(poses.shape[:-1], plane.shape[:-1])  # torch's would import SymPy, for a second
    x, y, z = _coordinates(poses)
    u, v = (part.expand(shape) for part in _coordinates(plane))
    w = torch.ones_like(x) if weights is None else weights.double().expand(shape)
    nearest = NEAREST_M - z.min(-1).values
    root = _bounded(_solved(w, u, v, w, u * z - x, v * z - y), nearest)
    for _ in range(iterations):
        x0, y0, z0 = root[..., None, :].unbind(-1)
        near = 1 / (z + z0)
        seen_x, seen_y = (x + x0) * near, (y + y0) * near
        once = w * near
        step = _solved(once * near, seen_x, seen_y, once, seen_x - u, seen_y - v)
        root = _bounded(root - step, nearest)
        if step.abs().max() < ENOUGH_M:
            break
    return root


def reprojection_errors(poses: Tensor, plane: Tensor, root: Tensor) -> Tensor:
    """Distance of each joint from its keypoint on the image plane, (*, J)."""
    points = poses.double() + root.double()[..., None, :]
    return (points[..., :2] / points[..., 2:] - plane.double()).norm(dim=-1)


def placement_covariance(poses: Tensor, root: Tensor, sigma: Tensor | float, weights: Tensor | None = None) -> Tensor:
    """Covariance of the root from that of the keypoints, (*, 3, 3) m².

    First order: (JᵀWJ)⁻¹ JᵀWΣWJ (JᵀWJ)⁻¹, scaled down to :data:`FARTHEST_M` where it is larger. Errors of the pose, of
    the person's size and of the intrinsics are not included; the spread of the samples' own roots adds the first.

    ``sigma`` is the standard deviation of the keypoints per axis of the image plane, a number or (*, J).
    """
    poses = poses.double()
    w = torch.ones_like(poses[..., 0]) if weights is None else weights.double().expand(poses.shape[:-1])
    jacobian = _jacobian(poses + root.double()[..., None, :])
    variance = torch.as_tensor(sigma, dtype=torch.float64).expand(poses.shape[:-1]) ** 2
    bread = torch.einsum("...jai,...j,...jak->...ik", jacobian, w, jacobian)
    meat = torch.einsum("...jai,...j,...jak->...ik", jacobian, w * w * variance, jacobian)
    # A larger trace keeps the matrix regular where keypoints coincide, so that the depth is undetermined.
    trace = bread.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].clamp_min(1e-12)
    inverse = torch.linalg.inv(bread + 1e-9 * trace * torch.eye(3).to(bread))
    covariance = inverse @ meat @ inverse
    size = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return covariance * (FARTHEST_M**2 / size.clamp_min(FARTHEST_M**2))


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


def _coordinates(points: Tensor) -> tuple[Tensor, ...]:
    """(*, C) → C contiguous (*), float64."""
    return tuple(points.movedim(-1, 0).to(torch.float64).contiguous().unbind(0))


def _solved(a: Tensor, p: Tensor, q: Tensor, b: Tensor, right_x: Tensor, right_y: Tensor) -> Tensor:
    r"""Solves a least squares problem whose rows are (1, 0, -p) and (0, 1, -q), (*, J) → (*, 3).

    .. math:: \sum a \begin{pmatrix} 1 & 0 & -p \\ 0 & 1 & -q \\ -p & -q & p² + q²
        \end{pmatrix} t = \sum b \begin{pmatrix} r_x \\ r_y \\ -p r_x - q r_y \end{pmatrix}

    A small multiple of the trace is added: keypoints that coincide make the matrix singular.
    """
    ap, aq, bx, by = a * p, a * q, b * right_x, b * right_y
    near, far = a.sum(-1), (ap * p + aq * q).sum(-1)
    more = 1e-9 * (2 * near + far).clamp_min(1e-12)
    across, down = ap.sum(-1) / (near + more), aq.sum(-1) / (near + more)
    to_x, to_y = bx.sum(-1), by.sum(-1)
    away = across * to_x + down * to_y - (bx * p + by * q).sum(-1)
    t_z = away / (far + more - (near + more) * (across * across + down * down))
    return torch.stack([to_x / (near + more) + across * t_z, to_y / (near + more) + down * t_z, t_z], dim=-1)


def _jacobian(points: Tensor) -> Tensor:
    """Derivative of the points' projections by the root, (*, J, 3) → (*, J, 2, 3)."""
    near = 1 / points[..., 2:]
    x, y = (-(points[..., :2] / points[..., 2:]) * near).unsqueeze(-1).unbind(-2)
    zero = torch.zeros_like(near)
    return torch.stack([torch.cat([near, zero, x], dim=-1), torch.cat([zero, near, y], dim=-1)], dim=-2)


def _bounded(root: Tensor, nearest: Tensor) -> Tensor:
    root = root.nan_to_num().clamp(-FARTHEST_M, FARTHEST_M)
    return torch.cat([root[..., :2], root[..., 2:].maximum(nearest[..., None])], dim=-1)
