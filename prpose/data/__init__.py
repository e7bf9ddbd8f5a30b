"""Data sets as clips: paired 2D and 3D of one person seen by one camera."""

from collections.abc import Sequence
from pathlib import Path

from prpose.data import human36m, mpi_inf_3dhp
from prpose.data.clip import Clip
from prpose.data.release_files import ALL_ACTIONS, Selection
from prpose.tables import look_up

__all__ = ["DATASETS", "Clip", "load_clips"]

DATASETS = {"h36m": human36m, "3dhp": mpi_inf_3dhp}
"""Modules with SPLITS, DEFAULT_KEYPOINTS and load(), by the data set's short name."""


def load_clips(
    name: str,
    root: str | Path,
    split: str,
    keypoints: str | None = None,
    actions: Sequence[str] = ALL_ACTIONS,
    stride: int = 1,
    subset: float = 1.0,
) -> list[Clip]:
    """Clips of a data set, in the published order.

    Args:
        name: ``"h36m"`` or ``"3dhp"``.
        root: folder with the npz files.
        split: ``"train"`` or ``"test"``.
        keypoints: which 2D, as in the file's name; the data set's usual detector if not given.
        actions: first words of action names, or ``("*",)`` for all.
        stride: every stride-th frame.
        subset: share of each clip, in (0, 1].

    Raises:
        ValueError: for an unknown name or split, and for files that lack or break something,
            naming file, subject, action and camera.
    """
    dataset = look_up(name, DATASETS, "data set")
    subjects = look_up(split, dataset.SPLITS, f"split of {name}")
    selection = Selection(subjects, tuple(actions), stride, subset)
    clips: list[Clip] = dataset.load(Path(root), selection, keypoints or dataset.DEFAULT_KEYPOINTS)
    return clips
