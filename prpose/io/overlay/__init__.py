"""Poses on the pictures that they are of, as a video or a picture (extra ``video``)."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import check_output, replacing
from prpose.camera import Array
from prpose.io.overlay.scene import Layout, drawn, layout_of
from prpose.io.video import Video, import_av
from prpose.prediction import Prediction

CLOCK = Fraction(1, 90_000)
"""Seconds per tick of the videos that are written."""

SLOW_FPS = 10.0
"""Of a folder of photos whose rate nobody knows."""

MOVING, STILL = (".mp4", ".mov", ".mkv"), (".png",)


def check_overlay(film_kind: str | None, path: Path, overwrite: bool) -> None:
    """Ask this before the work, not after it.

    Args:
        film_kind: of :func:`prpose.io.video.kind_of`; None for keypoints.
        path: of the overlay.
        overwrite: whether to replace what is there.

    Raises:
        ValueError: if it cannot be made or may not be written.
    """
    if film_kind is None:
        raise ValueError(f"{path}: expected pictures or video to draw on, got keypoints")
    if film_kind == "camera":
        raise ValueError(f"{path}: expected what can be watched twice, got a camera")
    endings = STILL if film_kind == "photo" else MOVING
    if path.suffix.lower() not in endings:
        raise ValueError(f"{path}: expected an overlay in {', '.join(endings)} of a {film_kind}")
    check_output(path, overwrite)


def write_overlay(
    film: Video,
    poses: Prediction,
    path: Path,
    overwrite: bool = False,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Every frame of the film, with what is known of the person in it, at the frame's time.

    On the picture: the keypoints with their bones, left blue and right orange, rings where a joint
    is flagged; beneath them the hypotheses' projection. Beside it: hypotheses, the one pose
    and 95 % regions, from the camera and from its left.

    Args:
        film: that the poses are of.
        poses: with frame numbers of the film.
        path: ``.png`` of a photo, else ``.mp4``, ``.mov`` or ``.mkv``.
        overwrite: whether to replace what is there.
        advance: is told of every frame.

    Raises:
        ValueError: as of :func:`check_overlay`, or if the film cannot be read.
    """
    check_overlay(film.kind, path, overwrite)
    place = {int(number): t for t, number in enumerate(np.asarray(poses.frame_numbers))}
    with replacing(path) as temporary:
        writer: _Writer | None = None
        layout: Layout | None = None
        try:
            for frame in film.frames():
                if writer is None or layout is None:
                    layout = layout_of(poses, frame.image.shape[1], frame.image.shape[0])
                    writer = _Writer(temporary, layout.size, film.kind == "photo", film.fps)
                image = _resized(frame.image, layout.width, layout.height)
                t = place.get(frame.number)
                writer.add(drawn(image, poses, t, layout, frame.time_s), frame.time_s)
                if advance is not None:
                    advance(1)
        finally:
            if writer is not None:
                writer.close()


class _Writer:
    """Frames at their times → a video, or the only one → a PNG."""

    def __init__(self, path: Path, size: tuple[int, int], still: bool, fps: float | None) -> None:
        self.av = import_av()
        self.fps = Fraction(fps or SLOW_FPS).limit_denominator(1001)
        self.count = 0
        self.first: float | None = None
        self.last = -1
        if still:
            self.container: Any = self.av.open(str(path), "w", format="image2", options={"update": "1"})
            self.stream: Any = self.container.add_stream("png", rate=1)
            self.stream.pix_fmt = "rgb24"
        else:
            self.container = self.av.open(str(path), "w")
            codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
            self.stream = self.container.add_stream(codec, rate=self.fps)
            self.stream.pix_fmt = "yuv420p"
            if codec == "libx264":
                self.stream.options = {"crf": "23", "preset": "veryfast"}
            self.stream.codec_context.time_base = CLOCK
        self.stream.width, self.stream.height = size

    def add(self, image: Array, time_s: float | None) -> None:
        """A frame; without a time it comes as the rate says."""
        if time_s is None:
            time_s = float(self.count / self.fps)
        self.first = time_s if self.first is None else self.first
        frame = self.av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self.last = max(self.last + 1, round((time_s - self.first) / float(CLOCK)))
        frame.pts, frame.time_base = self.last, CLOCK
        self.container.mux(self.stream.encode(frame))
        self.count += 1

    def close(self) -> None:
        self.container.mux(self.stream.encode())
        self.container.close()


def _resized(image: Array, width: int, height: int) -> Array:
    if image.shape[:2] == (height, width):
        return image
    frame = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    return np.asarray(frame.reformat(width=width, height=height).to_ndarray())
