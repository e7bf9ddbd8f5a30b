"""2D pose detectors over pictures and video: MediaPipe Pose (extra ``detect``), other libraries' or the user's own."""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.progress import Progress

from prpose.atomic import existing_file
from prpose.camera import Array
from prpose.io.keypoints.detections import Detection, Detections
from prpose.io.rtmlib_ultralytics import RTMPose, UltralyticsPose
from prpose.io.video import OnFrame, Video
from prpose.layouts import find_layout
from prpose.tables import import_extra, import_object, is_import_path, unknown

MODEL_URL = (  # from MediaPipe's documentation; Google publishes no checksum, so the structure is checked instead
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/"
    "float16/latest/pose_landmarker_full.task"
)
MODEL_PARTS = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
SEVERAL = 10  # people to look for in each image where one of them, or all, are asked for
ONE_PERSON = "the detector looked for one person: --person all, or max_people (--config.max-people 3), looks for more"
LARGEST_BYTES = 200_000_000  # of a download; the model has some 10 MB


class Detector(Protocol):
    """Finds people in images. An optional ``close()`` is called at the end, optional ``warnings`` are passed on."""

    layout: str
    """The order of the J joints, a key of :data:`prpose.layouts.LAYOUTS`."""

    def __call__(self, image: Array, time_s: float | None) -> Sequence[tuple[Array, Array]]:
        """Keypoints (J, 2), pixels, NaN where missing, and confidence (J,), 0 to 1, of each person.

        The image is upright, (H, W, 3) uint8 RGB; times increase, and are None for photos without a frame rate.
        """
        ...


@contextmanager
def create_detector(name: str, model: Path | None = None, max_people: int | None = None) -> Iterator[Detector]:
    """A detector by its name, closed on exit.

    Args:
        name: a key of :data:`DETECTORS`; or ``package.module:Class``, called without arguments, or with ``model`` if it
            is given.
        model: the detector's model file. Default: one that is downloaded on first use.
        max_people: the largest number of people per frame; not of a class. Default: one, with a warning.

    Raises:
        ValueError: for an unknown name, a class that is no detector, or a model that is missing or cannot be loaded.
    """
    if name in DETECTORS:
        detector: Any = DETECTORS[name](model, max_people or 1)
        detector.warnings = () if max_people else (ONE_PERSON,)
    elif is_import_path(name):
        create = import_object(name)
        try:
            detector = create() if model is None else create(model)
        except Exception as error:  # user code
            raise ValueError(f"{name} cannot be created: {type(error).__name__}: {error}") from None
        if not callable(detector) or not isinstance(getattr(detector, "layout", None), str):
            raise ValueError(f"expected {name} to be a detector, with a layout and a call (image, time_s)")
    else:
        raise ValueError(f"{unknown(name, DETECTORS, 'detector')}, or package.module:Class")
    try:
        yield detector
    finally:
        getattr(detector, "close", lambda: None)()


def run_detector(video: Video, detector: Detector, on_frame: OnFrame = lambda steps: None) -> Detections:
    """Detections of all people in all frames, one frame in memory at a time; ``on_frame`` is called with 1 after each.

    Ctrl-C ends the recording of a camera: the detections until then are returned.

    Raises:
        ValueError: naming the file and frame, if it cannot be decoded, differs in size, or the detector fails on it.
    """
    J, found, times_s, size = len(find_layout(detector.layout)), list[Detection](), dict[int, float](), None
    try:
        for frame in video.frames():
            where, shape = f"{video.path}: {frame.name or f'frame {frame.number}'}", frame.image.shape[1::-1]
            size = size or shape
            if shape != size:
                raise ValueError(f"{where}, expected frames of one size, got {size} and {shape}")
            try:
                people = list(detector(frame.image, frame.time_s))
            except Exception as error:  # user code
                raise ValueError(f"{where}, the detector failed ({type(error).__name__}: {error})") from error
            found += [Detection(frame.number, *_checked(person, J, where)) for person in people]
            if frame.time_s is not None:
                times_s[frame.number] = frame.time_s
            on_frame(1)
    except KeyboardInterrupt:
        if video.kind != "camera" or not found:
            raise
    fps = _frame_rate(list(times_s.values()), video.fps)
    described: dict[str, Any] = {"frame_names": video.names} if video.kind == "folder" else {"times_s": times_s}
    warnings = *video.warnings, *getattr(detector, "warnings", ())
    described |= {"warnings": warnings, "focal_px": video.focal_px}
    return Detections(found, detector.layout, image_size=size, fps=fps, **described)


def _checked(person: tuple[Array, Array], J: int, where: str) -> tuple[Array, Array]:
    try:
        xy, confidence = (np.asarray(part, dtype=np.float64) for part in person)
    except (TypeError, ValueError):
        raise ValueError(f"{where}, expected (keypoints, confidence) from the detector, got {person!r:.40}") from None
    if xy.shape != (J, 2) or confidence.shape != (J,):
        raise ValueError(f"{where}, expected ({J}, 2) and ({J},) from the detector, got {xy.shape}, {confidence.shape}")
    if np.isinf(xy).any() or not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"{where}, expected pixels, finite or NaN, and confidence from 0 to 1 from the detector")
    return xy, confidence


def _frame_rate(times: list[float], nominal: float | None) -> float | None:
    """The nominal frame rate if all times agree with it to half a frame, else that of the times."""
    steps, seconds = len(times) - 1, times[-1] - times[0] if times else 0.0
    return nominal if steps < 1 or (nominal and abs(seconds * nominal - steps) <= 0.5) else steps / seconds


