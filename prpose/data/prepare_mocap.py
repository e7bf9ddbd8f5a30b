"""A benchmark from motion capture files: find, read, map, clean, render, write; cmu17 is one of them."""

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import check_output, sha256_of
from prpose.data import human36m
from prpose.data.mocap.asf_amc import FPS as AMC_FPS
from prpose.data.mocap.asf_amc import skeleton_beside
from prpose.data.mocap.mapping import FORMATS, SHIPPED, JointMapping, Source, files_in, read_mapping
from prpose.data.motion import Cleaning, Motion, check_sides, check_units, cut, duplicates
from prpose.data.release_files import OnFile
from prpose.data.synthetic import Rendering, Rig
from prpose.data.synthetic.benchmark_file import FORMAT, SPLITS, path_of, write_benchmark
from prpose.data.synthetic.detector_noise import WHOLE_LIMBS
from prpose.layouts import BODY_SHARE, BOX, COCO_SIGMA, THINNEST
from prpose.tables import look_up, naming

FPS = 60.0
SAME_MOTION_DEG = 3.3  # of CMU: one recording on two skeletons 3.1, a person's takes from 3.4, two people's from 4.0
CMU17_CLIPS = Path(__file__).with_name("cmu17_clips.csv")
ACKNOWLEDGEMENT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)


@dataclass
class BenchmarkReport:
    """What went into a benchmark, and what did not."""

    path: Path
    missing: list[str]  # clips of the benchmark that were not found
    incomplete: list[str] = field(default_factory=list)  # those of the validation and test splits
    inputs_sha256: str = ""
    evaluation_sha256: str = ""  # of names, cameras and arrays of the validation and test splits
    clips: dict[str, int] = field(default_factory=dict)  # by split, as the frames
    frames: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)  # frames of the recording left out, by clip
    implausible: list[str] = field(default_factory=list)  # clips that are upside down or mirrored, among others


def from_cmu(
    folders: Sequence[Path], root: Path, overwrite: bool = False, on_clip: OnFile = lambda clips, total: None
) -> BenchmarkReport:
    """Makes ``data_cmu17.npz``, version 1, in ``root`` from the clips in ``folders``; the report names missing ones.

    The folders have ``NN/NN.asf`` and ``NN/NN_MM.amc`` as CMU has them, and ``ACTION_k.bvh``, ``salsa/NN.bvh`` and
    ``indian/NN.bvh``, at any depth; a clip that the benchmark takes from a BVH file is looked for under CMU's own trial
    name as well. Clips of the training split may be missing without a change to the other splits.

    Raises:
        ValueError: if the folders lack all clips of a split, and as of :func:`build`.
    """
    trials, bvh = _by_name(folders, ".amc"), _by_name(folders, ".bvh")
    mappings = {name: read_mapping(SHIPPED / f"{name}.toml") for name in ("cmu_asf", "cmu_bvh", "cmu_dance")}
    sources, missing = [], []
    for row in cmu17_clips():
        # A BVH file with a trial's name is a conversion of it, on another skeleton.
        own = trials if row["clip"] == row["trial"] else bvh
        path = _only(own, row["file"] or row["clip"]) or _only(trials, row["trial"])
        if path is None:
            missing.append(row["clip"])
        else:
            format = "asf" if path.suffix.lower() == ".amc" else "bvh"
            clip, subject, action, split = (row[column] for column in ("clip", "subject", "action", "split"))
            mapping = mappings[row["mapping"] or f"cmu_{format}"]
            fps = float(row["fps"]) if row["fps"] else None
            sources.append(Source(path, format, mapping, clip, subject, action, split, fps))
    lacking = sorted(set(SPLITS) - {source.split for source in sources})
    if lacking:
        expected = "expected files such as 02/02_01.amc with 02/02.asf, or walking_3.bvh"
        raise ValueError(f"{', '.join(map(str, folders))}: no clip of {' or '.join(lacking)} found; {expected}")
    report = build("cmu17", sources, root, overwrite, ACKNOWLEDGEMENT, missing, on_clip)
    splits = {row["clip"]: row["split"] for row in cmu17_clips()}
    return replace(report, incomplete=[clip for clip in report.missing if splits[clip] != "train"])


def _by_name(folders: Sequence[Path], ending: str) -> dict[str, list[Path]]:
    """Files by name without ending, alone and with the folder's; of copies, one with a skeleton beside it first."""
    found: dict[str, list[Path]] = {}
    paths = [path for folder in folders for path in files_in(folder, ending)]
    for path in sorted(paths, key=lambda path: (not any(path.parent.glob("*.asf")), path)):
        for name in (path.stem, f"{path.parent.name}/{path.stem}"):
            found.setdefault(name, []).append(path)
    return found


def _only(found: Mapping[str, Sequence[Path]], name: str) -> Path | None:
    """The file of a name, or None; ``ValueError`` if there are several that differ."""
    paths = found.get(name, [])
    for path in paths[1:]:
        if path.read_bytes() != paths[0].read_bytes():
            raise ValueError(f"expected one {name}{path.suffix.lower()}, got {paths[0]} and {path}, which differ")
    return paths[0] if paths else None


