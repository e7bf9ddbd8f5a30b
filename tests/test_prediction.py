import dataclasses

import numpy as np
import pytest
from scipy.stats import chi2

from prpose.prediction import FLAGS
from prpose.regions import LEVEL, ellipsoids, is_calibrated, is_trained, region_quantiles
from prpose.skeleton import H36M_17
from tests.prediction_files import fields, make_prediction, standing


def test_times_are_measured_or_follow_from_the_frame_rate():
    assert np.array_equal(make_prediction().seconds, fields()["times_s"])
    every_other = make_prediction(times_s=None, fps=4, frame_numbers=np.arange(6, 14, 2))
    assert every_other.seconds.tolist() == [0, 0.5, 1, 1.5]
    assert make_prediction(times_s=None, fps=None).seconds is None


def test_defaults_are_filled_in_and_types_converted():
    found = make_prediction(flags=None, frame_numbers=None, pose=standing(4).astype(float), times_s=np.arange(4))
    assert (found.flags.dtype, FLAGS[found.flags.max()]) == (np.uint8, "detected")
    assert found.frame_numbers.tolist() == [0, 1, 2, 3]
    assert (found.pose.dtype, found.times_s.dtype) == (np.float32, np.float64)


def test_repr_tells_samples_frames_model_and_spread():
    found = make_prediction(S=400)
    assert found.mean_spread == pytest.approx(0.03, rel=0.02)
    assert repr(found) == "Prediction(S=400, T=4, model='mgcn-cmu17', point_estimate='mean', mean spread 30 mm)"


def test_columns_have_a_row_per_frame_and_joint():
    prediction = make_prediction()
    columns = prediction.to_columns()
    assert {len(column) for column in columns.values()} == {4 * 17}
    assert columns["joint"].tolist() == list(H36M_17.names) * 4
    assert columns["frame"].tolist() == np.repeat([3, 4, 5, 6], 17).tolist()
    assert np.array_equal(columns["y_down_m"].reshape(4, 17), prediction.pose[..., 1])
    deviation = prediction.samples.std(axis=0, ddof=1)
    assert np.allclose(columns["sd_z_m"].reshape(4, 17), deviation[..., 2], atol=1e-6)
    assert np.array_equal(columns["root_x_m"][::17], prediction.root[:, 0])
    assert columns["flag"].tolist() == [FLAGS[flag] for flag in prediction.flags.ravel()]
    bare = make_prediction(times_s=None, fps=None, root=None, root_covariance=None).to_columns()
    assert np.isnan(bare["time_s"]).all()
    assert list(bare) == list(columns)[:-3]


def test_covariance_may_be_off_by_rounding_of_float32():
    """Of two samples it has rank 1, and eigenvalues slightly below 0."""
    prediction = make_prediction(S=2)
    assert np.linalg.eigvalsh(prediction.covariance).min() < 0


