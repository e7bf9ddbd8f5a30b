"""Predictions drawn on the photo or video that they belong to (video: extra ``video``)."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prpose.atomic import check_output, replacing
from prpose.camera import Array
from prpose.io.video import Kind, Video, import_av
from prpose.prediction import Prediction
from prpose.regions import LEVEL, region_quantiles
from prpose.skeleton import H36M_17

SIDE_COLOURS = {"left": "#1f77b4", "right": "#ff7f0e", "middle": "#6e6e6e"}
"""Of overlays and figures."""
BONES, JOINT_COLOURS = H36M_17.bones, tuple(SIDE_COLOURS[side] for side in H36M_17.sides)
TimedImage = tuple[Image.Image, float | None]
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
"""Titles, and the camera axes drawn to the right and down: as seen by the camera, and from its left."""
PAPER, INK, WHITE = "#fafafa", "#3c3c3c", "#ffffff"
FINE = 2
"""Lines are drawn at this multiple of the resolution, and averaged: that makes them smooth."""
FARTHEST_PX = 1e4
FONT = cache(ImageFont.load_default)


def check_overlay(kind: Kind | None, path: Path, overwrite: bool) -> None:
    """Checks, before the work, that an overlay of an input (None: keypoints) can be written.

    Raises:
        ValueError: for keypoints, a camera, a wrong ending, or an existing file.
    """
    if kind is None or kind == "camera":
        got = "keypoints" if kind is None else "a camera, which cannot be read twice"
        raise ValueError(f"{path}: expected a photo or video to draw the overlay on, got {got}")
    suffixes = (".png",) if kind == "photo" else (".mp4", ".mov", ".mkv")
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

    On the frame: the projected samples; and the keypoints with their bones, left blue and right orange, with a ring
    for a flagged joint. Beside it: samples, pose and 95 % regions as seen by the camera and from its left.

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
    with replacing(path) as temporary:
        images = _images(video, prediction, on_frame or (lambda steps: None))
        if video.kind == "photo":
            next(images)[0].save(temporary)
        else:
            _encode(images, temporary, Fraction(video.fps or DEFAULT_FPS).limit_denominator(1001))


def _images(video: Video, prediction: Prediction, on_frame: Callable[[int], None]) -> Iterator[TimedImage]:
    scene, index = None, {int(number): t for t, number in enumerate(np.asarray(prediction.frame_numbers))}
    for frame in video.frames():
        scene = scene or Scene(prediction, *frame.image.shape[1::-1])
        yield scene.draw(frame.image, index.get(frame.number), frame.time_s), frame.time_s
        on_frame(1)


def _encode(images: Iterator[TimedImage], path: Path, rate: Fraction) -> None:
    """Writes a video, H.264 where FFmpeg has an encoder for it, else MPEG-4. Images without a time come at the rate."""
    av, first_s, last = import_av(), 0.0, -1
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    options = {"crf": "23", "preset": "veryfast"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TIME_BASE
        for count, (image, time_s) in enumerate(images):
            time_s = float(count / rate) if time_s is None else time_s
            if not count:
                first_s, (stream.width, stream.height) = time_s, image.size
            frame, last = av.VideoFrame.from_image(image), max(last + 1, round((time_s - first_s) / TIME_BASE))
            frame.pts, frame.time_base = last, TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


class Scene:
    """The arrangement of an overlay: a frame of a video, and right of it two square views that fit the largest pose."""

    def __init__(self, prediction: Prediction, width: int, height: int) -> None:
        self.prediction, self.quantiles = prediction, region_quantiles(prediction.model, LEVEL)
        self.height = min(max(height, 480), 720) // 4 * 4  # a video's sides are even
        self.scale, self.panel = self.height / height, self.height // 2
        self.width = max(2, round(width * self.scale / 2) * 2)
        self.per_metre = self.panel / 2 / max(1.0, 1.1 * float(np.abs(prediction.pose).max()))

    def draw(self, image: Array, t: int | None, time_s: float | None = None) -> Image.Image:
        """One frame, RGB, width + height / 2 by height.

        Args:
            image: (H, W, 3) uint8, the frame.
            t: index of the frame's pose, or None where the person is absent.
            time_s: written on the image.
        """
        whole = Image.new("RGB", (self.width + self.panel, self.height))
        whole.paste(self._frame(Image.fromarray(image).resize((self.width, self.height)), t))
        for row, (title, axes) in enumerate(VIEWS):
            whole.paste(self._view(t, axes, title), (self.width, row * self.panel))
        if time_s is not None:
            pen, place = ImageDraw.Draw(whole), (10, self.height - 10)
            pen.text(place, f"{time_s:.2f} s", WHITE, FONT(18), "ls", stroke_width=1, stroke_fill="black")
        return whole

    def _frame(self, image: Image.Image, t: int | None) -> Image.Image:
        prediction = self.prediction
        if t is None or prediction.keypoints_px is None:
            return image
        canvas = Canvas(image)
        if prediction.samples is not None and prediction.root is not None and prediction.camera is not None:
            points = prediction.samples[:MOST_SAMPLES, t].astype(np.float64) + prediction.root[t]
            in_front = points[..., 2:] > 0.05
            projected = prediction.camera.project(np.where(in_front, points, 1.0))
            for xy in np.where(in_front, projected, np.nan) * self.scale:
                canvas.bones(xy, 1.0, 0.3)
        xy, width = prediction.keypoints_px[t] * self.scale, max(2.0, self.height / 200)
        canvas.bones(xy, width + 2, 0.6, WHITE)
        canvas.bones(xy, width)
        for point, colour, flag in zip(xy, JOINT_COLOURS, np.asarray(prediction.flags)[t], strict=True):
            canvas.joint(point, width, colour, bool(flag))
        return canvas.image.reduce(FINE)

    def _view(self, t: int | None, axes: tuple[int, int], title: str) -> Image.Image:
        panel = self.panel
        image = Image.new("RGB", (panel, panel), PAPER)
        if t is not None:
            image = self._poses(Canvas(image), t, axes)
        pen, font = ImageDraw.Draw(image), FONT(14)
        pen.line([(0, 0), (0, panel - 1), (panel, panel - 1)], INK)
        pen.text((8, 6), title, INK, font)
        for row, side in enumerate(("left", "right")):
            pen.text((panel - 8, 6 + 18 * row), side, SIDE_COLOURS[side], font, "ra")
        return image

    def _poses(self, canvas: "Canvas", t: int, axes: tuple[int, int]) -> Image.Image:
        prediction = self.prediction

        def shown(poses: Array) -> Array:
            return np.asarray(self.panel / 2 + poses[..., axes].astype(np.float64) * self.per_metre)

        if prediction.samples is not None:
            for xy in shown(prediction.samples[:MOST_SAMPLES, t]):
                canvas.bones(xy, 1.0, 0.2)
        canvas.bones(shown(prediction.pose[t]), 2.5)
        for joint in REGION_JOINTS:  # a region's shadow is the ellipse of the covariance along the two axes
            values, vectors = np.linalg.eigh(prediction.covariance[t, joint][np.ix_(axes, axes)].astype(np.float64))
            radii = np.sqrt(np.maximum(values, 0) * self.quantiles[joint]) * self.per_metre
            canvas.region(shown(prediction.pose[t, joint]) + ((vectors * radii) @ CIRCLE).T, JOINT_COLOURS[joint])
        return canvas.image.reduce(FINE)


class Canvas:
    """Smooth drawing on an image: at ``FINE`` times its resolution, then averaged. Coordinates are the image's."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image.resize((FINE * image.width, FINE * image.height), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.image, "RGBA")  # blends with the image

    def bones(self, xy: Array, width: float, opacity: float = 1.0, colour: str | None = None) -> None:
        """A pose (17, 2), in the colours of its sides unless one is given. Bones with an end far away are left out."""
        points, near = (xy * FINE).tolist(), np.all(np.abs(xy) < FARTHEST_PX, axis=-1)  # false where NaN
        for joint, parent in BONES:
            if near[joint] and near[parent]:
                fill = f"{colour or JOINT_COLOURS[joint]}{round(255 * opacity):02x}"
                self.pen.line((*points[joint], *points[parent]), fill, round(width * FINE))

    def joint(self, xy: Array, width: float, colour: str, is_flagged: bool) -> None:
        """A disc (2,) with a white edge or, if flagged, a ring."""
        if np.all(np.abs(xy) < FARTHEST_PX):
            radius = width * (2.0 if is_flagged else 1.5)
            colours = (WHITE, colour) if is_flagged else (colour, WHITE)
            box = np.concatenate([xy - radius, xy + radius]) * FINE
            self.pen.ellipse(box.tolist(), *colours, round(width / 2 * FINE))

    def region(self, outline: Array, colour: str) -> None:
        """A closed curve (N, 2), its inside tinted."""
        points = [(x, y) for x, y in (outline * FINE).tolist()]
        self.pen.polygon(points, f"{colour}1f")
        self.pen.line(points, f"{colour}b2", FINE, joint="curve")
