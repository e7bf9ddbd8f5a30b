import cv2
import numpy as np
import pytest
from scipy.optimize import least_squares

from prpose.camera import Camera, normalise
from prpose.data import load_clips
from prpose.data.human36m import SPLITS, cameras
from prpose.placement import NEAREST_M, place, placement_covariance, reprojection_errors
from tests.golden_numbers import arrays

SUBJECTS = [*SPLITS["train"], *SPLITS["test"]]
RNG = np.random.default_rng(0)


def body(shape=(5, 17)):
    return RNG.uniform(-1, 1, (*shape, 3)) + np.array([0.2, -0.1, 5.0])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_calibration_matches_the_golden_one(subject):
    golden = arrays("digest/cameras.npz")
    row = golden["subjects"].tolist().index(subject)
    for index, camera in enumerate(cameras(subject)):
        assert np.abs(camera.intrinsics() - golden["intrinsic"][row, index]).max() < 1e-6
        assert np.allclose(camera.orientation, golden["orientation"][row, index], atol=1e-6)
        assert np.allclose(camera.position_m, golden["translation"][row, index], atol=1e-6)
        assert (camera.width, camera.height) == tuple(golden["resolution"][index])


@pytest.mark.parametrize("index", range(4))
def test_projection_is_opencvs(index):
    camera = cameras("S9")[index]
    points = body()
    matrix = np.diag([*camera.focal_px, 1.0])
    matrix[:2, 2] = camera.center_px
    k1, k2, k3 = camera.radial
    expected, _ = cv2.projectPoints(
        points.reshape(-1, 3), np.zeros(3), np.zeros(3), matrix,
        np.array([k1, k2, *camera.tangential, k3]),
    )  # fmt: skip
    assert np.abs(camera.project(points) - expected.reshape(5, 17, 2)).max() < 1e-9


def test_videopose3d_projection_by_a_scalar_loop():
    camera = cameras("S1")[2]
    points = body((4,))
    for point, pixel in zip(points, camera.project(points, "videopose3d"), strict=True):
        x, y = point[0] / point[2], point[1] / point[2]
        r2 = x * x + y * y
        stretch = 1 + sum(k * r2 ** (i + 1) for i, k in enumerate(camera.radial))
        tangential = camera.tangential[0] * x + camera.tangential[1] * y
        for axis, value in enumerate((x, y)):
            bent = value * (stretch + tangential) + camera.tangential[axis] * r2
            expected = bent * camera.focal_px[axis] + camera.center_px[axis]
            assert abs(expected - pixel[axis]) < 1e-9


@pytest.mark.parametrize("subject", ["S1", "S11"])
def test_world_and_camera_round_trip(subject):
    for camera in cameras(subject):
        points = body()
        assert np.abs(camera.camera_to_world(camera.world_to_camera(points)) - points).max() < 1e-6
        assert np.abs(camera.world_to_camera(np.asarray(camera.position_m))).max() < 1e-12


@pytest.mark.parametrize("size", [(1000, 1002), (1920, 1080), (2048, 2048)])
def test_normalised_corners(size):
    w, h = size
    points = normalise(np.array([[0.0, 0.0], [w, h], [w / 2, h / 2]]), w, h)
    assert np.allclose(points, [[-1, -h / w], [1, h / w], [0, 0]])


def test_bad_cameras_are_refused():
    with pytest.raises(ValueError, match="positive image size, got 0 x 5"):
        normalise(np.zeros((1, 2)), 0, 5)
    with pytest.raises(ValueError, match="calibrated"):
        Camera(10, 10).project(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"unknown subject .* 'S2'"):
        cameras("S2")
    assert not Camera(10, 10).intrinsics().any()


@pytest.fixture(scope="module")
def people():
    """Prediction, roots and true points on the image plane of people before calibrated cameras."""
    clips = load_clips("walkers", ".", "test", actions=("wave", "walk", "sit"), stride=40)
    points = np.concatenate([clip.poses_cam for clip in clips]).astype(np.float64)
    return points - points[:, :1], points[:, 0], points[..., :2] / points[..., 2:]


def test_a_perfect_pose_is_put_where_it_is(people):
    poses, roots, plane = people
    assert np.linalg.norm(place(poses, plane) - roots, axis=-1).max() < 1e-6
    assert reprojection_errors(poses, plane, roots).max() < 1e-12


def test_noisy_keypoints_as_scipy_does(people):
    poses, _, plane = people
    rng = np.random.default_rng(0)
    noisy = plane + rng.normal(0, 0.01, plane.shape)
    weights = rng.uniform(0.1, 1, plane.shape[:2])
    found = place(poses, noisy, weights)
    for i in range(0, len(poses), 7):

        def off(root, i=i):
            points = poses[i] + root
            residual = points[:, :2] / points[:, 2:] - noisy[i]
            return (residual * np.sqrt(weights[i])[:, None]).ravel()

        best = least_squares(off, [0.0, 0.0, 5.0], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert np.allclose(found[i], best.x, atol=1e-5)


def test_a_joint_without_weight_does_not_matter(people):
    poses, roots, plane = people
    wrong, weights = plane.copy(), np.ones(plane.shape[:2])
    wrong[:, 3] += 5
    weights[:, 3] = 0
    assert np.linalg.norm(place(poses, wrong, weights) - roots, axis=-1).max() < 1e-6
    assert np.linalg.norm(place(poses, wrong) - roots, axis=-1).min() > 0.1


def test_axioms(people):
    """Hypotheses and frames are independent; a mirror image is put at the mirror image's place."""
    poses, _, plane = people
    noisy = plane + 0.01 * np.random.default_rng(0).standard_normal(plane.shape)
    whole = place(np.stack([poses, 1.1 * poses]), noisy)
    assert whole.shape == (2, len(poses), 3)
    assert np.allclose(whole[1, 2:3], place(1.1 * poses[2:3], noisy[2:3]))
    flip = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(place(poses * flip, noisy * flip[:2]), whole[0] * flip)
    assert np.allclose(place(2 * poses, noisy), 2 * whole[0], atol=1e-5)  # twice as large, far


def test_the_covariance_is_that_of_many_draws(people):
    poses, roots, plane = (each[:1] for each in people)
    sigma = 0.002
    noise = np.random.default_rng(0).standard_normal((4000, *plane.shape)) * sigma
    found = place(np.broadcast_to(poses, (4000, *poses.shape)), plane + noise)[:, 0]
    expected = placement_covariance(poses, roots, sigma)[0]
    drawn = np.cov((found - roots[0]).T)
    assert np.allclose(drawn, expected, rtol=0.15, atol=float(expected.diagonal().min()) * 0.1)


def test_people_stay_before_the_camera(people):
    poses, _, plane = people
    roots = place(poses, -plane * 40)  # nonsense
    assert np.isfinite(roots).all()
    assert (poses[..., 2] + roots[:, None, 2]).min() >= NEAREST_M - 1e-9
    assert np.isfinite(place(np.zeros((1, 17, 3)), np.zeros((1, 17, 2)))).all()
