"""The interactive page: predictions as one HTML file that needs no network. ``page.html`` is built of ``viewer/``."""

import base64
import html
import tempfile
import webbrowser
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from scipy.special import chdtri

from prpose.atomic import check_output, replacing
from prpose.camera import Array, level_rotation
from prpose.io.overlay import SIDE_COLOURS
from prpose.io.video import OnFrame, Video
from prpose.prediction import FLAGS, Prediction
from prpose.regions import LEVEL
from prpose.skeleton import H36M_17

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95, 0.99)  # of the ellipsoids
MOST_SAMPLES = 200  # of a frame in a page
MOST_POSES = 60_000  # samples of all frames and people in a page, some 50 bytes each
FEWEST_SAMPLES = 5  # of a frame of a long clip
ANKLES = [joint for joint, name in enumerate(H36M_17.names) if name.endswith("ankle")]
SOLE_M = 0.09  # height of the ankles of a standing person
VIEWER_AXES = np.diag([1.0, -1.0, -1.0])  # camera axes → x right, y up, z towards the viewer
MOST_IMAGES, THUMBNAIL_PX = 300, 480
PLACE = "<!--DATA-->"  # of the data in page.html


@dataclass(frozen=True, repr=False)
class Page:
    """A self-contained HTML page. Notebooks show it inline, :meth:`save` writes it, :meth:`open` opens a browser."""

    html: str

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes the page; ``ValueError`` for another ending than .html, or an existing file without ``overwrite``."""
        if Path(path).suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"{path}: expected a file name that ends in .html")
        check_output(path, overwrite)
        with replacing(path) as temporary:
            temporary.write_text(self.html, encoding="utf-8")

    def open(self) -> Path:
        """Writes the page to a new temporary folder, whose path it returns, and opens it in the user's web browser.

        Raises:
            ValueError: naming the page, which is written, if there is no web browser to open it.
        """
        path = Path(tempfile.mkdtemp(prefix="prpose-")) / "page.html"
        self.save(path)
        if not webbrowser.open(path.as_uri()):
            raise ValueError(f"expected a web browser to open {path}, found none that starts; open it by hand")
        return path

    def _repr_html_(self) -> str:
        opening = '<iframe title="3D poses" sandbox="allow-scripts" style="width: 100%; height: 640px; border: 0"'
        return f'{opening} srcdoc="{html.escape(self.html)}"></iframe>'


def create_page(
    predictions: Sequence[Prediction],
    names: Sequence[str] | None = None,
    truth: ArrayLike | None = None,
    compare: bool = False,
    images: Mapping[int, bytes] | None = None,
    num_samples: int | None = None,
) -> Page:
    """A page that shows samples, point estimates, confidence ellipsoids and 2D keypoints of a clip.

    Args:
        predictions: of the people in a clip; with ``compare``, of two models for one person, shown side by side.
        names: of the predictions. Default: the names of their models.
        truth: (T, 17, 3), ground truth of the first prediction's frames, metres, camera axes; the pelvis is subtracted.
        compare: whether each prediction has a view of its own.
        images: WebP images of the clip's frames, by frame number, all of the same aspect ratio.
        num_samples: largest number of samples per frame. Default: 200, fewer in clips of more than 300 frames.

    Raises:
        ValueError: without predictions, for truth of a wrong shape, or if the page has not been built.
    """
    if num_samples is not None and num_samples < 1:
        raise ValueError(f"expected num_samples >= 1, got {num_samples}")
    if not predictions:
        raise ValueError("expected at least one prediction to show, got none")
    if compare and len(predictions) != 2:
        raise ValueError(f"expected two predictions to compare, got {len(predictions)}")
    numbers = np.unique(np.concatenate([one.frame_numbers for one in predictions]))
    names = names or [str(one.model.get("name", "")) or "prediction" for one in predictions]
    most = num_samples or max(FEWEST_SAMPLES, min(MOST_SAMPLES, MOST_POSES // sum(map(len, predictions))))
    turn = _turn(predictions)
    people = [person(one, name, most, turn) for one, name in zip(predictions, names, strict=True)]
    for content, one in zip(people, predictions, strict=True):
        content["start"] = np.searchsorted(numbers, one.frame_numbers).tolist()
    if truth is not None:
        people[0]["truth"] = packed(_truth(truth, predictions[0]) @ turn.T)
    views = [[index] for index in range(len(people))] if compare else [list(range(len(people)))]
    shown = {int(np.searchsorted(numbers, n)): image for n, image in (images or {}).items() if n in numbers}
    content = head() | {
        "title": " and ".join(dict.fromkeys(names)),
        "numbers": numbers.tolist(),
        "seconds": _seconds(predictions, numbers),
        "views": views,
        "people": people,
        "images": {str(index): base64.b64encode(image).decode() for index, image in shown.items()},
    }
    return fill(content)


def head() -> dict[str, Any]:
    """What every page needs: joints, bones, colours, and the ellipsoids' and ellipses' sizes by level."""
    axes, ellipses = (np.sqrt([chdtri(n, 1 - level) for level in LEVELS]) for n in (3, 2))
    return {
        "joints": [name.replace("_", " ") for name in H36M_17.names],
        "bones": [list(bone) for bone in H36M_17.bones],
        "sides": list(H36M_17.sides),
        "colours": SIDE_COLOURS,
        "flags": [flag.replace("_", " ") for flag in FLAGS],
        "levels": list(LEVELS),
        "level": LEVELS.index(LEVEL),
        "axes": (axes / axes[LEVELS.index(LEVEL)]).tolist(),
        "ellipses": ellipses.tolist(),
    }


def live_page(title: str) -> Page:
    """A page that shows the frames of a :class:`prpose.view.live.LiveServer` as they come."""
    return fill(head() | {"title": title, "live": True})


def fill(content: Mapping[str, Any]) -> Page:
    """The built page with ``content`` as its data; ``ValueError`` if the page has not been built."""
    source = files("prpose.view") / "page.html"
    if not source.is_file():
        raise ValueError("prpose/view/page.html is missing: build it with Node.js by `make viewer`")
    text = msgspec.json.encode(content).decode().replace("<", "\\u003c")
    return Page(source.read_text(encoding="utf-8").replace(PLACE, text))


def _turn(predictions: Sequence[Prediction]) -> Array:
    """(3, 3), from camera axes to the viewer's, level by the mean direction of those that know where up is."""
    known = [one.up for one in predictions if one.up is not None]
    up = np.mean(known, axis=0) if known else np.zeros(3)
    length = float(np.linalg.norm(up))
    return np.asarray(VIEWER_AXES @ level_rotation(up / length if length > 0.1 else None))


