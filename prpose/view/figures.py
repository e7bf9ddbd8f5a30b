"""Figures (matplotlib, extra ``plot``): left is blue, right is orange, the midline is grey."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data import Clip
from prpose.skeleton import H36M_17

COLOURS = {"left": "#1f77b4", "right": "#ff7f0e", "middle": "#555555"}
SIDES = tuple(name.partition("_")[0] for name in H36M_17.names)
BONES = tuple(
    (joint, parent, COLOURS.get(SIDES[joint], COLOURS["middle"]))
    for joint, parent in enumerate(H36M_17.parents)
    if parent >= 0
)


def draw_samples(clips: Sequence[Clip], path: Path, samples: int = 6) -> None:
    """A PNG with some frames of the clips: image and detector above, the pose in 3D below.

    Above: the true joints' projection as lines where the camera is calibrated, the 2D of the data
    set as dots, hidden joints as open ones. Below: the pose from the camera's side and from its
    left, up as it was in the image, so that a mirrored or upside-down pose is seen at once.

    Args:
        clips: at least one; frames are taken from the middle of clips spread over them.
        path: of the PNG.
        samples: columns.

    Raises:
        ValueError: if matplotlib is missing, or there is no clip.
    """
    if not clips:
        raise ValueError("expected at least one clip to draw, got none")
    figures = import_pyplot()
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, samples).round().astype(int)]
    figure, axes = figures.subplots(
        3, samples, figsize=(2.6 * samples, 8.4), height_ratios=(1.4, 1, 1), layout="constrained"
    )
    for column, clip in enumerate(chosen):
        frame = len(clip) // 2
        draw_image(axes[0, column], clip, frame)
        pose = clip.poses_cam[frame] - clip.poses_cam[frame, 0]
        draw_side(axes[1, column], pose[:, [0, 1]], "from the camera")
        draw_side(axes[2, column], pose[:, [2, 1]], "camera to the left")
    figure.savefig(path, dpi=110, format="png")
    figures.close(figure)


def draw_hypotheses(clip: Clip, frames: Sequence[int], poses: Array, single: Array, path: Path) -> None:
    """A PNG with the 2D input, the cloud of hypotheses, and the truth, one column per frame.

    Args:
        clip: with the 2D and the truth.
        frames: of the clip.
        poses: (S, len(frames), 17, 3) hypotheses: camera axes, metres, pelvis at 0.
        single: (len(frames), 17, 3), the lifter's own answer.
        path: of the PNG.

    Raises:
        ValueError: if matplotlib is missing.
    """
    figures = import_pyplot()
    figure, axes = figures.subplots(3, len(frames), figsize=(2.8 * len(frames), 9), squeeze=False, layout="constrained")
    for column, frame in enumerate(frames):
        draw_image(axes[0, column], clip, frame)
        truth = clip.poses_cam[frame] - clip.poses_cam[frame, 0]
        for row, (across, title) in enumerate(((0, "from the camera"), (2, "camera to the left")), start=1):
            axis, kept = axes[row, column], [across, 1]
            for pose in poses[:, column]:
                draw_bones(axis, pose[:, kept], linewidth=0.6, alpha=0.12)
            draw_bones(axis, truth[:, kept], linewidth=1.6, colour="black")
            draw_bones(axis, single[column][:, kept], linewidth=1.0, linestyle="--", colour="red")
            axis.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), xticks=[], yticks=[], aspect="equal")
            axis.set_title(f"{title}: {len(poses)} hypotheses\nblack: truth, red: single", fontsize=7)
    figure.savefig(path, dpi=110, format="png")
    figures.close(figure)


def draw_bones(axis: Any, points: Array, colour: str | None = None, **style: Any) -> None:
    """A pose (17, 2) as lines, in the colours of its sides unless one is given."""
    for joint, parent, own in BONES:
        axis.plot(*points[[joint, parent]].T, color=colour or own, **style)


def draw_image(axis: Any, clip: Clip, frame: int) -> None:
    """The person in a clip's frame, pixels: bones of the truth, and the 2D keypoints on top."""
    camera, found = clip.camera, clip.keypoints_px[frame]
    calibrated = camera.focal_px is not None
    bones = camera.project(clip.poses_cam[frame].astype(np.float64)) if calibrated else found
    draw_bones(axis, bones, linewidth=1.2)
    hidden = np.zeros(len(found), bool) if clip.hidden is None else clip.hidden[frame]
    colours = [COLOURS.get(side, COLOURS["middle"]) for side in SIDES]
    for joint, colour in enumerate(colours):
        face = "none" if hidden[joint] else colour
        axis.plot(*found[joint], "o", color=colour, markerfacecolor=face, markersize=4)
    low, high = bones.min(axis=0), bones.max(axis=0)
    half, (x, y) = 0.65 * (high - low).max(), (low + high) / 2
    axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half), aspect="equal")
    axis.tick_params(labelsize=6)
    hide = f", {int(hidden.sum())} hidden" if clip.hidden is not None else ""
    axis.set_title(f"{clip.subject} {clip.action}\ncamera {clip.camera_index}, frame {frame}{hide}", fontsize=8)


def draw_side(axis: Any, points: Array, title: str) -> None:
    """A pose (17, 2) in metres, up (negative y) upwards."""
    draw_bones(axis, points, linewidth=1.5)
    axis.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), xticks=[], yticks=[], aspect="equal")
    axis.set_title(title, fontsize=7)


def import_pyplot() -> Any:
    """pyplot, drawing to files only; ``ValueError`` that says how to install it, if missing."""
    try:
        importlib.import_module("matplotlib").use("Agg")
        return importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise ValueError('matplotlib is needed to draw: pip install "prpose[plot]"') from None
