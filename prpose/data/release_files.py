"""The field's paired npz files (data_3d_*.npz with data_2d_*.npz) as clips.

Both hold pickled dicts {subject: {action: ...}}. A 2D track may be longer than its 3D; what is
too much is cut from its end. Everything else that does not fit raises a ``ValueError`` that names
file, subject, action and camera.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data.arrays import coordinates
from prpose.unpickle import entry_names, read_npz

ALL_ACTIONS = ("*",)


@dataclass(frozen=True)
class Selection:
    """Which clips and frames to take.

    Args:
        actions: first words of action names ("Walking" takes "Walking 1"), or ``("*",)``.
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
        return any(_matches(action, word) for word in self.actions)

    def check(self, actions: Iterable[str], where: str) -> None:
        """``ValueError``, starting with ``where``, if something wanted is not among the actions."""
        known = dict.fromkeys(actions)
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


def paths_of(root: Path, name: str, keypoints: str) -> tuple[Path, Path]:
    """Of a data set's 3D, and of its 2D."""
    return root / f"data_3d_{name}.npz", root / f"data_2d_{name}_{keypoints}.npz"


def sha256_of(paths: Iterable[Path]) -> str:
    """One hash of some files' bytes; ``ValueError`` if one is missing."""
    whole = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        with path.open("rb") as file:
            while part := file.read(2**20):
                whole.update(part)
    return whole.hexdigest()


def _matches(action: str, word: str) -> bool:
    return word in (*ALL_ACTIONS, action.split(" ")[0])


def _fraction(text: str) -> float:
    """A number in [0, 1] that depends on the text alone."""
    first_four = hashlib.sha256(text.encode()).digest()[:4]
    return int.from_bytes(first_four, "little") / (2**32 - 1)


@dataclass(frozen=True)
class Entry:
    """3D and 2D of one subject and action, by camera, as the files hold them: not yet checked."""

    subject: str
    action: str
    poses: Any
    tracks_px: Any
    path_3d: Path
    path_2d: Path

    def tracks(self, cameras: int) -> list[Any]:
        """A 2D track per camera; ``ValueError`` if there are not that many."""
        tracks = per_camera(self.tracks_px, self._where(self.path_2d))
        if len(tracks) != cameras:
            raise ValueError(f"{self._where(self.path_2d)}: expected {cameras} cameras, got {len(tracks)}")
        return tracks

    def poses_per_camera(self) -> list[Any]:
        """3D per camera, for data sets that hold it so; ``ValueError`` if it is no list of some."""
        where = self._where(self.path_3d)
        poses = per_camera(self.poses, where)
        if not poses or np.ndim(poses[0]) == 2:
            got = f"{len(poses)} frames" if poses else "none"
            raise ValueError(f"{where}: expected 3D of at least one camera, got {got}")
        return poses

    def check_poses(self, poses: Any, J: int, camera: int | None = None) -> Array:
        """3D as (T, J, 3) float32; ``ValueError`` as of :func:`coordinates`."""
        return coordinates(poses, J, 3, self._where(self.path_3d, camera), "3D")

    def check_track(self, track: Any, J: int, T: int, camera: int) -> Array:
        """2D as (T, J, 2) float32 pixels, cut to the length of its 3D.

        Raises:
            ValueError: as of :func:`coordinates`, or if it is too short.
        """
        where = self._where(self.path_2d, camera)
        if isinstance(track, np.ndarray) and track.ndim == 3:
            track = track[:T, :, :2] if track.shape[2] == 3 else track[:T]  # the third is a score
        pixels = coordinates(track, J, 2, where, "2D")
        if len(pixels) < T:
            raise ValueError(f"{where}: expected at least {T} frames of 2D, got {len(pixels)}")
        return pixels

    def _where(self, path: Path, camera: int | None = None) -> str:
        place = f"{path}: subject {self.subject}, action {self.action!r}"
        return place if camera is None else f"{place}, camera {camera}"


def per_camera(values: Any, where: str) -> list[Any]:
    """A list with something for each camera; ``ValueError`` if it is none."""
    if not isinstance(values, list | tuple) and not (isinstance(values, np.ndarray) and values.ndim > 0):
        raise ValueError(f"{where}: expected a list with an array per camera, got {type(values).__name__}")
    return list(values)


def read_entries(path_3d: Path, path_2d: Path, subjects: Sequence[str], selection: Selection, J: int) -> list[Entry]:
    """Selected entries, by subject as asked for, then by action in the order of the 2D file.

    Raises:
        ValueError: naming the file and what it lacks, if a subject or action is in one file only,
            or an action that is asked for is in neither.
    """
    poses = _positions(path_3d, "positions_3d")
    tracks = _positions(path_2d, "positions_2d")
    layout = _joints_of(path_2d)
    if layout not in (None, J):
        raise ValueError(f"{path_2d}: expected {J} joints, got {layout} in its metadata")
    entries = []
    for subject in subjects:
        for path, content in ((path_3d, poses), (path_2d, tracks)):
            if subject not in content:
                raise ValueError(f"{path}: no subject {subject}; the file has {_listed(content)}")
        actions_3d, actions_2d = poses[subject], tracks[subject]
        for path, have, other in (
            (path_3d, actions_3d, actions_2d),
            (path_2d, actions_2d, actions_3d),
        ):
            selection.check(have, f"{path}: subject {subject}")
            for action in other:
                if action not in have and selection.wants(action):
                    raise ValueError(f"{path}: subject {subject}: no action {action!r}; there are {_listed(have)}")
        entries += [
            Entry(subject, action, actions_3d[action], actions_2d[action], path_3d, path_2d)
            for action in actions_2d
            if selection.wants(action)
        ]
    return entries


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


def _joints_of(path: Path) -> int | None:
    """Number of joints that a 2D file's metadata declares, if it has any."""
    if "metadata" not in entry_names(path):
        return None
    metadata = read_npz(path, "metadata")
    joints = metadata.get("num_joints") if isinstance(metadata, dict) else None
    if joints is not None and not isinstance(joints, int | np.integer):
        raise ValueError(f"{path}: expected a whole num_joints, got {type(joints).__name__}")
    return None if joints is None else int(joints)
