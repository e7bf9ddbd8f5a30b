"""OpenPose's ``--write_json``: a folder with one ``*_keypoints.json`` per frame, or one such file; doc/02_output.md."""

from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Value, check, triplets

LAYOUTS = {25: "body25", 18: "coco18"}
"""Its models by number of body parts. The experimental BODY_25B has 25 others, which the file does not tell."""


class Person(msgspec.Struct):
    """x, y, confidence of each body part; ``person_id`` is [-1] unless people are tracked."""

    pose_keypoints_2d: list[Value]
    person_id: Any = None


class Frame(msgspec.Struct):
    """One file."""

    people: list[Person]


def read(content: Any) -> Detections:
    """The people of a frame; a person without any body part is left out."""
    detections = []
    for i, person in enumerate(check(content, Frame).people):
        xy, confidence = triplets(person.pose_keypoints_2d, f"people[{i}].pose_keypoints_2d")
        match person.person_id:
            case [int(number)] if number >= 0 and confidence.any():
                detections.append(Detection(0, xy, confidence, str(number)))
            case _ if confidence.any():
                detections.append(Detection(0, xy, confidence))
    return Detections(detections, default_layouts=LAYOUTS)
