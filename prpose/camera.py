"""Cameras: pixels ⇄ normalised, world ⇄ camera, camera → pixels. NumPy in, NumPy out.

Axes: camera x right, y down, z forward, metres. Pixels: origin at the top left corner. Normalised keypoints are in
half image *widths* in both directions: x lies in [-1, 1], y in [-h/w, h/w] (as in VideoPose3D, arXiv 1811.11742).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tangential = Literal["opencv", "videopose3d"]


@dataclass(frozen=True)
class Camera:
    """Image size and, if known, calibration of a camera.

    Args:
        width, height: image size in pixels.
        focal_px: focal lengths (fx, fy) in pixels.
        center_px: principal point (cx, cy) in pixels.
        radial: radial distortion (k1, k2, k3), of r², r⁴, r⁶.
        tangential: tangential distortion (p1, p2).
        orientation: unit quaternion (w, x, y, z) that rotates camera axes to world axes.
        position_m: camera centre in the world, metres.
    """

    width: int
    height: int
    focal_px: tuple[float, float] | None = None
    center_px: tuple[float, float] | None = None
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def intrinsics(self) -> Array:
        """(9,) float32: normalised focal lengths and centre, radial 3, tangential 2.

        All zeros for an uncalibrated camera.
        """
        if self.focal_px is None or self.center_px is None:
            return np.zeros(9, dtype=np.float32)
        focal = np.asarray(self.focal_px) / self.width * 2
        center = normalise(np.asarray(self.center_px), self.width, self.height)
        values = np.concatenate([focal, center, self.radial, self.tangential])
        return values.astype(np.float32)

    def project(self, points_cam: Array, tangential: Tangential = "opencv") -> Array:
        """Camera-space points (*, 3), metres → pixels (*, 2), lens distortion included.

        Args:
            tangential: ``opencv`` is the Brown-Conrady model. ``videopose3d`` reproduces the field's
                ``data_2d_h36m_gt.npz``: it exchanges the coefficients' axes and lacks a factor of two (up to 0.7 px on
                Human3.6M).

        Raises:
            ValueError: if the camera is not calibrated.
        """
        if self.focal_px is None or self.center_px is None:
            raise ValueError("expected a calibrated camera, got one without focal length or centre")
        xy = points_cam[..., :2] / points_cam[..., 2:]
        xy = distort(xy, np.asarray(self.radial), np.asarray(self.tangential), tangential)
        return np.asarray(xy * self.focal_px + self.center_px)

    def world_to_camera(self, points_world: Array) -> Array:
        """World points (*, 3), metres → camera axes (*, 3), metres."""
        return (points_world - np.asarray(self.position_m)) @ self._rotation()

    def camera_to_world(self, points_cam: Array) -> Array:
        """Camera-axes points (*, 3), metres → world (*, 3), metres."""
        return points_cam @ self._rotation().T + np.asarray(self.position_m)

    def _rotation(self) -> Array:
        """(3, 3) matrix whose columns are the camera's axes in the world."""
        w, *v = self.orientation
        x, y, z = v
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross)


def distort(xy: Array, radial: Array, coefficients: Array, tangential: Tangential = "opencv") -> Array:
    """Lens distortion of points on the image plane at depth 1, (*, 2) → (*, 2).

    Args:
        xy: (*, 2), x/z and y/z.
        radial: (*, 3), of r², r⁴, r⁶; broadcasts against the points.
        coefficients: (*, 2) tangential ones, p1 and p2.
        tangential: as in :meth:`Camera.project`.
    """
    x, y = xy[..., 0], xy[..., 1]
    p1, p2 = coefficients[..., 0], coefficients[..., 1]
    r2 = x**2 + y**2
    scale = 1 + radial[..., 0] * r2 + radial[..., 1] * r2**2 + radial[..., 2] * r2**3
    if tangential == "opencv":
        dx = 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
        dy = p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    else:
        dx = x * (p1 * x + p2 * y) + p1 * r2
        dy = y * (p1 * x + p2 * y) + p2 * r2
    return np.stack([x * scale + dx, y * scale + dy], axis=-1)


def look_at(position: Array, target: Array, roll: Array | float = 0.0) -> Array:
    """Rotation matrix whose columns are a camera's axes in a z-up world, (*, 3) and (*, 3) → (*, 3, 3).

    Args:
        position: of the camera.
        target: a point on its optical axis, not vertically above or below it.
        roll: about the optical axis, radians.
    """
    forward = target - position
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    c, s = np.cos(np.asarray(roll))[..., None], np.sin(np.asarray(roll))[..., None]
    return np.stack([c * right + s * down, c * down - s * right, forward], axis=-1)


def normalise(keypoints_px: Array, width: int, height: int) -> Array:
    """Pixels (*, 2) → normalised (*, 2): x in [-1, 1], y in [-h/w, h/w]."""
    _check_size(width, height)
    return np.asarray(keypoints_px / width * 2 - [1, height / width])


def denormalise(keypoints: Array, width: int, height: int) -> Array:
    """Normalised (*, 2) → pixels (*, 2); the inverse of :func:`normalise`."""
    _check_size(width, height)
    return np.asarray((keypoints + np.array([1, height / width])) * width / 2)


def _check_size(width: int, height: int) -> None:
    if width <= 0 or height <= 0:
        raise ValueError(f"expected a positive image size, got {width} x {height}")
