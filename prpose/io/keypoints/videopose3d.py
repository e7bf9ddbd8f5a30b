"""npz files of VideoPose3D (arXiv 1811.11742): its custom data sets, and the detections they are made from.

``data_2d_custom_*.npz``, positions_2d and metadata, is written by data/prepare_data_2d_custom.py; the npz of one video,
boxes, keypoints and metadata, by inference/infer_video_d2.py. Both are pickles, which are not run
(:mod:`prpose.unpickle`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import Detection, Detections, Whole, check, without_missing
from prpose.io.keypoints.tables import within_range
from prpose.layouts import LAYOUTS
from prpose.remap import is_present
from prpose.unpickle import read_npz

NAMES = {"coco": "coco17", "h36m": "h36m17"}
"""Its ``layout_name``; prpose has no layout for the others (mpii, humaneva)."""


class Size(msgspec.Struct):
    """Width and height of a video."""

    w: Whole
    h: Whole


def read_custom(path: Path) -> Detections:
    """Each clip is a person with the id VIDEO/ACTION/CAMERA."""
    metadata = _dict(read_npz(path, "metadata"), "metadata")
    name = metadata.get("layout_name")
    layout = NAMES.get(name) if isinstance(name, str) else None
    if layout is not None and metadata.get("keypoints_symmetry") is not None:
        _check_symmetry(metadata["keypoints_symmetry"], layout)
    known = _dict(metadata.get("video_metadata", {}), "video_metadata")
    detections: list[Detection] = []
    sizes: dict[str, tuple[int, int]] = {}
    for video, actions in _dict(read_npz(path, "positions_2d"), "positions_2d").items():
        for action, cameras in _dict(actions, f"positions_2d, {video}").items():
            for camera, clip in enumerate(cameras if isinstance(cameras, list | tuple | np.ndarray) else [cameras]):
                person = f"{video}/{action}/{camera}"
                detections += _frames(clip, person)
                if isinstance(known.get(video), dict) and "w" in known[video]:
                    sizes[person] = _size(known[video], f"video_metadata, {video}")
    names = (str(name)[:40],) if layout is None and name is not None else ()
    return Detections(detections, layout, joint_names=names, image_sizes=sizes)


def read_detections(path: Path) -> Detections:
    """All people in all frames of a video, by Detectron2's keypoint R-CNN: COCO-17."""
    size = _size(_dict(read_npz(path, "metadata"), "metadata"), "metadata")
    detections = []
    for t, classes in enumerate(read_npz(path, "keypoints")):
        if not isinstance(classes, list | np.ndarray) or len(classes) != 2:
            raise ValueError(f"frame {t}: expected keypoints of two classes, got something else")
        people = _numbers(classes[1], f"frame {t}")
        if people.size and people.shape[1:] != (4, 17):
            raise ValueError(f"frame {t}: expected keypoints of shape (N, 4, 17), got {people.shape}")
        detections += [Detection(t, *without_missing(person[:2].T, person[3])) for person in people if people.size]
    return Detections(detections, default_layouts={17: "coco17"}, image_size=size)


def _dict(value: Any, place: str) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: expected a dict, got {type(value).__name__}")
    return value


def _frames(clip: Any, person: str) -> list[Detection]:
    array = _numbers(clip, person)
    if array.ndim != 3 or array.shape[2] != 2:
        raise ValueError(f"{person}: expected an array (T, J, 2), got {array.shape}")
    present = is_present(array)
    xy = np.where(present[..., None], array, np.nan)
    return [Detection(int(t), xy[t], None, person) for t in np.flatnonzero(present.any(axis=1))]


def _numbers(value: Any, place: str) -> Array:
    try:
        return within_range(np.array(value, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{place}: expected arrays of numbers within range, got something else") from None


def _size(metadata: Mapping[Any, Any], place: str) -> tuple[int, int]:
    plain = {side: value.item() if isinstance(value := metadata.get(side), np.generic) else value for side in "wh"}
    size = check(plain, Size, place)
    return int(size.w), int(size.h)


def _check_symmetry(symmetry: Any, layout: str) -> None:
    mirror = LAYOUTS[layout].mirror
    try:
        left, right = ([int(joint) for joint in side] for side in symmetry)
        fits = [mirror[joint] for joint in left] == right
        fits = fits and all(LAYOUTS[layout].names[joint].startswith("left_") for joint in left)
    except (TypeError, ValueError, IndexError, OverflowError):
        fits = False
    if not fits:
        raise ValueError(f"expected keypoints_symmetry as of {layout}, its layout_name, got another")
