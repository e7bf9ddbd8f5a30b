"""Figures (matplotlib, extra ``plot``): left is blue, right is orange, the midline is grey."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data import Clip
from prpose.io.overlay import JOINT_COLOURS, VIEWS
from prpose.tables import import_extra
from prpose.view.figures import draw_bones

Column = tuple[Clip, int, list[tuple[Array, dict[str, Any]]]]  # a clip, its frame, and 3D poses with their styles


def draw_samples(clips: Sequence[Clip], path: Path, samples: int = 6) -> None:
    """A PNG of the middle frames of ``samples`` clips, spread evenly over all, one column each.

    Above are the 2D keypoints (open dots: occluded) on the projected pose, below is the 3D pose. ``ValueError`` if
    matplotlib is missing, or there is no clip.
    """
    if not clips:
        raise ValueError("expected at least one clip to draw, got none")
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, samples).round().astype(int)]
    middle = [(clip, len(clip) // 2) for clip in chosen]
    draw_columns([(clip, frame, [(clip.poses_cam[frame], {"linewidth": 1.5})]) for clip, frame in middle], path)


def draw_columns(columns: Sequence[Column], path: Path, title: str = "") -> None:
    """A PNG with a column for each frame: the 2D keypoints; the poses from two sides, the view's name and ``title``."""
    figure = import_extra("matplotlib.figure", "plot").Figure(figsize=(2.7 * len(columns), 8.6), layout="constrained")
    axes = figure.subplots(3, len(columns), squeeze=False, height_ratios=(1.4, 1, 1))
    for (image, *views), (clip, frame, poses) in zip(axes.T, columns, strict=True):
        _draw_image(image, clip, frame)
        for axis, (name, across_down) in zip(views, VIEWS.items(), strict=True):
            for pose, style in poses:
                draw_bones(axis, (pose - pose[0])[:, across_down], **style)
            axis.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), xticks=[], yticks=[], aspect="equal")
            axis.set_title(name + title, fontsize=7)
    figure.savefig(path, dpi=110, format="png")


def _draw_image(axis: Any, clip: Clip, frame: int) -> None:
    """The image plane, pixels: the projected pose as lines, the 2D keypoints as dots."""
    camera, xy = clip.camera, clip.keypoints_px[frame]
    bones = xy if camera.focal_px is None else camera.project(clip.poses_cam[frame].astype(np.float64))
    hidden = np.zeros(len(xy), bool) if clip.hidden is None else clip.hidden[frame]
    draw_bones(axis, bones, linewidth=1.2)
    for point, colour, is_hidden in zip(xy, JOINT_COLOURS, hidden, strict=True):
        axis.plot(*point, "o", color=colour, markerfacecolor="none" if is_hidden else colour, markersize=4)
    low, high = bones.min(axis=0), bones.max(axis=0)
    half, (x, y) = 0.65 * (high - low).max(), (low + high) / 2
    axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half), aspect="equal")
    axis.tick_params(labelsize=6)
    occluded = f", {int(hidden.sum())} occluded" if clip.hidden is not None else ""
    axis.set_title(f"{clip.subject} {clip.action}\ncamera {clip.camera_index}, frame {frame}{occluded}", fontsize=8)
