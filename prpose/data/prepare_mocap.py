"""A benchmark from motion capture files: read, map, clean, film, write."""

import csv
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prpose.atomic import check_output
from prpose.data import human36m
from prpose.data.benchmark_file import FORMAT, SPLITS, path_of, write_benchmark
from prpose.data.detector_model import COCO_SIGMA
from prpose.data.filming import Footage, Studio
from prpose.data.mocap import FORMATS
from prpose.data.mocap.mapping import JointMapping, read_mapping
from prpose.data.motion import Cleaning, clean
from prpose.tables import look_up

FPS = 60.0


@dataclass(frozen=True)
class Source:
    """A motion capture file and what it is to be in the benchmark."""

    path: Path
    format: str
    mapping: JointMapping
    name: str
    subject: str
    action: str
    split: str


@dataclass
class Report:
    """What went into a benchmark, and what did not."""

    path: Path
    inputs_sha256: str = ""
    clips: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    """Frames of the recording left out, by clip."""
    missing: list[str] = field(default_factory=list)


def build(
    name: str,
    sources: Sequence[Source],
    root: Path,
    overwrite: bool = False,
    note: str = "",
    version: int = 1,
    missing: Sequence[str] = (),
    on_clip: Callable[[int], None] = lambda clips: None,
) -> Report:
    """Makes ``data_{name}.npz`` in ``root``; the same files give the same bytes.

    Args:
        name: of the benchmark.
        sources: its recordings.
        root: existing folder.
        overwrite: replace the file if it exists.
        note: where the data are from, for the file's card.
        version: of the benchmark, for the same.
        missing: clips that should be there and are not, for the card.
        on_clip: told 1 after each clip.

    Raises:
        ValueError: naming the recording, for anything that cannot be read or is not a person who
            stands upright; nothing is written then.
    """
    path = check_output(path_of(root, name), overwrite)
    if not sources:
        raise ValueError("expected at least one recording, got none")
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise ValueError(f"expected each clip once, got {twice} more than once")
    studio, cleaning = Studio(), Cleaning()
    report = Report(path, missing=list(missing))
    footage: dict[str, list[Footage]] = {split: [] for split in SPLITS}
    for source in sources:
        look_up(source.split, footage, f"split of {source.name}")
        films, dropped = _film(source, studio, cleaning, seed=name)
        footage[source.split] += films
        if dropped:
            report.dropped[source.name] = dropped
        on_clip(1)
    for split, films in footage.items():
        report.clips[split] = len(films)
        report.frames[split] = sum(len(film.motion) for film in films)
    if not sum(report.clips.values()):
        raise ValueError("expected at least half a second of good frames, got none")
    card = _card(name, sources, studio, cleaning, report, note, version)
    report.inputs_sha256 = card["inputs_sha256"]
    write_benchmark(path, footage, card)
    return report


def _film(
    source: Source, studio: Studio, cleaning: Cleaning, seed: str
) -> tuple[list[Footage], int]:
    """Footage of a recording's good pieces, and how many of its frames were dropped."""
    _, read = look_up(source.format, FORMATS, "format")
    recording = read(source.path)
    try:
        poses = source.mapping.poses(recording)
        pieces = cleaning.pieces(poses, recording.fps)
        motions = clean(
            source.name, source.subject, source.action, poses, recording.fps, FPS, cleaning
        )
    except ValueError as error:
        raise ValueError(f"{source.path}: {error}") from None
    dropped = len(recording) - sum(piece.stop - piece.start for piece in pieces)
    return [studio.film(motion, seed) for motion in motions], dropped


def _card(
    name: str,
    sources: Sequence[Source],
    studio: Studio,
    cleaning: Cleaning,
    report: Report,
    note: str,
    version: int,
) -> dict[str, Any]:
    """Everything that the file depends on, with one hash over all of it."""
    inputs = {
        "format": FORMAT,
        "version": version,
        "name": name,
        "coco_sigma": COCO_SIGMA,
        "cameras_sha256": sha256(
            Path(human36m.__file__).with_name(human36m.CALIBRATION).read_bytes()
        ),
        "fps": FPS,
        "studio": asdict(studio),
        "cleaning": asdict(cleaning),
        "clips": {
            source.name: {
                "subject": source.subject,
                "action": source.action,
                "split": source.split,
                "mapping": asdict(source.mapping),
                "sha256": {each.name: sha256(each.read_bytes()) for each in _files(source)},
            }
            for source in sources
        },
    }
    return {
        "inputs": inputs,
        "inputs_sha256": sha256(repr(_sorted(inputs)).encode()),
        "dropped_frames": report.dropped,
        "missing_clips": report.missing,
        "note": note,
    }


def _files(source: Source) -> list[Path]:
    skeletons = sorted(source.path.parent.glob("*.asf")) if source.format == "asf" else []
    return [source.path, *skeletons]


def _sorted(value: Any) -> Any:
    """The same content in one order, so that its text is always the same."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def from_folder(
    folder: Path,
    format: str,
    joints: Path,
    val: Sequence[str] = (),
    test: Sequence[str] = (),
) -> list[Source]:
    """Recordings of a user's own folder.

    A ``clips.csv`` in the folder, with the columns file, subject, action and split, says what they
    are. Without it the subject is the name of a file's folder, or, in the folder itself, what
    stands before the first ``_`` of the file's name; the action is the rest of the name; and the
    split goes by subject.

    Args:
        folder: with the files, at any depth.
        format: a key of :data:`prpose.data.mocap.FORMATS`.
        joints: joint mapping.
        val, test: subjects of these splits; if neither is given, all are ``test``.

    Raises:
        ValueError: naming what is missing.
    """
    ending, _ = look_up(format, FORMATS, "format")
    mapping = read_mapping(joints)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if (folder / "clips.csv").is_file():
        return _from_table(folder, format, mapping)
    files = sorted(path for path in folder.rglob(f"*{ending}") if path.is_file())
    if not files:
        raise ValueError(f"{folder}: no {ending} files in it")
    sources = []
    for path in files:
        inside = path.parent != folder
        subject, _, action = path.stem.partition("_")
        subject, action = (path.parent.name, path.stem) if inside else (subject, action or subject)
        chosen = "val" if subject in val else "train" if test or val else "test"
        split = "test" if subject in test else chosen
        name = path.relative_to(folder).with_suffix("").as_posix().replace("/", "_")
        sources.append(Source(path, format, mapping, name, subject, action, split))
    unknown = sorted({*val, *test} - {source.subject for source in sources})
    if unknown:
        known = ", ".join(sorted({source.subject for source in sources}))
        raise ValueError(f"{folder}: no subject {', '.join(unknown)}; there are {known}")
    return sources


def _from_table(folder: Path, format: str, mapping: JointMapping) -> list[Source]:
    path = folder / "clips.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table ({error})") from None
    columns = {"file", "subject", "action", "split"}
    if not rows or not all(isinstance(row.get(c), str) for row in rows for c in columns):
        raise ValueError(f"{path}: expected rows with the columns {', '.join(sorted(columns))}")
    return [
        Source(
            folder / row["file"],
            format,
            mapping,
            Path(row["file"]).with_suffix("").as_posix().replace("/", "_"),
            row["subject"],
            row["action"],
            row["split"],
        )
        for row in rows
    ]
