"""A simulated 2D keypoint detector: joints that the body occludes, errors of the keypoints, and confidence.

Errors follow the taxonomy of Ronchi & Perona (Benchmarking and Error Diagnosis in Multi-Instance Pose
Estimation, ICCV 2017): jitter around the joint, inversion (left and right exchanged), and misses; an
occluded joint has more of all of them. Everything is correlated in time, as it is in a video.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from prpose.camera import Array
from prpose.layouts import COCO_SIGMA, person_size
from prpose.skeleton import H36M_17

WHOLE_LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))  # exchanged as a whole by an inversion

Capsule = tuple[str, str, float]  # a segment between two joints, with a radius in metres

# Radii: mean circumferences of the ANSUR II survey (Gordon et al., 2014, men and women) divided by 2π, rounded;
# of the trunk, which is flat, half its depth.
TRUNK: tuple[Capsule, ...] = (
    *(("pelvis", "thorax", 0.12), ("left_hip", "right_hip", 0.10), ("left_shoulder", "right_shoulder", 0.09)),
)
POSES_AT_ONCE = 64  # whose distances from all capsules fit the cache
PAIRS = (("hip", "knee", 0.08), ("knee", "ankle", 0.05), ("shoulder", "elbow", 0.05), ("elbow", "wrist", 0.04))
CAPSULES = (
    *(*TRUNK, ("neck", "head", 0.09)),
    *((f"{side}_{upper}", f"{side}_{lower}", radius) for upper, lower, radius in PAIRS for side in ("left", "right")),
)


@dataclass(frozen=True)
class Body:
    """A body of capsules on Human3.6M-17, which occludes its own joints.

    A joint is hidden if the line of sight to it passes through a capsule that does not end at it.
    """

    capsules: tuple[Capsule, ...] = CAPSULES
    trunk: tuple[Capsule, ...] = TRUNK  # those of the capsules that make the trunk
    inside: tuple[str, ...] = ("pelvis", "spine", "thorax")  # joints inside the trunk, which it does not hide
    clearance_m: float = 0.15  # the line of sight ends so far in front of the joint, at its own surface

    def hidden(self, poses_cam: Array) -> Array:
        """Joints hidden from the camera at the origin, (*, 17, 3) metres in camera axes → (*, 17) bool."""
        poses = poses_cam.reshape(-1, *poses_cam.shape[-2:])
        parts = np.split(poses, range(POSES_AT_ONCE, len(poses), POSES_AT_ONCE))
        return np.concatenate([self._hidden(part) for part in parts]).reshape(poses_cam.shape[:-1])

    def _hidden(self, poses_cam: Array) -> Array:
        starts, ends = (np.array(H36M_17.subset(names)) for names in list(zip(*self.capsules, strict=True))[:2])
        radii = np.array([radius for _, _, radius in self.capsules])
        distance = np.linalg.norm(poses_cam, axis=-1)
        share = np.clip(1 - self.clearance_m / np.maximum(distance, 1e-9), 0, 1)
        sight = poses_cam * share[..., None]
        gap = segment_distances(sight, poses_cam[..., starts, :], poses_cam[..., ends, :])
        joints = np.arange(len(H36M_17))[:, None]
        inside = np.isin(joints, H36M_17.subset(self.inside)) & [capsule in self.trunk for capsule in self.capsules]
        own = (joints == starts) | (joints == ends) | inside  # (J, capsules)
        return np.asarray(((gap < radii) & ~own).any(axis=-1))


def segment_distances(tips: Array, starts: Array, ends: Array) -> Array:
    """Distances between N segments, from the origin to ``tips``, and M segments, from ``starts`` to ``ends``.

    (*, N, 3), (*, M, 3) and (*, M, 3) → (*, N, M), metres, float64. After Ericson, Real-Time Collision Detection, 2005,
    §5.1.9; the squared distance is expanded, so that only scalars depend on both N and M.
    """
    along = ends - starts
    a = (tips * tips).sum(-1)[..., :, None]
    e = np.maximum((along * along).sum(-1), 1e-12)[..., None, :]
    f = -(along * starts).sum(-1)[..., None, :]
    g = (starts * starts).sum(-1)[..., None, :]
    b, c = tips @ along.swapaxes(-1, -2), -tips @ starts.swapaxes(-1, -2)
    parallel = a * e - b * b
    s = np.clip((b * f - c * e) / np.where(parallel > 1e-12, parallel, 1), 0, 1)
    t = np.clip((b * s + f) / e, 0, 1)
    s = np.clip((b * t - c) / np.maximum(a, 1e-12), 0, 1)
    squared = s * (s * a + 2 * (c - t * b)) + t * (t * e - 2 * f) + g
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


@dataclass(frozen=True)
class DetectorNoise:
    """Parameters of the simulated detector.

    ``jitter`` makes the mean error on cmu17 that of HRNet-W48 on Human3.6M, in units of the person (MMPose's
    model zoo: 7.36 px, where people are some 1.2 times as large in the image as here). ``overlap`` is some
    three times COCO's sigma of a hip; ``peak`` and ``confidence_noise`` give a rank correlation of confidence
    and error near -0.5. The others are choices within the taxonomy above; docs/data.md shows the errors.
    """

    jitter: float = 0.30  # standard deviation, per axis, of a visible joint's error over COCO's sigma
    hidden: float = 2.5  # factor on the jitter of an occluded joint
    tail: float = 0.5  # standard deviation of the logarithm of the jitter's momentary scale; 0 is Gaussian
    inversion: float = 0.04  # probability that limbs are exchanged where left and right coincide in the image
    overlap: float = 0.25  # their distance, in units of the person's size, at which it has fallen to 1/e
    grab: float = 0.002  # probability that a single visible joint is found at its opposite
    grab_hidden: float = 0.03  # ... an occluded one
    grab_width: float = 2.0  # factor on the heatmap's width of such a joint, which lowers its confidence
    peak: float = 0.4  # how fast the confidence falls with the width of the heatmap
    confidence_noise: float = 0.4  # standard deviation of the logarithm of the confidence's own error
    jitter_s: float = 0.1  # time constant of the jitter
    event_s: float = 0.25  # ... of inversions, grabs and scale

    def detect(self, keypoints_px: Array, hidden: Array, fps: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Keypoints that the detector finds, (*, T, 17, 2) pixels, and their confidence, (*, T, 17) in (0, 1).

        ``keypoints_px`` are the true ones, of the same shape; ``hidden`` is as of :meth:`Body.hidden`.
        """
        shape = keypoints_px.shape[:-1]
        size = np.maximum(person_size(keypoints_px), 1e-6)[..., None]  # (*, T, 1); 0 if all are far outside the image
        sigma = np.array([COCO_SIGMA[name] for name in H36M_17.names])
        swing = self.tail * ar1_noise(rng, shape, fps, self.event_s)
        factor = np.where(hidden, self.hidden, 1.0) * np.exp(swing - self.tail**2)
        spread = self.jitter * sigma * size * factor  # (*, T, J)
        noise = ar1_noise(rng, (*shape, 2), fps, self.jitter_s, time_axis=-3)
        source = keypoints_px
        for limb in WHOLE_LIMBS:
            source = self._exchange(source, limb, size, fps, rng)
        sided = np.array(H36M_17.mirror) != np.arange(len(H36M_17))  # joints on the midline have no opposite
        chance = np.where(hidden, self.grab_hidden, self.grab) * sided
        grabbed = ndtr(ar1_noise(rng, hidden.shape, fps, self.event_s)) < chance
        source = np.where(grabbed[..., None], source[..., H36M_17.mirror, :], source)
        found = source + spread[..., None] * noise
        # A heatmap's peak falls with its width, which grows with jitter and grabs but not with inversions.
        width = factor * np.exp(self.confidence_noise * rng.standard_normal(shape))
        width = width * np.where(grabbed, self.grab_width, 1)
        return found, 1 / (1 + (self.peak * width) ** 2)

    def _exchange(
        self, keypoints_px: Array, limb: tuple[str, ...], size: Array, fps: float, rng: np.random.Generator
    ) -> Array:
        """The keypoints with a left and a right limb exchanged now and then."""
        left, right = (H36M_17.subset([f"{side}_{joint}" for joint in limb]) for side in ("left", "right"))
        apart = keypoints_px[..., left, :] - keypoints_px[..., right, :]
        apart = np.linalg.norm(apart, axis=-1).mean(-1) / size[..., 0]  # (*, T)
        probability = self.inversion * np.exp(-((apart / self.overlap) ** 2))
        inverted = ndtr(ar1_noise(rng, apart.shape, fps, self.event_s, time_axis=-1)) < probability
        exchanged = keypoints_px.copy()
        exchanged[..., [*left, *right], :] = keypoints_px[..., [*right, *left], :]
        return np.where(inverted[..., None, None], exchanged, keypoints_px)


def ar1_noise(
    rng: np.random.Generator, shape: tuple[int, ...], fps: float, time_constant_s: float, time_axis: int = -2
) -> Array:
    """Standard-normal noise with correlation exp(-Δt/τ) along the time axis: AR(1)."""
    noise = np.moveaxis(rng.standard_normal(shape), time_axis, 0)
    rho = float(np.exp(-1 / (fps * time_constant_s))) if time_constant_s > 0 else 0.0
    for t in range(1, len(noise)):
        noise[t] = rho * noise[t - 1] + math.sqrt(1 - rho**2) * noise[t]
    return np.moveaxis(noise, 0, time_axis)
