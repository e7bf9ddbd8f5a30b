"""Keypoints: one person's 2D keypoints over time, and the npz file that holds them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from prpose.atomic import large_array, pieces, replacing
from prpose.camera import Array
from prpose.layouts import find_layout
from prpose.rng import RATES, check_rate
from prpose.tables import is_number, naming
from prpose.unpickle import entry_names, read_npz

T = TypeVar("T")
Tracking = Literal["auto", "ids", "position"]  # who is who over time: by the file's ids where they can be ids, or not

USUAL_FPS = 30.0  # where the frame rate is not known
SAME_FPS = 0.002  # frame rates that differ by a smaller share are the same, as 30 and 29.97
LEAST_STEP = 1 / RATES[1]  # seconds between frames
LARGEST_PX = 1e7  # largest coordinate of a keypoint, pixels; sums and squares stay finite
NAMES = {  # entries of the npz beside keypoints_px, with the names that older files have for them
    "confidence": ("confidence", "score"),
    "frame_numbers": ("frame_numbers", "frames"),
    **{name: (name,) for name in ("layout", "image_size", "fps", "times_s", "person", "frame_names", "focal_px")},
}


@dataclass(frozen=True, eq=False, repr=False)
class Keypoints:
    """One person's 2D keypoints over T frames, in a detector's layout.

    Frames without the person are left out; a missing keypoint is NaN.

    Args:
        xy: (T, J, 2) float32 pixels, origin at the top left corner.
        image_size: width and height, pixels.
        layout: order of the joints, a key of :data:`prpose.layouts.LAYOUTS`.
        confidence: (T, J) float32, the detector's, in its own units.
        fps: frames per second, where known.
        frame_numbers: (T,) int64 numbers of the frames in the video or folder, increasing. Default: from 0.
        times_s: (T,) float64 seconds, increasing, where every frame has a time of its own.
        person: the person's id in the file, or from tracking.
        frame_names: T file names of the images, or none.
        warnings: problems of the file, one sentence each.
        focal_px: focal length of the camera, pixels, where the photo or video states it.

    Raises:
        ValueError: for an unknown layout, a wrong shape, values that are infinite or do not increase, no keypoint.

    Example:
        >>> Keypoints(np.random.rand(8, 17, 2) * 100, (100, 100), "coco17", fps=30)
        Keypoints(T=8, layout='coco17', image_size=(100, 100), fps=30, person='0', missing 0 %)
    """

    xy: Array
    image_size: tuple[int, int]
    layout: str
    confidence: Array | None = None
    fps: float | None = None
    frame_numbers: Array | None = None
    times_s: Array | None = None
    person: str = "0"
    frame_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    focal_px: float | None = None

    def __post_init__(self) -> None:
        xy = _coordinates(self.xy, len(find_layout(self.layout)))
        T, J = xy.shape[:2]
        sizes = self.image_size
        if np.shape(sizes) != (2,) or not all(is_number(n) and 1 <= n < 2**31 and n == int(n) for n in sizes):
            raise ValueError(f"expected image_size as width and height >= 1, got {sizes!r:.80}")
        check_rate(self.fps)
        if self.focal_px is not None and not (is_number(self.focal_px) and 0 < self.focal_px <= LARGEST_PX):
            raise ValueError(f"expected focal_px > 0, got {self.focal_px!r:.80} (up to {LARGEST_PX:g})")
        if self.frame_names and np.shape(self.frame_names) != (T,):
            raise ValueError(f"expected {T} frame names, got {np.size(self.frame_names)}")
        numbers = np.arange(T) if self.frame_numbers is None else self.frame_numbers
        checked = {
            "xy": xy,
            "image_size": (int(self.image_size[0]), int(self.image_size[1])),
            "confidence": _finite(self.confidence, (T, J), "float32", "confidence"),
            "frame_numbers": _finite(numbers, (T,), "int64", "frame_numbers"),
            "times_s": _finite(self.times_s, (T,), "float64", "times_s"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        fps = "None" if self.fps is None else f"{self.fps:g}"
        return (
            f"Keypoints(T={len(self)}, layout={self.layout!r}, image_size={self.image_size}, fps={fps}, "
            f"person={self.person!r}, missing {100 * (1 - self.present.mean()):.0f} %)"
        )

    @property
    def present(self) -> Array:
        """(T, J) bool: keypoints that are not missing."""
        return np.asarray(np.isfinite(self.xy).all(axis=-1))


def _coordinates(xy: Any, J: int) -> Array:
    array = np.asarray(xy)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or array.shape[1:] != (J, 2) or not len(array):
        raise ValueError(f"expected keypoints of shape (T, {J}, 2) with T >= 1, got {array.dtype} {array.shape}")
    missing = np.isnan(array)
    if missing.all():
        raise ValueError("expected at least one keypoint, got none: all are NaN or of confidence 0")
    half = np.argwhere(missing[..., 0] != missing[..., 1])
    if len(half):
        raise ValueError(f"expected both coordinates or none, got NaN in one of joint {half[0, 1]}, frame {half[0, 0]}")
    largest = max(float(np.nanmax(array, initial=0)), -float(np.nanmin(array, initial=0)))
    if not largest <= LARGEST_PX:
        raise ValueError(f"expected coordinates within {LARGEST_PX:g} pixels, got {largest:g}")
    return np.asarray(large_array(array.shape, np.float32, array))


def _finite(values: Any, shape: tuple[int, ...], dtype: str, name: str) -> Array | None:
    """An array of finite numbers of a shape; a series over time increases."""
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in ("iu" if dtype == "int64" else "fiub"):
        raise ValueError(f"expected {name} of shape {shape}, got {array.dtype} {array.shape}")
    if not all((np.abs(part.astype(np.float64)) <= 2**53).all() for part in pieces(array)):
        raise ValueError(f"expected finite {name}, got NaN, infinity or more than 2^53")
    array = large_array(shape, dtype, array)
    least = 1 if dtype == "int64" else LEAST_STEP
    if len(shape) == 1 and (np.diff(array) < least).any():
        raise ValueError(f"expected {name} in increasing order, in steps of at least {least:g}")
    return array


def load_keypoints(
    path: str | Path, layout: str | None = None, image_size: tuple[int, int] | None = None, fps: float | None = None
) -> Keypoints:
    """Reads the npz that :func:`save_keypoints` writes: ``keypoints_px`` (T, J, 2) and the fields of a Keypoints.

    A keypoint of confidence 0 is missing, like one that is NaN. The arguments fill in what the file lacks; where it
    contradicts them, lacks a value or cannot be read, a ``ValueError`` names it.
    """
    entries = entry_names(path)
    found = {name: np.asarray(read_npz(path, old)) for name, names in NAMES.items() for old in names if old in entries}
    xy = np.asarray(read_npz(path, "keypoints_px"))
    with naming(path, (ValueError, TypeError)):
        for name, shape in {"fps": (), "focal_px": (), "image_size": (2,)}.items():
            if name in found and found[name].shape != shape:
                wanted = "width and height" if shape else "one number"
                raise ValueError(f"expected {name} as {wanted}, got shape {found[name].shape}")
        rate, slower, warnings = frame_rate(float(found["fps"]) if "fps" in found else None, fps)
        confidence, numbers, times = (found.get(name) for name in ("confidence", "frame_numbers", "times_s"))
        if confidence is not None and confidence.shape == xy.shape[:2] and not (confidence > 0).all():
            xy = np.where((confidence > 0)[..., None], xy, np.nan)
        size = agree("image size", tuple(found["image_size"].tolist()) if "image_size" in found else None, image_size)
        layout = agree("layout", str(found["layout"]) if "layout" in found else None, layout)
        times = None if times is None else times * slower
        names = tuple(map(str, np.atleast_1d(found.get("frame_names", np.array([])))))
        person, focal_px = str(found.get("person", "0")), float(found["focal_px"]) if "focal_px" in found else None
        return Keypoints(xy, size, layout, confidence, rate, numbers, times, person, names, warnings, focal_px)


def save_keypoints(path: str | Path, keypoints: Keypoints) -> None:
    """Writes the npz that :func:`load_keypoints` reads, replacing an existing file."""
    values = {name: getattr(keypoints, name) for name in NAMES}
    content: dict[str, Any] = {name: value for name, value in values.items() if value is not None and np.size(value)}
    with replacing(path) as temporary:
        np.savez(temporary, keypoints_px=keypoints.xy, **content)


def frame_rate(file: float | None, user: float | None) -> tuple[float | None, float, tuple[str, ...]]:
    """Frames per second, the user's before the file's; the factor of the file's times; a warning if they differ."""
    check_rate(file)
    check_rate(user)
    if file is None or user is None:
        return user if file is None else file, 1.0, ()
    if abs(user / file - 1) <= SAME_FPS:
        return file, 1.0, ()
    return user, file / user, (f"the file has {file:g} frames per second; {user:g} are used as given",)


def agree(what: str, file: T | None, user: T | None) -> T:
    """The file's or the user's image size or layout; they may not differ, and one must be given."""
    option = f"--{what.replace(' ', '-')}"
    if file is not None and user is not None and file != user:
        raise ValueError(f"expected {option} as in the file, {file}, got {user}")
    value = user if file is None else file
    if value is None:
        raise ValueError(f"the file does not give its {what}: expected {option}")
    return value
