import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation.baselines import awareness, equal_variance, fitted_isotropic
from prpose.noise import ConstantNoise
from prpose.sampler import Sampler
from tests.golden_numbers import sampler

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("walkers", ".", "val"), every=40)


def everything(windows):
    return windows[torch.arange(len(windows))]


def test_constant_noise_has_the_mean_variance(windows):
    net = sampler("mgcn_lw", alpha=0.02)
    constant = equal_variance(net.noise, windows, CPU)
    with torch.no_grad():
        adaptive = net.noise(everything(windows).keypoints).variance
    assert constant.sigma**2 == pytest.approx(float(adaptive.mean()), rel=1e-5)
    normal = constant(everything(windows).keypoints)
    assert torch.equal(normal.mean, everything(windows).keypoints)
    assert normal.stddev.unique().tolist() == pytest.approx([constant.sigma])
    poses = Sampler(net.lifter, constant).sample(everything(windows).keypoints[:3], 4, torch.Generator().manual_seed(0))
    assert poses.shape == (4, 3, 1, 17, 3)
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="sigma to be a finite number >= 0"):
            ConstantNoise(bad)


@torch.no_grad()
def test_the_isotropic_cloud_is_the_likeliest_of_its_kind(windows):
    net = sampler("mgcn_lw")
    cloud, batch = fitted_isotropic(net, windows, CPU), everything(windows)
    error = (net.deterministic(batch.keypoints) - batch.target)[..., 1:, :]

    def log_likelihood(width):
        return float(torch.distributions.Normal(0, width).log_prob(error).sum())

    best = log_likelihood(cloud.width_m)
    assert best > max(log_likelihood(cloud.width_m * factor) for factor in (0.9, 0.99, 1.01, 1.1))
    eps = torch.randn(2000, 3, 1, 17, 2, generator=torch.Generator().manual_seed(0))
    mirrored = torch.randn(2000, 3, 1, 17, 2, generator=torch.Generator().manual_seed(1))
    poses = cloud(batch.keypoints[:3], eps, mirrored)
    spread = poses.std(0)
    assert (spread[..., 1:, :] / cloud.width_m - 1).abs().max() < 0.08
    assert not poses[..., 0, :].any()
    assert (poses.mean(0) - cloud.deterministic(batch.keypoints[:3])).abs().max() < 0.1 * cloud.width_m


@torch.no_grad()
def test_awareness_is_scipys_correlation_where_it_can_be_known(windows):
    net = sampler("mgcn_lw")
    known, batch = awareness(net, windows, CPU), everything(windows)
    sigma = net.noise(batch.keypoints).stddev[:, 0, :, 0].numpy()
    error = (net.deterministic(batch.keypoints) - batch.target)[:, 0].norm(dim=-1).numpy()
    hidden = np.stack([windows.clips[c].hidden[f] for c, f in zip(batch.clip, batch.frame, strict=True)])
    assert set(known) == {"all", "seen", "hidden"}
    masks = {"all": hidden | True, "seen": ~hidden, "hidden": hidden}
    for name, mask in masks.items():
        for j in range(1, 17):
            inside = mask[:, j]
            if inside.sum() < 50:
                assert known[name][j] is None
            else:
                expected = spearmanr(sigma[inside, j], error[inside, j]).statistic
                # The floor makes ties, which SciPy averages.
                assert known[name][j] == pytest.approx(expected, abs=0.12)
