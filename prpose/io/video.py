"""Photos, videos, folders of photos and cameras as frames, one at a time (extras ``video`` and ``heic``)."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from prpose.atomic import existing_file
from prpose.camera import Array
from prpose.io.focal import photo_focal_px, video_focal_px
from prpose.io.keypoints import ENDINGS
from prpose.io.keypoints.detections import frame_numbers, with_prefix
from prpose.tables import import_extra, naming

Kind = Literal["photo", "video", "folder", "camera"]
OnFrame = Callable[[int], None]
ADDRESS = re.compile("^(rtsps?|https?|rtmps?|udp|srt):/+(.+)$", re.IGNORECASE)
HEIC = (".heic", ".heif")
PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", *HEIC)
VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".ogv",
          ".3gp", ".gif")  # fmt: skip
DECODERS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF")  # others run programs, such as Ghostscript
PIXELS, PIXELS_PER_BYTE = 25_000_000, 25  # of any photo, and of a byte of larger ones; plain colour has 1000
LARGEST_FRAME = 2**26  # pixels of a video's frame: 8192 x 8192


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: its number; upright image, (H, W, 3) uint8 RGB; time, where known; and a photo's file name."""

    number: int
    image: Array
    time_s: float | None = None
    name: str = ""


@dataclass(eq=False)
class Video:
    """A sequence of frames. Files can be read several times, a camera once.

    Args:
        fps, total: nominal frame rate and number of frames, where known; a video's are those of its header.
        max_seconds: frames of a video or camera from this time on are left out.
        names: file names of the photos, by frame number.
        warnings: problems of the file, one sentence each, known after the last frame.
        focal_px: focal length that the file states, pixels; of photos, which must agree, known after the last frame.
    """

    path: Path
    kind: Kind
    fps: float | None = None
    total: int | None = None
    max_seconds: float | None = None
    names: dict[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    focal_px: float | None = None

    def frames(self) -> Iterator[Frame]:
        """The frames in order, decoded one at a time; ``ValueError`` naming a file that cannot be decoded."""
        if not self.names:
            yield from self._video()
        stated = set[float | None]()
        for number, name in self.names.items():
            image, focal_px = read_photo(self.path / name if self.kind == "folder" else self.path)
            stated.add(focal_px)
            yield Frame(number, image, number / self.fps if self.fps else None, name)
        if len(stated) == 1:
            (self.focal_px,) = stated

    def _video(self) -> Iterator[Frame]:
        skipped: list[str] = []
        count, first, last, is_cut = 0, 0.0, -np.inf, False
        with _opened(self.path, self.kind == "camera") as stream:
            for decoded in _decoded(stream, skipped):
                time = decoded.time
                if time is None:  # MPEG's program streams give only some of their frames a time
                    time = last + 1 / (self.fps or 25.0) if count else 0.0
                if time <= last:
                    skipped.append("its time is not later than that of the frame before")
                    continue
                first = first if count else time
                if is_cut := self.max_seconds is not None and time - first >= self.max_seconds:
                    break
                start = first if self.kind == "camera" else 0.0  # a camera's clock starts with the machine
                yield Frame(count, _upright(decoded, stream.sample_aspect_ratio), time - start)
                count, last = count + 1, time
        if not count:
            raise ValueError(f"{self.path}: expected a video, got no frame that can be decoded")
        warnings = [f"{len(skipped)} frames of the video were skipped; the first: {skipped[0]}"] if skipped else []
        if not is_cut and self.total is not None and count < 0.9 * self.total:
            warnings.append(f"decoded {count} of {self.total} frames; the video may be truncated")
        self.warnings = tuple(warnings)


def open_video(
    path: Path, fps: float | None = None, max_seconds: float | None = None, prefix: str | None = None
) -> Video:
    """A photo, video, folder of photos (the frames of one clip, in natural order) or camera.

    Args:
        path: of the file or folder; a camera's number, ``0``, its device, ``/dev/video0``, or the address of a stream.
        max_seconds: length to read; a camera without it is read until interrupted.
        prefix: only the photos of a folder whose names begin with this.

    Raises:
        ValueError: naming the file, if it is none of these or cannot be opened; if PyAV is missing.
    """
    kind = input_kind(path)
    if kind is None or (kind != "camera" and not path.exists()):
        raise ValueError(f"{path}: expected a photo, video, folder of photos or camera, got no such file or folder")
    if kind == "camera":
        return Video(path, kind, fps, None, max_seconds)
    if kind == "photo":
        return Video(path, kind, None, 1, None, {0: path.name})
    if kind == "folder":
        with naming(path):
            numbers, warnings = frame_numbers(with_prefix(_photos_in(path), prefix))
        names = sorted((number, name) for name, number in numbers.items())
        if fps and max_seconds is not None:
            names = [(number, name) for number, name in names if (number - names[0][0]) / fps < max_seconds]
        return Video(path, kind, fps, len(names), None, dict(names), warnings)
    with _opened(existing_file(path)) as stream:
        rate, total = float(stream.average_rate or 0), stream.frames
        total = total or (round(stream.duration * stream.time_base * rate) if stream.duration else 0)
        if rate and max_seconds is not None:
            total = min(total, ceil(max_seconds * rate))
        tags = {**stream.container.metadata, **stream.metadata}
        focal_px = video_focal_px(path, tags, stream.width * float(stream.sample_aspect_ratio or 1), stream.height)
    return Video(path, kind, rate or None, total or None, max_seconds, focal_px=focal_px)


def stream_address(path: Path) -> str | None:
    """The address that a path was made of, ``rtsp://host/name``; None if it was made of no address."""
    found = ADDRESS.match(str(path))  # a path has one slash of two
    return f"{found[1]}://{found[2]}" if found else None


def input_kind(path: Path) -> Kind | None:
    """Photo, video, folder (of photos alone) or camera, by name; None for everything else."""
    if stream_address(path):
        return "camera"
    if path.is_dir():
        is_mixed = any(file.suffix.lower() in (*VIDEOS, *ENDINGS) for file in path.glob("[!.]*"))
        return "folder" if _photos_in(path) and not is_mixed else None
    if str(path).startswith("/dev/video") or (path.name == str(path) and path.name.isdecimal() and not path.exists()):
        return "camera"
    ending = path.suffix.lower()
    return "photo" if ending in PHOTOS else "video" if ending in VIDEOS else None


def check_input(path: Path) -> None:
    """``ValueError`` for a pipe, socket or device, which may never end, as an input or in its folders."""
    for file in (path, *path.glob("[!.]*"), *path.glob("[!.]*/[!.]*")):
        if not file.is_file() and not file.is_dir() and file.exists() and not str(file).startswith("/dev/video"):
            existing_file(file)


def read_photo(path: Path) -> tuple[Array, float | None]:
    """(H, W, 3) uint8 RGB of a photo, upright by its Exif orientation, and the focal length, pixels, that Exif states.

    HEIC needs the extra ``heic``, whose decoder turns the photo itself and resets the orientation. ``ValueError`` if
    damaged.
    """
    if is_heic := path.suffix.lower() in HEIC:
        import_extra("pillow_heif", "heic").register_heif_opener()
    try:
        with Image.open(existing_file(path), formats=("HEIF",) if is_heic else DECODERS) as image:
            most = max(PIXELS, PIXELS_PER_BYTE * path.stat().st_size)
            if image.width * image.height > most:
                raise ValueError(f"{image.width} x {image.height} pixels, of at most {most:,} in a file of its size")
            focal_px = photo_focal_px(image)
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # 16-bit grey, which convert() would clip at 255
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return np.array(upright.convert("RGB")), focal_px
    except Exception as error:  # a damaged file can fail in many ways
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{path}: expected a photo, got a file that cannot be decoded ({reason})") from None


def import_av() -> Any:
    """PyAV, if installed."""
    av = import_extra("av", "video")
    av.logging.set_level(av.logging.PANIC)  # FFmpeg's messages; errors are raised all the same
    return av


def _photos_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in PHOTOS and not p.name.startswith("."))


