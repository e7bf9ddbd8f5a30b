"""The field's paired npz files, written: what :mod:`prpose.data.release_files` reads.

Both files appear, or neither; nothing is replaced unless asked for.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prpose.atomic import check_output, replacing
from prpose.camera import Array
from prpose.data.release_files import paths_of
from prpose.skeleton import H36M_17

Tracks = Mapping[str, Mapping[str, Sequence[Array]]]
"""{subject: {action: one (T, J, 2) array of pixels per camera}}."""


def check_pair(root: Path, name: str, overwrite: bool) -> tuple[Path, Path]:
    """Paths of ``data_3d_{name}.npz`` and ``data_2d_{name}_gt.npz`` in ``root``, before any work.

    Raises:
        ValueError: if either exists and ``overwrite`` is false, or ``root`` is no folder.
    """
    path_3d, path_2d = paths_of(root, name, "gt")
    return check_output(path_3d, overwrite), check_output(path_2d, overwrite)


def write_pair(
    paths: tuple[Path, Path],
    positions_3d: Mapping[str, Mapping[str, Any]],
    positions_2d: Tracks,
) -> dict[str, int]:
    """Writes both files, 2D joints as in ``H36M_17``.

    Args:
        paths: of the 3D and the 2D file, as :func:`check_pair` gives them.
        positions_3d: {subject: {action: float32 metres}}, as the data set's ``load`` expects.
        positions_2d: {subject: {action: [(T, 17, 2) float32 pixels, one per camera]}}.

    Returns:
        Counts: subjects, recordings, clips (one per camera), frames of clips.
    """
    J = len(H36M_17)
    left, right = ([j for j, name in enumerate(H36M_17.names) if name.startswith(side)] for side in ("left_", "right_"))
    metadata = {"layout_name": "h36m", "num_joints": J, "keypoints_symmetry": [left, right]}
    path_3d, path_2d = paths
    with replacing(path_3d) as temporary_3d, replacing(path_2d) as temporary_2d:
        np.savez_compressed(temporary_3d, positions_3d=_boxed(positions_3d))
        np.savez_compressed(temporary_2d, positions_2d=_boxed(positions_2d), metadata=_boxed(metadata))
    recordings = [tracks for actions in positions_2d.values() for tracks in actions.values()]
    return {
        "subjects": len(positions_2d),
        "recordings": len(recordings),
        "clips": sum(len(tracks) for tracks in recordings),
        "frames": sum(len(track) for tracks in recordings for track in tracks),
    }


def _boxed(content: Mapping[str, Any]) -> Array:
    """A dict as a 0-d object array, which is how the field's files hold theirs."""
    return np.array(content, dtype=object)


def import_mocap(module: str) -> Any:
    """A module of the extra ``mocap``; ``ValueError`` that says how to install it, if missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ValueError(f'{package} is needed to read original data sets: pip install "prpose[mocap]"') from None
