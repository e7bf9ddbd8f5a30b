"""Keypoints as detectors write them → :class:`prpose.Keypoints` of each person; docs/formats.md shows every format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.io.keypoints import coco, mediapipe, mmpose, openpose, tables, videopose3d
from prpose.io.keypoints.detections import Detection, Detections, load_json
from prpose.io.keypoints.tracking import group_by_person
from prpose.keypoints import Keypoints, agree, load_keypoints
from prpose.layouts import LAYOUTS, find_layout
from prpose.tables import look_up
from prpose.unpickle import entry_names


@dataclass(frozen=True)
class Format:
    """A file format of keypoints.

    Args:
        read: path and JSON content → detections; None for prpose's own npz.
        matches: tells its files by their JSON content, or by the names of an npz's entries.
        ending: of its files.
        is_folder: tells folders that hold one clip, with a file per frame.
    """

    read: Callable[[Path, Any], Detections] | None
    matches: Callable[[Any], bool]
    ending: str = ".json"
    is_folder: Callable[[Path], bool] = lambda path: False


FORMATS: dict[str, Format] = {
    "coco-annotations": Format(coco.read_annotations, coco.is_annotations),
    "openpose": Format(openpose.read, openpose.matches, is_folder=lambda path: bool(openpose.frame_files(path))),
    "mediapipe": Format(mediapipe.read, mediapipe.matches),
    "mmpose": Format(mmpose.read, mmpose.matches, is_folder=mmpose.is_folder),
    "alphapose": Format(coco.read_alphapose, coco.is_alphapose),
    "coco": Format(coco.read_results, coco.is_results),
    "videopose3d": Format(videopose3d.read_custom, videopose3d.is_custom, ".npz"),
    "detectron2": Format(videopose3d.read_detections, videopose3d.is_detections, ".npz"),
    "npy": Format(tables.read_npy, lambda content: True, ".npy"),
    "csv": Format(tables.read_csv, lambda content: True, ".csv"),
    "npz": Format(None, lambda content: True, ".npz"),
}
"""By name; the first that matches a file is its format. docs/formats.md describes each."""

ENDINGS = tuple(dict.fromkeys(format.ending for format in FORMATS.values()))


def read_keypoints(
    path: str | Path,
    *,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: str | None = None,
    format: str | None = None,
) -> Keypoints:
    """One person's keypoints from a file of any known format.

    Args:
        path: of the file, or of the folder for formats with a file per frame.
        layout: order of the joints, a key of :data:`prpose.layouts.LAYOUTS`, where neither file nor format gives it.
        image_size: width and height, pixels, where the file does not give them.
        fps: frames per second, where the file does not give them.
        person: id of the person, if there are several.
        format: a key of :data:`FORMATS`. Default: recognised from the file.

    Raises:
        ValueError: naming the file, if it cannot be read, lacks a value or contradicts an argument; listing the people,
            if there are several and ``person`` is none of them.

    Example:
        >>> read_keypoints("tests/data/formats/openpose_coco18", image_size=(1000, 1002), fps=10)
        Keypoints(T=8, layout='coco18', image_size=(1000, 1002), fps=10, person='0', missing 0 %)
    """
    people = read_people(path, layout=layout, image_size=image_size, fps=fps, format=format)
    try:
        return select_person(people, person)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_people(
    path: str | Path,
    *,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    format: str | None = None,
) -> list[Keypoints]:
    """The keypoints of all people in a file, those with the most frames first.

    Arguments and errors are those of :func:`read_keypoints`.
    """
    path = Path(path)
    if layout is not None:
        find_layout(layout)
    if format is not None:
        look_up(format, FORMATS, "format")
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    try:
        name, content = recognise(path) if format is None else (format, None)
        found = FORMATS[name]
        if path.is_dir() and not found.is_folder(path):
            raise ValueError(f"expected a file or folder of {name}, got another folder")
        if found.read is None:
            return [load_keypoints(path, layout, image_size, fps)]
        if content is None and found.ending == ".json" and path.is_file() and path.suffix.lower() != ".npy":
            content = load_json(path)
        return people_from(found.read(path, content), layout, image_size, fps)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


def recognise(path: Path) -> tuple[str, Any]:
    """The name of the format of a file or folder, and a file's JSON; ``ValueError`` if it is unknown."""
    if path.is_dir():
        for name, format in FORMATS.items():
            if format.is_folder(path):
                return name, None
        raise ValueError("expected *_keypoints.json of OpenPose, JSON of MMPose or images in the folder, got none")
    ending, content = path.suffix.lower(), None
    if ending == ".json":
        content = load_json(path)
        if content == []:
            raise ValueError("expected at least one person, got an empty list")
    names = entry_names(path) if ending == ".npz" else content
    for name, format in FORMATS.items():
        if format.ending == ending and format.matches(names):
            return name, content
    if ending == ".json":
        got = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"expected JSON of a known format, got {got:.80}; --config.format: {', '.join(FORMATS)}")
    raise ValueError(
        f"expected an image or a video (.jpg, .mp4 ...), or keypoints, as {', '.join(ENDINGS)} or a folder, "
        f"got {ending or 'no ending'}"
    )