class MediaPipePose:
    """MediaPipe Pose (Tasks API): BlazePose's 33 joints, also those not visible, with their visibility as confidence.

    One person is tracked and smoothed over the frames of a video; several are detected frame by frame. ``ValueError``
    if MediaPipe is missing or cannot load the model.
    """

    layout = "blazepose33"

    def __init__(self, model: Path | None, max_people: int = 1) -> None:
        with _stderr_discarded():
            self.mediapipe = import_extra("mediapipe", "detect")  # nothing is downloaded for it if it is missing
        self.model, self.max_people, self.last_ms = find_model(model), max_people, -1
        with _stderr_discarded():
            self._load("IMAGE")  # a model that cannot be loaded is an error before any frame is read

    def __call__(self, image: Array, time_s: float | None) -> list[tuple[Array, Array]]:
        mode = "IMAGE" if time_s is None else "VIDEO"
        picture = self.mediapipe.Image(self.mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image))
        with _stderr_discarded() if mode != self.mode or self.last_ms < 0 else nullcontext():  # it logs at the start
            if mode != self.mode:
                self.landmarker.close()
                self._load(mode)
            self.last_ms = max(self.last_ms + 1, round((time_s or 0) * 1000))  # whole and strictly increasing
            if time_s is None:
                result = self.landmarker.detect(picture)
            else:
                result = self.landmarker.detect_for_video(picture, self.last_ms)
        people = [np.array([(m.x, m.y, m.visibility or 0.0) for m in person]) for person in result.pose_landmarks]
        return [(rows[:, :2] * image.shape[1::-1], rows[:, 2].clip(0, 1)) for rows in people]

    def close(self) -> None:
        with _stderr_discarded():
            self.landmarker.close()

    def _load(self, mode: str) -> None:
        tasks = self.mediapipe.tasks
        options = tasks.vision.PoseLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(self.model)),
            running_mode=tasks.vision.RunningMode[mode],
            num_poses=self.max_people,
        )
        try:
            self.mode, self.landmarker = mode, tasks.vision.PoseLandmarker.create_from_options(options)
        except Exception as error:  # MediaPipe raises many types
            reason = str(error).split("\n")[0]
            if isinstance(error, OSError) and ".so" in reason:
                reason += "; on Debian and Ubuntu: apt-get install libegl1 libgles2"
            raise ValueError(f"{self.model}: MediaPipe cannot load the model ({reason})") from None


DETECTORS: dict[str, Callable[[Path | None, int], Detector]] = {
    "mediapipe": MediaPipePose,
    "rtmlib": RTMPose,
    "rtmlib-feet": partial(RTMPose, solution="BodyWithFeet"),
    "ultralytics": UltralyticsPose,
}
"""Detectors by name, from a model file (None: its default) and the largest number of people per frame."""


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discards what MediaPipe's C++ code logs to stderr; errors are raised all the same."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def find_model(path: Path | None = None, url: str = MODEL_URL) -> Path:
    """MediaPipe's model file: the given one, or that in the user's cache, downloaded on first use.

    Raises:
        ValueError: naming the file, if it is no such model; naming the URL, if it cannot be downloaded.
    """
    if path is not None:
        return check_model(path)
    pooch = import_extra("pooch", "detect")
    path = Path(pooch.os_cache("prpose")) / url.rpartition("/")[2]
    if not path.is_file():
        pooch.get_logger().setLevel("WARNING")
        try:
            pooch.retrieve(url, None, path.name, path.parent, downloader=_download)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            reason = str(error).rpartition("): ")[2].removesuffix('"))')  # without urllib3's names of objects
            raise ValueError(f"cannot download {url} ({reason}); give a copy as --config.detector-model") from None
    return check_model(path)


def check_model(path: Path) -> Path:
    """The path, if it is a model of MediaPipe's pose landmarker; ``ValueError`` if missing, damaged or another file."""
    try:
        with zipfile.ZipFile(existing_file(path)) as bundle:
            small = sum(part.file_size for part in bundle.infolist()) <= LARGEST_BYTES
            is_model = small and set(MODEL_PARTS) <= set(bundle.namelist()) and bundle.testzip() is None
    except Exception:  # zipfile and zlib raise many types
        is_model = False
    if not is_model:
        got = "another or a damaged file" if path.exists() else f"no such file; download {MODEL_URL}"
        raise ValueError(f"{path}: expected a model of MediaPipe's pose landmarker (.task), got {got}")
    return path


def _download(url: str, output: str, _: Any) -> None:
    """A downloader for pooch, with a progress bar and a largest size; only a valid model enters the cache."""
    console, requests = Console(stderr=True), import_extra("requests", "detect")
    bar = Progress(console=console, disable=not console.is_terminal)
    with requests.get(url, stream=True, timeout=30) as response, open(output, "wb") as file, bar:
        response.raise_for_status()
        task = bar.add_task("MediaPipe's model", total=int(response.headers.get("Content-Length", 0)) or None)
        for chunk in response.iter_content(2**16):
            bar.advance(task, file.write(chunk))
            if file.tell() > LARGEST_BYTES:
                raise ValueError(f"expected a file of some 10 MB, got more than {LARGEST_BYTES // 10**6} MB")
    check_model(Path(output))
