"""Figures of data sets and predictions."""

import sys

import cv2
import numpy as np
import pytest

from prpose.data import load_clips
from prpose.view import draw_prediction, draw_samples
from tests.golden_numbers import GOLDEN


def check_drawn(path):
    """Something is drawn, not everything, and both sides have their colour."""
    picture = cv2.imread(str(path))
    assert 0.005 < (picture < 128).any(axis=2).mean() < 0.5
    for colour in ((180, 119, 31), (14, 127, 255)):  # blue, green, red: left and right
        assert (abs(picture.astype(int) - colour) < 12).all(axis=2).sum() > 300


@pytest.mark.parametrize("name", ["h36m", "3dhp"])
def test_samples_of_a_data_set_are_drawn(name, tmp_path):
    draw_samples(load_clips(name, GOLDEN / "data", "test"), tmp_path / "a.png", samples=3)
    check_drawn(tmp_path / "a.png")


def test_a_prediction_and_its_clip_are_drawn(tmp_path):
    clips, frames = load_clips("walkers", ".", "test", actions=("wave",)), [10, 50]
    poses = clips[0].poses_cam[frames] - clips[0].poses_cam[frames, :1]
    samples = poses + np.random.default_rng(0).normal(0, 0.02, (5, *poses.shape))
    draw_prediction(clips[0], frames, samples, poses, tmp_path / "a.png")
    draw_samples(clips, tmp_path / "b.png", samples=2)
    check_drawn(tmp_path / "a.png")
    check_drawn(tmp_path / "b.png")


def test_figures_need_clips_and_matplotlib(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="at least one clip to draw"):
        draw_samples([], tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r'pip install "prpose\[plot\]"'):
        draw_samples(load_clips("h36m", GOLDEN / "data", "test"), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
