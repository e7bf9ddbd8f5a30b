"""OpenPose's ``--write_json``: a folder with one ``*_keypoints.json`` per frame, or one such file; doc/02_output.md."""

from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Value, check, triplets

LAYOUTS = {25: "body25", 18: "coco18"}  # by number of body parts; BODY_25B has 25 others, which the file does not tell


class Person(msgspec.Struct):
    pose_keypoints_2d: list[Value]  # x, y, confidence of each body part
    person_id: Any = None  # [-1] unless people are tracked


class Frame(msgspec.Struct):
    people: list[Person]


def read(content: Any) -> Detections:
    """The people of a frame; a person without any body part is left out."""
    detections = []
    for i, person in enumerate(check(content, Frame).people):
        xy, confidence = triplets(person.pose_keypoints_2d, f"people[{i}].pose_keypoints_2d")
        ids = person.person_id
        tracked = isinstance(ids, list) and len(ids) == 1 and isinstance(ids[0], int) and ids[0] >= 0
        if confidence.any():
            detections.append(Detection(0, xy, confidence, str(ids[0]) if tracked else None))
    return Detections(detections, default_layouts=LAYOUTS)