def cmu17_clips() -> list[dict[str, str]]:
    """Clip (file name without ending), CMU's subject and trial, action and split of all clips of cmu17.

    And, where they are not the usual ones: ``file`` with its folder, ``mapping``, and the frame rate ``fps``.
    """
    with CMU17_CLIPS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def build(
    name: str,
    sources: Sequence[Source],
    root: Path,
    overwrite: bool = False,
    note: str = "",
    missing: Sequence[str] = (),
    on_clip: OnFile = lambda clips, total: None,
) -> BenchmarkReport:
    """Makes the benchmark ``data_{name}.npz`` in ``root``; the same files give the same bytes.

    ``note`` and ``missing`` clips are for the file's card; ``on_clip`` is called with 1 and their number after each.

    Raises:
        ValueError: naming the recording, for anything that cannot be read; if people do not stand upright on average,
            in all recordings of a mapping; for a subject, or the same motion, in two splits. Nothing is written then.
    """
    path = check_output(path_of(root, name), overwrite)
    _check_sources(sources)
    sources = sorted(sources, key=lambda source: source.name)  # the file does not depend on the caller's order
    rig, cleaning, report = Rig(), Cleaning(), BenchmarkReport(path, sorted(missing))
    renderings: dict[str, list[Rendering]] = {split: [] for split in SPLITS}
    by_mapping: dict[str, list[Motion]] = {}
    for source in sources:
        motions, dropped = _motions(source, cleaning)
        by_mapping.setdefault(repr(source.mapping), []).extend(motions)
        renderings[source.split] += [rig.render(motion, seed=name) for motion in motions]
        report.dropped |= {source.name: dropped} if dropped else {}
        on_clip(1, len(sources))
    for motions in by_mapping.values():
        report.implausible += check_sides(motions)
    _check_names([motion.name for motions in by_mapping.values() for motion in motions])
    _check_duplicates({split: [each.motion for each in found] for split, found in renderings.items()})
    report.clips = {split: len(found) for split, found in renderings.items()}
    report.frames = {split: sum(len(each.motion) for each in found) for split, found in renderings.items()}
    if not any(report.clips.values()):
        raise ValueError("expected at least half a second of good frames, got none")
    inputs = _inputs(name, sources, rig, cleaning, note)
    report.inputs_sha256 = sha256_of(repr(_sorted(inputs)).encode())
    report.evaluation_sha256 = _sha256_of_arrays([*renderings["val"], *renderings["test"]])
    card = {"inputs": inputs, "inputs_sha256": report.inputs_sha256, "note": note}
    card["evaluation_sha256"] = report.evaluation_sha256
    write_benchmark(path, renderings, card | {"dropped_frames": report.dropped, "missing_clips": report.missing})
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
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"expected each clip once, got {name} more than once")


def _check_duplicates(motions: Mapping[str, Sequence[Motion]]) -> None:
    """``ValueError`` if a recording of the training or validation split is also in a later one, under any name."""
    for split, *later in (SPLITS, SPLITS[1:]):
        others = [motion for name in later for motion in motions[name]]
        for name, twin, angle in duplicates(others, motions[split], SAME_MOTION_DEG)[:1]:
            expected = "expected each recording in one split"
            raise ValueError(f"{expected}, got {twin} of {split} with the poses of {name} ({angle:.1f} deg)")


def _motions(source: Source, cleaning: Cleaning) -> tuple[list[Motion], int]:
    """A recording's good pieces, and how many of its frames were dropped."""
    _, read = FORMATS[source.format]
    recording = read(source.path)
    if source.fps is not None:
        recording = replace(recording, fps=source.fps)
    with naming(source.path):
        poses = source.mapping.poses(recording)
        check_units(poses, recording.fps)
        pieces = cleaning.pieces(poses, recording.fps)
        motions = cut(source.name, source.subject, source.action, poses, recording.fps, FPS, pieces)
    return motions, len(poses) - sum(piece.stop - piece.start for piece in pieces)


def _inputs(name: str, sources: Sequence[Source], rig: Rig, cleaning: Cleaning, note: str) -> dict[str, Any]:
    """Everything that the file depends on, under the names of the file's version 1: their hash identifies it."""
    parameters, clips, constants = asdict(rig), dict[str, Any](), dict[str, Any]()
    parameters["detector"]["doubt"] = parameters["detector"].pop("confidence_noise")
    for source in sources:
        # Weights as lists: they are summed in their order.
        mapping = asdict(source.mapping) | {"joints": [list(weights.items()) for weights in source.mapping.joints]}
        files = [source.path, *([skeleton_beside(source.path)] if source.format == "asf" else [])]
        hashes = {each.name: sha256_of(each) for each in files}
        names: dict[str, Any] = {"subject": source.subject, "action": source.action, "split": source.split}
        names |= {} if source.fps is None else {"fps": source.fps}
        clips[source.name] = names | {"mapping": mapping, "sha256": hashes}
    constants |= {"coco_sigma": COCO_SIGMA, "limbs": WHOLE_LIMBS, "person_size": (BOX, BODY_SHARE, THINNEST)}
    constants |= {"amc_fps": AMC_FPS, "ankle_height_m": JointMapping.clearance_m}
    inputs: dict[str, Any] = {"constants": constants, "studio": parameters, "clips": clips}
    inputs |= {"cleaning": asdict(cleaning), "format": FORMAT, "version": 1, "name": name, "note": note, "fps": FPS}
    return inputs | {"cameras_sha256": sha256_of(human36m.CALIBRATION)}


def _sorted(value: Any) -> Any:
    """The same content with sorted keys, so that its text is always the same."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value


def _sha256_of_arrays(renderings: Sequence[Rendering]) -> str:
    digest = hashlib.sha256()
    for rendering in renderings:
        motion = rendering.motion
        digest.update(repr((motion.name, motion.subject, motion.action, motion.fps, rendering.cameras)).encode())
        for array in (rendering.motion.poses_world, rendering.detected_px, rendering.confidence, rendering.hidden):
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
