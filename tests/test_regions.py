"""95 % regions contain 95 %: of a Gaussian by chi-square, of other distributions by calibration."""

import numpy as np
import pytest
from scipy.stats import chi2

from prpose.regions import LEVEL, ellipsoids, is_calibrated, region_quantiles
from prpose.skeleton import H36M_17
from tests.prediction_files import make_prediction

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
