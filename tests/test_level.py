"""Levelling: TRC, BVH and side views upright for a tilted camera; all else stays in camera axes."""

import json

import numpy as np
import pytest

import prpose
from prpose.camera import level_rotation, look_at, tilted_up
from prpose.cli import run
from prpose.io.export import read_prediction, save_prediction
from prpose.io.export.csv_trc_bvh import placed_y_up
from prpose.io.overlay import Scene
from prpose.keypoints import Keypoints, save_keypoints
from prpose.placement import standing_up
from prpose.skeleton import H36M_17
from tests.prediction_files import make_prediction, prediction_of, standing
from tests.test_export_bvh import written

DOWN = np.array([0.0, 0.0, -1.0])  # of a world with z up


def tilted_camera(pitch_deg, roll_deg, heading=0.7):
    """(3, 3) camera axes in the columns, in a world with z up."""
    pitch = np.deg2rad(pitch_deg)
    forward = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
    return look_at(np.zeros(3), forward, np.deg2rad(roll_deg))


def tilted(pitch_deg, roll_deg, T=1):
    """The standing person, whom a level camera sees upright, in the axes of a tilted one (T, 17, 3)."""
    return standing(T) @ tilted_camera(0, 0).T @ tilted_camera(pitch_deg, roll_deg)


@pytest.mark.parametrize("tilt", [(0, 0), (20, 0), (-35, 10), (20, 13), (5, 90), (30, -120), (0, 179)])
def test_up_is_that_of_a_camera_with_this_pitch_and_roll(tilt):
    up = tilted_up(*tilt)
    assert np.allclose(up, -tilted_camera(*tilt).T @ DOWN)
    assert np.allclose(level_rotation(up) @ up, [0, -1, 0])
    assert np.allclose(standing_up(tilted(*tilt, T=3))[0], up, atol=np.deg2rad(3))


def test_level_rotations_are_the_smallest():
    rng = np.random.default_rng(0)
    for up in [*rng.normal(size=(50, 3)), np.array([1e-6, 1, 0]), np.array([0.0, 1, 0]), np.array([0.0, -1, 0])]:
        up = up / np.linalg.norm(up)
        turn = level_rotation(up)
        assert np.allclose(turn @ turn.T, np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1)
        angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
        assert angle == pytest.approx(np.arccos(np.clip(-up[1], -1, 1)), abs=1e-5)
    assert np.array_equal(level_rotation(None), np.eye(3))


def test_bvh_and_trc_are_upright_and_the_file_keeps_camera_axes(tmp_path):
    root = np.array([[0.4, -0.3, 4.0]])
    pose = tilted(25, 15)
    prediction = prediction_of(pose.astype(np.float32), fps=30, root=root, up=tilted_up(25, 15))
    positions, _ = written(prediction, tmp_path / "a.bvh")
    at = dict(zip(H36M_17.names, positions[0], strict=True))
    assert abs(at["left_hip"][1] - at["right_hip"][1]) < 1e-4
    assert at["thorax"][1] - at["pelvis"][1] == pytest.approx(0.5, abs=1e-4)
    world = (pose + root) @ tilted_camera(25, 15).T  # heights are those in the world
    assert np.allclose(positions[0, :, 1], world[0, :, 2], atol=1e-4)
    save_prediction(prediction, tmp_path / "a.trc")
    row = np.array((tmp_path / "a.trc").read_text().splitlines()[-1].split("\t")[2:], float).reshape(17, 3)
    assert np.allclose(row, placed_y_up(prediction)[0], atol=1e-6)
    save_prediction(prediction, tmp_path / "a.npz")
    assert np.array_equal(read_prediction(tmp_path / "a.npz").pose, pose.astype(np.float32))


