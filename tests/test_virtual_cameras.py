from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prpose.camera import look_at
from prpose.data.human36m import cameras
from prpose.data.synthetic import FixedCameras, quaternion
from prpose.data.synthetic.random_views import RandomCameras
from prpose.data.synthetic.walkers import walker


@pytest.mark.parametrize("action", ["run", "turn", "sit"])
@pytest.mark.parametrize("yaw", [0.0, 2.5])
def test_fixed_cameras_see_all_of_a_clip(action, yaw):
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


def test_too_large_a_space_is_refused():
    poses = walker("W01", "walk").poses_world.astype(float).copy()
    poses[:, :, 0] += np.linspace(0, 200, len(poses))[:, None]
    with pytest.raises(ValueError, match="no camera has all of a space"):
        FixedCameras().around(poses, 0.0)


def test_in_frame_minds_the_edges_and_what_is_behind():
    camera = cameras("S1")[1]
    ahead = camera.camera_to_world(np.array([[0.0, 0, 5]]))
    assert FixedCameras().in_frame(camera, ahead)
    for point in ([2.2, 0, 5], [0, -2.2, 5], [0, 0, -5], [0, 0, 0.1]):
        assert not FixedCameras().in_frame(camera, camera.camera_to_world(np.array([point], float)))


def test_in_frame_minds_where_the_lens_folds_back():
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


def test_look_at_points_the_axis_and_keeps_the_horizon():
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
    film = RandomCameras(zoom=0.0)
    seen, pixels, size = film.render(poses, np.random.default_rng(0))
    # The same pose, moved: distances between joints are kept, and so is handedness.
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
    again, _, _ = film.render(poses, np.random.default_rng(0))
    assert np.array_equal(seen, again)
    other, _, _ = film.render(poses, np.random.default_rng(1))
    assert not np.allclose(seen, other)
