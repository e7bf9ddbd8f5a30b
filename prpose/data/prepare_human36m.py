"""Human3.6M: the original pose download (CDF) → the field's two npz files.

World positions are kept as they are, but in metres; 2D is their projection into the four
cameras (method of VideoPose3D's ``prepare_data_h36m.py``, arXiv 1811.11742).
"""

from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array, Tangential
from prpose.data import human36m
from prpose.data.arrays import finite_float32
from prpose.data.release_files_write import check_pair, import_mocap, write_pair

SUBJECTS = (*human36m.SPLITS["train"], *human36m.SPLITS["test"])
POSES_FOLDER = Path("MyPoseFeatures") / "D3_Positions"
CORRUPT = (("S11", "Directions"),)
"""Left out: the video of S11's first Directions is corrupt, so no detector's 2D pairs with it."""


def from_cdf(
    source: Path, root: Path, overwrite: bool = False, tangential: Tangential = "videopose3d"
) -> dict[str, int]:
    """Writes ``data_3d_h36m.npz`` and ``data_2d_h36m_gt.npz`` into ``root``; both or neither.

    The first holds (T, 32, 3) float32 world metres per subject and action, the second four
    (T, 17, 2) float32 pixel tracks, one per camera. The extra ``mocap`` reads the CDF files.

    Args:
        source: folder with ``S1/MyPoseFeatures/D3_Positions/*.cdf``, and so on for S5, S6, S7,
            S8, S9 and S11; (1, T, 96) world millimetres each.
        root: folder to write to.
        overwrite: whether to replace files that are there.
        tangential: lens model of the projection, see :meth:`prpose.camera.Camera.project`;
            the default makes the 2D that the field publishes.

    Returns:
        Counts: subjects, recordings (complete: 209), clips (four per recording), frames of clips.

    Raises:
        ValueError: naming the file or folder, for anything missing, damaged, misshapen or not
            finite, and for outputs that exist.
    """
    source, root = Path(source), Path(root)
    outputs = check_pair(root, "h36m", overwrite)
    cdflib = import_mocap("cdflib")
    # Find everything before reading anything: reading all of it takes minutes.
    files = {subject: _pose_files(source, subject) for subject in SUBJECTS}
    positions_3d: dict[str, dict[str, Array]] = {}
    positions_2d: dict[str, dict[str, list[Array]]] = {}
    for subject, by_action in files.items():
        positions_3d[subject], positions_2d[subject] = {}, {}
        for action, path in by_action.items():
            world = _read_world(cdflib, path)
            positions_3d[subject][action] = world
            positions_2d[subject][action] = _project(world, subject, tangential, path)
    return write_pair(outputs, positions_3d, positions_2d)


def canonical_action(stem: str) -> str:
    """The field's name of an action, from an original file's name without its ending.

    Example:
        >>> canonical_action("WalkingDog_1"), canonical_action("TakingPhoto")
        ('WalkDog 1', 'Photo')
    """
    return stem.replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog").replace("_", " ")


def _pose_files(source: Path, subject: str) -> dict[str, Path]:
    """{action: file} of a subject, by name of the action."""
    folder = source / subject / POSES_FOLDER
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: no such folder; expected the original Human3.6M poses as "
            f"{source / '<subject>' / POSES_FOLDER / '*.cdf'} for {', '.join(SUBJECTS)}"
        )
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.cdf")):
        if path.name.startswith(("_ALL", ".")):  # all actions in one; other systems' debris
            continue
        action = canonical_action(path.stem)
        if action in files:
            raise ValueError(f"{path}: expected one file of {action!r}, got {files[action]}, too")
        if (subject, action) not in CORRUPT:
            files[action] = path
    if not files:
        raise ValueError(f"{folder}: expected the subject's *.cdf files, got none")
    return dict(sorted(files.items()))


def _read_world(cdflib: Any, path: Path) -> Array:
    """(T, 32, 3) float32 metres, world axes, of a CDF file with ``Pose`` in millimetres."""
    columns = human36m.RAW_JOINTS * 3
    try:
        cdf = cdflib.CDF(path)
        info = cdf.cdf_info()
        missing = "Pose" not in (*info.zVariables, *info.rVariables)
        pose = None if missing else np.asarray(cdf.varget("Pose"))
    except Exception as error:  # a damaged file can fail in any way at all
        raise ValueError(f"{path}: truncated or not a CDF file ({type(error).__name__}: {error})") from None
    if pose is None:
        names = ", ".join((*info.zVariables, *info.rVariables)) or "nothing"
        raise ValueError(f"{path}: no variable Pose; the file holds {names}")
    if pose.ndim != 3 or pose.shape != (1, max(pose.shape[1], 1), columns):
        raise ValueError(f"{path}: expected Pose of shape (1, T, {columns}), got {pose.shape}")
    if pose.dtype.kind != "f":
        raise ValueError(f"{path}: expected Pose in floating point, got {pose.dtype}")
    return finite_float32(pose[0].reshape(-1, human36m.RAW_JOINTS, 3) / 1000, str(path))


def _project(world: Array, subject: str, tangential: Tangential, path: Path) -> list[Array]:
    """[(T, 17, 2) float32 pixels, one per camera] of (T, 32, 3) metres, world axes."""
    kept = world[:, human36m.KEPT_JOINTS].astype(np.float64)
    tracks = []
    for index, camera in enumerate(human36m.cameras(subject)):
        points = camera.world_to_camera(kept)
        if points[..., 2].min() <= 0:
            frame = int(np.argwhere(points[..., 2] <= 0)[0][0])
            raise ValueError(
                f"{path}: expected world millimetres in front of the cameras, got a joint behind "
                f"camera {index} in frame {frame}"
            )
        where = f"{path}: pixels of camera {index}"
        tracks.append(finite_float32(camera.project(points, tangential), where))
    return tracks