def people_from(
    found: Detections,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> list[Keypoints]:
    """Detections of all frames → the keypoints of each person, those with the most frames first.

    Arguments and errors are those of :func:`read_keypoints`.
    """
    if not found.detections:
        raise ValueError("expected at least one person, got none in any frame")
    name = _layout(found, layout)
    rate = fps if found.fps is None else agree("frame rate", found.fps, fps, "--fps")
    people = []
    for person, detections in group_by_person(found.detections, LAYOUTS[name]).items():
        size = agree("image size", found.image_sizes.get(person, found.image_size), image_size, "--image-size")
        xy = np.stack([detection.xy for detection in detections])
        if found.normalised:
            xy = xy * size
        frames = [detection.frame for detection in detections]
        names = tuple(found.frame_names.get(frame, "") for frame in frames)
        people.append(
            Keypoints(
                xy.astype(np.float32),
                size,
                name,
                _confidence(detections),
                rate,
                np.array(frames),
                np.array([found.times_s[frame] for frame in frames]) if found.times_s else None,
                person,
                names if all(names) else (),
                found.warnings,
            )
        )
    return sorted(people, key=len, reverse=True)


def _layout(found: Detections, given: str | None) -> str:
    """The layout from file, format or user, which must have as many joints as the file."""
    counts = {len(detection.xy) for detection in found.detections}
    if len(counts) > 1:
        raise ValueError(f"expected as many joints in every frame, got {sorted(counts)}")
    J = counts.pop()
    if found.layout is None and given is None:
        fitting = ", ".join(key for key, layout in LAYOUTS.items() if len(layout) == J) or "none"
        joints = f" with the joints {', '.join(found.joint_names[:4])} ..." if found.joint_names else ""
        raise ValueError(f"the file{joints} does not give its layout: expected --layout (of {J} joints: {fitting})")
    own = None if found.layout_is_default and given else found.layout
    name = agree("layout", own, given, "--layout")
    if len(LAYOUTS[name]) != J:
        raise ValueError(f"expected the {len(LAYOUTS[name])} joints of {name}, got {J}")
    return name


def _confidence(detections: Sequence[Detection]) -> Any:
    """(T, J) float32, if every detection has one."""
    values = [found.confidence for found in detections if found.confidence is not None]
    return np.stack(values).astype(np.float32) if len(values) == len(detections) else None


def select_person(people: Sequence[Keypoints], person: str | None = None) -> Keypoints:
    """One person's keypoints: the only ones, or those of an id.

    Raises:
        ValueError: listing the people, if there are several and none is given, or the id is none of theirs.
    """
    if person is None and len(people) == 1:
        return people[0]
    for keypoints in people:
        if keypoints.person == person:
            return keypoints
    listed = "; ".join(_described(keypoints) for keypoints in people[:10])
    more = f"; and {len(people) - 10} more" if len(people) > 10 else ""
    wanted = "one person, or --person" if person is None else f"the id of a person, got {person!r}"
    raise ValueError(f"expected {wanted}; there are {len(people)}: {listed}{more}")


def _described(keypoints: Keypoints) -> str:
    assert keypoints.frame_numbers is not None, "filled in by Keypoints"
    first, last = keypoints.frame_numbers[[0, -1]]
    text = f"{keypoints.person} ({len(keypoints)} frames, {first} to {last}"
    if keypoints.confidence is not None:
        text += f", mean confidence {keypoints.confidence.mean():.2f}"
    return text + ")"


def is_one_clip(folder: Path) -> bool:
    """Whether a folder is one clip with a keypoint file per frame: OpenPose's, or MMPose's of images."""
    return any(format.is_folder(folder) for format in FORMATS.values())


def inputs_in(folder: Path, other: Callable[[Path], bool] = lambda path: False) -> tuple[list[Path], list[Path]]:
    """Keypoint files and folders of one clip in a folder, and everything else in it, both sorted by name.

    Hidden files and the content of deeper folders are ignored.

    Args:
        folder: to list.
        other: tells inputs of another kind: images and video.

    Raises:
        ValueError: if there is no input.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inputs = [path for path in inside if other(path) or _is_input(path)]
    if not inputs:
        raise ValueError(
            f"{folder}: expected images, video, keypoint files ({', '.join(ENDINGS)}) or folders of OpenPose in the "
            "folder, or *_keypoints.json of it, got none"
        )
    return inputs, [path for path in inside if path not in inputs]


def _is_input(path: Path) -> bool:
    return is_one_clip(path) if path.is_dir() else path.suffix.lower() in ENDINGS
