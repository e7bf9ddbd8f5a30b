"""2D pose detectors over pictures and video: MediaPipe Pose (extra ``detect``), or a class of the user's own."""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from rich.console import Console
from rich.progress import Progress

from prpose.camera import Array
from prpose.imports import is_path, named_attribute
from prpose.io import import_extra
from prpose.io.keypoints.detections import Detection, Detections
from prpose.io.video import Frame, Video
from prpose.layouts import find_layout

MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/"
    "float16/latest/pose_landmarker_full.task"
)
"""From MediaPipe's documentation. Google publishes no checksum for it; :func:`check_model` checks its structure."""

MODEL_PARTS = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
LARGEST_BYTES = 200_000_000
"""Downloads stop here; the model has some 10 MB."""


class Detector(Protocol):
    """A detector of people.

    ``layout``, a key of :data:`prpose.layouts.LAYOUTS`, is the order of its J joints. A method ``close()`` is optional.

    Example:
        >>> class EmptyDetector:
        ...     layout = "coco17"
        ...     def __call__(self, image, time_s):
        ...         return []
        >>> detector: Detector = EmptyDetector()
    """

    @property
    def layout(self) -> str: ...

    def __call__(self, image: Array, time_s: float | None) -> Sequence[tuple[Array, Array]]:
        """The people in one frame.

        Args:
            image: (H, W, 3) uint8, RGB, upright.
            time_s: time of the frame, increasing from call to call; None for photos without a frame rate.

        Returns:
            Per person keypoints (J, 2), pixels, origin at the top left corner, NaN where missing; and confidence (J,)
            between 0 and 1.
        """
        ...


@contextmanager
def create_detector(name: str, model: Path | None = None, max_people: int = 1) -> Iterator[Detector]:
    """A detector by its name, closed on exit.

    Args:
        name: ``mediapipe``; or ``package.module:Class``, called without arguments, or with ``model`` if it is given.
        model: the detector's model file. MediaPipe's is downloaded on first use if none is given.
        max_people: the most people per frame; MediaPipe only.

    Raises:
        ValueError: for an unknown name, a class that cannot be created or is no detector, and as
            :class:`MediaPipePose` and :func:`find_model` raise it.
    """
    if not is_path(name) and name != "mediapipe":
        raise ValueError(f"expected a detector, mediapipe or package.module:Class, got {name!r}")
    if name == "mediapipe" and max_people < 1:
        raise ValueError(f"expected --max-people >= 1, got {max_people}")
    detector = _custom(name, model) if is_path(name) else MediaPipePose(find_model(model), max_people)
    try:
        yield detector
    finally:
        close: Callable[[], None] = getattr(detector, "close", lambda: None)
        close()


def _custom(name: str, model: Path | None) -> Detector:
    create = named_attribute(name)
    if not callable(create):
        raise ValueError(f"expected {name} to be a class, got {type(create).__name__}")
    try:
        detector = create() if model is None else create(model)
    except Exception as error:  # user code
        raise ValueError(f"{name} cannot be created: {type(error).__name__}: {error}") from None
    if not callable(detector) or not isinstance(getattr(detector, "layout", None), str):
        raise ValueError(
            f"expected {name} to be a detector, with a layout and a call (image, time_s), got {type(detector).__name__}"
        )
    return cast(Detector, detector)


def run_detector(video: Video, detector: Detector, on_frame: Callable[[int], None] | None = None) -> Detections:
    """Detections of all people in all frames. One frame is in memory at a time.

    Ctrl-C ends the recording of a camera: the detections until then are returned.

    Args:
        video: photo, video, folder or camera.
        detector: of people.
        on_frame: called with 1 after every frame.

    Raises:
        ValueError: naming the file, as :meth:`Video.frames` does; if frames differ in size, or if the detector fails
            or returns something else than described.
    """
    J = len(find_layout(detector.layout))
    detections: list[Detection] = []
    times: list[float] = []
    times_s: dict[int, float] = {}
    size = None
    try:
        for frame in video.frames():
            size = _checked_size(video, frame, size)
            people = _detected(video, detector, frame, J)
            detections += people
            if frame.time_s is not None:
                times.append(frame.time_s)
                if people and video.kind != "folder":
                    times_s[frame.number] = frame.time_s
            if on_frame is not None:
                on_frame(1)
    except KeyboardInterrupt:
        if video.kind != "camera" or not detections:
            raise
    return Detections(
        detections,
        detector.layout,
        image_size=size,
        fps=_frame_rate(times, video.fps),
        frame_names=video.names if video.kind == "folder" else {},
        times_s=times_s,
        warnings=video.warnings,
    )


