"""What an overlay shows of a frame: the picture with the pose on it, and the pose in space."""

from dataclasses import dataclass

import numpy as np

from prpose.camera import Array, Camera
from prpose.io.overlay.canvas import Colour, draw_dots, draw_lines, draw_text, text_width
from prpose.prediction import Prediction
from prpose.regions import reach_of
from prpose.skeleton import H36M_17
from prpose.view.figures import BONES, SIDES

SIDE_COLOURS: dict[str, Colour] = {
    "left": (31, 119, 220),
    "right": (255, 127, 14),
    "middle": (110, 110, 110),
}
"""As in figures (:mod:`prpose.view.figures`), a little brighter on photos."""

PAPER, INK = (250, 250, 250), (60, 60, 60)
MOST_LINES = 20
"""Hypotheses that are drawn; more are no easier to see."""
ENDS = tuple(j for j, name in enumerate(H36M_17.names) if name.endswith(("head", "elbow", "wrist", "knee", "ankle")))
"""Joints whose regions are drawn."""
CIRCLE = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 25)), np.sin(a)])
VIEWS = (("FRONT", (0, 1)), ("SIDE", (2, 1)))
"""From the camera, and with the camera on the left: axes across and down."""


@dataclass(frozen=True)
class Layout:
    """Where things are, in pixels.

    Args:
        width, height: of the picture as it is shown.
        scale: of it, over what was filmed.
        panel: side of each of the two square views beside it.
        per_metre: pixels, in the views.
    """

    width: int
    height: int
    scale: float
    panel: int
    per_metre: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of all of it, both even, as video wants them."""
        return self.width + self.panel, self.height


def layout_of(poses: Prediction, width: int, height: int) -> Layout:
    """For pictures of a size; the views hold the largest pose of the clip."""
    shown = min(max(height, 480), 720)
    shown -= shown % 4
    scale = shown / height
    reach = float(np.abs(poses.pose).max())
    across = max(2, round(width * scale / 2) * 2)
    return Layout(across, shown, scale, shown // 2, shown / 4 / max(1.0, 1.1 * reach))


def drawn(image: Array, poses: Prediction, t: int | None, layout: Layout, time_s: float | None) -> Array:
    """One frame.

    Args:
        image: (height, width, 3) uint8, of the layout's size.
        poses: of the person.
        t: which of them, or None if the person is absent.
        layout: of the frame.
        time_s: to be written on it.

    Returns:
        (layout.size[1], layout.size[0], 3) uint8.
    """
    whole = np.full((layout.height, layout.size[0], 3), PAPER, dtype=np.uint8)
    whole[:, : layout.width] = image
    picture = whole[:, : layout.width]
    if t is not None:
        _on_picture(picture, poses, t, layout.scale)
    for row, (title, axes) in enumerate(VIEWS):
        top = row * layout.panel
        view = whole[top : top + layout.panel, layout.width :]
        if t is not None:
            _in_space(view, poses, t, axes, layout.per_metre)
        view[-1:] = view[:, :1] = INK
        draw_text(view, title, (8, 8), INK, 2)
    _legend(whole[: layout.panel, layout.width :])
    if time_s is not None:
        draw_text(picture, f"{time_s:.2f} S", (10, layout.height - 24), (255, 255, 255), 2)
    return whole


def _legend(view: Array) -> None:
    for row, side in enumerate(("left", "right")):
        text = side.upper()
        corner = view.shape[1] - text_width(text, 1) - 8, 8 + 12 * row
        draw_text(view, text, corner, SIDE_COLOURS[side], 1)


def _on_picture(picture: Array, poses: Prediction, t: int, scale: float) -> None:
    """Hypotheses as a cloud, and the keypoints with their bones on it."""
    thick = max(2.0, picture.shape[0] / 200)
    if poses.samples is not None and poses.root is not None and poses.camera is not None:
        points = poses.samples[:MOST_LINES, t].astype(np.float64) + poses.root[t]
        _bones(picture, _projected(points, poses.camera) * scale, 1.0, 0.25, 0.6)
    if poses.keypoints_px is None:
        return
    points = poses.keypoints_px[t].astype(np.float64) * scale
    flags = np.zeros(len(points)) if poses.flags is None else poses.flags[t]
    for parents in _lines(points[None]).values():  # on clothes of any colour
        draw_lines(picture, parents, (255, 255, 255), thick + 2, 0.6, 0.6)
    _bones(picture, points[None], thick, 1.0, 1.0)
    for side, colour in SIDE_COLOURS.items():
        for hollow in (False, True):
            mine = np.array([_side(s) == side for s in SIDES]) & ((flags != 0) == hollow)
            draw_dots(picture, points[mine], (255, 255, 255), thick * 1.5)
            draw_dots(picture, points[mine], colour, thick * (1.5 if hollow else 1.1), hollow)


def _in_space(view: Array, poses: Prediction, t: int, axes: tuple[int, int], per_metre: float) -> None:
    """Hypotheses, the one pose, and the shadows of 95 % regions of what ends limbs."""
    middle = np.array([view.shape[1] / 2, view.shape[0] / 2])

    def shown(points: Array) -> Array:
        return np.asarray(middle + points[..., axes].astype(np.float64) * per_metre)

    if poses.samples is not None:
        _bones(view, shown(poses.samples[:MOST_LINES, t]), 1.0, 0.15, 0.5)
    _bones(view, shown(poses.pose[t][None]), 2.5, 1.0, 1.0)
    limits = reach_of(poses.model)
    rings: dict[str, list[Array]] = {}
    for joint in ENDS:
        spread = poses.covariance[t, joint][np.ix_(axes, axes)].astype(np.float64)
        values, vectors = np.linalg.eigh(spread)
        radii = np.sqrt(np.maximum(values, 0) * limits[joint]) * per_metre
        ring = shown(poses.pose[t, joint]) + ((vectors * radii) @ CIRCLE).T
        rings.setdefault(_side(SIDES[joint]), []).append(np.stack([ring[:-1], ring[1:]], axis=1))
    for side, lines in rings.items():
        draw_lines(view, np.concatenate(lines), SIDE_COLOURS[side], 1.0, 0.7, 0.7)


def _bones(image: Array, poses: Array, width: float, opacity: float, most: float) -> None:
    """Prediction (K, 17, 2) in the colours of their sides."""
    for side, lines in _lines(poses).items():
        draw_lines(image, lines, SIDE_COLOURS[side], width, opacity, most)


def _lines(poses: Array) -> dict[str, Array]:
    """(N, 2, 2) by side, the midline first, so that left and right lie on it."""
    found = {}
    for side in ("middle", "right", "left"):
        bones = [(j, parent) for j, parent, _ in BONES if _side(SIDES[j]) == side]
        found[side] = poses[:, bones].reshape(-1, 2, 2)
    return found


def _side(side: str) -> str:
    return side if side in SIDE_COLOURS else "middle"


def _projected(points: Array, camera: Camera) -> Array:
    """(K, 17, 2) pixels; NaN, which is not drawn, for what is not before the camera."""
    before = points[..., 2:] > 0.05
    return np.where(before, camera.project(np.where(before, points, 1.0)), np.nan)
