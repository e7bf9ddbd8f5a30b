"""MMPose 1.x: ``--save-predictions`` of its demos, and its inferencer's predictions.

The demos (demo/topdown_demo_with_mmdet.py) write meta_info, the names of the joints among it, and
instance_info: of a video, {frame_id, instances} per frame, and of an image its instances. The
inferencer (mmpose/apis/inferencers) writes the same lists without meta_info, of a folder of images
one file each. Instances are those of mmpose/structures/utils.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prpose.io.keypoints.detections import (
    Detection,
    Detections,
    floats,
    frame_numbers,
    hide_unseen,
    items,
    load_json,
    whole,
)
from prpose.layouts import LAYOUTS


def read(path: Path, content: Any) -> Detections:
    """Everybody in every frame.

    Raises:
        ValueError: saying which instance is wrong, and how.
    """
    if path.is_dir():
        return _folder(path)
    if isinstance(content, dict):
        names = _joint_names(content.get("meta_info"))
        content = content.get("instance_info")
    else:
        names = ()
    found = items(content, list, "top level", "a list of frames or instances")
    if found and all(isinstance(item, dict) and "instances" in item for item in found):
        sightings = [sighting for i, item in enumerate(found) for sighting in _frame(item, i)]
    else:
        sightings = _instances(found, 0, "image")
    return Detections(sightings, _layout(names), names=names)


def looks_like(content: Any) -> bool:
    """Whether a JSON is one of MMPose's."""
    if isinstance(content, dict):
        return "instance_info" in content
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], dict)
        and ("instances" in content[0] or "keypoint_scores" in content[0])
    )


def is_of_an_image(content: Any) -> bool:
    """Whether it is what MMPose's inferencer writes of one image of a folder."""
    return isinstance(content, list) and looks_like(content) and "instances" not in content[0]


def _folder(path: Path) -> Detections:
    files = sorted(file for file in path.glob("*.json") if file.is_file())
    numbers = frame_numbers([file.name for file in files])
    sightings: list[Detection] = []
    for file in files:
        try:
            content = items(load_json(file), list, "top level", "a list of instances")
            sightings += _instances(content, numbers[file.name], "image")
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from None
    return Detections(sightings, frame_names={number: name for name, number in numbers.items()})


def _frame(item: Mapping[str, Any], i: int) -> list[Detection]:
    where = f"entry {i}"
    frame = whole(item.get("frame_id"), where, "frame_id")
    return _instances(items(item["instances"], list, where, "a list of instances"), frame, where)


def _instances(found: list[Any], frame: int, where: str) -> list[Detection]:
    sightings = []
    for n, instance in enumerate(found):
        here = f"{where}, instance {n}"
        items(instance, dict, here, "a dict with keypoints and keypoint_scores")
        for name in ("keypoints", "keypoint_scores"):
            if name not in instance:
                got = ", ".join(instance) or "nothing"
                raise ValueError(f"{here}: expected {name} in it, got {got}")
        points = items(instance["keypoints"], list, here, "keypoints as a list of [x, y]")
        keypoints = [floats(point, f"{here}, keypoints") for point in points]
        score = floats(instance["keypoint_scores"], f"{here}, keypoint_scores")
        if not points or {len(point) for point in keypoints} != {2} or len(score) != len(points):
            raise ValueError(
                f"{here}: expected [x, y] and a score of each joint, got {len(points)} keypoints "
                f"and {len(score)} scores"
            )
        person = instance.get("track_id")
        identity = str(person) if type(person) is int and person >= 0 else None
        sightings.append(Detection(frame, *hide_unseen(np.stack(keypoints), score), identity))
    return sightings


def _joint_names(meta: Any) -> tuple[str, ...]:
    """``keypoint_id2name``, in the order of the ids."""
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict) or not all(
        key.isascii() and key.isdecimal() and len(key) < 6 and isinstance(name, str) for key, name in table.items()
    ):
        return ()
    ordered = sorted(table, key=int)
    return tuple(table[key] for key in ordered) if ordered else ()


def _layout(names: tuple[str, ...]) -> str | None:
    """The layout with those names; MMPose numbers the face and names the hands in its own way.

    Its ``h36m`` has left and right exchanged in the names, not in the data, and is none of ours.
    """
    wholebody = LAYOUTS["wholebody133"].names
    if len(names) == len(wholebody) and names[:23] == wholebody[:23] and names[23] == "face-0":
        return "wholebody133"
    return next((key for key, layout in LAYOUTS.items() if layout.names == names), None)
