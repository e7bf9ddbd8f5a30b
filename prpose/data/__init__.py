"""Data sets as clips: paired 2D keypoints and 3D poses of one person seen by one camera."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from prpose.atomic import existing_file, sha256_of
from prpose.data import human36m, mpi_inf_3dhp
from prpose.data.clip import Clip, unusual_legs
from prpose.data.motion import Motion
from prpose.data.release_files import ALL_ACTIONS, Selection, load_release, paths_of
from prpose.data.synthetic import walkers
from prpose.data.synthetic.benchmark_file import SPLITS, load_benchmark, path_of, read_card, read_renderings
from prpose.skeleton import H36M_17
from prpose.tables import look_up

T = TypeVar("T", Clip, Motion)

__all__ = ["DATASETS", "Clip", "data_set", "inputs_sha256", "load_clips", "load_motions"]


class DataSet(NamedTuple):
    """How a data set is loaded."""

    splits: tuple[str, ...]
    default_keypoints: str
    load: Callable[[Path, str, Selection, str], list[Clip]]  # (root, split, selection, keypoints) → clips
    motions: Callable[[Path, str], list[Motion]] | None = None  # (root, split) → motions, where it is made of them


def _release(name: str, module: ModuleType) -> DataSet:
    """A data set of the field's npz files; the module has its splits, its usual 2D and its views."""

    def load(root: Path, split: str, selection: Selection, keypoints: str) -> list[Clip]:
        return load_release(module.views, paths_of(root, name, keypoints), module.SPLITS[split], selection)

    return DataSet(tuple(module.SPLITS), module.DEFAULT_KEYPOINTS, load)


def _benchmark(name: str) -> DataSet:
    """A benchmark that ``prpose data prepare`` makes from motion capture."""
    return DataSet(
        SPLITS,
        "det",
        lambda root, *selected: load_benchmark(path_of(root, name), *selected),
        lambda root, split: [rendering.motion for rendering in read_renderings(path_of(root, name), split)],
    )


DATASETS = {
    "h36m": _release("h36m", human36m),
    "3dhp": _release("3dhp", mpi_inf_3dhp),
    "cmu17": _benchmark("cmu17"),
    "walkers": DataSet(tuple(walkers.SPLITS), "det", walkers.load, walkers.motions),
}
"""By short name. A benchmark of a user's own motion capture has the name of its file."""


def data_set(name: str, root: str | Path) -> DataSet:
    """A data set by name, or a benchmark ``data_{name}.npz`` in ``root``; ``ValueError`` if it is neither."""
    if name not in DATASETS and path_of(root, name).is_file():
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
        name, root: a key of :data:`DATASETS`, or a prepared benchmark, and the folder with its files.
        split: ``"train"``, ``"test"``, and ``"val"`` where there is one.
        keypoints: which 2D: as in the file's name, or ``"det"`` and ``"gt"``. Default: the usual detector.
        actions, stride, subset: clips and frames to take, as of :class:`prpose.data.release_files.Selection`; clips
            have the frame rate of the frames taken.

    Raises:
        ValueError: for an unknown name or split, an empty split, and for files in which something is missing or
            damaged, naming file, subject, action and camera.

    Example:
        >>> clips = load_clips("walkers", ".", "test", actions=("walk",), stride=4)
        >>> len(clips), clips[0].keypoints_px.shape, clips[0].poses_cam.shape, clips[0].fps
        (12, (60, 17, 2), (60, 17, 3), 15.0)
    """
    dataset, selection = data_set(name, root), Selection(tuple(actions), stride, subset)
    return _recordings(dataset, dataset.load, name, root, split, selection, keypoints or dataset.default_keypoints)


def load_motions(name: str, root: str | Path, split: str) -> list[Motion]:
    """Motions in the world; errors as of :func:`load_clips`, and for data that are not rendered from motion capture."""
    dataset = data_set(name, root)
    if dataset.motions is None:
        raise ValueError(f"expected a data set made of motion capture, got {name}")
    return _recordings(dataset, dataset.motions, name, root, split)


def _recordings(
    dataset: DataSet, read: Callable[..., list[T]], name: str, root: str | Path, split: str, *more: Any
) -> list[T]:
    look_up(split, dict.fromkeys(dataset.splits), f"split of {name}")
    found = read(Path(root), split, *more)
    if not found:
        raise ValueError(f"{name}: expected recordings in its {split} split, got none")
    for each in found:
        poses = each.poses_cam if isinstance(each, Clip) else each.poses_world
        if poses.shape[1] == len(H36M_17) and (problem := unusual_legs(poses)):
            where = f"{name}: subject {each.subject}, action {each.action!r}"
            raise ValueError(f"{where}: {problem}; are the poses in metres, in Human3.6M's order?")
    return found


def inputs_sha256(name: str, root: str | Path, keypoints: str) -> str:
    """Hash of all that a data set was made of: of its files' bytes, or of a benchmark's card; empty for walkers."""
    dataset, path = data_set(name, root), path_of(root, name)
    if name == "walkers":
        return ""
    if dataset.motions is None:
        paths = [existing_file(path) for path in paths_of(root, name, keypoints)]
        return sha256_of(b"".join(path.read_bytes() for path in paths))
    found = read_card(path).get("inputs_sha256")
    if not isinstance(found, str):
        raise ValueError(f"{path}: card: expected inputs_sha256 in it, got {found!r}")
    return found
