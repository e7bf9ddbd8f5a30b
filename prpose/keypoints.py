"""One person's 2D keypoints over time, and the npz that holds them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from prpose.atomic import replacing
from prpose.camera import Array
from prpose.data.arrays import coordinates
from prpose.layouts import LAYOUTS
from prpose.remap import is_seen
from prpose.tables import look_up
from prpose.unpickle import entry_names, read_npz

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Keypoints:
    """A person's keypoints, in the layout of whoever found them.

    Frames in which the person is absent are left out; a joint that is unseen in a frame is NaN.

    Args:
        keypoints_px: (T, J, 2) float32 pixels, origin at the top left corner.
        width, height: of the image, pixels.
        layout: a key of :data:`prpose.layouts.LAYOUTS`.
        fps: frames per second, where known.
        score: (T, J) the detector's confidence, in its own units, where it gives one.
        frames: (T,) numbers of the frames in the video or folder, increasing; from 0 if not given.
        person: who it is, in the file's words or by :mod:`prpose.io.keypoints.people`.
        frame_names: T names of the images, where the file has them; else none.
        times_s: (T,) float64 seconds, increasing, where each frame has a time of its own; frames of
            an even rate need none.
        notes: what was wrong with the file, a line each.

    Raises:
        ValueError: for an unknown layout, another number of joints, values that are infinite, no
            joint in any frame, an image of no size, or times that do not increase.
    """

    keypoints_px: Array
    width: int
    height: int
    layout: str
    fps: float | None = None
    score: Array | None = None
    frames: Array | None = None
    person: str = "0"
    frame_names: tuple[str, ...] = ()
    times_s: Array | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        skeleton = look_up(self.layout, LAYOUTS, "layout")
        check_coordinates(self.keypoints_px, len(skeleton), "track")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"expected a positive image size, got {self.width} x {self.height}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"expected a frame rate > 0, got {self.fps}")
        shape = self.keypoints_px.shape[:2]
        if self.score is not None and self.score.shape != shape:
            raise ValueError(f"expected score of shape {shape}, got {self.score.shape}")
        if self.frames is not None:
            if self.frames.shape != shape[:1] or self.frames.dtype.kind not in "iu":
                raise ValueError(
                    f"expected frames as {shape[0]} whole numbers, got {self.frames.dtype} {self.frames.shape}"
                )
            if (np.diff(self.frames.astype(np.int64)) <= 0).any():
                raise ValueError("expected frames in increasing order")
        if self.frame_names and len(self.frame_names) != shape[0]:
            raise ValueError(f"expected {shape[0]} frame names, got {len(self.frame_names)}")
        if self.times_s is not None:
            _check_times(self.times_s, shape[0])

    def __len__(self) -> int:
        return len(self.keypoints_px)

    @property
    def seen(self) -> Array:
        """(T, J) bool: joints that were found."""
        return is_seen(self.keypoints_px)

    @property
    def frame_numbers(self) -> Array:
        """(T,) ``frames``, or those from 0."""
        return np.arange(len(self)) if self.frames is None else self.frames


def _check_times(times_s: Array, T: int) -> None:
    if times_s.shape != (T,) or times_s.dtype.kind not in "fiu" or not np.isfinite(times_s).all():
        raise ValueError(f"expected {T} finite times, got {times_s.dtype} {times_s.shape}")
    if (np.diff(times_s) <= 0).any():
        raise ValueError("expected times in increasing order")


def check_coordinates(keypoints_px: Any, J: int, where: str) -> Array:
    """A file's (T, J, 2) pixels as float32; NaN stands for unseen joints.

    Raises:
        ValueError: starting with ``where``, for another shape or type, infinite values, one
            coordinate that is NaN without the other, or nothing but NaN.
    """
    if not isinstance(keypoints_px, np.ndarray) or keypoints_px.dtype.kind != "f":
        return coordinates(keypoints_px, J, 2, where, "2D")
    unseen = np.isnan(keypoints_px)
    narrow = coordinates(np.where(unseen, 0, keypoints_px), J, 2, where, "2D")
    if unseen.all():
        raise ValueError(f"{where}: expected finite 2D of some joint, got none: all are NaN or of score 0")
    if (unseen[..., 0] != unseen[..., 1]).any():
        frame, joint = np.argwhere(unseen[..., 0] != unseen[..., 1])[0]
        raise ValueError(f"{where}: expected both coordinates or none, got NaN in one of joint {joint}, frame {frame}")
    return np.where(unseen, np.float32(np.nan), narrow)


def read_npz_keypoints(
    path: str | Path,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> Keypoints:
    """A track from an npz: ``keypoints_px`` (T, J, 2), and what the file says of it.

    Args:
        path: with ``keypoints_px`` and, optionally, ``layout`` (text), ``image_size`` (width,
            height), ``fps``, ``score`` (T, J), ``frames`` (T,), ``times_s`` (T,),
            ``person`` (text) and ``frame_names`` (T,). A joint of score 0 is unseen, as one that
            is NaN.
        layout, image_size, fps: where the file does not say.

    Raises:
        ValueError: naming the file, if it cannot be read, does not say what it must, or says
            something else than the arguments.
    """
    path = Path(path)
    has = entry_names(path)
    said = {
        name: read_npz(path, name)
        for name in (
            *("layout", "image_size", "fps", "score", "frames", "times_s", "person"),
            "frame_names",
        )
        if name in has
    }
    keypoints = np.asarray(read_npz(path, "keypoints_px"))
    try:
        size = _image_size(np.asarray(said["image_size"])) if "image_size" in said else None
        rate = _number(np.asarray(said["fps"])) if "fps" in said else None
        named = str(said["layout"]) if "layout" in said else None
        score = _real(np.asarray(said["score"]), "score") if "score" in said else None
        pixels = check_coordinates(keypoints, _joints(keypoints), "keypoints_px")
        return Keypoints(
            pixels if score is None else hidden_unseen(pixels, score),
            *agreed("image size", size, image_size, "--image-size"),
            layout=agreed("layout", named, layout, "--layout"),
            fps=rate if fps is None else agreed("frame rate", rate, fps, "--fps"),
            score=score,
            frames=np.asarray(said["frames"]) if "frames" in said else None,
            person=str(said.get("person", "0")),
            frame_names=tuple(map(str, np.atleast_1d(said.get("frame_names", [])))),
            times_s=np.asarray(said["times_s"]) if "times_s" in said else None,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def hidden_unseen(keypoints_px: Array, score: Array) -> Array:
    """(T, J, 2) with NaN where the score (T, J) is not above 0."""
    if score.shape != keypoints_px.shape[:2]:
        raise ValueError(f"expected score of shape {keypoints_px.shape[:2]}, got {score.shape}")
    return np.where((score > 0)[..., None], keypoints_px, np.float32(np.nan))


def write_keypoints(path: Path, track: Keypoints) -> None:
    """The npz that :func:`read_npz_keypoints` reads, replacing what is there."""
    content: dict[str, Any] = {
        "keypoints_px": track.keypoints_px,
        "layout": np.array(track.layout),
        "image_size": np.array([track.width, track.height]),
        "person": np.array(track.person),
    }
    for name in ("fps", "score", "frames", "times_s"):
        if getattr(track, name) is not None:
            content[name] = np.array(getattr(track, name))
    if track.frame_names:
        content["frame_names"] = np.array(track.frame_names)
    with replacing(path) as temporary:
        np.savez(temporary, **content)


def _joints(keypoints: Array) -> int:
    return keypoints.shape[1] if keypoints.ndim == 3 else 0


def _image_size(size: Array) -> tuple[int, int]:
    if size.shape != (2,) or size.dtype.kind not in "iu":
        raise ValueError(f"expected image_size as two whole numbers, got {size.dtype} {size.shape}")
    return int(size[0]), int(size[1])


def _number(value: Array) -> float:
    if value.shape != () or value.dtype.kind not in "fiu":
        raise ValueError(f"expected fps as a number, got {value.dtype} {value.shape}")
    return float(value)


def _real(value: Array, what: str) -> Array:
    if value.dtype.kind not in "fiub" or not np.isfinite(value).all():
        raise ValueError(f"expected {what} as finite numbers, got {value.dtype}")
    return value.astype(np.float32)


def agreed(what: str, file: T | None, user: T | None, flag: str) -> T:
    """What the file or the user says; they may not differ, and one must speak."""
    if file is None and user is None:
        raise ValueError(f"expected the file to say its {what}, or {flag}")
    if file is not None and user is not None and file != user:
        raise ValueError(f"expected {flag} as in the file, {file}, got {user}")
    both: Any = user if file is None else file
    return both
