"""95 % regions hold 95 %: of a Gaussian by chi-square, of anything by calibration."""

import numpy as np
import pytest
import torch

from prpose.evaluation import limits_95
from prpose.regions import CHI_SQUARE, LEVEL, confidence_regions, limits_of, regions_of
from prpose.skeleton import H36M_17

NAMES = H36M_17.names[1:]


def test_regions_hold_95_percent_of_a_gaussian():
    chi2 = pytest.importorskip("scipy.stats").chi2
    assert pytest.approx(chi2.ppf(LEVEL, 3)) == CHI_SQUARE
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 0.1, (4, 3, 3))
    covariance = mixing @ mixing.swapaxes(1, 2)
    semi_axes, directions = confidence_regions(covariance)
    assert (np.diff(semi_axes) <= 0).all()
    assert np.abs(directions @ directions.swapaxes(1, 2) - np.eye(3)).max() < 1e-12
    draws = np.einsum("kij,kjn->kin", mixing, rng.normal(size=(4, 3, 100_000)))
    inside = ((directions @ draws / semi_axes[..., None]) ** 2).sum(1) < 1
    assert np.abs(inside.mean(1) - LEVEL).max() < 0.003
    flat, _ = confidence_regions(np.zeros((17, 3, 3)))
    assert not flat.any()


def test_limits_stretch_regions_joint_by_joint():
    covariance = np.broadcast_to(np.diag([1e-4, 9e-4, 4e-4]), (5, 17, 3, 3))
    said = {name: CHI_SQUARE * (1 + j) for j, name in enumerate(NAMES)}
    raw, directions = regions_of(covariance, {})
    calibrated, same = regions_of(covariance, {"limits_95": said})
    assert np.array_equal(directions, same)
    stretch = np.sqrt([1, *range(1, 17)])
    assert np.allclose(calibrated, raw * stretch[:, None])


def test_calibrated_regions_hold_95_percent_of_whatever_it_is():
    rng = torch.Generator().manual_seed(0)
    seen, new = torch.rand(2, 20_000, 16, generator=rng).square().mul(50).exp()
    limits = torch.tensor([*limits_95(seen).values()])
    assert ((new <= limits).double().mean(0) - LEVEL).abs().max() < 0.01
    assert [*limits_95(seen)] == [*NAMES]


def test_the_rank_is_that_of_split_conformal_prediction():
    """19 frames: the largest. 39: the second largest; another one is above with 1 in 20."""
    for N, expected in ((5, 4), (19, 18), (39, 37), (99, 94)):
        distances = torch.arange(N).double()[torch.randperm(N)][:, None].expand(N, 16)
        assert set(limits_95(distances).values()) == {expected}


@pytest.mark.parametrize(
    "said",
    [
        {"head": 9.0},
        dict.fromkeys(NAMES, 0.0),
        dict.fromkeys(NAMES, "9"),
        dict.fromkeys(NAMES, float("inf")),
        dict.fromkeys(NAMES, True),
        dict.fromkeys((*NAMES, "nose"), 9.0),
        [9.0] * 16,
    ],
)
def test_limits_that_are_none_are_refused(said):
    with pytest.raises(ValueError, match="expected limits_95 > 0 of right_hip"):
        limits_of({"limits_95": said})


def test_a_model_without_limits_has_none():
    assert limits_of({}) is None
    assert limits_of({"limits_95": {}}) is None
