"""Figures of data sets and predictions."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from prpose.data import load_clips
from prpose.view import draw_prediction, draw_samples
from tests.golden_numbers import GOLDEN


def check_drawn(path):
    """Something is drawn, not everything, and both sides have their colour."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert 0.005 < (picture < 128).any(axis=2).mean() < 0.5
    for colour in ((31, 119, 180), (255, 127, 14)):  # left and right
        assert (abs(picture - colour) < 12).all(axis=2).sum() > 100


@pytest.mark.parametrize("name", ["h36m", "3dhp"])
def test_samples_of_a_data_set_are_drawn(name, tmp_path):
    draw_samples(load_clips(name, GOLDEN / "data", "test"), tmp_path / "a.png", samples=1)
    check_drawn(tmp_path / "a.png")


def test_a_prediction_and_its_clip_are_drawn(tmp_path):
    clip = load_clips("h36m", GOLDEN / "data", "test")[0]
    clip = replace(clip, hidden=np.arange(len(clip) * 17).reshape(-1, 17) % 2 == 0)
    poses = clip.poses_cam[[1]] - clip.poses_cam[[1], :1]
    samples = poses + np.random.default_rng(0).normal(0, 0.02, (3, *poses.shape))
    draw_prediction(clip, [1], samples, poses, tmp_path / "a.png")
    check_drawn(tmp_path / "a.png")


def test_figures_need_clips_and_matplotlib(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="at least one clip to draw"):
        draw_samples([], tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r'pip install "prpose\[plot\]"'):
        draw_samples(load_clips("h36m", GOLDEN / "data", "test"), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
