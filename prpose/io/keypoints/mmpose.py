"""MMPose 1.x: ``--save-predictions`` of its demos, and its inferencer's predictions.

The demos (demo/topdown_demo_with_mmdet.py) write meta_info, with the names of the joints, and instance_info: of a
video, {frame_id, instances} per frame, and of an image its instances. The inferencer (mmpose/apis/inferencers) writes
the same lists without meta_info, for a folder of images one file each. Instances are those of
mmpose/structures/utils.py.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from prpose.io.keypoints.detections import (
    Detection,
    Detections,
    Value,
    Whole,
    check,
    load_json,
    read_frames,
    without_missing,
)
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


def matches(content: Any) -> bool:
    """Whether JSON is of this format."""
    if isinstance(content, dict):
        return "instance_info" in content
    return bool(content) and isinstance(content, list) and _has(content[0], "instances", "keypoint_scores")


def is_folder(path: Path) -> bool:
    """Whether a folder has a file per image, by the first JSON file with a person."""
    for file in sorted(path.glob("*.json")):
        try:
            content = load_json(file)
        except (ValueError, OSError):
            return False
        if content != []:
            return isinstance(content, list) and _has(content[0], "keypoint_scores")
    return False


def read(path: Path, content: Any) -> Detections:
    """All people in all frames."""
    if path.is_dir():
        files = sorted(file for file in path.glob("*.json") if file.is_file())
        detections, names = read_frames(path, content, files, lambda content, frame: _people(content, frame))
        return Detections(detections, frame_names=names)
    joint_names: tuple[str, ...] = ()
    place = ""
    if isinstance(content, dict):
        joint_names = _joint_names(content.get("meta_info"))
        content, place = content.get("instance_info"), "instance_info"
    if isinstance(content, list) and content and _has(content[0], "instances"):
        frames = check(content, list[Frame], place)
        detections = [
            found
            for i, frame in enumerate(frames)
            for found in _detections(frame.instances, int(frame.frame_id), f"{place}[{i}].instances")
        ]
    else:
        detections = _people(content, 0, place)
    return Detections(detections, _layout(joint_names), joint_names=joint_names)


def _has(item: Any, *fields: str) -> bool:
    return isinstance(item, dict) and any(name in item for name in fields)


def _people(content: Any, frame: int, place: str = "") -> list[Detection]:
    return _detections(check(content, list[Instance], place), frame, place)


def _detections(instances: list[Instance], frame: int, place: str) -> list[Detection]:
    detections = []
    for i, instance in enumerate(instances):
        xy, confidence = (np.array(part, dtype=float) for part in (instance.keypoints, instance.keypoint_scores))
        if not len(xy) or len(xy) != len(confidence):
            raise ValueError(f"{place}[{i}]: expected a score of each joint, got {len(confidence)} of {len(xy)}")
        known = type(instance.track_id) is int and instance.track_id >= 0
        track_id = str(instance.track_id) if known else None
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
