"""MediaPipe's pose landmarks: 33 points with x and y as shares of the image, and a visibility.

MediaPipe writes no file of its own. The JSON that is read here is its PoseLandmarkerResult as it
stands, frame by frame; docs/formats.md has the lines that write it.
"""

from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.arrays import load_npy
from prpose.io.keypoints.detections import (
    Detection,
    Detections,
    floats,
    hide_unseen,
    items,
    rate,
    whole,
)

JOINTS = 33


def read(path: Path, content: Any) -> Detections:
    """Everybody in every frame; the score is the visibility.

    Args:
        content: {image_size: [w, h], fps, frames: [{frame, pose_landmarks: [[{x, y, z, visibility}
            x 33] per person]}]}; or the list of frames alone. Of an npy (T, 33, 4 or 5), x, y, z,
            visibility (presence), nothing.

    Raises:
        ValueError: saying which frame is wrong, and how.
    """
    if path.suffix.lower() == ".npy":
        return _from_array(load_npy(path))
    said = content if isinstance(content, dict) else {"frames": content}
    size = said.get("image_size")
    if size is not None:
        items(size, list, "image_size", "[width, height]")
        size = [whole(side, "image_size", "a side") for side in size]
        if len(size) != 2:
            raise ValueError(f"image_size: expected [width, height], got {len(size)} numbers")
    sightings = []
    for i, item in enumerate(items(said.get("frames"), list, "frames", "a list")):
        where = f"frame {i}"
        items(item, dict, where, "a dict with pose_landmarks")
        if "pose_landmarks" not in item:
            got = ", ".join(item) or "nothing"
            raise ValueError(f"{where}: expected pose_landmarks in it, got {got}")
        people = items(item["pose_landmarks"], list, where, "pose_landmarks as a list of people")
        if people and isinstance(people[0], dict):  # the older Pose solution: one person
            people = [people]
        number = whole(item.get("frame", i), where, "frame")
        for n, landmarks in enumerate(people):
            keypoints, score = _person(landmarks, f"{where}, person {n}")
            sightings.append(Detection(number, keypoints, score))
    return Detections(
        sightings,
        "blazepose33",
        size=None if size is None else (size[0], size[1]),
        fps=None if said.get("fps") is None else rate(said["fps"], "fps"),
        normalised=True,
    )


def looks_like(content: Any) -> bool:
    """Whether a JSON holds pose landmarks."""
    frames = content.get("frames") if isinstance(content, dict) else content
    return isinstance(frames, list) and bool(frames) and isinstance(frames[0], dict) and "pose_landmarks" in frames[0]


def _person(landmarks: Any, where: str) -> tuple[Array, Array | None]:
    items(landmarks, list, where, "a list of landmarks")
    if len(landmarks) != JOINTS:
        raise ValueError(f"{where}: expected {JOINTS} landmarks, got {len(landmarks)}")
    for mark in landmarks:
        items(mark, dict, where, "landmarks as dicts with x, y and visibility")
    keypoints = np.stack([floats([mark.get(c) for mark in landmarks], where) for c in "xy"], -1)
    visibility = floats([mark.get("visibility") for mark in landmarks], where)
    if np.isnan(visibility).all():
        return keypoints, None
    return hide_unseen(keypoints, _share(visibility, where))


def _share(visibility: Array, where: str) -> Array:
    """Some of MediaPipe's interfaces give the visibility before the sigmoid."""
    if (visibility < 0).any() or (visibility > 1).any():
        raise ValueError(
            f"{where}: expected visibility within [0, 1], got {np.nanmin(visibility):g} to "
            f"{np.nanmax(visibility):g}; take the sigmoid of it first"
        )
    return visibility


def _from_array(array: Array) -> Detections:
    if array.ndim != 3 or array.shape[1] != JOINTS or array.shape[2] not in (4, 5):
        raise ValueError(f"expected (T, {JOINTS}, 4 or 5): x, y, z, visibility (presence); got {array.shape}")
    visibility = _share(array[..., 3], "array")
    keypoints, score = hide_unseen(array[..., :2], visibility)
    sightings = [Detection(t, keypoints[t], score[t]) for t in range(len(array)) if score[t].any()]
    return Detections(sightings, "blazepose33", normalised=True)
