"""What users describe of their recordings: which points make which joint (TOML), and which file is which clip (CSV).

docs/data.md describes both files.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from prpose.atomic import read_toml
from prpose.camera import Array
from prpose.data.mocap import Recording, read_bvh, read_c3d, read_npz_points
from prpose.data.mocap.asf_amc import read_amc
from prpose.skeleton import H36M_17
from prpose.tables import look_up

SHIPPED = Path(__file__).parent.parent / "mappings"  # folder of the bundled mappings: cmu_asf.toml and others
FORMATS: dict[str, tuple[str, Callable[[Path], Recording]]] = {  # file ending and reader; an .asf lies beside its .amc
    "bvh": (".bvh", read_bvh),
    "asf": (".amc", read_amc),
    "c3d": (".c3d", read_c3d),
    "npz": (".npz", read_npz_points),
}
COLUMNS = ("file", "subject", "action", "split")  # of a clips.csv
ANKLES = H36M_17.subset(("left_ankle", "right_ankle"))
LARGEST_WEIGHT = 100.0
FAR_M = 100.0  # poses farther from the origin are moved to it; float32 has steps of some 0.01 mm there

Weights = Mapping[str, float]
Row = tuple[Path, str, str, str]  # file, subject, action and split of a recording


@dataclass(frozen=True)
class JointMapping:
    """How a recording becomes Human3.6M-17 poses in metres, z up."""

    joints: tuple[Weights, ...]  # weights of points, one mapping per joint of H36M_17, in its order
    metres_per_unit: float
    up: str  # axis of the recording
    left_handed: bool = False  # whether the recording's axes are
    floor: tuple[str, ...] = ()  # points of the feet; if empty or always missing, the ankles, 0.08 m above the ground
    clearance_m: float = 0.08  # height of the lowest of them above the ground, at rest

    def poses(self, recording: Recording) -> Array:
        """(T, 17, 3) float64: metres, right-handed, z up, ground at 0; NaN where a point is missing.

        The ground is at the lowest point of the feet at rest. A person far from the origin (map coordinates, for
        example) is moved there. Points that the recording lacks raise ``ValueError``.
        """
        index = {name: i for i, name in enumerate(recording.names)}
        wanted = {name for weights in self.joints for name in weights} | set(self.floor)
        missing = sorted(wanted - set(index))
        if missing:
            raise ValueError(f"no point {', '.join(missing)}; the recording has {', '.join(index)}")
        world = np.roll(recording.positions, 2 - "xyz".index(self.up), axis=-1) * self.metres_per_unit
        world = world * [-1, 1, 1] if self.left_handed else world
        joints = [sum(w * world[:, index[name]] for name, w in weights.items()) for weights in self.joints]
        poses = np.stack(joints, axis=1)
        lowest, clearance_m = _lowest_at_rest(world[:, [index[name] for name in self.floor], 2]), self.clearance_m
        if lowest is None:
            lowest, clearance_m = _lowest_at_rest(poses[:, ANKLES, 2]), JointMapping.clearance_m
        poses[..., 2] += clearance_m - (lowest or 0)  # without feet there is no good frame
        pelvis = poses[np.isfinite(poses).all(axis=(1, 2)), 0, :2]
        if np.abs(pelvis).max(initial=0.0) > FAR_M:
            poses[..., :2] -= np.median(pelvis, axis=0)
        return poses


def _lowest_at_rest(heights: Array) -> float | None:
    """5th percentile over time of the lowest of (T, P) heights; None if all points are always missing."""
    lowest = np.where(np.isfinite(heights), heights, np.inf).min(axis=1, initial=np.inf)
    lowest = lowest[np.isfinite(lowest)]
    return float(np.percentile(lowest, 5)) if lowest.size else None


class _Floor(msgspec.Struct, forbid_unknown_fields=True):
    points: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    clearance_m: Annotated[float, msgspec.Meta(ge=0, le=0.5)]


class _MappingFile(msgspec.Struct, forbid_unknown_fields=True):
    metres_per_unit: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    up: Literal["x", "y", "z"]
    joints: dict[str, Annotated[list[str], msgspec.Meta(max_length=1000)] | dict[str, float]]
    left_handed: bool = False
    floor: _Floor | None = None


def read_mapping(path: str | Path) -> JointMapping:
    """A joint mapping file; ``ValueError`` naming the file and the entry that is missing or wrong."""
    content = read_toml(Path(path))
    try:
        file = msgspec.convert(content, _MappingFile)
        missing, unknown = set(H36M_17.names) - set(file.joints), set(file.joints) - set(H36M_17.names)
        if missing or unknown:
            listed = [", ".join(sorted(names)) or "none" for names in (missing, unknown)]
            raise ValueError("expected [joints] of Human3.6M-17; missing: {}, unknown: {}".format(*listed))
        joints = tuple(_weights(name, file.joints[name]) for name in H36M_17.names)
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).replace('$.', '')}") from None
    floor = (file.floor.points, file.floor.clearance_m) if file.floor else ()
    return JointMapping(joints, file.metres_per_unit, file.up, file.left_handed, *floor)


def _weights(joint: str, value: list[str] | dict[str, float]) -> Weights:
    weights = value if isinstance(value, dict) else {name: value.count(name) / len(value) for name in value}
    if not (abs(sum(weights.values()) - 1) <= 1e-6 and max(map(abs, weights.values())) <= LARGEST_WEIGHT):
        raise ValueError(f"expected {joint} as names, or as weights that sum to 1, got {value!r}")
    return weights


@dataclass(frozen=True)
class Source:
    """A motion capture file, with the names and the split that it gets in a benchmark."""

    path: Path
    format: str
    mapping: JointMapping
    name: str
    subject: str
    action: str
    split: str
    fps: float | None = None  # of the recording, where the file states a wrong one


def from_folder(
    folder: Path, format: str, joints: Path, val: Sequence[str] = (), test: Sequence[str] = ()
) -> list[Source]:
    """Recordings of a user's own folder, at any depth, as its ``clips.csv`` describes them.

    Without it, the subject is the name of a file's folder or, in the folder itself, the file's name up to the first
    ``_``; the action is the rest of the name; and the split goes by subject.

    Args:
        folder, format: with the files, and a key of :data:`FORMATS`.
        joints: file of the joint mapping.
        val, test: subjects of these splits; if neither is given, all are ``test``.
    """
    ending, _ = look_up(format, FORMATS, "format")
    mapping = read_mapping(joints)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    table = folder / "clips.csv"
    if table.is_file() and (val or test):
        raise ValueError(f"{table} defines the splits; leave out --val and --test")
    rows = _read_table(table) if table.is_file() else _rows_by_name(folder, ending, val, test)
    names = [path.relative_to(folder).with_suffix("").as_posix().replace("/", "_") for path, *_ in rows]
    return [
        Source(path, format, mapping, name, subject, action, split)
        for name, (path, subject, action, split) in zip(names, rows, strict=True)
    ]


def files_in(folder: Path, ending: str) -> list[Path]:
    """Files of that ending, in small letters or capitals, at any depth; sorted."""
    found = (path for path in folder.rglob("[!.]*") if path.suffix.lower() == ending)  # without other systems' "._a"
    return sorted(path for path in found if path.is_file())


def _rows_by_name(folder: Path, ending: str, val: Sequence[str], test: Sequence[str]) -> list[Row]:
    splits = dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
    rows = []
    for path in files_in(folder, ending):
        subject, _, action = path.stem.partition("_")
        if path.parent != folder:
            subject, action = path.parent.name, path.stem
        subject = subject.strip() or path.stem
        split = splits.get(subject, "train" if splits else "test")
        rows.append((path, subject, action.strip() or subject, split))
    if not rows:
        raise ValueError(f"{folder}: no {ending} files in it")
    subjects = sorted({subject for _, subject, _, _ in rows})
    unknown, both = sorted(set(splits) - set(subjects)), sorted({*val} & {*test})
    if unknown or both:
        wrong = f"no subject {', '.join(unknown)}" if unknown else f"{', '.join(both)} in val and test"
        raise ValueError(f"{folder}: expected each subject in one split, got {wrong}; there are {subjects}")
    return rows


def _read_table(path: Path) -> list[Row]:
    """Rows of a ``clips.csv``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            rows, head = list(table), list(table.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table ({error})") from None
    if not rows or any(head.count(column) != 1 for column in COLUMNS):
        raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, once each, and at least one row")
    found = []
    for number, row in enumerate(rows, start=2):
        file, subject, action, split = cells = [(row.get(column) or "").strip() for column in COLUMNS]
        if None in row or not all(cells):
            raise ValueError(f"{path}, line {number}: expected a cell for each column, got {list(row.values())}")
        recording = path.parent / file
        inside = recording.resolve().is_relative_to(path.parent.resolve())  # also where it is a link
        if not inside or not recording.is_file():
            raise ValueError(f"{path}, line {number}: expected a file in the folder, got {recording}")
        found.append((recording, subject, action, split))
    return found
