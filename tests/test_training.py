"""Targets, schedule and steps of the variance net against golden/train."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.training import fit, published_rates
from prpose.training.variance import error_targets
from tests.golden_numbers import GOLDEN, VARIANCE_OF, arrays, network, table

SETTING = table("train/train.json")["models"]


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("h36m", GOLDEN / "data", "train"), mirrored=True)


def mean_loss(batches):
    return sum(items * loss for items, loss in batches) / sum(items for items, _ in batches)


@pytest.mark.parametrize("lifter", VARIANCE_OF)
def test_targets(lifter, windows):
    golden = arrays(f"train/{lifter}.npz")
    assert len(windows) == golden["n_items"]
    targets = error_targets(network(lifter, fitted=True), windows, 300)[:, 0, :, 0].numpy()
    assert np.abs(targets[:320] - golden["sigma_target_head"]).max() < 5e-5
    assert abs(targets.sum(dtype=np.float64) / golden["sigma_target_all_sum"] - 1) < 1e-5
    assert np.abs(targets.mean(0) - golden["sigma_target_joint_mean"]).max() < 5e-5
    assert targets.mean(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    keypoints = windows[torch.arange(320)].keypoints[:, 0].numpy()
    assert np.abs(keypoints - golden["input_2D_head"]).max() < 3e-6


@pytest.mark.parametrize(("lifter", "tolerance"), [("htnet", 5e-3), ("mgcn_lw", 1e-5)])
def test_steps_and_epochs(lifter, tolerance, windows):
    golden = arrays(f"train/{lifter}.npz")
    targets = error_targets(network(lifter, fitted=True), windows)
    net = network(VARIANCE_OF[lifter])
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # as in the reference, which cannot repeat random numbers
    steps, epochs = [], []
    fit(
        net,
        windows,
        targets,
        published_rates(2),
        batch_size=64,
        on_batch=lambda items, loss: steps.append(loss),
        on_epoch=lambda epoch, batches: epochs.append(mean_loss(batches)),
    )
    assert abs(steps[0] / golden["step_losses"][0] - 1) < 1e-5
    assert np.abs(np.array(steps[:5]) / golden["step_losses"] - 1).max() < tolerance
    expected = SETTING[lifter]["two_epoch_mean_loss"]
    assert np.abs(np.array(epochs) / expected - 1).max() < {"htnet": 1e-2, "mgcn_lw": 1e-4}[lifter]


def test_published_schedule():
    expected = SETTING["mgcn_lw"]["lr_per_epoch"]
    assert published_rates(len(expected)) == pytest.approx(expected)


def test_a_last_batch_of_one_is_left_out(windows):
    from prpose import build_variance_net

    few = Windows(windows.clips[:1])
    targets, seen = torch.ones(len(few), 1, 17, 1), []
    fit(
        build_variance_net("mgcn_lw"),
        few,
        targets,
        [1e-3],
        batch_size=len(few) - 1,
        on_batch=lambda items, loss: seen.append(items),
    )
    assert seen == [len(few) - 1]


def test_it_learns_64_poses_by_heart(windows):
    """With a target that depends on the pose: the loss falls well below the best constant."""
    from prpose import build_variance_net

    torch.manual_seed(0)
    few = Windows(windows.clips[:2])
    targets = error_targets(network("htnet", fitted=True), few)
    net, epochs = build_variance_net("htnet", hidden=64, blocks=1), []
    fit(net, few, targets, [3e-3] * 150, 64, torch.Generator().manual_seed(0),
        on_epoch=lambda epoch, batches: epochs.append(mean_loss(batches)))  # fmt: skip
    constant = float(targets.var(dim=0, unbiased=False).mean())
    assert epochs[-1] < 0.3 * constant
    assert math.isfinite(epochs[-1])


def test_targets_that_make_no_sense_are_refused(windows):
    few = Windows(windows.clips[:1])

    class Perfect(nn.Module):
        def forward(self, keypoints):
            return few.targets[:, None]

    with pytest.raises(ValueError, match=r"finite mean error > 0, got 0\.0 m"):
        error_targets(Perfect(), few)
    with pytest.raises(ValueError, match=f"expected {len(few)} targets, one per item, got 2"):
        fit(nn.Identity(), few, torch.ones(2, 1, 17, 1), [1e-3])
