import numpy as np
import pytest

from prpose.data import load_clips, load_motions
from prpose.data.motion import Cleaning, check_sides
from prpose.data.synthetic.walkers import GAIT, LIMITS, MOVES, SEGMENTS, SPLITS, cycle, limited, pose, walker
from prpose.skeleton import H36M_17

EVERYONE = [(subject, action) for subject in ("W01", "W07", "W13", "W16") for action in MOVES]


@pytest.mark.parametrize(("subject", "action"), EVERYONE)
def test_bodies_are_rigid_on_the_ground_and_smooth(subject, action):
    motion = walker(subject, action)
    poses = motion.poses_world.astype(float)
    assert poses.shape == (240, 17, 3)
    bones = np.linalg.norm(poses[:, 1:] - poses[:, H36M_17.parents[1:]], axis=-1)
    assert np.ptp(bones, axis=0).max() < 1e-6
    mirror = np.array(H36M_17.mirror[1:]) - 1
    assert np.allclose(bones[0], bones[0, mirror], atol=1e-6)  # alike on both sides
    ankles = poses[:, H36M_17.subset(("left_ankle", "right_ankle")), 2]
    height = ankles.min(axis=1)
    assert np.ptp(height) < 1e-5  # one foot always bears the weight ...
    assert 0.05 < height[0] < 0.09  # ... with its ankle some 7 cm above the ground
    assert 1.3 < poses[:, H36M_17.index("head"), 2].max() < 2.1
    assert Cleaning().good(motion.poses_world, motion.fps).all()
    acceleration = np.linalg.norm(np.diff(poses, 2, axis=0), axis=-1).max() * motion.fps**2
    assert acceleration < 200
    assert check_sides([motion]) == []


@pytest.mark.parametrize("subject", ["W01", "W09"])
def test_feet_that_bear_the_weight_do_not_slide(subject):
    poses = walker(subject, "walk").poses_world.astype(float)
    feet = poses[:, H36M_17.subset(("left_ankle", "right_ankle"))]
    step = np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=-1) * 60
    bearing = np.take_along_axis(step, feet[1:, :, 2].argmin(axis=1)[:, None], axis=1)
    assert np.median(bearing) < 0.15  # metres a second
    path = np.linalg.norm(poses[-1, 0, :2] - poses[0, 0, :2]) / 4
    assert 0.4 < path < 2.0  # it gets somewhere
    side = poses[:, 4] - poses[:, 1]
    heading = np.cross(side, [0, 0, 1])[..., :2].mean(axis=0)
    assert (poses[-1, 0, :2] - poses[0, 0, :2]) @ heading > 0  # forward


def test_joints_stay_within_their_limits():
    times = np.arange(300) / 60
    for action, move in MOVES.items():
        for seed in range(4):
            angles = move(times, np.random.default_rng(seed))
            angles.pop("heading"), angles.pop("lean")
            for name, value in limited(angles).items():
                low, high = LIMITS[name.removeprefix("left_").removeprefix("right_")]
                assert low <= value.min() <= value.max() <= high, (action, name)
            # The curves themselves mean to stay inside; the limits are a safeguard.
            beyond = max(np.abs(v - limited(angles)[n]).max() for n, v in angles.items())
            assert beyond < 25, action


def test_pose_has_the_given_angles():
    body = {name: 1.7 * share for name, share in SEGMENTS.items()} | {"pelvis": 0.0}
    zero = np.zeros(1)
    bent = pose(body, {"left_knee_flexion": zero + 60, "right_elbow_flexion": zero + 90}, zero, zero)[0]
    joint = dict(zip(H36M_17.names, bent, strict=True))
    assert joint["left_hip"][1] > 0  # left is +y, and the figure faces +x
    thigh, shin = joint["left_knee"] - joint["left_hip"], joint["left_ankle"] - joint["left_knee"]
    cosine = thigh @ shin / np.linalg.norm(thigh) / np.linalg.norm(shin)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(60)
    assert shin[0] < 0  # a knee bends backward ...
    assert (joint["right_wrist"] - joint["right_elbow"])[0] > 0.1  # ... and an elbow forward
    raised = pose(body, {"left_shoulder_abduction": zero + 90}, zero, zero)[0]
    arm = raised[H36M_17.index("left_elbow")] - raised[H36M_17.index("left_shoulder")]
    assert arm[1] == pytest.approx(np.linalg.norm(arm))


def test_gait_curves_pass_near_their_table():
    for joints in GAIT.values():
        for values in joints.values():
            ours = cycle(values, np.arange(10) / 10)
            assert np.abs(ours - np.array(values)).max() < 6
            assert np.allclose(cycle(values, np.array([0.3])), cycle(values, np.array([7.3])))


def test_splits_are_disjoint_and_deterministic():
    assert len({name for names in SPLITS.values() for name in names}) == sum(map(len, SPLITS.values()))
    a, b = walker("W01", "walk"), walker("W02", "walk")
    assert not np.allclose(a.poses_world, b.poses_world)
    walker.cache_clear()
    assert np.array_equal(walker("W01", "walk").poses_world, a.poses_world)
    motions = load_motions("walkers", "nowhere", "test")
    assert [motion.name for motion in motions[:2]] == ["W15_walk", "W15_run"]


def test_walkers_load_as_clips():
    clips = load_clips("walkers", "nowhere", "val", actions=("sit", "run"), stride=4)
    assert len(clips) == 2 * 2 * 4
    assert {clip.action for clip in clips} == {"sit", "run"}
    for clip in clips:
        assert (len(clip), clip.fps) == (60, 15)  # every fourth frame
        assert clip.confidence.shape == clip.hidden.shape == (60, 17)
    truth = load_clips("walkers", "nowhere", "val", "gt", actions=("sit", "run"), stride=4)
    for clip, true in zip(clips, truth, strict=True):
        assert np.array_equal(clip.poses_cam, true.poses_cam)
        seen = true.camera.project(true.poses_cam.astype(float))
        assert np.abs(seen - true.keypoints_px).max() < 1e-2
        error = np.linalg.norm(clip.keypoints_px - true.keypoints_px, axis=-1)
        assert 0.5 < np.median(error) < 10
    for kw, message in [
        ({"actions": ("fly",)}, "walkers: no action 'fly'; there are walk, run"),
        ({"keypoints": "cpn"}, "unknown 2D of walkers 'cpn'"),
        ({"split": "tests"}, "unknown split of walkers 'tests'; did you mean test"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_clips(**({"name": "walkers", "root": ".", "split": "val"} | kw))
    with pytest.raises(ValueError, match="unknown action of walkers 'fly'"):
        walker("W01", "fly")
