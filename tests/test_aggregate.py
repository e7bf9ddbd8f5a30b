import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from prpose.postprocess import (
    POINT_ESTIMATES,
    aggregate,
    geometric_median,
    mean,
    medoid,
    reprojection_weights,
)


def cloud(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", POINT_ESTIMATES)
@pytest.mark.parametrize("shape", [(1,), (2, 70)])
def test_axioms(kind, shape):
    """Any leading axes; equal hypotheses are kept; order, place and size do not matter."""
    poses = cloud(7, *shape, 17, 3)
    one = aggregate(poses, kind)
    assert one.shape == (*shape, 17, 3)
    same = poses[:1].expand(5, *shape, 17, 3)
    assert torch.allclose(aggregate(same, kind), poses[0])
    assert torch.allclose(aggregate(poses.flip(0), kind), one)
    assert torch.allclose(aggregate(2 * poses + 3, kind), 2 * one + 3, atol=1e-4)
    each = torch.stack([aggregate(poses[:, i], kind) for i in range(shape[0])])
    assert torch.allclose(each, one)


def test_the_medoid_is_one_of_them_and_nearest_to_all():
    poses = cloud(9, 4, 17, 3)
    chosen = medoid(poses)
    for t in range(4):
        total = [sum(float((poses[a, t] - poses[b, t]).norm(dim=-1).mean()) for b in range(9)) for a in range(9)]
        assert torch.equal(chosen[t], poses[int(np.argmin(total)), t])


def test_the_geometric_median_is_scipys_minimum_and_ignores_an_outlier():
    poses = cloud(9, 1, 2, 3)
    found = geometric_median(poses, iterations=200)
    for j in range(2):
        points = poses[:, 0, j].numpy()
        best = minimize(lambda x, p=points: np.linalg.norm(p - x, axis=-1).sum(), points.mean(0))
        assert np.allclose(found[0, j].numpy(), best.x, atol=1e-3)
    far = poses.clone()
    far[0] += 100
    assert (geometric_median(far) - geometric_median(poses)).norm() < 2
    assert (mean(far) - mean(poses)).norm() > 20


def test_weights_choose():
    poses = cloud(3, 5, 17, 3)
    weights = torch.zeros(3, 5, dtype=torch.float64)
    weights[1] = 2.0
    assert torch.allclose(mean(poses, weights), poses[1])
    assert torch.allclose(mean(poses, 0 * weights), mean(poses))
    errors = torch.tensor([[1.0], [1.0], [2.0], [0.0]])
    found = reprojection_weights(errors)[:, 0]
    assert found.tolist() == pytest.approx([0.6065, 0.6065, 0.1353, 1.0], abs=1e-4)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="unknown aggregate 'median'; did you mean"):
        aggregate(cloud(2, 1, 17, 3), "median")
    with pytest.raises(ValueError, match="expected at least one hypothesis, got none"):
        aggregate(cloud(0, 1, 17, 3))
