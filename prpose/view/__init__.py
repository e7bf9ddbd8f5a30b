"""Figures (matplotlib, extra ``plot``): left is blue, right is orange, the midline is grey."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.data import Clip
from prpose.io import import_extra
from prpose.io.overlay import BONES, JOINT_COLOURS


def draw_samples(clips: Sequence[Clip], path: Path, samples: int = 6) -> None:
    """A PNG of frames of a data set: 2D keypoints (open dots: occluded) on the projected pose; below, the 3D pose.

    Args:
        clips: at least one; the middle frames of clips spread evenly over them are drawn.
        path: of the PNG.
        samples: number of frames, one column each.

    Raises:
        ValueError: if matplotlib is missing, or there is no clip.
    """
    if not clips:
        raise ValueError("expected at least one clip to draw, got none")
    chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, samples).round().astype(int)]
    with _figure(path, samples) as axes:
        for column, clip in zip(axes.T, chosen, strict=True):
            frame = len(clip) // 2
            _draw_image(column[0], clip, frame)
            _draw_views(column[1:], "", [(clip.poses_cam[frame] - clip.poses_cam[frame, 0], {"linewidth": 1.5})])


def draw_prediction(clip: Clip, frames: Sequence[int], samples: Array, deterministic: Array, path: Path) -> None:
    """A PNG of a prediction: the 2D input of a clip's frames; below, the samples and the ground truth.

    Args:
        clip, frames: one column per frame.
        samples: (S, len(frames), 17, 3) metres, camera axes, relative to the pelvis.
        deterministic: (len(frames), 17, 3), the poses without noise.
        path: of the PNG.

    Raises:
        ValueError: if matplotlib is missing.
    """
    title = f": {len(samples)} samples\nblack: ground truth, red: deterministic"
    with _figure(path, len(frames)) as axes:
        for n, (column, frame) in enumerate(zip(axes.T, frames, strict=True)):
            poses: list[tuple[Array, dict[str, Any]]] = [(p, {"linewidth": 0.6, "alpha": 0.12}) for p in samples[:, n]]
            truth = clip.poses_cam[frame] - clip.poses_cam[frame, 0]
            poses += [(truth, {"colour": "black", "linewidth": 1.6})]
            poses += [(deterministic[n], {"colour": "red", "linewidth": 1.0, "linestyle": "--"})]
            _draw_image(column[0], clip, frame)
            _draw_views(column[1:], title, poses)


@contextmanager
def _figure(path: Path, columns: int) -> Iterator[Any]:
    """Axes (3, columns) of a figure, written to ``path`` on exit; without pyplot, which keeps figures alive."""
    Figure = import_extra("matplotlib.figure", "plot").Figure
    figure = Figure(figsize=(2.7 * columns, 8.6), layout="constrained")
    yield figure.subplots(3, columns, squeeze=False, height_ratios=(1.4, 1, 1))
    figure.savefig(path, dpi=110, format="png")


def _draw_image(axis: Any, clip: Clip, frame: int) -> None:
    """The image plane, pixels: the projected pose as lines, the 2D keypoints as dots."""
    camera, xy = clip.camera, clip.keypoints_px[frame]
    bones = xy if camera.focal_px is None else camera.project(clip.poses_cam[frame].astype(np.float64))
    hidden = np.zeros(len(xy), bool) if clip.hidden is None else clip.hidden[frame]
    _draw_bones(axis, bones, linewidth=1.2)
    for point, colour, is_hidden in zip(xy, JOINT_COLOURS, hidden, strict=True):
        axis.plot(*point, "o", color=colour, markerfacecolor="none" if is_hidden else colour, markersize=4)
    low, high = bones.min(axis=0), bones.max(axis=0)
    half, (x, y) = 0.65 * (high - low).max(), (low + high) / 2
    axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half), aspect="equal")
    axis.tick_params(labelsize=6)
    occluded = f", {int(hidden.sum())} occluded" if clip.hidden is not None else ""
    axis.set_title(f"{clip.subject} {clip.action}\ncamera {clip.camera_index}, frame {frame}{occluded}", fontsize=8)


def _draw_bones(axis: Any, points: Array, colour: str | None = None, **style: Any) -> None:
    """A pose (17, 2) as lines, in the colours of its sides unless one is given."""
    for joint, parent in BONES:
        axis.plot(*points[[joint, parent]].T, color=colour or JOINT_COLOURS[joint], **style)


def _draw_views(axes: Any, title: str, poses: Sequence[tuple[Array, Mapping[str, Any]]]) -> None:
    """Poses (17, 3) with their styles, metres, as seen by the camera and from its left, y down."""
    for axis, (name, across_down) in zip(axes, (("camera view", [0, 1]), ("side view", [2, 1])), strict=True):
        for pose, style in poses:
            _draw_bones(axis, pose[:, across_down], **style)
        axis.set(xlim=(-1.1, 1.1), ylim=(1.1, -1.1), xticks=[], yticks=[], aspect="equal")
        axis.set_title(name + title, fontsize=7)