def person(prediction: Prediction, name: str, most: int, turn: Array | None = None) -> dict[str, Any]:
    """One prediction as the page reads it, in the viewer's axes: x right, y up, z towards the viewer, metres."""
    turn = _turn([prediction]) if turn is None else turn
    semi_axes, directions = prediction.regions(LEVEL)
    content: dict[str, Any] = {
        "name": name,
        "estimate": prediction.point_estimate,
        "drawn": prediction.num_samples,
        "warnings": list(prediction.warnings),
        "pose": packed(prediction.pose @ turn.T),
        "axes": packed((semi_axes[..., None] * directions) @ turn.T),
        "flagged": packed(prediction.flags, 1.0),
        "floor": float(np.quantile((prediction.pose @ turn.T)[:, ANKLES, 1].min(axis=1), 0.05)) - SOLE_M,
    }
    if prediction.samples is not None:
        away = (prediction.samples[:most] - prediction.pose).swapaxes(0, 1) @ turn.T
        content["samples"] = packed(away, 1e-3, clip=True)  # (T, K, 17, 3) from the point estimate
    if prediction.root is not None:
        content["root"] = packed(prediction.root @ turn.T)
    if prediction.keypoints_px is not None and prediction.camera is not None:
        content["size"] = [prediction.camera.width, prediction.camera.height]
        content["keypoints"] = packed(prediction.keypoints_px, max(content["size"]) / 16_000, clip=True)
        content["ellipses"], content["ellipses_of"] = _ellipses(prediction)
    return content


