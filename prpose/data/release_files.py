"""The field's paired npz files (data_3d_*.npz with data_2d_*.npz), read and written.

Both hold pickled dicts {subject: {action: ...}}. Keypoints may have more frames than the poses; the surplus is cut
from the end. Everything else that does not fit raises a ``ValueError`` that names file, subject, action and camera.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import check_output, replacing
from prpose.camera import Array, Camera
from prpose.data.clip import Clip, check_coordinates
from prpose.layouts import sides_of
from prpose.skeleton import H36M_17
from prpose.tables import is_number
from prpose.unpickle import entry_names, read_npz

ALL_ACTIONS = ("*",)

OnFile = Callable[[int, int], None]  # with a number of files that are done, and that of all
View = tuple[Camera, Array]  # a camera, and poses in its axes, (T, 17, 3) metres


@dataclass(frozen=True)
class Selection:
    """Which clips and frames of a data set to take.

    Args:
        actions: first words of action names ("Walking" takes "Walking 1"), or ``("*",)`` for all.
        stride: every stride-th frame; >= 1.
        subset: share of each clip, in (0, 1]: a run of frames whose start depends on its length alone (VideoPose3D).
    """

    actions: tuple[str, ...] = ALL_ACTIONS
    stride: int = 1
    subset: float = 1.0

    def __post_init__(self) -> None:
        if not (is_number(self.stride) and 1 <= self.stride < 2**31 and self.stride == int(self.stride)):
            raise ValueError(f"expected stride >= 1, got {self.stride!r:.80}")
        if not (is_number(self.subset) and 0 < self.subset <= 1):
            raise ValueError(f"expected subset in (0, 1], got {self.subset!r:.80}")

    def wants(self, action: str) -> bool:
        return any(word in (*ALL_ACTIONS, action.split(" ")[0]) for word in self.actions)

    def check(self, actions: Iterable[str], where: str) -> None:
        """``ValueError``, starting with ``where``, if a selected action is not among ``actions``."""
        words = list(dict.fromkeys(action.split(" ")[0] for action in actions))
        for word in self.actions:
            if word not in words and not (word in ALL_ACTIONS and words):
                raise ValueError(f"{where}: no action {word!r}; there are {', '.join(words) or 'none'}")

    def frames(self, T: int) -> slice:
        """The frames to take of a clip of T; ``ValueError`` if none is left."""
        if self.subset == 1:
            return slice(0, T, self.stride)
        length = round(T // self.stride * self.subset) * self.stride
        if not length:
            settings = f"{self.subset} and {self.stride}, which leave none of {T}"
            raise ValueError(f"expected a subset and stride that leave a frame of each clip, got {settings}")
        start = int(_fraction(T) * (T - length + 1))
        return slice(start, start + length, self.stride)


def _fraction(number: int) -> float:
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:4], "little") / (2**32 - 1)


SYMMETRY = [[j for j, side in enumerate(H36M_17.sides) if side == wanted] for wanted in ("left", "right")]


def paths_of(root: str | Path, name: str, keypoints: str) -> tuple[Path, Path]:
    """Paths of a data set's 3D and 2D files."""
    return Path(root) / f"data_3d_{name}.npz", Path(root) / f"data_2d_{name}_{keypoints}.npz"


def load_release(
    views: Callable[[str, Any, str], list[View]],
    paths: tuple[Path, Path],
    subjects: Sequence[str],
    selection: Selection,
) -> list[Clip]:
    """Clips of a 3D and a 2D file, by subject, then by action in the order of the 2D file, then by camera.

    ``views`` takes a subject, an action's 3D as the file holds it, and its place there, with which errors begin.
    """
    poses, keypoints = _positions(paths[0], "positions_3d"), _positions(paths[1], "positions_2d")
    _check_joints(paths[1])
    clips = []
    for path, content in zip(paths, (poses, keypoints), strict=True):
        if missing := [subject for subject in subjects if subject not in content]:
            raise ValueError(f"{path}: no subject {missing[0]}; the file has {', '.join(content)}")
    for subject in subjects:
        where_3d, where_2d = (f"{path}: subject {subject}" for path in paths)
        own, other = poses.pop(subject), keypoints.pop(subject)  # so that their memory is free once they are clips
        for where, present, expected in ((where_3d, own, other), (where_2d, other, own)):
            selection.check(present, where)
            for action in filter(selection.wants, expected):
                if action not in present:
                    raise ValueError(f"{where}: no action {action!r}; there are {', '.join(present)}")
        for action in filter(selection.wants, other):
            found = views(subject, own[action], f"{where_3d}, action {action!r}")
            lengths = [len(poses_cam) for _, poses_cam in found]
            all_px = _keypoints_px(other[action], lengths, f"{where_2d}, action {action!r}")
            for index, ((camera, poses_cam), xy) in enumerate(zip(found, all_px, strict=True)):
                frames = selection.frames(len(poses_cam))
                poses_cam = poses_cam[frames].astype(np.float32)
                clips.append(Clip(xy[frames].copy(), poses_cam, camera, subject, action, index))
    return clips


