"""A simulated 2D keypoint detector: where it errs, how far, and how sure it says it is.

Errors follow the taxonomy of Ronchi & Perona (Benchmarking and Error Diagnosis in Multi-Instance
Pose Estimation, ICCV 2017): jitter around the joint, inversion (left and right exchanged), and
misses; a hidden joint suffers more of all of them. Everything is correlated in time, as it is in a
video, and drawn from a generator that the caller gives.
"""

from dataclasses import dataclass

import numpy as np
import torch

from prpose.camera import Array
from prpose.skeleton import H36M_17

COCO_SIGMA = {
    **dict.fromkeys(("left_shoulder", "right_shoulder"), 0.079),
    **dict.fromkeys(("left_elbow", "right_elbow"), 0.072),
    **dict.fromkeys(("left_wrist", "right_wrist"), 0.062),
    **dict.fromkeys(("left_hip", "right_hip"), 0.107),
    **dict.fromkeys(("left_knee", "right_knee"), 0.087),
    **dict.fromkeys(("left_ankle", "right_ankle"), 0.089),
    "pelvis": 0.107 / 2**0.5,  # the middle of two hips, each off on its own
    "thorax": 0.079 / 2**0.5,  # the middle of two shoulders
    "spine": 0.079,  # not in COCO: as a shoulder
    "neck": 0.035,  # Human3.6M's neck/nose point: as COCO's ears
    "head": 0.035,
}
"""Spread of human annotations by joint, in units of the person's size (COCO's keypoint constants,
cocodataset.org/#keypoints-eval)."""

LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
"""Exchanged as a whole when left and right are taken for each other."""


