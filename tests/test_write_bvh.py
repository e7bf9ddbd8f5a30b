"""BVH: read back by our reader and by bvhio, joints are where the poses have them."""

import numpy as np
import pytest

from prpose.data import load_clips
from prpose.data.mocap.bvh import read_bvh
from prpose.io.export import write_prediction
from prpose.io.export.axes import placed
from prpose.io.export.bvh_file import hierarchy, rest_directions
from prpose.io.export.rotations import best_turn, turn_towards, zxy_degrees
from prpose.skeleton import H36M_17
from tests.pose_files import made, of_one, random_walk_of_bones, standing
from tests.test_bvh import bvhio, positions_of_bvhio  # noqa: F401

Y_UP = np.array([1, -1, -1])


def written(poses, path):
    """What our reader makes of the file: the 17 joints, (T, 17, 3), and the frame rate."""
    write_prediction(poses, path)
    recording = read_bvh(path)
    joints = [recording.names.index(name) for name in H36M_17.names]
    return recording.positions[:, joints], recording.fps


def test_bones_that_point_anywhere_are_exact(tmp_path):
    pose = random_walk_of_bones(T=40)
    roots = np.random.default_rng(1).uniform([-1, -1, 2], [1, 1, 6], (40, 3))
    positions, fps = written(of_one(pose, fps=29.97, root=roots), tmp_path / "a.bvh")
    assert np.abs(positions - (pose + roots[:, None]) * Y_UP).max() < 1e-5
    assert fps == pytest.approx(29.97)


def test_against_bvhio(bvhio, tmp_path):  # noqa: F811
    poses = of_one(random_walk_of_bones(T=3, seed=2), fps=25)
    write_prediction(poses, tmp_path / "a.bvh")
    for t, found in positions_of_bvhio(bvhio, tmp_path / "a.bvh", range(3)):
        for joint, name in enumerate(H36M_17.names):
            assert np.abs(found[name] - placed(poses)[t, joint]).max() < 1e-4, name


def test_walkers_are_exact(tmp_path):
    clip = load_clips("walkers", ".", "test", actions=("reach",), stride=4)[0]
    poses = of_one(clip.poses_cam - clip.poses_cam[:, :1], fps=15, root=clip.poses_cam[:, 0])
    positions, _ = written(poses, tmp_path / "a.bvh")
    assert np.abs(positions - clip.poses_cam * Y_UP).max() < 1e-4


def test_bones_of_changing_length_keep_their_direction_and_get_the_mean_length(tmp_path):
    poses = made(T=30, S=2, times_s=None)
    positions, _ = written(poses, tmp_path / "a.bvh")
    for joint, parent in enumerate(H36M_17.parents[1:], start=1):
        found = positions[:, joint] - positions[:, parent]
        given = placed(poses)[:, joint] - placed(poses)[:, parent]
        lengths = np.linalg.norm(found, axis=-1), np.linalg.norm(given, axis=-1)
        assert np.abs(lengths[0] - lengths[1].mean()).max() < 1e-5
        assert lengths[1].std() > 1e-3
        cosine = (found * given).sum(-1) / lengths[0] / lengths[1]
        assert cosine.min() > 1 - 1e-8


def test_who_stands_upright_is_upright_and_not_mirrored(tmp_path):
    positions, _ = written(of_one(standing(), fps=30), tmp_path / "a.bvh")
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
    """Arms spread, facing +z, left at +x: what an animator calls a T-pose."""
    assert rest_directions()[H36M_17.index("left_wrist")].tolist() == [1, 0, 0]
    assert rest_directions()[H36M_17.index("right_hip")].tolist() == [-1, 0, 0]
    pose = np.repeat(rest_pose()[None] * Y_UP, 2, axis=0)
    positions, _ = written(of_one(pose, fps=30), tmp_path / "a.bvh")
    assert np.abs(positions - rest_pose()).max() < 1e-6
    assert not rows_of(tmp_path / "a.bvh").any()
    assert "-0.000000" not in (tmp_path / "a.bvh").read_text().split("MOTION")[1]


