"""npz files of VideoPose3D (arXiv 1811.11742): its custom data sets, and the detections they are made from; P-STMO's.

``data_2d_custom_*.npz``, positions_2d and metadata, is written by data/prepare_data_2d_custom.py; the npz of one video,
boxes, keypoints and metadata, by inference/infer_video_d2.py. All are pickles, which are not run.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.arrays import within_range
from prpose.io.keypoints.detections import Detection, Detections, Whole, check
from prpose.layouts import LAYOUTS, sides_of
from prpose.remap import is_present
from prpose.unpickle import read_npz

NAMES = {"coco": "coco17", "h36m": "h36m17"}  # its layout_name; prpose has no layout for mpii and humaneva


class Size(msgspec.Struct):
    w: Whole
    h: Whole


def read_custom(path: Path) -> Detections:
    """Each clip is a person with the id VIDEO/ACTION/CAMERA."""
    metadata = check(read_npz(path, "metadata"), dict, "metadata")
    name = metadata.get("layout_name")
    layout = NAMES.get(name) if isinstance(name, str) else None
    if layout is not None and (symmetry := metadata.get("keypoints_symmetry")) is not None:
        own = [[j for j, each in enumerate(LAYOUTS[layout].sides) if each == side] for side in ("left", "right")]
        if sides_of(symmetry) != own:
            raise ValueError(f"expected keypoints_symmetry as of {layout}, its layout_name, got another")
    known = check(metadata.get("video_metadata", {}), dict, "video_metadata")
    detections: list[Detection] = []
    sizes: dict[str, tuple[int, int]] = {}
    for video, actions in check(read_npz(path, "positions_2d"), dict, "positions_2d").items():
        for action, cameras in check(actions, dict, f"positions_2d, {video}").items():
            for camera, clip in enumerate(cameras if isinstance(cameras, list | tuple | np.ndarray) else [cameras]):
                person = f"{video}/{action}/{camera}"
                xy = _numbers(clip, person)
                if xy.ndim != 3 or xy.shape[2] != 2 or not xy.shape[1]:
                    raise ValueError(f"{person}: expected an array (T, J, 2), got {xy.shape}")
                xy[~is_present(xy)] = np.nan
                detections += [Detection(t, pose, None, person) for t, pose in enumerate(xy)]
                if isinstance(known.get(video), dict) and "w" in known[video]:
                    sizes[person] = _size(known[video], f"video_metadata, {video}")
    names = (str(name)[:40],) if layout is None and name is not None else ()
    return Detections(detections, layout, joint_names=names, image_sizes=sizes)


def read_detections(path: Path) -> Detections:
    """All people in all frames of a video, by Detectron2's keypoint R-CNN: COCO-17."""
    size = _size(check(read_npz(path, "metadata"), dict, "metadata"), "metadata")
    detections = []
    frames = read_npz(path, "keypoints")
    for t, classes in enumerate(frames if isinstance(frames, list) else np.atleast_1d(frames)):
        if not isinstance(classes, list | np.ndarray) or len(classes) != 2:
            raise ValueError(f"frame {t}: expected keypoints of two classes, got something else")
        people = _numbers(classes[1], f"frame {t}")
        if not people.size:
            continue
        if people.shape[1:] != (4, 17):
            raise ValueError(f"frame {t}: expected keypoints of shape (N, 4, 17), got {people.shape}")
        detections += [Detection.of(t, person[[0, 1, 3]].T) for person in people]
    return Detections(detections, default_layouts={17: "coco17"}, image_size=size)


MPI_TO_H36M = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
"""Where Human3.6M's joints are among those of MPI-INF-3DHP's ``annot_data.mat``, which P-STMO keeps."""


def read_3dhp(path: Path) -> Detections:
    """P-STMO's ``data_test_3dhp.npz`` (arXiv 2203.07628): the valid frames of MPI-INF-3DHP's test sequences."""
    detections: list[Detection] = []
    sizes: dict[str, tuple[int, int]] = {}
    for name, clip in check(read_npz(path, "data"), dict, "data").items():
        found = clip if isinstance(clip, dict) else {}
        xy, valid = (_numbers(found.get(key, []), f"{name}, {key}") for key in ("data_2d", "valid"))
        if xy.ndim != 3 or xy.shape[1:] != (17, 2) or valid.size != len(xy):
            got = f"{xy.shape} and {valid.size} of valid" if found else "another structure, as of training data"
            raise ValueError(f"{name}: expected data_2d (T, 17, 2) and valid (T), got {got}")
        for t in np.flatnonzero(valid.ravel()):
            detections.append(Detection(int(t), xy[t, list(MPI_TO_H36M)], None, str(name)))
        if name in ("TS1", "TS2", "TS3", "TS4", "TS5", "TS6"):
            sizes[name] = (1920, 1080) if name in ("TS5", "TS6") else (2048, 2048)  # outdoors, and in the studio
    return Detections(detections, "h36m17", image_sizes=sizes)


def _numbers(value: Any, place: str) -> Array:
    try:
        if (array := np.asarray(value)).dtype.kind not in "fiub":
            raise TypeError
        return within_range(array)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{place}: expected arrays of numbers within range, got something else") from None


def _size(metadata: dict[Any, Any], place: str) -> tuple[int, int]:
    plain = {side: value.item() if isinstance(value := metadata.get(side), np.generic) else value for side in "wh"}
    size = check(plain, Size, place)
    return int(size.w), int(size.h)
