"""``prpose predict`` on one file."""

import shlex
import shutil

import numpy as np
import pytest

import prpose
from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.io.keypoints import read_keypoints
from prpose.keypoints import Keypoints, save_keypoints
from prpose.prediction import FLAGS
from prpose.preprocess import preprocess
from prpose.skeleton import H36M_17
from tests.make_formats import HERE, walker

MODEL = "mgcn-cmu17"
ARRAYS = ("samples", "deterministic", "pose", "covariance", "root", "root_covariance")


def command(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture(scope="module")
def wave():
    return load_clips("walkers", ".", "test", actions=("wave",), stride=30)[0]


@pytest.fixture
def clip(wave, tmp_path):
    save_keypoints(tmp_path / "wave.npz", Keypoints(wave.keypoints_px, (1000, 1002), "h36m17", fps=2.0))
    return wave


def test_file_equals_python_call(clip, tmp_path, capsys):
    out = tmp_path / "poses.npz"
    argv = ["predict", tmp_path / "wave.npz", "--model", MODEL, "-n", "7", "--seed", "3", "--out", out]
    assert command(*argv) == 0
    printed = capsys.readouterr().out
    prediction = prpose.read_prediction(out)
    expected = prpose.load(MODEL)(
        clip.keypoints_px, num_samples=7, seed=3, layout="h36m17", image_size=(1000, 1002), fps=2
    )
    for name in ARRAYS:
        assert np.array_equal(getattr(prediction, name), getattr(expected, name)), name
    assert "8 frames, 7 samples each" in printed
    longest = expected.regions()[0][:, 1:, 0].mean()
    assert f"mean longest semi-axis of the 95 % regions {1000 * longest:.0f} mm" in printed
    assert (prediction.seed, prediction.model["name"], prediction.num_samples) == (3, MODEL, 7)
    assert prediction.command == shlex.join(["prpose", *map(str, argv)])  # not sys.argv
    assert command(*argv) == 1
    assert "exists already" in capsys.readouterr().err
    assert command(*argv, "--overwrite") == 0


def test_config_file_gives_defaults_for_options(clip, tmp_path, capsys):
    settings = tmp_path / "predict.toml"
    settings.write_text('smooth = "gaussian"\nsave_samples = 2\nintrinsics = [1100, 1100, 500, 501]\n')
    argv = ["predict", tmp_path / "wave.npz", "-n", "4", "--out"]
    for more in (["--config", settings], [f"--config={settings}"]):
        out = tmp_path / f"{len(more)}.npz"
        assert command(*argv, out, *more, "--smooth", "one_euro", "--config.point-estimate", "mean") == 0
        prediction = prpose.read_prediction(out)
        assert prediction.point_estimate == "mean, one_euro"
        assert len(prediction.samples) == 2
        assert prediction.camera.focal_px == (1100, 1100)
    capsys.readouterr()
    for text, message in {
        "smoth = 'gaussian'": "unknown field of InferenceConfig 'smoth'; did you mean smooth?",
        "max_gap = 'many'": "max_gap",
        "max_gap = ": "not a TOML file",
    }.items():
        settings.write_text(text)
        assert command(*argv, tmp_path / "x.npz", "--config", settings) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"error: {settings}: ")
        assert message in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--image-size", "10", "10"], "--image-size"),
        (["--layout", "coco17"], "--layout"),
        (["--model", "gpt"], "unknown model 'gpt'"),
        (["--device", "abacus"], "expected an available device, got 'abacus'"),
        (["-n", "1"], "from 2 to 2,147,483,647, got 1"),
        (["--fov", "300"], "expected fov_deg from 1 to 170 degrees, got 300.0"),
        (["--fov", "50", "--intrinsics", "1", "1", "0", "0"], "expected fov_deg or intrinsics, got both"),
        (["--intrinsics", "0", "1", "0", "0"], "expected finite intrinsics"),
        (["--config.noise-time-constant-s", "0"], "time_constant_s > 0"),
        (["--config.confidence-noise", "-1"], "expected confidence_noise >= 0"),
        (["--seed", "-1"], "expected seed"),
        (["--out", "poses.xyz"], "unknown"),
        (["--out", "/dev/null/poses.npz"], "expected a file name"),
        (["--out", ""], "expected a value for --out, got an empty one"),
        (["--model="], "expected a value for --model, got an empty one"),
        (["--overlay", "over.mp4"], "expected"),
        (["--config", "none.toml"], "none.toml: no such file"),
        (["--config.max-gap", "-1"], "expected max_gap >= 0, got -1"),
        (["--person", "no\x1b[2J\rbody"], "no\\x1b[2J\\rbody"),
    ],
)
def test_mistake_is_one_line_and_writes_nothing(change, message, clip, tmp_path, capsys):
    argv = ["predict", tmp_path / "wave.npz", "--out", tmp_path / "poses.npz"]
    assert command(*argv, *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["wave.npz"]


def test_input_is_never_overwritten(clip, tmp_path, capsys):
    shutil.copytree(HERE / "openpose_coco18", tmp_path / "clip")
    frame = next((tmp_path / "clip").iterdir())
    (tmp_path / "link.npz").symlink_to("wave.npz")
    more = ["-n", "2", "--image-size", "1000", "1002", "--overwrite"]
    for file, out in (
        ("wave.npz", tmp_path / "wave.npz"),
        ("wave.npz", tmp_path / "link.npz"),
        ("link.npz", tmp_path / "clip" / ".." / "wave.npz"),
        ("clip", frame),
    ):
        before = out.read_bytes()
        assert command("predict", tmp_path / file, "--out", out, *more) == 1
        assert f"{out}: expected an output of its own" in capsys.readouterr().err
        assert out.read_bytes() == before
    images = tmp_path / "images"
    shutil.copytree(HERE / "mmpose_images", images)
    argv = ["predict", images, "--out", images / "poses.npz", "--layout", "coco17", *more]
    assert command(*argv) == 1
    assert "expected an output outside of the input folder" in capsys.readouterr().err
    inside = tmp_path / "clip" / "poses.json"  # OpenPose's files are recognised by their names
    for _ in range(2):
        assert command("predict", tmp_path / "clip", "--out", inside, *more) == 0


def test_preprocessing_of_a_detectors_file_is_reported(tmp_path, capsys):
    out = tmp_path / "poses.npz"
    argv = ["--out", out, "-n", "5", "--fps", "10", "--overwrite", "--config.confidence-noise", "0"]
    assert command("predict", HERE / "openpose_body25", *argv, "--person", "0", "--image-size", "1000", "1002") == 0
    assert command("predict", HERE / "coco_annotations.json", *argv) == 0
    printed = capsys.readouterr()
    assert "8 frames, 5 samples each" in printed.out
    prediction = prpose.read_prediction(out)
    for text in prediction.warnings:
        assert f"warning: {text}\n" in printed.err
    keypoints = read_keypoints(HERE / "coco_annotations.json")
    ready = preprocess(keypoints)
    assert set(ready.warnings) < set(prediction.warnings)
    assert np.array_equal(prediction.keypoints_px, ready.xy)
    assert np.argwhere(prediction.flags == 2).tolist() == [[4, H36M_17.index("left_wrist")]]
    assert prediction.fps == 10


def test_incomplete_frames_can_be_dropped(tmp_path, capsys):
    keypoints, _ = walker("coco17")
    keypoints[5:, 16] = np.nan
    np.save(tmp_path / "walk.npy", keypoints)
    argv = ["predict", tmp_path / "walk.npy", "--out", tmp_path / "poses.npz", "-n", "2",
            "--layout", "coco17", "--image-size", "1000", "1002"]  # fmt: skip
    assert command(*argv) == 0
    assert "estimated from the others, with a wide spread: right_ankle in frames 5-7" in capsys.readouterr().err
    prediction = prpose.read_prediction(tmp_path / "poses.npz")
    ankle = prediction.joint_names.index("right_ankle")
    assert prediction.flags[:, ankle].tolist() == [0] * 5 + [FLAGS.index("derived")] * 3
    assert command(*argv, "--config.drop-incomplete", "--overwrite") == 0
    prediction = prpose.read_prediction(tmp_path / "poses.npz")
    assert prediction.frame_numbers.tolist() == [0, 1, 2, 3, 4]
    assert prediction.samples.shape == (2, 5, 17, 3)


def test_wrong_layout_is_an_error_unless_allowed(clip, tmp_path, capsys):
    np.save(tmp_path / "walk.npy", clip.keypoints_px)
    argv = ["predict", tmp_path / "walk.npy", "--out", tmp_path / "poses.npz", "-n", "2",
            "--layout", "coco17", "--image-size", "1000", "1002"]  # fmt: skip
    assert command(*argv) == 1
    assert "walk.npy: " in capsys.readouterr().err
    assert command(*argv, "--config.allow-implausible") == 0