def thumbnails(
    video: Video, numbers: Array, size: tuple[int, int], on_frame: OnFrame = lambda steps: None
) -> dict[int, bytes]:
    """Small WebP images of the frames ``numbers`` of a video, by number, at most 300 of them, spread evenly.

    ``ValueError`` unless their aspect ratio is that of ``size``, the width and height of the keypoints' image.
    """
    chosen, found = set(numbers[:: -(-len(numbers) // MOST_IMAGES)].tolist()), dict[int, bytes]()
    for frame in video.frames():
        on_frame(1)
        height, width = frame.image.shape[:2]
        if abs(width * size[1] / (height * size[0]) - 1) > 0.02:
            got = f"{width} x {height}"
            raise ValueError(f"{video.path}: expected frames of the shape {size[0]} x {size[1]}, got {got}")
        if frame.number in chosen:
            found[frame.number] = thumbnail(frame.image)
        if frame.number >= numbers[-1]:
            break
    return found


def thumbnail(image: Array) -> bytes:
    """An image (H, W, 3) uint8 RGB as WebP with sides of at most 480 pixels."""
    small, stream = Image.fromarray(image), BytesIO()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    small.save(stream, "webp", quality=60)
    return stream.getvalue()


def packed(values: Array, unit: float = 1e-4, clip: bool = False) -> dict[str, Any]:
    """Numbers as 16-bit multiples of ``unit``, compressed; if they do not fit, clipped or of a larger unit."""
    unit = unit if clip else max(unit, float(np.abs(values).max(initial=0)) / 32767)
    whole = np.round(values / unit).clip(-32767, 32767).astype("<i2")
    planes = whole.ravel().view(np.uint8).reshape(-1, 2).T  # low bytes, then high ones
    data = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode()  # 9 takes 20 times as long for 2 %
    return {"shape": list(values.shape), "unit": unit, "data": data}


def _ellipses(prediction: Prediction) -> tuple[dict[str, Any] | None, str]:
    """(T, 17, 2, 2) pixels: matrices that turn the unit circle to one standard deviation of each keypoint, and of what.

    Of the noise on the keypoints, if the model has it; else of the samples, projected with the pelvis at ``root``.
    """
    if prediction.noise_sd_px is not None:
        return packed(prediction.noise_sd_px[..., None] * np.eye(2), 0.05), "noise on the keypoints"
    if prediction.root is None or prediction.camera is None:
        return None, ""
    camera = prediction.camera.calibrated()
    x, y, z = np.moveaxis(prediction.pose + prediction.root[:, None].astype(np.float64), -1, 0)
    z = z.clip(0.1)
    (fx, fy), zero = camera.focal_px or (1.0, 1.0), np.zeros_like(z)
    jacobian = np.stack([fx / z, zero, -fx * x / z**2, zero, fy / z, -fy * y / z**2], -1).reshape(*z.shape, 2, 3)
    values, vectors = np.linalg.eigh(jacobian @ prediction.covariance @ jacobian.swapaxes(-1, -2))
    return packed(vectors * np.sqrt(values.clip(0))[..., None, :], 0.05), "samples, projected"


def _truth(truth: ArrayLike, prediction: Prediction) -> Array:
    poses = np.asarray(truth)
    if poses.shape != prediction.pose.shape or poses.dtype.kind not in "fiu":
        got = f"{poses.dtype} of shape {poses.shape}"
        raise ValueError(f"expected truth as numbers of shape {prediction.pose.shape}, got {got}")
    if not np.isfinite(poses).all():
        raise ValueError("expected finite truth, got NaN or infinity")
    return np.asarray(poses - poses[:, :1], dtype=np.float64)


def _seconds(predictions: Sequence[Prediction], numbers: Array) -> list[float] | None:
    """Times of the frame numbers, from 0; those of no prediction are interpolated. None if no times are known."""
    for prediction in predictions:
        if (times := prediction.seconds) is not None and len(times) > 1:
            rate = (times[-1] - times[0]) / (prediction.frame_numbers[-1] - prediction.frame_numbers[0])
            inside = np.interp(numbers, prediction.frame_numbers, times)
            outside = times[0] + (numbers - prediction.frame_numbers[0]) * rate
            known = (numbers >= prediction.frame_numbers[0]) & (numbers <= prediction.frame_numbers[-1])
            seconds = np.where(known, inside, outside)
            return (seconds - seconds[0]).round(6).tolist()
    return None
