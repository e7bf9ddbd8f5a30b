"""Figures of predictions, at the widths of publications (matplotlib, extra ``plot``).

Left is blue with full dots, right is orange with open dots, the midline is grey; the point estimate is bold, the truth
is black. Figures do not go through pyplot: they belong to their caller alone.
"""

import textwrap
from collections.abc import Sequence
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from prpose.atomic import check_output, replacing
from prpose.camera import Array, level_rotation
from prpose.io.overlay import BONE_CHAINS, INK, JOINT_COLOURS, SIDE_COLOURS, VIEWS
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17
from prpose.tables import import_extra

Size = Literal["column", "page"]
WIDTHS_MM: dict[Size, int] = {"column": 85, "page": 170}
STYLE = {
    "font.size": 7, "axes.titlesize": 7, "legend.fontsize": 7, "axes.linewidth": 0.5, "lines.linewidth": 1,
    "svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "prpose",  # text as text; the same bytes each time
}  # fmt: skip
"""Settings of figures of these widths, for ``matplotlib.rc_context``."""
DPI, GRID = 300, 75  # sides are multiples of 1/75 inch: even numbers of pixels at 150 and 300 dots per inch
STILLS = (".png", ".svg", ".pdf")
MOST_SAMPLES = 200
EDGE, GAP, TITLE, STRIP, LEGEND = 1.0, 1.5, 3.4, 4.0, 7.5  # mm; between panels and legend is a strip with the scale
TEXT: dict[str, Any] = {"fontsize": 7, "color": INK, "parse_math": False}
BOLD = 1.8  # points
TRUTH = {"color": "black", "linewidth": 0.7}
FLAGGED = {"marker": "x", "linestyle": "", "color": "black", "markersize": 3, "markeredgewidth": 0.6}
DOTS = {
    side: {"marker": "o", "color": SIDE_COLOURS[side], "markerfacecolor": face, "markeredgewidth": 0.5}
    for side, face in (("left", SIDE_COLOURS["left"]), ("right", "white"))
}
PROJECTIONS = {name: np.eye(3)[list(axes)] for name, axes in VIEWS.items()}
PROJECTIONS |= {"From above": np.array([[1.0, 0, 0], [0, 0, -1]]), "3D": np.diag([1.0, -1, -1])}
"""By view, what is right and down; or right, up and near; all but the camera's own view are level."""
Shown = Sequence[tuple[Prediction, Sequence[int]]]  # predictions, and indices of their frames


