"""Poses sum up their hypotheses and refuse what they cannot be."""

import dataclasses

import numpy as np
import pytest

from prpose.camera import Camera
from prpose.prediction import FLAGS, Prediction
from tests.pose_files import CAMERA, fields, made, standing


def test_mean_and_covariance_are_those_of_numpy():
    poses = made(T=3, S=40)
    hypotheses = fields(T=3, S=40)["hypotheses"].astype(float)
    assert np.abs(poses.pose - hypotheses.mean(0)).max() < 1e-7
    for t, j in [(0, 1), (2, 16)]:
        by_numpy = np.cov(hypotheses[:, t, j], rowvar=False)
        assert np.allclose(poses.covariance[t, j], by_numpy, rtol=1e-5)
    assert (len(poses), poses.S, poses.point_estimate) == (3, 40, "mean")


def test_another_aggregate_keeps_the_covariance_about_the_mean():
    poses, first = made(), fields()["hypotheses"][0]
    chosen = made(pose=first, point_estimate="medoid")
    assert np.array_equal(chosen.pose, first)
    assert np.array_equal(chosen.covariance, poses.covariance)


def test_fewer_hypotheses_keep_the_sums_of_all():
    poses = made(S=6)
    two = poses.keeping(2)
    assert np.array_equal(two.samples, poses.samples[:2])
    assert poses.keeping("none").samples is None
    assert poses.keeping("all") is poses
    for fewer in (two, poses.keeping("none"), two.keeping("none")):
        assert fewer.S == 6
        assert np.array_equal(fewer.covariance, poses.covariance)


def test_times_are_measured_or_follow_from_the_rate():
    assert np.array_equal(made().seconds, fields()["times_s"])
    assert made(times_s=None, fps=4).seconds.tolist() == [0, 0.25, 0.5, 0.75]
    assert made(times_s=None, fps=None).seconds is None


def test_what_is_not_said_is_seen_and_other_floats_are_converted():
    poses = made(flags=None, deterministic=standing(4).astype(float), times_s=np.arange(4))
    assert poses.flags.dtype == np.uint8
    assert FLAGS[poses.flags.max()] == "seen"
    assert (poses.deterministic.dtype, poses.times_s.dtype) == (np.float32, np.float64)


def test_a_covariance_of_float32_rounding_is_one():
    """Of two hypotheses it has rank 1, and eigenvalues a little below 0."""
    hypotheses = fields(S=2)["hypotheses"]
    away = hypotheses - hypotheses.mean(0)
    covariance = np.einsum("stji,stjk->tjik", away, away)
    poses = Prediction(hypotheses.mean(0), covariance, standing(4), 2)
    assert np.linalg.eigvalsh(poses.covariance).min() < 0


