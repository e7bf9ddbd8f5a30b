"""OpenPose's ``--write_json``: a folder with one ``*_keypoints.json`` per frame, or one such file; doc/02_output.md."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from prpose.io.keypoints.detections import Detection, Detections, Tracked, Value, Whole, check, is_normalised, triplets

LAYOUTS = {25: "body25", 18: "coco18"}  # by number of body parts; BODY_25B has 25 others, which the file does not tell


class Person(Tracked):
    pose_keypoints_2d: list[Value] | None  # x, y, confidence of each body part


class Frame(msgspec.Struct):
    people: list[Person | None] | None
    canvas_width: Whole | None = None  # of ComfyUI and ControlNet, whose coordinates may be shares of it
    canvas_height: Whole | None = None


def read(content: Any) -> Detections:
    """The people of a frame; a person without body parts is left out."""
    return _detections([check(content, Frame)])


def read_frames(content: Any) -> Detections:
    """The people of a list of frames, as of ComfyUI's and ControlNet's nodes."""
    return _detections(check(content, list[Frame | None]), "[{}].")


def read_by_image(content: Any) -> Detections:
    """AlphaPose's ``--format open`` or ``cmu``: frames in OpenPose's structure, by the names of their images."""
    names = sorted(check(content, dict[str, Any]))
    frames = []
    for name in names:
        found = content[name]
        if isinstance(found, dict) and isinstance(found.get("bodies"), list):  # cmu: joints
            found = {"people": [{"pose_keypoints_2d": body.get("joints")} if isinstance(body, dict) else body
                                for body in found["bodies"]]}  # fmt: skip
        frames.append(None if found is None else check(found, Frame, name))
    return replace(_detections(frames, "frame {}, "), images=tuple(names))


def _detections(frames: Sequence[Frame | None], place: str = "") -> Detections:
    detections, sizes = [], set()
    for t, frame in enumerate(frames):
        if frame is None:
            continue
        for i, person in enumerate(frame.people or ()):
            if person is not None and person.pose_keypoints_2d:
                table = triplets(person.pose_keypoints_2d, f"{place.format(t)}people[{i}].pose_keypoints_2d")
                detections.append(Detection.of(t, table, person.person))
        if frame.canvas_width and frame.canvas_height:
            sizes.add((int(frame.canvas_width), int(frame.canvas_height)))
    if len(sizes) > 1:
        raise ValueError(f"expected frames of one canvas, got {sorted(sizes)[:2]}")
    size = next(iter(sizes), None)
    normalised = size is not None and is_normalised(detections)
    return Detections(detections, default_layouts=LAYOUTS, image_size=size, normalised=normalised)
