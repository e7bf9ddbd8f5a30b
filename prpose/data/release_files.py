"""The field's paired npz files (data_3d_*.npz with data_2d_*.npz) as clips.

Both hold pickled dicts {subject: {action: ...}}. A 2D track may be longer than its 3D; what is
too much is cut from its end. Everything else that does not fit raises a ``ValueError`` that names
file, subject, action and camera.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.unpickle import read_npz

ALL_ACTIONS = ("*",)


@dataclass(frozen=True)
class Selection:
    """Which clips and frames to take.

    Args:
        subjects: names, in the order wanted.
        actions: first words of action names ("Walking" takes "Walking 1"), or ``("*",)``.
        stride: every stride-th frame.
        subset: share of each clip, one run of frames at a start that depends on its length alone
            (as in VideoPose3D, so that published low-data settings can be repeated).

    Raises:
        ValueError: if stride < 1 or subset lies outside (0, 1].
    """

    subjects: tuple[str, ...]
    actions: tuple[str, ...] = ALL_ACTIONS
    stride: int = 1
    subset: float = 1.0

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ValueError(f"expected stride >= 1, got {self.stride}")
        if not 0 < self.subset <= 1:
            raise ValueError(f"expected subset in (0, 1], got {self.subset}")

    def wants(self, action: str) -> bool:
        return self.actions == ALL_ACTIONS or action.split(" ")[0] in self.actions

    def frames(self, T: int) -> slice:
        """The frames to take of a clip of T."""
        if self.subset == 1:
            return slice(0, T, self.stride)
        length = round(T // self.stride * self.subset) * self.stride
        start = int(_fraction(str(T)) * (T - length + 1))
        return slice(start, start + length, self.stride)


def _fraction(text: str) -> float:
    """A number in [0, 1] that depends on the text alone."""
    first_four = hashlib.sha256(text.encode()).digest()[:4]
    return int.from_bytes(first_four, "little") / (2**32 - 1)


@dataclass(frozen=True)
class Entry:
    """3D and 2D of one subject and action, by camera, as the files hold them."""

    subject: str
    action: str
    poses: Any
    tracks_px: Sequence[Array]
    source: str

    def error(self, message: str, camera: int | None = None) -> ValueError:
        where = f"{self.source}: subject {self.subject}, action {self.action!r}"
        return ValueError(where + (f", camera {camera}" if camera is not None else "") + message)


def read_entries(path_3d: Path, path_2d: Path, selection: Selection, J: int) -> list[Entry]:
    """Selected entries, by subject as asked for, then by action in the order of the 2D file.

    Raises:
        ValueError: naming the file and what it lacks, if a subject or action is in one file only.
    """
    poses = _positions(path_3d, "positions_3d")
    tracks = _positions(path_2d, "positions_2d")
    layout = _joints_of(path_2d)
    if layout not in (None, J):
        raise ValueError(f"{path_2d}: expected {J} joints, got {layout} in its metadata")
    entries = []
    for subject in selection.subjects:
        for path, content in ((path_3d, poses), (path_2d, tracks)):
            if subject not in content:
                raise ValueError(
                    f"{path}: no subject {subject}; the file has {', '.join(map(str, content))}"
                )
        actions_3d, actions_2d = poses[subject], tracks[subject]
        for path, have, other in (
            (path_3d, actions_3d, actions_2d),
            (path_2d, actions_2d, actions_3d),
        ):
            for action in other:
                if action not in have and selection.wants(action):
                    raise ValueError(
                        f"{path}: no action {action!r} of subject {subject}; "
                        f"the file has {', '.join(map(str, have))}"
                    )
        entries += [
            Entry(subject, action, actions_3d[action], actions_2d[action], str(path_2d))
            for action in actions_2d
            if selection.wants(action)
        ]
    if not entries:
        wanted = ", ".join(selection.actions)
        known = sorted({str(a) for subject in selection.subjects for a in tracks[subject]})
        raise ValueError(f"{path_2d}: no action {wanted}; the file has {', '.join(known)}")
    return entries


def check_poses(entry: Entry, poses: Any, path: Path, J: int, camera: int | None = None) -> Array:
    """3D of an entry as an array (T, J, 3) of finite numbers.

    Raises:
        ValueError: naming file, subject, action and camera, if it is anything else.
    """
    where = f"{path}: subject {entry.subject}, action {entry.action!r}"
    where += f", camera {camera}" if camera is not None else ""
    array = np.asarray(poses)
    if array.ndim != 3 or array.shape[1:] != (J, 3):
        raise ValueError(f"{where}: expected 3D of shape (T, {J}, 3), got {array.shape}")
    if not np.isfinite(array).all():
        frame = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"{where}: expected finite 3D, got NaN or infinity in frame {frame}")
    return array


def check_track(entry: Entry, camera: int, T: int, J: int) -> Array:
    """Camera's 2D track of an entry, (T, J, 2) float32 pixels, cut to the length of its 3D.

    Raises:
        ValueError: naming file, subject, action and camera, if it is too short, misshapen
            or not finite.
    """
    track = np.asarray(entry.tracks_px[camera])
    if track.ndim != 3 or track.shape[1:] not in ((J, 2), (J, 3)):
        raise entry.error(f": expected 2D of shape (T, {J}, 2), got {track.shape}", camera)
    if len(track) < T:
        raise entry.error(f": expected at least {T} frames of 2D, got {len(track)}", camera)
    track = track[:T, :, :2].astype(np.float32)  # a third column is a detector's score
    if not np.isfinite(track).all():
        frame = int(np.argwhere(~np.isfinite(track))[0][0])
        raise entry.error(f": expected finite 2D, got NaN or infinity in frame {frame}", camera)
    return track


def _positions(path: Path, key: str) -> dict[str, dict[str, Any]]:
    content = read_npz(path, key)
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise ValueError(f"{path}: expected {key} = {{subject: {{action: ...}}}}")
    return content


def _joints_of(path: Path) -> int | None:
    """Number of joints that a 2D file's metadata declares, if it has any."""
    try:
        metadata = read_npz(path, "metadata")
    except ValueError as error:
        if "no entry" in str(error):
            return None
        raise
    return metadata.get("num_joints") if isinstance(metadata, dict) else None