def _detected(video: Video, detector: Detector, frame: Frame, J: int) -> list[Detection]:
    where = f"{video.path}, frame {frame.number}"
    try:
        people = list(detector(frame.image, frame.time_s))
    except Exception as error:  # user code
        raise ValueError(f"{where}: the detector failed ({type(error).__name__}: {error})") from error
    return [Detection(frame.number, *_checked(person, J, f"{where}, person {n}")) for n, person in enumerate(people)]


def _checked(person: tuple[Array, Array], J: int, where: str) -> tuple[Array, Array]:
    try:
        xy, confidence = (np.asarray(part, dtype=np.float64) for part in person)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: expected (keypoints, confidence) from the detector, got {person!r:.40}") from None
    if xy.shape != (J, 2) or confidence.shape != (J,):
        raise ValueError(
            f"{where}: expected ({J}, 2) and ({J},) from the detector, got {xy.shape} and {confidence.shape}"
        )
    if np.isinf(xy).any():
        raise ValueError(f"{where}: expected pixels, NaN where missing, from the detector, got infinity")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        low, high = confidence.min(), confidence.max()
        raise ValueError(f"{where}: expected confidence from 0 to 1 from the detector, got {low:g} to {high:g}")
    return xy, confidence


def _checked_size(video: Video, frame: Frame, size: tuple[int, int] | None) -> tuple[int, int]:
    height, width = frame.image.shape[:2]
    if size not in (None, (width, height)):
        raise ValueError(
            f"{video.path}: expected frames of one size, {size[0]} x {size[1]}, "
            f"got {width} x {height} in {frame.name or f'frame {frame.number}'}"
        )
    return width, height


def _frame_rate(times: list[float], nominal: float | None) -> float | None:
    """The nominal frame rate if all times agree with it to half a frame, else that of the times."""
    steps = len(times) - 1
    if steps < 1 or (nominal is not None and abs((times[-1] - times[0]) * nominal - steps) <= 0.5):
        return nominal
    return steps / (times[-1] - times[0])