@pytest.mark.parametrize("format", ["npz", "json"])
def test_up_is_saved_where_known(format, tmp_path):
    for name, up in (("level", tilted_up(20, 5)), ("unknown", None)):
        make_prediction(up=up).save(tmp_path / f"{name}.{format}")
        found = read_prediction(tmp_path / f"{name}.{format}").up
        assert (found is None) if up is None else np.array_equal(found, up)
    make_prediction().save(tmp_path / "as_before.json")
    assert "up" not in json.loads((tmp_path / "as_before.json").read_text())
    for wrong, message in ((np.array([0.0, -2, 0]), "expected up"), (np.array([0.0, -0.5, 0]), "a unit vector")):
        with pytest.raises(ValueError, match=message):
            make_prediction(up=wrong)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_level_changes_display_alone_and_an_estimate_is_flagged(tmp_path):
    camera = prpose.InferenceConfig(fov_deg=60).camera(1000, 1000)
    xy = camera.project(tilted(20, 8, T=6) + np.array([0, 0, 4.0]))
    model = prpose.load("mgcn-cmu17")

    def predict(**config):
        config = prpose.InferenceConfig(fov_deg=60, **config)
        return model(xy, num_samples=3, layout="h36m17", image_size=(1000, 1000), fps=30, config=config)

    plain, given, auto = predict(), predict(level=(20, 8)), predict(level="auto")
    for name in ("pose", "samples", "root", "covariance", "deterministic", "root_covariance"):
        assert np.array_equal(getattr(plain, name), getattr(given, name)), name
        assert np.array_equal(getattr(plain, name), getattr(auto, name)), name
    assert plain.up is None
    assert np.allclose(given.up, tilted_up(20, 8))
    assert given.warnings == plain.warnings
    assert np.arccos(np.clip(auto.up @ given.up, -1, 1)) < np.deg2rad(15)  # the camera is 21 degrees from level
    assert auto.warnings[-1].startswith("estimated from 6 frames of a standing person: the camera looks down by ")
    stream = model.stream((1000, 1000), "h36m17", 3, config=prpose.InferenceConfig(fov_deg=60, level=(20, 8)))
    assert np.allclose(stream(xy[0]).up, given.up)
    scene = Scene(given, 1000, 1000)
    assert np.allclose(scene.turns["Side view"] @ given.up, [0, -1, 0])
    assert np.array_equal(scene.turns["Camera view"], np.eye(3))


def test_who_does_not_stand_gives_no_estimate():
    pose = standing(5)
    for side in ("left", "right"):  # sitting: knees in front, feet below them
        pose[:, H36M_17.index(f"{side}_knee")] = pose[:, H36M_17.index(f"{side}_hip")] + np.float32([0, 0, -0.45])
        pose[:, H36M_17.index(f"{side}_ankle")] = pose[:, H36M_17.index(f"{side}_hip")] + np.float32([0, 0.45, -0.45])
    up, warnings = prpose.InferenceConfig(level="auto").up(pose)
    assert up is None
    assert "the person stands in no frame: nothing is levelled" in warnings[0]


def test_level_on_the_command_line_and_in_a_config_file(tmp_path):
    xy = prpose.InferenceConfig().camera(1000, 1000).project(tilted(20, 8, T=2) + np.array([0, 0, 4.0]))
    save_keypoints(tmp_path / "a.npz", Keypoints(xy, (1000, 1000), "h36m17", fps=30))
    (tmp_path / "level.toml").write_text("level = [20, 8]")
    for i, options in enumerate((["--level", "20", "8"], ["--config", str(tmp_path / "level.toml")])):
        out = tmp_path / f"{i}.npz"
        run(["predict", str(tmp_path / "a.npz"), "--out", str(out), "-n", "2", "--model", "mgcn-cmu17", *options])
        assert np.allclose(read_prediction(out).up, tilted_up(20, 8))
    run(["predict", str(tmp_path / "a.npz"), "--out", str(tmp_path / "auto.npz"), "-n", "2", "--level", "auto"])
    assert read_prediction(tmp_path / "auto.npz").up is not None
    for level in ((100, 0), (0, 200), (float("nan"), 0), "upright"):
        with pytest.raises(ValueError, match="level"):
            prpose.InferenceConfig(level=level)
