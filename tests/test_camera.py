import cv2
import numpy as np
import pytest

from prpose.camera import Camera, denormalise, normalise
from prpose.data.human36m import SPLITS, cameras
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
def test_normalising_round_trip_and_corners(size):
    w, h = size
    points = normalise(np.array([[0.0, 0.0], [w, h], [w / 2, h / 2]]), w, h)
    assert np.allclose(points, [[-1, -h / w], [1, h / w], [0, 0]])
    assert np.allclose(denormalise(points, w, h), [[0, 0], [w, h], [w / 2, h / 2]])


def test_bad_cameras_are_refused():
    with pytest.raises(ValueError, match="positive image size, got 0 x 5"):
        normalise(np.zeros((1, 2)), 0, 5)
    with pytest.raises(ValueError, match="calibrated"):
        Camera(10, 10).project(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"unknown subject .* 'S2'"):
        cameras("S2")
    assert not Camera(10, 10).intrinsics().any()
