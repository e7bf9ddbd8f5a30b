import math

import numpy as np
import pytest
import torch

from prpose import AdaptiveNoise
from prpose.noise import correlated, draw_eps
from prpose.rng import NOISE_CORRELATIONS, confidence_sigma, noise_rho
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


def test_confidence_sigma_is_zero_at_confidence_1_and_grows_with_the_person():
    keypoints, confidence = np.random.default_rng(0).random((5, 17, 2)), np.random.default_rng(1).random((5, 17))
    confidence[:, 3] = 1
    found = confidence_sigma(keypoints, confidence, 0.1)
    assert found.shape == (5, 17)
    assert (found[:, 3] == 0).all()
    box = np.sqrt((keypoints.max(1) - keypoints.min(1)).prod(-1))
    expected = 0.1 * box[2] * (1 / max(confidence[2, 4], 0.02) - 1) ** 0.5
    assert found[2, 4] == pytest.approx(float(expected))
    assert np.allclose(confidence_sigma(3 * keypoints + 1, confidence, 0.1), 3 * found, rtol=1e-4)
    assert np.isfinite(confidence_sigma(keypoints, 0 * confidence, 0.1)).all()
    assert (confidence_sigma(keypoints, confidence, 0.0) == 0).all()
    for bad, scale in ((confidence + 1, 0.1), (confidence * float("nan"), 0.1), (confidence, -1)):
        with pytest.raises(ValueError, match="expected"):
            confidence_sigma(keypoints, bad, scale)


@pytest.mark.parametrize("kind", NOISE_CORRELATIONS)
def test_each_frame_stays_standard_normal_and_neighbours_correlate_by_rho(kind):
    rho = noise_rho(kind, fps=60, time_constant_s=0.1)
    eps = torch.randn(20_000, 12, 1, 2, generator=torch.Generator().manual_seed(0))
    noise = correlated(eps, rho)
    assert noise.shape == eps.shape
    assert noise.mean((0, 2, 3)).abs().max() < 0.03
    assert (noise.std((0, 2, 3)) - 1).abs().max() < 0.02
    for apart in (1, 5):
        product = (noise[:, apart:] * noise[:, :-apart]).mean()
        assert float(product) == pytest.approx(rho**apart, abs=0.01)


def test_the_kinds_are_the_ends_and_what_lies_between():
    eps = torch.randn(3, 2, 5, 17, 2)
    assert torch.equal(correlated(eps, noise_rho("iid")), eps)
    shared = correlated(eps, noise_rho("shared"))
    assert torch.equal(shared, eps[:, :, :1].expand_as(eps))
    assert noise_rho("ar1", fps=25, time_constant_s=0.5) == pytest.approx(math.exp(-1 / 12.5))


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"kind": "white"}, "unknown noise correlation 'white'"),
        ({"kind": "ar1", "fps": 0}, "expected fps > 0, got 0"),
        ({"kind": "ar1", "time_constant_s": float("nan")}, "expected time_constant_s > 0, got nan"),
    ],
)
def test_mistakes_are_named(kw, message):
    with pytest.raises(ValueError, match=message):
        noise_rho(**kw)
    with pytest.raises(ValueError, match=r"expected rho from 0 to 1, got 1\.5"):
        correlated(torch.zeros(1, 2, 1, 2), 1.5)
