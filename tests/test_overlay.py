"""Overlays: what is drawn lies where it should, in the colours of its side, at the film's times."""

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.io.export import read_prediction
from prpose.io.overlay import write_overlay
from prpose.io.overlay.canvas import draw_dots, draw_lines, draw_text, text_width
from prpose.io.overlay.letters import LETTERS
from prpose.io.overlay.scene import SIDE_COLOURS, drawn, layout_of
from prpose.io.video import open_video
from prpose.skeleton import H36M_17
from tests.films import BODY, picture, write_png, write_video

FINDER = ("--detector", "tests.films:Finder")
RED = (255, 0, 0)


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


def blank(height=60, width=80):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("width", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("way", [(40, 0), (0, 30), (30, 20), (-30, 20)])
def test_a_line_covers_what_it_should(width, way):
    """Against the distance of every pixel's middle from the segment; length by the ink."""
    image, start = blank(), np.array([40.0, 15.0])
    start = start - (20, 0) if way[0] > 30 else start
    end = start + way
    draw_lines(image, np.array([[start, end]]), RED, width)
    rows, columns = np.mgrid[:60, :80]
    points = np.stack([columns, rows], axis=-1) - start
    along = np.clip((points @ way) / np.dot(way, way), 0, 1)
    away = np.linalg.norm(points - along[..., None] * np.array(way), axis=-1)
    assert not image[away > width / 2 + 1.2].any()
    inner = (away < width / 2 - 1) & (along > 0.05) & (along < 0.95)
    assert (image[inner][:, 0] > 200).all()
    ink = image[..., 0].sum() / 255
    assert ink == pytest.approx(np.linalg.norm(way) * width, rel=0.2)


def test_faint_lines_add_up_to_no_more_than_they_may():
    image = blank()
    line = np.array([[[5.0, 30.0], [75.0, 30.0]]])
    draw_lines(image, line, RED, 1.0, 0.1, 0.5)
    one = int(image[30, 40, 0])
    image = blank()
    draw_lines(image, np.repeat(line, 3, axis=0), RED, 1.0, 0.1, 0.5)
    assert int(image[30, 40, 0]) == pytest.approx(3 * one, abs=4)
    draw_lines(many := blank(), np.repeat(line, 50, axis=0), RED, 1.0, 0.1, 0.5)
    assert many[30, 20:60, 0].max() == 127


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12, np.nan, np.inf])
def test_what_is_beyond_the_picture_is_left_out(far):
    image = blank()
    draw_lines(image, np.array([[[far, far], [2 * far, far]]]), RED)
    draw_dots(image, np.array([[far, far]]), RED, 3)
    assert not image.any()
    if np.isfinite(far):  # one end within
        draw_lines(image, np.array([[[40.0, 30.0], [40.0 + far, 30.0]]]), RED)
        assert image[30, 45:, 0].min() > 200
        assert not image[:, :35].any()


def test_dots_and_rings():
    disc, ring = blank(), blank()
    draw_dots(disc, np.array([[20.0, 30.0]]), RED, 6)
    draw_dots(ring, np.array([[20.0, 30.0]]), RED, 6, hollow=True)
    assert disc[..., 0].sum() / 255 == pytest.approx(np.pi * 36, rel=0.05)
    assert disc[30, 20, 0] == 255
    assert ring[30, 20, 0] == 0
    assert ring[30, 25, 0] > 200
    draw_dots(disc, np.array([[-2.0, -2.0], [79.0, 59.0]]), RED, 6)  # half beyond the edge


def test_letters_are_different_and_fit():
    assert len(set(LETTERS.values())) == len(LETTERS)
    assert all(len(rows) == 7 and max(rows) < 32 for rows in LETTERS.values())
    image = blank()
    draw_text(image, "L1", (10, 10), RED, 2)
    assert image[10:24, 10:12, 0].all()  # the stem of L
    columns = np.flatnonzero(image.any(axis=(0, 2)))
    assert columns.max() - 10 < text_width("L1", 2)
    draw_text(image, "FRONT", (70, 55), RED, 2)  # runs beyond the edge