def draw_bones(axes: Any, poses: Array, **style: Any) -> None:
    """Draws poses (*, 17, 2 or 3) on axes, a line a limb, in the colours of their sides unless ``color`` is given."""
    lines = [pose[limb] for pose in poses.reshape(-1, *poses.shape[-2:]) for limb in BONE_CHAINS]
    style = {"color": [JOINT_COLOURS[limb[0]] for limb in BONE_CHAINS] * (len(lines) // len(BONE_CHAINS))} | style
    if poses.shape[-1] == 3:
        axes.add_collection3d(import_extra("mpl_toolkits.mplot3d.art3d", "plot").Line3DCollection(lines, **style))
        axes.auto_scale_xyz(*poses.reshape(-1, 3).T)
    else:
        axes.add_collection(import_extra("matplotlib.collections", "plot").LineCollection(lines, **style))


def plot(prediction: Prediction, frame: int, axes: Any, truth: Array | None) -> Any:
    """See :meth:`prpose.Prediction.plot`."""
    if axes is None:
        return cloud_figure(prediction, frame, truth)
    is_3d = axes.name == "3d"
    draw_frame(axes, prediction, *_checked(prediction, frame, truth), "3D" if is_3d else "Camera view")
    if is_3d:
        axes.view_init(elev=15, azim=25, vertical_axis="y")
        limits = np.array([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()])
        low, high = limits.mean(axis=1) + np.ptp(limits, axis=1).max() * np.array([[-0.5], [0.5]])
        for n, set_limits in enumerate((axes.set_xlim, axes.set_ylim, axes.set_zlim)):  # a cube, for one scale
            set_limits(low[n], high[n], auto=None)
        axes.set_box_aspect((1, 1, 1))
        axes.set(xlabel="x (m)", ylabel="y (m), up", zlabel="z (m)")
    else:
        axes.autoscale_view()
        axes.yaxis.set_inverted(True)
        axes.set(xlabel="x (m), right", ylabel="y (m), down", aspect="equal")
    for axis in (axes.xaxis, axes.yaxis, *([axes.zaxis] if is_3d else [])):
        axis.set_major_locator(import_extra("matplotlib.ticker", "plot").MultipleLocator(0.5))
    return axes.figure


def cloud_figure(prediction: Prediction, frame: int, truth: Array | None = None, size: Size = "column") -> Any:
    """Samples and point estimate of a frame as the camera sees them, from the side and from above, at one scale.

    The 2D keypoints are beside them where the prediction has them, with a cross on those that are flagged. The views
    from the side and from above (there, what is far is up) are level where ``prediction.up`` is known.

    Args:
        frame: index of the frame, from 0.
        truth: (17, 3) metres in camera axes, drawn relative to its pelvis.
        size: width: "column", 85 mm, or "page", 170 mm.

    Returns:
        A ``matplotlib.figure.Figure``; ``ValueError`` for a frame out of range, or without matplotlib.
    """
    t, truth = _checked(prediction, frame, truth)
    figure, panels = arranged([(prediction, [t])], (*VIEWS, "From above"), size, truth=truth, with_xy=True)
    for axes, _, view in panels:
        draw_frame(axes, prediction, t, truth, view)
    return figure


def compare_figure(
    predictions: Sequence[Prediction], names: Sequence[str] = (), frame: int | None = None, size: Size = "column"
) -> Any:
    """The same frame of predictions side by side, each from the camera and from the side, at one scale.

    Args:
        predictions: two or three for a column, up to six for a page.
        names: one per prediction. Default: their models'.
        frame: number of the frame in the video. Default: the middle one of those that all have.
        size: as in :func:`cloud_figure`.

    Returns:
        A ``matplotlib.figure.Figure``; ``ValueError`` for another number of predictions, or if one lacks the frame.
    """
    most = WIDTHS_MM[size] // 28
    if not 2 <= len(predictions) <= most:
        raise ValueError(f"expected 2 to {most} predictions at the width of a {size}, got {len(predictions)}")
    number = common_frame(predictions, frame)
    indices = [int(np.searchsorted(each.frame_numbers, number)) for each in predictions]
    shown = [(each, [t]) for each, t in zip(predictions, indices, strict=True)]
    names = names or [str(each.model.get("name", "")) for each in predictions]
    figure, panels = arranged(shown, tuple(VIEWS), size, names)
    for axes, n, view in panels:
        draw_frame(axes, predictions[n], indices[n], None, view)
    return figure


def common_frame(predictions: Sequence[Prediction], number: int | None = None) -> int:
    """A frame number that all predictions have, by default the middle one; ``ValueError`` if they lack it."""
    common = reduce(np.intersect1d, [each.frame_numbers for each in predictions])
    if not len(common):
        ranges = [f"{each.frame_numbers[0]} to {each.frame_numbers[-1]}" for each in predictions]
        raise ValueError(f"expected a frame number that all predictions have, got {' and '.join(ranges)}")
    if number is not None and number not in common:
        raise ValueError(f"expected one of the {len(common)} frame numbers {common[0]} to {common[-1]}, got {number}")
    return int(common[len(common) // 2]) if number is None else number


def check_figure(path: str | Path, endings: Sequence[str], overwrite: bool) -> Path:
    """The path; ``ValueError`` if it has none of these endings, or no file may be written there."""
    if (ending := Path(path).suffix.lower()) in endings:
        return check_output(path, overwrite)
    raise ValueError(f"{path}: expected {' or '.join(endings)} for this figure, got {ending!r}")


def save_figure(figure: Any, path: str | Path, overwrite: bool = False) -> None:
    """Writes a figure as PNG at 300 dots per inch, SVG or PDF, by the path's ending; equal figures give equal bytes."""
    path = check_figure(path, STILLS, overwrite)
    ending, undated = path.suffix.lower()[1:], {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with replacing(path) as temporary, import_extra("matplotlib", "plot").rc_context(STYLE):
        figure.savefig(temporary, dpi=DPI, format=ending, metadata=undated.get(ending))


def draw_frame(axes: Any, prediction: Prediction, t: int, truth: Array | None, view: str) -> None:
    """Draws a frame in a view of :data:`PROJECTIONS`; a truth (17, 3) is relative to its pelvis."""
    name, (pose, *samples) = axes.get_gid() or "prpose", _seen(prediction, t, view)
    if samples:
        opacity = float(np.clip(12 / len(samples), 0.05, 0.4))
        draw_bones(axes, np.array(samples), linewidth=0.5, alpha=opacity, zorder=1, gid=f"{name}-samples")
    _draw_pose(axes, pose, BOLD)
    if truth is not None:
        draw_bones(axes, _project(prediction, truth, view), zorder=4, gid=f"{name}-truth", **TRUTH)


def _draw_pose(axes: Any, pose: Array, width: float) -> None:
    """The bold lines of a pose (17, 2 or 3) on white ones, and the dots of its joints."""
    draw_bones(axes, pose, color="white", linewidth=width + 0.8, alpha=0.7, zorder=2)
    draw_bones(axes, pose, linewidth=width, zorder=3, gid=f"{axes.get_gid() or 'prpose'}-pose")
    for side, style in DOTS.items():
        joints = [j for j, each in enumerate(H36M_17.sides) if each == side]
        axes.plot(*pose[joints].T, **style, linestyle="", markersize=1.3 * width, zorder=3.5)


def _checked(prediction: Prediction, frame: int, truth: Array | None) -> tuple[int, Array | None]:
    """The index, and the truth relative to its pelvis."""
    if not 0 <= frame < len(prediction):
        raise ValueError(f"expected a frame from 0 to {len(prediction) - 1}, got {frame}")
    if truth is not None and (np.shape(truth) != (17, 3) or not np.isfinite(truth).all()):
        raise ValueError(f"expected a finite truth of shape (17, 3), metres, got shape {np.shape(truth)}")
    return int(frame), None if truth is None else np.asarray(truth, np.float64) - truth[0]


def _project(prediction: Prediction, poses: Array, view: str) -> Array:
    turn = np.eye(3) if view == "Camera view" else level_rotation(prediction.up)
    return np.asarray(poses, np.float64) @ (PROJECTIONS[view] @ turn).T


def _seen(prediction: Prediction, t: int, view: str) -> Array:
    """The point estimate and at most 200 samples of a frame, (1 + K, 17, 2 or 3), in a view."""
    samples = () if prediction.samples is None else prediction.samples[:MOST_SAMPLES, t]
    return _project(prediction, np.array([prediction.pose[t], *samples]), view)


def _box(shown: Shown, view: str, truth: Array | None) -> Array:
    """(2, 2), the lowest and highest coordinates in a view, with a margin; frame by frame, to bound the memory."""
    clouds = [] if truth is None else [_project(shown[0][0], truth[None], view)]
    seen = (_seen(prediction, t, view) for prediction, frames in shown for t in frames)
    corners = [(cloud.min((0, 1)), cloud.max((0, 1))) for cloud in chain(clouds, seen)]
    return np.stack([np.min(corners, axis=(0, 1)) - 0.08, np.max(corners, axis=(0, 1)) + 0.08])


def arranged(
    shown: Shown, views: Sequence[str], size: Size, names: Sequence[str] = (), truth: Any = None, with_xy: bool = False
) -> tuple[Any, list[tuple[Any, int, str]]]:
    """A figure with a legend and panels of one scale, and per panel its axes, number of prediction, and view.

    Panels are in a row, before them that of the keypoints if ``with_xy`` is true and they are known, which are drawn.
    """
    boxes = {view: _box(shown, view, truth) for view in views}
    cells = [(n, view) for n in range(len(shown)) for view in views]
    titles, widths = [view for _, view in cells], [np.ptp(boxes[view], axis=0)[0] for _, view in cells]
    prediction, (t, *_) = shown[0]
    xy = prediction.keypoints_px[t] if with_xy and prediction.keypoints_px is not None else None
    if xy is not None:
        titles, widths = ["2D keypoints", *titles], [widths[0], *widths]
    height = max(np.ptp(box, axis=0)[1] for box in boxes.values())
    figure, row, per_metre = _row(size, np.array(widths), height, titles, names)
    flagged = xy is not None and bool(prediction.flags[t].any())
    if xy is not None:
        axes = row.pop(0)
        _draw_pose(axes, xy, 1.0)
        axes.plot(*xy[prediction.flags[t] > 0].T, **FLAGGED, zorder=4)
        _centre(axes, np.stack([xy.min(0), xy.max(0)]))
    for axes, (_, view) in zip(row, cells, strict=True):
        _centre(axes, boxes[view], per_metre)
    _add_legend(figure, row[0], per_metre, shown, truth is not None, flagged)
    return figure, [(axes, *cell) for axes, cell in zip(row, cells, strict=True)]


def _row(
    size: Size, widths: Array, height: float, titles: Sequence[str], names: Sequence[str]
) -> tuple[Any, list[Any], float]:
    """A figure, its axes and millimetres per metre: panels of at least these metres, as large as they fit."""
    across, widths = WIDTHS_MM[size] - 2 * EDGE - GAP * (len(widths) - 1), np.maximum(widths, 0.85 * widths.max())
    per_metre = float(min(across / widths.sum(), WIDTHS_MM[size] / height))
    widths, height = widths * across / widths.sum(), height * per_metre
    titles = [textwrap.fill(text, int(mm / 1.4)) for text, mm in zip(titles, widths, strict=True)]
    names = [textwrap.fill(text, int(across / len(names) / 1.4)) for text in names]
    lines = [1 + max(text.count("\n") for text in texts) for texts in (titles, names) if texts]
    top, low = EDGE + TITLE * sum(lines), STRIP + LEGEND
    sides = np.array([WIDTHS_MM[size], low + height + top])
    figure = import_extra("matplotlib.figure", "plot").Figure(figsize=np.ceil(GRID * sides / 25.4 - 0.5) / GRID + 1e-9)
    edges = {"left": EDGE / sides[0], "right": 1 - EDGE / sides[0], "bottom": low / sides[1], "top": 1 - top / sides[1]}
    spaces = {"wspace": GAP / widths.mean(), "width_ratios": widths}
    row = figure.subplots(1, len(widths), squeeze=False, gridspec_kw=edges | spaces)[0].tolist()
    for n, text in enumerate(names):
        first, *_, last = (axes.get_position() for axes in np.array_split(row, len(names))[n])
        figure.text((first.x0 + last.x1) / 2, 1 - EDGE / sides[1], text, ha="center", va="top", **TEXT)
    for n, (axes, text) in enumerate(zip(row, titles, strict=True)):
        axes.set(gid=f"panel-{n}", xticks=[], yticks=[])
        axes.set_title(text, pad=2, **TEXT)
        axes.spines[:].set(color="#b0b0b0", linewidth=0.4)
    return figure, row, per_metre


def _centre(axes: Any, box: Array, per_unit: float | None = None) -> None:
    """Limits about the middle of a box (2, 2), at a scale in millimetres per unit; by default the box fits in."""
    panel = axes.get_window_extent()
    sides = np.array([panel.width, panel.height]) / axes.figure.dpi * 25.4
    middle, per_unit = box.mean(axis=0), per_unit or (sides / np.ptp(box, axis=0).clip(1e-6)).min() / 1.15
    (left, top), (right, bottom) = middle - sides / 2 / per_unit, middle + sides / 2 / per_unit
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _add_legend(figure: Any, axes: Any, per_metre: float, shown: Shown, *also: bool) -> None:
    """Below the panels: half a metre to scale, and what colours and lines mean."""
    Line2D = import_extra("matplotlib.lines", "plot").Line2D
    width, height = 25.4 * figure.get_size_inches()
    x, y = axes.get_position().x0, (LEGEND + STRIP / 2) / height
    figure.add_artist(Line2D([x, x + per_metre / 2 / width], [y, y], color="black", linewidth=1.2, gid="scale"))
    figure.text(x + (per_metre / 2 + 1) / width, y, "0.5 m", va="center", **TEXT)
    first = {side: {"color": colour, "markersize": 2.5} | DOTS.get(side, {}) for side, colour in SIDE_COLOURS.items()}
    first["midline"] = first.pop("middle")
    first |= {"flagged keypoint": FLAGGED} if also[1] else {}
    second: dict[str, Any] = {"point estimate": {"color": INK}}
    if counts := {min(len(each.samples), MOST_SAMPLES) for each, _ in shown if each.samples is not None}:
        second[f"{' or '.join(map(str, sorted(counts)))} samples"] = {"color": INK, "linewidth": 0.5, "alpha": 0.6}
    second |= {"truth": TRUTH} if also[0] else {}
    for row, styles in enumerate((first, second)):
        handles = [Line2D([], [], label=name, **{"linewidth": BOLD} | style) for name, style in styles.items()]
        room = {"handlelength": 1.8, "handletextpad": 0.6, "columnspacing": 1.4, "borderpad": 0, "fontsize": 7}
        place = {"loc": "center", "bbox_to_anchor": (0.5, LEGEND * (0.75 - 0.5 * row) / height)}
        figure.legend(handles=handles, ncols=len(handles), frameon=False, **room, **place)
