"""cmu17, version 1: the clips of the CMU motion capture database that make the benchmark."""

import csv
from collections.abc import Callable
from pathlib import Path

from prpose.data.mocap.mapping import SHIPPED, read_mapping
from prpose.data.mocap.sources import Source, is_a
from prpose.data.prepare_mocap import Report, build

VERSION = 1
TABLE = Path(__file__).with_name("cmu17_clips.csv")
"""Clip (file name without ending), CMU's subject and trial, action and split of all 125 clips."""

ACKNOWLEDGEMENT = (
    "The data used in this project was obtained from mocap.cs.cmu.edu. "
    "The database was created with funding from NSF EIA-0196217."
)


def from_cmu(
    folder: Path,
    root: Path,
    overwrite: bool = False,
    on_clip: Callable[[int], None] = lambda clips: None,
) -> Report:
    """Makes ``data_cmu17.npz`` in ``root`` of the clips found in ``folder``, at any depth.

    Clips that the benchmark takes from BVH files are looked for under CMU's own trial name, too,
    where it is known, so that the original ASF/AMC download serves; the report names what is
    missing even so.

    Args:
        folder: with ``NN/NN.asf`` and ``NN/NN_MM.amc`` as CMU has them, and ``ACTION_k.bvh``.
        root: folder.
        overwrite: replace the file if it exists.
        on_clip: told 1 after each clip.

    Raises:
        ValueError: if the folder holds no clip of the benchmark, or none of one of its splits, and
            as of :func:`prpose.data.prepare_mocap.build`.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    motions, converted = _by_stem(folder, ".amc"), _by_stem(folder, ".bvh")
    mappings = {
        ".amc": ("asf", read_mapping(SHIPPED / "cmu_asf.toml")),
        ".bvh": ("bvh", read_mapping(SHIPPED / "cmu_bvh.toml")),
    }
    sources, missing = [], []
    for row in clips():
        # A BVH file with a trial's name is somebody's conversion, on another skeleton.
        own = motions if row["clip"] == row["trial"] else converted
        path = own.get(row["clip"]) or motions.get(row["trial"] or " ")
        if path is None:
            missing.append(row["clip"])
            continue
        format, mapping = mappings[path.suffix.lower()]
        sources.append(Source(path, format, mapping, row["clip"], row["subject"], row["action"], row["split"]))
    lacking = {row["split"] for row in clips()} - {source.split for source in sources}
    if lacking:
        raise ValueError(
            f"{folder}: no clip of {' or '.join(sorted(lacking))} found; expected files such as "
            "02/02_01.amc with 02/02.asf, or walking_3.bvh"
        )
    return build("cmu17", sources, root, overwrite, ACKNOWLEDGEMENT, VERSION, missing, on_clip)


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """Files of that ending, by name without it; of copies, one with a skeleton beside it.

    Raises:
        ValueError: naming both, if two that differ have the same name.
    """
    found: dict[str, Path] = {}
    files = [path for path in folder.rglob("*") if is_a(path, ending)]
    for path in sorted(files, key=lambda path: (not any(path.parent.glob("*.asf")), path)):
        first = found.setdefault(path.stem, path)
        if first.read_bytes() != path.read_bytes():
            raise ValueError(f"expected one {path.stem}{ending}, got {first} and {path}, another")
    return found


def clips() -> list[dict[str, str]]:
    """Rows of :data:`TABLE`."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
