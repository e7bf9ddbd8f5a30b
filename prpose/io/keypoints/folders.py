"""Folders: one clip with a file per frame, or many inputs side by side."""

from collections.abc import Callable
from pathlib import Path

from prpose.io.keypoints import mmpose, openpose
from prpose.io.keypoints.detections import load_json

ENDINGS = (".json", ".npz", ".npy", ".csv")
"""Of files of keypoints."""


def is_one_clip(folder: Path) -> bool:
    """Whether a folder holds a file per frame: OpenPose's, or MMPose's of images.

    MMPose's are told by the first JSON file in which somebody is.
    """
    if openpose.frame_files(folder):
        return True
    for file in sorted(folder.glob("*.json")):
        try:
            content = load_json(file)
        except (ValueError, OSError):
            return False
        if content != []:
            return mmpose.is_of_an_image(content)
    return False


def inputs_in(folder: Path, other: Callable[[Path], bool] = lambda path: False) -> tuple[list[Path], list[Path]]:
    """Files of keypoints in a folder, and folders in it that are one clip; and what is neither.

    Both are sorted by name. Hidden files, and what deeper folders hold, are not looked at.

    Args:
        folder: to look in.
        other: tells inputs of another kind: pictures and video.

    Raises:
        ValueError: if there is no input.
    """
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inputs = [path for path in inside if _is_input(path) or other(path)]
    if not inputs:
        raise ValueError(
            f"{folder}: expected pictures, video or files of keypoints in the folder "
            f"({', '.join(ENDINGS)}), folders of OpenPose, or *_keypoints.json of it, got none"
        )
    return inputs, [path for path in inside if path not in inputs]


def _is_input(path: Path) -> bool:
    return is_one_clip(path) if path.is_dir() else path.suffix.lower() in ENDINGS
