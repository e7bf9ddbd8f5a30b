"""Prediction: many 3D hypotheses of one person over time, and what sums them up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from prpose.camera import Array, Camera
from prpose.skeleton import H36M_17

J = len(H36M_17)

FLAGS = ("seen", "low_confidence", "interpolated", "not_seen")
"""What a joint's 2D is worth, by the number that stands for it; see :class:`Prediction`."""

FARTHEST_M = 1e5
"""No joint is farther from the origin; sums and squares stay finite."""

Kept = Literal["all", "none"] | int
"""Which hypotheses to keep: all that there are, none, or the first so many."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """One person's 3D poses over T frames: camera axes (x right, y down, z forward), metres.

    Poses are relative to the pelvis, joint 0, which is at 0; joints are Human3.6M's 17. Floats of
    another width than said here are converted.

    Args:
        aggregate: (T, 17, 3) float32, one pose for each frame.
        covariance: (T, 17, 3, 3) float32 square metres, of each joint over the S hypotheses.
        single: (T, 17, 3) float32, the lifter's own answer, without noise.
        S: number of hypotheses that the covariance sums up, and the aggregate, unless single.
        hypotheses: (K, T, 17, 3) float32, the first K <= S of them, or None if none were kept.
        aggregated_by: how the aggregate was made: ``mean`` of them, ``single`` if it is that, ...
        flags: (T, 17) uint8, what is known of each joint's 2D: 0, seen, or nothing is known
            against it; 1, seen with low confidence; 2, interpolated between frames where it was
            seen; 3, not seen, but made from other joints. None stands for zeros.
        frame_numbers: (T,) int64, increasing, as in the video or folder; from 0 if not known.
        times_s: (T,) float64 seconds, increasing, where known.
        fps: nominal frames per second, where known.
        root_cam: (T, 3) float32 metres, the pelvis in camera space, in front of the camera, where
            known.
        root_covariance: (T, 3, 3) float32 square metres, of the root, where known.
        keypoints_px: (T, 17, 2) float32 pixels, what was lifted, where kept.
        camera: image size and, where known, calibration.
        model: what the model's card says, as JSON can hold it.
        notes: what was mended in the 2D, and what looked wrong, a line each.
        command, made_by, seed: how to make them again: command line, program and version, seed.

    Raises:
        ValueError: naming the field, for another shape or kind, values that are not finite, too far
            or (covariances) of no distribution, a pelvis that is not at 0, or times that do not
            increase.
    """

    aggregate: Array
    covariance: Array
    single: Array
    S: int
    hypotheses: Array | None = None
    aggregated_by: str = "mean"
    flags: Array | None = None
    frame_numbers: Array | None = None
    times_s: Array | None = None
    fps: float | None = None
    root_cam: Array | None = None
    root_covariance: Array | None = None
    keypoints_px: Array | None = None
    camera: Camera | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    command: str = ""
    made_by: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.aggregate)
        T = shape[0] if len(shape) == 3 else 0
        if not T:
            raise ValueError(f"expected aggregate of shape (T, {J}, 3), T >= 1, got {shape}")
        if not _whole(self.S) or self.S < 1:
            raise ValueError(f"expected S as a whole number >= 1, got {self.S!r}")
        if self.hypotheses is not None:
            K = len(self.hypotheses) if getattr(self.hypotheses, "ndim", 0) else 0
            if not 1 <= K <= self.S:
                raise ValueError(f"expected 1 to S = {self.S} hypotheses, got {K}")
            poses = _floats("hypotheses", self.hypotheses, (K, T, J, 3))
            self._set("hypotheses", _pelvis_at_0("hypotheses", poses))
        for name in ("aggregate", "single"):
            self._set(name, _pelvis_at_0(name, _floats(name, getattr(self, name), (T, J, 3))))
        self._set("covariance", _covariances("covariance", self.covariance, (T, J, 3, 3)))
        self._set("flags", _flags(np.zeros((T, J)) if self.flags is None else self.flags, T))
        self._check_time(T)
        self._check_place(T)
        self._check_origin()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_time(self, T: int) -> None:
        numbers = np.arange(T) if self.frame_numbers is None else self.frame_numbers
        self._set("frame_numbers", _frame_numbers(numbers, T))
        if self.times_s is not None:
            times = _floats("times_s", self.times_s, (T,), np.float64, farthest=np.inf)
            if (np.diff(times) <= 0).any():
                frame = int(np.argmax(np.diff(times) <= 0)) + 1
                raise ValueError(f"expected times_s that increase, got no increase at frame {frame}")
            self._set("times_s", times)
        if self.fps is not None:
            if not _number(self.fps) or self.fps <= 0:
                raise ValueError(f"expected fps as a number > 0, got {self.fps!r}")
            self._set("fps", float(self.fps))

    def _check_place(self, T: int) -> None:
        if self.root_cam is not None:
            root = _floats("root_cam", self.root_cam, (T, 3))
            if (root[:, 2] <= 0).any():
                frame = int(np.argmax(root[:, 2] <= 0))
                raise ValueError(
                    f"expected root_cam in front of the camera, z > 0, got {root[frame, 2]:g} m in frame {frame}"
                )
            self._set("root_cam", root)
        if self.root_covariance is not None:
            if self.root_cam is None:
                raise ValueError("expected root_cam with root_covariance, got none")
            spread = _covariances("root_covariance", self.root_covariance, (T, 3, 3))
            self._set("root_covariance", spread)
        if self.keypoints_px is not None:
            pixels = _floats("keypoints_px", self.keypoints_px, (T, J, 2), farthest=1e7)
            self._set("keypoints_px", pixels)
        if self.camera is not None:
            _check_camera(self.camera)

    def _check_origin(self) -> None:
        for name in ("aggregated_by", "command", "made_by"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"expected {name} as text, got {getattr(self, name)!r:.60}")
        if not isinstance(self.notes, tuple | list) or not all(isinstance(note, str) for note in self.notes):
            raise ValueError(f"expected notes as lines of text, got {self.notes!r:.60}")
        self._set("notes", tuple(self.notes))
        if self.seed is not None and (not _whole(self.seed) or self.seed < 0):
            raise ValueError(f"expected seed as a whole number >= 0, got {self.seed!r:.60}")
        if not isinstance(self.model, Mapping):
            raise ValueError(f"expected model as a mapping, got {type(self.model).__name__}")
        try:
            json.dumps(dict(self.model), allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"expected model as JSON can hold it, got: {error}") from None

    def __len__(self) -> int:
        return len(self.aggregate)

    @classmethod
    def of(cls, hypotheses: Array, single: Array, aggregate: Array | None = None, **known: Any) -> "Prediction":
        """With the mean of the hypotheses, and their covariance (over S − 1, in float64).

        Args:
            hypotheses: (S, T, 17, 3) metres, S >= 2.
            single: (T, 17, 3) metres.
            aggregate: (T, 17, 3) metres, chosen in another way than by the mean; say so with
                ``aggregated_by``. The covariance is about the mean all the same.
            known: further fields, by name.

        Raises:
            ValueError: for fewer than two hypotheses, or as the class.
        """
        shape = np.shape(hypotheses)
        S, T = shape[:2] if len(shape) == 4 else (0, 0)
        if S < 2:
            raise ValueError(f"expected hypotheses of shape (S, T, {J}, 3), S >= 2, got {shape}")
        poses = _floats("hypotheses", hypotheses, (S, T, J, 3))
        mean = poses.mean(axis=0, dtype=np.float64)
        covariance = np.empty((*mean.shape, 3), dtype=np.float32)
        for t in range(T):  # a frame at a time: S × T × 17 × 3 doubles are a lot
            away = poses[:, t] - mean[t]
            covariance[t] = np.einsum("sji,sjk->jik", away, away) / (S - 1)
        return cls(mean if aggregate is None else aggregate, covariance, single, S, poses, **known)

    def keeping(self, which: Kept) -> "Prediction":
        """The same with fewer hypotheses; aggregate and covariance stay those of all S.

        Args:
            which: ``all`` that there are, ``none``, or the first so many.

        Raises:
            ValueError: for anything else, or more than there are.
        """
        if which == "all":
            return self
        if which == "none":
            return replace(self, hypotheses=None)
        there = 0 if self.hypotheses is None else len(self.hypotheses)
        if not _whole(which) or not 1 <= which <= there:
            raise ValueError(f"expected hypotheses all, none or 1 to {there}, got {which!r:.60}")
        return replace(self, hypotheses=None if self.hypotheses is None else self.hypotheses[:which])

    @property
    def seconds(self) -> Array | None:
        """(T,) float64 when each frame was: measured, or from the frame rate, or None."""
        if self.times_s is not None:
            return self.times_s
        return None if self.fps is None else np.arange(len(self)) / self.fps


def _frame_numbers(value: Any, T: int) -> Array:
    found = np.asarray(value)
    if found.dtype.kind not in "iu" or found.shape != (T,) or (np.diff(found) <= 0).any():
        raise ValueError(f"expected frame_numbers as {T} whole numbers that increase, got others")
    return found.astype(np.int64)


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    """Whether it is a finite number; Python's integers can be too large for a float."""
    kind = isinstance(value, int | float | np.integer | np.floating)
    return kind and not isinstance(value, bool) and bool(abs(value) < 1e300)


