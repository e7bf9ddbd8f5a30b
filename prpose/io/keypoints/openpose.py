"""OpenPose's ``--write_json``: a folder with one ``*_keypoints.json`` per frame, or one such file.

Its doc/02_output.md defines ``pose_keypoints_2d`` as x, y, confidence of each body part.
"""

from pathlib import Path
from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Value, check, read_frames, triplets

LAYOUTS = {25: "body25", 18: "coco18"}
"""OpenPose's models by number of body parts. Its experimental BODY_25B has 25 others, and cannot be told from BODY_25
by the file."""


class Person(msgspec.Struct):
    """One person; ``person_id`` is [-1] unless people are tracked."""

    pose_keypoints_2d: list[Value]
    person_id: Any = None


class Frame(msgspec.Struct):
    """One file."""

    people: list[Person]


def matches(content: Any) -> bool:
    """Whether JSON is of this format."""
    return isinstance(content, dict) and "people" in content


def frame_files(folder: Path) -> list[Path]:
    """OpenPose's files in a folder; there may be none."""
    return sorted(file for file in folder.glob("*_keypoints.json") if file.is_file())


def read(path: Path, content: Any) -> Detections:
    """All people in all frames."""
    detections, names = read_frames(path, content, frame_files(path), _people)
    counts = {len(found.xy) for found in detections}
    if len(counts) > 1 or not counts <= LAYOUTS.keys():
        raise ValueError(f"expected 25 body parts (BODY_25) or 18 (COCO) in every frame, got {sorted(counts)}")
    return Detections(detections, LAYOUTS[counts.pop()] if counts else None, frame_names=names)


def _people(content: Any, frame: int) -> list[Detection]:
    detections = []
    for i, person in enumerate(check(content, Frame).people):
        xy, confidence = triplets(person.pose_keypoints_2d, f"people[{i}].pose_keypoints_2d")
        if confidence.any():
            detections.append(Detection(frame, xy, confidence, _track_id(person.person_id)))
    return detections


def _track_id(person_id: Any) -> str | None:
    match person_id:
        case [int(number)] if number >= 0:
            return str(number)
    return None
