"""npz files of VideoPose3D (arXiv 1811.11742): its custom data sets, and what they are made of.

``data_2d_custom_*.npz``, positions_2d and metadata, is what data/prepare_data_2d_custom.py writes;
the npz of one video, boxes, keypoints and metadata, is inference/infer_video_d2.py's. Both are
pickles, and read without being run (:mod:`prpose.unpickle`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.arrays import within
from prpose.io.keypoints.detections import Detection, Detections, hide_unseen, items, whole
from prpose.layouts import LAYOUTS
from prpose.remap import is_seen
from prpose.unpickle import read_npz

NAMES = {"coco": "coco17", "h36m": "h36m17"}
"""Its ``layout_name``; others that it knows (mpii, humaneva) are none of ours."""


def read_custom(path: Path, content: Any) -> Detections:
    """Every video, action and camera is a person of its own: VIDEO/ACTION/CAMERA.

    Raises:
        ValueError: saying what is wrong; also if left and right in the metadata are not the
            layout's.
    """
    try:
        metadata = items(read_npz(path, "metadata"), dict, "metadata", "a dict")
        videos = items(read_npz(path, "positions_2d"), dict, "positions_2d", "a dict")
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from None
    name = metadata.get("layout_name")
    layout = NAMES.get(name) if isinstance(name, str) else None
    if layout is not None:
        _check_symmetry(metadata, layout)
    known = items(metadata.get("video_metadata", {}), dict, "video_metadata", "a dict")
    sightings: list[Detection] = []
    sizes: dict[str, tuple[int, int]] = {}
    for video, actions in videos.items():
        for action, cameras in items(actions, dict, f"{video}", "a dict of actions").items():
            for camera, track in enumerate(items(list(cameras), list, f"{video}", "a list")):
                person = f"{video}/{action}/{camera}"
                sightings += _frames(track, person)
                if isinstance(known.get(video), dict) and "w" in known[video]:
                    sizes[person] = _size(known[video], f"video_metadata of {video}")
    names = (str(name)[:40],) if layout is None and name is not None else ()
    return Detections(sightings, layout, names=names, sizes=sizes)


def read_detections(path: Path, content: Any) -> Detections:
    """Everybody in every frame of a video, as Detectron2's keypoint R-CNN found them: COCO-17.

    Raises:
        ValueError: saying which frame is wrong, and how.
    """
    try:
        metadata = items(read_npz(path, "metadata"), dict, "metadata", "a dict")
        frames = read_npz(path, "keypoints")
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from None
    sightings = []
    for t, classes in enumerate(frames):
        where = f"frame {t}"
        if not isinstance(classes, list | np.ndarray) or len(classes) != 2:
            raise ValueError(f"{where}: expected keypoints of two classes, got something else")
        people = _numbers(classes[1], where)
        if people.size and people.shape[1:] != (4, 17):
            raise ValueError(f"{where}: expected people x 4 x 17, got {people.shape}")
        for person in people if people.size else ():
            keypoints, score = hide_unseen(person[:2].T, person[3])
            sightings.append(Detection(t, keypoints, score))
    return Detections(sightings, "coco17", True, size=_size(metadata, "metadata"))


def _frames(track: Any, person: str) -> list[Detection]:
    array = _numbers(track, person)
    if array.ndim != 3 or array.shape[2] != 2:
        raise ValueError(f"{person}: expected (frames, joints, 2), got {array.shape}")
    seen = is_seen(array)
    keypoints = np.where(seen[..., None], array, np.nan)
    return [Detection(t, keypoints[t], None, person) for t in range(len(array)) if seen[t].any()]


def _numbers(value: Any, where: str) -> Array:
    try:
        return within(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{where}: expected arrays of numbers, got something else") from None


def _size(metadata: Mapping[str, Any], where: str) -> tuple[int, int]:
    width, height = (metadata.get(side) for side in ("w", "h"))
    return whole(_plain(width), where, "w"), whole(_plain(height), where, "h")


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _check_symmetry(metadata: Mapping[str, Any], layout: str) -> None:
    said = metadata.get("keypoints_symmetry")
    if said is None:
        return
    mirror = LAYOUTS[layout].mirror
    try:
        left, right = ([int(joint) for joint in side] for side in said)
        fits = [mirror[joint] for joint in left] == right
        named = all(LAYOUTS[layout].names[joint].startswith("left_") for joint in left)
    except (TypeError, ValueError, IndexError):
        fits = named = False
    if not (fits and named):
        raise ValueError(f"expected keypoints_symmetry as of {layout}, its layout_name, got another")
