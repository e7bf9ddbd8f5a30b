"""Cameras that film a motion as Human3.6M's filmed theirs: four fixed ones, or random ones."""

from dataclasses import dataclass, replace

import numpy as np

from prpose.camera import Array, Camera, distort, look_at
from prpose.data.human36m import SPLITS, cameras

STEEPEST = 0.6
"""Slope of a ray against the axis, x/z or y/z, beyond which the lens polynomial folds back."""


@dataclass(frozen=True)
class FixedCameras:
    """Human3.6M's four cameras around a clip, with the person in every frame of each.

    Args:
        subjects: intrinsics and lens distortion are those of the first one's cameras; they stand
            where those of all of them do on average.
        frame: joints stay within this share of the half width and height of the image.
        step: by which they are moved away, in times Human3.6M's distance, until they do.
        farthest: times Human3.6M's distance; a clip that needs more is not one person's.
        nearest_m: no joint comes closer along the axis.
        steepest: no joint's ray has a larger slope against the axis.
    """

    subjects: tuple[str, ...] = (*SPLITS["train"], *SPLITS["test"])
    frame: float = 0.95
    step: float = 0.05
    farthest: float = 8.0
    nearest_m: float = 0.5
    steepest: float = STEEPEST

    def around(self, poses_world: Array, yaw: float) -> tuple[Camera, ...]:
        """Four cameras, turned by ``yaw`` as a whole; they look at the middle of the clip's space.

        Args:
            poses_world: (T, 17, 3) metres, z up.
            yaw: radians.

        Raises:
            ValueError: if no distance is far enough.
        """
        low, high = poses_world.min(axis=(0, 1)), poses_world.max(axis=(0, 1))
        middle = (low + high) / 2
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        found = []
        for index, intrinsic in enumerate(cameras(self.subjects[0])):
            places = [cameras(subject)[index].position_m for subject in self.subjects]
            place = np.mean(places, axis=0)
            for scale in np.arange(1, self.farthest, self.step):
                position = np.array([*(middle[:2] + turn @ place[:2] * scale), place[2]])
                camera = _placed(intrinsic, position, middle)
                if self.in_frame(camera, poses_world):
                    found.append(camera)
                    break
            else:
                raise ValueError(f"no camera sees all of a space from {low} to {high} metres")
        return tuple(found)

    def in_frame(self, camera: Camera, poses_world: Array) -> bool:
        """Whether all points (*, 3) lie in front of the camera and well inside its image."""
        points = camera.world_to_camera(poses_world)
        slope = np.abs(points[..., :2]).max(-1) / np.maximum(points[..., 2], 1e-9)
        if points[..., 2].min() <= self.nearest_m or slope.max() > self.steepest:
            return False
        size = np.array([camera.width, camera.height])
        return bool((np.abs(camera.project(points) / size * 2 - 1) <= self.frame).all())


def _placed(intrinsic: Camera, position: Array, target: Array) -> Camera:
    return replace(
        intrinsic,
        orientation=quaternion(look_at(position, target)),
        position_m=(float(position[0]), float(position[1]), float(position[2])),
    )


def quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """Unit quaternion (w, x, y, z) of a rotation matrix (3, 3)."""
    # The largest of the four squares is divided by, so that nothing small is.
    trace = np.trace(rotation)
    squares = np.array([trace, *np.diag(rotation)])
    i = int(np.argmax(squares))
    q = np.empty(4)
    if i == 0:
        q[0] = 1 + trace
        q[1:] = [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0],
                 rotation[1, 0] - rotation[0, 1]]  # fmt: skip
    else:
        a = i - 1
        b, c = (a + 1) % 3, (a + 2) % 3
        q[0] = rotation[c, b] - rotation[b, c]
        q[1 + a] = 1 + rotation[a, a] - rotation[b, b] - rotation[c, c]
        q[1 + b] = rotation[a, b] + rotation[b, a]
        q[1 + c] = rotation[a, c] + rotation[c, a]
    q /= np.linalg.norm(q)
    w, x, y, z = (float(value) for value in (q if q[0] >= 0 else -q))
    return w, x, y, z


@dataclass(frozen=True)
class RandomCameras:
    """A camera per window, like Human3.6M's but anywhere around the person.

    Args:
        distance_m, height_m: ranges, uniform; height above the ground.
        offset: how far from the middle of the image the pelvis may be, in half image widths.
        roll_deg: standard deviation.
        zoom: standard deviation of the logarithm of the focal length's change.
    """

    distance_m: tuple[float, float] = (3.5, 9.0)
    height_m: tuple[float, float] = (1.0, 2.2)
    offset: float = 0.45
    roll_deg: float = 1.0
    zoom: float = 0.02

    def render(self, poses_world: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Windows (N, F, J, 3) in the world, seen by a new camera each.

        Returns:
            poses_cam (N, F, J, 3), metres, camera axes; keypoints_px (N, F, J, 2); image sizes
            (N, 2), width and height.
        """
        N, F = poses_world.shape[:2]
        pelvis = poses_world[:, F // 2, 0]
        angle = rng.uniform(0, 2 * np.pi, N)
        distance = rng.uniform(*self.distance_m, size=(N, 1))
        position = pelvis + distance * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
        position[:, 2] = rng.uniform(*self.height_m, size=N)
        which = rng.integers(4, size=N)
        intrinsics = cameras("S1")
        focal = np.array([camera.focal_px for camera in intrinsics])[which]
        center = np.array([camera.center_px for camera in intrinsics])[which]
        radial = np.array([camera.radial for camera in intrinsics])[which]
        tangential = np.array([camera.tangential for camera in intrinsics])[which]
        size = np.array([(camera.width, camera.height) for camera in intrinsics])[which]
        focal = focal * np.exp(self.zoom * rng.standard_normal((N, 1)))
        roll = np.deg2rad(self.roll_deg) * rng.standard_normal(N)
        rotation = look_at(position, pelvis, roll)
        # Off the optical axis by turning the camera, not by shifting the picture.
        aside = rng.uniform(-self.offset, self.offset, (N, 2)) * size / 2 / focal
        target = pelvis + distance * np.einsum("nij,nj->ni", rotation[..., :2], aside)
        rotation = look_at(position, target, roll)
        poses_cam = np.einsum("nftk,nkj->nftj", poses_world - position[:, None, None], rotation)
        xy = poses_cam[..., :2] / np.maximum(poses_cam[..., 2:], 0.1)
        along = (slice(None), None, None)
        distorted = distort(np.clip(xy, -STEEPEST, STEEPEST), radial[along], tangential[along])
        return poses_cam, distorted * focal[along] + center[along], size
