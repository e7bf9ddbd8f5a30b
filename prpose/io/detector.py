"""2D pose detectors over pictures and video: MediaPipe Pose (extra ``detect``), or a class of the user's own."""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from rich.console import Console
from rich.progress import Progress

from prpose.camera import Array
from prpose.io import import_extra
from prpose.io.keypoints.detections import Detection, Detections
from prpose.io.video import Video
from prpose.layouts import find_layout
from prpose.tables import import_object, is_import_path

MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/"
    "float16/latest/pose_landmarker_full.task"
)
"""From MediaPipe's documentation. Google publishes no checksum for it: its structure is checked instead."""
MODEL_PARTS = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
LARGEST_BYTES = 200_000_000
"""Of a download; the model has some 10 MB."""


class Detector(Protocol):
    """Finds people in images. An optional ``close()`` is called at the end.

    ``layout``, a key of :data:`prpose.layouts.LAYOUTS`, is the order of the J joints.
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
        model: the detector's model file. MediaPipe's is downloaded on first use.
        max_people: the largest number of people per frame; MediaPipe only.

    Raises:
        ValueError: for an unknown name, a class that cannot be created or is no detector, and as
            :class:`MediaPipePose` and :func:`find_model`.
    """
    if not is_import_path(name) and name != "mediapipe":
        raise ValueError(f"expected a detector, mediapipe or package.module:Class, got {name!r}")
    detector = _custom(name, model) if is_import_path(name) else MediaPipePose(find_model(model), max_people)
    try:
        yield detector
    finally:
        getattr(detector, "close", lambda: None)()


def _custom(name: str, model: Path | None) -> Detector:
    create = import_object(name)
    try:
        detector = create() if model is None else create(model)
    except Exception as error:  # user code
        raise ValueError(f"{name} cannot be created: {type(error).__name__}: {error}") from None
    if not callable(detector) or not isinstance(getattr(detector, "layout", None), str):
        got = type(detector).__name__
        raise ValueError(f"expected {name} to be a detector, with a layout and a call (image, time_s), got {got}")
    return cast(Detector, detector)


def run_detector(video: Video, detector: Detector, on_frame: Callable[[int], None] | None = None) -> Detections:
    """Detections of all people in all frames. One frame is in memory at a time.

    Ctrl-C ends the recording of a camera: the detections until then are returned.

    Args:
        video: photo, video, folder or camera.
        detector: of people.
        on_frame: called with 1 after every frame.

    Raises:
        ValueError: naming the file, as :meth:`Video.frames`; if frames differ in size, or the detector fails or
            returns something else than described.
    """
    J, sizes = len(find_layout(detector.layout)), set[tuple[int, int]]()
    found, times, times_s = list[Detection](), list[float](), dict[int, float]()
    try:
        for frame in video.frames():
            where = f"{video.path}: {frame.name or f'frame {frame.number}'}"
            sizes.add(frame.image.shape[1::-1])
            if len(sizes) > 1:
                raise ValueError(f"{where}, expected frames of one size, got {' and '.join(map(str, sorted(sizes)))}")
            try:
                people = list(detector(frame.image, frame.time_s))
            except Exception as error:  # user code
                raise ValueError(f"{where}, the detector failed ({type(error).__name__}: {error})") from error
            found += [Detection(frame.number, *_checked(person, J, where)) for person in people]
            if frame.time_s is not None:
                times.append(frame.time_s)
                if people and video.kind != "folder":
                    times_s[frame.number] = frame.time_s
            if on_frame is not None:
                on_frame(1)
    except KeyboardInterrupt:
        if video.kind != "camera" or not found:
            raise
    names = video.names if video.kind == "folder" else {}
    size, fps = min(sizes, default=None), _frame_rate(times, video.fps)
    return Detections(
        found, detector.layout, image_size=size, fps=fps, frame_names=names, times_s=times_s, warnings=video.warnings
    )


def _checked(person: tuple[Array, Array], J: int, where: str) -> tuple[Array, Array]:
    try:
        xy, confidence = (np.asarray(part, dtype=np.float64) for part in person)
    except (TypeError, ValueError):
        raise ValueError(f"{where}, expected (keypoints, confidence) from the detector, got {person!r:.40}") from None
    if xy.shape != (J, 2) or confidence.shape != (J,):
        got = f"{xy.shape} and {confidence.shape}"
        raise ValueError(f"{where}, expected ({J}, 2) and ({J},) from the detector, got {got}")
    if np.isinf(xy).any() or not ((confidence >= 0) & (confidence <= 1)).all():
        got = f"{np.nanmin(xy):g} to {np.nanmax(xy):g} and {confidence.min():g} to {confidence.max():g}"
        raise ValueError(f"{where}, expected finite pixels and confidence from 0 to 1 from the detector, got {got}")
    return xy, confidence


def _frame_rate(times: list[float], nominal: float | None) -> float | None:
    """The nominal frame rate if all times agree with it to half a frame, else that of the times."""
    steps = len(times) - 1
    if steps < 1 or (nominal is not None and abs((times[-1] - times[0]) * nominal - steps) <= 0.5):
        return nominal
    return steps / (times[-1] - times[0])