@pytest.fixture
def walk(tmp_path):
    times = np.cumsum(np.tile([0.03, 0.05, 0.04], 4)) - 0.03
    images = [picture(140 + 3 * t) for t in range(12)]
    images[11] = np.full_like(images[11], 80)
    path = write_video(tmp_path / "walk.mp4", images, times)
    argv = ["predict", path, *FINDER, "--out", tmp_path / "poses.npz", "-n", 5]
    assert prpose(*argv, "--overlay", tmp_path / "over.mp4") == 0
    return path, tmp_path / "over.mp4", read_prediction(tmp_path / "poses.npz"), times


def near(image, place, side):
    """Share of the pixels around a place that are of a side's colour rather than grey."""
    x, y = np.round(place).astype(int)
    part = image[y - 2 : y + 3, x - 2 : x + 3].astype(int)
    return (np.abs(part - SIDE_COLOURS[side]).max(axis=-1) < 90).mean()


def test_the_skeleton_lies_on_the_person_and_left_is_left(walk):
    _, over, poses, times = walk
    frames = list(open_video(over).frames())
    assert len(frames) == 12
    assert np.allclose([frame.time_s for frame in frames], times - times[0], atol=1e-3)
    scale = 480 / 240
    layout = layout_of(poses, 320, 240)
    assert (layout.scale, layout.size) == (scale, (640 + 240, 480))
    assert frames[0].image.shape == (480, 880, 3)
    for t in (0, 5, 10):
        middle = np.array([139.5 + 3 * t, 119.5])
        for side, knee, ankle in (("left", 13, 15), ("right", 14, 16)):
            shin = (BODY[knee] + BODY[ankle]) / 2 + middle
            assert near(frames[t].image, shin * scale, side) > 0.3, (t, side)
    gone = frames[11].image[20:440, :640]  # but for the time that is written below
    assert np.abs(gone.astype(int) - 80).max() < 40


def test_views_show_the_pose_that_is_written(walk):
    """A joint's place in both views, by hand."""
    _, _, poses, _ = walk
    layout = layout_of(poses, 320, 240)
    whole = drawn(np.full((480, 640, 3), 80, np.uint8), poses, 3, layout, None)
    for row, axes in enumerate([(0, 1), (2, 1)]):
        for side in ("left", "right"):
            knee, ankle = (poses.pose[3, H36M_17.index(f"{side}_{part}")]
                           for part in ("knee", "ankle"))  # fmt: skip
            place = 120 + (0.6 * knee + 0.4 * ankle)[list(axes)] * layout.per_metre
            place += np.array([640, 240 * row])
            if row == 0 or side == "left":  # from the side, the left leg lies on the right one
                assert near(whole, place, side) > 0.2, (axes, side)
    assert layout.per_metre * np.abs(poses.pose).max() < 120


def test_a_photo_gets_a_picture(tmp_path):
    path = write_png(tmp_path / "photo.png", picture())
    argv = ["predict", path, *FINDER, "--out", tmp_path / "p.npz", "--overlay", tmp_path / "o.png"]
    assert prpose(*argv, "-n", 3, "--hypotheses-out", "none") == 0
    image = next(open_video(tmp_path / "o.png").frames()).image
    assert image.shape == (480, 880, 3)
    assert near(image, ((BODY[13] + BODY[15]) / 2 + (159.5, 119.5)) * 2, "left") > 0.3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.png", "p.npz", "photo.png"]
    assert prpose(*argv, "-n", 3) == 1  # both are there already


def test_an_overlay_that_fails_leaves_nothing(walk, tmp_path):
    path, over, poses, _ = walk
    before = over.read_bytes()
    film = open_video(path)

    def stop(_):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        write_overlay(film, poses, over, overwrite=True, advance=stop)
    assert over.read_bytes() == before
    with pytest.raises(ValueError, match="exists already"):
        write_overlay(film, poses, over)
    names = {"over.mp4", "poses.npz", "walk.mp4"}
    assert {p.name for p in tmp_path.iterdir()} == names