def _upright(frame: Any, aspect: Any) -> Array:
    """PyAV's frame as (H, W, 3) uint8 RGB with square pixels, turned by its rotation."""
    width = round(frame.width * (aspect or 1))
    if not 0 < width * frame.height <= LARGEST_FRAME:
        raise ValueError(f"expected frames of at most {LARGEST_FRAME:,} pixels, got {width} x {frame.height}")
    pixels = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _decoded(stream: Any, skipped: list[str]) -> Iterator[Any]:
    """The frames of a stream; errors of packets that cannot be decoded are added to ``skipped``."""
    packets = stream.container.demux(stream)
    while len(skipped) <= 1000:
        try:
            if (packet := next(packets, None)) is None:
                return
            frames = packet.decode()
        except import_av().FFmpegError as error:
            skipped.append(error.strerror)
        else:
            yield from frames


@contextmanager
def _opened(path: Path, is_camera: bool = False) -> Iterator[Any]:
    """The video stream of a file or camera."""
    av, expected = import_av(), "a camera" if is_camera else "a video"
    name, format = _camera_device(path) if is_camera else (str(path), None)
    shown = stream_address(path) or path
    try:
        container = av.open(name, format=format)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{shown}: expected {expected} that can be opened ({reason})") from None
    with container:
        if not container.streams.video:
            got = ", ".join(sorted({stream.type for stream in container.streams})) or "an empty file"
            raise ValueError(f"{shown}: expected {expected}, got {got} only")
        yield container.streams.video[0]


def _camera_device(path: Path) -> tuple[str, str | None]:
    """FFmpeg's name of a camera, and of the format that reads it."""
    if address := stream_address(path):
        return address, None
    device = f"/dev/video{path}" if path.name.isdecimal() else str(path)
    return (path.name, "avfoundation") if sys.platform == "darwin" else (device, "v4l2")
