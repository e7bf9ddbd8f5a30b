"""Ultralytics' results of pose models: ``Results.to_json`` (ultralytics/engine/results.py), one list of people each."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, check, is_normalised, without_missing


class Points(msgspec.Struct):
    x: list[Value]
    y: list[Value]
    visible: list[Value] | None = None


class Person(Tracked):
    keypoints: Points | None


def read(content: Any) -> Detections:
    """The people of one image, which is frame 0."""
    return _detections(0, content, "")


def read_frames(content: Any) -> Detections:
    """The people of a list of results, one for each frame."""
    found = [_detections(t, people or [], f"[{t}]") for t, people in enumerate(content)]
    detections = [each for frame in found for each in frame.detections]
    return Detections(detections, default_layouts={17: "coco17"}, normalised=is_normalised(detections))


def _detections(frame: int, content: Any, place: str) -> Detections:
    detections = []
    for i, person in enumerate(check(content, list[Person | None], place)):
        points = None if person is None else person.keypoints
        if person is None or points is None or not points.x:
            continue
        scores: Sequence[float | None] = [1.0] * len(points.x) if points.visible is None else points.visible
        if not len(points.x) == len(points.y) == len(scores):
            counts = f"{len(points.x)}, {len(points.y)} and {len(scores)}"
            raise ValueError(f"{place}[{i}].keypoints: expected as many x, y and visible, got {counts}")
        xy = np.array([points.x, points.y], dtype=float).T
        confidence = None
        if points.visible is not None:
            xy, confidence = without_missing(xy, np.array(scores, dtype=float))
        detections.append(Detection(frame, xy, confidence, person.person))
    return Detections(detections, default_layouts={17: "coco17"}, normalised=is_normalised(detections))
