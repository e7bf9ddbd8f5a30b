"""Keypoints as detectors write them → tracks of people; docs/formats.md shows every format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prpose.io.keypoints import arrays, coco, mediapipe, mmpose, openpose, videopose
from prpose.io.keypoints.detections import Detection, Detections, load_json
from prpose.io.keypoints.people import by_person
from prpose.keypoints import Keypoints, load_keypoints
from prpose.keypoints import agree as agreed
from prpose.layouts import LAYOUTS
from prpose.tables import look_up
from prpose.unpickle import entry_names


@dataclass(frozen=True)
class Format:
    """A format: its reader, and whether its files are JSON and may be folders."""

    read: Callable[[Path, Any], Detections]
    json: bool = True
    folder: bool = False


FORMATS: dict[str, Format | None] = {
    "coco": Format(coco.read_results),
    "coco-annotations": Format(coco.read_annotations),
    "openpose": Format(openpose.read, folder=True),
    "alphapose": Format(coco.read_alphapose),
    "mmpose": Format(mmpose.read, folder=True),
    "mediapipe": Format(mediapipe.read),
    "videopose3d": Format(videopose.read_custom, json=False),
    "detectron2": Format(videopose.read_detections, json=False),
    "npy": Format(arrays.read_npy, json=False),
    "csv": Format(arrays.read_csv, json=False),
    "npz": None,  # our own, which holds one track as it is
}
"""By name; docs/formats.md describes each."""


def read_people(
    path: str | Path,
    format: str | None = None,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> list[Keypoints]:
    """Everybody in a file or folder of keypoints, those with the most frames first.

    Args:
        path: of the file, or of the folder for formats with a file per frame.
        format: a key of :data:`FORMATS`; recognised from the file's structure if not given.
        layout: order of the joints, where neither file nor format says it.
        image_size: width and height in pixels, where the file does not say them.
        fps: frames per second, where the file does not say them.

    Raises:
        ValueError: naming the file, if it cannot be read, does not say what it must, or says
            something else than the arguments.
    """
    path = Path(path)
    if layout is not None:
        look_up(layout, LAYOUTS, "layout")
    if format is not None:
        look_up(format, FORMATS, "format")
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    try:
        kind, content = (format, None) if format else recognise(path)
        found = FORMATS[kind]
        if found is not None:
            if path.is_dir() and not found.folder:
                raise ValueError(f"expected a file of {kind}, got a folder")
            if content is None and found.json and not path.is_dir() and _is_text(path):
                content = load_json(path)
            return people_from(found.read(path, content), layout, image_size, fps)
    except (ValueError, OSError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: {reason}") from None
    return [load_keypoints(path, layout, image_size, fps)]


def recognise(path: Path) -> tuple[str, Any]:
    """The format of a file or folder, from its structure, and its JSON where it is one.

    Raises:
        ValueError: if it is none that is known.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        if openpose.frame_files(path):
            return "openpose", None
        if any(path.glob("*.json")):
            return "mmpose", None
        raise ValueError("expected *_keypoints.json of OpenPose or images in the folder, got none")
    if ending == ".json":
        content = load_json(path)
        return _recognise_json(content), content
    if ending == ".npz":
        names = entry_names(path)
        if "positions_2d" in names:
            return "videopose3d", None
        return ("detectron2" if {"boxes", "keypoints"} <= {*names} else "npz"), None
    if ending in (".npy", ".csv"):
        return ending[1:], None
    raise ValueError(
        "expected a picture or video (.jpg, .mp4 ...), or keypoints, as .json, .npz, .npy, .csv or "
        f"a folder, got {ending or 'no ending'}"
    )


def _recognise_json(content: Any) -> str:
    if isinstance(content, dict) and "images" in content and "annotations" in content:
        return "coco-annotations"
    if isinstance(content, dict) and "people" in content:
        return "openpose"
    if mediapipe.looks_like(content):
        return "mediapipe"
    if mmpose.looks_like(content):
        return "mmpose"
    if isinstance(content, list) and content and isinstance(content[0], dict):
        if coco.looks_like_alphapose(content[0]):
            return "alphapose"
        if "image_id" in content[0]:
            return "coco"
    if content == []:
        raise ValueError("expected somebody in the file, got an empty list")
    got = ", ".join(content) if isinstance(content, dict) else type(content).__name__
    raise ValueError(f"expected JSON of a known format, got {got:.80}; --format is one of {', '.join(FORMATS)}")


