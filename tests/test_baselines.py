import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import baseline_samplers, sigma_rank_correlation
from tests.golden_numbers import sampler

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("walkers", ".", "val"), every=40)


def everything(windows):
    return windows[torch.arange(len(windows))]


@torch.no_grad()
def test_constant_noise_has_the_mean_variance_of_adaptive_noise(windows):
    net = sampler("mgcn_lw", alpha=0.02)
    _, constant, _ = baseline_samplers(net, windows, CPU).values()
    keypoints = everything(windows).keypoints
    assert constant.noise.sigma**2 == pytest.approx(float(net.noise(keypoints).variance.mean()), rel=1e-5)
    normal = constant.noise(keypoints)
    assert torch.equal(normal.mean, keypoints)
    assert normal.stddev.unique().tolist() == pytest.approx([constant.noise.sigma])
    assert constant.sample(keypoints[:3], 4, torch.Generator().manual_seed(0)).shape == (4, 3, 1, 17, 3)


@torch.no_grad()
def test_the_isotropic_gaussian_has_maximum_likelihood(windows):
    net, batch = sampler("mgcn_lw"), everything(windows)
    *_, cloud = baseline_samplers(net, windows, CPU).values()
    error = (net.deterministic(batch.keypoints) - batch.target)[..., 1:, :]

    def log_likelihood(width):
        return float(torch.distributions.Normal(0, width).log_prob(error).sum())

    best = log_likelihood(cloud.sigma_m)
    assert best > max(log_likelihood(cloud.sigma_m * factor) for factor in (0.9, 0.99, 1.01, 1.1))
    eps, mirrored = torch.randn(2, 2000, 3, 1, 17, 2, generator=torch.Generator().manual_seed(0))
    poses = cloud(batch.keypoints[:3], eps, mirrored)
    assert (poses.std(0)[..., 1:, :] / cloud.sigma_m - 1).abs().max() < 0.08
    assert not poses[..., 0, :].any()
    assert (poses.mean(0) - cloud.deterministic(batch.keypoints[:3])).abs().max() < 0.1 * cloud.sigma_m


@torch.no_grad()
def test_rank_correlation_of_sigma_and_error_is_scipys(windows):
    net = sampler("mgcn_lw")
    known, batch = sigma_rank_correlation(net, windows, CPU), everything(windows)
    sigma = net.noise(batch.keypoints).stddev[:, 0, :, 0].numpy()
    error = (net.deterministic(batch.keypoints) - batch.target)[:, 0].norm(dim=-1).numpy()
    hidden = np.stack([windows.clips[c].hidden[f] for c, f in zip(batch.clip, batch.frame, strict=True)])
    assert set(known) == {"all", "visible", "occluded"}
    masks = {"all": hidden | True, "visible": ~hidden, "occluded": hidden}
    for name, mask in masks.items():
        for j in range(1, 17):
            inside = mask[:, j]
            if inside.sum() < 50:
                assert known[name][j] is None
            else:
                expected = spearmanr(sigma[inside, j], error[inside, j]).statistic
                # The floor makes ties, which SciPy averages.
                assert known[name][j] == pytest.approx(expected, abs=0.12)


WALKERS = ["evaluate", "walkers", "--model", "mgcn-cmu17", "-n", "8", "--stride", "40"]


def evaluated(path, *argv):
    assert guarded(lambda: run([*WALKERS, *argv, "--json", str(path)])) == 0
    return json.loads(path.read_text())


def test_evaluate_prints_and_writes_the_baselines(tmp_path, capsys):
    report = evaluated(tmp_path / "out.json", "--baselines")
    printed = capsys.readouterr().out
    for word in ("adaptive", "constant", "3D Gaussian", "energy score", "ECE", "left_wrist", "occluded"):
        assert word in printed
    assert len(report["baselines"]) == 3
    for row in report["baselines"].values():
        values = row["values"]
        curve = [values[f"best_of_{S}"]["P1"] for S in (1, 5, 8)]
        assert curve == sorted(curve, reverse=True)
        assert curve[-1] == values["best"]["P1"]
        assert set(values["cloud"]) == {"ES", "spread", "ECE", "coverage_95"}
    assert len({row["values"]["deterministic"]["P1"] for row in report["baselines"].values()}) == 1  # one lifter
    assert len(report["rank_correlation"]["all"]) == 17
    assert guarded(lambda: run([*WALKERS, "--baselines", "-n", "1"])) == 1
    assert "expected --num-samples >= 2 with --baselines, got 1" in capsys.readouterr().err


def test_evaluate_widens_the_noise_of_low_confidences_as_predict_does(tmp_path):
    default, same, without = (
        evaluated(tmp_path / f"{n}.json", *argv)["average"]["values"]["cloud"]
        for n, argv in enumerate(([], ["--config.confidence-noise", "0.03"], ["--config.confidence-noise", "0"]))
    )
    assert default == same
    assert default["spread"] > 1.02 * without["spread"]
