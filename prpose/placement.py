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


def plane_of(keypoints_px: Array, camera: Camera) -> Tensor:
    """Pixels (*, 2) → the image plane at depth 1, (*, 2) float64; the lens is taken as perfect."""
    focal, center = np.array(camera.focal_px), np.array(camera.center_px)
    return torch.from_numpy((keypoints_px - center) / focal)


def place(
    poses: Tensor, plane: Tensor, weights: Tensor | None = None, iterations: int = 8
) -> Tensor:
    r"""The pelvis's position from which the poses look most like the keypoints.

    .. math:: t = \arg\min_t \sum_j w_j ‖π(X_j + t) - x_j‖²

    From the linear solution (both sides times the depth), by Gauss-Newton.

    Args:
        poses: (*, J, 3) metres, camera axes, relative to the pelvis.
        plane: (*, J, 2) the keypoints, on the image plane at depth 1; broadcasts against the poses.
        weights: (*, J) of the joints, >= 0; equal ones if not given.
        iterations: of Gauss-Newton.

    Returns:
        (*, 3) metres, camera axes, every joint at least :data:`NEAREST_M` away. In float64, as it
        is computed.
    """
    poses, plane = poses.double(), plane.double()
    w = torch.ones_like(poses[..., 0]) if weights is None else weights.double()
    w = w.expand(poses.shape[:-1])
    plane = plane.expand(*poses.shape[:-1], 2)
    nearest = NEAREST_M - poses[..., 2].min(-1).values
    root = _forward(_linear(poses, plane, w), nearest)
    for _ in range(iterations):
        residual, jacobian = _residual(poses, plane, root)
        normal = torch.einsum("...jai,...j,...jak->...ik", jacobian, w, jacobian)
        step = torch.einsum("...jai,...j,...ja->...i", jacobian, w, residual)
        root = _forward(root - _solve(normal, step), nearest)
    return root


def reprojection_errors(poses: Tensor, plane: Tensor, root: Tensor) -> Tensor:
    """Distance of each joint from its keypoint on the image plane, (*, J)."""
    residual, _ = _residual(poses.double(), plane.double(), root.double())
    return residual.norm(dim=-1)


def placement_covariance(
    poses: Tensor, root: Tensor, sigma: Tensor | float, weights: Tensor | None = None
) -> Tensor:
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


def _linear(poses: Tensor, plane: Tensor, w: Tensor) -> Tensor:
    """Least squares of (X + t)_xy = x · (Z + t_z), linear in t."""
    one, zero = torch.ones_like(w), torch.zeros_like(w)
    rows = torch.stack(
        [
            torch.stack([one, zero, -plane[..., 0]], dim=-1),
            torch.stack([zero, one, -plane[..., 1]], dim=-1),
        ],
        dim=-2,
    )  # (*, J, 2, 3)
    right = plane * poses[..., 2:] - poses[..., :2]  # (*, J, 2)
    normal = torch.einsum("...jai,...j,...jak->...ik", rows, w, rows)
    return _solve(normal, torch.einsum("...jai,...j,...ja->...i", rows, w, right))


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


def _solve(normal: Tensor, right: Tensor) -> Tensor:
    return torch.linalg.solve(_regular(normal), right[..., None])[..., 0]


def _regular(normal: Tensor) -> Tensor:
    """The matrix, a trace larger: a person who is a point has no depth, but no crash either."""
    trace = normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None].clamp_min(1e-12)
    return normal + 1e-9 * trace * torch.eye(3, dtype=normal.dtype, device=normal.device)