def _floats(
    name: str,
    value: Any,
    shape: tuple[int, ...],
    dtype: type[np.floating[Any]] = np.float32,
    farthest: float = FARTHEST_M,
) -> Array:
    """The array in that dtype, if it has the shape and is finite and not too far."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"expected {name} as an array of numbers, got {got}")
    if value.shape != shape:
        raise ValueError(f"expected {name} of shape {shape}, got {value.shape}")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and said so below
        narrow = value.astype(dtype, copy=False)
    low, high = float(narrow.min(initial=0)), float(narrow.max(initial=0))
    if not np.isfinite([low, high]).all():
        raise ValueError(f"expected finite {name}, got NaN or infinity")
    if max(-low, high) > farthest:
        raise ValueError(f"expected {name} within {farthest:g}, got {max(-low, high):g}")
    return narrow


def _pelvis_at_0(name: str, poses: Array) -> Array:
    away = float(np.abs(poses[..., 0, :]).max(initial=0))
    if away > 1e-4:
        raise ValueError(f"expected {name} with the pelvis, joint 0, at 0, got it {away:g} m away")
    return poses


def _covariances(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Symmetric and without negative variance, but for rounding in float32."""
    narrow = _floats(name, value, shape, farthest=FARTHEST_M**2)
    wide = narrow.astype(np.float64)
    transposed = wide.swapaxes(-1, -2)
    size = np.abs(wide).max(axis=(-1, -2))
    if (np.abs(wide - transposed).max(axis=(-1, -2)) > 1e-9 + 1e-4 * size).any():
        raise ValueError(f"expected {name} to be symmetric, got matrices that are not")
    lowest = np.linalg.eigvalsh((wide + transposed) / 2)[..., 0]
    if (lowest < -(1e-9 + 1e-4 * size)).any():
        raise ValueError(f"expected {name} without negative variance, got {lowest.min():g} m²")
    return narrow


def _flags(value: Any, T: int) -> Array:
    flags = _floats("flags", value, (T, J), np.float64)
    if not np.isin(flags, range(len(FLAGS))).all():
        raise ValueError(f"expected flags of 0 to {len(FLAGS) - 1}, got others")
    return flags.astype(np.uint8)


def _check_camera(camera: Any) -> None:
    if not isinstance(camera, Camera):
        raise ValueError(f"expected camera as a Camera, got {type(camera).__name__}")
    if not all(_whole(size) and size > 0 for size in (camera.width, camera.height)):
        raise ValueError(f"expected camera with an image size > 0, got {camera.width!r} x {camera.height!r}")
    counts = {"focal_px": 2, "center_px": 2, "radial": 3, "tangential": 2, "orientation": 4}
    for name, count in (counts | {"position_m": 3}).items():
        value = getattr(camera, name)
        if value is None and name.endswith("_px"):
            continue
        if not (isinstance(value, tuple) and len(value) == count and all(map(_number, value))):
            raise ValueError(f"expected camera.{name} as {count} finite numbers, got {value!r:.80}")
