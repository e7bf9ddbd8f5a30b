"""MediaPipe Pose as a detector (extra ``detect``, Tasks API): BlazePose's 33 joints."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.io.model_file import checked

INSTALL = 'MediaPipe is needed to find people: pip install "prpose[detect]"'


class MediaPipePose:
    """People in pictures; the score is MediaPipe's visibility.

    Every joint of a person is given, those that are hidden or beyond the edge of the picture, too:
    they are the network's guess, and their visibility says so.

    Args:
        model: a ``.task`` file of the pose landmarker.
        people: at most, in one picture. One person is followed and smoothed from frame to frame of
            a video; of several, MediaPipe smooths none.

    Raises:
        ValueError: if MediaPipe is missing or cannot be loaded, or the file is no such model.
    """

    layout = "blazepose33"

    def __init__(self, model: Path, people: int = 1) -> None:
        if people < 1:
            raise ValueError(f"expected --people >= 1, got {people}")
        self.model = checked(model)
        self.people = people
        self.mediapipe, self.vision, self.base = _import_mediapipe()
        self.landmarkers: dict[str, Any] = {}
        self.used = set[str]()
        self.last_ms = -1
        self._landmarker("IMAGE")  # so that a model that does not load is found before the work

    def __call__(self, image: Array, time_s: float | None) -> list[tuple[Array, Array]]:
        """As of :class:`prpose.io.detector.Detector`."""
        height, width = image.shape[:2]
        mode = "IMAGE" if time_s is None else "VIDEO"
        landmarker = self._landmarker(mode)
        with nullcontext() if mode in self.used else _quiet():  # it talks at the first picture
            picture = self.mediapipe.Image(
                image_format=self.mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
            )
            if time_s is None:
                found = landmarker.detect(picture)
            else:  # whole milliseconds, which must increase
                self.last_ms = max(self.last_ms + 1, round(time_s * 1000))
                found = landmarker.detect_for_video(picture, self.last_ms)
        self.used.add(mode)
        people = []
        for landmarks in found.pose_landmarks:
            rows = np.array([(m.x * width, m.y * height, m.visibility or 0.0) for m in landmarks])
            people.append((rows[:, :2], rows[:, 2].clip(0, 1)))
        return people

    def close(self) -> None:
        """Lets go of MediaPipe's threads; the detector is of no use any more."""
        with _quiet():
            for landmarker in self.landmarkers.values():
                landmarker.close()
        self.landmarkers = {}

    def _landmarker(self, mode: str) -> Any:
        if mode not in self.landmarkers:
            options = self.vision.PoseLandmarkerOptions(
                base_options=self.base(model_asset_path=str(self.model)),
                running_mode=getattr(self.vision.RunningMode, mode),
                num_poses=self.people,
            )
            try:
                with _quiet():
                    made = self.vision.PoseLandmarker.create_from_options(options)
            except Exception as error:  # MediaPipe raises a dozen kinds
                reason = str(error).split("\n")[0]
                if isinstance(error, OSError) and ".so" in reason:
                    reason += "; on Debian and Ubuntu: apt-get install libegl1 libgles2"
                raise ValueError(f"{self.model}: MediaPipe cannot load it ({reason})") from None
            self.landmarkers[mode] = made
        return self.landmarkers[mode]


def _import_mediapipe() -> tuple[Any, Any, Any]:
    try:
        with _quiet():
            mediapipe = importlib.import_module("mediapipe")
            vision = importlib.import_module("mediapipe.tasks.python.vision")
            base = importlib.import_module("mediapipe.tasks.python").BaseOptions
    except ImportError as error:
        if getattr(error, "name", None) in (None, "mediapipe"):
            raise ValueError(f"{INSTALL} ({error})") from None
        raise ValueError(f"MediaPipe cannot be imported: {error}") from None
    return mediapipe, vision, base


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what MediaPipe's C++ writes to stderr; what goes wrong is raised all the same."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
