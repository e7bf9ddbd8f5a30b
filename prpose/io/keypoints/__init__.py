"""Keypoints as detectors write them → :class:`prpose.Keypoints` of each person; docs/formats.md shows every format."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from prpose.io.keypoints import (
    arrays,
    coco,
    csv_table,
    hdf5,
    mediapipe,
    mmpose,
    openpifpaf,
    openpose,
    ultralytics,
    videopose3d,
)
from prpose.io.keypoints.detections import Detections, has, innermost, is_normalised, load_json, numbered, with_prefix
from prpose.io.keypoints.tracking import people_from as people_from
from prpose.io.keypoints.tracking import select_person as select_person
from prpose.keypoints import Keypoints, Tracking, load_keypoints
from prpose.tables import look_up, naming
from prpose.unpickle import entry_names


@dataclass(frozen=True)
class Format:
    """A file format of keypoints."""

    read: Callable[[Any], Detections] | None  # of a file's JSON, or its path if it is no JSON; None for our own npz
    fields: tuple[str, ...] = ()  # alternatives: the file's JSON, its first item, or an npz has all fields of one
    by_image: bool = False  # whether the fields are those of the values of an object with names of images
    levels: tuple[int, ...] = ()  # how many lists may be around the file's first object, if that tells the format
    ending: str = ".json"
    frame_files: bool = False  # whether a file is one frame, read as frame 0, and a folder of them a clip

    def matches(self, content: Any) -> bool:
        """Whether a file with this JSON, or these entries, may be of this format."""
        if self.by_image:
            is_object = isinstance(content, dict) and content and all("." in name for name in content)
            content = next(iter(content.values())) if is_object else None
        if self.levels and innermost(content)[0] not in self.levels:
            return False
        return not self.fields or any(has(content, *names.split()) for names in self.fields)

    def files_in(self, folder: Path) -> list[Path]:
        """The files of a folder that is a clip with one file per frame; none of other folders.

        Files whose names differ in numbers only are taken to be alike.
        """
        found = sorted(folder.glob(f"[!.]*{self.ending}")) if self.frame_files else []
        alike: dict[str, list[Path]] = {}
        for file in found:
            alike.setdefault(re.sub("[0-9]+", "0", file.name), []).append(file)
        return sorted(file for files in alike.values() if self._are_frames(files) for file in files)

    def _are_frames(self, files: list[Path]) -> bool:
        """Whether the first of these files that holds anything is a frame of this format."""
        assert self.read is not None
        for file in files:
            with suppress(ValueError, OSError):  # reading the clip names the file
                content = load_json(file) if self.ending == ".json" else self.read(file).detections
                if content not in ([], None):
                    return self.ending != ".json" or self.matches(content)
        return files[0].name.endswith("_keypoints.json")  # OpenPose's, all empty or damaged


FORMATS: dict[str, Format] = {  # the first that matches a file is its format
    "coco-annotations": Format(coco.read_annotations, ("images annotations",)),
    "openpose": Format(openpose.read, ("people",), levels=(0,), frame_files=True),
    "openpose-frames": Format(openpose.read_frames, ("people",), levels=(1,)),
    "alphapose-by-image": Format(openpose.read_by_image, ("people", "bodies"), by_image=True),
    "mediapipe": Format(mediapipe.read, ("frames", "pose_landmarks")),
    "mmpose": Format(mmpose.read, ("instance_info", "instances")),
    "mmpose-images": Format(mmpose.read, ("keypoint_scores",), levels=(1,), frame_files=True),
    "mmpose-frames": Format(mmpose.read_frames, ("keypoint_scores",), levels=(2, 3)),
    "ultralytics-images": Format(ultralytics.read, ("keypoints box class",), levels=(1,), frame_files=True),
    "ultralytics": Format(ultralytics.read_frames, ("keypoints box class",), levels=(2,)),
    "ultralytics-labels": Format(ultralytics.read_labels, ending=".txt", frame_files=True),
    "alphapose": Format(coco.read_results, ("image_id idx",)),
    "coco": Format(coco.read_results, ("image_id",)),
    "openpifpaf": Format(openpifpaf.read_frames, ("frame predictions",), levels=(1,)),
    "openpifpaf-images": Format(openpifpaf.read, ("keypoints bbox category_id",), levels=(1,), frame_files=True),
    "videopose3d": Format(videopose3d.read_custom, ("positions_2d",), ending=".npz"),
    "detectron2": Format(videopose3d.read_detections, ("boxes keypoints",), ending=".npz"),
    "reconstruction": Format(arrays.read_reconstruction, ("reconstruction",), ending=".npz"),
    "3dhp": Format(videopose3d.read_3dhp, ("data",), ending=".npz"),
    "keypoints": Format(arrays.read_keypoints, ("keypoints",), ending=".npz"),
    "npz": Format(None, ending=".npz"),
    "npy": Format(arrays.read_npy, ending=".npy"),
    "deeplabcut": Format(hdf5.read_deeplabcut, ("df_with_missing",), ending=".h5"),
    "sleap": Format(hdf5.read_analysis, ending=".h5"),
    "sleap-labels": Format(hdf5.read_labels, ending=".slp"),
    "csv": Format(csv_table.read_csv, ending=".csv"),
}
ENTRY_POINTS = "prpose.formats"
"""Entry-point group in which installed packages name formats of their own, each a :class:`Format`."""
ENDINGS = tuple(dict.fromkeys(format.ending for format in FORMATS.values() if format.ending != ".txt"))  # of inputs


@cache
def known_formats() -> dict[str, Format]:
    """:data:`FORMATS` and those of installed packages (:data:`ENTRY_POINTS`); ``ValueError`` for one that is none."""
    found = dict(FORMATS)
    for point in entry_points(group=ENTRY_POINTS):
        format = point.load()
        if not isinstance(format, Format) or point.name in FORMATS:
            raise ValueError(f"expected a new Format as {point.name!r:.40} of {ENTRY_POINTS}, got {point.value:.80}")
        found[point.name] = format
    return found


def read_keypoints(
    path: str | Path,
    *,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    person: str | None = None,
    format: str | None = None,
    tracking: Tracking = "auto",
    prefix: str | None = None,
) -> Keypoints:
    """One person's keypoints from a file of any known format.

    Args:
        path: of the file, or of the folder for formats with a file per frame.
        layout: order of the joints, a key of :data:`prpose.layouts.LAYOUTS`, where neither file nor format gives it.
        image_size: width and height, pixels, where the file does not give them.
        fps: frames per second, where the file does not give them.
        person: id of the person, if there are several.
        format: a key of :data:`FORMATS`. Default: recognised from the file.
        tracking: who is who over time: by the file's ids where they can be ids (auto) or must be, or by position.
        prefix: only the files of a folder, or images of a list, whose names begin with this.

    Raises:
        ValueError: naming the file, if it cannot be read, lacks a value or contradicts an argument; listing the people,
            if there are several and ``person`` is none of them.

    Example:
        >>> read_keypoints("tests/data/formats/openpose_coco18", image_size=(1000, 1002), fps=10)
        Keypoints(T=8, layout='coco18', image_size=(1000, 1002), fps=10, person='0', missing 0 %)
    """
    described: dict[str, Any] = {"layout": layout, "image_size": image_size, "fps": fps, "format": format}
    people = read_people(path, **described, tracking=tracking, prefix=prefix)
    with naming(path):
        return select_person(people, person)


def read_people(
    path: str | Path,
    *,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    format: str | None = None,
    tracking: Tracking = "auto",
    prefix: str | None = None,
    on_file: Callable[[int, int], None] = lambda files, total: None,
) -> list[Keypoints]:
    """Keypoints of all people in a file, those with the most frames first; arguments as of :func:`read_keypoints`.

    ``on_file`` is called with 1 and the number of all files after each file of a folder.
    """
    path = Path(path)
    if format is not None:
        look_up(format, known_formats(), "format")
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    with naming(path, (ValueError, OSError)):
        name, content = recognise(path) if format is None else (format, None)
        if (chosen := known_formats()[name]).read is None:
            return [load_keypoints(path, layout, image_size, fps)]
        try:
            found = numbered(_read(path, chosen, content, prefix, on_file), prefix)
        except ValueError as error:
            raise ValueError(f"{error} (read as {name})") from None
        return people_from(found, layout, image_size, fps, tracking)


def _read(
    path: Path, format: Format, content: Any, prefix: str | None, on_file: Callable[[int, int], None]
) -> Detections:
    """The detections of a file, whose JSON may be given, or of a folder with one file per frame, which may be, too."""
    assert format.read is not None, "read_people reads our own npz"
    if not path.is_dir():
        is_json = format.ending == ".json" and path.suffix.lower() != ".npy"
        source = path if not is_json else load_json(path) if content is None else content
        found, files = [format.read(source)], [path]
        if not format.frame_files:
            return found[0]
    else:
        if not (files := content or format.files_in(path)):
            raise ValueError("expected a file or folder of the given format, got another folder")
        found, files = [], [path / name for name in with_prefix([file.name for file in files], prefix)]
        for file in files:
            with naming(file.name):
                found.append(format.read(load_json(file) if format.ending == ".json" else file))
            on_file(1, len(files))
    detections = [replace(detection, frame=i) for i, part in enumerate(found) for detection in part.detections]
    sizes = {part.image_size for part in found if part.image_size is not None}
    if len(sizes) > 1:
        raise ValueError(f"expected images of one size, got {sorted(sizes)[:2]}")
    return replace(
        found[0],
        detections=detections,
        images=tuple(file.name for file in files),
        image_size=next(iter(sizes), None),
        normalised=any(part.normalised for part in found) and is_normalised(detections),
    )


def recognise(path: Path) -> tuple[str, Any]:
    """The name of the format of a file or folder, and its JSON, or its files; ``ValueError`` if it is unknown."""
    if path.is_dir():
        for name, format in known_formats().items():
            if files := format.files_in(path):
                return name, files
        raise ValueError("expected JSON of OpenPose or MMPose with a frame in each, or images, in the folder, got none")
    ending = path.suffix.lower()
    content = load_json(path) if ending == ".json" else None
    if content == []:
        raise ValueError("expected at least one person, got an empty list")
    names_of = {".npz": entry_names, ".h5": hdf5.entry_names}.get(ending)
    fields = dict.fromkeys(names_of(path)) if names_of else content
    for name, format in known_formats().items():
        if format.ending == ending and format.matches(fields):
            return name, content
    if ending == ".json":
        got = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        hint = f"{_nearest(content)}; --config.format: one of prpose models --formats; arrays are read as .npy"
        raise ValueError(f"expected JSON of a known format, got {got:.80}{hint}")
    known = f"an image or a video (.jpg, .mp4 ...), or keypoints, as {', '.join(ENDINGS)} or a folder"
    raise ValueError(f"expected {known}, got {ending or 'no ending'}")


def _nearest(content: Any) -> str:
    """The format that shares most names of fields with unknown JSON, and what it has besides."""
    present = set(first) if isinstance(first := innermost(content)[1], dict) else set()
    known = [(name, format) for name, format in known_formats().items() if format.ending == ".json"]
    wanted = [(name, set(fields.split())) for name, format in known for fields in format.fields]
    if not (shared := [(len(fields & present) / len(fields), name, fields) for name, fields in wanted]):
        return ""
    share, name, fields = max(shared)
    absent = ", ".join(sorted(fields - present))
    return "" if not share else f"; the nearest format is {name}" + (f", which has {absent}" if absent else "")


def is_one_clip(folder: Path) -> bool:
    """Whether a folder is one clip with a keypoint file per frame: OpenPose's, or MMPose's of images."""
    return any(format.files_in(folder) for format in known_formats().values())


def inputs_in(folder: Path, other: Callable[[Path], bool] = lambda path: False) -> tuple[list[Path], list[Path]]:
    """Keypoint files, clips and what ``other`` accepts in a folder, and everything else in it, both sorted by name.

    Hidden files and the content of deeper folders are ignored; ``ValueError`` if there is no input.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    keypoints = [path for path in inside if (is_one_clip(path) if path.is_dir() else path.suffix.lower() in ENDINGS)]
    inputs = [path for path in inside if path in keypoints or other(path)]
    if not inputs:
        raise ValueError(f"{folder}: expected images, video or keypoint files in it ({', '.join(ENDINGS)}), got none")
    return inputs, [path for path in inside if path not in inputs]
