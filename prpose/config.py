"""InferenceConfig: every setting of prediction, shared by ``Model``, ``Stream``, ``predict`` and ``evaluate``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
import numpy as np
from tyro.conf import FlagCreatePairsOff, arg

from prpose.camera import ASSUMED_FOCAL, ASSUMED_FOCAL_SD, CENTER_SD, STATED_FOCAL_SD, Array, Camera, tilted_up
from prpose.keypoints import Tracking
from prpose.placement import standing_up
from prpose.rng import NoiseCorrelation, noise_rho
from prpose.tables import look_up

PointEstimate = Literal["deterministic", "mean", "medoid", "geometric_median", "reprojection_weighted"]
Folder = Literal["auto", "clip", "files"]
Smoothing = Literal["auto", "none", "rts", "gaussian", "one_euro"]
C = TypeVar("C")

NARROWEST_DEG, WIDEST_DEG = 1.0, 170.0  # fields of view of lenses without distortion
LEAST_SMOOTHED_FPS = 20.0
CONFIDENCE_NOISE = 0.03  # default where confidences lie in [0, 1]; chosen on cmu17 val (docs/results.md)


def check_least(settings: object, **lowest: int) -> None:
    """``ValueError`` for a setting that is neither None nor between its lowest value and 2³¹."""
    for name, least in lowest.items():
        value = getattr(settings, name)
        if value is not None and not least <= value < 2**31:
            raise ValueError(f"expected {name} >= {least}, got {value}")


@dataclass(frozen=True)
class NoiseConfig:
    """Settings of the noise.

    Args:
        noise_correlation: Correlation of the noise over time: iid, shared by all frames, or ar1.
        noise_time_constant_s: Time constant of ar1 noise, seconds.
        confidence_noise: Scale of the extra noise of low confidences; 0 is none. Default: 0.03 if they lie in [0, 1]
            and the model was not trained by the energy score.
    """

    noise_correlation: NoiseCorrelation = "ar1"
    noise_time_constant_s: float = 0.25
    confidence_noise: float | None = None

    def __post_init__(self) -> None:
        noise_rho(self.noise_correlation, time_constant_s=self.noise_time_constant_s)
        check_least(self, confidence_noise=0)

    def rho(self, fps: float | None) -> float:
        """Correlation of the noise of neighbouring frames, 0 to 1; ar1 noise of an unknown frame rate is iid."""
        unknown = self.noise_correlation != "shared" and fps is None
        return 0.0 if unknown else noise_rho(self.noise_correlation, fps or 1.0, self.noise_time_constant_s)

    def confidence_scale(self, confidence: Array | None, trained: bool = False) -> float:
        """``confidence_noise``, or its default for these confidences (T, J); 0 if the noise was ``trained`` itself."""
        if confidence is None:
            return 0.0
        if self.confidence_noise is not None:
            return self.confidence_noise
        if trained:
            return 0.0
        return CONFIDENCE_NOISE if confidence.min() >= 0 and confidence.max() <= 1 else 0.0


@dataclass(frozen=True)
class InferenceConfig(NoiseConfig):
    """Settings of prediction that rarely change.

    Args:
        point_estimate: One pose per frame: deterministic (no noise), or from the samples.
        smooth: Temporal smoothing of the point estimate and the root: rts (Rauch-Tung-Striebel), gaussian, one_euro or
            none; auto is rts at 20 frames per second and more, as slower ones do not tell noise from motion.
        fov_deg: Horizontal field of view, degrees. Default: that of the file's metadata, else a focal length of 0.72 of
            the image diagonal.
        intrinsics: Camera intrinsics fx fy cx cy, pixels, instead of a field of view.
        level: Pitch (downwards) and roll (clockwise) of the camera, degrees; or auto: estimated from frames in which a
            person stands. TRC, BVH and side views are turned upright; poses stay in camera axes.
        min_confidence: Keypoints of lower confidence are flagged as low_confidence.
        save_samples: Number of samples to save. Default: all of them.
        max_gap: Longest gap of a missing keypoint to interpolate, frames.
        drop_incomplete: Drop frames with missing joints instead of estimating these from the others.
        keep_sides: Leave left and right as they are, also where a detector exchanges them for some frames.
        allow_implausible: Predict although keypoints look upside down, lying, out of the image or of another layout, or
            joints of a single frame are missing.
        format: Keypoint format of the input. Default: recognised from the file.
        tracking: How to tell people apart over time: by the file's ids, by position, or by ids that are usable (auto).
        prefix: Read only the files of a folder, or images of a list, whose names begin with this.
        detector: Keypoint detector for images and video: mediapipe, rtmlib, rtmlib-feet, ultralytics, or
            package.module:Class.
        detector_model: Model file of the detector. Default: one that is downloaded on first use.
        max_people: Largest number of people to detect per image. Default: 10 if a person is chosen, else one.
        max_seconds: Stop reading video or a camera after this many seconds.
        folder: What a folder holds: one clip with a file per frame, files of a clip each, or what its files look like.
        output_format: File format of the predictions for a folder: npz, json, csv, trc or bvh. Default: npz.
        jobs: Number of parallel processes for a folder. Default: one, or with ray all CPUs of the cluster.
        ray: Distribute a folder over a Ray cluster (RAY_ADDRESS, or a local one).
    """

    point_estimate: Annotated[PointEstimate, arg(aliases=["--point-estimate"])] = "deterministic"
    smooth: Annotated[Smoothing, arg(aliases=["--smooth"])] = "auto"
    fov_deg: Annotated[float | None, arg(aliases=["--fov"])] = None
    intrinsics: Annotated[tuple[float, float, float, float] | None, arg(aliases=["--intrinsics"])] = None
    level: Annotated[Literal["auto"] | tuple[float, float] | None, arg(aliases=["--level"])] = None
    min_confidence: float = 0.3
    save_samples: int | None = None
    max_gap: int = 5
    drop_incomplete: FlagCreatePairsOff[bool] = False
    keep_sides: FlagCreatePairsOff[bool] = False
    allow_implausible: FlagCreatePairsOff[bool] = False
    format: str | None = None
    tracking: Tracking = "auto"
    prefix: Annotated[str | None, arg(aliases=["--prefix"])] = None
    detector: Annotated[str, arg(aliases=["--detector"])] = "mediapipe"
    detector_model: Path | None = None
    max_people: int | None = None
    max_seconds: float | None = None
    folder: Folder = "auto"
    output_format: str | None = None
    jobs: Annotated[int | None, arg(aliases=["--jobs"])] = None
    ray: Annotated[FlagCreatePairsOff[bool], arg(aliases=["--ray"])] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        look_up(self.point_estimate, dict.fromkeys(get_args(PointEstimate)), "point estimate")
        look_up(self.folder, dict.fromkeys(get_args(Folder)), "folder")
        look_up(self.tracking, dict.fromkeys(get_args(Tracking)), "tracking")
        look_up(self.smooth, dict.fromkeys(get_args(Smoothing)), "smoothing")
        check_least(self, min_confidence=0, save_samples=0, max_gap=0, max_people=1, jobs=1)
        if self.max_seconds is not None and not 0 < self.max_seconds < float("inf"):
            raise ValueError(f"expected max_seconds > 0, got {self.max_seconds}")
        if self.fov_deg is not None and not NARROWEST_DEG <= self.fov_deg <= WIDEST_DEG:
            raise ValueError(f"expected fov_deg from 1 to 170 degrees, got {self.fov_deg}")
        if self.fov_deg is not None and self.intrinsics is not None:
            raise ValueError("expected fov_deg or intrinsics, got both")
        if self.intrinsics is not None and not (np.isfinite(self.intrinsics).all() and min(self.intrinsics[:2]) > 0):
            raise ValueError(f"expected finite intrinsics (fx, fy, cx, cy), fx and fy > 0, got {self.intrinsics}")

        if isinstance(self.level, str):
            look_up(self.level, {"auto": None}, "level")
        elif self.level is not None:
            tilt = np.asarray(self.level)
            if tilt.shape != (2,) or tilt.dtype.kind not in "fiu" or not (np.abs(tilt) <= (90, 180)).all():
                expected = "pitch and roll, up to 90 and 180 degrees, or auto"
                raise ValueError(f"expected level as {expected}, got {self.level!r:.80}")

    def assumptions(self, confidence: Array | None, trained: bool = False, focal_px: float | None = None) -> list[str]:
        """Assumptions about confidences (T, J) and camera that the user could replace, one sentence each."""
        found = []
        if confidence is not None and self.confidence_noise is None:
            if not self.confidence_scale(confidence):
                values = f"{confidence.min():.2f} to {confidence.max():.2f}"
                found.append(f"confidences range from {values}, not from 0 to 1: not used for the noise")
            elif trained and confidence.min() < self.min_confidence:
                found.append("low confidences do not widen the samples of this model, they are only flagged")
        if self._is_focal_given:
            return found
        if focal_px is not None:
            found.append(f"the focal length, {focal_px:.0f} pixels, is from the metadata of the photo or video")
        else:
            within = f"{ASSUMED_FOCAL:g} of the image diagonal, give or take {ASSUMED_FOCAL_SD:.0%}"
            found.append(f"no intrinsics: assuming a focal length of {within}; distances scale with it")
        return found

    def smoothing(self, fps: float | None) -> str:
        """The method of smoothing at a frame rate; ``ValueError`` if it needs one that is not known."""
        if self.smooth == "auto":
            return "none" if fps is None or fps < LEAST_SMOOTHED_FPS else "rts"
        if self.smooth != "none" and fps is None:
            raise ValueError(f"expected fps, the frame rate, to smooth by {self.smooth}, got none")
        return self.smooth

    @property
    def _is_focal_given(self) -> bool:
        return self.fov_deg is not None or self.intrinsics is not None

    def camera_sd(self, focal_px: float | None = None) -> tuple[float, float]:
        """Standard deviations of what :meth:`camera` assumes: of the focal length's logarithm; and of the principal
        point per axis, as a share of the image diagonal."""
        focal_sd = ASSUMED_FOCAL_SD if focal_px is None else STATED_FOCAL_SD
        return 0.0 if self._is_focal_given else focal_sd, 0.0 if self.intrinsics else CENTER_SD

    def up(self, pose: Array) -> tuple[Array | None, list[str]]:
        """(3,) unit vector, up in camera axes, by ``level`` and poses (T, 17, 3); and a warning if it is estimated."""
        if not isinstance(self.level, str):
            return None if self.level is None else tilted_up(*self.level), []
        up, frames = standing_up(pose)
        if up is None:
            return None, ["the camera's tilt is unknown, as the person stands in no frame: nothing is levelled"]
        pitch, roll = np.rad2deg([np.arcsin(-up[2]), np.arctan2(-up[0], -up[1])])
        tilt = f"looks down by {pitch:.0f} degrees and is rolled by {roll:.0f}"
        return up, [
            f"estimated from {frames} frames of a standing person: the camera {tilt}; --level PITCH ROLL sets it"
        ]

    def camera(self, width: int, height: int, focal_px: float | None = None) -> Camera:
        """The camera of an image of this size, pixels; ``ValueError`` for intrinsics that are not of such an image.

        The focal length is the user's, else ``focal_px``, the file's, else :data:`prpose.camera.ASSUMED_FOCAL` of the
        diagonal.
        """
        if self.intrinsics is not None:
            fx, fy, cx, cy = self.intrinsics
            fov = [float(2 * np.rad2deg(np.arctan(side / 2 / f))) for side, f in ((width, fx), (height, fy))]
            inside = 0.05 < cx / width < 0.95 and 0.05 < cy / height < 0.95
            if not inside or max(fov) > WIDEST_DEG or min(fov) < NARROWEST_DEG or not 0.5 < fx / fy < 2:
                given = f"fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g} ({fov[0]:.3g} x {fov[1]:.3g} degrees)"
                expected = f"expected the intrinsics of an image of {width} x {height} pixels"
                raise ValueError(f"{expected}, got {given}; are they of another resolution?")
            return Camera(width, height, (fx, fy), (cx, cy))
        if self.fov_deg is not None:
            focal = float(width / 2 / np.tan(np.deg2rad(self.fov_deg) / 2))
        else:
            focal = ASSUMED_FOCAL * float(np.hypot(width, height)) if focal_px is None else focal_px
        return Camera(width, height, (focal, focal), (width / 2, height / 2))


def config_from(cls: type[C], values: Mapping[str, Any]) -> C:
    """A config dataclass from a mapping, as of a TOML file; ``ValueError`` for unknown fields and wrong types."""
    known = dict.fromkeys(field.name for field in fields(cls))  # type: ignore[arg-type]
    for name in values:
        look_up(name, known, f"field of {cls.__name__}")
    try:
        return msgspec.convert(dict(values), cls, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise ValueError(f"{cls.__name__}: {error}") from None
