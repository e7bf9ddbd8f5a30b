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
        if val or test:
            raise ValueError(f"{folder / 'clips.csv'} says the splits; leave out --val and --test")
        return _from_table(folder, format, mapping)
    files = sorted(path for path in folder.rglob("*") if is_a(path, ending))
    if not files:
        raise ValueError(f"{folder}: no {ending} files in it")
    both = sorted({*val} & {*test})
    if both:
        raise ValueError(f"expected each subject in one split, got {', '.join(both)} in val and test")
    sources = []
    for path in files:
        subject, _, action = path.stem.partition("_")
        if path.parent != folder:
            subject, action = path.parent.name, path.stem
        chosen = "val" if subject in val else "train" if test or val else "test"
        split = "test" if subject in test else chosen
        name = _name(path.relative_to(folder))
        subject = subject.strip() or path.stem
        action = action.strip() or subject
        sources.append(Source(path, format, mapping, name, subject, action, split))
    unknown = sorted({*val, *test} - {source.subject for source in sources})
    if unknown:
        known = ", ".join(sorted({source.subject for source in sources}))
        raise ValueError(f"{folder}: no subject {', '.join(unknown)}; there are {known}")
    return sources


def is_a(path: Path, ending: str) -> bool:
    """Whether it is a file with that ending, in small letters or capitals."""
    return path.suffix.lower() == ending and path.is_file()


def _name(path: Path) -> str:
    return path.with_suffix("").as_posix().replace("/", "_")


def _from_table(folder: Path, format: str, mapping: JointMapping) -> list[Source]:
    path = folder / "clips.csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            rows, head = list(table), table.fieldnames
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a table ({error})") from None
    columns = ["file", "subject", "action", "split"]
    if head is None or any(head.count(column) != 1 for column in columns):
        raise ValueError(f"{path}: expected the columns {', '.join(columns)}, once each")
    sources = []
    for number, row in enumerate(rows, start=2):
        cells = {column: (row.get(column) or "").strip() for column in columns}
        empty = [column for column, cell in cells.items() if not cell]
        if empty or None in row:
            what = f"no {empty[0]}" if empty else "more cells than columns"
            raise ValueError(f"{path}, line {number}: expected a cell for each column, got {what}")
        file = folder / cells.pop("file")
        if not file.is_relative_to(folder):
            raise ValueError(f"{path}, line {number}: expected a file in the folder, got {file}")
        if not file.is_file():
            raise ValueError(f"{path}, line {number}: no such file: {file}")
        sources.append(Source(file, format, mapping, _name(file.relative_to(folder)), **cells))
    if not sources:
        raise ValueError(f"{path}: expected at least one row, got none")
    return sources
