"""Detectors over photos, videos, folders and cameras, and what the model makes of their keypoints."""

import sys
from contextlib import nullcontext

import numpy as np
import pytest

import prpose
from prpose.cli import run
from prpose.cli.predict import predict
from prpose.io.detector import create_detector, run_detector
from prpose.io.keypoints import people_from
from prpose.io.video import open_video
from tests.videos import BODY, Constant, Finder, picture, with_square, write_png, write_video


@pytest.fixture
def walk(tmp_path):
    """A person who is absent in frames 3, 10 and after 20, at uneven times."""
    times = np.cumsum(np.tile([0.03, 0.05, 0.04], 8)) - 0.03
    images = [picture(80 + 4 * t, colour=None if t in (3, 10, 21, 22, 23) else "white") for t in range(24)]
    return write_video(tmp_path / "walk.mp4", images, times), times


def test_a_detector_sees_every_frame_with_its_time(walk):
    path, times = walk
    detector, steps = Finder(), []
    (keypoints,) = people_from(run_detector(open_video(path), detector, steps.append))
    assert np.allclose(detector.times, times, atol=1e-3)
    assert detector.shapes == [(240, 320, 3)] * 24
    assert steps == [1] * 24
    present = [t for t in range(24) if t not in (3, 10, 21, 22, 23)]
    assert keypoints.frame_numbers.tolist() == present
    assert np.allclose(keypoints.times_s, times[present], atol=1e-3)
    assert keypoints.fps == pytest.approx(23 / (times[-1] - times[0]), rel=0.01)
    assert (keypoints.image_size, keypoints.layout) == ((320, 240), "coco17")
    expected = BODY + np.array([[[79.5 + 4 * t, 119.5]] for t in present])
    assert np.abs(keypoints.xy - expected).max() < 1
    assert np.allclose(keypoints.confidence, 0.9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_video_becomes_a_prediction(walk):
    path, times = walk
    (keypoints,) = people_from(run_detector(open_video(path), Finder()))
    prediction = prpose.load("mgcn-cmu17")(keypoints, num_samples=3)
    assert prediction.frame_numbers.tolist() == list(range(21))
    expected = times[:21].copy()
    for t in (3, 10):  # interpolated
        expected[t] = (times[t - 1] + times[t + 1]) / 2
    assert np.allclose(prediction.times_s, expected, atol=1e-3)
    assert (prediction.flags[[3, 10]] == 2).all()


def test_a_folder_of_photos_is_one_clip_and_a_photo_one_frame(tmp_path):
    for t in range(4):
        path = write_png(tmp_path / f"{t + 8}.png", picture(100 + 5 * t))
    (keypoints,) = people_from(run_detector(open_video(path), Finder()))
    assert (len(keypoints), keypoints.fps, keypoints.times_s) == (1, None, None)
    (keypoints,) = people_from(run_detector(open_video(tmp_path, fps=5), Finder()))
    assert keypoints.frame_numbers.tolist() == [8, 9, 10, 11]
    assert keypoints.frame_names == ("8.png", "9.png", "10.png", "11.png")
    assert keypoints.fps == 5
    assert np.allclose(np.diff(keypoints.xy[:, 0, 0]), 5)


def test_two_people_are_two_clips(tmp_path):
    """The order within a frame changes, and one appears later."""
    images = []
    for t in range(10):
        image = picture(70 + 3 * t, 120, "red")
        images.append(image if t < 4 else with_square(image, 240 - 3 * t, 130, "white"))
    path = write_video(tmp_path / "two.mp4", images)
    first, second = people_from(run_detector(open_video(path), Finder()))
    assert (len(first), second.frame_numbers.tolist()) == (10, [4, 5, 6, 7, 8, 9])
    assert second.xy[0, 11:13, 0].mean() == pytest.approx(227.5, abs=1)


def test_a_camera_ends_by_time_or_by_ctrl_c(tmp_path, monkeypatch):
    """FFmpeg's test picture, which never ends, stands in for a camera."""
    monkeypatch.setattr("prpose.io.video._camera_device", lambda path: ("testsrc=rate=30:size=320x240", "lavfi"))
    monkeypatch.chdir(tmp_path)
    for detector, seconds, frames in ((Constant(), 0.5, 15), (Constant(5), None, 5)):
        camera = open_video(type(tmp_path)("0"), max_seconds=seconds)
        (keypoints,) = people_from(run_detector(camera, detector))
        assert np.allclose(keypoints.times_s, np.arange(frames) / 30)
        assert keypoints.fps == pytest.approx(30)
    path = write_video(tmp_path / "walk.mp4", [picture()] * 9)
    with pytest.raises(KeyboardInterrupt):  # a file is read whole or not at all
        run_detector(open_video(path), Constant(5))


def test_a_detector_is_created_before_the_progress_bars(tmp_path, monkeypatch):
    """It may download a model, with a bar of its own."""
    events, command = [], sys.modules[predict.__module__]

    def log(event, value=None):
        return lambda *args: events.append(event) or nullcontext(value)

    monkeypatch.setattr("prpose.cli.many_files.create_detector", log("detector", Finder()))
    monkeypatch.setattr(command, "find_model", log("model"))
    monkeypatch.setattr(command, "progress", lambda name, total: log(name, lambda steps: None)())
    photo, out = write_png(tmp_path / "1.png", picture()), tmp_path / "out"
    run(["predict", str(photo), "--out", str(out / "1.npz"), "-n", "2"])
    run(["predict", str(tmp_path), "--config.per-file", "--out", str(out / "all"), "-n", "2"])
    assert events == ["detector", "frames", "model", "files", "detector"]


def test_a_detector_is_created_by_name_and_closed():
    with create_detector("tests.videos:Finder") as detector:
        assert not detector.closed
    assert detector.closed
