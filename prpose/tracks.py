"""One person's 2D keypoints over time, as files hold them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from prpose.atomic import replacing
from prpose.camera import Array
from prpose.data.arrays import coordinates
from prpose.skeleton import H36M_17, Skeleton
from prpose.tables import look_up
from prpose.unpickle import entry_names, read_npz

T = TypeVar("T")

LAYOUTS: dict[str, Skeleton] = {"h36m17": H36M_17}
"""Orders of joints by name; never guessed from how many there are."""


@dataclass(frozen=True, eq=False)
class Track:
    """A person's keypoints.

    Args:
        keypoints_px: (T, J, 2) float32 pixels, origin at the top left corner.
        width, height: of the image, pixels.
        layout: a key of :data:`LAYOUTS`.
        fps: frames per second, where known.

    Raises:
        ValueError: for an unknown layout, another number of joints, values that are not finite, or
            an image of no size.
    """

    keypoints_px: Array
    width: int
    height: int
    layout: str
    fps: float | None = None

    def __post_init__(self) -> None:
        skeleton = look_up(self.layout, LAYOUTS, "layout")
        coordinates(self.keypoints_px, len(skeleton), 2, "track", "2D")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"expected a positive image size, got {self.width} x {self.height}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"expected a frame rate > 0, got {self.fps}")


def read_track(
    path: str | Path, layout: str | None = None, image_size: tuple[int, int] | None = None
) -> Track:
    """A track from an npz: ``keypoints_px`` (T, J, 2), and what the file says of it.

    Args:
        path: with ``keypoints_px`` and, optionally, ``layout`` (text), ``image_size`` (width,
            height) and ``fps``.
        layout, image_size: where the file does not say.

    Raises:
        ValueError: naming the file, if it cannot be read, does not say what it must, or says
            something else than the arguments.
    """
    path = Path(path)
    has = entry_names(path)
    said = read_npz(path, "layout") if "layout" in has else None
    size = np.asarray(read_npz(path, "image_size")) if "image_size" in has else None
    fps = np.asarray(read_npz(path, "fps")) if "fps" in has else None
    keypoints = np.asarray(read_npz(path, "keypoints_px"))
    try:
        found = None if size is None else _image_size(size)
        return Track(
            coordinates(keypoints, *_shape(keypoints), "keypoints_px", "2D"),
            *_agreed("image size", found, image_size, "--image-size"),
            layout=_agreed("layout", None if said is None else str(said), layout, "--layout"),
            fps=None if fps is None else _number(fps),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_track(path: Path, track: Track) -> None:
    """The npz that :func:`read_track` reads, replacing what is there."""
    content: dict[str, Any] = {
        "keypoints_px": track.keypoints_px,
        "layout": np.array(track.layout),
        "image_size": np.array([track.width, track.height]),
    }
    if track.fps is not None:
        content["fps"] = np.array(track.fps)
    with replacing(path) as temporary:
        np.savez(temporary, **content)


def _shape(keypoints: Array) -> tuple[int, int]:
    return (keypoints.shape[1] if keypoints.ndim == 3 else 0), 2


def _image_size(size: Array) -> tuple[int, int]:
    if size.shape != (2,) or size.dtype.kind not in "iu":
        raise ValueError(f"expected image_size as two whole numbers, got {size.dtype} {size.shape}")
    return int(size[0]), int(size[1])


def _number(value: Array) -> float:
    if value.shape != () or value.dtype.kind not in "fiu":
        raise ValueError(f"expected fps as a number, got {value.dtype} {value.shape}")
    return float(value)


def _agreed(what: str, file: T | None, user: T | None, flag: str) -> T:
    """What the file or the user says; they may not differ, and one must speak."""
    if file is None and user is None:
        raise ValueError(f"expected the file to say its {what}, or {flag}")
    if file is not None and user is not None and file != user:
        raise ValueError(f"expected {flag} as in the file, {file}, got {user}")
    agreed: Any = user if file is None else file
    return agreed
