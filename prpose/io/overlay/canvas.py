"""Lines, dots and letters on pictures, in NumPy alone: fast enough for every frame of a video."""

import numpy as np

from prpose.camera import Array
from prpose.io.overlay.letters import LETTERS

Colour = tuple[int, int, int]

STEP = 0.8
"""Pixels between the points that a line is made of."""


def draw_lines(
    image: Array,
    lines: Array,
    colour: Colour,
    width: float = 1.0,
    opacity: float = 1.0,
    most: float = 1.0,
) -> None:
    """Straight lines, smooth at their edges, onto a picture, in place.

    Where lines cross they add up, to ``most`` of the colour, so that many faint ones make a cloud.

    Args:
        image: (H, W, 3) uint8.
        lines: (N, 2, 2) ends in pixels; parts beyond the picture are left out.
        colour: red, green, blue.
        width: pixels, >= 1.
        opacity: of one line, from 0 to 1.
        most: of all of them together.
    """
    lines = _near(np.asarray(lines, dtype=np.float64), image)
    if not len(lines):
        return
    start, way = lines[:, 0], lines[:, 1] - lines[:, 0]
    length = np.linalg.norm(way, axis=-1)
    counts = np.ceil(length / STEP).astype(int) + 1
    which = np.repeat(np.arange(len(lines)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    points = start[which] + way[which] * (place / np.maximum(counts - 1, 1)[which])[:, None]
    across = np.stack([-way[:, 1], way[:, 0]], axis=-1) / np.maximum(length, 1e-9)[:, None]
    half = (width - 1) / 2
    rows = np.linspace(-half, half, int(np.ceil(2 * half / STEP)) + 1)
    points = (points[:, None] + across[which][:, None] * rows[:, None]).reshape(-1, 2)
    _blend(image, points, colour, opacity * STEP * width / len(rows), most)


def draw_dots(image: Array, centers: Array, colour: Colour, radius: float, hollow: bool = False) -> None:
    """Discs, or rings, in place.

    Args:
        image: (H, W, 3) uint8.
        centers: (N, 2) pixels.
        colour: red, green, blue.
        radius: pixels.
        hollow: whether they are rings.
    """
    reach = int(np.ceil(radius)) + 1
    height, width = image.shape[:2]
    for x, y in np.asarray(centers, dtype=np.float64):
        if not (-reach < x < width + reach and -reach < y < height + reach):
            continue
        left, top = max(0, int(x) - reach), max(0, int(y) - reach)
        part = image[top : int(y) + reach + 1, left : int(x) + reach + 1]
        rows, columns = np.mgrid[: part.shape[0], : part.shape[1]]
        away = np.hypot(columns + left - x, rows + top - y)
        share = np.clip(radius + 0.5 - away, 0, 1)
        if hollow:
            share = np.minimum(share, np.clip(away - radius + 2, 0, 1))
        part[:] = part + share[..., None] * (np.array(colour) - part)


def draw_text(image: Array, text: str, corner: tuple[int, int], colour: Colour, scale: int) -> None:
    """Capital letters and digits of 5 x 7 dots, in place; other characters are gaps.

    Args:
        image: (H, W, 3) uint8.
        text: of one line.
        corner: top left, pixels.
        colour: red, green, blue.
        scale: pixels of a dot.
    """
    x, y = corner
    for letter in text:
        rows = np.array(LETTERS.get(letter, LETTERS[" "]), dtype=np.uint8)[:, None]
        grown = np.unpackbits(rows, axis=1)[:, 3:].astype(bool).repeat(scale, 0).repeat(scale, 1)
        part = image[y : y + len(grown), x : x + grown.shape[1]]
        part[grown[: part.shape[0], : part.shape[1]]] = colour
        x += grown.shape[1] + scale


def _near(lines: Array, image: Array) -> Array:
    """The lines, cut off where they leave the picture; those far away are left out."""
    height, width = image.shape[:2]
    lines = lines[np.isfinite(lines).all(axis=(1, 2))]
    low, high = np.array([-8.0, -8.0]), np.array([width + 8.0, height + 8.0])
    way = lines[:, 1] - lines[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - lines[:, 0]) / way, (high - lines[:, 0]) / way
    inside = (lines[:, 0] >= low) & (lines[:, 0] <= high)
    first = np.where(way == 0, np.where(inside, 0.0, np.inf), np.minimum(a, b)).max(axis=1)
    last = np.where(way == 0, 1.0, np.maximum(a, b)).min(axis=1)
    first, last = np.maximum(first, 0), np.minimum(last, 1)
    kept = first <= last
    shares = np.stack([first, last], axis=1)[kept, :, None]
    return np.asarray(lines[kept, :1] + shares * way[kept, None])


def _blend(image: Array, points: Array, colour: Colour, share: float, most: float) -> None:
    """Every point colours the four pixels around it by its share of them."""
    height, width = image.shape[:2]
    corner = np.floor(points).astype(int)
    low = np.maximum(corner.min(axis=0), 0)
    high = np.minimum(corner.max(axis=0) + 2, (width, height))
    size = high - low
    if (size <= 0).any():
        return
    cover = np.zeros(int(size[0] * size[1]))
    part = points - corner
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at = corner + np.array([dx, dy]) - low
        weight = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
        x, y = at[:, 0], at[:, 1]
        weight[(x < 0) | (y < 0) | (x >= size[0]) | (y >= size[1])] = 0
        index = y.clip(0, size[1] - 1) * size[0] + x.clip(0, size[0] - 1)
        cover += np.bincount(index, weight, len(cover))
    covered = np.flatnonzero(cover)
    rows, columns = covered // size[0] + low[1], covered % size[0] + low[0]
    alpha = np.minimum(cover[covered] * share, most)[:, None]
    there = image[rows, columns]
    image[rows, columns] = there + alpha * (np.array(colour) - there)


def text_width(text: str, scale: int) -> int:
    """Pixels that a line of text takes."""
    return len(text) * 6 * scale
