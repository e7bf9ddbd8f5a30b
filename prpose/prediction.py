"""Prediction: many 3D poses of one person over time, and their summary."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prpose.atomic import pieces, release
from prpose.camera import Array, Camera
from prpose.regions import LEVEL, ellipsoids, region_quantiles
from prpose.rng import check_rate
from prpose.skeleton import H36M_17
from prpose.tables import is_number

if TYPE_CHECKING:
    from prpose.view.page import Page

J = len(H36M_17)
FLAGS = ("detected", "low_confidence", "interpolated", "derived", "exchanged", "out_of_distribution")
"""State of a joint's 2D keypoint, by the number in ``flags``.

``derived`` is missing and estimated from other joints; ``exchanged`` was its partner's, left for right;
``out_of_distribution`` was detected, in a frame that is unlike the model's training data.
"""
FRAMES_AT_ONCE = 1024  # whose covariances are in memory as float64
LARGEST_M = 1e5  # largest coordinate of a joint, metres; sums and squares stay finite


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """One person's 3D poses over T frames: camera axes (x right, y down, z forward), metres, relative to the pelvis.

    The point estimate ``pose`` (T, 17, 3) with its ``covariance`` (T, 17, 3, 3); ``samples`` (K, T, 17, 3), of which
    each is one plausible motion; ``deterministic`` (T, 17, 3), the lifter's pose without noise; ``root`` (T, 3), the
    pelvis in camera space. Joints are Human3.6M's 17, the pelvis first. Arrays are converted to the types below.

    Raises:
        ValueError: naming the field, for a wrong shape, type or value.

    Example:
        >>> import prpose
        >>> prediction = prpose.read_prediction("tests/data/poses_v1.npz")
        >>> prediction
        Prediction(S=3, T=2, model='mgcn-cmu17', point_estimate='deterministic', mean spread 27 mm)
        >>> prediction.samples.shape, prediction.root.shape, prediction.regions(0.95)[0].shape
        ((3, 2, 17, 3), (2, 3), (2, 17, 3))
    """

    pose: NDArray[np.float32]  # (T, 17, 3)
    covariance: NDArray[np.float32]  # (T, 17, 3, 3) m², per joint, over all samples
    deterministic: NDArray[np.float32]  # (T, 17, 3)
    num_samples: int  # S, drawn
    samples: NDArray[np.float32] | None = None  # (K, T, 17, 3), the first K <= S
    point_estimate: str = "mean"  # method of pose, with the smoothing after a comma
    flags: NDArray[np.uint8] = None  # type: ignore[assignment]  # (T, 17), see FLAGS; default: zeros
    frame_numbers: NDArray[np.int64] = None  # type: ignore[assignment]  # (T,) in the video, increasing; default: from 0
    times_s: NDArray[np.float64] | None = None  # (T,) seconds, increasing
    fps: float | None = None  # nominal frames per second of the video
    root: NDArray[np.float32] | None = None  # (T, 3)
    root_covariance: NDArray[np.float32] | None = None  # (T, 3, 3) m²
    keypoints_px: NDArray[np.float32] | None = None  # (T, 17, 2) pixels, the input as Human3.6M-17
    noise_sd_px: NDArray[np.float32] | None = None  # (T, 17, 2) pixels, of the noise on it; None without such noise
    camera: Camera | None = None  # image size and intrinsics
    model: Mapping[str, Any] = field(default_factory=dict)  # the model's card, as JSON can represent it
    warnings: tuple[str, ...] = ()  # what preprocessing changed or found implausible, one sentence each
    command: str = ""  # that wrote the file
    created_by: str = ""  # program and version
    seed: int | None = None  # of the noise
    up: NDArray[np.float64] | None = None  # (3,) unit vector, up in camera axes; TRC, BVH and side views are levelled

    def __post_init__(self) -> None:
        shape = np.shape(self.pose)
        if not (T := shape[0] if len(shape) == 3 else 0):
            raise ValueError(f"expected pose of shape (T, {J}, 3) with T >= 1, got {shape}")
        K = 0 if self.samples is None else (np.shape(self.samples) or (0,))[0]
        S = self.num_samples
        if not is_number(S) or not max(1, K) <= S < 2**31 or (self.samples is not None and not K):
            raise ValueError(f"expected 1 to num_samples = {S!r:.80} samples, got {K}")
        defaults = {"flags": np.zeros((T, J), np.uint8), "frame_numbers": np.arange(T)}
        for name, (dtype, axes, largest) in ARRAYS.items():
            value = getattr(self, name)
            value = defaults.get(name) if value is None else value
            if value is not None:
                sizes = tuple({"T": T, "K": K}.get(str(axis), axis) for axis in axes)
                object.__setattr__(self, name, _checked(name, value, sizes, dtype, largest))
        for name in ("pose", "deterministic", "samples"):
            poses = getattr(self, name)
            offset = 0.0 if poses is None else max(float(np.abs(part[..., 0, :]).max()) for part in pieces(poses))
            if offset > 1e-4:
                raise ValueError(f"expected {name} with the pelvis, joint 0, at 0, got {offset:g} m")
        for name in ("covariance", "root_covariance"):
            for part in () if getattr(self, name) is None else pieces(getattr(self, name)):
                _check_covariance(name, part)
        for name in ("frame_numbers", "times_s"):
            values = getattr(self, name)
            if values is not None and (steps := np.diff(values) <= 0).any():
                raise ValueError(f"expected increasing {name}, got no increase at frame {steps.argmax() + 1}")
        if self.root is not None and self.root[:, 2].min() <= 0:
            raise ValueError(f"expected root in front of the camera, z > 0, got {self.root[:, 2].min():g} m")
        if self.up is not None and abs(float(np.linalg.norm(self.up)) - 1) > 1e-3:
            raise ValueError(f"expected up as a unit vector, got {self.up.tolist()}")
        check_rate(self.fps)

    def __len__(self) -> int:
        return len(self.pose)

    def __repr__(self) -> str:
        name, spread = self.model.get("name", ""), f"mean spread {1000 * self.mean_spread:.0f} mm"
        head = f"Prediction(S={self.num_samples}, T={len(self)}, model={name!r}"
        return f"{head}, point_estimate={self.point_estimate!r}, {spread})"

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The 17 joints of Human3.6M, in the order of every array."""
        return H36M_17.names

    @property
    def mean_spread(self) -> float:
        """Standard deviation of the samples, metres: root mean square over frames, axes and joints but the pelvis."""
        total = sum(_variances(part)[:, 1:].sum(dtype=np.float64) for part in pieces(self.covariance))
        return float((total / (len(self) * (J - 1) * 3)) ** 0.5)

    def region_pieces(self, level: float = LEVEL) -> Iterator[tuple[slice, Array, Array]]:
        """Frames with their :meth:`regions`, some at a time: a clip of hours needs no memory for all of them."""
        quantiles = region_quantiles(self.model, level)
        for frames in self.frame_pieces():
            yield frames, *ellipsoids(self.covariance[frames], quantiles)

    def frame_pieces(self) -> Iterator[slice]:
        """All frames, some at a time; the memory of the arrays of a long clip is let go after each piece."""
        for start in range(0, len(self), FRAMES_AT_ONCE):
            yield slice(start, start + FRAMES_AT_ONCE)
            release(self.pose, self.covariance, self.root)

    @property
    def seconds(self) -> NDArray[np.float64] | None:
        """(T,) times: measured, or those of the frame numbers at the frame rate, from 0; None if neither is known."""
        if self.times_s is not None or self.fps is None:
            return self.times_s
        return (self.frame_numbers - self.frame_numbers[0]) / self.fps

    def regions(self, level: float = LEVEL) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Confidence ellipsoids about ``pose`` that contain the joints with probability ``level`` (0 to 1).

        Returns:
            Semi-axes (T, 17, 3), metres, longest first, and their directions (T, 17, 3, 3), unit vectors in rows.
        """
        return ellipsoids(self.covariance, region_quantiles(self.model, level))

    def to_columns(self, frames: slice = slice(None)) -> dict[str, Array]:
        """A table of plain arrays, one row per frame and joint: ``pandas.DataFrame(prediction.to_columns())``.

        Times are NaN where unknown; ``x_right_m`` to ``z_forward_m`` are of ``pose``, ``sd_x_m`` to ``sd_z_m`` standard
        deviations of the samples, and ``root_x_m`` to ``root_z_m`` the pelvis in camera space, where known.

        Example:
            >>> import prpose
            >>> columns = prpose.read_prediction("tests/data/poses_v1.npz").to_columns()
            >>> columns["joint"][16].item(), columns["y_down_m"][16].round(2).item()
            ('right_wrist', -0.75)
        """
        seconds = np.full(len(self), np.nan) if self.seconds is None else self.seconds
        x, y, z = self.pose[frames].reshape(-1, 3).T
        sd_x, sd_y, sd_z = np.sqrt(_variances(self.covariance[frames])).reshape(-1, 3).T
        columns = {
            "frame": np.repeat(self.frame_numbers[frames], J), "time_s": np.repeat(seconds[frames], J),
            "joint": np.tile(np.array(self.joint_names), len(seconds[frames])),
            "x_right_m": x, "y_down_m": y, "z_forward_m": z, "sd_x_m": sd_x, "sd_y_m": sd_y, "sd_z_m": sd_z,
            "flag": np.array(FLAGS)[self.flags[frames].ravel()],
        }  # fmt: skip
        if self.root is not None:
            columns |= {f"root_{axis}_m": np.repeat(self.root[frames, i], J) for i, axis in enumerate("xyz")}
        return columns

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes npz, json, csv, trc or bvh, by the path's ending; see :func:`prpose.io.export.save_prediction`."""
        from prpose.io.export import save_prediction

        save_prediction(self, path, overwrite=overwrite)

    def view(self, truth: ArrayLike | None = None, num_samples: int | None = None) -> "Page":
        """An interactive page: notebooks show it inline, ``.open()`` opens a browser, ``.save(path)`` writes it.

        Arguments and errors are those of :func:`prpose.view.page.create_page`, which also shows several predictions.
        """
        from prpose.view.page import create_page

        return create_page([self], truth=truth, num_samples=num_samples)

    def _repr_html_(self) -> str:
        return self.view(num_samples=50)._repr_html_()

    def plot(self, frame: int = 0, axes: Any = None, truth: Array | None = None) -> Any:
        """Draws samples and point estimate of a frame with matplotlib (extra ``plot``).

        Args:
            frame: index of the frame, from 0.
            axes: matplotlib axes to draw on: in 2D as the camera sees the pose, in 3D (``projection="3d"``) with y up.
                Default: a new figure of three views, :func:`prpose.view.figures.cloud_figure`.
            truth: (17, 3) metres in camera axes, drawn in black, relative to its pelvis.

        Returns:
            The ``matplotlib.figure.Figure``; ``ValueError`` for a frame out of range, or without matplotlib.
        """
        from prpose.view.figures import plot

        return plot(self, frame, axes, truth)

    def to_rerun(self, recording: Any = None, entity: str = "prpose") -> None:
        """Logs every frame to Rerun (extra ``rerun``), on the time lines ``frame`` and, if times are known, ``time``.

        Camera axes, metres: ``pose``, ``samples`` and 95 % ``regions``, at ``root`` if known, else about the pelvis;
        keypoints in pixels as ``image/keypoints``, before a pinhole camera if the root is known.

        Args:
            recording: a ``rerun.RecordingStream``. Default: the current one, of ``rerun.init``.
            entity: path under which everything is logged.

        Raises:
            ValueError: if Rerun is not installed, or there is no recording.
        """
        from prpose.view.rerun import log_prediction

        log_prediction(self, recording, entity)