def test_bones_against_their_rest_direction_and_bones_of_no_length(tmp_path):
    upside_down = np.repeat(rest_pose()[None] * [-1, 1, 1], 2, axis=0)
    for joint, parent in ((9, 8), (10, 9), (13, 12)):
        upside_down[:, joint] = 2 * upside_down[:, parent] - upside_down[:, joint]
    upside_down[:, 3] = upside_down[:, 2]  # an ankle in its knee
    upside_down[1] += np.linspace(0, 1e-9, 17)[:, None]
    positions, _ = written(of_one(upside_down, fps=30), tmp_path / "a.bvh")
    assert np.abs(positions - upside_down * Y_UP).max() < 1e-5
    nowhere, _ = written(of_one(np.zeros((2, 17, 3)), fps=30), tmp_path / "b.bvh")
    assert not nowhere.any()


def test_a_turning_person_has_angles_without_jumps(tmp_path):
    about_y = np.deg2rad(np.arange(0, 1080, 6))
    c, s = np.cos(about_y), np.sin(about_y)
    turn = np.zeros((len(c), 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = c
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = s, -s, 1
    poses = of_one(np.einsum("tij,kj->tki", turn, standing()[0]), fps=30)
    write_prediction(poses, tmp_path / "a.bvh")
    rows = rows_of(tmp_path / "a.bvh")
    assert np.abs(np.diff(rows, axis=0)).max() < 10
    assert abs(np.ptp(rows[:, 5]) - 1074) < 1


def test_uneven_clocks_are_even_enough(tmp_path):
    times = np.arange(6) / 30 + np.array([0, 5, -5, 3, 0, 2]) / 1000
    assert written(of_one(standing(6), times_s=times, fps=30.0), tmp_path / "a.bvh")[1] == (pytest.approx(30))


def test_every_bone_has_a_node_and_every_end_an_end_site(tmp_path):
    nodes = hierarchy(rest_directions())
    assert sorted(aim for node in nodes for aim in node.aims if len(node.aims) == 1) == (list(range(1, 17)))
    assert [node.name for node in nodes if len(node.aims) > 1] == ["pelvis", "thorax"]
    write_prediction(of_one(standing(), fps=30), tmp_path / "a.bvh")
    ends = [name for name in read_bvh(tmp_path / "a.bvh").names if name.endswith("_end")]
    assert sorted(ends) == ["head_end", "left_ankle_end", "left_wrist_end", "right_ankle_end",
                            "right_wrist_end"]  # fmt: skip


def test_the_smallest_turn_turns_and_is_smallest():
    rng = np.random.default_rng(0)
    end = rng.normal(size=(500, 3))
    start = np.array([0.6, 0.0, -0.8])
    near = -start + 10.0 ** rng.uniform(-12, -1, (200, 1)) * rng.normal(size=(200, 3))
    end = np.concatenate([end, near, [start, -start]])
    end /= np.linalg.norm(end, axis=-1, keepdims=True)
    turn = turn_towards(start, end)
    assert np.abs(turn @ start - end).max() < 1e-9
    assert np.abs(turn @ turn.swapaxes(1, 2) - np.eye(3)).max() < 1e-9
    assert np.abs(np.linalg.det(turn) - 1).max() < 1e-9
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    assert np.abs(cosine - end @ start)[:500].max() < 1e-12


def test_the_best_turn_is_that_of_scipy():
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(3, 3)), rng.normal(size=(30, 3, 3))
    start[2] = start[0] - start[1]  # flat, as hips and spine are: a mirror image fits as well
    turn = best_turn(start, end)
    assert np.abs(np.linalg.det(turn) - 1).max() < 1e-12
    for found, points in zip(turn, end, strict=True):
        expected, _ = rotation.align_vectors(points, start)
        assert np.abs(found - expected.as_matrix()).max() < 1e-6


def test_angles_make_the_rotations_they_are_of():
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    rng = np.random.default_rng(0)
    angles = rng.uniform(-180, 180, (300, 3))
    angles[::3, 1] = rng.choice([-90, 90], 100)  # z and y turn about the same axis
    turns = rotation.from_euler("ZXY", angles, degrees=True).as_matrix()
    found = zxy_degrees(turns)
    again = rotation.from_euler("ZXY", found, degrees=True).as_matrix()
    assert np.abs(again - turns).max() < 1e-7
