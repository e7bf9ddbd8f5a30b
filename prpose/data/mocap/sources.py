"""Which recordings a benchmark is made of: a folder's files, with subject, action and split."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prpose.data.mocap import FORMATS
from prpose.data.mocap.mapping import JointMapping, read_mapping
from prpose.tables import look_up


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
    both = sorted({*val} & {*test})
    if both:
        raise ValueError(
            f"expected each subject in one split, got {', '.join(both)} in val and test"
        )
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
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table ({error})") from None
    columns = {"file", "subject", "action", "split"}
    if not rows or not all(isinstance(row.get(c), str) for row in rows for c in columns):
        raise ValueError(f"{path}: expected rows with the columns {', '.join(sorted(columns))}")
    for number, row in enumerate(rows, start=2):
        empty = [column for column in sorted(columns) if not row[column].strip()]
        if empty:
            raise ValueError(f"{path}, line {number}: expected a {empty[0]}, got an empty cell")
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
