"""Motions in front of synthetic cameras: a rig renders a motion as the clips of a data set."""

from dataclasses import dataclass, field, replace

import numpy as np

from prpose.camera import Array, Camera, look_at
from prpose.data.clip import Clip
from prpose.data.human36m import SUBJECTS, cameras
from prpose.data.motion import Motion
from prpose.data.synthetic.detector_noise import Body, DetectorNoise
from prpose.rng import generator
from prpose.tables import naming

KEYPOINTS = ("det", "gt")  # kinds of 2D: of the simulated detector, and the ground truth
NEAREST_M = 0.1  # least depth of a joint of a clip
STEEPEST = 0.6  # slope of a ray against the axis, x/z or y/z, beyond which the lens polynomial folds back


@dataclass(frozen=True)
class FixedCameras:
    """Human3.6M's four cameras around a clip, with the person in every frame of each."""

    subjects: tuple[str, ...] = SUBJECTS  # lenses are those of the first one's cameras; positions are the average
    frame: float = 0.95  # joints stay within this share of the half width and height of the image
    step: float = 0.05  # cameras are moved away until they do, in multiples of Human3.6M's distance ...
    farthest: float = 8.0  # ... up to this
    nearest_m: float = 0.5  # least depth of a joint
    steepest: float = STEEPEST  # largest slope of its ray against the axis

    def around(self, poses_world: Array, yaw: float) -> tuple[Camera, ...]:
        """Four cameras that look at the middle of (T, 17, 3) poses, turned around it by ``yaw``, radians.

        ``ValueError`` if no distance is far enough.
        """
        low, high = poses_world.min(axis=(0, 1)), poses_world.max(axis=(0, 1))
        middle, found = (low + high) / 2, []
        turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
        for index, intrinsic in enumerate(cameras(self.subjects[0])):
            place = np.mean([cameras(subject)[index].position_m for subject in self.subjects], axis=0)
            for scale in np.arange(1, self.farthest, self.step):
                position = np.array([*(middle[:2] + turn @ place[:2] * scale), place[2]])
                orientation = quaternion(look_at(position, middle))
                x, y, z = position.tolist()
                camera = replace(intrinsic, orientation=orientation, position_m=(x, y, z))
                if self.in_frame(camera, poses_world):
                    found.append(camera)
                    break
            else:
                raise ValueError(f"no camera has all of a space from {low} to {high} metres in its image")
        return tuple(found)

    def in_frame(self, camera: Camera, poses_world: Array) -> bool:
        """Whether all points (*, 3) lie in front of the camera and well inside its image."""
        points = camera.world_to_camera(poses_world)
        slope = np.abs(points[..., :2]).max(-1) / np.maximum(points[..., 2], 1e-9)
        if points[..., 2].min() <= self.nearest_m or slope.max() > self.steepest:
            return False
        size = np.array([camera.width, camera.height])
        return bool((np.abs(camera.project(points) / size * 2 - 1) <= self.frame).all())


def quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """Unit quaternion (w, x, y, z), w >= 0, of a rotation matrix (3, 3).

    SciPy's differs in the last bit, which would change prepared benchmarks, as would a sum of BLAS, whose last bit
    depends on the processor.
    """
    r, d = rotation, np.diag(rotation)
    multiples = np.empty((4, 4))  # of the quaternion, row by row; take the one with the largest factor
    multiples[0, 1:] = multiples[1:, 0] = [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]
    multiples[1:, 1:] = r + r.T
    multiples[np.diag_indices(4)] = [1 + np.trace(r), *(1 + d[i] - d[i - 2] - d[i - 1] for i in range(3))]
    q = multiples[np.argmax([np.trace(r), *d])]
    w, x, y, z = (np.copysign(1, q[0]) * q / np.sqrt((q**2).sum())).tolist()
    return w, x, y, z


@dataclass(frozen=True, eq=False)
class Rendering:
    """A motion in front of C cameras, with the keypoints that a detector finds."""

    motion: Motion
    cameras: tuple[Camera, ...]
    detected_px: Array  # (C, T, 17, 2) float32 pixels
    confidence: Array  # (C, T, 17) float32 in (0, 1)
    hidden: Array  # (C, T, 17) bool, joints that the person's own body occludes

    def clips(self, keypoints: str, frames: slice) -> list[Clip]:
        """One clip per camera, with the detector's 2D (``det``) or the ground truth (``gt``).

        The frame rate is that of ``frames``. ``ValueError`` if a joint is behind a camera.
        """
        motion, detected, clips = self.motion, keypoints == "det", []
        world = motion.poses_world.astype(np.float64)
        for index, camera in enumerate(self.cameras):
            poses = camera.world_to_camera(world)
            nearest = poses[..., 2].min()
            if nearest < NEAREST_M:
                expected = f"expected all joints {NEAREST_M} m in front of camera {index}"
                raise ValueError(f"clip {motion.name}: {expected}, got one at {nearest:g} m")
            xy = (self.detected_px[index] if detected else camera.project(poses))[frames].astype(np.float32)
            named = (motion.subject, motion.action, index, motion.fps / (frames.step or 1))
            confidence = self.confidence[index, frames].copy() if detected else None  # a view would keep the whole file
            poses = poses[frames].astype(np.float32)
            clips.append(Clip(xy, poses, camera, *named, confidence, self.hidden[index, frames].copy()))
        return clips


@dataclass(frozen=True)
class Rig:
    """Cameras around a motion, the body that occludes joints, and the detector."""

    cameras: FixedCameras = field(default_factory=FixedCameras)
    body: Body = field(default_factory=Body)
    detector: DetectorNoise = field(default_factory=DetectorNoise)

    def render(self, motion: Motion, seed: str) -> Rendering:
        """The motion from four fixed cameras; the same motion and seed give the same rendering.

        ``ValueError``, naming the clip, if no camera can be far enough away.
        """
        rng = generator(seed, motion.name)
        poses = motion.poses_world.astype(np.float64)
        with naming(f"clip {motion.name}"):
            cameras = self.cameras.around(poses, yaw=rng.uniform(0, 2 * np.pi))
        poses_cam = np.stack([camera.world_to_camera(poses) for camera in cameras])
        true_px = np.stack([camera.project(each) for camera, each in zip(cameras, poses_cam, strict=True)])
        hidden = self.body.hidden(poses_cam)
        found, confidence = self.detector.detect(true_px, hidden, motion.fps, rng)
        return Rendering(motion, cameras, found.astype(np.float32), confidence.astype(np.float32), hidden)
