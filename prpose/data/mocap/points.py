"""Point trajectories without a skeleton: C3D markers, and npz files with named points."""

import importlib
import struct
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
        # 255 names fit into one parameter; more are in LABELS2, LABELS3 ...
        parts = ["LABELS", *(f"LABELS{n}" for n in range(2, 100) if f"LABELS{n}" in point)]
        names = tuple(name.strip() for part in parts for name in point[part]["value"])
        fps = float(point["RATE"]["value"][0])
        positions = np.moveaxis(np.array(content["data"]["points"][:3], dtype=np.float64), 0, -1)
    except Exception as error:  # ezc3d raises whatever its parser meets
        raise ValueError(f"{path}: not a C3D file, or a damaged one ({error})") from None
    positions = positions.swapaxes(0, 1)
    promised = _frames_promised(path)
    if len(positions) < promised:
        raise ValueError(f"{path}: expected {promised} frames, got {len(positions)}: truncated?")
    return recording_of(path, names, positions, fps)


def _frames_promised(path: Path) -> int:
    """Frames by the file's header, which ezc3d corrects to what it finds; 0 if there are too many.

    First and last frame are its words 4 and 5, of 16 bits, in the byte order of the processor that
    byte 4 of the parameter section names (86 for the big-endian one).
    """
    data = path.read_bytes()
    section = 512 * (data[0] - 1)
    order = ">" if data[section + 3] == 86 else "<"
    first, last = struct.unpack(f"{order}HH", data[6:10])
    return last - first + 1 if last < 65535 else 0


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
    return recording_of(path, tuple(names.tolist()), positions.astype(np.float64), float(fps.item()))