@dataclass(frozen=True)
class DetectorNoise:
    """Parameters of the simulated detector.

    ``jitter`` makes the mean error on cmu17 that of HRNet-W48 on Human3.6M, in units of the person
    (MMPose's model zoo: 7.36 px, people there being some 1.2 times as large in the image as here).
    The others are choices within what the error taxonomy above describes; docs/data.md shows the
    distribution that comes of them.

    ``overlap`` is some three times COCO's sigma of a hip; ``peak`` and ``doubt`` put the rank
    correlation of confidence and error near −0.5.

    Args:
        jitter: standard deviation, per axis, of a visible joint's error over COCO's sigma.
        hidden: how many times larger the jitter of a joint is that the camera cannot see.
        tail: standard deviation of the logarithm of the jitter's momentary scale: 0 is Gaussian.
        inversion: chance that a limb is taken for its opposite where the two overlap in the image;
            it falls as they part.
        overlap: how far apart they are, in units of the person's size, where that chance has
            fallen to 1/e.
        grab, grab_hidden: chance that a single joint is found at its opposite, visible or hidden.
        grab_width: how many times wider a grabbed joint's heatmap is: the confidence knows of it.
        peak: how fast the confidence falls with the width of the heatmap.
        doubt: standard deviation of the logarithm of what the confidence knows nothing of.
        jitter_s, event_s: time constants of the jitter and of inversions, grabs and scale.
    """

    jitter: float = 0.30
    hidden: float = 2.5
    tail: float = 0.5
    inversion: float = 0.04
    overlap: float = 0.25
    grab: float = 0.002
    grab_hidden: float = 0.03
    grab_width: float = 2.0
    peak: float = 0.4
    doubt: float = 0.4
    jitter_s: float = 0.1
    event_s: float = 0.25

    def detect(self, keypoints_px: Array, hidden: Array, fps: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """What the detector reports for tracks whose true keypoints are given.

        Args:
            keypoints_px: (*, T, 17, 2) pixels.
            hidden: (*, T, 17) bool, as of :class:`prpose.data.synthetic.occlusion.Body`.
            fps: frames per second.
            rng: source of all randomness.

        Returns:
            keypoints_px (*, T, 17, 2), and their confidence (*, T, 17) in (0, 1).
        """
        shape = keypoints_px.shape[:-1]
        size = person_size(keypoints_px)[..., None]  # (*, T, 1)
        sigma = np.array([COCO_SIGMA[name] for name in H36M_17.names])
        swing = self.tail * correlated(rng, shape, fps, self.event_s)
        factor = np.where(hidden, self.hidden, 1.0) * np.exp(swing - self.tail**2)
        spread = self.jitter * sigma * size * factor  # (*, T, J)
        noise = correlated(rng, (*shape, 2), fps, self.jitter_s, time_axis=-3)
        source = keypoints_px
        for limb in LIMBS:
            source = self._exchange(source, limb, size, fps, rng)
        grabbed = self._grabbed(hidden, fps, rng)
        source = np.where(grabbed[..., None], source[..., H36M_17.mirror, :], source)
        found = source + spread[..., None] * noise
        # A heatmap's peak falls with its width; it knows of a grab a little, of an inversion
        # nothing.
        width = factor * np.exp(self.doubt * rng.standard_normal(shape))
        width = width * np.where(grabbed, self.grab_width, 1)
        return found, 1 / (1 + (self.peak * width) ** 2)

    def _exchange(
        self,
        keypoints_px: Array,
        limb: tuple[str, ...],
        size: Array,
        fps: float,
        rng: np.random.Generator,
    ) -> Array:
        """Left for right, for whole limbs at a time."""
        left, right = (H36M_17.subset([f"{side}_{j}" for j in limb]) for side in ("left", "right"))
        apart = keypoints_px[..., left, :] - keypoints_px[..., right, :]
        apart = np.linalg.norm(apart, axis=-1).mean(-1) / size[..., 0]  # (*, T)
        chance = self.inversion * np.exp(-((apart / self.overlap) ** 2))
        swapped = happens(chance, correlated(rng, apart.shape, fps, self.event_s, time_axis=-1))
        exchanged = keypoints_px.copy()
        exchanged[..., [*left, *right], :] = keypoints_px[..., [*right, *left], :]
        return np.where(swapped[..., None, None], exchanged, keypoints_px)

    def _grabbed(self, hidden: Array, fps: float, rng: np.random.Generator) -> Array:
        """Joints found at their opposite; those on the midline have none."""
        sided = np.array(H36M_17.mirror) != np.arange(len(H36M_17))
        chance = np.where(hidden, self.grab_hidden, self.grab) * sided
        return happens(chance, correlated(rng, hidden.shape, fps, self.event_s))


BOX = 1.25
"""Of a person's box over that of the keypoints: the padding of top-down detectors (Xiao et al.,
Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018)."""

BODY_SHARE = 0.53
"""Of a person's box that is body, as COCO-style evaluations take it where there is no mask
(MMPose's AP on data sets without areas)."""

THINNEST = 0.25
"""A box is at least so wide for its height, and high for its width: our choice, for people seen
edge-on."""


def person_size(keypoints_px: Array) -> Array:
    """COCO's scale s of a person, the root of the area, (*, J, 2) → (*) pixels."""
    extent = keypoints_px.max(axis=-2) - keypoints_px.min(axis=-2)
    extent = np.maximum(extent, THINNEST * extent.max(axis=-1, keepdims=True))
    return np.asarray(np.sqrt(BODY_SHARE * (BOX * extent).prod(axis=-1)))


def happens(chance: Array, normal: Array) -> Array:
    """Events of the given chances, driven by standard-normal values: correlated if those are."""
    uniform = torch.special.ndtr(torch.from_numpy(np.ascontiguousarray(normal))).numpy()
    return np.asarray(uniform < chance)


def correlated(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    fps: float,
    time_constant_s: float,
    time_axis: int = -2,
) -> Array:
    """Standard-normal noise with correlation exp(-Δt/τ) along the time axis: AR(1)."""
    noise = np.moveaxis(rng.standard_normal(shape), time_axis, 0)
    keep = np.exp(-1 / (fps * time_constant_s)) if time_constant_s > 0 else 0.0
    fresh = np.sqrt(1 - keep**2)
    for t in range(1, len(noise)):
        noise[t] = keep * noise[t - 1] + fresh * noise[t]
    return np.moveaxis(noise, 0, time_axis)
