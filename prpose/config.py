"""How a track becomes poses: every choice, checked, with its default."""

from dataclasses import dataclass

import numpy as np

from prpose.aggregate import AGGREGATES
from prpose.camera import Array, Camera
from prpose.noise_in_time import kept
from prpose.prediction import Kept
from prpose.smooth import SMOOTHERS
from prpose.tables import look_up

SINGLE, REPROJECTION = "single", "reprojection-weighted"
CHOICES = (SINGLE, *AGGREGATES, REPROJECTION)
"""Ways to come to one pose: the lifter's own answer, or of many (:mod:`prpose.aggregate`)."""


CONFIDENCE_NOISE = 0.03
"""Of confidences from 0 to 1; docs/results.md and docs/video.md say why."""


@dataclass(frozen=True)
class InferenceConfig:
    """How a track becomes poses.

    Args:
        in_time: noise drawn anew for each frame (independent), once for the clip (shared), or
            forgotten slowly (ar1), so that each hypothesis is a motion; where the frame rate is not
            known, ar1 is independent.
        time_constant_s: of ar1, seconds.
        confidence_noise: how much low confidences of the keypoints widen the noise; 0 is not at
            all. By default 0.03 where confidences are from 0 to 1, and 0 where they are not.
        low_confidence: joints of less are flagged.
        choice: of one pose: single (the lifter's own answer, without noise), or of the
            hypotheses mean, medoid, geometric-median or reprojection-weighted.
        smooth: one pose a frame over time: none, gaussian or one-euro.
        fov_deg: horizontal field of view, degrees; or
        intrinsics: fx fy cx cy, pixels. Without either the focal length is the image's diagonal,
            some 53 degrees of it, as in CLIFF (Li et al., ECCV 2022).
        hypotheses_out: which hypotheses to keep: all, none, or the first so many.
        max_gap: frames that a joint may be missing for to be filled in by a straight line.
        skip_unseen: leave out frames with joints that are neither seen nor made.
        as_is: lift people who seem upside-down, lying, or outside of the image.
    """

    in_time: str = "ar1"
    time_constant_s: float = 0.25
    confidence_noise: float | None = None
    low_confidence: float = 0.3
    choice: str = SINGLE
    smooth: str = "none"
    fov_deg: float | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    hypotheses_out: Kept = "all"
    max_gap: int = 5
    skip_unseen: bool = False
    as_is: bool = False

    def check(self, hypotheses: int, seed: int) -> None:
        """``ValueError`` for what cannot be done, with so many hypotheses from that seed."""
        if hypotheses < 2:
            raise ValueError(f"expected S >= 2 hypotheses, a distribution, got {hypotheses}")
        if not 0 <= seed < 2**63:
            raise ValueError(f"expected a seed >= 0, got {seed}")
        look_up(self.choice, dict.fromkeys(CHOICES), "choice of one pose")
        look_up(self.smooth, SMOOTHERS, "smoothing")
        kept(self.in_time, time_constant_s=self.time_constant_s)
        if self.hypotheses_out not in ("all", "none") and not int(self.hypotheses_out) >= 1:
            raise ValueError(f"expected hypotheses_out all, none or a number >= 1, got {self.hypotheses_out}")
        if isinstance(self.hypotheses_out, int) and self.hypotheses_out > hypotheses:
            raise ValueError(f"expected hypotheses_out up to {hypotheses}, got {self.hypotheses_out}")
        for name in ("confidence_noise", "low_confidence"):
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                raise ValueError(f"expected {name} >= 0, got {getattr(self, name)}")
        if self.fov_deg is not None and not 1 <= self.fov_deg <= 170:
            raise ValueError(f"expected a field of view of 1 to 170 degrees, got {self.fov_deg}")
        if self.fov_deg is not None and self.intrinsics is not None:
            raise ValueError("expected a field of view or intrinsics, got both")
        if self.intrinsics is not None and not (np.isfinite(self.intrinsics).all() and min(self.intrinsics[:2]) > 0):
            raise ValueError(f"expected finite fx, fy > 0, cx, cy, got {self.intrinsics}")

    def confidence_noise_of(self, score: Array | None) -> float:
        """For a detector's confidences, if it gives any."""
        if score is None:
            return 0.0
        if self.confidence_noise is not None:
            return self.confidence_noise
        return CONFIDENCE_NOISE if score.min() >= 0 and score.max() <= 1 else 0.0

    def said_of_confidences(self, score: Array | None) -> list[str]:
        """That they do not count, if that is by their units rather than by the user's choice."""
        if score is None or self.confidence_noise is not None or self.confidence_noise_of(score):
            return []
        return [
            f"confidences are from {score.min():.2f} to {score.max():.2f}, not from 0 to 1: they do not widen the noise"
        ]

    def keep(self, fps: float | None) -> float:
        """Of a frame's noise in the next one's (:mod:`prpose.noise_in_time`)."""
        if self.in_time != "shared" and fps is None:
            return 0.0
        return kept(self.in_time, fps or 1.0, self.time_constant_s)

    def camera(self, width: int, height: int) -> Camera:
        """The one that is taken for the user's."""
        if self.intrinsics is not None:
            fx, fy, cx, cy = self.intrinsics
            return Camera(width, height, (fx, fy), (cx, cy))
        focal = float(np.hypot(width, height))
        if self.fov_deg is not None:
            focal = width / 2 / float(np.tan(np.deg2rad(self.fov_deg) / 2))
        return Camera(width, height, (focal, focal), (width / 2, height / 2))

    def notes(self, camera: Camera | None) -> list[str]:
        """What was assumed of the camera."""
        if self.fov_deg is not None or self.intrinsics is not None or camera is None:
            return []
        focal = camera.focal_px[0] if camera.focal_px else 0.0
        return [
            f"no intrinsics: a focal length of {focal:.0f} px is assumed, the image's diagonal; "
            "distances from the camera are only as good as that (--fov-deg, --intrinsics)"
        ]
