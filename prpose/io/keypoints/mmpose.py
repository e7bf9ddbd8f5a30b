"""MMPose 1.x: ``--save-predictions`` of its demos, and its inferencer's predictions.

The demos (demo/topdown_demo_with_mmdet.py) write meta_info, with the names of the joints, and instance_info: of a
video, {frame_id, instances} per frame, and of an image its instances. The inferencer (mmpose/apis/inferencers) writes
the same lists without meta_info, for a folder of images one file each. Instances are those of
mmpose/structures/utils.py.
"""

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from prpose.io.keypoints.detections import Detection, Detections, Value, Whole, check, has, without_missing
from prpose.layouts import LAYOUTS


class Instance(msgspec.Struct):
    """One person."""

    keypoints: list[Annotated[list[Value], Meta(min_length=2, max_length=2)]]
    keypoint_scores: list[Value]
    track_id: Any = None


class Frame(msgspec.Struct):
    """One frame of a video."""

    frame_id: Whole
    instances: list[Instance]


def read(content: Any) -> Detections:
    """The people of all frames of a video, or of an image, which is frame 0."""
    names: tuple[str, ...] = ()
    place = ""
    if isinstance(content, dict):
        names, place = _joint_names(content.get("meta_info")), "instance_info"
        content = content.get("instance_info")
    if has(content, "instances"):
        detections = [
            found
            for i, frame in enumerate(check(content, list[Frame], place))
            for found in _people(frame.instances, int(frame.frame_id), f"{place}[{i}].instances")
        ]
    else:
        detections = _people(check(content, list[Instance], place), 0, place)
    return Detections(detections, _layout(names), joint_names=names)


def _people(instances: list[Instance], frame: int, place: str) -> list[Detection]:
    detections = []
    for i, instance in enumerate(instances):
        xy, confidence = (np.array(part, dtype=float) for part in (instance.keypoints, instance.keypoint_scores))
        if not len(xy) or len(xy) != len(confidence):
            raise ValueError(f"{place}[{i}]: expected a score of each joint, got {len(confidence)} of {len(xy)}")
        tracked = type(instance.track_id) is int and instance.track_id >= 0
        track_id = str(instance.track_id) if tracked else None
        detections.append(Detection(frame, *without_missing(xy, confidence), track_id))
    return detections


def _joint_names(meta: Any) -> tuple[str, ...]:
    """``keypoint_id2name``, in the order of the ids."""
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict) or not all(key.isascii() and key.isdecimal() and len(key) < 6 for key in table):
        return ()
    return tuple(str(table[key]) for key in sorted(table, key=int))


def _layout(names: tuple[str, ...]) -> str | None:
    """The layout with those names; MMPose numbers the face and names the hands in its own way.

    Its ``h36m`` has left and right exchanged in the names, not in the data, and is none of ours.
    """
    wholebody = LAYOUTS["wholebody133"].names
    if len(names) == len(wholebody) and names[:23] == wholebody[:23] and names[23] == "face-0":
        return "wholebody133"
    return next((key for key, layout in LAYOUTS.items() if layout.names == names), None)
