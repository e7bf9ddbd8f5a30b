"""Motions before virtual cameras: from a motion to the clips of a data set."""

from dataclasses import dataclass, field

import numpy as np

from prpose.camera import Array, Camera
from prpose.data.clip import Clip
from prpose.data.motion import Motion
from prpose.data.synthetic.cameras import FixedCameras
from prpose.data.synthetic.detector_noise import DetectorNoise
from prpose.data.synthetic.occlusion import Body
from prpose.rng import generator

KEYPOINTS = ("det", "gt")
"""Kinds of 2D: of the simulated detector, and the truth."""


NEAREST_M = 0.1
"""Before a camera; nearer joints have no place in its image."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """A motion as four cameras and a detector saw it.

    Args:
        motion: that was filmed.
        cameras: C of them.
        detected_px: (C, T, 17, 2) float32 pixels.
        confidence: (C, T, 17) float32 confidence in (0, 1).
        hidden: (C, T, 17) bool, joints behind the person's own body.
    """

    motion: Motion
    cameras: tuple[Camera, ...]
    detected_px: Array
    confidence: Array
    hidden: Array

    def clips(self, keypoints: str, frames: slice) -> list[Clip]:
        """One clip per camera, with the detector's 2D (``det``) or the truth (``gt``).

        Raises:
            ValueError: if somebody is not before a camera, or far out of its image.
        """
        return [self._clip(index, keypoints, frames) for index in range(len(self.cameras))]

    def _clip(self, index: int, keypoints: str, frames: slice) -> Clip:
        camera, motion = self.cameras[index], self.motion
        poses = camera.world_to_camera(motion.poses_world.astype(np.float64))
        if poses[..., 2].min() < NEAREST_M:
            raise ValueError(
                f"clip {motion.name}: expected all joints {NEAREST_M} m before camera {index}, "
                f"got one at {poses[..., 2].min():g} m"
            )
        true_px = camera.project(poses)
        detected = keypoints == "det"
        found = self.detected_px[index] if detected else true_px
        return Clip(
            found[frames].astype(np.float32),
            poses[frames].astype(np.float32),
            camera,
            motion.subject,
            motion.action,
            index,
            motion.fps,
            self.confidence[index, frames] if detected else None,
            self.hidden[index, frames],
        )


@dataclass(frozen=True)
class Rig:
    """Where motions are filmed: cameras, the body that hides joints, and the detector."""

    cameras: FixedCameras = field(default_factory=FixedCameras)
    body: Body = field(default_factory=Body)
    detector: DetectorNoise = field(default_factory=DetectorNoise)

    def render(self, motion: Motion, seed: str) -> Rendering:
        """The motion from four fixed cameras; the same motion and seed give the same footage.

        Raises:
            ValueError: naming the clip, if it needs too much space for one person.
        """
        rng = generator(seed, motion.name)
        poses = motion.poses_world.astype(np.float64)
        try:
            cameras = self.cameras.around(poses, yaw=rng.uniform(0, 2 * np.pi))
        except ValueError as error:
            raise ValueError(f"clip {motion.name}: {error}") from None
        seen = np.stack([camera.world_to_camera(poses) for camera in cameras])
        true_px = np.stack([c.project(p) for c, p in zip(cameras, seen, strict=True)])
        hidden = self.body.hidden(seen)
        found, confidence = self.detector.detect(true_px, hidden, motion.fps, rng)
        return Rendering(motion, cameras, found.astype(np.float32), confidence.astype(np.float32), hidden)
