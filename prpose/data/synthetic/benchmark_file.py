"""The file of a benchmark made of motion capture: plain arrays, no pickle.

Arrays of N clips (``clip_*``), of their frames one clip after the other (``poses_world``), and of frames by
camera (``detected_px``, ``score``, ``hidden``); ``card`` is a JSON text that records what the file was made of.
Writing the same content gives the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import replacing
from prpose.camera import Array, Camera
from prpose.data.clip import FARTHEST, Clip
from prpose.data.motion import Motion
from prpose.data.release_files import Selection
from prpose.data.synthetic import KEYPOINTS, Rendering
from prpose.tables import look_up
from prpose.unpickle import read_npz

FORMAT = 1
SPLITS = ("train", "val", "test")

ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "clip_name": ("U", ("N",)),
    "clip_subject": ("U", ("N",)),
    "clip_action": ("U", ("N",)),
    "clip_split": ("U", ("N",)),
    "clip_length": ("i", ("N",)),
    "clip_fps": ("f", ("N",)),
    "clip_cameras": ("f", ("N", "C", 18)),
    "poses_world": ("f", ("T", 17, 3)),
    "detected_px": ("f", ("C", "T", 17, 2)),
    "score": ("f", ("C", "T", 17)),
    "hidden": ("b", ("C", "T", 17)),
}
"""Kind and shape of each array: N clips, C cameras, T frames of all clips."""

CAMERA_ENDS = (2, 4, 6, 9, 11, 15)
"""Ends in the 18 numbers of a camera: image size, focal length, centre, radial, tangential, orientation; position."""


def path_of(root: str | Path, name: str) -> Path:
    """Path of the benchmark called ``name``."""
    return Path(root) / f"data_{name}.npz"


def write_benchmark(path: Path, renderings: Mapping[str, Sequence[Rendering]], card: Mapping[str, Any]) -> None:
    """Writes the renderings of each split, and a card that records what they were made of, whole or not at all."""
    clips = [(split, rendering) for split in SPLITS for rendering in renderings.get(split, ())]
    motions = [rendering.motion for _, rendering in clips]
    content: dict[str, Any] = {
        "format": np.array(FORMAT),
        "card": np.array(json.dumps(card, indent=1, sort_keys=True, allow_nan=False)),
        "clip_name": np.array([motion.name for motion in motions]),
        "clip_subject": np.array([motion.subject for motion in motions]),
        "clip_action": np.array([motion.action for motion in motions]),
        "clip_split": np.array([split for split, _ in clips]),
        "clip_length": np.array([len(motion) for motion in motions]),
        "clip_fps": np.array([motion.fps for motion in motions]),
        "clip_cameras": np.array([[_numbers(camera) for camera in rendering.cameras] for _, rendering in clips]),
        "poses_world": np.concatenate([motion.poses_world for motion in motions]),
        "detected_px": np.concatenate([rendering.detected_px for _, rendering in clips], axis=1),
        "score": np.concatenate([rendering.confidence for _, rendering in clips], axis=1),
        "hidden": np.concatenate([rendering.hidden for _, rendering in clips], axis=1),
    }
    assert not any(array.dtype.hasobject for array in content.values()), "no pickle"
    with replacing(path) as temporary:
        np.savez(temporary, **content)


def read_card(path: Path) -> dict[str, Any]:
    """What the file was made of; ``ValueError`` naming the file if it is missing or not a benchmark."""
    try:
        card = json.loads(str(read_npz(path, "card")))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: card: expected JSON ({error})") from None
    if not isinstance(card, dict):
        raise ValueError(f"{path}: card: expected a JSON object, got {type(card).__name__}")
    return card


def read_renderings(path: Path, split: str) -> list[Rendering]:
    """Renderings of a split; ``ValueError`` naming the file, if it is missing, of another format, or damaged."""
    look_up(split, dict.fromkeys(SPLITS), f"split of {path.name}")
    version = np.asarray(read_npz(path, "format"))
    if version.shape != () or version != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {version}; prepare it again")
    content = {key: np.asarray(read_npz(path, key)) for key in ARRAYS}
    _check_shapes(path, content)
    _check_values(path, content)
    stops = np.cumsum(content["clip_length"]).tolist()
    try:
        return [
            _rendering(content, clip, slice(stops[clip] - int(content["clip_length"][clip]), stops[clip]))
            for clip in np.flatnonzero(content["clip_split"] == split).tolist()
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_benchmark(path: Path, split: str, selection: Selection, keypoints: str = "det") -> list[Clip]:
    """Clips of a split, the cameras of each motion one after the other.

    Raises:
        ValueError: as of :func:`read_renderings`; for unknown 2D; for an action that is not there.
    """
    look_up(keypoints, dict.fromkeys(KEYPOINTS), f"2D of {path.name}")
    renderings = read_renderings(path, split)
    if renderings:  # a split may be empty
        selection.check([rendering.motion.action for rendering in renderings], f"{path}: {split}")
    try:
        return [
            clip
            for rendering in renderings
            if selection.wants(rendering.motion.action)
            for clip in rendering.clips(keypoints, selection.frames(len(rendering.motion)))
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_shapes(path: Path, content: Mapping[str, Array]) -> None:
    sizes: dict[str, int] = {}
    for key, (kind, shape) in ARRAYS.items():
        array = content[key]
        expected = tuple(sizes.get(n, n) if isinstance(n, str) else n for n in shape)
        fits = array.dtype.kind == kind and array.ndim == len(shape)
        if not fits or any(isinstance(n, int) and n != size for n, size in zip(expected, array.shape, strict=True)):
            got = f"{array.dtype} {array.shape}"
            raise ValueError(f"{path}: expected {key} of kind {kind} and shape {expected}, got {got}")
        sizes |= {n: size for n, size in zip(shape, array.shape, strict=True) if isinstance(n, str)}
        if key == "clip_length":
            sizes["T"] = sum(array.tolist())


def _check_values(path: Path, content: Mapping[str, Array]) -> None:
    unknown = sorted(set(content["clip_split"].tolist()) - set(SPLITS))
    cameras, confidence = content["clip_cameras"], content["score"]
    image_sizes, focal, orientation = cameras[..., :2], cameras[..., 2:4], cameras[..., 11:15]
    with np.errstate(over="ignore"):
        skew = np.abs((orientation**2).sum(-1) - 1)
        pixels = content["detected_px"].astype(np.float32)
    by_subject = dict(zip(content["clip_subject"], content["clip_split"], strict=True))
    splits = [by_subject[name] for name in content["clip_subject"]]
    for fault, what in [
        (unknown, f"splits {', '.join(SPLITS)}, got {', '.join(map(repr, unknown))}"),
        ((content["clip_length"] < 1).any(), "at least one frame in each clip"),
        ((np.array(splits) != content["clip_split"]).any(), "each subject in one split"),
        (not cameras.size, "at least one camera"),
        (not (np.abs(cameras) < 1e6).all(), "finite cameras, numbers below a million"),
        ((focal <= 0).any(), "focal lengths > 0"),
        ((skew > 1e-3).any(), "orientations as unit quaternions"),
        (((image_sizes < 1) | (image_sizes != np.round(image_sizes))).any(), "image sizes >= 1"),
        (not (np.abs(pixels) < FARTHEST[2]).all(), "finite detected_px"),
        (not ((confidence >= 0) & (confidence <= 1)).all(), "scores from 0 to 1"),
    ]:
        if fault:
            raise ValueError(f"{path}: expected {what}")


def _rendering(content: Mapping[str, Array], clip: int, frames: slice) -> Rendering:
    name, subject, action = (str(content[f"clip_{key}"][clip]) for key in ("name", "subject", "action"))
    motion = Motion(name, subject, action, content["poses_world"][frames], float(content["clip_fps"][clip]))
    cameras = tuple(_camera(numbers) for numbers in content["clip_cameras"][clip])
    return Rendering(motion, cameras, *(content[key][:, frames] for key in ("detected_px", "score", "hidden")))


def _numbers(camera: Camera) -> list[float]:
    """The 18 numbers of a calibrated camera."""
    parts = (camera.focal_px, camera.center_px, camera.radial, camera.tangential, camera.orientation, camera.position_m)
    return [float(camera.width), float(camera.height), *(value for part in parts for value in part or ())]


def _camera(numbers: Array) -> Camera:
    (width, height), *rest = (part.tolist() for part in np.split(numbers, CAMERA_ENDS))
    return Camera(int(width), int(height), *map(tuple, rest))