class MediaPipePose:
    """MediaPipe Pose (Tasks API): BlazePose's 33 joints, with their visibility as confidence.

    All 33 are given, those that are occluded or outside the image too, with a low visibility.

    Args:
        model: a ``.task`` file of the pose landmarker.
        max_people: the most people per frame. One person is tracked and smoothed over the frames of a video; several
            are detected in each frame anew.

    Raises:
        ValueError: if MediaPipe is missing or cannot load the model.
    """

    layout = "blazepose33"

    def __init__(self, model: Path, max_people: int = 1) -> None:
        self.model, self.max_people = model, max_people
        with _stderr_discarded():
            self.mediapipe = import_extra("mediapipe", "detect")
            self.vision = import_extra("mediapipe.tasks.python.vision", "detect")
            self.base_options = import_extra("mediapipe.tasks.python", "detect").BaseOptions
        self.landmarkers: dict[str, Any] = {}
        self.used = set[str]()
        self.last_ms = -1
        self._landmarker("IMAGE")  # a model that cannot be loaded fails here, before any frame is read

    def __call__(self, image: Array, time_s: float | None) -> list[tuple[Array, Array]]:
        """As :class:`Detector` describes."""
        mode = "IMAGE" if time_s is None else "VIDEO"
        landmarker = self._landmarker(mode)
        with nullcontext() if mode in self.used else _stderr_discarded():  # it logs at the first frame
            picture = self.mediapipe.Image(
                image_format=self.mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
            )
            if time_s is None:
                result = landmarker.detect(picture)
            else:  # whole milliseconds, strictly increasing
                self.last_ms = max(self.last_ms + 1, round(time_s * 1000))
                result = landmarker.detect_for_video(picture, self.last_ms)
        self.used.add(mode)
        size = image.shape[1::-1]
        people = [np.array([(m.x, m.y, m.visibility or 0.0) for m in person]) for person in result.pose_landmarks]
        return [(rows[:, :2] * size, rows[:, 2].clip(0, 1)) for rows in people]

    def close(self) -> None:
        """Ends MediaPipe's threads."""
        with _stderr_discarded():
            for landmarker in self.landmarkers.values():
                landmarker.close()
        self.landmarkers = {}

    def _landmarker(self, mode: str) -> Any:
        if mode not in self.landmarkers:
            options = self.vision.PoseLandmarkerOptions(
                base_options=self.base_options(model_asset_path=str(self.model)),
                running_mode=getattr(self.vision.RunningMode, mode),
                num_poses=self.max_people,
            )
            try:
                with _stderr_discarded():
                    self.landmarkers[mode] = self.vision.PoseLandmarker.create_from_options(options)
            except Exception as error:  # MediaPipe raises many types
                reason = str(error).split("\n")[0]
                if isinstance(error, OSError) and ".so" in reason:
                    reason += "; on Debian and Ubuntu: apt-get install libegl1 libgles2"
                raise ValueError(f"{self.model}: MediaPipe cannot load the model ({reason})") from None
        return self.landmarkers[mode]


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discards what MediaPipe's C++ code logs to stderr; errors are raised all the same."""
    try:
        stderr = os.dup(2)
    except OSError:  # closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def find_model(path: Path | None = None, url: str = MODEL_URL) -> Path:
    """MediaPipe's model file: the given one, or that in ``$XDG_CACHE_HOME/prpose``, downloaded on first use.

    Raises:
        ValueError: naming the file, if it is missing or no pose landmarker; naming the URL, if it cannot be downloaded.
    """
    if path is not None and not path.is_file():
        raise ValueError(f"{path}: no such file; expected a model of MediaPipe's pose landmarker, as from {url}")
    if path is not None:
        return check_model(path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prpose"
    path = cache / url.rpartition("/")[2]
    if not path.is_file():
        pooch = import_extra("pooch", "detect")
        pooch.get_logger().setLevel("WARNING")
        try:
            pooch.retrieve(url, None, path.name, cache, downloader=_download)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            raise ValueError(
                f"MediaPipe's model cannot be downloaded ({_reason(error)}): download {url} on a machine with a "
                "connection, and name the file with --detector-model"
            ) from None
    return check_model(path)


def _download(url: str, output: str, _: Any) -> None:
    """Pooch's downloader, with a progress bar and a largest size, and a check before the file enters the cache."""
    from pooch import HTTPDownloader

    console = Console(stderr=True)
    with Progress(*Progress.get_default_columns(), console=console, disable=not console.is_terminal) as bar:
        HTTPDownloader(progressbar=_Limit(bar), chunk_size=2**16, timeout=30)(url, output, None)
    check_model(Path(output), "the downloaded file")


class _Limit:
    """Pooch's progress bar, drawn by rich; stops a download that is too large."""

    total = 0

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task, self.received = bar, bar.add_task("MediaPipe's model", total=None), 0

    def update(self, size: int) -> None:
        self.received += size
        if max(self.received, self.total) > LARGEST_BYTES:
            raise ValueError(f"expected a file of some 10 MB, got more than {LARGEST_BYTES // 10**6} MB")
        self.bar.update(self.task, completed=self.received, total=self.total or None)

    def reset(self) -> None:
        self.received = 0

    def close(self) -> None:
        pass


def check_model(path: Path, name: str = "") -> Path:
    """The path, if it is a model of MediaPipe's pose landmarker; ``name`` stands for it in errors.

    Raises:
        ValueError: if it is something else, or damaged.
    """
    expected = f"{name or path}: expected a model of MediaPipe's pose landmarker (.task)"
    try:
        with zipfile.ZipFile(path) as bundle:
            missing = set(MODEL_PARTS) - set(bundle.namelist())
            damaged = None if missing else bundle.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        raise ValueError(f"{expected}, got another or a truncated file") from None
    if missing or damaged:
        raise ValueError(
            f"{expected}, got one " + (f"without {min(missing)}" if missing else f"with a damaged {damaged}")
        )
    return path


def _reason(error: Exception) -> str:
    """What is wrong with a connection, without the names of requests' and urllib3's classes."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    cause = getattr(error.args[0], "reason", error) if error.args else error
    return str(cause).partition(">: ")[2] or str(cause)
