"""Human3.6M (Ionescu et al., PAMI 2014) from the field's npz files.

World axes: z up, metres. Images 1000 x 1002 (cameras 0 and 3) and 1000 x 1000 (1 and 2).
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Camera
from prpose.data.arrays import finite_float32
from prpose.data.clip import Clip
from prpose.data.release_files import Selection, paths_of, read_entries
from prpose.skeleton import H36M_17

SPLITS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
DEFAULT_KEYPOINTS = "cpn_ft_h36m_dbb"
ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning"),
    *("Photo", "Posing", "Purchases", "Sitting", "SittingDown"),
    *("Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
CAMERAS = 4
CALIBRATION = "human36m_cameras.json"
RAW_JOINTS = 32
KEPT_JOINTS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Of the original 32 joints those of ``H36M_17``, in its order."""


def load(root: Path, split: str, selection: Selection, keypoints: str) -> list[Clip]:
    """Clips of ``data_3d_h36m.npz`` and ``data_2d_h36m_{keypoints}.npz`` in ``root``.

    Raises:
        ValueError: naming file, subject, action and camera, for anything missing or misshapen.
    """
    J = len(H36M_17)
    path_3d, path_2d = paths_of(root, "h36m", keypoints)
    clips = []
    for entry in read_entries(path_3d, path_2d, SPLITS[split], selection, J):
        world = entry.check_poses(entry.poses, RAW_JOINTS)
        frames = selection.frames(len(world))
        tracks = entry.tracks(CAMERAS)
        for index, camera in enumerate(cameras(entry.subject)):
            track = entry.check_track(tracks[index], J, len(world), index)
            poses = camera.world_to_camera(world[:, KEPT_JOINTS].astype(np.float64))
            clips.append(
                Clip(
                    track[frames],
                    finite_float32(poses[frames], f"{path_3d}: subject {entry.subject}", "3D"),
                    camera,
                    entry.subject,
                    entry.action,
                    index,
                )
            )
    return clips


def cameras(subject: str) -> tuple[Camera, ...]:
    """The four calibrated cameras that filmed a subject; ``ValueError`` for an unknown subject."""
    calibration = _calibration()
    if subject not in calibration["extrinsics"]:
        known = ", ".join(calibration["extrinsics"])
        raise ValueError(f"no Human3.6M cameras for subject {subject}; there are {known}")
    return tuple(
        Camera(
            width=inner["res_w"],
            height=inner["res_h"],
            focal_px=tuple(inner["focal_length"]),
            center_px=tuple(inner["center"]),
            radial=tuple(inner["radial_distortion"]),
            tangential=tuple(inner["tangential_distortion"]),
            orientation=tuple(outer["orientation"]),
            position_m=tuple(value / 1000 for value in outer["translation"]),
        )
        for inner, outer in zip(calibration["intrinsics"], calibration["extrinsics"][subject], strict=True)
    )


@cache
def _calibration() -> dict[str, Any]:
    text = Path(__file__).with_name(CALIBRATION).read_text(encoding="utf-8")
    return dict(json.loads(text))
