"""The file of a benchmark made of motion capture: plain arrays, no pickle.

``card`` is a JSON text that records what the file was made of. Writing the same content gives the same bytes.
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
from prpose.tables import look_up, naming
from prpose.unpickle import read_npz

FORMAT = 1
SPLITS = ("train", "val", "test")

ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    **{f"clip_{name}": ("U", ("N",)) for name in ("name", "subject", "action", "split")},
    "clip_length": ("i", ("N",)),
    "clip_fps": ("f", ("N",)),
    "clip_cameras": ("f", ("N", "C", 18)),
    "poses_world": ("f", ("T", 17, 3)),
    "detected_px": ("f", ("C", "T", 17, 2)),
    "score": ("f", ("C", "T", 17)),
    "hidden": ("b", ("C", "T", 17)),
}
"""Kind and shape of each array: N clips, C cameras, T frames of all clips, one clip after the other."""

CAMERA_ENDS = (2, 4, 6, 9, 11, 15)
"""Ends in the 18 numbers of a camera: image size, focal length, centre, radial, tangential, orientation; position."""


def path_of(root: str | Path, name: str) -> Path:
    """Path of the benchmark called ``name``."""
    return Path(root) / f"data_{name}.npz"


def write_benchmark(path: Path, renderings: Mapping[str, Sequence[Rendering]], card: Mapping[str, Any]) -> None:
    """Writes the renderings of each split, and a card that records what they were made of, whole or not at all."""
    found = [rendering for split in SPLITS for rendering in renderings.get(split, ())]
    motions = [rendering.motion for rendering in found]
    content: dict[str, Any] = {
        "format": np.array(FORMAT),
        "card": np.array(json.dumps(card, indent=1, sort_keys=True, allow_nan=False)),
        **{f"clip_{name}": np.array([getattr(m, name) for m in motions]) for name in ("name", "subject", "action")},
        "clip_split": np.array([split for split in SPLITS for _ in renderings.get(split, ())]),
        "clip_length": np.array([len(motion) for motion in motions]),
        "clip_fps": np.array([motion.fps for motion in motions]),
        "clip_cameras": np.array([[_numbers(camera) for camera in rendering.cameras] for rendering in found]),
        "poses_world": np.concatenate([motion.poses_world for motion in motions]),
    }
    for key, name in (("detected_px", "detected_px"), ("score", "confidence"), ("hidden", "hidden")):
        content[key] = np.concatenate([getattr(rendering, name) for rendering in found], axis=1)
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
    version = np.asarray(read_npz(path, "format"))
    if version.shape != () or version != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}, got {version}; prepare it again")
    content = {key: np.asarray(read_npz(path, key)) for key in ARRAYS}
    with naming(path):
        _check_shapes(content)
        _check_values(content)
        stops = np.cumsum(content["clip_length"])
        starts = stops - content["clip_length"]
        clips = np.flatnonzero(content["clip_split"] == split).tolist()
        return [_rendering(content, clip, slice(starts[clip], stops[clip])) for clip in clips]


def load_benchmark(path: Path, split: str, selection: Selection, keypoints: str = "det") -> list[Clip]:
    """Clips of a split, the cameras of each motion one after the other; errors as of :func:`read_renderings`."""
    look_up(keypoints, dict.fromkeys(KEYPOINTS), f"2D of {path.name}")
    renderings = read_renderings(path, split)
    with naming(path):
        if renderings:  # a split may be empty
            selection.check([rendering.motion.action for rendering in renderings], split)
        wanted = [rendering for rendering in renderings if selection.wants(rendering.motion.action)]
        return [clip for each in wanted for clip in each.clips(keypoints, selection.frames(len(each.motion)))]


def _check_shapes(content: Mapping[str, Array]) -> None:
    sizes: dict[str, int] = {}
    for key, (kind, shape) in ARRAYS.items():
        array = content[key]
        expected = tuple(sizes.get(n, n) if isinstance(n, str) else n for n in shape)
        fits = array.dtype.kind == kind and array.ndim == len(shape)
        if not fits or any(isinstance(n, int) and n != size for n, size in zip(expected, array.shape, strict=True)):
            got = f"{array.dtype} {array.shape}"
            raise ValueError(f"expected {key} of kind {kind} and shape {expected}, got {got}")
        sizes |= {n: size for n, size in zip(shape, array.shape, strict=True) if isinstance(n, str)}
        if key == "clip_length":
            sizes["T"] = sum(array.tolist())


def _check_values(content: Mapping[str, Array]) -> None:
    cameras, confidence, splits = content["clip_cameras"], content["score"], content["clip_split"]
    image_sizes, focal, orientation = cameras[..., :2], cameras[..., 2:4], cameras[..., 11:15]
    with np.errstate(over="ignore"):
        skew = np.abs((orientation**2).sum(-1) - 1)
    pixels, score = (
        [x.min(initial=0), x.max(initial=0)] for x in (content["detected_px"], confidence)
    )  # NaN if any is
    split_of = dict(zip(content["clip_subject"], splits, strict=True))
    unknown = ", ".join(map(repr, sorted(set(splits.tolist()) - set(SPLITS))))
    for fits, expected in [
        (not unknown, f"splits {', '.join(SPLITS)}, got {unknown}"),
        (content["clip_length"] >= 1, "at least one frame in each clip"),
        (splits == [split_of[subject] for subject in content["clip_subject"]], "each subject in one split"),
        (cameras.size > 0, "at least one camera"),
        (np.abs(cameras, dtype=np.float64) < 1e6, "finite cameras, numbers below a million"),
        (focal > 0, "focal lengths > 0"),
        (skew <= 1e-3, "orientations as unit quaternions"),
        ((image_sizes >= 1) & (image_sizes == np.round(image_sizes)), "image sizes >= 1"),
        (np.abs(pixels) < FARTHEST[2], "finite detected_px"),
        (score[0] >= 0 and score[1] <= 1, "scores from 0 to 1"),
    ]:
        if not np.all(fits):
            raise ValueError(f"expected {expected}")


def _rendering(content: Mapping[str, Array], clip: int, frames: slice) -> Rendering:
    name, subject, action = (str(content[f"clip_{key}"][clip]) for key in ("name", "subject", "action"))
    poses = content["poses_world"][frames]
    arrays = [content[key][:, frames] for key in ("detected_px", "score", "hidden")]
    cameras = tuple(_camera(numbers) for numbers in content["clip_cameras"][clip])
    return Rendering(Motion(name, subject, action, poses, float(content["clip_fps"][clip])), cameras, *arrays)


def _numbers(camera: Camera) -> list[float]:
    """The 18 numbers of a calibrated camera."""
    parts = (camera.focal_px, camera.center_px, camera.radial, camera.tangential, camera.orientation, camera.position_m)
    return [float(camera.width), float(camera.height), *(value for part in parts for value in part or ())]


def _camera(numbers: Array) -> Camera:
    (width, height), *rest = (part.tolist() for part in np.split(numbers, CAMERA_ENDS))
    return Camera(int(width), int(height), *map(tuple, rest))
