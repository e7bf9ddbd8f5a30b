"""COCO's two JSON formats, and AlphaPose's, which is like COCO's results.

Results: https://cocodataset.org/#format-results; annotations: https://cocodataset.org/#format-data;
AlphaPose: its docs/output.md and ``write_json`` in alphapose/utils/pPose_nms.py.
"""

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, Whole, check, natural, triplets

Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str  # more digits could be chosen to have one hash
DEFAULTS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}  # by number of joints; Halpe is AlphaPose's


class Result(Tracked):
    image_id: str | Whole  # a name in AlphaPose
    keypoints: list[Value] | None  # x, y, score of each joint


class Image(msgspec.Struct):
    id: Id
    file_name: str = ""
    width: Whole | None = None
    height: Whole | None = None


class Annotation(Tracked):
    image_id: Id
    keypoints: list[Value] | None = None  # x, y, v of each joint
    num_keypoints: Any = None
    iscrowd: Any = 0
    category_id: Id | None = None


class Category(msgspec.Struct):
    id: Id | None = None
    keypoints: list[str] | None = None  # names of the joints


class Dataset(msgspec.Struct):
    images: list[Image]
    annotations: list[Annotation | None]
    categories: list[Category] | None = None


FULL_BODY = 136  # joints of AlphaPose's Halpe-FullBody, of which the first 26 are the body's


def read_results(content: Any) -> Detections:
    """COCO's or AlphaPose's results; frames are the image ids, or numbered by the names of the images."""
    results = [item for item in check(content, list[Result | None]) if item is not None]
    names = [item.image_id for item in results if isinstance(item.image_id, str)]
    if names and len(names) < len(results):
        raise ValueError(f"expected image_id as names or as numbers, got {len(names)} of {len(results)} names")
    place = {name: n for n, name in enumerate(sorted(set(names)))}
    detections = []
    for i, item in enumerate(results):
        if item.keypoints:
            table = triplets(item.keypoints, f"[{i}].keypoints")
            body = table[: 26 if len(table) == FULL_BODY else None]
            frame = place[item.image_id] if isinstance(item.image_id, str) else int(item.image_id)
            detections.append(Detection.of(frame, body, item.person))
    return Detections(detections, default_layouts=DEFAULTS, images=tuple(place))


def read_annotations(content: Any) -> Detections:
    """COCO annotations, without crowds and people who have no labelled keypoint.

    ``v`` of a keypoint, 0 not labelled, 1 labelled but hidden, 2 visible, becomes a confidence of 0, 0.5 and 1.
    """
    data = check(content, Dataset)
    names = {image.id: image.file_name for image in data.images}
    if len(names) < len(data.images):
        raise ValueError("images: expected ids that differ, got one twice")
    named = all(names.values()) and len(set(names.values())) == len(names)
    order = list(names) if named else sorted(names, key=lambda key: natural(str(key)))
    numbers = {key: i for i, key in enumerate(order)}
    sizes = sorted({(int(image.width), int(image.height)) for image in data.images if image.width and image.height})
    if len(sizes) > 1:
        some = " and ".join(f"{w} x {h}" for w, h in sizes[:2])
        raise ValueError(f"images: expected images of one size, as of a video, got {some}")
    detections = []
    for i, item in enumerate(data.annotations):
        if item is None or item.iscrowd == 1 or item.num_keypoints == 0 or not item.keypoints:
            continue
        if item.image_id not in numbers:
            raise ValueError(f"annotations[{i}].image_id: expected the id of an image, got {item.image_id!r:.40}")
        table = triplets(item.keypoints, f"annotations[{i}].keypoints")
        if (table[:, 2] > 2).any():
            raise ValueError(f"annotations[{i}].keypoints: expected v of 0, 1 or 2, got {np.nanmax(table[:, 2]):g}")
        detections.append(Detection.of(numbers[item.image_id], table * [1, 1, 0.5], item.person))
    categories = [category for category in data.categories or [] if category.keypoints is not None]
    if len(data.categories or []) > 1:
        used = {item.category_id for item in data.annotations if item is not None}
        categories = [category for category in categories if category.id in used]
    joints = {tuple(category.keypoints or ()) for category in categories}
    if len(joints) > 1:
        raise ValueError("categories: expected annotations of one category with keypoints, got several")
    return Detections(
        detections,
        default_layouts={} if any(joints) else DEFAULTS,
        joint_names=next(iter(joints), ()),
        image_size=next(iter(sizes), None),
        images=tuple(names.values()) if named else (),
    )
