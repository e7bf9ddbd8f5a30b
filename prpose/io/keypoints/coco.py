"""COCO's two JSON formats, and AlphaPose's, which is like COCO's results.

Results: https://cocodataset.org/#format-results; annotations: https://cocodataset.org/#format-data;
AlphaPose: its docs/output.md and ``write_json`` in alphapose/utils/pPose_nms.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prpose.io.keypoints.detections import (
    Detection,
    Detections,
    frame_numbers,
    items,
    natural,
    triplets,
    whole,
)
from prpose.layouts import LAYOUTS

COCO = {17: "coco17", 133: "wholebody133"}
"""COCO's keypoints, and COCO-WholeBody's."""

ALPHAPOSE = {17: "coco17", 26: "halpe26"}
"""What AlphaPose's models of those sizes write, by its documentation."""


def read_results(path: Path, content: Any) -> Detections:
    """COCO results: a list of {image_id, keypoints: [x, y, score, ...]}; frames are image_ids.

    Raises:
        ValueError: saying which result is wrong, and how.
    """
    sightings = []
    for i, item in enumerate(items(content, list, "top level", "a list of results")):
        where = f"result {i}"
        items(item, dict, where, "a dict with image_id and keypoints")
        frame = whole(item.get("image_id"), where, "image_id")
        sightings.append(_sighting(item, frame, where, item.get("track_id")))
    return Detections(sightings, *_convention(sightings, COCO))


def read_alphapose(path: Path, content: Any) -> Detections:
    """AlphaPose: as COCO results, but image_ids are names of files, and ``idx`` tells people apart.

    Raises:
        ValueError: saying which result is wrong, and how.
    """
    found = items(content, list, "top level", "a list of results")
    for i, item in enumerate(found):
        items(item, dict, f"result {i}", "a dict with image_id and keypoints")
        if type(item.get("image_id")) not in (str, int):
            got = type(item.get("image_id")).__name__
            raise ValueError(f"result {i}: expected image_id as a name or number, got {got}")
    numbers = frame_numbers(sorted({str(item["image_id"]) for item in found}))
    sightings = [
        _sighting(item, numbers[str(item["image_id"])], f"result {i}", item.get("idx")) for i, item in enumerate(found)
    ]
    names = {number: name for name, number in numbers.items()}
    return Detections(sightings, *_convention(sightings, ALPHAPOSE), frame_names=names)


def read_annotations(path: Path, content: Any) -> Detections:
    """COCO annotations: images, annotations and categories; size and names are the images'.

    ``v`` of a keypoint, 0 not labelled, 1 labelled but hidden, 2 visible, becomes a score of 0, 0.5
    and 1. Crowds, and people without a labelled keypoint, are left out.

    Raises:
        ValueError: saying which image or annotation is wrong, and how.
    """
    items(content, dict, "top level", "a dict with images and annotations")
    images, size = _images(content)
    sightings = []
    annotations = items(content.get("annotations"), list, "annotations", "a list")
    for i, item in enumerate(annotations):
        where = f"annotation {i}"
        items(item, dict, where, "a dict with image_id and keypoints")
        if item.get("iscrowd") == 1 or item.get("num_keypoints") == 0 or "keypoints" not in item:
            continue
        image = item.get("image_id")
        if type(image) not in (int, str) or image not in images:
            raise ValueError(f"{where}: expected the id of an image as image_id, got {image!r:.40}")
        found = _sighting(item, images[image][0], where, item.get("track_id"))
        assert found.score is not None, "triplets give scores"
        if (found.score > 2).any():
            raise ValueError(f"{where}: expected v of 0, 1 or 2, got {found.score.max():g}")
        sightings.append(Detection(found.frame, found.keypoints, found.score / 2, found.person))
    names = _joint_names(content.get("categories"), annotations)
    layout = next((key for key, known in LAYOUTS.items() if known.names == names), None)
    said = (layout, False) if names else _convention(sightings, COCO)
    frame_names = {number: name for number, name in images.values() if name}
    return Detections(sightings, *said, names=names, size=size, frame_names=frame_names)


def _sighting(item: Mapping[str, Any], frame: int, where: str, person: Any) -> Detection:
    if "keypoints" not in item:
        raise ValueError(f"{where}: expected keypoints in it, got {', '.join(item) or 'nothing'}")
    keypoints, score = triplets(item["keypoints"], f"{where}, keypoints")
    return Detection(frame, keypoints, score, _identity(person))


def _identity(value: Any) -> str | None:
    """An id as text; some trackers write a list of one."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if type(value) is float and value.is_integer():
        value = int(value)
    return str(value) if type(value) in (int, str) else None


def _convention(sightings: list[Detection], known: Mapping[int, str]) -> tuple[str | None, bool]:
    """The layout that the format's definition gives to keypoints of that number."""
    sizes = {len(found.keypoints) for found in sightings}
    return (known.get(sizes.pop()) if len(sizes) == 1 else None), True


Images = dict[int | str, tuple[int, str]]
"""Number of the frame and name of the file, by id."""


def _images(content: Mapping[str, Any]) -> tuple[Images, tuple[int, int] | None]:
    """Images by id, and the one size of all of them, where they say it."""
    sizes: set[tuple[int, int]] = set()
    names: dict[int | str, str] = {}
    for i, image in enumerate(items(content.get("images"), list, "images", "a list")):
        where = f"image {i}"
        items(image, dict, where, "a dict with id")
        if type(image.get("id")) not in (int, str):
            raise ValueError(f"{where}: expected an id, got {image.get('id')!r:.40}")
        if image["id"] in names:
            raise ValueError(f"{where}: expected ids that differ, got {image['id']!r:.40} again")
        names[image["id"]] = str(image.get("file_name", ""))
        if "width" in image or "height" in image:
            size = [whole(image.get(side), where, side) for side in ("width", "height")]
            sizes.add((size[0], size[1]))
    if len(sizes) > 1:
        some = " and ".join(f"{w} x {h}" for w, h in sorted(sizes)[:2])
        raise ValueError(f"expected images of one size, as of a video, got {some}")
    if all(names.values()) and len(set(names.values())) == len(names):
        numbers = frame_numbers(list(names.values()))
        images = {key: (numbers[name], name) for key, name in names.items()}
    else:
        ordered = sorted(names, key=lambda key: natural(str(key)))
        images = {key: (i, names[key]) for i, key in enumerate(ordered)}
    return images, sizes.pop() if sizes else None


def _joint_names(categories: Any, annotations: list[Any]) -> tuple[str, ...]:
    """Names of the keypoints, of the one category that the annotations are of."""
    if categories is None:
        return ()
    used = [item.get("category_id") for item in annotations if isinstance(item, dict)]
    used = [key for i, key in enumerate(used) if i == 0 or key != used[i - 1]]  # mostly one
    found = {
        tuple(map(str, category["keypoints"]))
        for category in items(categories, list, "categories", "a list")
        if isinstance(category, dict)
        and isinstance(category.get("keypoints"), list)
        and (category.get("id") in used or len(categories) == 1)
    }
    if len(found) > 1:
        raise ValueError("expected annotations of one category with keypoints, got several")
    return found.pop() if found else ()


def looks_like_alphapose(result: Any) -> bool:
    """Whether a result is AlphaPose's: names of files as ids, or a PoseFlow ``idx``."""
    return isinstance(result, dict) and (isinstance(result.get("image_id"), str) or "idx" in result)
