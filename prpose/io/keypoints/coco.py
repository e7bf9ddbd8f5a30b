"""COCO's two JSON formats, and AlphaPose's, which is like COCO's results.

Results: https://cocodataset.org/#format-results; annotations: https://cocodataset.org/#format-data;
AlphaPose: its docs/output.md and ``write_json`` in alphapose/utils/pPose_nms.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Value, Whole, check, frame_numbers, natural, triplets
from prpose.layouts import LAYOUTS

COCO = {17: "coco17", 133: "wholebody133"}
"""COCO's keypoints and COCO-WholeBody's, by number."""
ALPHAPOSE = {17: "coco17", 26: "halpe26"}
"""Layouts of AlphaPose's models, by number of joints (its documentation)."""


class Result(msgspec.Struct):
    """A person in COCO results; ``keypoints`` are x, y, score of each joint."""

    image_id: Whole
    keypoints: list[Value]
    track_id: Any = None


class AlphaPoseResult(msgspec.Struct):
    """The same, but images are named, and ``idx`` is the track."""

    image_id: str | int
    keypoints: list[Value]
    idx: Any = None


class Image(msgspec.Struct):
    """An image of COCO annotations."""

    id: int | str
    file_name: str = ""
    width: Whole | None = None
    height: Whole | None = None


class Annotation(msgspec.Struct):
    """A person; ``keypoints`` are x, y, v of each joint."""

    image_id: int | str
    keypoints: list[Value] | None = None
    num_keypoints: Any = None
    iscrowd: Any = 0
    category_id: Any = None
    track_id: Any = None


class Category(msgspec.Struct):
    """A category; ``keypoints`` are the names of its joints."""

    id: Any = None
    keypoints: list[str] | None = None


class Dataset(msgspec.Struct):
    """COCO annotations."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category] | None = None


def is_results(content: Any) -> bool:
    """Whether JSON is COCO results."""
    return _is_list_of_results(content) and not is_alphapose(content)


def is_alphapose(content: Any) -> bool:
    """Whether JSON is AlphaPose's: images are named, or there is an ``idx``."""
    return _is_list_of_results(content) and (isinstance(content[0]["image_id"], str) or "idx" in content[0])


def is_annotations(content: Any) -> bool:
    """Whether JSON is COCO annotations."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def _is_list_of_results(content: Any) -> bool:
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "image_id" in content[0]


def read_results(path: Path, content: Any) -> Detections:
    """COCO results; frames are the image ids."""
    detections = [
        Detection(int(item.image_id), *triplets(item.keypoints, f"[{i}].keypoints"), _track_id(item.track_id))
        for i, item in enumerate(check(content, list[Result]))
    ]
    return Detections(detections, _default_layout(detections, COCO), True)


def read_alphapose(path: Path, content: Any) -> Detections:
    """AlphaPose's results; frames are numbered by the names of the images."""
    results = check(content, list[AlphaPoseResult])
    numbers = frame_numbers(sorted({str(item.image_id) for item in results}))
    detections = [
        Detection(numbers[str(item.image_id)], *triplets(item.keypoints, f"[{i}].keypoints"), _track_id(item.idx))
        for i, item in enumerate(results)
    ]
    names = {number: name for name, number in numbers.items()}
    return Detections(detections, _default_layout(detections, ALPHAPOSE), True, frame_names=names)


def read_annotations(path: Path, content: Any) -> Detections:
    """COCO annotations; size and names are the images'.

    ``v`` of a keypoint, 0 not labelled, 1 labelled but hidden, 2 visible, becomes a confidence of 0, 0.5 and 1. Crowds,
    and people without a labelled keypoint, are left out.
    """
    data = check(content, Dataset)
    images = _numbered(data.images)
    detections = []
    for i, item in enumerate(data.annotations):
        if item.iscrowd == 1 or item.num_keypoints == 0 or item.keypoints is None:
            continue
        if item.image_id not in images:
            raise ValueError(f"annotations[{i}].image_id: expected the id of an image, got {item.image_id!r:.40}")
        xy, v = triplets(item.keypoints, f"annotations[{i}].keypoints")
        if (v > 2).any():
            raise ValueError(f"annotations[{i}].keypoints: expected v of 0, 1 or 2, got {v.max():g}")
        detections.append(Detection(images[item.image_id][0], xy, v / 2, _track_id(item.track_id)))
    names = _joint_names(data)
    layout = next((key for key, known in LAYOUTS.items() if known.names == names), None)
    return Detections(
        detections,
        layout if names else _default_layout(detections, COCO),
        layout_is_default=not names,
        joint_names=names,
        image_size=_image_size(data.images),
        frame_names={number: name for number, name in images.values() if name},
    )


def _track_id(value: Any) -> str | None:
    """An id as text; some trackers write a list of one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if type(value) is float and value.is_integer():
        value = int(value)
    return str(value) if type(value) in (int, str) else None


def _default_layout(detections: list[Detection], known: Mapping[int, str]) -> str | None:
    """The layout that the format's documentation gives to that number of keypoints."""
    counts = {len(found.xy) for found in detections}
    return known.get(counts.pop()) if len(counts) == 1 else None


def _numbered(images: list[Image]) -> dict[int | str, tuple[int, str]]:
    """Frame number and file name of each image, by id."""
    names: dict[int | str, str] = {}
    for i, image in enumerate(images):
        if image.id in names:
            raise ValueError(f"images[{i}].id: expected ids that differ, got {image.id!r:.40} again")
        names[image.id] = image.file_name
    if all(names.values()) and len(set(names.values())) == len(names):
        numbers = frame_numbers(list(names.values()))
        return {key: (numbers[name], name) for key, name in names.items()}
    ordered = sorted(names, key=lambda key: natural(str(key)))
    return {key: (i, names[key]) for i, key in enumerate(ordered)}


def _image_size(images: list[Image]) -> tuple[int, int] | None:
    """Width and height of all images, where they have them."""
    sizes = {(int(image.width), int(image.height)) for image in images if image.width and image.height}
    if len(sizes) > 1:
        some = " and ".join(f"{w} x {h}" for w, h in sorted(sizes)[:2])
        raise ValueError(f"images: expected images of one size, as of a video, got {some}")
    return sizes.pop() if sizes else None


def _joint_names(data: Dataset) -> tuple[str, ...]:
    """Names of the keypoints, of the one category of the annotations."""
    categories = data.categories or []
    used = [item.category_id for item in data.annotations]
    used = [key for i, key in enumerate(used) if i == 0 or key != used[i - 1]]  # mostly one
    found = {
        tuple(category.keypoints)
        for category in categories
        if category.keypoints is not None and (category.id in used or len(categories) == 1)
    }
    if len(found) > 1:
        raise ValueError("categories: expected annotations of one category with keypoints, got several")
    return found.pop() if found else ()
