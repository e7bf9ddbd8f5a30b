"""The one file of a benchmark made of motion capture: plain arrays, no pickle.

Arrays of N clips (``clip_*``), of their frames one clip after the other (``poses_world``), and of
frames by camera (``detected_px``, ``score``, ``hidden``); ``card`` is a JSON text that says what
the file was made of. Writing the same content gives the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import replacing
from prpose.camera import Array, Camera
from prpose.data.arrays import FARTHEST
from prpose.data.clip import Clip
from prpose.data.motion import Motion
from prpose.data.release_files import Selection
from prpose.data.synthetic.rendering import KEYPOINTS, Rendering
from prpose.tables import look_up
from prpose.unpickle import read_npz

FORMAT = 1
SPLITS = ("train", "val", "test")


def path_of(root: str | Path, name: str) -> Path:
    """Where the benchmark called ``name`` lies."""
    return Path(root) / f"data_{name}.npz"


def write_benchmark(path: Path, footage: Mapping[str, Sequence[Rendering]], card: Mapping[str, Any]) -> None:
    """Writes a benchmark, whole or not at all.

    Args:
        path: as of :func:`path_of`.
        footage: clips of each split.
        card: what it was made of, as JSON.
    """
    clips = [(split, film) for split in SPLITS for film in footage.get(split, ())]
    motions = [film.motion for _, film in clips]
    content: dict[str, Any] = {
        "format": np.array(FORMAT),
        "card": np.array(json.dumps(card, indent=1, sort_keys=True, allow_nan=False)),
        "clip_name": np.array([motion.name for motion in motions]),
        "clip_subject": np.array([motion.subject for motion in motions]),
        "clip_action": np.array([motion.action for motion in motions]),
        "clip_split": np.array([split for split, _ in clips]),
        "clip_length": np.array([len(motion) for motion in motions]),
        "clip_fps": np.array([motion.fps for motion in motions]),
        "clip_cameras": np.array([[_numbers(c) for c in film.cameras] for _, film in clips]),
        "poses_world": np.concatenate([motion.poses_world for motion in motions]),
        "detected_px": np.concatenate([film.detected_px for _, film in clips], axis=1),
        "score": np.concatenate([film.confidence for _, film in clips], axis=1),
        "hidden": np.concatenate([film.hidden for _, film in clips], axis=1),
    }
    # NumPy's own guard, allow_pickle, is a keyword of savez since 2.1 only: another array before.
    assert not any(array.dtype.hasobject for array in content.values())
    with replacing(path) as temporary:
        np.savez(temporary, **content)


def read_card(path: Path) -> dict[str, Any]:
    """What the file was made of.

    Raises:
        ValueError: naming the file, if it is missing or no benchmark.
    """
    try:
        card = json.loads(str(read_npz(path, "card")))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: card: expected JSON ({error})") from None
    if not isinstance(card, dict):
        raise ValueError(f"{path}: card: expected a JSON object, got {type(card).__name__}")
    return card


def read_renderings(path: Path, split: str) -> list[Rendering]:
    """Clips of a split.

    Raises:
        ValueError: naming the file, if it is missing, of another format, or damaged, and for an
            unknown split.
    """
    look_up(split, dict.fromkeys(SPLITS), f"split of {path.name}")
    version = np.asarray(read_npz(path, "format"))
    if version.shape != () or version != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {version}: prepare it again")
    content = {key: np.asarray(read_npz(path, key)) for key in ARRAYS}
    _check_shapes(path, content)
    _check_values(path, content)
    lengths = content["clip_length"]
    stops = np.cumsum(lengths)
    try:
        return [
            _footage(content, clip, slice(int(stops[clip] - lengths[clip]), int(stops[clip])))
            for clip in np.flatnonzero(content["clip_split"] == split).tolist()
        ]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def load_benchmark(path: Path, split: str, selection: Selection, keypoints: str = "det") -> list[Clip]:
    """Clips of a split, four cameras of each motion one after the other.

    Raises:
        ValueError: as of :func:`read_renderings`; for unknown 2D; for an action that is not there.
    """
    look_up(keypoints, dict.fromkeys(KEYPOINTS), f"2D of {path.name}")
    footage = read_renderings(path, split)
    if footage:  # a split may be empty
        selection.check([film.motion.action for film in footage], f"{path}: {split}")
    wanted = [film for film in footage if selection.wants(film.motion.action)]
    try:
        return [clip for film in wanted for clip in film.clips(keypoints, selection.frames(len(film.motion)))]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


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


def _check_shapes(path: Path, content: Mapping[str, Array]) -> None:
    sizes: dict[str, int] = {}
    for key, (kind, shape) in ARRAYS.items():
        array = content[key]
        expected = tuple(sizes.get(n, n) if isinstance(n, str) else n for n in shape)
        if array.dtype.kind != kind or len(array.shape) != len(shape) or any(
            isinstance(n, int) and n != have for n, have in zip(expected, array.shape, strict=True)
        ):  # fmt: skip
            raise ValueError(
                f"{path}: expected {key} of kind {kind} and shape {expected}, got {array.dtype} {array.shape}"
            )
        sizes |= {n: have for n, have in zip(shape, array.shape, strict=True) if isinstance(n, str)}
        if key == "clip_length":
            sizes["T"] = sum(array.tolist())


def _check_values(path: Path, content: Mapping[str, Array]) -> None:
    unknown = sorted(set(content["clip_split"].tolist()) - set(SPLITS))
    # Numbers of a camera in the order of Camera's fields: size, focal length, ..., orientation.
    cameras, score = content["clip_cameras"], content["score"]
    image_sizes, focal, turn = cameras[..., :2], cameras[..., 2:4], cameras[..., 11:15]
    with np.errstate(over="ignore"):
        skew = np.abs((turn**2).sum(-1) - 1)
        pixels = content["detected_px"].astype(np.float32)
    by_subject = dict(zip(content["clip_subject"], content["clip_split"], strict=True))
    sides = [by_subject[name] for name in content["clip_subject"]]
    for fault, what in [
        (unknown, f"splits {', '.join(SPLITS)}, got {', '.join(map(repr, unknown))}"),
        ((content["clip_length"] < 1).any(), "at least one frame in each clip"),
        ((np.array(sides) != content["clip_split"]).any(), "each subject in one split"),
        (not cameras.size, "at least one camera"),
        (not (np.abs(cameras) < 1e6).all(), "finite cameras, numbers below a million"),
        ((focal <= 0).any(), "focal lengths > 0"),
        ((skew > 1e-3).any(), "orientations as unit quaternions"),
        (((image_sizes < 1) | (image_sizes != np.round(image_sizes))).any(), "image sizes >= 1"),
        (not (np.abs(pixels) < FARTHEST[2]).all(), "finite detected_px"),
        (not ((score >= 0) & (score <= 1)).all(), "scores from 0 to 1"),
    ]:
        if fault:
            raise ValueError(f"{path}: expected {what}")


def _footage(content: Mapping[str, Array], clip: int, frames: slice) -> Rendering:
    motion = Motion(
        str(content["clip_name"][clip]),
        str(content["clip_subject"][clip]),
        str(content["clip_action"][clip]),
        content["poses_world"][frames],
        float(content["clip_fps"][clip]),
    )
    return Rendering(
        motion,
        tuple(_camera(numbers) for numbers in content["clip_cameras"][clip]),
        content["detected_px"][:, frames],
        content["score"][:, frames],
        content["hidden"][:, frames],
    )


def _numbers(camera: Camera) -> list[float]:
    """All 18 numbers of a calibrated camera, field by field."""
    values = [getattr(camera, field.name) for field in fields(Camera)]
    return [float(x) for value in values for x in (value if isinstance(value, tuple) else (value,))]


def _camera(numbers: Array) -> Camera:
    width, height, *rest = numbers.tolist()
    at = iter(rest)

    def take(count: int) -> tuple[Any, ...]:
        return tuple(next(at) for _ in range(count))

    return Camera(int(width), int(height), take(2), take(2), take(3), take(2), take(4), take(3))
