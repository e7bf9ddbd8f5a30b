"""Pictures and videos for tests, and a detector that finds people in them: coloured squares."""

import struct
from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 320, 240
BODY = np.array(
    [  # COCO's 17 around the middle of the hips, somebody who faces us
        *[(0, -72), (4, -76), (-4, -76), (8, -74), (-8, -74)],
        *[(18, -50), (-18, -50), (26, -25), (-26, -25), (28, -2), (-28, -2)],
        *[(10, 0), (-10, 0), (12, 40), (-12, 40), (13, 80), (-13, 80)],
    ],
    dtype=float,
)
COLOURS = {"white": (255, 255, 255), "red": (255, 0, 0)}


class Finder:
    """A person around each square of a colour, and what it was shown."""

    layout = "coco17"

    def __init__(self):
        self.times, self.shapes, self.closed = [], [], False

    def __call__(self, image, time_s):
        self.times.append(time_s)
        self.shapes.append(image.shape)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        people = []
        for colour in COLOURS.values():
            there = np.abs(image.astype(int) - colour).max(axis=-1) < 60
            if there.sum() > 20:
                rows, columns = np.nonzero(there)
                middle = columns.mean(), rows.mean()
                people.append((BODY + middle, np.full(17, 0.9)))
        return people

    def close(self):
        self.closed = True


class Always:
    """The same person in every picture."""

    layout = "coco17"
    calls = 0

    def __call__(self, image, time_s):
        self.calls += 1
        return [(BODY + np.array([160, 120]), np.full(17, 0.9))]


class Impatient(Always):
    """Ctrl-C at the sixth picture."""

    def __call__(self, image, time_s):
        if self.calls == 5:
            raise KeyboardInterrupt
        return super().__call__(image, time_s)


class Undecided:
    """No detector: it has no layout."""

    def __call__(self, image, time_s):
        return []


class Careless(Finder):
    """Gives scores beyond 1."""

    def __call__(self, image, time_s):
        return [(points, score * 2) for points, score in super().__call__(image, time_s)]


class Broken(Finder):
    """Fails."""

    def __call__(self, image, time_s):
        return [][1]


def picture(x=160, y=120, colour="white", width=WIDTH, height=HEIGHT):
    """Grey, with a square of 16 pixels whose middle is at x, y."""
    image = np.full((height, width, 3), 80, np.uint8)
    return with_square(image, x, y, colour)


def with_square(image, x, y, colour):
    image[int(y) - 8 : int(y) + 8, int(x) - 8 : int(x) + 8] = COLOURS[colour]
    return image


def write_video(path, images, times=None, fps=10, rotation=0, aspect=None):
    """Frames at ``times`` seconds, or at an even rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast"}
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
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_jpeg(path, image, orientation=1, order="<"):
    """With Exif that says the orientation."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj444p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj444p")
    data = b"".join(bytes(packet) for packet in codec.encode(frame))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 1)
    entry = struct.pack(f"{order}HHIHHI", 0x112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + head + entry
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    return path


def write_sound(path):
    """A second of silence, no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        for _ in range(16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
