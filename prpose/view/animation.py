"""Animations of predictions: GIF, or MP4 (extra ``video``)."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata, getheader

from prpose.atomic import replacing
from prpose.camera import Array
from prpose.io.overlay import VIEWS, encode
from prpose.io.video import OnFrame
from prpose.keypoints import USUAL_FPS
from prpose.prediction import Prediction
from prpose.tables import import_extra
from prpose.view.figures import EDGE, LEGEND, STRIP, TEXT, Size, arranged, check_figure, draw_frame

MOST_SECONDS = 1e9  # of an animation; GIF shows an image for at most 11 minutes
ENDINGS, DPI = (".gif", ".mp4"), 150  # an even number of pixels across and down


def write_animation(
    prediction: Prediction,
    path: str | Path,
    size: Size = "column",
    overwrite: bool = False,
    on_frame: OnFrame = lambda steps: None,
) -> None:
    """Writes samples and point estimate of all frames, from the camera and the side, as GIF or else MP4.

    Frames come at their own times or, without a known rate, 30 a second. An image of a GIF lasts at
    least 0.02 s: frames that would last less are left out. ``on_frame`` is called with the number of frames
    done since the last call.
    """
    path, is_gif = check_figure(path, ENDINGS, overwrite), Path(path).suffix.lower() == ".gif"
    seconds = prediction.frame_numbers / USUAL_FPS if prediction.seconds is None else prediction.seconds
    seconds, rate = (seconds - seconds[0]).clip(max=MOST_SECONDS), prediction.fps or USUAL_FPS
    hundredths, frames = np.round(100 * seconds).astype(int), [0]
    for t in range(1, len(prediction)):
        if not is_gif or hundredths[t] - hundredths[frames[-1]] >= 2:
            frames.append(t)
    images = _images(prediction, frames, seconds, size, on_frame)
    with replacing(path) as temporary:
        if is_gif:
            _write_gif(images, np.diff([*hundredths[frames], hundredths[-1] + max(2, round(100 / rate))]), temporary)
        else:
            encode(images, temporary, rate)


def _images(
    prediction: Prediction, frames: Sequence[int], seconds: Array, size: Size, on_frame: OnFrame
) -> Iterator[tuple[Image.Image, float]]:
    figure, panels = arranged([(prediction, frames)], tuple(VIEWS), size)
    figure.set_dpi(DPI)
    canvas = import_extra("matplotlib.backends.backend_agg", "plot").FigureCanvasAgg(figure)
    x, y = 1 - EDGE / 25.4 / figure.get_figwidth(), (LEGEND + STRIP / 2) / 25.4 / figure.get_figheight()
    clock = figure.text(x, y, "", ha="right", va="center", **TEXT)
    for before, t in zip([-1, *frames[:-1]], frames, strict=True):
        for axes, _, view in panels:
            for artist in (*axes.collections, *axes.lines):
                artist.remove()
            draw_frame(axes, prediction, t, None, view)
        clock.set_text(f"frame {prediction.frame_numbers[t]}, {seconds[t]:.2f} s")
        canvas.draw()
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()), float(seconds[t])
        on_frame(t - before)


def _write_gif(images: Iterable[tuple[Image.Image, float]], hundredths: Array, path: Path) -> None:
    """One image after the other, in the colours of the first; Pillow's own writer keeps all images until the end."""
    palette = None
    with path.open("wb") as stream:
        for (image, _), duration in zip(images, hundredths, strict=True):
            frame = image.quantize(256, palette=palette, dither=Image.Dither.NONE)
            if palette is None:
                colours = np.array(frame.getpalette()).reshape(-1, 3)
                colours[colours.min(axis=1) >= 248] = 255  # Pillow may take any of the nearly white ones for white
                frame.putpalette(colours.ravel().tolist())
                palette = frame.copy()
                stream.writelines(getheader(frame, info={"loop": 0, "duration": 10})[0])
            stream.writelines(getdata(frame, duration=10 * min(int(duration), 65_535)))
        stream.write(b";")
