import numpy as np
import pytest
import torch

from prpose.metrics import LEVELS, covariance, covered, energy_score, mahalanobis


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
@pytest.mark.parametrize("S", [1, 2, 7, 12])
def test_energy_score_against_a_loop(shape, S):
    poses, target = draws(S, *shape, 5, 3), draws(*shape, 5, 3, seed=1)
    ours = energy_score(poses, target)
    assert ours.shape == shape
    flat, truth = poses.reshape(S, -1, 15).numpy(), target.reshape(-1, 15).numpy()
    for n in range(flat.shape[1]):
        near = np.mean([np.linalg.norm(flat[s, n] - truth[n]) for s in range(S)])
        among = np.mean([np.linalg.norm(flat[a, n] - flat[b, n]) for a in range(S) for b in range(S)])
        assert float(ours.flatten()[n]) == pytest.approx(near - among / 2)


def test_covariance_is_numpys():
    poses = draws(6, 2, 5, 3)
    by_numpy = np.cov(poses[:, 1, 4].numpy(), rowvar=False)
    assert np.allclose(covariance(poses)[1, 4], by_numpy)
    assert covariance(poses).shape == (2, 5, 3, 3)


def test_energy_score_is_proper():
    """The ground truth has spread 1; samples of that spread score best."""
    truth = draws(1000, 2, 3, seed=3)
    scores = {}
    for width in (0.5, 0.8, 1.0, 1.25, 2.0):
        scores[width] = float(energy_score(width * draws(60, 1000, 2, 3, seed=4), truth).mean())
    assert min(scores, key=scores.get) == 1.0


def test_small_distances_survive_in_float32():
    poses = 1 + 1e-4 * draws(20, 3, 17, 3).float()
    exact = energy_score(poses.double(), poses[0].double())
    assert (energy_score(poses, poses[0]) - exact).abs().max() < 1e-6


def test_coverage_of_calibrated_samples_is_the_level():
    truth, poses = draws(4000, 3, 3, seed=1), draws(60, 4000, 3, 3, seed=2)
    for width, check in [
        (1.0, lambda w, q: abs(w - q) < 0.03),
        (0.3, lambda w, q: w < q or q in (0, 1)),
        (3.0, lambda w, q: w > q - 1e-9 or q in (0, 1)),
    ]:
        share = covered(width * poses, truth).double().mean((0, 1))
        for q, w in zip(LEVELS[1:-1], share[1:-1].tolist(), strict=True):
            assert check(w, q), (width, q, w)


@pytest.mark.parametrize("S", [3, 4])
def test_covered_against_a_loop(S):
    poses, target = draws(S, 6, 2, 3), draws(6, 2, 3, seed=1)
    ours = covered(poses, target)
    assert ours.shape == (6, 2, 21)
    for n in range(6):
        for j in range(2):
            points = poses[:, n, j].numpy()
            median = np.sort(points, axis=0)[(S - 1) // 2]  # the lower one for even S
            e = np.linalg.norm(points - median, axis=-1)
            t = np.linalg.norm(target[n, j].numpy() - median)
            expected = [np.quantile(e, q) > t for q in LEVELS]
            assert ours[n, j].tolist() == expected


def test_mahalanobis_against_numpy_and_chi_square():
    poses, truth, centre = draws(9, 6, 2, 3), draws(6, 2, 3, seed=1), draws(6, 2, 3, seed=2)
    ours = mahalanobis(poses, truth, centre)
    for n in range(6):
        for j in range(2):
            off = (truth - centre)[n, j].numpy()
            expected = off @ np.linalg.inv(np.cov(poses[:, n, j].numpy().T)) @ off
            assert ours[n, j] == pytest.approx(expected, rel=1e-4)
    many, truth = draws(500, 2000, 1, 3, seed=3), draws(2000, 1, 3, seed=4)
    inside = mahalanobis(many, truth, torch.zeros(2000, 1, 3)) < 7.8147
    assert inside.double().mean() == pytest.approx(0.95, abs=0.015)
    copies = torch.ones(5, 3, 17, 3)
    assert mahalanobis(copies, copies[0], copies[0]).abs().max() == 0
    assert mahalanobis(copies, copies[0] + 0.01, copies[0]).isfinite().all()
    with pytest.raises(ValueError, match="expected S >= 4 samples for a covariance, got 3"):
        mahalanobis(poses[:3], poses[0], poses[0])


def test_other_shapes_raise():
    for function in (energy_score, covered):
        for shape in [(4, 16, 3), (17, 3), (5, 17, 3)]:
            with pytest.raises(ValueError, match=r"expected samples \(S, \*, J, 3\)"):
                function(draws(50, 4, 17, 3), torch.zeros(shape))
