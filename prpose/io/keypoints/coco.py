"""COCO's two JSON formats, and AlphaPose's, which is like COCO's results.

Results: https://cocodataset.org/#format-results; annotations: https://cocodataset.org/#format-data;
AlphaPose: its docs/output.md and ``write_json`` in alphapose/utils/pPose_nms.py.
"""

from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Value, Whole, check, frame_numbers, natural, triplets
from prpose.layouts import LAYOUTS

DEFAULTS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}
"""Layouts of COCO, of Halpe, which AlphaPose writes, and of COCO-WholeBody, by number of joints."""


class Result(msgspec.Struct):
    """A person: x, y, score of each joint. AlphaPose's images have names, and ``idx`` is its track."""

    image_id: str | Whole
    keypoints: list[Value]
    track_id: Any = None
    idx: Any = None


class Image(msgspec.Struct):
    """An image of COCO annotations."""

    id: int | str
    file_name: str = ""
    width: Whole | None = None
    height: Whole | None = None


class Annotation(msgspec.Struct):
    """A person: x, y, v of each joint."""

    image_id: int | str
    keypoints: list[Value] | None = None
    num_keypoints: Any = None
    iscrowd: Any = 0
    category_id: Any = None
    track_id: Any = None


class Category(msgspec.Struct):
    """A category with the names of its joints."""

    id: Any = None
    keypoints: list[str] | None = None


class Dataset(msgspec.Struct):
    """COCO annotations."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category] | None = None


def read_results(content: Any) -> Detections:
    """COCO's or AlphaPose's results; frames are the image ids, or numbered by the names of the images."""
    results = check(content, list[Result])
    numbers = frame_numbers(sorted({item.image_id for item in results if isinstance(item.image_id, str)}))
    detections = [
        Detection(
            numbers[item.image_id] if isinstance(item.image_id, str) else int(item.image_id),
            *triplets(item.keypoints, f"[{i}].keypoints"),
            _track_id(item.idx if item.track_id is None else item.track_id),
        )
        for i, item in enumerate(results)
    ]
    names = {number: name for name, number in numbers.items()}
    return Detections(detections, default_layouts=DEFAULTS, frame_names=names)


def read_annotations(content: Any) -> Detections:
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
    return Detections(
        detections,
        next((key for key, known in LAYOUTS.items() if known.names == names), None),
        default_layouts={} if names else DEFAULTS,
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


def _numbered(images: list[Image]) -> dict[int | str, tuple[int, str]]:
    """Frame number and file name of each image, by id."""
    names = {image.id: image.file_name for image in images}
    if len(names) < len(images):
        raise ValueError("images: expected ids that differ, got one twice")
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
    found = {
        tuple(category.keypoints)
        for category in categories
        if category.keypoints is not None
        and (len(categories) == 1 or any(item.category_id == category.id for item in data.annotations))
    }
    if len(found) > 1:
        raise ValueError("categories: expected annotations of one category with keypoints, got several")
    return found.pop() if found else ()
