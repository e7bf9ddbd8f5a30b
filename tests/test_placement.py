import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from prpose.data import load_clips
from prpose.placement import NEAREST_M, place, placement_covariance, reprojection_errors


@pytest.fixture(scope="module")
def people():
    """Prediction, roots and true points on the image plane of people before calibrated cameras."""
    clips = load_clips("walkers", ".", "test", actions=("wave", "walk", "sit"), stride=40)
    points = torch.from_numpy(np.concatenate([clip.poses_cam for clip in clips])).double()
    return points - points[:, :1], points[:, 0], points[..., :2] / points[..., 2:]


def test_a_perfect_pose_is_put_where_it_is(people):
    poses, roots, plane = people
    assert (place(poses, plane) - roots).norm(dim=-1).max() < 1e-6
    assert reprojection_errors(poses, plane, roots).max() < 1e-12


def test_noisy_keypoints_as_scipy_does(people):
    poses, _, plane = people
    rng = np.random.default_rng(0)
    noisy = plane + torch.from_numpy(rng.normal(0, 0.01, plane.shape))
    weights = torch.from_numpy(rng.uniform(0.1, 1, plane.shape[:2]))
    found = place(poses, noisy, weights)
    for i in range(0, len(poses), 7):

        def off(root, i=i):
            points = poses[i].numpy() + root
            residual = points[:, :2] / points[:, 2:] - noisy[i].numpy()
            return (residual * np.sqrt(weights[i].numpy())[:, None]).ravel()

        best = least_squares(off, [0.0, 0.0, 5.0], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert np.allclose(found[i].numpy(), best.x, atol=1e-5)


def test_a_joint_without_weight_does_not_matter(people):
    poses, roots, plane = people
    wrong, weights = plane.clone(), torch.ones(plane.shape[:2], dtype=torch.float64)
    wrong[:, 3] += 5
    weights[:, 3] = 0
    assert (place(poses, wrong, weights) - roots).norm(dim=-1).max() < 1e-6
    assert (place(poses, wrong) - roots).norm(dim=-1).min() > 0.1


def test_axioms(people):
    """Hypotheses and frames are independent; a mirror image is put at the mirror image's place."""
    poses, _, plane = people
    noisy = plane + 0.01 * torch.randn(plane.shape, generator=torch.Generator().manual_seed(0))
    whole = place(torch.stack([poses, 1.1 * poses]), noisy)
    assert whole.shape == (2, len(poses), 3)
    assert torch.allclose(whole[1, 2:3], place(1.1 * poses[2:3], noisy[2:3]))
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(place(poses * flip, noisy * flip[:2]), whole[0] * flip)
    assert torch.allclose(place(2 * poses, noisy), 2 * whole[0], atol=1e-5)  # twice as large, far


def test_the_covariance_is_that_of_many_draws(people):
    poses, roots, plane = (each[:1] for each in people)
    sigma = 0.002
    noise = torch.randn(4000, *plane.shape, generator=torch.Generator().manual_seed(0)) * sigma
    found = place(poses.expand(4000, *poses.shape), plane + noise)[:, 0]
    expected = placement_covariance(poses, roots, sigma)[0]
    drawn = torch.cov((found - roots[0]).T)
    assert torch.allclose(drawn, expected, rtol=0.15, atol=float(expected.diagonal().min()) * 0.1)


def test_people_stay_before_the_camera(people):
    poses, _, plane = people
    roots = place(poses, -plane * 40)  # nonsense
    assert roots.isfinite().all()
    assert (poses[..., 2] + roots[:, None, 2]).min() >= NEAREST_M - 1e-9
    assert place(torch.zeros(1, 17, 3), torch.zeros(1, 17, 2)).isfinite().all()
