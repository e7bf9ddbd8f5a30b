"""A detector over pictures and video, and prpose predict of them."""

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.config import CONFIDENCE_NOISE, InferenceConfig
from prpose.io.export import read_prediction
from prpose.io.keypoints import people_from
from prpose.io.named import detector_of
from prpose.io.video import open_video
from prpose.io.watching import watch
from prpose.model import Model
from tests.films import BODY, Finder, picture, with_square, write_png, write_video

FINDER = ("--detector", "tests.films:Finder")


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture
def walk(tmp_path):
    """Somebody who is gone in frames 3, 10 and after 20, by an uneven clock."""
    times = np.cumsum(np.tile([0.03, 0.05, 0.04], 8)) - 0.03
    images = [picture(80 + 4 * t, colour="white") for t in range(24)]
    for t in (3, 10, 21, 22, 23):
        images[t] = np.full_like(images[t], 80)
    return write_video(tmp_path / "walk.mp4", images, times), times


def test_a_detector_sees_every_frame_with_its_time(walk):
    path, times = walk
    detector, steps = Finder(), []
    reading = watch(open_video(path), detector, steps.append)
    assert np.allclose(detector.times, times, atol=1e-3)
    assert detector.shapes == [(240, 320, 3)] * 24
    assert steps == [1] * 24
    (track,) = people_from(reading)
    there = [t for t in range(24) if t not in (3, 10, 21, 22, 23)]
    assert track.frames.tolist() == there
    assert np.allclose(track.times_s, times[there], atol=1e-3)
    assert track.fps == pytest.approx(23 / (times[-1] - times[0]), rel=0.01)
    assert (track.width, track.height, track.layout) == (320, 240, "coco17")
    expected = BODY + np.array([[[79.5 + 4 * t, 119.5]] for t in there])
    assert np.abs(track.keypoints_px - expected).max() < 1
    assert np.allclose(track.score, 0.9)


def test_a_video_becomes_poses(walk, tmp_path, capsys):
    path, times = walk
    argv = ["predict", path, *FINDER, "--out", tmp_path / "poses.npz", "-n", 4]
    assert prpose(*argv) == 0
    printed = capsys.readouterr()
    assert "21 frames, 4 hypotheses each" in printed.out
    assert "2 frames that the file lacks were filled in" in printed.err
    poses = read_prediction(tmp_path / "poses.npz")
    assert poses.frame_numbers.tolist() == list(range(21))
    expected = times[:21].copy()
    for t in (3, 10):  # nobody was there
        expected[t] = (times[t - 1] + times[t + 1]) / 2
    assert np.allclose(poses.times_s, expected, atol=1e-3)
    assert (poses.flags[[3, 10]] == 2).all()
    assert prpose(*argv) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_photo_becomes_poses_with_confidence_noise(tmp_path):
    path = write_png(tmp_path / "photo.png", picture())
    argv = ["predict", path, *FINDER, "--out", tmp_path / "poses.npz", "-n", 30]
    assert prpose(*argv) == 0
    poses = read_prediction(tmp_path / "poses.npz")
    assert poses.samples.shape == (30, 1, 17, 3)
    assert (poses.fps, poses.times_s) == (None, None)
    assert prpose(*argv, "--confidence-noise", CONFIDENCE_NOISE, "--overwrite") == 0
    same = read_prediction(tmp_path / "poses.npz")
    assert np.array_equal(same.samples, poses.samples)
    assert prpose(*argv, "--confidence-noise", 0, "--overwrite") == 0
    assert not np.array_equal(read_prediction(tmp_path / "poses.npz").samples, poses.samples)


def test_a_folder_of_photos_is_one_clip(tmp_path):
    for t in range(4):
        write_png(tmp_path / f"{t + 8}.png", picture(100 + 5 * t))
    argv = ["predict", tmp_path, *FINDER, "--fps", 5, "--out", tmp_path / "out" / "poses.npz"]
    assert prpose(*argv, "-n", 2) == 0
    poses = read_prediction(tmp_path / "out" / "poses.npz")
    assert poses.frame_numbers.tolist() == [8, 9, 10, 11]
    assert poses.fps == 5
    assert np.allclose(np.diff(poses.times_s), 0.2)
    assert np.allclose(np.diff(poses.keypoints_px[:, 0, 0]), 5)


def test_two_people_are_told_apart(tmp_path, capsys):
    """They meet in the order in which a frame has them, and one comes later."""
    images = []
    for t in range(10):
        image = picture(70 + 3 * t, 120, "red")
        images.append(image if t < 4 else with_square(image, 240 - 3 * t, 130, "white"))
    path = write_video(tmp_path / "two.mp4", images)
    argv = ["predict", path, *FINDER, "--out", tmp_path / "poses.npz", "-n", 2]
    assert prpose(*argv) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "expected one person, or --person; there are 2: 0 (10 frames, 0 to 9" in error
    assert "1 (6 frames, 4 to 9" in error
    assert prpose(*argv, "--person", "1") == 0
    poses = read_prediction(tmp_path / "poses.npz")
    assert poses.frame_numbers.tolist() == [4, 5, 6, 7, 8, 9]
    assert poses.keypoints_px[0, 0, 0] == pytest.approx(227.5, abs=1)


def test_a_camera_ends_by_time_or_by_ctrl_c(tmp_path, monkeypatch, capsys):
    """FFmpeg's test picture, which never ends, stands in for a camera."""
    source = ("testsrc=rate=30:size=320x240", "lavfi")
    monkeypatch.setattr("prpose.io.video._camera_of", lambda path: source)
    monkeypatch.chdir(tmp_path)
    argv = ["predict", "0", "--out", tmp_path / "poses.npz", "-n", 2, "--overwrite", "--detector"]
    for more, frames in ((["tests.films:Always", "--seconds", "0.5"], 15),
                         (["tests.films:Impatient"], 5)):  # fmt: skip
        assert prpose(*argv, *more) == 0
        poses = read_prediction(tmp_path / "poses.npz")
        assert np.allclose(poses.times_s, np.arange(frames) / 30)
        assert poses.fps == pytest.approx(30)
    path = write_video(tmp_path / "walk.mp4", [picture()] * 9)
    argv[1] = path  # of a file, nothing is left half-done
    assert prpose(*argv, "tests.films:Impatient") == 130
    assert "interrupted; no file is left half-written" in capsys.readouterr().err


def test_a_detector_of_ones_own_is_made_and_closed(tmp_path):
    with detector_of("tests.films:Finder") as detector:
        assert not detector.closed
    assert detector.closed
    with pytest.raises(ValueError, match=r"Finder cannot be made: TypeError"):
        detector_of("tests.films:Finder", tmp_path / "model").__enter__()
    with pytest.raises(ValueError, match="to be a detector, with a layout and a call"):
        detector_of("tests.films:Undecided").__enter__()
    with pytest.raises(ValueError, match="expected a detector, mediapipe or package"):
        detector_of("yolo").__enter__()
    with pytest.raises(ValueError, match="nowhere cannot be imported: No module named 'nowhere'"):
        detector_of("nowhere:Class").__enter__()


def test_the_track_is_what_python_lifts(walk, tmp_path):
    path, _ = walk
    assert prpose("predict", path, *FINDER, "--out", tmp_path / "p.npz", "-n", 3) == 0
    (track,) = people_from(watch(open_video(path), Finder()))
    how = InferenceConfig(confidence_noise=CONFIDENCE_NOISE)
    poses, _ = Model.load("mgcn-cmu17").predict_track(track, 3, 0, how)
    assert np.array_equal(poses.samples, read_prediction(tmp_path / "p.npz").samples)
