"""BVH: read back by our reader and by bvhio, joints are where the prediction has them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prpose.data.mocap import read_bvh
from prpose.io.export import save_prediction
from prpose.io.export.csv_trc_bvh import placed_y_up, rest_directions, zxy_degrees
from prpose.skeleton import H36M_17
from tests.prediction_files import make_prediction, prediction_of, random_walk_of_bones, standing
from tests.test_bvh import bvhio, positions_of_bvhio  # noqa: F401

Y_UP = np.array([1, -1, -1])


def written(prediction, path):
    """Read back: the 17 joints, (T, 17, 3), and the frame rate."""
    save_prediction(prediction, path)
    recording = read_bvh(path)
    joints = [recording.names.index(name) for name in H36M_17.names]
    return recording.positions[:, joints], recording.fps


def test_bones_of_any_direction_are_exact(tmp_path):
    pose = random_walk_of_bones(T=40)
    roots = np.random.default_rng(1).uniform([-1, -1, 2], [1, 1, 6], (40, 3))
    positions, fps = written(prediction_of(pose, fps=29.97, root=roots), tmp_path / "a.bvh")
    assert np.abs(positions - (pose + roots[:, None]) * Y_UP).max() < 1e-5
    assert fps == pytest.approx(29.97)


def test_against_bvhio(bvhio, tmp_path):  # noqa: F811
    prediction = prediction_of(random_walk_of_bones(T=3, seed=2), fps=25)
    save_prediction(prediction, tmp_path / "a.bvh")
    for t, found in positions_of_bvhio(bvhio, tmp_path / "a.bvh", range(3)):
        for joint, name in enumerate(H36M_17.names):
            assert np.abs(found[name] - placed_y_up(prediction)[t, joint]).max() < 1e-4, name


def test_bones_of_varying_length_get_the_mean_length(tmp_path):
    prediction = make_prediction(T=30, S=2, times_s=None)
    positions, _ = written(prediction, tmp_path / "a.bvh")
    for joint, parent in enumerate(H36M_17.parents[1:], start=1):
        found = positions[:, joint] - positions[:, parent]
        given = placed_y_up(prediction)[:, joint] - placed_y_up(prediction)[:, parent]
        lengths = np.linalg.norm(found, axis=-1), np.linalg.norm(given, axis=-1)
        assert np.abs(lengths[0] - lengths[1].mean()).max() < 1e-5
        assert lengths[1].std() > 1e-3
        cosine = (found * given).sum(-1) / lengths[0] / lengths[1]
        assert cosine.min() > 1 - 1e-8


def test_bvh_is_upright_and_not_mirrored(tmp_path):
    positions, _ = written(prediction_of(standing(), fps=30), tmp_path / "a.bvh")
    at = dict(zip(H36M_17.names, positions[0], strict=True))
    assert at["head"][1] > at["pelvis"][1] > at["left_knee"][1] > at["left_ankle"][1]
    assert at["left_hip"][0] > at["right_hip"][0]
    assert at["neck"][2] > at["thorax"][2]
    turn, *_ = np.linalg.lstsq(standing()[0], positions[0], rcond=None)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-4)


def rest_pose(lengths=0.3):
    pose = np.zeros((17, 3))
    for joint, parent in enumerate(H36M_17.parents[1:], start=1):
        pose[joint] = pose[parent] + rest_directions()[joint] * lengths
    return pose


def rows_of(path):
    lines = path.read_text().split("MOTION")[1].split("\n")[3:-1]
    return np.array([line.split() for line in lines], dtype=float)


def test_the_rest_pose_has_no_angles(tmp_path):
    assert rest_directions()[H36M_17.index("left_wrist")].tolist() == [1, 0, 0]
    assert rest_directions()[H36M_17.index("right_hip")].tolist() == [-1, 0, 0]
    pose = np.repeat(rest_pose()[None] * Y_UP, 2, axis=0)
    positions, _ = written(prediction_of(pose, fps=30), tmp_path / "a.bvh")
    assert np.abs(positions - rest_pose()).max() < 1e-6
    assert not rows_of(tmp_path / "a.bvh").any()
    assert "-0.000000" not in (tmp_path / "a.bvh").read_text().split("MOTION")[1]


def test_bones_opposite_to_rest_and_of_no_length(tmp_path):
    upside_down = np.repeat(rest_pose()[None] * [-1, 1, 1], 2, axis=0)
    for joint, parent in ((9, 8), (10, 9), (13, 12)):
        upside_down[:, joint] = 2 * upside_down[:, parent] - upside_down[:, joint]
    upside_down[:, 3] = upside_down[:, 2]  # an ankle in its knee
    upside_down[1] += np.linspace(0, 1e-9, 17)[:, None]
    positions, _ = written(prediction_of(upside_down, fps=30), tmp_path / "a.bvh")
    assert np.abs(positions - upside_down * Y_UP).max() < 1e-5
    nowhere, _ = written(prediction_of(np.zeros((2, 17, 3)), fps=30), tmp_path / "b.bvh")
    assert not nowhere.any()


def test_angles_of_a_turning_person_have_no_jumps(tmp_path):
    about_y = np.deg2rad(np.arange(0, 1080, 6))
    c, s = np.cos(about_y), np.sin(about_y)
    turn = np.zeros((len(c), 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = c
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = s, -s, 1
    prediction = prediction_of(np.einsum("tij,kj->tki", turn, standing()[0]), fps=30)
    save_prediction(prediction, tmp_path / "a.bvh")
    rows = rows_of(tmp_path / "a.bvh")
    assert np.abs(np.diff(rows, axis=0)).max() < 10
    assert abs(np.ptp(rows[:, 5]) - 1074) < 1


def test_rate_is_that_of_the_frames_or_30_with_a_warning(tmp_path):
    every_fifth = prediction_of(standing(3), fps=30.0, frame_numbers=np.array([2, 7, 12]))
    assert written(every_fifth, tmp_path / "a.bvh")[1] == pytest.approx(6)
    for name, known in (("b", {}), ("c", {"frame_numbers": np.array([0, 1, 9])})):
        with pytest.warns(UserWarning, match=f"unknown frame rate: {name}.bvh is written at 30 frames") as caught:
            assert written(prediction_of(standing(3), **known), tmp_path / f"{name}.bvh")[1] == pytest.approx(30)
        assert caught[0].filename == __file__


def test_angles_give_the_rotations():
    rng = np.random.default_rng(0)
    angles = rng.uniform(-180, 180, (300, 3))
    angles[::3, 1] = rng.choice([-90, 90], 100)  # gimbal lock
    rotations = Rotation.from_euler("ZXY", angles, degrees=True)
    again = Rotation.from_euler("ZXY", zxy_degrees(rotations), degrees=True)
    assert (again * rotations.inv()).magnitude().max() < 1e-6
