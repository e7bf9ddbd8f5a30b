"""OpenPose's ``--write_json``: a folder with one ``*_keypoints.json`` per frame, or one such file.

Its doc/02_output.md defines ``pose_keypoints_2d`` as x, y, confidence of each body part.
"""

from pathlib import Path
from typing import Any

from prpose.io.keypoints.detections import (
    Detection,
    Detections,
    frame_numbers,
    items,
    load_json,
    triplets,
)

LAYOUTS = {25: "body25", 18: "coco18"}
"""OpenPose's models with as many body parts. Its experimental BODY_25B has 25 of another kind, and
cannot be told from BODY_25."""


def read(path: Path, content: Any) -> Detections:
    """Everybody in every frame; a part with confidence 0 is unseen.

    Raises:
        ValueError: naming the file that is wrong, and how.
    """
    files = frame_files(path) if path.is_dir() else [path]
    numbers = frame_numbers([file.name for file in files])
    sightings: list[Detection] = []
    for file in files:
        try:
            frame = load_json(file) if path.is_dir() else content
            sightings += _people(frame, numbers[file.name])
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}" if path.is_dir() else str(error)) from None
    parts = {len(found.keypoints) for found in sightings}
    if len(parts) > 1 or not parts <= LAYOUTS.keys():
        raise ValueError(f"expected 25 body parts (BODY_25) or 18 (COCO) in every frame, got {sorted(parts)}")
    layout = LAYOUTS[parts.pop()] if parts else None
    names = {number: name for name, number in numbers.items()}
    return Detections(sightings, layout, frame_names=names)


def frame_files(folder: Path) -> list[Path]:
    """OpenPose's files in a folder; there may be none."""
    return sorted(file for file in folder.glob("*_keypoints.json") if file.is_file())


def _people(content: Any, frame: int) -> list[Detection]:
    items(content, dict, "top level", "a dict with people")
    sightings = []
    for i, person in enumerate(items(content.get("people"), list, "people", "a list")):
        where = f"person {i}"
        items(person, dict, where, "a dict with pose_keypoints_2d")
        if "pose_keypoints_2d" not in person:
            got = ", ".join(person) or "nothing"
            raise ValueError(f"{where}: expected pose_keypoints_2d in it, got {got}")
        keypoints, score = triplets(person["pose_keypoints_2d"], f"{where}, pose_keypoints_2d")
        if score.any():
            sightings.append(Detection(frame, keypoints, score, _identity(person.get("person_id"))))
    return sightings


def _identity(value: Any) -> str | None:
    """``person_id`` is [-1] unless people are tracked."""
    if isinstance(value, list) and len(value) == 1 and type(value[0]) is int and value[0] >= 0:
        return str(value[0])
    return None