def edited(name, index, value):
    array = fields()[name].copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hypotheses": fields(S=1)["hypotheses"]}, r"S >= 2, got \(1, 4, 17, 3\)"),
        ({"hypotheses": None}, r"of shape \(S, T, 17, 3\), S >= 2, got \(\)"),
        ({"hypotheses": np.zeros((3, 4, 16, 3))}, r"hypotheses of shape \(3, 4, 17, 3\), got"),
        ({"hypotheses": np.zeros((3, 5, 17, 3))}, r"single of shape \(5, 17, 3\), got \(4"),
        ({"hypotheses": edited("hypotheses", (0, 0, 0), 0.1)}, "joint 0, at 0, got it 0.1 m away"),
        ({"hypotheses": edited("hypotheses", (0, 0, 1), np.nan)}, "expected finite hypotheses"),
        ({"single": np.zeros((4, 17))}, r"single of shape \(4, 17, 3\), got \(4, 17\)"),
        ({"single": "nobody"}, "expected single as an array of numbers, got str"),
        ({"single": edited("single", (1, 2, 0), np.inf)}, "expected finite single"),
        ({"single": edited("single", (1, 2, 0), 1e6)}, r"single within 100000, got 1e\+06"),
        ({"single": standing(4).astype(complex)}, "single as an array of numbers, got complex"),
        ({"single": standing(4) + np.float32(0.5)}, "expected single with the pelvis"),
        ({"flags": np.full((4, 17), 4)}, "expected flags of 0 to 3, got others"),
        ({"flags": np.full((4, 17), 0.5)}, "expected flags of 0 to 3, got others"),
        ({"flags": np.zeros((4, 17, 1))}, r"flags of shape \(4, 17\), got \(4, 17, 1\)"),
        ({"flags": np.full((4, 17), "seen")}, "flags as an array of numbers, got <U4"),
        ({"times_s": np.array([0, 1, 1, 2.0])}, "that increase, got no increase at frame 2"),
        ({"times_s": np.array([0, 1, np.nan, 2])}, "expected finite times_s"),
        ({"times_s": np.zeros(3)}, r"times_s of shape \(4,\), got \(3,\)"),
        ({"fps": 0}, "fps as a number > 0, got 0"),
        ({"fps": float("nan")}, "fps as a number > 0, got nan"),
        ({"fps": "30"}, "fps as a number > 0, got '30'"),
        ({"fps": True}, "fps as a number > 0, got True"),
        ({"root_cam": edited("root_cam", (2, 2), -1)}, "z > 0, got -1 m in frame 2"),
        ({"root_cam": None}, "expected root_cam with root_covariance, got none"),
        ({"root_covariance": np.ones((4, 3, 3)) * [1, 2, 3]}, "root_covariance to be symmetric"),
        ({"root_covariance": np.tile(-np.eye(3), (4, 1, 1))}, "negative variance, got -1 m²"),
        ({"keypoints_px": np.zeros((4, 17, 3))}, r"keypoints_px of shape \(4, 17, 2\)"),
        ({"camera": (1000, 800)}, "camera as a Camera, got tuple"),
        ({"camera": Camera(0, 800)}, "an image size > 0, got 0 x 800"),
        ({"camera": Camera(1, 8, (9.0,))}, r"camera.focal_px as 2 finite numbers, got \(9.0,\)"),
        ({"camera": Camera(1, 8, (9.0, float("inf")), (1.0, 1.0))}, "camera.focal_px as 2 finite"),
        ({"camera": Camera(1, 8, (10**400, 1.0))}, "camera.focal_px as 2 finite"),
        ({"model": ["mgcn"]}, "model as a mapping, got list"),
        ({"model": {"alpha": float("nan")}}, "model as JSON can hold it, got"),
        ({"model": {"net": CAMERA}}, "model as JSON can hold it, got"),
        ({"command": None}, "command as text, got None"),
        ({"seed": -1}, "seed as a whole number >= 0, got -1"),
        ({"seed": 1.5}, "seed as a whole number >= 0, got 1.5"),
        ({"seed": True}, "seed as a whole number >= 0, got True"),
    ],
)  # fmt: skip
def test_what_they_cannot_be_is_named(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        made(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aggregate": np.zeros((0, 17, 3))}, r"aggregate of shape \(T, 17, 3\), T >= 1, got"),
        ({"aggregate": np.zeros((4, 16, 3))}, r"aggregate of shape \(4, 17, 3\), got \(4, 16, 3\)"),
        ({"aggregate": None}, r"aggregate of shape \(T, 17, 3\), T >= 1, got \(\)"),
        ({"S": 4}, "expected 1 to S = 4 hypotheses, got 5"),
        ({"S": 0}, "expected S as a whole number >= 1, got 0"),
        ({"S": 2.0}, "expected S as a whole number >= 1, got 2.0"),
        ({"covariance": np.zeros((4, 17, 3))}, r"covariance of shape \(4, 17, 3, 3\), got"),
        ({"covariance": np.full((4, 17, 3, 3), np.nan)}, "expected finite covariance"),
        ({"hypotheses": np.zeros((0, 4, 17, 3))}, "expected 1 to S = 5 hypotheses, got 0"),
        ({"aggregated_by": None}, "aggregated_by as text, got None"),
    ],
)
def test_fields_that_are_computed_are_checked_too(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(made(), **changes)


@pytest.mark.parametrize("which", [0, 6, -1, "some", 2.0, True, None])
def test_hypotheses_that_are_not_there_cannot_be_kept(which):
    with pytest.raises(ValueError, match=r"expected hypotheses all, none or 1 to 5, got"):
        made().keeping(which)
