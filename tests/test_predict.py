"""prpose predict, as typed."""

import shutil

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.io.export import read_prediction
from prpose.io.keypoints import read_people
from prpose.keypoints import Keypoints, write_keypoints
from prpose.model import Model
from prpose.preprocess import prepare
from prpose.regions import regions_of
from prpose.skeleton import H36M_17
from tests.make_formats import HERE, found

MODEL = "mgcn-cmu17"


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture
def track(tmp_path):
    clip = load_clips("walkers", ".", "test", actions=("wave",), stride=30)[0]
    size = clip.camera.width, clip.camera.height
    write_keypoints(tmp_path / "wave.npz", Keypoints(clip.keypoints_px, *size, "h36m17", 2.0))
    return clip


def test_the_file_holds_what_python_gives(track, tmp_path, capsys):
    argv = ["predict", tmp_path / "wave.npz", "--model", MODEL, "-n", "7", "--seed", "3",
            "--out", tmp_path / "poses.npz"]  # fmt: skip
    assert prpose(*argv) == 0
    said = capsys.readouterr().out
    assert "8 frames, 7 hypotheses each" in said
    poses = read_prediction(tmp_path / "poses.npz")
    size = track.camera.width, track.camera.height
    expected = Model.load(MODEL).predict(track.keypoints_px, size, hypotheses=7, seed=3, fps=2)
    for name in ("hypotheses", "single", "aggregate", "covariance", "root_cam", "root_covariance"):
        assert np.array_equal(getattr(poses, name), getattr(expected, name)), name
    semi_axes, _ = regions_of(poses.covariance, poses.model)
    assert f"95 % regions reach {semi_axes[:, 1:, 0].mean() * 1000:.0f} mm" in said
    assert poses.point_estimate == "single"
    assert np.array_equal(poses.pose, poses.deterministic)
    for t, j in [(0, 3), (7, 16)]:
        by_numpy = np.cov(poses.samples[:, t, j].astype(float), rowvar=False)
        assert np.allclose(poses.covariance[t, j], by_numpy, atol=1e-6)
    assert (poses.fps, poses.camera.width, poses.camera.height) == (2.0, *size)
    assert (poses.seed, poses.model["name"], poses.S) == (3, MODEL, 7)
    first = (tmp_path / "poses.npz").read_bytes()
    assert prpose(*argv) == 1
    assert "exists already" in capsys.readouterr().err
    assert prpose(*argv, "--overwrite") == 0
    assert (tmp_path / "poses.npz").read_bytes() == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--image-size", "10", "10"], "expected --image-size as in the file"),
        (["--layout", "coco17"], "expected --layout as in the file, h36m17, got coco17"),
        (["--model", "gpt"], "unknown model 'gpt'"),
        (["-n", "1"], "expected S >= 2"),
        (["--fov-deg", "300"], "expected a field of view of 1 to 170 degrees, got 300.0"),
        (["--fov-deg", "50", "--intrinsics", "1", "1", "0", "0"], "or intrinsics, got both"),
        (["--intrinsics", "0", "1", "0", "0"], "expected finite fx, fy > 0"),
        (["--choice", "median"], "unknown choice of one pose 'median'"),
        (["--smooth", "kalman"], "unknown smoothing 'kalman'"),
        (["--in-time", "white"], "unknown kind of noise in time 'white'"),
        (["--time-constant-s", "0"], "expected time_constant_s > 0"),
        (["--confidence-noise", "-1"], "expected confidence_noise >= 0"),
        (["--hypotheses-out", "0"], "expected save_samples all, none or a number >= 1"),
        (["--hypotheses-out", "51"], "expected save_samples up to 50, got 51"),
        (["--seed", "-1"], "expected a seed >= 0"),
        (["--out", "poses.xyz"], "unknown format of poses 'xyz'"),
        (["--out", "/dev/null/poses.npz"], "expected a file name"),
        (["--seconds", "2"], "expected pictures or video with --seconds, got keypoints"),
        (["--people", "2", "--detector", "a:B"], "with --detector, --people, got keypoints"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(change, message, track, tmp_path, capsys):
    argv = ["predict", tmp_path / "wave.npz", "--out", tmp_path / "poses.npz"]
    assert prpose(*argv, *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["wave.npz"]


def test_what_is_read_is_not_written_over(track, tmp_path, capsys):
    shutil.copytree(HERE / "openpose_coco18", tmp_path / "clip")
    frame = next((tmp_path / "clip").iterdir())
    (tmp_path / "link.npz").symlink_to("wave.npz")
    more = ["-n", "2", "--image-size", "1000", "1002", "--force"]
    for file, out in (
        ("wave.npz", tmp_path / "wave.npz"),
        ("wave.npz", tmp_path / "link.npz"),
        ("link.npz", tmp_path / "clip" / ".." / "wave.npz"),
        ("clip", frame),
    ):
        before = out.read_bytes()
        assert prpose("predict", tmp_path / file, "--out", out, *more) == 1
        assert f"{out}: expected a file of its own" in capsys.readouterr().err
        assert out.read_bytes() == before
    images = tmp_path / "images"
    shutil.copytree(HERE / "mmpose_images", images)
    before = sorted(images.iterdir())
    argv = ["predict", images, "--out", images / "poses.npz", "--layout", "coco17", *more]
    assert prpose(*argv) == 1
    assert "expected a place outside of the folder that is read" in capsys.readouterr().err
    assert sorted(images.iterdir()) == before
    beside = tmp_path / "clip" / "poses.json"
    for _ in range(2):
        assert prpose("predict", tmp_path / "clip", "--out", beside, *more) == 0


def test_a_model_that_there_is_not_is_said_before_anybody_is_watched(tmp_path, capsys):
    (tmp_path / "walk.mp4").write_bytes(b"no video")
    argv = ["predict", tmp_path / "walk.mp4", "--out", tmp_path / "poses.npz", "--model", "gpt"]
    assert prpose(*argv) == 1
    assert "unknown model 'gpt'" in capsys.readouterr().err


def test_a_detectors_file_is_lifted_and_its_joints_are_flagged(tmp_path, capsys):
    for name, more in (
        ("openpose_body25", ["--person", "0", "--image-size", "1000", "1002", "--fps", "10"]),
        ("coco_annotations.json", ["--fps", "10"]),
    ):
        argv = ["predict", HERE / name, "--out", tmp_path / "poses.npz", "-n", "5", "--overwrite"]
        argv += ["--confidence-noise", "0"]
        assert prpose(*argv, *more) == 0
        assert "8 frames, 5 hypotheses each" in (printed := capsys.readouterr()).out
        assert "made of other joints" in printed.err
    assert "note: filled in by straight lines: left_wrist in 1 frames" in printed.err
    poses = read_prediction(tmp_path / "poses.npz")
    ready = prepare(read_people(HERE / "coco_annotations.json")[0])
    assert np.array_equal(poses.keypoints_px, ready.keypoints_px)
    assert np.array_equal(poses.frame_numbers, ready.frames)
    assert np.argwhere(poses.flags == 2).tolist() == [[4, H36M_17.index("left_wrist")]]
    assert poses.fps == 10
    assert poses.warnings == ready.messages
    expected = Model.load(MODEL).predict(ready.keypoints_px, (1000, 1002), hypotheses=5, fps=10)
    assert np.array_equal(poses.samples, expected.samples)


def test_frames_may_be_left_out(tmp_path, capsys):
    keypoints, _ = found("coco17")
    keypoints[5:, 16] = np.nan
    np.save(tmp_path / "walk.npy", keypoints)
    argv = ["predict", tmp_path / "walk.npy", "--out", tmp_path / "poses.npz", "-n", "2",
            "--layout", "coco17", "--image-size", "1000", "1002"]  # fmt: skip
    assert prpose(*argv) == 1
    assert "right_ankle in frames 5-7" in capsys.readouterr().err
    assert prpose(*argv, "--skip-unseen") == 0
    printed = capsys.readouterr()
    assert "3 frames left out; neither seen nor made: right_ankle in frames 5-7" in printed.err
    poses = read_prediction(tmp_path / "poses.npz")
    assert poses.frame_numbers.tolist() == [0, 1, 2, 3, 4]
    assert poses.samples.shape == (2, 5, 17, 3)


def test_other_files_are_refused(tmp_path, capsys):
    (tmp_path / "poses.xls").write_bytes(b"0000")
    assert prpose("predict", tmp_path / "poses.xls", "--out", tmp_path / "poses.npz") == 1
    assert "or keypoints, as .json, .npz, .npy, .csv or a folder" in capsys.readouterr().err