class MediaPipePose:
    """MediaPipe Pose (Tasks API): BlazePose's 33 joints, with their visibility as confidence.

    Occluded joints and joints outside the image are given too, with a low visibility.

    Args:
        model: a ``.task`` file of the pose landmarker.
        max_people: one person is tracked and smoothed over the frames of a video; several are detected frame by frame.

    Raises:
        ValueError: if MediaPipe is missing or cannot load the model.
    """

    layout = "blazepose33"

    def __init__(self, model: Path, max_people: int = 1) -> None:
        self.model, self.max_people = model, max_people
        self.last_ms, self.landmarker = -1, cast(Any, None)
        with _stderr_discarded():
            self.mediapipe = import_extra("mediapipe", "detect")
            self.vision = import_extra("mediapipe.tasks.python.vision", "detect")
            self.base_options = import_extra("mediapipe.tasks.python", "detect").BaseOptions
            self._load("IMAGE")  # a model that cannot be loaded is an error before any frame is read

    def __call__(self, image: Array, time_s: float | None) -> list[tuple[Array, Array]]:
        """As :class:`Detector` describes."""
        mode = "IMAGE" if time_s is None else "VIDEO"
        picture = self.mediapipe.Image(self.mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image))
        with _stderr_discarded() if mode != self.mode or self.last_ms < 0 else nullcontext():  # it logs at the start
            if mode != self.mode:
                self._load(mode)
            self.last_ms = max(self.last_ms + 1, round((time_s or 0) * 1000))  # whole and strictly increasing
            if time_s is None:
                result = self.landmarker.detect(picture)
            else:
                result = self.landmarker.detect_for_video(picture, self.last_ms)
        people = [np.array([(m.x, m.y, m.visibility or 0.0) for m in person]) for person in result.pose_landmarks]
        return [(rows[:, :2] * image.shape[1::-1], rows[:, 2].clip(0, 1)) for rows in people]

    def close(self) -> None:
        """Ends MediaPipe's threads."""
        with _stderr_discarded():
            self.landmarker.close()

    def _load(self, mode: str) -> None:
        if self.landmarker is not None:
            self.landmarker.close()
        options = self.vision.PoseLandmarkerOptions(
            base_options=self.base_options(model_asset_path=str(self.model)),
            running_mode=self.vision.RunningMode[mode],
            num_poses=self.max_people,
        )
        try:
            self.mode, self.landmarker = mode, self.vision.PoseLandmarker.create_from_options(options)
        except Exception as error:  # MediaPipe raises many types
            reason = str(error).split("\n")[0]
            if isinstance(error, OSError) and ".so" in reason:
                reason += "; on Debian and Ubuntu: apt-get install libegl1 libgles2"
            raise ValueError(f"{self.model}: MediaPipe cannot load the model ({reason})") from None


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discards what MediaPipe's C++ code logs to stderr; errors are raised all the same."""
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
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
        ValueError: naming the file, if it is no such model; naming the URL, if it cannot be downloaded.
    """
    if path is not None:
        return check_model(path)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prpose"
    path = folder / url.rpartition("/")[2]
    if not path.is_file():
        pooch = import_extra("pooch", "detect")
        pooch.get_logger().setLevel("WARNING")
        try:
            pooch.retrieve(url, None, path.name, folder, downloader=_download)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            reason = str(error).rpartition("): ")[2].removesuffix('"))')  # without urllib3's names of objects
            raise ValueError(
                f"MediaPipe's model cannot be downloaded ({reason}): download {url} on a machine with a connection, "
                "and give the file as detector_model"
            ) from None
    return check_model(path)


def check_model(path: Path) -> Path:
    """The path, if it is a model of MediaPipe's pose landmarker; ``ValueError`` if missing, damaged or another file."""
    expected = f"{path}: expected a model of MediaPipe's pose landmarker (.task)"
    try:
        with zipfile.ZipFile(path) as bundle:
            missing = sorted(set(MODEL_PARTS) - set(bundle.namelist()))
            problem = f"one without {missing[0]}" if missing else "a damaged one" if bundle.testzip() else None
    except FileNotFoundError:
        raise ValueError(f"{expected}, as from {MODEL_URL}; there is no such file") from None
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        problem = "another or a truncated file"
    if problem:
        raise ValueError(f"{expected}, got {problem}")
    return path


def _download(url: str, output: str, _: Any) -> None:
    """A downloader for pooch, with a progress bar and a largest size; only a valid model enters the cache."""
    console, pooch = Console(stderr=True), import_extra("pooch", "detect")
    bar = Progress(*Progress.get_default_columns(), console=console, disable=not console.is_terminal)
    with bar, ExitStack() as stack:
        hooks = {"response": lambda response, **_: stack.enter_context(response)}
        pooch.HTTPDownloader(_Limit(bar), chunk_size=2**16, timeout=30, hooks=hooks)(url, output, None)
    check_model(Path(output))


class _Limit:
    """Pooch's progress bar, drawn by rich; stops a download that is too large."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task, self.total, self.received = bar, bar.add_task("MediaPipe's model"), 0, 0

    def update(self, size: int) -> None:
        self.received += size
        if max(self.received, self.total) > LARGEST_BYTES:
            raise ValueError(f"expected a file of some 10 MB, got more than {LARGEST_BYTES // 10**6} MB")
        self.bar.update(self.task, completed=self.received, total=self.total or None)

    def reset(self) -> None:
        self.received = 0

    def close(self) -> None:
        pass
