import sys

import cv2
import pytest

from prpose.data import load_clips
from prpose.view.figures import draw_samples
from tests.golden_numbers import GOLDEN


@pytest.mark.parametrize(("name", "root"), [("walkers", "."), ("h36m", GOLDEN / "data"),
                                            ("3dhp", GOLDEN / "data")])  # fmt: skip
def test_samples_are_drawn(name, root, tmp_path):
    clips = load_clips(name, root, "test")
    draw_samples(clips, tmp_path / "a.png", samples=3)
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape[1] > 600
    inside = (picture < 128).any(axis=2).mean()
    assert 0.005 < inside < 0.5  # something is drawn, and not everything
    blue, orange = (180, 119, 31), (14, 127, 255)  # BGR: left and right
    for colour in (blue, orange):
        near = (abs(picture.astype(int) - colour) < 12).all(axis=2)
        assert near.sum() > 300


def test_missing_parts_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="at least one clip to draw"):
        draw_samples([], tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match=r'pip install "prpose\[plot\]"'):
        draw_samples(load_clips("walkers", ".", "val"), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
