"""Data sets as clips: paired 2D and 3D of one person seen by one camera."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from prpose.data import human36m, mpi_inf_3dhp
from prpose.data.clip import Clip
from prpose.data.motion import Motion
from prpose.data.release_files import ALL_ACTIONS, Selection, paths_of, sha256_of
from prpose.data.synthetic import benchmark_file, walkers
from prpose.tables import look_up

__all__ = ["DATASETS", "Clip", "data_set", "inputs_sha256", "load_clips", "load_motions"]

T = TypeVar("T")


class DataSet(NamedTuple):
    """How a data set is loaded."""

    splits: tuple[str, ...]
    default_keypoints: str
    load: Callable[[Path, str, Selection, str], list[Clip]]
    """(root, split, selection, keypoints) → clips."""
    motions: Callable[[Path, str], list[Motion]] | None = None
    """(root, split) → what was filmed, where that is known."""


def _benchmark(name: str) -> DataSet:
    """A benchmark that ``prpose data prepare`` makes of motion capture."""

    def load(root: Path, split: str, selection: Selection, keypoints: str) -> list[Clip]:
        path = benchmark_file.path_of(root, name)
        return benchmark_file.load_benchmark(path, split, selection, keypoints)

    def motions(root: Path, split: str) -> list[Motion]:
        footage = benchmark_file.read_renderings(benchmark_file.path_of(root, name), split)
        return [film.motion for film in footage]

    return DataSet(benchmark_file.SPLITS, "det", load, motions)


DATASETS = {
    "h36m": DataSet(tuple(human36m.SPLITS), human36m.DEFAULT_KEYPOINTS, human36m.load),
    "3dhp": DataSet(tuple(mpi_inf_3dhp.SPLITS), mpi_inf_3dhp.DEFAULT_KEYPOINTS, mpi_inf_3dhp.load),
    "cmu17": _benchmark("cmu17"),
    "walkers": DataSet(tuple(walkers.SPLITS), "det", walkers.load, walkers.motions),
}
"""By short name. Benchmarks of a user's own motion capture go by the name of their file."""


def data_set(name: str, root: str | Path) -> DataSet:
    """A known data set, or a benchmark ``data_{name}.npz`` in ``root``.

    Raises:
        ValueError: if it is neither.
    """
    if name not in DATASETS and benchmark_file.path_of(root, name).is_file():
        return _benchmark(name)
    return look_up(name, DATASETS, "data set")


def load_clips(
    name: str,
    root: str | Path,
    split: str,
    keypoints: str | None = None,
    actions: Sequence[str] = ALL_ACTIONS,
    stride: int = 1,
    subset: float = 1.0,
) -> list[Clip]:
    """Clips of a data set, in its published order.

    Args:
        name: ``"h36m"``, ``"3dhp"``, ``"cmu17"``, ``"walkers"``, or a prepared benchmark's.
        root: folder with the npz files; walkers need none.
        split: ``"train"``, ``"test"``, and ``"val"`` where there is one.
        keypoints: which 2D: as in the file's name, or ``"det"`` and ``"gt"``; the data set's
            usual detector if not given.
        actions: first words of action names, or ``("*",)`` for all.
        stride: every stride-th frame.
        subset: share of each clip, in (0, 1].

    Raises:
        ValueError: for an unknown name or split, a split of nobody, and for files that lack or
            break something, naming file, subject, action and camera.
    """
    dataset = data_set(name, root)
    look_up(split, dict.fromkeys(dataset.splits), f"split of {name}")
    selection = Selection(tuple(actions), stride, subset)
    clips = dataset.load(Path(root), split, selection, keypoints or dataset.default_keypoints)
    return _somebody(clips, name, split)


def load_motions(name: str, root: str | Path, split: str) -> list[Motion]:
    """Joints in the world, to be filmed anew by random cameras while training.

    Args:
        name, root, split: as of :func:`load_clips`.

    Raises:
        ValueError: as of :func:`load_clips`, and for a data set that has none.
    """
    dataset = data_set(name, root)
    look_up(split, dict.fromkeys(dataset.splits), f"split of {name}")
    if dataset.motions is None:
        raise ValueError(f"expected a data set made of motion capture, got {name}")
    return _somebody(dataset.motions(Path(root), split), name, split)


def _somebody(found: list[T], name: str, split: str) -> list[T]:
    if not found:
        raise ValueError(f"{name}: expected recordings in its {split} split, got none")
    return found


def inputs_sha256(name: str, root: str | Path, keypoints: str) -> str:
    """The hash of everything that a data set was made of; empty for walkers, who need nothing.

    A prepared benchmark says itself what it was made of; of the field's npz files, 3D and 2D, it is
    the hash of their bytes.

    Raises:
        ValueError: as of :func:`data_set`, for a file that is missing or does not say.
    """
    dataset = data_set(name, root)
    if name == "walkers":
        return ""
    if dataset.motions is None:
        return sha256_of(paths_of(Path(root), name, keypoints))
    path = benchmark_file.path_of(root, name)
    found = benchmark_file.read_card(path).get("inputs_sha256")
    if not isinstance(found, str):
        raise ValueError(f"{path}: card: expected inputs_sha256 in it, got {found!r}")
    return found
