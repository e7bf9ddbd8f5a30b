"""A detector over frames, one at a time → what a file of keypoints would say."""

from collections.abc import Callable, Sequence

import numpy as np

from prpose.camera import Array
from prpose.io.detector import Detector
from prpose.io.keypoints.detections import Detection, Detections
from prpose.io.video import Frame, Video
from prpose.layouts import LAYOUTS
from prpose.tables import look_up


def watch(film: Video, detector: Detector, advance: Callable[[int], None] | None = None) -> Detections:
    """Everybody in every frame. Frames are dropped once the detector has seen them.

    A camera without an end is watched until it is interrupted (Ctrl-C); what was seen until then
    is kept.

    Args:
        film: photo, video, folder or camera.
        detector: of people.
        advance: is told of every frame.

    Raises:
        ValueError: naming the file, as of :meth:`Video.frames`; if frames differ in size, or the
            detector gives something else than people, or fails.
    """
    layout = look_up(detector.layout, LAYOUTS, "layout of the detector")
    clock = Clock()
    sightings: list[Detection] = []
    times: dict[int, float] = {}
    size = None
    try:
        for frame in film.frames():
            size = _size(film, frame, size)
            people = _found(detector, film, frame)
            if people and frame.time_s is not None:
                times[frame.number] = frame.time_s
            for n, person in enumerate(people):
                where = f"{film.path}, frame {frame.number}, person {n}"
                sightings.append(Detection(frame.number, *checked(person, len(layout), where)))
            clock.tick(frame.time_s)
            if advance is not None:
                advance(1)
    except KeyboardInterrupt:
        if film.kind != "camera" or not sightings:
            raise
    return Detections(
        sightings,
        detector.layout,
        size=size,
        fps=clock.rate(film.fps),
        frame_names=film.names if film.kind == "folder" else {},
        times=times if film.kind in ("video", "camera") else {},
        warnings=film.warnings,
    )


def _found(detector: Detector, film: Video, frame: Frame) -> Sequence[tuple[Array, Array]]:
    """Everybody in a frame."""
    try:
        return list(detector(frame.image, frame.time_s))
    except Exception as error:  # the detector may be the user's: anything may happen
        said = f"{type(error).__name__}: {error}"
        where = f"{film.path}, frame {frame.number}"
        raise ValueError(f"{where}: the detector failed ({said})") from error


def checked(person: tuple[Array, Array], J: int, where: str) -> tuple[Array, Array]:
    """A detector's (J, 2) and (J,) as float64.

    Raises:
        ValueError: for other shapes, infinite pixels, or scores that are not from 0 to 1.
    """
    try:
        keypoints, score = (np.asarray(part, dtype=np.float64) for part in person)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: expected (keypoints, scores) from the detector") from None
    if keypoints.shape != (J, 2) or score.shape != (J,):
        raise ValueError(
            f"{where}: expected ({J}, 2) and ({J},) from the detector, got {keypoints.shape} and {score.shape}"
        )
    if np.isinf(keypoints).any() or not ((score >= 0) & (score <= 1)).all():
        raise ValueError(f"{where}: expected finite pixels or NaN, and scores from 0 to 1, got others")
    return keypoints, score


def _size(film: Video, frame: Frame, before: tuple[int, int] | None) -> tuple[int, int]:
    height, width = frame.image.shape[:2]
    if before is not None and before != (width, height):
        raise ValueError(
            f"{film.path}: expected frames of one size, {before[0]} x {before[1]}, "
            f"got {width} x {height} in {frame.name or f'frame {frame.number}'}"
        )
    return width, height


class Clock:
    """Frames per second, of the times of all frames."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.last = 0.0

    def tick(self, time_s: float | None) -> None:
        """A frame more."""
        if time_s is not None:
            self.first = time_s if not self.count else self.first
            self.last = time_s
            self.count += 1

    def rate(self, nominal: float | None) -> float | None:
        """The nominal rate if the times bear it out to half a frame, else that of the times."""
        steps, seconds = self.count - 1, self.last - self.first
        if steps < 1 or (nominal is not None and abs(seconds * nominal - steps) <= 0.5):
            return nominal
        return steps / seconds
