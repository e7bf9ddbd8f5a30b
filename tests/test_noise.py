import pytest
import torch

from prpose import AdaptiveNoise
from prpose.noise import confidence_sigma, draw_eps
from tests.golden_numbers import VARIANCE_OF, arrays, network


@pytest.mark.parametrize("lifter", VARIANCE_OF)
@pytest.mark.parametrize("alpha", [0.005, 0.01])
@torch.no_grad()
def test_sigma_parity(lifter, alpha, device):
    golden = arrays("pipeline/pipeline.npz")
    noise = AdaptiveNoise(network(VARIANCE_OF[lifter]), alpha).to(device)
    normal = noise(torch.from_numpy(golden["input_2D"]).to(device))
    expected = torch.from_numpy(golden[f"{lifter}/alpha{alpha}/sigma"])
    assert (normal.stddev[..., 0].cpu() - expected).abs().max() < 1e-7
    assert torch.equal(normal.stddev[..., 0], normal.stddev[..., 1])


@torch.no_grad()
def test_spread_of_many_draws_is_alpha_times_the_floored_sigma():
    class Ramp(torch.nn.Module):
        def forward(self, keypoints):
            return torch.linspace(0, 4, 17)[:, None].expand(*keypoints.shape[:-1], 1)

    normal = AdaptiveNoise(Ramp(), alpha=0.02)(torch.zeros(1, 1, 17, 2))
    eps = draw_eps(100_000, (1, 1, 17, 2), torch.Generator().manual_seed(0))
    spread = (normal.mean + normal.stddev * eps).std(0)[0, 0]
    expected = 0.02 * torch.linspace(0, 4, 17).clamp_min(1)[:, None]
    assert (spread / expected - 1).abs().max() < 0.02


def test_draws_of_a_smaller_s_are_the_first_of_a_larger():
    few = draw_eps(3, (2, 5), torch.Generator().manual_seed(7))
    many = draw_eps(9, (2, 5), torch.Generator().manual_seed(7))
    assert torch.equal(many[:3], few)


@pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
def test_bad_alpha_is_refused_by_name(alpha):
    with pytest.raises(ValueError, match="expected alpha to be a finite number >= 0"):
        AdaptiveNoise(torch.nn.Identity(), alpha)


def test_doubt_is_none_where_the_detector_is_sure_and_grows_with_size():
    keypoints = torch.rand(5, 17, 2)
    confidence = torch.rand(5, 17)
    confidence[:, 3] = 1
    found = confidence_sigma(keypoints, confidence, 0.1)
    assert found.shape == (5, 17)
    assert (found[:, 3] == 0).all()
    box = (keypoints.amax(1) - keypoints.amin(1)).prod(-1).sqrt()
    expected = 0.1 * box[2] * (1 / confidence[2, 4].clamp_min(0.02) - 1).sqrt()
    assert found[2, 4] == pytest.approx(float(expected))
    assert torch.allclose(doubt(3 * keypoints + 1, confidence, 0.1), 3 * found, rtol=1e-4)
    assert confidence_sigma(keypoints, 0 * confidence, 0.1).isfinite().all()
    assert (confidence_sigma(keypoints, confidence, 0.0) == 0).all()
    for bad, scale in ((confidence + 1, 0.1), (confidence * float("nan"), 0.1), (confidence, -1)):
        with pytest.raises(ValueError, match="expected"):
            confidence_sigma(keypoints, bad, scale)
