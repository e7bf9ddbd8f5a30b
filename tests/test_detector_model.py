"""The simulated detector follows its parameters, and adds nothing when they are zero."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import spearmanr

from prpose.data.synthetic.detector_noise import COCO_SIGMA, WHOLE_LIMBS, DetectorNoise, ar1_noise, person_size
from prpose.skeleton import H36M_17

PERFECT = DetectorNoise(jitter=0, tail=0, inversion=0, grab=0, grab_hidden=0)
SIGMA = np.array([COCO_SIGMA[name] for name in H36M_17.names])


def person(T=1, spread=1.0):
    """A figure 400 px high; ``spread`` draws left and right apart."""
    rng = np.random.default_rng(0)
    x = rng.uniform(20, 60, 17) * spread
    x[[1, 2, 3, 14, 15, 16]] *= -1
    x[[0, 7, 8, 9, 10]] = 0
    points = np.stack([500 + x, np.linspace(300, 700, 17)], axis=-1)
    points[[4, 5, 6], 1], points[[11, 12, 13], 1] = points[[1, 2, 3], 1], points[[14, 15, 16], 1]
    return np.tile(points, (T, 1, 1))


def none_hidden(points):
    return np.zeros(points.shape[:-1], bool)


def test_a_perfect_detector_finds_the_truth():
    points = person(50)
    found, confidence = PERFECT.detect(points, none_hidden(points), 60, np.random.default_rng(0))
    assert np.array_equal(found, points)
    assert ((confidence > 0) & (confidence < 1)).all()


def test_jitter_scales_with_joint_and_size():
    points = person(20_000)
    model = replace(PERFECT, jitter=0.3, jitter_s=0.0)
    found, _ = model.detect(points, none_hidden(points), 60, np.random.default_rng(0))
    spread = (found - points).std(axis=0)
    expected = 0.3 * SIGMA * person_size(points[0])
    assert np.abs(spread / expected[:, None] - 1).max() < 0.02
    twice, _ = model.detect(2 * points, none_hidden(points), 60, np.random.default_rng(0))
    assert np.allclose(twice - 2 * points, 2 * (found - points))


def test_hidden_joints_err_more_and_tails_are_heavy():
    points, model = person(40_000), replace(PERFECT, jitter=0.3, jitter_s=0.0, hidden=2.5)
    hidden = none_hidden(points)
    hidden[:, ::2] = True
    found, _ = model.detect(points, hidden, 60, np.random.default_rng(0))
    scaled = (found - points)[..., 0] / (0.3 * SIGMA * person_size(points)[:, None])
    assert scaled[hidden].std() / scaled[~hidden].std() == pytest.approx(2.5, rel=0.02)
    tailed, _ = replace(model, tail=0.5, event_s=0.0).detect(points, hidden * False, 60, np.random.default_rng(0))
    heavy = (tailed - points)[..., 0] / (0.3 * SIGMA * person_size(points)[:, None])
    assert heavy.std() == pytest.approx(1, rel=0.05)  # as wide on the whole ...
    kurtosis = (heavy**4).mean() / (heavy**2).mean() ** 2
    assert kurtosis == pytest.approx(3 * np.exp(4 * 0.5**2), rel=0.25)  # ... a Gaussian's is 3


def test_inversions_exchange_whole_limbs_where_they_overlap():
    rng = np.random.default_rng(0)
    for spread, expected in [(0.0, 0.2), (20.0, 0.0)]:
        points = person(40_000, spread)
        points[..., 0] += np.arange(17) * 1e-6  # left and right at one place, and still told apart
        model = replace(PERFECT, inversion=0.2, event_s=0.0)
        found, _ = model.detect(points, none_hidden(points), 60, rng)
        for limb in WHOLE_LIMBS:
            left, right = (H36M_17.subset([f"{s}_{j}" for j in limb]) for s in ("left", "right"))
            swapped = (found[:, left] == points[:, right]).all(axis=(1, 2))
            unchanged = (found[:, left] == points[:, left]).all(axis=(1, 2))
            assert (swapped | unchanged).all()
            assert swapped.mean() == pytest.approx(expected, abs=0.02)
    others = H36M_17.subset(("pelvis", "spine", "thorax", "neck", "head"))
    assert np.array_equal(found[:, others], points[:, others])


def test_grabs_take_single_joints_to_their_opposite():
    points = person(40_000)
    hidden = none_hidden(points)
    hidden[:, 3] = True
    model = replace(PERFECT, grab=0.05, grab_hidden=0.3, event_s=0.0)
    found, confidence = model.detect(points, hidden, 60, np.random.default_rng(0))
    moved = (found != points).any(axis=-1)
    assert moved[:, 3].mean() == pytest.approx(0.3, abs=0.02)
    assert moved[:, 13].mean() == pytest.approx(0.05, abs=0.01)
    assert not moved[:, [0, 7, 8, 9, 10]].any()
    mirror = points[:, H36M_17.mirror]
    assert np.array_equal(found[moved], mirror[moved])
    assert confidence[moved].mean() < confidence[~moved].mean()


def test_confidence_falls_with_the_error():
    points = person(3000, spread=3)
    rng = np.random.default_rng(0)
    hidden = rng.random((3000, 17)) < 0.15
    found, confidence = DetectorNoise().detect(points, hidden, 60, rng)
    error = np.linalg.norm(found - points, axis=-1) / (SIGMA * person_size(points)[:, None])
    rank, _ = spearmanr(error.ravel(), confidence.ravel())
    assert -0.7 < rank < -0.35
    assert confidence[hidden].mean() < confidence[~hidden].mean() - 0.1


def test_errors_are_correlated_in_time():
    noise = ar1_noise(np.random.default_rng(0), (400, 500, 1), 60, 0.1)[..., 0]
    assert noise.std() == pytest.approx(1, abs=0.01)
    for lag in (1, 6, 12):
        correlation = (noise[:, lag:] * noise[:, :-lag]).mean()
        assert correlation == pytest.approx(np.exp(-lag / 6), abs=0.02)
    events = ndtr(noise) < 0.1
    assert events.mean() == pytest.approx(0.1, abs=0.01)
    after = (events[:, 1:] & events[:, :-1]).mean() / events[:, :-1].mean()
    assert after > 0.5


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 4)])
def test_shapes_and_seeds(shape):
    points = np.broadcast_to(person()[0], (*shape, 17, 2))
    hidden = none_hidden(points)
    runs = [DetectorNoise().detect(points, hidden, 60, np.random.default_rng(s)) for s in (1, 1, 2)]
    for found, confidence in runs:
        assert found.shape == points.shape
        assert confidence.shape == points.shape[:-1]
        assert np.isfinite(found).all()
    assert np.array_equal(runs[0][0], runs[1][0])
    assert not np.array_equal(runs[0][0], runs[2][0])
    assert np.array_equal(points, np.broadcast_to(person()[0], points.shape))  # not written to


def test_a_person_of_no_size_has_finite_keypoints():
    with np.errstate(all="raise"):
        found, confidence = DetectorNoise().detect(
            np.full((5, 17, 2), 300.0), np.zeros((5, 17), bool), 60, np.random.default_rng(0)
        )
    np.testing.assert_allclose(found, 300, atol=1e-4)
    assert np.isfinite(confidence).all()
