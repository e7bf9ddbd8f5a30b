"""What a training learns from: data, targets of the variance net, validation scores."""

import pytest
import torch

from prpose import build_variance_net, metrics
from prpose.data import load_clips
from prpose.data.synthetic.random_views import RandomViews
from prpose.data.windows import Windows
from prpose.training import State, TrainConfig
from prpose.training.run import train, training_data
from prpose.training.weak_supervision import (
    RESPONSE_SIGMA,
    batch_targets,
    lifter_scores,
    noise_scores,
    response,
    target_of,
    typical_of,
)
from tests.golden_numbers import GOLDEN, network, sampler


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("walkers", ".", "val"), every=40)


def test_lifter_scores_are_those_of_the_deterministic_pose(windows):
    net = network("mgcn_lw", fitted=True)
    scores = lifter_scores(net, windows, torch.device("cpu"))
    batch = windows[torch.arange(len(windows))]
    with torch.no_grad():
        poses = sampler("mgcn_lw").deterministic(batch.keypoints)
    assert scores["val_P1"] == pytest.approx(float(metrics.mpjpe(poses, batch.target).mean()) * 1000, rel=1e-5)
    assert scores["val_P2"] == pytest.approx(float(metrics.p_mpjpe(poses, batch.target).mean()) * 1000, rel=1e-4)


def test_noise_scores_of_an_oracle_are_best(windows):
    lifter = network("mgcn_lw", fitted=True)
    typical = typical_of(lifter, windows, seed=0)
    cpu = torch.device("cpu")
    wanted = windows.values(target_of("published", lifter, typical))
    truth = list(wanted.split(512))

    class Oracle(torch.nn.Module):
        def forward(self, keypoints):
            return truth.pop(0)

    scores = noise_scores(Oracle(), wanted, windows, cpu)
    assert scores["val_mse"] == pytest.approx(0, abs=1e-9)
    assert scores["val_negative_rank"] == pytest.approx(-1, abs=1e-3)

    class Blind(torch.nn.Module):
        def forward(self, keypoints):
            return torch.rand(*keypoints.shape[:-1], 1, generator=torch.Generator().manual_seed(len(keypoints)))

    blind = noise_scores(Blind(), wanted, windows, cpu)
    assert blind["val_mse"] > 0.1
    assert abs(blind["val_negative_rank"]) < 0.15


def test_a_diverged_net_raises(windows, tmp_path):
    state = State(build_variance_net("mgcn_lw"), TrainConfig(epochs=1, batch_size=64))
    loss = batch_targets(lambda batch: torch.ones(len(batch.clip), 1, 17, 1))
    with pytest.raises(ValueError, match=r"the validation scores of epoch 1 are .*nan"):
        train(tmp_path, state, windows, loss, lambda net: {"val_mse": float("nan")})
    assert not (tmp_path / "best.safetensors").exists()


class Linear(torch.nn.Module):
    """Scale 2 in the left half of the image, 1 in the right half."""

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
    expected = RESPONSE_SIGMA * 2**0.5  # two coordinates move, and are equally noisy
    assert moved[:32].numpy() == pytest.approx(2 * expected, rel=0.05)
    assert moved[32:].numpy() == pytest.approx(expected, rel=0.05)


def test_response_targets_are_relative_to_joint_and_response(windows):
    batch = windows[torch.arange(40)]
    generator = torch.Generator().manual_seed(0)
    lifter = network("mgcn_lw", fitted=True)
    typical = typical_of(lifter, windows, seed=0)
    errors = windows.values(lambda batch: metrics.joint_errors(lifter(batch.keypoints), batch.target))
    assert torch.allclose(typical.error_m, errors[:, 0].double().mean(0))
    found = target_of("response", lifter, typical, generator)(batch)
    assert found.shape == (40, 1, 17, 1)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.35)
    with torch.no_grad():
        error = metrics.joint_errors(lifter(batch.keypoints), batch.target)
    moved = response(lifter, batch.keypoints, torch.Generator().manual_seed(0))
    expected = error / typical.error_m.float() / (moved / typical.response_m)[..., None]
    assert torch.allclose(found[..., 0], expected, rtol=1e-4)
    published = target_of("published", lifter, typical)(batch)
    assert torch.allclose(published[..., 0], error / typical.mean_error_m)


H36M = ("h36m", GOLDEN / "data", "cpn_ft_h36m_dbb", torch.nn.Identity())


def subjects(windows):
    return {clip.subject for clip in windows.clips}


def test_motion_capture_is_rendered_anew_and_has_a_validation_split(tmp_path):
    views, val = training_data("walkers", tmp_path, "det", torch.nn.Identity(), TrainConfig(every=10), 6)
    assert isinstance(views, RandomViews)
    assert subjects(val) == {"W13", "W14"}
    with pytest.raises(ValueError, match="expected no held_out subjects, got W13: walkers has a validation split"):
        training_data("walkers", tmp_path, "det", torch.nn.Identity(), TrainConfig(held_out=("W13",)))


def test_training_subjects_are_held_out_of_recorded_data():
    train, val = training_data(*H36M, TrainConfig(every=2), 3)
    assert isinstance(train, Windows)
    assert (subjects(train), subjects(val)) == ({"S1", "S5", "S6", "S7"}, {"S8"})
    assert train.is_mirrored.double().mean() == 0.5
    assert not val.is_mirrored.any()
    assert len(val) == 4 * sum(-(-frames // 3) for frames in (20, 26, 30))
    train, val = training_data(*H36M, TrainConfig(held_out=("S1", "S6")))
    assert (subjects(train), subjects(val)) == ({"S5", "S7", "S8"}, {"S1", "S6"})
    with pytest.raises(ValueError, match="expected no balance, wide_bodies: h36m has recorded 2D"):
        training_data(*H36M, TrainConfig(wide_bodies=0.3, balance=0.5))


@pytest.mark.parametrize("held_out", [["S9"], ["S1", "S5", "S6", "S7", "S8"]])
def test_test_subjects_and_all_subjects_cannot_be_held_out(held_out):
    with pytest.raises(ValueError, match="expected some but not all of S1, S5, S6, S7, S8 in held_out"):
        training_data(*H36M, TrainConfig(held_out=tuple(held_out)))
