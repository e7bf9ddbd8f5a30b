"""Predictions drawn on the photo or video that they belong to (video: extra ``video``)."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from prpose.atomic import check_output, replacing
from prpose.camera import Array, Camera
from prpose.io.video import Kind, Video, import_av
from prpose.prediction import Prediction
from prpose.regions import LEVEL, region_quantiles
from prpose.skeleton import H36M_17

SIDE_COLOURS = {"left": "#1f77b4", "right": "#ff7f0e", "middle": "#6e6e6e"}
"""Of overlays and figures."""
SIDES = tuple(side if (side := name.partition("_")[0]) in SIDE_COLOURS else "middle" for name in H36M_17.names)
BONES = tuple((joint, parent) for joint, parent in enumerate(H36M_17.parents) if parent >= 0)

PHOTO_SUFFIXES, VIDEO_SUFFIXES = (".png",), (".mp4", ".mov", ".mkv")
TIME_BASE = Fraction(1, 90_000)
DEFAULT_FPS = 10
"""Of a folder of photos without a frame rate."""

MOST_SAMPLES = 20
"""Samples drawn; more are not easier to see."""
REGION_JOINTS = tuple(
    j for j, name in enumerate(H36M_17.names) if name.endswith(("head", "elbow", "wrist", "knee", "ankle"))
)
CIRCLE = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 37)), np.sin(a)])
VIEWS = (("Camera view", (0, 1)), ("Side view", (2, 1)))
"""Titles, and the camera axes drawn to the right and down: as seen by the camera, and from the camera's left."""

PAPER, INK = (250, 250, 250), (60, 60, 60)
FINE = 2
"""Lines are drawn at this multiple of the resolution, and averaged: that makes them smooth."""
FARTHEST_PX = 1e4


def check_overlay(kind: Kind | None, path: Path, overwrite: bool) -> None:
    """Checks, before the work, that an overlay can be written.

    Args:
        kind: of the input (:func:`prpose.io.video.input_kind`); None for keypoints.
        path: of the overlay.
        overwrite: replace an existing file.

    Raises:
        ValueError: for an input without frames, a camera, a wrong ending, or an existing file.
    """
    if kind is None:
        raise ValueError(f"{path}: expected a photo or video for an overlay, got keypoints")
    if kind == "camera":
        raise ValueError(f"{path}: expected a photo or video for an overlay, got a camera, which cannot be read twice")
    suffixes = PHOTO_SUFFIXES if kind == "photo" else VIDEO_SUFFIXES
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: expected {' or '.join(suffixes)} for the overlay of a {kind}, got {path.suffix!r}")
    check_output(path, overwrite)


