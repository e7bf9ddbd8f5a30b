"""prpose predict, as typed."""

import json

import numpy as np
import pytest

from prpose.check_track import prepare
from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.models import shipped
from prpose.predictor import Predictor
from prpose.read_keypoints import tracks_of
from prpose.skeleton import H36M_17
from prpose.tracks import Track, write_track
from tests.make_formats import HERE, found

MODEL = next(iter(shipped()))


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture
def track(tmp_path):
    clip = load_clips("walkers", ".", "test", actions=("wave",), stride=30)[0]
    size = clip.camera.width, clip.camera.height
    write_track(tmp_path / "wave.npz", Track(clip.keypoints_px, *size, "h36m17", 2.0))
    return clip


def test_the_file_holds_what_python_gives(track, tmp_path, capsys):
    argv = ["predict", tmp_path / "wave.npz", "--model", MODEL, "-n", "7", "--seed", "3",
            "--out", tmp_path / "poses.npz"]  # fmt: skip
    assert prpose(*argv) == 0
    assert "8 frames, 7 hypotheses each" in capsys.readouterr().out
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as file:
        poses = dict(file)
    size = track.camera.width, track.camera.height
    expected = Predictor.load(MODEL).predict(track.keypoints_px, *size, S=7, seed=3)
    assert np.array_equal(poses["hypotheses"], expected.hypotheses)
    assert np.array_equal(poses["single"], expected.single)
    assert np.allclose(poses["mean"], poses["hypotheses"].mean(0))
    for t, j in [(0, 3), (7, 16)]:
        by_numpy = np.cov(poses["hypotheses"][:, t, j].astype(float), rowvar=False)
        assert np.allclose(poses["covariance"][t, j], by_numpy, atol=1e-6)
    assert tuple(poses["joints"]) == H36M_17.names
    assert (poses["fps"], *poses["image_size"]) == (2.0, *size)
    info = json.loads(str(poses["info"]))
    assert info["settings"]["seed"] == 3
    assert info["model"]["name"] == MODEL
    assert "y down" in info["axes"]
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
        (["-n", "1"], "expected -n >= 2"),
        (["--out", "/dev/null/poses.npz"], "expected a file name"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(change, message, track, tmp_path, capsys):
    argv = ["predict", tmp_path / "wave.npz", "--out", tmp_path / "poses.npz"]
    assert prpose(*argv, *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["wave.npz"]


def test_a_detectors_file_is_lifted_and_its_joints_are_flagged(tmp_path, capsys):
    for name, more in (
        ("openpose_body25", ["--person", "0", "--image-size", "1000", "1002", "--fps", "10"]),
        ("coco_annotations.json", ["--fps", "10"]),
    ):
        argv = ["predict", HERE / name, "--out", tmp_path / "poses.npz", "-n", "5", "--overwrite"]
        assert prpose(*argv, *more) == 0
        assert "8 frames, 5 hypotheses each" in (printed := capsys.readouterr()).out
        assert "made of other joints" in printed.err
    assert "note: filled in by straight lines: left_wrist in 1 frames" in printed.err
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as file:
        poses = dict(file)
    ready = prepare(tracks_of(HERE / "coco_annotations.json")[0])
    for name in ("keypoints_px", "frames", "seen", "interpolated", "made", "score"):
        assert np.array_equal(poses[name], getattr(ready, name)), name
    assert np.argwhere(poses["interpolated"]).tolist() == [[4, H36M_17.index("left_wrist")]]
    assert poses["fps"] == 10
    info = json.loads(str(poses["info"]))
    assert info["settings"]["layout"] == "coco17"
    assert set(info["flags"]) <= set(poses)
    expected = Predictor.load(MODEL).predict(ready.keypoints_px, 1000, 1002, S=5)
    assert np.array_equal(poses["hypotheses"], expected.hypotheses)


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
    with np.load(tmp_path / "poses.npz", allow_pickle=False) as file:
        assert file["frames"].tolist() == [0, 1, 2, 3, 4]
        assert file["hypotheses"].shape == (2, 5, 17, 3)


def test_other_files_are_refused(tmp_path, capsys):
    (tmp_path / "video.mp4").write_bytes(b"0000ftyp")
    assert prpose("predict", tmp_path / "video.mp4", "--out", tmp_path / "poses.npz") == 1
    assert "expected keypoints, as .json, .npz, .npy, .csv or a folder" in capsys.readouterr().err