def edited(name, index, value):
    array = fields()[name].copy()
    array[index] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pose": np.zeros((0, 17, 3))}, r"pose of shape \(T, 17, 3\) with T >= 1, got \(0"),
        ({"pose": None}, r"pose of shape \(T, 17, 3\) with T >= 1, got \(\)"),
        ({"num_samples": 4}, "expected 1 to num_samples = 4 samples, got 5"),
        ({"samples": np.zeros((0, 4, 17, 3))}, "expected 1 to num_samples = 5 samples, got 0"),
        (edited("samples", (0, 0, 0), 0.1), "expected samples with the pelvis, joint 0, at 0, got 0.1 m"),
        (edited("samples", (0, 0, 1), np.nan), "expected finite samples, got NaN or infinity"),
        ({"covariance": np.zeros((4, 17, 3))}, r"covariance of shape \(4, 17, 3, 3\), got"),
        ({"deterministic": "none"}, "deterministic as an array of numbers, got str"),
        (edited("deterministic", (1, 2, 0), 1e6), r"deterministic up to 100000, got values from -.* to 1e\+06"),
        ({"deterministic": standing(4).astype(complex)}, "as an array of numbers, got complex"),
        ({"flags": np.full((4, 17), 6)}, "expected flags up to 5, got values from 6 to 6"),
        ({"flags": np.full((4, 17), 0.5)}, "expected flags as integers, got fractions"),
        ({"frame_numbers": np.array([0, 2, 2, 3])}, "increasing frame_numbers, got no increase at frame 2"),
        ({"times_s": np.array([0, 1, 1, 2.0])}, "increasing times_s, got no increase at frame 2"),
        ({"times_s": np.zeros(3)}, r"times_s of shape \(4,\), got \(3,\)"),
        ({"fps": float("nan")}, "fps > 0, got nan"),
        (edited("root", (2, 2), -1), "in front of the camera, z > 0, got -1 m"),
        ({"root_covariance": np.ones((4, 3, 3)) * [1, 2, 3]}, "root_covariance to be symmetric"),
        ({"root_covariance": np.tile(-np.eye(3), (4, 1, 1))}, "semi-definite, got a variance of -1 m²"),
    ],
)  # fmt: skip
def test_invalid_fields_are_named(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        dataclasses.replace(make_prediction(), **changes)
    assert "\n" not in str(caught.value)


NAMES = H36M_17.names[1:]


def test_regions_contain_95_percent_of_a_gaussian():
    for level in (0.1, 0.5, LEVEL, 0.999):
        assert region_quantiles({}, level)[0] == pytest.approx(chi2.ppf(level, 3), rel=1e-12)
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 0.1, (4, 3, 3))
    semi_axes, directions = ellipsoids(mixing @ mixing.swapaxes(1, 2), chi2.ppf(LEVEL, 3))
    assert (np.diff(semi_axes) <= 0).all()
    assert np.abs(directions @ directions.swapaxes(1, 2) - np.eye(3)).max() < 1e-12
    draws = np.einsum("kij,kjn->kin", mixing, rng.normal(size=(4, 3, 100_000)))
    inside = ((directions @ draws / semi_axes[..., None]) ** 2).sum(1) < 1
    assert np.abs(inside.mean(1) - LEVEL).max() < 0.003
    assert not ellipsoids(np.zeros((17, 3, 3)), 1.0)[0].any()


def test_calibration_scales_regions_joint_by_joint():
    card = {"limits_95": {name: float(chi2.ppf(LEVEL, 3)) * (1 + j) for j, name in enumerate(NAMES)}}
    raw, directions = make_prediction(model={}).regions()
    calibrated, same = make_prediction(model=card).regions()
    assert np.array_equal(directions, same)
    assert np.allclose(calibrated, raw * np.sqrt([1, *range(1, 17)])[:, None])
    assert [is_calibrated(model) for model in ({}, {"limits_95": {}}, card)] == [False, False, True]
    half = region_quantiles(card, 0.5) / region_quantiles(card)
    assert np.allclose(half, chi2.ppf(0.5, 3) / chi2.ppf(LEVEL, 3))


@pytest.mark.parametrize(
    "stored",
    [
        {"head": 9.0},
        dict.fromkeys(NAMES, 0.0),
        dict.fromkeys(NAMES, float("inf")),
        dict.fromkeys((*NAMES, "nose"), 9.0),
        [9.0] * 16,
    ],
)
def test_invalid_quantiles_are_rejected(stored):
    with pytest.raises(ValueError, match="expected limits_95 > 0 of right_hip"):
        region_quantiles({"limits_95": stored})


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_invalid_levels_are_rejected(level):
    with pytest.raises(ValueError, match="expected a level between 0 and 1, got"):
        make_prediction().regions(level)


@pytest.mark.parametrize(
    ("card", "trained"),
    [
        ({}, False),
        ({"noise": None}, True),
        ({"noise": {"network": "learnt_htnet"}}, True),
        ({"noise": {"network": "avg_htnet"}}, False),
    ],
)
def test_samples_of_trained_models_have_regions_of_their_own(card, trained):
    assert is_trained(card) == trained
    assert np.allclose(region_quantiles(card), chi2.ppf(LEVEL, 3))
