"""A benchmark from motion capture files: read, map, clean, film, write."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prpose.atomic import check_output
from prpose.data import human36m
from prpose.data.mocap import FORMATS
from prpose.data.mocap.asf_amc import FPS as AMC_FPS
from prpose.data.mocap.asf_amc import skeleton_beside
from prpose.data.mocap.mapping import JointMapping
from prpose.data.mocap.sources import Source
from prpose.data.motion import Cleaning, Motion, check_rate, check_sides, check_size, cut
from prpose.data.synthetic.benchmark_file import FORMAT, SPLITS, path_of, write_benchmark
from prpose.data.synthetic.detector_noise import BODY_SHARE, BOX, COCO_SIGMA, LIMBS, THINNEST
from prpose.data.synthetic.rendering import Rendering, Rig
from prpose.tables import look_up

FPS = 60.0


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
    doubtful: list[str] = field(default_factory=list)
    """Clips that look upside down or mirrored among others that do not."""


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
        root: folder.
        overwrite: replace the file if it exists.
        note: where the data are from, for the file's card.
        version: of the benchmark, for the same.
        missing: clips that should be there and are not, for the card.
        on_clip: told 1 after each clip.

    Raises:
        ValueError: naming the recording, for anything that cannot be read; if the recordings of a
            mapping do not show people who stand upright, on the whole; for a subject in two
            splits. Nothing is written then.
    """
    path = check_output(path_of(root, name), overwrite)
    if not sources:
        raise ValueError("expected at least one recording, got none")
    _check_sources(sources)
    sources = sorted(sources, key=lambda source: source.name)  # the file's order, whoever asks
    studio, cleaning = Rig(), Cleaning()
    report = Report(path, missing=sorted(missing))
    footage: dict[str, list[Rendering]] = {split: [] for split in SPLITS}
    by_mapping: list[tuple[JointMapping, list[Motion]]] = []
    for source in sources:
        motions, dropped = _motions(source, cleaning)
        alike = [known for mapping, known in by_mapping if mapping == source.mapping]
        if alike:
            alike[0].extend(motions)
        else:
            by_mapping.append((source.mapping, list(motions)))
        footage[source.split] += [studio.render(motion, seed=name) for motion in motions]
        if dropped:
            report.dropped[source.name] = dropped
        on_clip(1)
    for _, motions in by_mapping:
        report.doubtful += check_sides(motions)
    _check_names([film.motion.name for films in footage.values() for film in films])
    for split, films in footage.items():
        report.clips[split] = len(films)
        report.frames[split] = sum(len(film.motion) for film in films)
    if not sum(report.clips.values()):
        raise ValueError("expected at least half a second of good frames, got none")
    card = _card(name, sources, studio, cleaning, report, note, version)
    report.inputs_sha256 = card["inputs_sha256"]
    write_benchmark(path, footage, card)
    return report


def _check_sources(sources: Sequence[Source]) -> None:
    _check_names([source.name for source in sources])
    files: dict[Path, str] = {}
    split_of: dict[str, str] = {}
    for source in sources:
        look_up(source.split, dict.fromkeys(SPLITS), f"split of {source.name}")
        twin = files.setdefault(source.path.resolve(), source.name)
        if twin != source.name:
            raise ValueError(f"expected each file once, got one as {twin} and as {source.name}")
        for name in (source.name, source.subject, source.action):
            if not name.isprintable():
                raise ValueError(f"expected a name that can be written as text, got {name!a}")
        split = split_of.setdefault(source.subject, source.split)
        if split != source.split:
            raise ValueError(f"expected each subject in one split, got {source.subject} in {split} and {source.split}")


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"expected each clip once, got {twice[0]} more than once")


def _motions(source: Source, cleaning: Cleaning) -> tuple[list[Motion], int]:
    """A recording's good pieces, and how many of its frames were dropped."""
    _, read = look_up(source.format, FORMATS, "format")
    recording = read(source.path)
    try:
        check_rate(recording.fps)
        poses = source.mapping.poses(recording)
        check_size(poses)
        pieces = cleaning.pieces(poses, recording.fps)
        motions = cut(source.name, source.subject, source.action, poses, recording.fps, FPS, pieces)
    except ValueError as error:
        raise ValueError(f"{source.path}: {error}") from None
    return motions, len(recording) - sum(piece.stop - piece.start for piece in pieces)


def _card(
    name: str,
    sources: Sequence[Source],
    studio: Rig,
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
        "note": note,
        "constants": {
            "coco_sigma": COCO_SIGMA,
            "limbs": LIMBS,
            "person_size": (BOX, BODY_SHARE, THINNEST),
            "amc_fps": AMC_FPS,
            "ankle_height_m": JointMapping.clearance_m,
        },
        "cameras_sha256": sha256(Path(human36m.__file__).with_name(human36m.CALIBRATION).read_bytes()),
        "fps": FPS,
        "studio": asdict(studio),
        "cleaning": asdict(cleaning),
        "clips": {
            source.name: {
                "subject": source.subject,
                "action": source.action,
                "split": source.split,
                # Weights are summed in their order.
                "mapping": asdict(source.mapping)
                | {"joints": [list(weights.items()) for weights in source.mapping.joints]},
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
    skeletons = [skeleton_beside(source.path)] if source.format == "asf" else []
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
