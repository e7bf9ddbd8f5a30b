import pytest
import torch

from prpose import build_lifter, metrics
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.training.scores import lifter_scores, variance_scores
from prpose.training.variance import made_on_the_way, mean_error
from tests.golden_numbers import hypothesis_lifter, network


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("walkers", ".", "val"), every=40)


def test_lifter_scores_are_those_of_the_single_hypothesis(windows):
    net = network("mgcn_lw", fitted=True)
    scores = lifter_scores(net, windows, torch.device("cpu"), batch_size=50)
    batch = windows[torch.arange(len(windows))]
    with torch.no_grad():
        poses = hypothesis_lifter("mgcn_lw").single(batch.keypoints)
    assert scores["val_P1"] == pytest.approx(
        float(metrics.mpjpe(poses, batch.target).mean()) * 1000, rel=1e-5
    )
    assert scores["val_P2"] == pytest.approx(
        float(metrics.p_mpjpe(poses, batch.target).mean()) * 1000, rel=1e-4
    )


def test_a_net_that_knows_the_error_scores_best(windows):
    lifter = network("mgcn_lw", fitted=True)
    mean = mean_error(lifter, windows, seed=0)
    truth = {"sigma": []}
    for _, batch in windows.batches(100):
        with torch.no_grad():
            error = metrics.joint_errors(lifter(batch.keypoints), batch.target)[..., None] / mean
        truth["sigma"].append(error)

    class Oracle(torch.nn.Module):
        def forward(self, keypoints):
            return truth["sigma"].pop(0)

    scores = variance_scores(Oracle(), lifter, mean, windows, torch.device("cpu"), batch_size=100)
    assert scores["val_mse"] == pytest.approx(0, abs=1e-9)
    assert scores["val_negative_rank"] == pytest.approx(-1, abs=1e-3)

    class Blind(torch.nn.Module):
        def forward(self, keypoints):
            return torch.rand(
                *keypoints.shape[:-1], 1, generator=torch.Generator().manual_seed(len(keypoints))
            )

    blind = variance_scores(Blind(), lifter, mean, windows, torch.device("cpu"))
    assert blind["val_mse"] > 0.1
    assert abs(blind["val_negative_rank"]) < 0.15


def test_targets_made_on_the_way_are_the_lifters_relative_errors(windows):
    lifter = build_lifter("mgcn_lw").eval()
    batch = windows[torch.arange(8)]

    class Zero(torch.nn.Module):
        def forward(self, keypoints):
            return torch.zeros(*keypoints.shape[:-1], 1)

    loss = made_on_the_way(lifter, mean_error_m=0.5)(Zero(), torch.arange(8), batch)
    with torch.no_grad():
        error = metrics.joint_errors(lifter(batch.keypoints), batch.target)
    assert float(loss) == pytest.approx(float((error / 0.5).square().mean()), rel=1e-5)
