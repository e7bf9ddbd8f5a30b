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
from prpose.data.mocap import Recording, read_c3d, read_npz_points
from prpose.data.mocap.asf_amc import read_amc
from prpose.data.mocap.bvh import read_bvh
from prpose.skeleton import H36M_17
from prpose.tables import look_up

SHIPPED = Path(__file__).parent.parent / "mappings"
"""Folder of the bundled mappings: ``cmu_asf.toml``, ``cmu_bvh.toml``."""
FORMATS: dict[str, tuple[str, Callable[[Path], Recording]]] = {
    "bvh": (".bvh", read_bvh),
    "asf": (".amc", read_amc),
    "c3d": (".c3d", read_c3d),
    "npz": (".npz", read_npz_points),
}
"""File ending and reader of each format; the .asf of an .amc lies beside it."""
COLUMNS = ("file", "subject", "action", "split")
"""Of a ``clips.csv``."""
ANKLES = H36M_17.subset(("left_ankle", "right_ankle"))
FAR_M = 100.0
"""Poses farther from the origin are moved to it; float32 has steps of some 0.01 mm there."""

Weights = Mapping[str, float]


@dataclass(frozen=True)
class JointMapping:
    """How a recording becomes Human3.6M-17 poses in metres, z up.

    Args:
        joints: weights of points, one mapping per joint of ``H36M_17``, in its order.
        metres_per_unit: scale of the recording.
        up: axis of the recording that points up.
        left_handed: whether the recording's axes are.
        floor: points of the feet; the ankles, 0.08 m above the ground, if empty or always missing.
        clearance_m: height of the lowest of them above the ground, at rest.
    """

    joints: tuple[Weights, ...]
    metres_per_unit: float
    up: str
    left_handed: bool = False
    floor: tuple[str, ...] = ()
    clearance_m: float = 0.08

    def poses(self, recording: Recording) -> Array:
        """(T, 17, 3) float64: metres, right-handed, z up, ground at 0; NaN where a point is missing.

        The ground is at the lowest point of the feet at rest. A person far from the origin (map coordinates, for
        example) is moved there.

        Raises:
            ValueError: naming the points that the recording lacks.
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
        poses[..., 2] += clearance_m - (lowest or 0.0)  # without feet there is no good frame
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
    joints: dict[str, list[str] | dict[str, float]]
    left_handed: bool = False
    floor: _Floor | None = None


def read_mapping(path: str | Path) -> JointMapping:
    """A joint mapping file; ``ValueError`` naming the file and the entry that is missing or wrong."""
    content = read_toml(Path(path))
    try:
        file = msgspec.convert(content, _MappingFile)
        if set(file.joints) != set(H36M_17.names):
            missing = ", ".join(sorted(set(H36M_17.names) - set(file.joints))) or "none"
            unknown = ", ".join(sorted(set(file.joints) - set(H36M_17.names))) or "none"
            raise ValueError(f"expected [joints] of Human3.6M-17; missing: {missing}, unknown: {unknown}")
        joints = tuple(_weights(name, file.joints[name]) for name in H36M_17.names)
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).replace('$.', '')}") from None
    floor = file.floor or _Floor((), JointMapping.clearance_m)
    return JointMapping(joints, file.metres_per_unit, file.up, file.left_handed, floor.points, floor.clearance_m)


def _weights(joint: str, value: list[str] | dict[str, float]) -> Weights:
    """Weights of points from their names, which weigh the same, or from weights that sum to 1."""
    weights = value if isinstance(value, dict) else {name: value.count(name) / len(value) for name in value}
    if not abs(sum(weights.values()) - 1) <= 1e-6:
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


def from_folder(
    folder: Path, format: str, joints: Path, val: Sequence[str] = (), test: Sequence[str] = ()
) -> list[Source]:
    """Recordings of a user's own folder.

    A ``clips.csv`` in the folder describes them. Without it, the subject is the name of a file's folder or, in the
    folder itself, the file's name up to the first ``_``; the action is the rest of the name; and the split goes by
    subject.

    Args:
        folder: with the files, at any depth.
        format: a key of :data:`FORMATS`.
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
        if val or test:
            raise ValueError(f"{folder / 'clips.csv'} defines the splits; leave out --val and --test")
        rows = _read_table(folder)
    else:
        remaining = "train" if test or val else "test"
        rows = [_named(path, folder) for path in files_in(folder, ending)]
        subjects = sorted({row["subject"] for row in rows})
        unknown, both = sorted({*val, *test} - {*subjects}), sorted({*val} & {*test})
        if not rows:
            raise ValueError(f"{folder}: no {ending} files in it")
        if unknown or both:
            wrong = f"no subject {', '.join(unknown)}" if unknown else f"{', '.join(both)} in val and test"
            raise ValueError(f"{folder}: expected each subject in one split, got {wrong}; there are {subjects}")
        for row in rows:
            row["split"] = "test" if row["subject"] in test else "val" if row["subject"] in val else remaining
    sources = []
    for row in rows:
        path = folder / row.pop("file")
        name = path.relative_to(folder).with_suffix("").as_posix().replace("/", "_")
        sources.append(Source(path, format, mapping, name, **row))
    return sources


def files_in(folder: Path, ending: str) -> list[Path]:
    """Files of that ending, in small letters or capitals, at any depth; sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ending and path.is_file())


def _named(path: Path, folder: Path) -> dict[str, str]:
    """File, subject and action of a recording, from its name."""
    subject, _, action = path.stem.partition("_")
    if path.parent != folder:
        subject, action = path.parent.name, path.stem
    subject = subject.strip() or path.stem
    return {"file": str(path.relative_to(folder)), "subject": subject, "action": action.strip() or subject}


def _read_table(folder: Path) -> list[dict[str, str]]:
    """Rows of a folder's ``clips.csv``."""
    path = folder / "clips.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            rows, head = list(table), list(table.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table ({error})") from None
    if not rows or any(head.count(column) != 1 for column in COLUMNS):
        raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, once each, and at least one row")
    described = []
    for number, row in enumerate(rows, start=2):
        cells = {column: (row.get(column) or "").strip() for column in COLUMNS}
        if None in row or not all(cells.values()):
            raise ValueError(f"{path}, line {number}: expected a cell for each column, got {list(row.values())}")
        file = folder / cells["file"]
        if not file.is_relative_to(folder) or not file.is_file():
            raise ValueError(f"{path}, line {number}: expected a file in the folder, got {file}")
        described.append(cells)
    return described
