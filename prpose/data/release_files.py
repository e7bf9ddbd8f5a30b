"""The field's paired npz files (data_3d_*.npz with data_2d_*.npz), read and written.

Both hold pickled dicts {subject: {action: ...}}. Keypoints may have more frames than the poses; the surplus
is cut from the end. Everything else that does not fit raises a ``ValueError`` that names file, subject,
action and camera.
"""

import hashlib
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import check_output, replacing
from prpose.camera import Array
from prpose.data.clip import check_coordinates
from prpose.skeleton import H36M_17
from prpose.unpickle import entry_names, read_npz

ALL_ACTIONS = ("*",)


@dataclass(frozen=True)
class Selection:
    """Which clips and frames of a data set to take.

    Args:
        actions: first words of action names ("Walking" takes "Walking 1"), or ``("*",)`` for all.
        stride: every stride-th frame.
        subset: share of each clip, one run of frames at a start that depends on its length alone
            (as in VideoPose3D, so that published low-data settings can be repeated).

    Raises:
        ValueError: if stride < 1 or subset lies outside (0, 1].
    """

    actions: tuple[str, ...] = ALL_ACTIONS
    stride: int = 1
    subset: float = 1.0

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"expected stride >= 1, got {self.stride}")
        if not 0 < self.subset <= 1:
            raise ValueError(f"expected subset in (0, 1], got {self.subset}")

    def wants(self, action: str) -> bool:
        """Whether the action is selected."""
        return any(_matches(action, word) for word in self.actions)

    def check(self, actions: Iterable[str], where: str) -> None:
        """``ValueError``, starting with ``where``, if a selected action is not among ``actions``."""
        known = list(actions)
        for word in self.actions:
            if not any(_matches(action, word) for action in known):
                words = dict.fromkeys(action.split(" ")[0] for action in known)
                raise ValueError(f"{where}: no action {word!r}; there are {_listed(words)}")

    def frames(self, T: int) -> slice:
        """The frames to take of a clip of T; ``ValueError`` if none is left."""
        if self.subset == 1:
            return slice(0, T, self.stride)
        length = round(T // self.stride * self.subset) * self.stride
        if not length:
            raise ValueError(
                "expected a subset and stride that leave a frame of each clip, "
                f"got {self.subset} and {self.stride}, which leave none of {T}"
            )
        start = int(_fraction(str(T)) * (T - length + 1))
        return slice(start, start + length, self.stride)


def _matches(action: str, word: str) -> bool:
    return word in (*ALL_ACTIONS, action.split(" ")[0])


def _fraction(text: str) -> float:
    """A number in [0, 1] that depends on the text alone, as VideoPose3D draws it."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") / (2**32 - 1)


def paths_of(root: Path, name: str, keypoints: str) -> tuple[Path, Path]:
    """Paths of a data set's 3D and 2D files."""
    return root / f"data_3d_{name}.npz", root / f"data_2d_{name}_{keypoints}.npz"


def sha256_of(paths: Iterable[Path]) -> str:
    """One hash of several files' bytes; ``ValueError`` if one is missing."""
    whole = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        with path.open("rb") as file:
            while part := file.read(2**20):
                whole.update(part)
    return whole.hexdigest()


@dataclass(frozen=True)
class Entry:
    """Poses and keypoints of one subject and action, as the files hold them: not checked yet."""

    subject: str
    action: str
    poses: Any
    keypoints: Any
    path_3d: Path
    path_2d: Path

    def poses_by_camera(self) -> list[Any]:
        """Unchecked poses of each camera; ``ValueError`` if there is no list of them."""
        where = self._where(self.path_3d)
        poses = _by_camera(self.poses, where)
        if not poses or np.ndim(poses[0]) == 2:
            got = f"{len(poses)} frames" if poses else "none"
            raise ValueError(f"{where}: expected 3D of at least one camera, got {got}")
        return poses

    def check_poses(self, poses: Any, J: int, camera: int | None = None) -> Array:
        """Poses as (T, J, 3) float32 metres; ``ValueError`` as of :func:`check_coordinates`."""
        return check_coordinates(poses, J, 3, self._where(self.path_3d, camera), "3D")

    def check_keypoints(self, lengths: Sequence[int]) -> list[Array]:
        """Keypoints of each camera as (T, 17, 2) float32 pixels, cut to these lengths.

        Raises:
            ValueError: as of :func:`check_coordinates`, for another number of cameras, or too few frames.
        """
        cameras = _by_camera(self.keypoints, self._where(self.path_2d))
        if len(cameras) != len(lengths):
            raise ValueError(f"{self._where(self.path_2d)}: expected {len(lengths)} cameras, got {len(cameras)}")
        checked = []
        for camera, (xy, T) in enumerate(zip(cameras, lengths, strict=True)):
            where = self._where(self.path_2d, camera)
            if isinstance(xy, np.ndarray) and xy.ndim == 3:
                xy = xy[:T, :, :2] if xy.shape[2] == 3 else xy[:T]  # the third is a confidence
            checked.append(check_coordinates(xy, len(H36M_17), 2, where, "2D"))
            if len(checked[-1]) < T:
                raise ValueError(f"{where}: expected at least {T} frames of 2D, got {len(checked[-1])}")
        return checked

    def _where(self, path: Path, camera: int | None = None) -> str:
        place = f"{path}: subject {self.subject}, action {self.action!r}"
        return place if camera is None else f"{place}, camera {camera}"


def _by_camera(values: Any, where: str) -> list[Any]:
    if not isinstance(values, list | tuple) and not (isinstance(values, np.ndarray) and values.ndim > 0):
        raise ValueError(f"{where}: expected a list with an array per camera, got {type(values).__name__}")
    return list(values)


def read_entries(paths: tuple[Path, Path], subjects: Sequence[str], selection: Selection) -> Iterator[Entry]:
    """Selected entries of a 3D and a 2D file, by subject, then by action in the order of the 2D file.

    Raises:
        ValueError: naming the file and what it lacks, if a subject or action is in one file only,
            or a selected action is in neither.
    """
    path_3d, path_2d = paths
    poses, keypoints = _positions(path_3d, "positions_3d"), _positions(path_2d, "positions_2d")
    _check_joints(path_2d)
    for subject in subjects:
        for path, content in ((path_3d, poses), (path_2d, keypoints)):
            if subject not in content:
                raise ValueError(f"{path}: no subject {subject}; the file has {_listed(content)}")
        for path, own, other in (
            (path_3d, poses[subject], keypoints[subject]),
            (path_2d, keypoints[subject], poses[subject]),
        ):
            selection.check(own, f"{path}: subject {subject}")
            for action in other:
                if action not in own and selection.wants(action):
                    raise ValueError(f"{path}: subject {subject}: no action {action!r}; there are {_listed(own)}")
        for action in filter(selection.wants, keypoints[subject]):
            yield Entry(subject, action, poses[subject][action], keypoints[subject][action], path_3d, path_2d)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _positions(path: Path, key: str) -> dict[str, dict[str, Any]]:
    content = read_npz(path, key)
    if not (
        isinstance(content, dict)
        and all(isinstance(actions, dict) for actions in content.values())
        and all(isinstance(name, str) for name in [*content, *(a for d in content.values() for a in d)])
    ):
        raise ValueError(f"{path}: expected {key} = {{subject: {{action: ...}}}}, names as text")
    return content


def _check_joints(path: Path) -> None:
    """``ValueError`` if a 2D file's metadata, where there are any, declare another number of joints."""
    metadata = read_npz(path, "metadata") if "metadata" in entry_names(path) else None
    joints = metadata.get("num_joints") if isinstance(metadata, dict) else None
    if joints is not None and (not isinstance(joints, int | np.integer) or joints != len(H36M_17)):
        got = joints if isinstance(joints, int | np.integer) else type(joints).__name__
        raise ValueError(f"{path}: expected num_joints = {len(H36M_17)} in its metadata, got {got}")


def check_pair(root: Path, name: str, overwrite: bool) -> tuple[Path, Path]:
    """Paths of a data set's 3D file and of its ground-truth 2D file, if they may be written.

    Raises:
        ValueError: if either exists and ``overwrite`` is false, or ``root`` is not a folder.
    """
    path_3d, path_2d = paths_of(root, name, "gt")
    return check_output(path_3d, overwrite), check_output(path_2d, overwrite)


def write_pair(
    paths: tuple[Path, Path],
    positions_3d: Mapping[str, Mapping[str, Any]],
    positions_2d: Mapping[str, Mapping[str, Sequence[Array]]],
) -> dict[str, int]:
    """Writes both files, or neither.

    Args:
        paths: of the 3D and the 2D file.
        positions_3d: {subject: {action: float32 metres}}, as the data set's ``load`` expects.
        positions_2d: {subject: {action: [(T, 17, 2) float32 pixels, one per camera]}}.

    Returns:
        Counts: subjects, recordings, clips (one per camera), frames of clips.
    """
    left, right = ([j for j, name in enumerate(H36M_17.names) if name.startswith(side)] for side in ("left_", "right_"))
    metadata = {"layout_name": "h36m", "num_joints": len(H36M_17), "keypoints_symmetry": [left, right]}
    boxed = {  # a dict as a 0-d object array, as in the published files
        key: np.array(value, dtype=object)
        for key, value in (("positions_3d", positions_3d), ("positions_2d", positions_2d), ("metadata", metadata))
    }
    with replacing(paths[0]) as temporary_3d, replacing(paths[1]) as temporary_2d:
        np.savez_compressed(temporary_3d, positions_3d=boxed["positions_3d"])
        np.savez_compressed(temporary_2d, positions_2d=boxed["positions_2d"], metadata=boxed["metadata"])
    recordings = [cameras for actions in positions_2d.values() for cameras in actions.values()]
    return {
        "subjects": len(positions_2d),
        "recordings": len(recordings),
        "clips": sum(len(cameras) for cameras in recordings),
        "frames": sum(len(xy) for cameras in recordings for xy in cameras),
    }


def import_mocap(module: str) -> Any:
    """A module of the extra ``mocap``; ``ValueError`` that tells how to install it if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ValueError(f'{package} is needed to read this format: pip install "prpose[mocap]"') from None
