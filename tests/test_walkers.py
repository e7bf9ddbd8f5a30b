from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from prpose.camera import look_at
from prpose.data import load_clips, load_motions
from prpose.data.human36m import cameras
from prpose.data.motion import Cleaning, check_sides
from prpose.data.synthetic import FixedCameras, quaternion
from prpose.data.synthetic.detector_noise import Body, segment_distances
from prpose.data.synthetic.random_views import RandomCameras
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


@pytest.mark.parametrize("action", ["run", "turn", "sit"])
@pytest.mark.parametrize("yaw", [0.0, 2.5])
def test_fixed_cameras_have_all_of_a_clip_in_frame(action, yaw):
    poses = walker("W01", action).poses_world.astype(float)
    found = FixedCameras().around(poses, yaw)
    assert len(found) == 4
    for camera, original in zip(found, cameras("S1"), strict=True):
        assert camera.intrinsics().tolist() == original.intrinsics().tolist()
        pixels = camera.project(camera.world_to_camera(poses))
        assert (pixels > 0).all()
        assert (pixels < [camera.width, camera.height]).all()
        seen = camera.world_to_camera(poses)
        assert (seen[:, 10, 1] < seen[:, 3, 1]).all()  # the head above the foot: y is down
        assert np.linalg.norm(seen[..., :3], axis=-1).min() > 2
    azimuths = [np.arctan2(*(np.array(c.position_m)[1::-1] - poses[0, 0, 1::-1])) for c in found]
    assert len({round(float(a), 1) for a in azimuths}) == 4


def test_too_large_a_space_raises():
    poses = walker("W01", "walk").poses_world.astype(float).copy()
    poses[:, :, 0] += np.linspace(0, 200, len(poses))[:, None]
    with pytest.raises(ValueError, match="no camera has all of a space"):
        FixedCameras().around(poses, 0.0)


def test_points_outside_the_image_or_behind_are_not_in_frame():
    camera = cameras("S1")[1]
    ahead = camera.camera_to_world(np.array([[0.0, 0, 5]]))
    assert FixedCameras().in_frame(camera, ahead)
    for point in ([2.2, 0, 5], [0, -2.2, 5], [0, 0, -5], [0, 0, 0.1]):
        assert not FixedCameras().in_frame(camera, camera.camera_to_world(np.array([point], float)))


def test_rays_where_the_lens_folds_back_are_not_in_frame():
    """Distortion can bring a ray far off the axis back into the image."""
    camera = replace(cameras("S1")[1], radial=(-0.5, 0.0, 0.0))
    point = np.array([[0.0, 3.9, 3.0]])  # far below, and in the image by the polynomial
    assert 0 < camera.project(point)[0, 1] < camera.height
    assert not FixedCameras().in_frame(camera, camera.camera_to_world(point))
    assert FixedCameras(steepest=9.0).in_frame(camera, camera.camera_to_world(point))


@pytest.mark.parametrize("seed", range(8))
def test_quaternion_round_trip(seed):
    rotation = Rotation.random(random_state=seed).as_matrix()
    for flip in (np.eye(3), np.diag([1, -1, -1]), np.diag([-1, -1, 1])):
        w, x, y, z = quaternion(rotation @ flip)
        assert w >= 0
        assert np.abs(Rotation.from_quat([x, y, z, w]).as_matrix() - rotation @ flip).max() < 1e-12


def test_look_at_points_the_axis_with_a_level_horizon():
    position, target = np.array([3.0, -2, 1.5]), np.array([0.5, 1, 0.9])
    right, down, forward = look_at(position, target).T
    assert np.allclose(forward, (target - position) / np.linalg.norm(target - position))
    assert right[2] == pytest.approx(0)
    assert down[2] < 0
    assert np.allclose(np.cross(right, down), forward)
    rolled = look_at(position, target, 0.3)
    assert np.allclose(rolled.T @ rolled, np.eye(3))
    assert np.linalg.det(rolled) == pytest.approx(1)
    assert np.arccos(rolled[:, 0] @ right) == pytest.approx(0.3)


