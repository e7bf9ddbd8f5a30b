"""MediaPipe's pose landmarks: 33 points with x and y as fractions of the image, and a visibility.

MediaPipe writes no file of its own; docs/formats.md has the lines that write its PoseLandmarkerResult as JSON.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.arrays import load_npy
from prpose.io.keypoints.detections import Detection, Detections, Value, Whole, check


class Landmark(msgspec.Struct):
    x: Value = None
    y: Value = None
    visibility: Value = None


class Frame(msgspec.Struct):
    pose_landmarks: list[list[Landmark | None] | Landmark | None] | None  # of people, or one person's (older Pose)
    frame: Whole | None = None


class Clip(msgspec.Struct):
    frames: list[Frame | None]  # a file may also be this list alone
    image_size: tuple[Whole, Whole] | None = None
    fps: float | None = None


def read(source: Any) -> Detections:
    """All people in all frames, of JSON or of an npy (T, 33, 4 or 5): x, y, z, visibility (presence)."""
    if isinstance(source, Path):
        array = load_npy(source)
        if array.ndim != 3 or array.shape[1] != 33 or array.shape[2] not in (4, 5):
            raise ValueError(f"expected (T, 33, 4 or 5): x, y, z, visibility (presence); got {array.shape}")
        found = [_person(t, table[:, [0, 1, 3]], f"frame {t}") for t, table in enumerate(array)]
        found = [person for person in found if person.confidence is not None and person.confidence.any()]
        return Detections(found, "blazepose33", normalised=True)
    clip = check({"frames": source} if isinstance(source, list) else source, Clip)
    detections = []
    for i, frame in enumerate(clip.frames):
        if frame is None or not frame.pose_landmarks:
            continue
        people = [landmarks for landmarks in frame.pose_landmarks if isinstance(landmarks, list) and landmarks]
        single = [mark for mark in frame.pose_landmarks if not isinstance(mark, list)]
        single = single if any(single) else []
        number, place = i if frame.frame is None else int(frame.frame), f"frames[{i}].pose_landmarks"
        for landmarks in [*people, single] if single else people:
            if len(landmarks) != 33:
                raise ValueError(f"{place}: expected 33 landmarks of a person, got {len(landmarks)}")
            marks = [mark or Landmark() for mark in landmarks]
            table = np.array([[mark.x, mark.y, mark.visibility] for mark in marks], dtype=float)
            detections.append(_person(number, table, place))
    size = None if clip.image_size is None else (int(clip.image_size[0]), int(clip.image_size[1]))
    return Detections(detections, "blazepose33", image_size=size, fps=clip.fps, normalised=True)


def _person(frame: int, table: Array, place: str) -> Detection:
    """From x, y, visibility (33, 3); some of MediaPipe's interfaces give the visibility before the sigmoid."""
    visibility = table[:, 2]
    if np.isnan(visibility).all():
        return Detection.of(frame, table[:, :2])
    if (visibility < 0).any() or (visibility > 1).any():
        found = f"{np.nanmin(visibility):g} to {np.nanmax(visibility):g}"
        raise ValueError(f"{place}: expected visibility from 0 to 1, got {found}; apply the sigmoid to it first")
    return Detection.of(frame, table)
