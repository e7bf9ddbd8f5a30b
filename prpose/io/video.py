"""Photos, videos, folders of photos and cameras as frames, one at a time (extra ``video``)."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import frame_numbers
from prpose.io.keypoints.folders import ENDINGS
from prpose.io.orientation import upright

Kind = Literal["photo", "video", "folder", "camera"]

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".gif"),
)


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture, upright.

    Args:
        number: in the video or folder.
        image: (H, W, 3) uint8, RGB.
        time_s: by the file's own clock, where it has one.
        name: of its file, in a folder.
    """

    number: int
    image: Array
    time_s: float | None = None
    name: str = ""


@dataclass(eq=False)
class Video:
    """What can be watched, and watched again, but for a camera.

    Args:
        path: of it.
        kind: of it.
        fps: nominal frames per second, where the file or the user says them.
        total: frames, where known beforehand; of a video it is what the file says.
        seconds: after which it ends.
        names: of the photos in a folder, by number.
        notes: what was wrong with it, a line each, once it was watched.
    """

    path: Path
    kind: Kind
    fps: float | None = None
    total: int | None = None
    seconds: float | None = None
    names: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def frames(self) -> Iterator[Frame]:
        """Its frames, in order; only the present one is held.

        Raises:
            ValueError: naming the file, if it cannot be read, or has no pictures.
        """
        return self._photos() if self.kind in ("photo", "folder") else self._video()

    def _photos(self) -> Iterator[Frame]:
        first = min(self.names)
        for number, name in self.names.items():
            path = self.path / name if self.kind == "folder" else self.path
            time = number / self.fps if self.kind == "folder" and self.fps else None
            if self.fps and self.seconds is not None and (number - first) / self.fps >= self.seconds:
                return
            with _opened(path) as stream:
                image = next(iter(_decoded(stream, [])), None)
                if image is None or image.is_corrupt:
                    raise ValueError(f"{path}: expected a picture, got none, or part of one")
                yield Frame(number, upright(image, path), time, name)

    def _video(self) -> Iterator[Frame]:
        bad: list[str] = []
        device = _camera_of(self.path) if self.kind == "camera" else None
        count, first, last, whole = 0, 0.0, -np.inf, False
        with _opened(self.path, device) as stream:
            aspect = stream.sample_aspect_ratio
            for image in _decoded(stream, bad):
                time = image.time
                if time is None:  # some old containers time only some of their frames
                    time = last + 1 / (self.fps or 25.0) if count else 0.0
                first = time if not count else first
                if time <= last:
                    bad.append("comes no later than the frame before")
                    continue
                if self.seconds is not None and time - first >= self.seconds:
                    whole = True
                    break
                since = first if self.kind == "camera" else 0.0  # a camera's clock started at boot
                yield Frame(count, upright(image, self.path, aspect), time - since)
                count, last = count + 1, time
        if not count:
            raise ValueError(f"{self.path}: expected a video, got no frame that can be decoded")
        notes = [f"{len(bad)} pieces of the video left out: the first {bad[0]}"] if bad else []
        if not whole and self.total is not None and count < 0.9 * self.total:
            notes.append(f"{count} of {self.total} frames are there: is the video whole?")
        self.warnings = tuple(notes)


def open_video(path: Path, fps: float | None = None, seconds: float | None = None) -> Video:
    """A photo, video, folder of photos (frames of one clip, in natural order) or camera.

    Args:
        path: of it; a camera's is its number, ``0``.
        fps: of a folder.
        seconds: after which it ends, where that is a time.

    Raises:
        ValueError: naming the file, if it is none of them or holds no pictures; if PyAV is missing.
    """
    for what, value in (("--fps", fps), ("--seconds", seconds)):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"expected {what} > 0, got {value}")
    kind = kind_of(path)
    if kind is None:
        raise ValueError(f"{path}: expected a photo, a video, a folder of photos or a camera")
    import_av()
    if kind == "camera":
        return Video(path, kind, fps, seconds=seconds)
    if kind == "folder":
        names = {number: name for name, number in frame_numbers(photos_in(path)).items()}
        return Video(path, kind, fps, len(names), seconds, dict(sorted(names.items())))
    if kind == "photo":
        return Video(path, kind, None, 1, seconds, {0: path.name})
    with _opened(path) as stream:
        rate = stream.average_rate
        film = Video(path, kind, float(rate) if rate else None, stream.frames or None, seconds)
        if film.total is None and stream.duration and film.fps:
            film.total = round(float(stream.duration * stream.time_base) * film.fps)
        if film.total is not None and film.fps and seconds is not None:
            film.total = min(film.total, ceil(seconds * film.fps))
    return film


def kind_of(path: Path) -> Kind | None:
    """What a path leads to, by its name, or None if it is nothing to be watched."""
    if path.is_dir():
        others = (*VIDEOS, *ENDINGS)
        many = any(inside.suffix.lower() in others for inside in path.iterdir())
        return "folder" if photos_in(path) and not many else None
    if not path.exists() and path.name == str(path) and path.name.isdecimal():
        return "camera"
    if str(path).startswith("/dev/video"):
        return "camera"
    ending = path.suffix.lower()
    return "photo" if ending in PHOTOS else "video" if ending in VIDEOS else None


def photos_in(folder: Path) -> list[str]:
    """Names of the photos in a folder, hidden files left out."""
    names = (path.name for path in folder.iterdir() if path.suffix.lower() in PHOTOS)
    return sorted(name for name in names if not name.startswith("."))


def import_av() -> Any:
    """PyAV; ``ValueError`` that says how to install it, if missing."""
    try:
        av = importlib.import_module("av")
    except ImportError:
        raise ValueError('PyAV is needed for pictures and video: pip install "prpose[video]"') from None
    av.logging.set_level(av.logging.PANIC)  # FFmpeg's own words; errors are raised all the same
    return av


def _decoded(stream: Any, bad: list[str]) -> Iterator[Any]:
    """The stream's frames; what cannot be decoded is left out, and said in ``bad``."""
    av = import_av()
    packets = stream.container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.FFmpegError as error:
            bad.append(f"cannot be decoded: {_reason(error)}")
            if len(bad) > 1000:
                return
            continue
        yield from frames


@contextmanager
def _opened(path: Path, device: tuple[str, str] | None = None) -> Iterator[Any]:
    """The video stream of a file or device."""
    av = import_av()
    name, format = device or (str(path), None)
    if device is None and not path.is_file():
        raise ValueError(f"{path}: no such file or folder")
    what = "a camera" if device else "a picture or video"
    try:
        container = av.open(name, format=format)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ValueError(f"{path}: expected {what}, got none ({_reason(error)})") from None
    with container:
        if not container.streams.video:
            got = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise ValueError(f"{path}: expected {what}, got {got} alone")
        yield container.streams.video[0]


def _camera_of(path: Path) -> tuple[str, str]:
    """FFmpeg's name of a camera, and of what reads it."""
    if sys.platform == "darwin":
        return path.name, "avfoundation"
    if sys.platform.startswith("linux"):
        return (f"/dev/video{path}" if path.name.isdecimal() else str(path)), "v4l2"
    raise ValueError(f"{path}: expected Linux or macOS for a camera, got {sys.platform}")


def _reason(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error).split("\n")[0]).split(": '")[0]
