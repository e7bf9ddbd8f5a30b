import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from prpose.postprocess import POINT_ESTIMATES, gaussian, geometric_median, mean, medoid, one_euro, reprojection_weights


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("estimate", POINT_ESTIMATES.values())
@pytest.mark.parametrize("shape", [(1,), (2, 70)])
def test_point_estimate_axioms(estimate, shape):
    """Any leading axes; of equal samples it is that pose; equivariant to order, translation and scale."""
    poses = normal(7, *shape, 17, 3)
    one = estimate(poses)
    assert one.shape == (*shape, 17, 3)
    assert torch.allclose(estimate(poses[:1].expand(5, *shape, 17, 3)), poses[0])
    assert torch.allclose(estimate(poses.flip(0)), one)
    assert torch.allclose(estimate(2 * poses + 3), 2 * one + 3, atol=1e-4)
    assert torch.allclose(torch.stack([estimate(poses[:, i]) for i in range(shape[0])]), one)


def test_medoid_is_the_sample_nearest_to_all():
    poses = normal(9, 4, 17, 3)
    chosen = medoid(poses)
    for t in range(4):
        total = [sum(float((poses[a, t] - poses[b, t]).norm(dim=-1).mean()) for b in range(9)) for a in range(9)]
        assert torch.equal(chosen[t], poses[int(np.argmin(total)), t])


def test_geometric_median_matches_scipy_and_is_robust_to_an_outlier():
    poses = normal(9, 1, 2, 3)
    found = geometric_median(poses, iterations=200)
    for j in range(2):
        points = poses[:, 0, j].numpy()
        best = minimize(lambda x, p=points: np.linalg.norm(p - x, axis=-1).sum(), points.mean(0))
        assert np.allclose(found[0, j].numpy(), best.x, atol=1e-3)
    far = poses.clone()
    far[0] += 100
    assert (geometric_median(far) - geometric_median(poses)).norm() < 2
    assert (mean(far) - mean(poses)).norm() > 20


def test_weighted_mean():
    poses = normal(3, 5, 17, 3)
    weights = torch.zeros(3, 5, dtype=torch.float64)
    weights[1] = 2.0
    assert torch.allclose(mean(poses, weights), poses[1])
    assert torch.allclose(mean(poses, 0 * weights), mean(poses))
    errors = torch.tensor([[1.0], [1.0], [2.0], [0.0]])
    found = reprojection_weights(errors)[:, 0]
    assert found.tolist() == pytest.approx([0.6065, 0.6065, 0.1353, 1.0], abs=1e-4)


def test_gaussian_matches_explicit_convolution():
    poses = normal(50, 17, 3)
    weights = np.exp(-((np.arange(-9, 10) / 3) ** 2) / 2)
    padded = np.pad(poses.numpy(), ((9, 9), (0, 0), (0, 0)), mode="edge")
    expected = np.stack([(padded[t : t + 19] * (weights / weights.sum())[:, None, None]).sum(0) for t in range(50)])
    assert np.allclose(gaussian(poses, 60.0, 0.05).numpy(), expected)


def test_one_euro_matches_the_paper_step_by_step():
    x = [0.0, 0.1, 0.05, 0.3, 0.2]

    def alpha(cutoff, fps):
        return 1 / (1 + fps / (2 * math.pi * cutoff))

    out, speed = x[0], 0.0
    expected = [out]
    for value in x[1:]:
        speed += alpha(1.0, 30) * ((value - out) * 30 - speed)
        out += alpha(0.7 + 2.0 * abs(speed), 30) * (value - out)
        expected.append(out)
    poses = torch.tensor(x, dtype=torch.float64)[:, None, None].expand(-1, 2, 3)
    found = one_euro(poses, 30.0, 0.7, 2.0)
    assert np.allclose(found[:, 1, 2].numpy(), expected)
    noisy = normal(20, 17, 3)
    assert torch.equal(one_euro(noisy, 60.0)[:10], one_euro(noisy[:10], 60.0))  # causal