ARRAYS: dict[str, tuple[type, tuple[int | str, ...], float]] = {
    "frame_numbers": (np.int64, ("T",), 2.0**62),
    "times_s": (np.float64, ("T",), 2.0**53),
    "pose": (np.float32, ("T", J, 3), LARGEST_M),
    "covariance": (np.float32, ("T", J, 3, 3), LARGEST_M**2),
    "deterministic": (np.float32, ("T", J, 3), LARGEST_M),
    "flags": (np.uint8, ("T", J), len(FLAGS) - 1),
    "root": (np.float32, ("T", 3), LARGEST_M),
    "root_covariance": (np.float32, ("T", 3, 3), LARGEST_M**2),
    "keypoints_px": (np.float32, ("T", J, 2), 1e7),
    "noise_sd_px": (np.float32, ("T", J, 2), 1e7),
    "up": (np.float64, (3,), 1.001),
    "samples": (np.float32, ("K", "T", J, 3), LARGEST_M),
}
"""Fields that are arrays: type, shape and largest magnitude; the largest array comes last."""


def _variances(covariance: Array) -> Array:
    return np.diagonal(covariance, axis1=-2, axis2=-1).clip(0)


def _checked(name: str, value: Any, shape: tuple[Any, ...], dtype: type, largest: float) -> Array:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"expected {name} as an array of numbers, got {got}")
    if value.shape != shape:
        raise ValueError(f"expected {name} of shape {shape}, got {value.shape}")
    ends = [(part.min(), part.max()) for part in pieces(value)]
    low, high = float(np.min(ends)), float(np.max(ends))
    if not np.isfinite([low, high]).all():
        raise ValueError(f"expected finite {name}, got NaN or infinity")
    if max(-low, high) > largest or (dtype is np.uint8 and low < 0):
        raise ValueError(f"expected {name} up to {largest:g}, got values from {low:g} to {high:g}")
    if np.issubdtype(dtype, np.integer) and value.dtype.kind == "f" and (value % 1).any():
        raise ValueError(f"expected {name} as integers, got fractions")
    return value.astype(dtype, copy=False)


def _check_covariance(name: str, value: Array) -> None:
    """``ValueError`` unless symmetric and positive semi-definite, up to rounding in float32."""
    wide = value.astype(np.float64)
    transposed, tolerance = wide.swapaxes(-1, -2), 1e-9 + 1e-4 * np.abs(wide).max(axis=(-1, -2))
    if (np.abs(wide - transposed).max(axis=(-1, -2)) > tolerance).any():
        raise ValueError(f"expected {name} to be symmetric, got matrices that are not")
    lowest = np.linalg.eigvalsh((wide + transposed) / 2)[..., 0]
    if (lowest < -tolerance).any():
        raise ValueError(f"expected {name} to be positive semi-definite, got a variance of {lowest.min():g} m²")
