"""MMPose 1.x: ``--save-predictions`` of its demos, and its inferencer's predictions.

The demos (demo/topdown_demo_with_mmdet.py) write meta_info, with the names of the joints, and instance_info: of a
video, {frame_id, instances} per frame, and of an image its instances. The inferencer (mmpose/apis/inferencers) writes
the same lists without meta_info, for a folder of images one file each.
"""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, Whole, check, has
from prpose.layouts import LAYOUTS, WHOLEBODY_133


class Instance(Tracked):
    keypoints: list[tuple[Value, Value] | None] | None
    keypoint_scores: list[Value] | None


class Frame(msgspec.Struct):
    frame_id: Whole
    instances: list[Instance | None] | None


def read(content: Any) -> Detections:
    """The people of all frames of a video, or of an image, which is frame 0."""
    names: tuple[str, ...] = ()
    place = ""
    if isinstance(content, dict):
        names, place = _joint_names(content.get("meta_info")), "instance_info"
        content = content.get("instance_info")
    if has(content, "instances"):
        frames = {f"{place}[{i}].instances": frame for i, frame in enumerate(check(content, list[Frame], place))}
    else:
        frames = {place: Frame(0, check(content, list[Instance | None], place))}
    detections = []
    for place, frame in frames.items():
        for i, instance in enumerate(frame.instances or ()):
            if instance is None or not instance.keypoints:
                continue
            points, scores = instance.keypoints, instance.keypoint_scores or ()
            if len(points) != len(scores):
                raise ValueError(f"{place}[{i}]: expected a score of each joint, got {len(scores)} of {len(points)}")
            table = [(*(point or (None, None)), score) for point, score in zip(points, scores, strict=True)]
            detections.append(Detection.of(int(frame.frame_id), np.array(table, dtype=float), instance.person))
    layout = next((key for key, layout in LAYOUTS.items() if layout.names == names), None)
    if len(names) == len(WHOLEBODY_133) and (*WHOLEBODY_133.names[:23], "face-0") == names[:24]:
        layout = "wholebody133"  # MMPose numbers the face and names the hands in its own way
    return Detections(detections, layout, joint_names=names)


def read_frames(content: Any) -> Detections:
    """The people of a list of what the inferencer yields for each frame: its predictions, a list for each image."""
    frames = [people[0] if people and isinstance(people[0], list) else people
              for people in check(content, list[list[Any] | None])]  # fmt: skip
    found = [read(people or []).detections for people in frames]
    return Detections([replace(each, frame=t) for t, people in enumerate(found) for each in people])


def _joint_names(meta: Any) -> tuple[str, ...]:
    """``keypoint_id2name``, in the order of the ids."""
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict) or not all(key.isascii() and key.isdecimal() and len(key) < 6 for key in table):
        return ()
    return tuple(str(table[key]) for key in sorted(table, key=int))
