"""Point trajectories without a skeleton: C3D markers, and npz files with named points."""

import importlib
from pathlib import Path

import numpy as np

from prpose.data.mocap.recording import Recording, recording_of
from prpose.unpickle import read_npz


def read_c3d(path: Path) -> Recording:
    """Markers of a C3D file, in its own unit; one that was not seen is NaN.

    Raises:
        ValueError: naming the file, if ezc3d (extra ``mocap``) is missing or cannot read it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        ezc3d = importlib.import_module("ezc3d")
    except ImportError:
        raise ValueError('ezc3d is needed to read C3D files: pip install "prpose[mocap]"') from None
    try:
        content = ezc3d.c3d(str(path))
        point = content["parameters"]["POINT"]
        names = tuple(name.strip() for name in point["LABELS"]["value"])
        fps = float(point["RATE"]["value"][0])
        positions = np.moveaxis(np.array(content["data"]["points"][:3], dtype=np.float64), 0, -1)
    except Exception as error:  # ezc3d raises whatever its parser meets
        raise ValueError(f"{path}: not a C3D file, or a damaged one ({error})") from None
    return recording_of(path, names, positions.swapaxes(0, 1), fps)


def read_npz_points(path: Path) -> Recording:
    """An npz with ``positions`` (T, P, 3), ``names`` (P,) and ``fps``: plain arrays, no pickle.

    Raises:
        ValueError: naming the file and what it lacks.
    """
    names = np.asarray(read_npz(path, "names"))
    positions = np.asarray(read_npz(path, "positions"))
    fps = np.asarray(read_npz(path, "fps"))
    if names.dtype.kind != "U" or positions.dtype.kind not in "fiu" or fps.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected names as text, positions and fps as numbers")
    if fps.shape not in ((), (1,)) or names.ndim != 1 or positions.ndim != 3:
        raise ValueError(
            f"{path}: expected positions (T, P, 3), names (P,) and one fps, "
            f"got {positions.shape}, {names.shape} and {fps.shape}"
        )
    return recording_of(
        path, tuple(names.tolist()), positions.astype(np.float64), float(fps.item())
    )
