"""Predictions drawn on the photo or video that they belong to (video: extra ``video``)."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prpose.atomic import check_output, replacing
from prpose.camera import Array, level_rotation
from prpose.io.video import Kind, OnFrame, Video, import_av
from prpose.prediction import Prediction
from prpose.regions import LEVEL, region_quantiles
from prpose.skeleton import H36M_17
from prpose.tables import naming

SIDE_COLOURS = {"left": "#1f77b4", "right": "#ff7f0e", "middle": "#6e6e6e"}  # of overlays and figures
BONES, JOINT_COLOURS = H36M_17.bones, tuple(SIDE_COLOURS[side] for side in H36M_17.sides)
BONE_CHAINS: list[list[int]] = []  # chains of bones of a colour, that of their end, towards the pelvis; drawn at once
for _joint, _parent in BONES:
    if BONE_CHAINS and BONE_CHAINS[-1][0] == _parent and JOINT_COLOURS[_joint] == JOINT_COLOURS[_parent]:
        BONE_CHAINS[-1].insert(0, _joint)
    else:
        BONE_CHAINS.append([_joint, _parent])
TIME_BASE = Fraction(1, 90_000)
DEFAULT_FPS = 10  # of a folder of photos without a frame rate
MOST_SAMPLES = 20  # drawn; more are not easier to see
ENDS = ("head", "elbow", "wrist", "knee", "ankle")
REGION_JOINTS = [j for j, name in enumerate(H36M_17.names) if name.endswith(ENDS)]
CIRCLE = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 37)), np.sin(a)])
VIEWS = {"Camera view": (0, 1), "Side view": (2, 1)}  # camera axes drawn to the right and down
PAPER, INK, WHITE = "#fafafa", "#3c3c3c", "#ffffff"
FINE = 2  # lines are drawn at this multiple of the resolution, and averaged: that makes them smooth
FARTHEST_PX = 1e4
FONT = cache(ImageFont.load_default)


def check_overlay(kind: Kind | None, path: Path, overwrite: bool) -> None:
    """``ValueError`` if no overlay of the input can be written: keypoints (None), a camera, wrong ending, no PyAV."""
    if kind is None or kind == "camera":
        got = "keypoints" if kind is None else "a camera, which cannot be read twice"
        raise ValueError(f"{path}: expected a photo or video to draw the overlay on, got {got}")
    suffixes = (".png",) if kind == "photo" else (".mp4", ".mov", ".mkv")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: expected {' or '.join(suffixes)} for the overlay of a {kind}, got {path.suffix!r}")
    check_output(path, overwrite)
    if kind != "photo":
        import_av()


def write_overlay(
    video: Video, prediction: Prediction, path: Path, overwrite: bool = False, on_frame: OnFrame = lambda steps: None
) -> None:
    """Draws a prediction on every frame of its input (a photo's as PNG), at the frame's time.

    On the frame: the projected samples; and the keypoints with their bones, left blue and right orange, with a ring
    for a flagged joint. Beside it: samples, pose and 95 % regions as seen by the camera and from its right,
    there upright where up is known.
    ``on_frame`` is called with 1 after every frame. ``ValueError`` as :func:`check_overlay`.
    """
    check_overlay(video.kind, path, overwrite)
    with replacing(path) as temporary:
        images = _images(video, prediction, on_frame)
        if video.kind == "photo":
            next(images)[0].save(temporary, compress_level=1)  # a third of the default's time, a sixth larger
        else:
            encode(images, temporary, video.fps or DEFAULT_FPS)


def _images(video: Video, prediction: Prediction, on_frame: OnFrame) -> Iterator[tuple[Image.Image, float | None]]:
    scene, index = None, {int(number): t for t, number in enumerate(np.asarray(prediction.frame_numbers))}
    for frame in video.frames():
        scene = scene or Scene(prediction, *frame.image.shape[1::-1])
        yield scene.draw(frame.image, index.get(frame.number), frame.time_s), frame.time_s
        on_frame(1)


def encode(images: Iterator[tuple[Image.Image, float | None]], path: Path, fps: float) -> None:
    """Writes a video, H.264 where FFmpeg has an encoder for it, else MPEG-4. Images without a time come at the rate."""
    av, first_s, last = import_av(), 0.0, -1
    rate = max(Fraction(1, 1001), Fraction(fps).limit_denominator(1001))
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"  # which ignores the options
    with naming("this video cannot be written", av.FFmpegError), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "23", "preset": "veryfast"})
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
        self.prediction, self.quantiles = prediction, region_quantiles(prediction.model, LEVEL)[REGION_JOINTS]
        self.height = min(max(height, 480), 720) // 4 * 4  # a video's sides are even
        self.scale, self.panel = self.height / height, self.height // 2
        self.width = max(2, round(width * self.scale / 2) * 2)
        self.turns = {"Camera view": np.eye(3), "Side view": level_rotation(prediction.up)}
        self.per_metre = self.panel / 2 / max(1.0, 1.1 * float(np.abs(prediction.pose).max()))
        self.papers = [self._paper(title) for title in VIEWS]

    def draw(self, image: Array, t: int | None, time_s: float | None = None) -> Image.Image:
        """A frame (H, W, 3) with its views; ``t`` is the index of its pose, or None where the person is absent."""
        whole, size = Image.new("RGB", (self.width + self.panel, self.height)), (self.width, self.height)
        frame = Image.fromarray(image)
        whole.paste(frame if frame.size == size else frame.resize(size))
        if t is not None:
            self._draw_person(whole, t)
        for row, (paper, (title, axes)) in enumerate(zip(self.papers, VIEWS.items(), strict=True)):
            whole.paste(
                paper if t is None else self._view(paper, t, axes, self.turns[title]), (self.width, row * self.panel)
            )
        if time_s is not None:
            place, text = (10, self.height - 10), f"{time_s:.2f} s"
            ImageDraw.Draw(whole).text(place, text, WHITE, FONT(18), "ls", stroke_width=1, stroke_fill="black")
        return whole

    def _paper(self, title: str) -> Image.Image:
        """A view without a pose."""
        paper, end = Image.new("RGB", (self.panel, self.panel), PAPER), self.panel - 1
        pen = ImageDraw.Draw(paper)
        pen.line([(0, 0), (0, end), (end, end)], INK)
        pen.text((8, 6), title, INK, FONT(14))
        for line, side in enumerate(("left", "right")):
            pen.text((self.panel - 8, 6 + 18 * line), side, SIDE_COLOURS[side], FONT(14), "ra")
        return paper

    def _draw_person(self, whole: Image.Image, t: int) -> None:
        prediction, width = self.prediction, max(2.0, self.height / 200)
        samples: Array = np.empty((0, len(H36M_17), 2))
        keypoints = samples
        if prediction.samples is not None and prediction.root is not None and prediction.camera is not None:
            points = prediction.samples[:MOST_SAMPLES, t].astype(np.float64) + prediction.root[t]
            in_front = points[..., 2:] > 0.05
            projected = prediction.camera.project(np.where(in_front, points, 1.0))
            samples = np.where(in_front, projected, np.nan) * self.scale
        if prediction.keypoints_px is not None:
            keypoints = prediction.keypoints_px[None, t] * self.scale
        box = _box(np.concatenate([samples, keypoints]), 2 * width + 2, self.width, self.height)
        if box is None:
            return
        canvas, corner = Canvas(whole.crop(box)), np.array(box[:2])  # fine where something is drawn
        for xy in samples - corner:
            canvas.bones(xy, 1.0, 0.3)
        for xy in keypoints - corner:
            canvas.bones(xy, width + 2, 0.6, WHITE)
            canvas.bones(xy, width)
            for point, colour, flag in zip(xy, JOINT_COLOURS, np.asarray(prediction.flags)[t], strict=True):
                canvas.joint(point, width, colour, bool(flag))
        whole.paste(canvas.image.reduce(FINE), box)

    def _view(self, paper: Image.Image, t: int, axes: tuple[int, int], turn: Array) -> Image.Image:
        prediction, canvas = self.prediction, Canvas(paper)
        samples = () if prediction.samples is None else prediction.samples[:MOST_SAMPLES, t]
        poses = (np.array([*samples, prediction.pose[t]], np.float64) @ turn.T)[..., axes]
        *others, pose = self.panel / 2 + self.per_metre * poses
        for xy in others:
            canvas.bones(xy, 1.0, 0.2)
        canvas.bones(pose, 2.5)
        # A region's shadow is the ellipse of the covariance along the two axes.
        covariance = turn @ prediction.covariance[t, REGION_JOINTS].astype(np.float64) @ turn.T
        values, vectors = np.linalg.eigh(covariance[:, axes][..., axes])
        radii = np.sqrt(np.maximum(values, 0) * self.quantiles[:, None]) * self.per_metre
        outlines = pose[REGION_JOINTS, None] + ((vectors * radii[:, None]) @ CIRCLE).swapaxes(-1, -2)
        for joint, outline in zip(REGION_JOINTS, outlines, strict=True):
            canvas.region(outline, JOINT_COLOURS[joint])
        return canvas.image.reduce(FINE)


def _box(xy: Array, margin: float, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the part of an image around points (N, 17, 2); None if that is empty."""
    near = xy[np.all(np.abs(xy) < FARTHEST_PX, axis=-1)]  # without NaN
    if not len(near):
        return None
    left, top = np.maximum(np.floor(near.min(0) - margin), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(near.max(0) + margin), (width, height)).astype(int).tolist()
    return (left, top, right, bottom) if left < right and top < bottom else None


class Canvas:
    """Smooth drawing on an image: at ``FINE`` times its resolution, then averaged. Coordinates are the image's."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image.resize((FINE * image.width, FINE * image.height), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.image, "RGBA")  # blends with the image

    def bones(self, xy: Array, width: float, opacity: float = 1.0, colour: str | None = None) -> None:
        """A pose (17, 2), in the colours of its sides unless one is given; without bones with an end far away."""
        points, near = (xy * FINE).tolist(), np.all(np.abs(xy) < FARTHEST_PX, axis=-1).tolist()  # false where NaN
        for limb in BONE_CHAINS:
            fill = f"{colour or JOINT_COLOURS[limb[0]]}{round(255 * opacity):02x}"
            for is_near, joints in groupby(limb, near.__getitem__):
                line = [coordinate for joint in joints for coordinate in points[joint]]
                if is_near and len(line) > 2:
                    self.pen.line(line, fill, round(width * FINE))

    def joint(self, xy: Array, width: float, colour: str, is_flagged: bool) -> None:
        """A disc (2,) with a white edge or, if flagged, a ring."""
        if np.all(np.abs(xy) < FARTHEST_PX):
            radius = width * (2.0 if is_flagged else 1.5)
            colours = (WHITE, colour) if is_flagged else (colour, WHITE)
            box = np.concatenate([xy - radius, xy + radius]) * FINE
            self.pen.ellipse(box.tolist(), *colours, round(width / 2 * FINE))

    def region(self, outline: Array, colour: str) -> None:
        """A closed curve (N, 2), its inside tinted."""
        points = (outline * FINE).ravel().tolist()
        self.pen.polygon(points, f"{colour}1f")
        self.pen.line(points, f"{colour}b2", FINE, joint="curve")