def _is_text(path: Path) -> bool:
    """Whether it can be JSON: MediaPipe's may be an array, too."""
    return path.suffix.lower() != ".npy"


def people_from(
    reading: Detections,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> list[Keypoints]:
    """Tracks of what a file says; arguments and errors as of :func:`read_people`."""
    if not reading.detections:
        raise ValueError("expected somebody in the file, got nobody in any frame")
    name = _layout(reading, layout)
    people = by_person(reading.detections, LAYOUTS[name])
    rate = fps if reading.fps is None else agreed("frame rate", reading.fps, fps, "--fps")
    tracks = []
    for person, sightings in people.items():
        said = reading.sizes.get(person, reading.image_size)
        width, height = agreed("image size", said, image_size, "--image-size")
        pixels = np.stack([sighting.xy for sighting in sightings])
        if reading.normalised:
            pixels = pixels * (width, height)
        frames = np.array([sighting.frame for sighting in sightings])
        names = [reading.frame_names.get(int(frame), "") for frame in frames]
        times = [reading.times_s[int(frame)] for frame in frames] if reading.times_s else None
        tracks.append(
            Keypoints(
                pixels.astype(np.float32),
                (width, height),
                name,
                _scores(sightings),
                rate,
                frames,
                None if times is None else np.array(times),
                person,
                tuple(names) if all(names) else (),
                reading.warnings,
            )
        )
    return sorted(tracks, key=len, reverse=True)


def _layout(reading: Detections, declared: str | None) -> str:
    """The layout that file, format or user say, if it has as many joints as there are."""
    counts = {len(sighting.xy) for sighting in reading.detections}
    if len(counts) > 1:
        raise ValueError(f"expected as many joints in every frame, got {sorted(counts)}")
    J = counts.pop()
    if reading.by_convention and declared is not None:
        name = declared
    elif reading.layout is None and declared is None:
        known = [key for key, layout in LAYOUTS.items() if len(layout) == J]
        some = f"its joints are {', '.join(reading.names[:4])} ...; " if reading.names else ""
        hint = f" (of {J} joints: {', '.join(known) or 'none is known'})"
        raise ValueError(f"{some}expected the file to say its layout, or --layout{hint}")
    else:
        name = agreed("layout", reading.layout, declared, "--layout")
    if len(LAYOUTS[name]) != J:
        raise ValueError(f"expected the {len(LAYOUTS[name])} joints of {name}, got {J}")
    return name


def _scores(sightings: Sequence[Detection]) -> Any:
    """(T, J) float32, if everybody has scores."""
    scores = [sighting.confidence for sighting in sightings if sighting.confidence is not None]
    return np.stack(scores).astype(np.float32) if len(scores) == len(sightings) else None


def pick(tracks: Sequence[Keypoints], person: str | None = None) -> Keypoints:
    """One person's track: the only one, or the one that is named.

    Raises:
        ValueError: listing the people, if there are several and none is named, or nobody is of
            that name.
    """
    named: Mapping[str, Keypoints] = {track.person: track for track in tracks}
    if person is None and len(tracks) == 1:
        return tracks[0]
    if person is not None and person in named:
        return named[person]
    listed = "; ".join(_described(track) for track in tracks[:10])
    more = f"; and {len(tracks) - 10} more" if len(tracks) > 10 else ""
    wanted = "one person, or --person" if person is None else f"one of the people, got {person!r}"
    raise ValueError(f"expected {wanted}; there are {len(tracks)}: {listed}{more}")


def _described(track: Keypoints) -> str:
    first, last = track.frame_numbers[[0, -1]]
    text = f"{track.person} ({len(track)} frames, {first} to {last}"
    if track.score is not None:
        text += f", mean score {track.score.mean():.2f}"
    return text + ")"


def read_keypoints(
    path: str | Path,
    *,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: str | None = None,
    format: str | None = None,
) -> Keypoints:
    """One person's keypoints."""
    return pick(read_people(path, format, layout, image_size, fps), person)
