"""Photos, videos and folders as frames: order, times, which way up, and memory."""

from fractions import Fraction

import numpy as np
import pytest

from prpose.io.orientation import TURNS, orientation
from prpose.io.video import kind_of, open_video
from tests.films import picture, write_jpeg, write_png, write_video
from tests.measure import peak_gib


def middle(image):
    rows, columns = np.nonzero((image > 200).all(axis=-1))
    return columns.mean() + 0.5, rows.mean() + 0.5


def test_a_video_is_its_frames_in_order_with_their_times(tmp_path):
    places = np.arange(20, 300, 14)
    path = write_video(tmp_path / "walk.mp4", [picture(x) for x in places], fps=10)
    film = open_video(path)
    assert (film.kind, film.fps, film.total) == ("video", 10.0, 20)
    for _ in range(2):  # it can be watched again
        frames = list(film.frames())
        assert [frame.number for frame in frames] == list(range(20))
        assert np.allclose([frame.time_s for frame in frames], np.arange(20) / 10)
        found = [middle(frame.image) for frame in frames]
        assert np.allclose(found, np.stack([places, np.full(20, 120)], axis=1), atol=0.6)
    assert film.warnings == ()


def test_times_of_an_uneven_video_are_kept(tmp_path):
    times = [0.0, 0.033, 0.1, 0.101, 0.6, 2.0, 2.04]
    for name in ("walk.mp4", "walk.mkv"):
        path = write_video(tmp_path / name, [picture()] * 7, times)
        assert np.allclose([f.time_s for f in open_video(path).frames()], times, atol=6e-4)


def test_it_may_end_before_its_end(tmp_path):
    path = write_video(tmp_path / "walk.mp4", [picture()] * 20, fps=10)
    assert len(list(open_video(path, seconds=0.75).frames())) == 8


@pytest.mark.parametrize(("degrees", "place"), [(90, (30, 200)), (-90, (210, 120)),
                                                (180, (200, 210))])  # fmt: skip
def test_a_turned_video_is_put_upright(degrees, place, tmp_path):
    """Of 320 x 240, a square at (120, 30), to be turned anticlockwise by so many degrees."""
    path = write_video(tmp_path / "phone.mp4", [picture(120, 30)] * 3, rotation=degrees)
    image = next(open_video(path).frames()).image
    assert image.shape[:2] == ((240, 320) if degrees == 180 else (320, 240))
    assert np.allclose(middle(image), place, atol=1)


def test_pixels_are_made_square(tmp_path):
    """Stored 240 wide, meant to be seen 320 wide."""
    images = [picture(60, 120, width=240)] * 3
    path = write_video(tmp_path / "tape.mp4", images, aspect=Fraction(4, 3))
    image = next(open_video(path).frames()).image
    assert image.shape == (240, 320, 3)
    assert np.allclose(middle(image), (80, 120), atol=1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_orientation_of_exif(order, tmp_path):
    """What the standard calls the first row and column, by its words."""
    upright = picture(120, 30)
    rows = ["top", "top", "bottom", "bottom", "left", "right", "right", "left"]
    columns = ["left", "right", "right", "left", "top", "top", "bottom", "bottom"]
    for n, (row, column) in enumerate(zip(rows, columns, strict=True), start=1):
        stored = upright
        if row in ("left", "right"):  # the stored rows are columns of what is seen
            stored = stored.swapaxes(0, 1)
        if row in ("bottom", "right"):
            stored = stored[::-1]
        if column in ("right", "bottom"):
            stored = stored[:, ::-1]
        assert np.array_equal(TURNS[n](stored), upright), n
        path = write_jpeg(tmp_path / "photo.jpg", np.ascontiguousarray(stored), n, order)
        assert orientation(path) == n
        image = next(open_video(path).frames()).image
        assert image.shape == upright.shape
        assert np.allclose(middle(image), (120, 30), atol=1)


def test_a_folder_of_photos_is_a_clip_in_natural_order(tmp_path):
    for name, x in {"f2": 40, "f10": 60, "f1": 20}.items():
        write_png(tmp_path / f"{name}.png", picture(x))
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / ".hidden.png").write_bytes(b"")
    film = open_video(tmp_path, fps=5)
    frames = list(film.frames())
    assert [frame.name for frame in frames] == ["f1.png", "f2.png", "f10.png"]
    assert [frame.number for frame in frames] == [1, 2, 10]
    assert [frame.time_s for frame in frames] == [0.2, 0.4, 2.0]
    assert [middle(frame.image)[0] for frame in frames] == [20, 40, 60]
    assert [frame.time_s for frame in open_video(tmp_path).frames()] == [None] * 3
    assert len(list(open_video(tmp_path, fps=5, seconds=0.3).frames())) == 2


def test_what_a_path_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.JPG", "b.mp4", "c.json", "d.npz"):
        (tmp_path / name).write_bytes(b"")
    kinds = [kind_of(tmp_path / name) for name in ("a.JPG", "b.mp4", "c.json", "d.npz")]
    assert kinds == ["photo", "video", None, None]
    for name in ("b.mp4", "c.json", "d.npz"):
        assert kind_of(tmp_path) is None  # many videos or files of keypoints, or a clip of JSON
        (tmp_path / name).unlink()
    assert kind_of(tmp_path) == "folder"
    here = type(tmp_path)
    assert (kind_of(here("0")), kind_of(here("/dev/video2"))) == ("camera", "camera")
    (tmp_path / "7").write_bytes(b"")
    assert kind_of(here("7")) is None


WATCH = """
from pathlib import Path
from prpose.io.video import open_video
from prpose.io.watching import watch
from prpose.io.keypoints import people_from
from tests.films import Finder
track = people_from(watch(open_video(Path({path!r})), Finder()))[0]
assert len(track) == {frames}
"""


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    """20 and 80 s: beside the keypoints, some 2 kB a frame, no more than 6 MB of noise."""
    peaks = []
    for seconds in (20, 80):
        frames = (picture(50 + i % 50, 60, width=160, height=120) for i in range(30 * seconds))
        path = write_video(tmp_path / f"{seconds}.mp4", frames, fps=30)
        peaks.append(peak_gib(WATCH.format(path=str(path), frames=30 * seconds)))
    grown = (peaks[1] - peaks[0]) * 1024
    assert grown < 60 * 30 * 2 / 1024 + 6, f"{grown:.1f} MB"
