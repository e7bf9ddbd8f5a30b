"""OpenPifPaf's predictions: JSON lines of a video, one frame each, or a JSON file per image (openpifpaf/predict.py)."""

from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, Whole, check, triplets

LAYOUTS = {17: "coco17", 133: "wholebody133"}


class Annotation(Tracked):
    keypoints: list[Value] | None  # x, y, confidence of each joint
    id_: Any = None  # the person's id, of the tracking models


class Frame(msgspec.Struct):
    frame: Whole
    predictions: list[Annotation | None] | None


def read(content: Any) -> Detections:
    """The people of an image, which is frame 0."""
    return _detections([Frame(0, check(content, list[Annotation | None]))], "")


def read_frames(content: Any) -> Detections:
    """The people of all frames, whose numbers start with 1."""
    return _detections(check(content, list[Frame]), "[{}].predictions")


def _detections(frames: list[Frame], place: str) -> Detections:
    detections = []
    for n, frame in enumerate(frames):
        for i, person in enumerate(frame.predictions or ()):
            if person is not None and person.keypoints:
                table = triplets(person.keypoints, f"{place.format(n)}[{i}].keypoints")
                track_id = str(person.id_) if type(person.id_) is int and person.id_ >= 0 else person.person
                detections.append(Detection.of(int(frame.frame), table, track_id))
    return Detections(detections, default_layouts=LAYOUTS)
