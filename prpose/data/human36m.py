"""Human3.6M (Ionescu et al., PAMI 2014): clips of the field's npz files, and these from the original poses.

World axes: z up, metres. Images 1000 x 1002 (cameras 0 and 3) and 1000 x 1000 (1 and 2).
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from prpose.apart import try_apart
from prpose.atomic import read_json
from prpose.camera import Array, Camera, Tangential
from prpose.data.clip import check_coordinates, finite_float32
from prpose.data.release_files import OnFile, View, paths_of, write_release
from prpose.tables import import_extra, look_up

SPLITS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
SUBJECTS = (*SPLITS["train"], *SPLITS["test"])
DEFAULT_KEYPOINTS = "cpn_ft_h36m_dbb"
ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning"),
    *("Photo", "Posing", "Purchases", "Sitting", "SittingDown"),
    *("Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
CALIBRATION = Path(__file__).with_name("human36m_cameras.json")
RAW_JOINTS = 32
KEPT_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)  # those of H36M_17, in its order
POSES_FOLDER = Path("MyPoseFeatures") / "D3_Positions"
CORRUPT = (("S11", "Directions"),)  # left out, as everywhere: the video is corrupt, so that no detector's 2D fits


def views(subject: str, stored: Any, where: str) -> list[View]:
    """Poses in each camera's axes from (T, 32, 3) world metres; ``ValueError``, starting with ``where``, for others."""
    world = check_coordinates(stored, RAW_JOINTS, 3, where, "3D")[:, KEPT_JOINTS].astype(np.float64)
    return [(camera, camera.world_to_camera(world)) for camera in cameras(subject)]


@cache
def cameras(subject: str) -> tuple[Camera, ...]:
    """The four calibrated cameras of a subject; ``ValueError`` for an unknown subject."""
    calibration = read_json(CALIBRATION)
    outer_of = look_up(subject, calibration["extrinsics"], "subject of Human3.6M's cameras")
    found = []
    for inner, outer in zip(calibration["intrinsics"], outer_of, strict=True):
        lens = (inner[key] for key in ("focal_length", "center", "radial_distortion", "tangential_distortion"))
        position_m = [value / 1000 for value in outer["translation"]]
        found.append(Camera(inner["res_w"], inner["res_h"], *map(tuple, (*lens, outer["orientation"], position_m))))
    return tuple(found)


def from_cdf(
    source: Path,
    root: Path,
    overwrite: bool = False,
    tangential: Tangential = "videopose3d",
    on_file: OnFile = lambda files, total: None,
) -> dict[str, int]:
    """Writes ``data_3d_h36m.npz`` and ``data_2d_h36m_gt.npz`` from the original pose files (extra ``mocap``).

    The 3D file holds (T, 32, 3) float32 world metres per subject and action; the 2D file their projection into the
    four cameras, (T, 17, 2) float32 pixels each (method of VideoPose3D, arXiv 1811.11742).

    Args:
        source: folder with ``S1/MyPoseFeatures/D3_Positions/*.cdf``, and so on for all :data:`SUBJECTS`; (1, T, 96)
            world millimetres each.
        root, overwrite: folder to write to, and whether to replace existing files.
        tangential: lens model, see :meth:`prpose.camera.Camera.project`; that of the published 2D file by default.
        on_file: as of :func:`prpose.data.release_files.write_release`.

    Returns:
        Counts: subjects, recordings (complete: 209), clips, and frames of clips.
    """

    def read(subject: str, path: Path) -> tuple[Array, list[Array]]:
        world, keypoints_px = _read_world(path), []
        for index, (camera, points) in enumerate(views(subject, world, str(path))):
            if points[..., 2].min() <= 0:
                raise ValueError(f"{path}: expected world millimetres, got a joint behind camera {index}")
            pixels = camera.project(points, tangential)
            keypoints_px.append(finite_float32(pixels, f"{path}: pixels of camera {index}"))
        return world, keypoints_px

    files = [file for subject in SUBJECTS for file in _pose_files(Path(source), subject)]  # before any is read
    try_apart(_read_world, "cdflib", *(path for *_, path in files))
    return write_release(paths_of(root, "h36m", "gt"), overwrite, files, read, on_file)


def _pose_files(source: Path, subject: str) -> list[tuple[str, str, Path]]:
    """Subject, action and path of each file of a subject, in alphabetical order of the actions."""
    folder, files = source / subject / POSES_FOLDER, dict[str, Path]()
    for path in sorted(folder.glob("*.cdf")):
        if path.name.startswith(("_ALL", ".")):  # all actions in one file; hidden files of other systems
            continue
        action = path.stem.replace("TakingPhoto", "Photo").replace("WalkingDog", "WalkDog").replace("_", " ")
        if action in files:
            raise ValueError(f"{path}: expected one file of {action!r}, got {files[action]} as well")
        if (subject, action) not in CORRUPT:
            files[action] = path
    if not files:
        pattern = f"{source / '<subject>' / POSES_FOLDER / '*.cdf'} for {', '.join(SUBJECTS)}"
        raise ValueError(f"{folder}: expected the original Human3.6M poses as {pattern}, got none of {subject}")
    return [(subject, action, path) for action, path in sorted(files.items())]


def _read_world(path: Path) -> Array:
    """(T, 32, 3) float32 metres, world axes, of a CDF file with ``Pose`` in millimetres."""
    cdflib = import_extra("cdflib", "mocap")
    try:
        cdf = cdflib.CDF(path)
        names = (*cdf.cdf_info().zVariables, *cdf.cdf_info().rVariables)
        pose = np.asarray(cdf.varget("Pose")) if "Pose" in names else None
    except Exception as error:  # cdflib raises many kinds of errors for damaged files
        raise ValueError(f"{path}: truncated or not a CDF file ({type(error).__name__}: {error})") from None
    if pose is None:
        raise ValueError(f"{path}: no variable Pose; the file holds {', '.join(names) or 'nothing'}")
    if pose.ndim != 3 or pose.shape[::2] != (1, RAW_JOINTS * 3) or not pose.size or pose.dtype.kind != "f":
        expected = f"floating-point Pose of shape (1, T, {RAW_JOINTS * 3})"
        raise ValueError(f"{path}: expected {expected}, got {pose.dtype} {pose.shape}")
    with np.errstate(all="ignore"):  # infinity and NaN are an error
        return finite_float32(pose[0].reshape(-1, RAW_JOINTS, 3) / 1000, str(path))
