"""Ultralytics' results of pose models, ``to_json`` and ``save_txt`` (ultralytics/engine/results.py)."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from prpose.io.keypoints.arrays import within_range
from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, check, is_normalised


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
    found = [_detections(t, people or [], f"[{t}]") for t, people in enumerate(check(content, list[Any]))]
    detections = [each for frame in found for each in frame.detections]
    return Detections(detections, default_layouts={17: "coco17"}, normalised=is_normalised(detections))


def read_labels(path: Path) -> Detections:
    """The people of one image, a line each: class, box, x, y and score of 17 joints, and maybe an id.

    Coordinates are shares of the image's width and height; models of two numbers per joint write no score.
    """
    detections = []
    for i, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            numbers = [float(text) for text in line.split()]
        except ValueError:
            raise ValueError(f"line {i + 1}: expected numbers, got {line!r:.40}") from None
        if len(numbers) not in (*LINE[2], *LINE[3]):
            raise ValueError(f"line {i + 1}: expected class, box and 17 joints, got {len(numbers)} numbers")
        parts = 3 if len(numbers) in LINE[3] else 2
        table = within_range(np.array(numbers[5 : 5 + 17 * parts])).reshape(17, parts)
        # With save_conf, the last number, or that before the id, is the confidence of the box.
        person = str(int(numbers[-1])) if len(numbers) > LINE[parts][0] and numbers[-1].is_integer() else None
        detections.append(Detection.of(0, table, person))
    return Detections(detections, default_layouts={17: "coco17"}, normalised=True)


LINE = {parts: tuple(n + 17 * parts for n in (5, 6, 7)) for parts in (2, 3)}
"""Numbers in a line, without and with a confidence and an id, by the numbers of a joint."""


def _detections(frame: int, content: Any, place: str) -> Detections:
    detections = []
    for i, person in enumerate(check(content, list[Person | None], place)):
        points = None if person is None else person.keypoints
        if person is None or points is None or not points.x:
            continue
        columns = [values for values in (points.x, points.y, points.visible) if values is not None]
        if len(counts := [len(values) for values in columns]) != counts.count(counts[0]):
            got = ", ".join(map(str, counts))
            raise ValueError(f"{place}[{i}].keypoints: expected as many x, y and visible, got {got}")
        detections.append(Detection.of(frame, np.array(columns, dtype=float).T, person.person))
    return Detections(detections, default_layouts={17: "coco17"}, normalised=is_normalised(detections))
