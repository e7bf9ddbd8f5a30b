"""The field's paired npz files (data_3d_*.npz with data_2d_*.npz), read and written.

Both hold pickled dicts {subject: {action: ...}}. Keypoints may have more frames than the poses; the surplus is cut
from the end. Everything else that does not fit raises a ``ValueError`` that names file, subject, action and camera.
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
        subset: share of each clip, in (0, 1]: one run of frames at a start that depends on its length alone (as in
            VideoPose3D, so that published low-data settings can be repeated).

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
        return any(word in (*ALL_ACTIONS, action.split(" ")[0]) for word in self.actions)

    def check(self, actions: Iterable[str], where: str) -> None:
        """``ValueError``, starting with ``where``, if a selected action is not among ``actions``."""
        words = list(dict.fromkeys(action.split(" ")[0] for action in actions))
        for word in self.actions:
            if word not in words and not (word in ALL_ACTIONS and words):
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


def _fraction(text: str) -> float:
    """A number in [0, 1] that depends on the text alone, as in VideoPose3D."""
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
    """Poses and keypoints of one subject and action as the files hold them, not checked yet; their places in these."""

    subject: str
    action: str
    poses: Any
    keypoints: Any
    where_3d: str
    where_2d: str

    def poses_by_camera(self, J: int) -> list[Array]:
        """Poses of each camera, (T, J, 3) float32 metres; ``ValueError`` if they are no such list."""
        poses = _by_camera(self.poses, self.where_3d)
        if not poses or np.ndim(poses[0]) == 2:
            got = f"{len(poses)} frames" if poses else "none"
            raise ValueError(f"{self.where_3d}: expected 3D of at least one camera, got {got}")
        return [check_coordinates(each, J, 3, f"{self.where_3d}, camera {i}", "3D") for i, each in enumerate(poses)]

    def keypoints_by_camera(self, lengths: Sequence[int]) -> list[Array]:
        """Keypoints of each camera, (T, 17, 2) float32 pixels, cut to these lengths; ``ValueError`` if they are not."""
        cameras = _by_camera(self.keypoints, self.where_2d)
        if len(cameras) != len(lengths):
            raise ValueError(f"{self.where_2d}: expected {len(lengths)} cameras, got {len(cameras)}")
        checked = []
        for camera, (xy, T) in enumerate(zip(cameras, lengths, strict=True)):
            where = f"{self.where_2d}, camera {camera}"
            if isinstance(xy, np.ndarray) and xy.ndim == 3:
                xy = xy[:T, :, :2] if xy.shape[2] == 3 else xy[:T]  # the third is a confidence
            checked.append(check_coordinates(xy, len(H36M_17), 2, where, "2D"))
            if len(checked[-1]) < T:
                raise ValueError(f"{where}: expected at least {T} frames of 2D, got {len(checked[-1])}")
        return checked


def _by_camera(values: Any, where: str) -> list[Any]:
    if not isinstance(values, list | tuple) and not (isinstance(values, np.ndarray) and values.ndim > 0):
        raise ValueError(f"{where}: expected a list with an array per camera, got {type(values).__name__}")
    return list(values)


def read_entries(paths: tuple[Path, Path], subjects: Sequence[str], selection: Selection) -> Iterator[Entry]:
    """Selected entries of a 3D and a 2D file, by subject, then by action in the order of the 2D file.

    Raises:
        ValueError: naming the file and what it lacks, if a subject or action is in one file only, or a selected
            action is in neither.
    """
    poses, keypoints = _positions(paths[0], "positions_3d"), _positions(paths[1], "positions_2d")
    _check_joints(paths[1])
    for subject in subjects:
        for path, content in zip(paths, (poses, keypoints), strict=True):
            if subject not in content:
                raise ValueError(f"{path}: no subject {subject}; the file has {_listed(content)}")
        where_3d, where_2d = (f"{path}: subject {subject}" for path in paths)
        own, other = poses[subject], keypoints[subject]
        for where, present, expected in ((where_3d, own, other), (where_2d, other, own)):
            selection.check(present, where)
            for action in filter(selection.wants, expected):
                if action not in present:
                    raise ValueError(f"{where}: no action {action!r}; there are {_listed(present)}")
        for action in filter(selection.wants, other):
            places = (f"{where}, action {action!r}" for where in (where_3d, where_2d))
            yield Entry(subject, action, own[action], other[action], *places)


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
    """``ValueError`` if the metadata of a 2D file, where there are any, declare another number of joints."""
    metadata = read_npz(path, "metadata") if "metadata" in entry_names(path) else None
    joints = metadata.get("num_joints", len(H36M_17)) if isinstance(metadata, dict) else len(H36M_17)
    if not isinstance(joints, int | np.integer) or joints != len(H36M_17):
        raise ValueError(f"{path}: expected num_joints = {len(H36M_17)} in its metadata, got {joints!r:.40}")


def check_pair(root: Path, name: str, overwrite: bool) -> tuple[Path, Path]:
    """Paths of a data set's 3D and ground-truth 2D files; ``ValueError`` if they may not be written."""
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
    sides = [[j for j, name in enumerate(H36M_17.names) if name.startswith(side)] for side in ("left_", "right_")]
    metadata = {"layout_name": "h36m", "num_joints": len(H36M_17), "keypoints_symmetry": sides}
    # Dicts are 0-d object arrays in the published files, too.
    boxed = [np.array(content, dtype=object) for content in (positions_3d, positions_2d, metadata)]
    with replacing(paths[0]) as temporary_3d, replacing(paths[1]) as temporary_2d:
        np.savez_compressed(temporary_3d, positions_3d=boxed[0])
        np.savez_compressed(temporary_2d, positions_2d=boxed[1], metadata=boxed[2])
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
