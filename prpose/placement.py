"""Where in front of the camera somebody is: root-relative poses to camera space, by reprojection.

Points on the image plane at depth 1 are meant throughout: (pixels - centre) / focal length.
"""

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array, Camera

NEAREST_M = 0.3
"""Least depth of a joint."""

FARTHEST_M = 1e4
"""Nobody who is seen is farther away; a pose that is a point could be anywhere."""

ENOUGH_M = 1e-9
"""Gauss-Newton stops at steps of less; float32 knows no such difference at any distance."""


def plane_of(keypoints_px: Array, camera: Camera) -> Tensor:
    """Pixels (*, 2) → the image plane at depth 1, (*, 2) float64; the lens is taken as perfect."""
    focal, center = np.array(camera.focal_px), np.array(camera.center_px)
    return torch.from_numpy((keypoints_px - center) / focal)


def place(poses: Tensor, plane: Tensor, weights: Tensor | None = None, iterations: int = 8) -> Tensor:
    r"""The pelvis's position from which the poses look most like the keypoints.

    .. math:: t = \arg\min_t \sum_j w_j ‖π(X_j + t) - x_j‖²

    From the linear solution (both sides times the depth), by Gauss-Newton.

    Args:
        poses: (*, J, 3) metres, camera axes, relative to the pelvis.
        plane: (*, J, 2) the keypoints, on the image plane at depth 1; broadcasts against the poses.
        weights: (*, J) of the joints, >= 0; equal ones if not given.
        iterations: of Gauss-Newton, at most.

    Returns:
        (*, 3) metres, camera axes, every joint at least :data:`NEAREST_M` away. In float64, as it
        is computed.
    """
    shape = torch.broadcast_shapes(poses.shape[:-1], plane.shape[:-1])
    x, y, z = _planes(poses)
    u, v = (part.expand(shape) for part in _planes(plane))
    w = None if weights is None else weights.double().expand(shape)
    nearest = NEAREST_M - z.min(-1).values
    root = _forward(_linear(x, y, z, u, v, w), nearest)
    for _ in range(iterations):
        step = _step(x, y, z, u, v, w, root)
        root = _forward(root - step, nearest)
        if step.abs().max() < ENOUGH_M:
            break
    return root


def reprojection_errors(poses: Tensor, plane: Tensor, root: Tensor) -> Tensor:
    """Distance of each joint from its keypoint on the image plane, (*, J)."""
    residual, _ = _residual(poses.double(), plane.double(), root.double())
    return residual.norm(dim=-1)


def placement_covariance(poses: Tensor, root: Tensor, sigma: Tensor | float, weights: Tensor | None = None) -> Tensor:
    """How sure :func:`place` is of the root, given how sure the keypoints are, (*, 3, 3) m².

    First order: (JᵀWJ)⁻¹ JᵀWΣWJ (JᵀWJ)⁻¹. It knows nothing of a wrong pose, a wrong size of the
    person or wrong intrinsics; the spread of the hypotheses' own roots adds the first of these.

    Args:
        poses, root, weights: as of :func:`place`.
        sigma: standard deviation of the keypoints on the image plane at depth 1, per axis, a number
            or (*, J).

    Returns:
        Scaled down to :data:`FARTHEST_M` where it is larger.
    """
    poses = poses.double()
    w = torch.ones_like(poses[..., 0]) if weights is None else weights.double()
    _, jacobian = _residual(poses, poses.new_zeros(*poses.shape[:-1], 2), root.double())
    variance = torch.as_tensor(sigma, dtype=torch.float64).expand(poses.shape[:-1]) ** 2
    w = w.expand(poses.shape[:-1])
    bread = torch.einsum("...jai,...j,...jak->...ik", jacobian, w, jacobian)
    meat = torch.einsum("...jai,...j,...jak->...ik", jacobian, w * w * variance, jacobian)
    inverse = torch.linalg.inv(_regular(bread))
    covariance = inverse @ meat @ inverse
    size = covariance.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return covariance * (FARTHEST_M**2 / size.clamp_min(FARTHEST_M**2))


def _planes(points: Tensor) -> tuple[Tensor, ...]:
    """(*, C) → C times (*), float64, each in one piece of memory."""
    return tuple(points.movedim(-1, 0).to(torch.float64).contiguous().unbind(0))


def _linear(x: Tensor, y: Tensor, z: Tensor, u: Tensor, v: Tensor, w: Tensor | None) -> Tensor:
    """Least squares of (X + t)_xy = x · (Z + t_z), linear in t."""
    one = torch.ones_like(x) if w is None else w
    return _solved(one, u, v, one, u * z - x, v * z - y)


def _step(x: Tensor, y: Tensor, z: Tensor, u: Tensor, v: Tensor, w: Tensor | None, root: Tensor) -> Tensor:
    """Gauss-Newton's, (*, 3): to be taken off the root."""
    x0, y0, z0 = root[..., None, :].unbind(-1)
    near = 1 / (z + z0)
    seen_x, seen_y = (x + x0) * near, (y + y0) * near
    once = near if w is None else w * near
    return _solved(once * near, seen_x, seen_y, once, seen_x - u, seen_y - v)


def _solved(a: Tensor, p: Tensor, q: Tensor, b: Tensor, right_x: Tensor, right_y: Tensor) -> Tensor:
    r"""Solves a least squares problem whose rows are (1, 0, -p) and (0, 1, -q).

    .. math:: \sum a \begin{pmatrix} 1 & 0 & -p \\ 0 & 1 & -q \\ -p & -q & p² + q²
        \end{pmatrix} t = \sum b \begin{pmatrix} r_x \\ r_y \\ -p r_x - q r_y \end{pmatrix}

    The matrix is made a trace larger: a person who is a point has no depth, but no crash either.
    """
    ap, aq, bx, by = a * p, a * q, b * right_x, b * right_y
    near, far = a.sum(-1), (ap * p + aq * q).sum(-1)
    more = 1e-9 * (2 * near + far).clamp_min(1e-12)
    across, down = ap.sum(-1) / (near + more), aq.sum(-1) / (near + more)
    to_x, to_y = bx.sum(-1), by.sum(-1)
    away = across * to_x + down * to_y - (bx * p + by * q).sum(-1)
    t_z = away / (far + more - (near + more) * (across * across + down * down))
    return torch.stack([to_x / (near + more) + across * t_z, to_y / (near + more) + down * t_z, t_z], dim=-1)


def _residual(poses: Tensor, plane: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """What is off on the image plane, (*, J, 2), and its derivative by the root, (*, J, 2, 3)."""
    points = poses + root[..., None, :]
    seen = points[..., :2] / points[..., 2:]
    near = 1 / points[..., 2]
    zero = torch.zeros_like(near)
    jacobian = torch.stack(
        [
            torch.stack([near, zero, -seen[..., 0] * near], dim=-1),
            torch.stack([zero, near, -seen[..., 1] * near], dim=-1),
        ],
        dim=-2,
    )
    return seen - plane, jacobian


def _forward(root: Tensor, nearest: Tensor) -> Tensor:
    """The root, not so near that a joint would be behind the camera, and not out of this world."""
    root = root.nan_to_num().clamp(-FARTHEST_M, FARTHEST_M)
    return torch.cat([root[..., :2], root[..., 2:].maximum(nearest[..., None])], dim=-1)


def _regular(normal: Tensor) -> Tensor:
    """The matrix, a trace larger: a person who is a point has no depth, but no crash either."""
    trace = normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].clamp_min(1e-12)
    return normal + 1e-9 * trace * torch.eye(3, dtype=normal.dtype, device=normal.device)