def write_overlay(
    video: Video,
    prediction: Prediction,
    path: Path,
    overwrite: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> None:
    """Draws a prediction on every frame of its video, at the frame's time.

    On the frame: the keypoints with their bones, left blue and right orange, with a ring around flagged joints, over
    the projected samples. Beside it: samples, pose and 95 % regions as seen by the camera and from its left.

    Args:
        video: the input of the prediction.
        prediction: with the video's frame numbers.
        path: ``.png`` for a photo, else ``.mp4``, ``.mov`` or ``.mkv``.
        overwrite: replace an existing file.
        on_frame: called with 1 after every frame.

    Raises:
        ValueError: as :func:`check_overlay`, or if the video cannot be decoded.
    """
    check_overlay(video.kind, path, overwrite)
    index = {int(number): t for t, number in enumerate(np.asarray(prediction.frame_numbers))}
    scene: Scene | None = None
    writer: VideoWriter | None = None
    with replacing(path) as temporary:
        try:
            for frame in video.frames():
                scene = scene or Scene.of(prediction, *frame.image.shape[1::-1])
                image = scene.draw(frame.image, index.get(frame.number), frame.time_s)
                if video.kind == "photo":
                    image.save(temporary)
                else:
                    writer = writer or VideoWriter(temporary, image.size, video.fps)
                    writer.add(image, frame.time_s)
                if on_frame is not None:
                    on_frame(1)
        finally:
            if writer is not None:
                writer.close()


class VideoWriter:
    """Frames at their times → a video (H.264 where FFmpeg has an encoder for it, else MPEG-4)."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float | None) -> None:
        self.av = import_av()
        self.fps = Fraction(fps or DEFAULT_FPS).limit_denominator(1001)
        self.first: float | None = None
        self.count, self.last = 0, -1
        self.container = self.av.open(str(path), "w")
        codec = "libx264" if "libx264" in self.av.codecs_available else "mpeg4"
        options = {"crf": "23", "preset": "veryfast"} if codec == "libx264" else {}
        self.stream: Any = self.container.add_stream(codec, rate=self.fps, options=options)
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = "yuv420p"
        self.stream.codec_context.time_base = TIME_BASE

    def add(self, image: Image.Image, time_s: float | None) -> None:
        """Adds a frame, at its time after the first or as the frame rate has it."""
        time_s = float(self.count / self.fps) if time_s is None else time_s
        self.first = time_s if self.first is None else self.first
        frame = self.av.VideoFrame.from_image(image)
        self.last = max(self.last + 1, round((time_s - self.first) / TIME_BASE))
        frame.pts, frame.time_base = self.last, TIME_BASE
        self.container.mux(self.stream.encode(frame))
        self.count += 1

    def close(self) -> None:
        """Completes the file."""
        self.container.mux(self.stream.encode())
        self.container.close()


@dataclass(frozen=True)
class Scene:
    """The arrangement of an overlay: the frame, and right of it two square views of the pose.

    Args:
        prediction: that is drawn.
        width, height: of the frame as shown, pixels, even.
        scale: of the frame as shown over the frame.
        per_metre: pixels per metre of the views.
    """

    prediction: Prediction
    width: int
    height: int
    scale: float
    per_metre: float

    @classmethod
    def of(cls, prediction: Prediction, width: int, height: int) -> "Scene":
        """For frames of a size; the views fit the largest pose."""
        shown = min(max(height, 480), 720)
        shown -= shown % 4
        largest = max(1.0, 1.1 * float(np.abs(prediction.pose).max()))
        across = max(2, round(width * shown / height / 2) * 2)
        return cls(prediction, across, shown, shown / height, shown / 4 / largest)

    def draw(self, image: Array, t: int | None, time_s: float | None = None) -> Image.Image:
        """One frame.

        Args:
            image: (H, W, 3) uint8, the frame.
            t: index of the frame's pose, or None where the person is absent.
            time_s: time to write on it.

        Returns:
            RGB, width + height / 2 by height.
        """
        panel = self.height // 2
        whole = Image.new("RGB", (self.width + panel, self.height))
        whole.paste(self._frame(Image.fromarray(image).resize((self.width, self.height)), t))
        for row, (title, axes) in enumerate(VIEWS):
            whole.paste(self._view(panel, t, axes, title), (self.width, row * panel))
        if time_s is not None:
            text, place = ImageDraw.Draw(whole), (10, self.height - 10)
            text.text(place, f"{time_s:.2f} s", "white", _font(18), "ls", stroke_width=1, stroke_fill="black")
        return whole

    def _frame(self, image: Image.Image, t: int | None) -> Image.Image:
        """Samples as a translucent cloud, and on it the keypoints with their bones."""
        prediction = self.prediction
        if t is None or prediction.keypoints_px is None:
            return image
        canvas = Canvas(image)
        if prediction.samples is not None and prediction.root is not None and prediction.camera is not None:
            points = prediction.samples[:MOST_SAMPLES, t].astype(np.float64) + prediction.root[t]
            for xy in _projected(points, prediction.camera):
                canvas.bones(xy * self.scale, 1.0, 0.25)
        xy, width = prediction.keypoints_px[t] * self.scale, max(2.0, self.height / 200)
        canvas.bones(xy, width + 2, 0.6, "white")
        canvas.bones(xy, width)
        for point, side, flag in zip(xy, SIDES, np.asarray(prediction.flags)[t], strict=True):
            colours = ("white", SIDE_COLOURS[side]) if flag else (SIDE_COLOURS[side], "white")
            canvas.disc(point, width * (2.0 if flag else 1.5), *colours, width / 2)
        return canvas.finished()

    def _view(self, panel: int, t: int | None, axes: tuple[int, int], title: str) -> Image.Image:
        """Samples, pose and 95 % regions (their shadows), camera axes ``axes`` to the right and down."""
        image = Image.new("RGB", (panel, panel), PAPER)
        if t is not None:
            image = self._poses(Canvas(image), panel / 2, t, axes)
        draw, font = ImageDraw.Draw(image), _font(14)
        draw.line([(0, 0), (0, panel - 1), (panel, panel - 1)], INK)
        draw.text((8, 6), title, INK, font)
        draw.text((panel - 8, 6), "left", SIDE_COLOURS["left"], font, "ra")
        draw.text((panel - 8, 24), "right", SIDE_COLOURS["right"], font, "ra")
        return image

    def _poses(self, canvas: "Canvas", middle: float, t: int, axes: tuple[int, int]) -> Image.Image:
        prediction, quantiles = self.prediction, region_quantiles(self.prediction.model, LEVEL)

        def shown(poses: Array) -> Array:
            return np.asarray(middle + poses[..., axes].astype(np.float64) * self.per_metre)

        if prediction.samples is not None:
            for xy in shown(prediction.samples[:MOST_SAMPLES, t]):
                canvas.bones(xy, 1.0, 0.2)
        canvas.bones(shown(prediction.pose[t]), 2.5)
        for joint in REGION_JOINTS:
            covariance = prediction.covariance[t, joint][np.ix_(axes, axes)].astype(np.float64)
            values, vectors = np.linalg.eigh(covariance)
            radii = np.sqrt(np.maximum(values, 0) * quantiles[joint]) * self.per_metre
            canvas.region(shown(prediction.pose[t, joint]) + ((vectors * radii) @ CIRCLE).T, SIDE_COLOURS[SIDES[joint]])
        return canvas.finished()


class Canvas:
    """Smooth drawing: at ``FINE`` times an image's resolution, averaged in the end. Coordinates are the image's."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image.resize((FINE * image.width, FINE * image.height), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.image, "RGBA")  # blends with the image

    def finished(self) -> Image.Image:
        """The image, at its own resolution."""
        return self.image.reduce(FINE)

    def bones(self, xy: Array, width: float, opacity: float = 1.0, colour: str | None = None) -> None:
        """A pose (17, 2), in the colours of its sides unless one is given. Bones with an end far away are left out."""
        points, near = (xy * FINE).tolist(), np.all(np.abs(xy) < FARTHEST_PX, axis=-1)  # false where NaN
        for joint, parent in BONES:
            if near[joint] and near[parent]:
                ends = (*points[joint], *points[parent])
                self.pen.line(ends, _rgba(colour or SIDE_COLOURS[SIDES[joint]], opacity), round(width * FINE))

    def disc(self, xy: Array, radius: float, fill: str, outline: str, width: float) -> None:
        """A disc (2,) with an outline inside its radius."""
        if (np.abs(xy) < FARTHEST_PX).all():
            low, high = (xy - radius) * FINE, (xy + radius) * FINE
            self.pen.ellipse((*low.tolist(), *high.tolist()), fill, outline, round(width * FINE))

    def region(self, outline: Array, colour: str) -> None:
        """A closed curve (N, 2), its inside tinted."""
        points = [(x, y) for x, y in (outline * FINE).tolist()]
        self.pen.polygon(points, _rgba(colour, 0.12))
        self.pen.line(points, _rgba(colour, 0.7), FINE, joint="curve")


@cache
def _rgba(colour: str, opacity: float) -> tuple[int, ...]:
    return (*ImageColor.getrgb(colour), round(255 * opacity))


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _projected(points: Array, camera: Camera) -> Array:
    """(K, 17, 3) metres → pixels (K, 17, 2); NaN for points that are not in front of the camera."""
    in_front = points[..., 2:] > 0.05
    return np.where(in_front, camera.project(np.where(in_front, points, 1.0)), np.nan)
