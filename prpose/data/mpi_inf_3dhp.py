"""MPI-INF-3DHP (Mehta et al., 3DV 2017) from the field's npz files.

3D is in camera axes already, absolute, metres; the files hold no calibration.
"""

from pathlib import Path

from prpose.camera import Camera
from prpose.data.clip import Clip
from prpose.data.release_files import Selection, paths_of, read_entries
from prpose.skeleton import H36M_17

SPLITS = {
    "train": tuple(f"S{i}" for i in range(1, 9)),
    "test": tuple(f"TS{i}" for i in range(1, 7)),
}
DEFAULT_KEYPOINTS = "hrnet_coco"
SETTINGS = {
    **dict.fromkeys(("TS1", "TS2"), "studio, green screen"),
    **dict.fromkeys(("TS3", "TS4"), "studio, no green screen"),
    **dict.fromkeys(("TS5", "TS6"), "outdoor"),
}
"""Where each test sequence was filmed."""


def load(root: Path, split: str, selection: Selection, keypoints: str) -> list[Clip]:
    """Clips of ``data_3d_3dhp.npz`` and ``data_2d_3dhp_{keypoints}.npz`` in ``root``.

    Raises:
        ValueError: naming file, subject, action and camera, for anything missing or misshapen.
    """
    J = len(H36M_17)
    path_3d, path_2d = paths_of(root, "3dhp", keypoints)
    clips = []
    for entry in read_entries(path_3d, path_2d, SPLITS[split], selection, J):
        all_poses = entry.poses_per_camera()
        for index, track in enumerate(entry.tracks(cameras=len(all_poses))):
            poses = entry.check_poses(all_poses[index], J, index)
            frames = selection.frames(len(poses))
            clips.append(
                Clip(
                    entry.check_track(track, J, len(poses), index)[frames],
                    poses[frames],
                    camera(entry.subject),
                    entry.subject,
                    entry.action,
                    index,
                )
            )
    return clips


def camera(subject: str) -> Camera:
    """Image size of a subject's videos; the outdoor test sequences are wider."""
    if subject in ("TS5", "TS6"):
        return Camera(1920, 1080)
    return Camera(2048, 2048)
