"""OpenPose's ``--write_json``: a folder with one ``*_keypoints.json`` per frame, or one such file; doc/02_output.md."""

from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, check, triplets

LAYOUTS = {25: "body25", 18: "coco18"}  # by number of body parts; BODY_25B has 25 others, which the file does not tell


class Person(Tracked):
    pose_keypoints_2d: list[Value] | None  # x, y, confidence of each body part


class Frame(msgspec.Struct):
    people: list[Person | None] | None


def read(content: Any) -> Detections:
    """The people of a frame; a person without body parts is left out."""
    detections = []
    for i, person in enumerate(check(content, Frame).people or ()):
        if person is not None and person.pose_keypoints_2d:
            found = triplets(person.pose_keypoints_2d, f"people[{i}].pose_keypoints_2d")
            detections.append(Detection(0, *found, person.person))
    return Detections(detections, default_layouts=LAYOUTS)
