"""Cameras: pixels ⇄ normalised, world ⇄ camera, camera → pixels. NumPy in, NumPy out.

Axes: camera x right, y down, z forward, metres. Pixels: origin at the top left corner. Normalised keypoints are in
half image *widths* in both directions: x lies in [-1, 1], y in [-h/w, h/w] (as in VideoPose3D, arXiv 1811.11742).
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tangential = Literal["opencv", "videopose3d"]

# What is assumed of cameras, and standard deviations; docs/video.md has the phones, webcams and data sets behind them.
ASSUMED_FOCAL, ASSUMED_FOCAL_SD = 0.72, 0.22  # unknown focal length over the image diagonal; sd of its logarithm
STATED_FOCAL_SD = 0.05  # sd of the logarithm of a file's: in whole mm, and by the film's diagonal or its width
CENTER_SD = 0.008  # of the principal point from the middle of the image, per axis, over the diagonal


@dataclass(frozen=True)
class Camera:
    """Image size in pixels and, if known, calibration of a camera."""

    width: int
    height: int
    focal_px: tuple[float, float] | None = None  # (fx, fy)
    center_px: tuple[float, float] | None = None  # principal point (cx, cy)
    radial: tuple[float, float, float] = (0.0, 0.0, 0.0)  # distortion (k1, k2, k3), of r², r⁴, r⁶
    tangential: tuple[float, float] = (0.0, 0.0)  # distortion (p1, p2)
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # unit quaternion (w, x, y, z) into the world
    position_m: tuple[float, float, float] = (0.0, 0.0, 0.0)  # camera centre in the world

    def calibrated(self) -> "Camera":
        """The camera; without focal length or centre, with the image diagonal as focal length (CLIFF, ECCV 2022).

        This is for clips of data sets; prediction assumes :data:`ASSUMED_FOCAL` of it.
        """
        if self.focal_px is not None and self.center_px is not None:
            return self
        focal = float(np.hypot(self.width, self.height))
        return replace(self, focal_px=(focal, focal), center_px=(self.width / 2, self.height / 2))

    def lifter_input(self, keypoints_px: Array, framed: bool) -> Array:
        """Keypoints (*, J, 2), pixels → the input of a lifter: of a ``framed`` one :meth:`plane`, else normalised."""
        return self.plane(keypoints_px) if framed else normalise(keypoints_px, self.width, self.height)

    def lifter_unit(self, framed: bool) -> float:
        """Pixels in one unit of :meth:`lifter_input`."""
        return float(np.mean(np.asarray(self.calibrated().focal_px))) if framed else self.width / 2

    def plane(self, keypoints_px: Array) -> Array:
        """Pixels (*, 2) → (x/z, y/z) of their rays, from the principal point; distortion of the lens stays."""
        camera = self.calibrated()
        return np.asarray((keypoints_px - np.asarray(camera.center_px)) / np.asarray(camera.focal_px))

    def intrinsics(self) -> Array:
        """(9,) float32: normalised focal lengths and centre, radial 3, tangential 2; zeros without calibration."""
        if self.focal_px is None or self.center_px is None:
            return np.zeros(9, dtype=np.float32)
        focal = np.asarray(self.focal_px) / self.width * 2
        center = normalise(np.asarray(self.center_px), self.width, self.height)
        return np.concatenate([focal, center, self.radial, self.tangential]).astype(np.float32)

    def project(self, points_cam: Array, tangential: Tangential = "opencv") -> Array:
        """Camera-space points (*, 3), metres → pixels (*, 2), with lens distortion of the Brown-Conrady model.

        ``videopose3d`` is that of ``data_2d_h36m_gt.npz``, which exchanges axes and lacks a factor of 2 (up to 0.7 px).
        """
        if self.focal_px is None or self.center_px is None:
            raise ValueError("expected a calibrated camera, got one without focal length or centre")
        plane = points_cam[..., :2] / points_cam[..., 2:]
        xy = distort(plane, np.asarray(self.radial), np.asarray(self.tangential), tangential)
        return np.asarray(xy * self.focal_px + self.center_px)

    def world_to_camera(self, points_world: Array) -> Array:
        """World points (*, 3), metres → camera axes (*, 3), metres."""
        return (points_world - np.asarray(self.position_m)) @ self._rotation()

    def camera_to_world(self, points_cam: Array) -> Array:
        """Camera-axes points (*, 3), metres → world (*, 3), metres."""
        return points_cam @ self._rotation().T + np.asarray(self.position_m)

    def _rotation(self) -> Array:
        """(3, 3) matrix whose columns are the camera's axes in the world."""
        w, x, y, z = self.orientation
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross)


def tilted_up(pitch_deg: float, roll_deg: float) -> Array:
    """(3,) unit vector, up in the axes of a camera that looks down by ``pitch_deg`` and is turned by ``roll_deg``.

    Roll is clockwise as seen from behind the camera: what stands upright leans to the left of the image.
    """
    pitch, roll = np.deg2rad(pitch_deg), np.deg2rad(roll_deg)
    return np.array([-np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])


def level_rotation(up: Array | None) -> Array:
    """(3, 3), the smallest rotation of camera axes that turns the unit vector ``up`` (3,) to (0, -1, 0); 1 for None."""
    if up is None:
        return np.eye(3)
    if up[1] > 1 - 1e-9:  # upside down: half a turn about the line of sight
        return np.diag([-1.0, -1.0, 1.0])
    x, y, z = np.cross(up, [0.0, -1.0, 0.0])
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 - up[1]))


def distort(xy: Array, radial: Array, coefficients: Array, tangential: Tangential = "opencv") -> Array:
    """Lens distortion of points (x/z, y/z) on the image plane, (*, 2) → (*, 2), as in :meth:`Camera.project`.

    Radial (*, 3) and tangential (*, 2) coefficients broadcast against the points.
    """
    x, y = xy[..., 0], xy[..., 1]
    p1, p2 = coefficients[..., 0], coefficients[..., 1]
    r2 = x**2 + y**2
    scale = 1 + radial[..., 0] * r2 + radial[..., 1] * r2**2 + radial[..., 2] * r2**3
    if tangential == "opencv":
        dx, dy = 2 * p1 * x * y + p2 * (r2 + 2 * x**2), p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    else:
        dx, dy = x * (p1 * x + p2 * y) + p1 * r2, y * (p1 * x + p2 * y) + p2 * r2
    return np.stack([x * scale + dx, y * scale + dy], axis=-1)


def look_at(position: Array, target: Array, roll: Array | float = 0.0) -> Array:
    """Rotation matrix whose columns are the axes of a camera in a z-up world, (*, 3, 3); roll about z, radians."""
    forward = target - position
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    c, s = np.cos(np.asarray(roll))[..., None], np.sin(np.asarray(roll))[..., None]
    return np.stack([c * right + s * down, c * down - s * right, forward], axis=-1)


def normalise(keypoints_px: Array, width: int, height: int) -> Array:
    """Pixels (*, 2) → normalised (*, 2): x in [-1, 1], y in [-h/w, h/w]."""
    if width <= 0 or height <= 0:
        raise ValueError(f"expected a positive image size, got {width} x {height}")
    return np.asarray(keypoints_px / width * 2 - [1, height / width])
