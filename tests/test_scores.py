import pytest
import torch

from prpose import build_lifter, build_variance_net, metrics
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.training import Recipe, State
from prpose.training.run import train
from prpose.training.scores import lifter_scores, variance_scores
from prpose.training.weak_supervision import (
    WIDTH,
    Typical,
    made_on_the_way,
    published_target,
    response,
    response_target,
    targets_of,
    typical_of,
)
from tests.golden_numbers import network, sampler


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("walkers", ".", "val"), every=40)


def test_lifter_scores_are_those_of_the_single_hypothesis(windows):
    net = network("mgcn_lw", fitted=True)
    scores = lifter_scores(net, windows, torch.device("cpu"), batch_size=50)
    batch = windows[torch.arange(len(windows))]
    with torch.no_grad():
        poses = sampler("mgcn_lw").deterministic(batch.keypoints)
    assert scores["val_P1"] == pytest.approx(float(metrics.mpjpe(poses, batch.target).mean()) * 1000, rel=1e-5)
    assert scores["val_P2"] == pytest.approx(float(metrics.p_mpjpe(poses, batch.target).mean()) * 1000, rel=1e-4)


def test_a_net_that_knows_the_error_scores_best(windows):
    lifter = network("mgcn_lw", fitted=True)
    typical = typical_of(lifter, windows, seed=0)
    cpu = torch.device("cpu")
    wanted = targets_of(published_target(lifter, typical), windows, cpu)
    truth = list(wanted.split(100))

    class Oracle(torch.nn.Module):
        def forward(self, keypoints):
            return truth.pop(0)

    scores = variance_scores(Oracle(), wanted, windows, cpu, batch_size=100)
    assert scores["val_mse"] == pytest.approx(0, abs=1e-9)
    assert scores["val_negative_rank"] == pytest.approx(-1, abs=1e-3)

    class Blind(torch.nn.Module):
        def forward(self, keypoints):
            return torch.rand(*keypoints.shape[:-1], 1, generator=torch.Generator().manual_seed(len(keypoints)))

    blind = variance_scores(Blind(), wanted, windows, cpu)
    assert blind["val_mse"] > 0.1
    assert abs(blind["val_negative_rank"]) < 0.15


def test_a_net_that_has_diverged_is_not_the_best(windows, tmp_path):
    state = State(build_variance_net("mgcn_lw"), Recipe(1, 64))
    loss = made_on_the_way(lambda batch: torch.ones(len(batch.clip), 1, 17, 1))
    with pytest.raises(ValueError, match=r"the validation scores of epoch 1 are .*nan"):
        train(tmp_path, state, windows, loss, lambda net: {"val_mse": float("nan")})
    assert not (tmp_path / "best.safetensors").exists()


def test_targets_made_on_the_way_are_the_lifters_relative_errors(windows):
    lifter = build_lifter("mgcn_lw").eval()
    batch = windows[torch.arange(8)]

    class Zero(torch.nn.Module):
        def forward(self, keypoints):
            return torch.zeros(*keypoints.shape[:-1], 1)

    target = published_target(lifter, Typical(torch.full((17,), 0.5), 1.0))
    loss = made_on_the_way(target)(Zero(), torch.arange(8), batch)
    with torch.no_grad():
        error = metrics.joint_errors(lifter(batch.keypoints), batch.target)
    assert float(loss) == pytest.approx(float((error / 0.5).square().mean()), rel=1e-5)


def test_what_is_typical_is_the_mean_over_all_windows(windows):
    lifter = network("mgcn_lw", fitted=True)
    typical = typical_of(lifter, windows, seed=0, batch_size=100)
    batch = windows[torch.arange(len(windows))]
    with torch.no_grad():
        error = metrics.joint_errors(lifter(batch.keypoints), batch.target)
    assert torch.allclose(typical.error_m, error[:, 0].double().mean(0))
    assert typical.mean_error_m == pytest.approx(float(error.mean()), rel=1e-6)
    moved = response(lifter, batch.keypoints, torch.Generator().manual_seed(1), draws=4)
    assert typical.response_m == pytest.approx(float(moved.mean()), rel=0.05)


class Linear(torch.nn.Module):
    """Twice as far in the left half of the image; its errors are its depths."""

    def forward(self, keypoints):
        scale = torch.where(keypoints[..., :1, :1] < 0, 2.0, 1.0)
        flat = scale * keypoints
        return torch.cat([flat, torch.zeros_like(flat[..., :1])], dim=-1)


def test_the_response_of_a_linear_lifter_is_its_slope():
    keypoints = torch.rand(64, 1, 17, 2) * 0.4
    keypoints[:32] -= 0.9  # far from the edge, whatever the noise
    keypoints[32:] += 0.5
    moved = response(Linear(), keypoints, torch.Generator().manual_seed(0), draws=500)
    assert moved.shape == (64, 1)
    expected = WIDTH * 2**0.5  # two coordinates move, and are equally noisy
    assert moved[:32].numpy() == pytest.approx(2 * expected, rel=0.05)
    assert moved[32:].numpy() == pytest.approx(expected, rel=0.05)


def test_the_response_target_is_the_error_that_equal_noise_lacks(windows):
    """Errors in proportion to joint and response are 1 everywhere."""
    batch = windows[torch.arange(40)]
    generator = torch.Generator().manual_seed(0)
    lifter = network("mgcn_lw", fitted=True)
    typical = typical_of(lifter, windows, seed=0)
    found = response_target(lifter, typical, generator)(batch)
    assert found.shape == (40, 1, 17, 1)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.35)
    with torch.no_grad():
        error = metrics.joint_errors(lifter(batch.keypoints), batch.target)
    moved = response(lifter, batch.keypoints, torch.Generator().manual_seed(0))
    expected = error / typical.error_m.float() / (moved / typical.response_m)[..., None]
    assert torch.allclose(found[..., 0], expected, rtol=1e-4)
    twice = response_target(lifter, Typical(2 * typical.error_m, 3 * typical.response_m))(batch)
    assert float(twice.median() / found.median()) == pytest.approx(1.5, rel=0.1)