def test_random_cameras_are_cameras_around_the_person():
    poses = walker("W02", "reach").poses_world[:200].astype(float)[:, None]
    cameras_ = RandomCameras(zoom=0.0)
    seen, pixels, size, *_ = cameras_.render(poses, np.random.default_rng(0))
    # The same pose, moved: distances between joints and handedness stay.
    gaps = np.linalg.norm(seen[:, 0, 1:] - seen[:, 0, :1], axis=-1)
    assert np.allclose(gaps, np.linalg.norm(poses[:, 0, 1:] - poses[:, 0, :1], axis=-1))
    a, b = (x[:, 0, [11, 14, 3]] - x[:, 0, :1] for x in (seen, poses))
    assert np.allclose(np.linalg.det(a), np.linalg.det(b))
    distance = np.hypot(*(seen[:, 0, 0] - 0).T[[0, 2]])
    assert distance.min() > 3
    assert distance.max() < 9.5
    # One of Human3.6M's lenses made each picture.
    for n in range(200):
        options = [c.project(seen[n]) for c in cameras("S1")]
        assert min(np.abs(option - pixels[n]).max() for option in options) < 1e-6
        assert size[n].tolist() in ([1000, 1002], [1000, 1000])
    x = pixels[:, 0, 0, 0] / 500 - 1
    assert 0.15 < x.std() < 0.35
    assert np.abs(x).max() < 0.6
    again, *_ = cameras_.render(poses, np.random.default_rng(0))
    assert np.array_equal(seen, again)
    other, *_ = cameras_.render(poses, np.random.default_rng(1))
    assert not np.allclose(seen, other)


@pytest.mark.parametrize("seed", range(20))
def test_segment_distances_against_bounded_least_squares(seed):
    tips, starts, ends = np.random.default_rng(seed).normal(size=(3, 2, 3))
    if seed == 0:
        starts[0], ends[0], ends[1] = starts[0], starts[0] + tips[0], starts[1]  # parallel; of no length
    found = segment_distances(tips, starts, ends)
    for n, m in np.ndindex(2, 2):
        lines = np.stack([tips[n], starts[m] - ends[m]], axis=-1)  # nearest points: s tip = start + t (end - start)
        least = lsq_linear(lines, starts[m], bounds=(0, 1), tol=1e-14, method="bvls")
        assert found[n, m] == pytest.approx(np.linalg.norm(least.fun), abs=1e-6)


def test_segment_distance_far_from_the_camera():
    """Points that meet ten metres away have the distance 0 to a tenth of a millimetre, though it is a difference."""
    tips, starts = np.array([[1.0, 2.0, 10.0]]), np.array([[0.5, 2.0, 10.0]])
    assert segment_distances(tips, starts, 2 * tips - starts)[0, 0] < 1e-4


def standing(depth=5.0):
    """Upright in front of the camera and facing it, arms hanging; camera axes, metres."""
    pose = np.zeros((17, 3))
    places = {
        "pelvis": (0, 0), "right_hip": (-0.13, 0), "right_knee": (-0.13, 0.45),
        "right_ankle": (-0.13, 0.9), "left_hip": (0.13, 0), "left_knee": (0.13, 0.45),
        "left_ankle": (0.13, 0.9), "spine": (0, -0.25), "thorax": (0, -0.5), "neck": (0, -0.62),
        "head": (0, -0.75), "left_shoulder": (0.2, -0.48), "left_elbow": (0.25, -0.2),
        "left_wrist": (0.28, 0.05), "right_shoulder": (-0.2, -0.48), "right_elbow": (-0.25, -0.2),
        "right_wrist": (-0.28, 0.05),
    }  # fmt: skip
    for name, (x, y) in places.items():
        pose[H36M_17.index(name)] = (x, y, depth)
    return pose


def put(pose, name, place):
    pose = pose.copy()
    pose[H36M_17.index(name)] = place
    return pose


def hidden_names(pose):
    return {H36M_17.names[j] for j in np.flatnonzero(Body().hidden(pose))}


def test_front_view():
    assert hidden_names(standing()) == set()
    behind = put(standing(), "left_wrist", (0, -0.25, 5.3))
    assert hidden_names(behind) == {"left_wrist"}
    before = put(standing(), "left_wrist", (0, -0.25, 4.6))
    assert "left_wrist" not in hidden_names(before)


def test_side_view():
    turned = standing()
    turned[:, 2], turned[:, 0] = 5 + turned[:, 0], 0.0  # the left side away from the camera
    hidden = hidden_names(turned)
    assert {"left_hip", "left_knee", "left_shoulder", "left_elbow"} <= hidden
    # Of the near side only the hip, which the hanging hand is in front of.
    assert {name for name in hidden if name.startswith("right_")} == {"right_hip"}


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_leading_axes_and_mirror_images(shape):
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(*shape, 17, 3)) * 0.4 + [0, 0, 4]
    hidden = Body().hidden(poses)
    assert hidden.shape == (*shape, 17)
    one = [Body().hidden(pose) for pose in poses.reshape(-1, 17, 3)]
    assert np.array_equal(hidden.reshape(-1, 17), np.array(one))
    mirrored = (poses * [-1, 1, 1])[..., H36M_17.mirror, :]
    assert np.array_equal(Body().hidden(mirrored)[..., H36M_17.mirror], hidden)