def by_camera(values: Any, where: str) -> list[Any]:
    """The arrays of an action's cameras; ``ValueError`` if there is no list of them."""
    if not isinstance(values, list | tuple) and not (isinstance(values, np.ndarray) and values.ndim > 0):
        raise ValueError(f"{where}: expected a list with an array per camera, got {type(values).__name__}")
    return list(values)


def _keypoints_px(stored: Any, lengths: Sequence[int], where: str) -> list[Array]:
    """Keypoints of each camera, (T, 17, 2) float32 pixels, cut to these lengths."""
    cameras, checked = by_camera(stored, where), []
    if len(cameras) != len(lengths):
        raise ValueError(f"{where}: expected {len(lengths)} cameras, got {len(cameras)}")
    for camera, (xy, T) in enumerate(zip(cameras, lengths, strict=True)):
        if isinstance(xy, np.ndarray) and xy.ndim == 3:
            xy = xy[:T, :, :2] if xy.shape[2] == 3 else xy[:T]  # the third is a confidence
        checked.append(check_coordinates(xy, len(H36M_17), 2, f"{where}, camera {camera}", "2D"))
        if len(checked[-1]) < T:
            raise ValueError(f"{where}, camera {camera}: expected at least {T} frames of 2D, got {len(checked[-1])}")
    return checked


def _positions(path: Path, key: str) -> dict[str, dict[str, Any]]:
    content = read_npz(path, key)
    fits = isinstance(content, dict) and all(isinstance(actions, dict) for actions in content.values())
    if not fits or not all(isinstance(name, str) for names in (content, *content.values()) for name in names):
        raise ValueError(f"{path}: expected {key} = {{subject: {{action: ...}}}}, names as text")
    return dict(content)


def _check_joints(path: Path) -> None:
    """``ValueError`` if the metadata of a 2D file, where there are any, declare other joints or another order."""
    metadata = read_npz(path, "metadata") if "metadata" in entry_names(path) else {}
    metadata = metadata if isinstance(metadata, dict) else {}
    joints = metadata.get("num_joints", len(H36M_17))
    if not isinstance(joints, int | np.integer) or joints != len(H36M_17):
        raise ValueError(f"{path}: expected num_joints = {len(H36M_17)} in its metadata, got {joints!r:.40}")
    remedy = "pass 2D in Human3.6M's order, such as cpn_ft_h36m_dbb, or convert the file"
    if (name := metadata.get("layout_name", "h36m")) != "h36m":
        raise ValueError(f"{path}: expected the layout h36m, got {name!r:.40} in its metadata; {remedy}")
    if sorted(sides_of(metadata.get("keypoints_symmetry", SYMMETRY))) != sorted(SYMMETRY):
        expected = "expected keypoints_symmetry of Human3.6M's joints in its metadata"
        raise ValueError(f"{path}: {expected}, got another; {remedy}")


def write_release(
    paths: tuple[Path, Path],
    overwrite: bool,
    files: Sequence[tuple[str, str, Path]],
    read: Callable[[str, Path], tuple[Any, list[Array]]],
    on_file: OnFile = lambda files, total: None,
) -> dict[str, int]:
    """Writes a 3D and a ground-truth 2D file, or neither; counts of subjects, recordings, clips and their frames.

    Args:
        paths, overwrite: the two files, and whether to replace them.
        files: subject, action and path of each original file.
        read: from subject and path, the 3D to store, and (T, 17, 2) float32 pixels for each camera.
        on_file: called with 1 and the number of all files after each that was read or written.
    """
    path_3d, path_2d = (check_output(path, overwrite) for path in paths)
    positions_3d: dict[str, dict[str, Any]] = {}
    positions_2d: dict[str, dict[str, list[Array]]] = {}
    for subject, action, path in files:
        poses, keypoints_px = read(subject, path)
        positions_3d.setdefault(subject, {})[action] = poses
        positions_2d.setdefault(subject, {})[action] = keypoints_px
        on_file(1, len(files) + 2)
    metadata = {"layout_name": "h36m", "num_joints": len(H36M_17), "keypoints_symmetry": SYMMETRY}
    boxed = [np.array(content, dtype=object) for content in (positions_3d, positions_2d, metadata)]  # as published
    with replacing(path_3d) as temporary_3d, replacing(path_2d) as temporary_2d:
        np.savez_compressed(temporary_3d, positions_3d=boxed[0])
        on_file(1, len(files) + 2)
        np.savez_compressed(temporary_2d, positions_2d=boxed[1], metadata=boxed[2])
    recordings = [cameras for actions in positions_2d.values() for cameras in actions.values()]
    frames = [len(xy) for cameras in recordings for xy in cameras]
    counts = (len(positions_2d), len(recordings), len(frames), sum(frames))
    return dict(zip(("subjects", "recordings", "clips", "frames"), counts, strict=True))
