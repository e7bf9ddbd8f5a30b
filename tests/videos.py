"""Photos and videos for tests, and detectors that find people in them: coloured squares."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 320, 240
BODY = np.array(
    [  # COCO's 17 joints of a person who faces the camera, relative to the middle of the hips
        *[(0, -72), (4, -76), (-4, -76), (8, -74), (-8, -74)],
        *[(18, -50), (-18, -50), (26, -25), (-26, -25), (28, -2), (-28, -2)],
        *[(10, 0), (-10, 0), (12, 40), (-12, 40), (13, 80), (-13, 80)],
    ],
    dtype=float,
)
COLOURS = {"white": (255, 255, 255), "red": (255, 0, 0)}


class Finder:
    """A detector with a person around each square of a colour; records its input."""

    layout = "coco17"

    def __init__(self):
        self.times, self.shapes, self.closed = [], [], False

    def __call__(self, image, time_s):
        self.times.append(time_s)
        self.shapes.append(image.shape)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        inside = [np.abs(image.astype(int) - colour).max(axis=-1) < 60 for colour in COLOURS.values()]
        centres = [np.argwhere(mask).mean(axis=0)[::-1] for mask in inside if mask.sum() > 20]
        return [(BODY + centre, np.full(17, 0.9)) for centre in centres]

    def close(self):
        self.closed = True


def picture(x=160, y=120, colour="white", width=WIDTH, height=HEIGHT):
    """Grey, with a square of 16 pixels centred at x, y; without colour, grey alone."""
    image = np.full((height, width, 3), 80, np.uint8)
    return image if colour is None else with_square(image, x, y, colour)


def with_square(image, x, y, colour):
    image[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8] = COLOURS[colour]
    return image


def write_video(path, images, times=None, fps=10, rotation=0, aspect=None):
    """Frames at ``times`` seconds, or at an even rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "threads": "2"})
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, image in enumerate(images):
            if not i:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_png(path, image):
    Image.fromarray(image).save(path)
    return path


def write_sound(path):
    """Silence, no frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode()])
    return path
