"""Targets, schedule and steps of the variance net against golden/train."""

import copy
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from main import error_targets, fixed_targets
from prpose import build_lifter, build_variance_net
from prpose.config import config_from
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.metrics import mpjpe
from prpose.training import State, TrainConfig, fit, processes
from tests.golden_numbers import GOLDEN, VARIANCE_OF, InOrder, arrays, network, table

SETTING = table("train/train.json")["models"]


@pytest.fixture(scope="module")
def windows():
    return InOrder(load_clips("h36m", GOLDEN / "data", "train"), mirrored=True)


def plain(epochs, batch_size, lr=1e-3, **kw):
    """A constant learning rate, and nothing else."""
    kw = {"clip": None, "ema": None, "schedule": "published", "lr_decay": 1.0, "lr_decay_large": 1.0} | kw
    return TrainConfig(epochs=epochs, batch_size=batch_size, lr=lr, **kw)


PUBLISHED = {"lr": 5e-4, "lr_decay": 0.95, "lr_decay_large": 0.5}


def mean_loss(batches):
    return sum(items * loss for items, loss in batches) / sum(items for items, _ in batches)


@pytest.mark.parametrize("lifter", [pytest.param("htnet", marks=pytest.mark.slow), "mgcn_lw"])
def test_targets_match_the_golden_ones(lifter, windows):
    golden = arrays(f"train/{lifter}.npz")
    assert len(windows) == golden["n_items"]
    targets = error_targets(network(lifter, fitted=True), windows, 300)[:, 0, :, 0].numpy()
    assert np.abs(targets[:320] - golden["sigma_target_head"]).max() < 5e-5
    assert abs(targets.sum(dtype=np.float64) / golden["sigma_target_all_sum"] - 1) < 1e-5
    assert np.abs(targets.mean(0) - golden["sigma_target_joint_mean"]).max() < 5e-5
    assert targets.mean(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    keypoints = windows[torch.arange(320)].keypoints[:, 0].numpy()
    assert np.abs(keypoints - golden["input_2D_head"]).max() < 3e-6


@pytest.mark.parametrize(
    ("lifter", "tolerance"), [pytest.param("htnet", 5e-3, marks=pytest.mark.slow), ("mgcn_lw", 1e-5)]
)
def test_steps_and_epochs_match_the_golden_ones(lifter, tolerance, windows):
    golden = arrays(f"train/{lifter}.npz")
    targets = error_targets(network(lifter, fitted=True), windows)
    net = network(VARIANCE_OF[lifter])
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # as in the reference, which cannot repeat random numbers
    steps, epochs = [], []
    state, aim = State(net, plain(2, 64, **PUBLISHED)), fixed_targets(targets)
    fit(state, windows, aim, lambda items, loss: steps.append(loss), lambda batches: epochs.append(mean_loss(batches)))
    assert abs(steps[0] / golden["step_losses"][0] - 1) < 1e-5
    assert np.abs(np.array(steps[:5]) / golden["step_losses"] - 1).max() < tolerance
    expected = SETTING[lifter]["two_epoch_mean_loss"]
    assert np.abs(np.array(epochs) / expected - 1).max() < {"htnet": 1e-2, "mgcn_lw": 1e-4}[lifter]


def test_published_schedule_matches_the_golden_one():
    expected = SETTING["mgcn_lw"]["lr_per_epoch"]
    config = plain(len(expected), 64, **PUBLISHED)
    assert [config.rate(epoch, 0, 1) for epoch in range(len(expected))] == pytest.approx(expected)


def test_a_last_batch_of_one_is_left_out(windows):
    few = Windows(windows.clips[:1])
    targets, seen = torch.ones(len(few), 1, 17, 1), []
    state = State(build_variance_net("mgcn_lw"), plain(1, len(few) - 1))
    fit(state, few, fixed_targets(targets), lambda items, loss: seen.append(items))
    assert seen == [len(few) - 1]


@pytest.mark.slow
def test_a_net_overfits_64_poses(windows):
    torch.manual_seed(0)
    few = Windows(windows.clips[:2])
    targets = error_targets(network("htnet", fitted=True), few)
    net, epochs = build_variance_net("htnet", hidden=64, blocks=1), []
    state = State(net, plain(150, 64, 3e-3))
    fit(state, few, fixed_targets(targets), on_epoch=lambda batches: epochs.append(mean_loss(batches)))
    constant = float(targets.var(dim=0, unbiased=False).mean())
    assert epochs[-1] < 0.3 * constant
    assert math.isfinite(epochs[-1])


def test_targets_of_a_perfect_lifter_raise(windows):
    few = Windows(windows.clips[:1])

    class Perfect(nn.Module):
        def forward(self, keypoints):
            return few.targets[:, None]

    with pytest.raises(ValueError, match=r"finite mean error > 0, got 0\.0 m"):
        error_targets(Perfect(), few)


def small_net():
    torch.manual_seed(0)
    return build_lifter("mgcn_lw", hidden=16, blocks=1)


def p1_loss(net, indices, batch):
    return mpjpe(net(batch.keypoints), batch.target).mean()


@pytest.mark.parametrize("seed", [0, 7])
def test_resume_matches_uninterrupted_run(seed, windows):
    few = Windows(windows.clips[:3])
    config = TrainConfig(epochs=3, batch_size=32, lr=3e-3, ema=0.9, seed=seed)
    whole = State(small_net(), config)
    fit(whole, few, p1_loss)

    class Killed(Exception):
        pass

    saved = {}

    def save_and_die(items, loss):
        if part.epoch == 1 and part.batch == 2:
            saved.update(copy.deepcopy(part.state_dict()))
            raise Killed

    part = State(small_net(), config)
    with pytest.raises(Killed):
        fit(part, few, p1_loss, save_and_die)
    torch.manual_seed(99)
    rest = State(small_net(), config)
    rest.load_state_dict(saved)
    fit(rest, few, p1_loss)
    for one, other in ((whole.net, rest.net), (whole.result, rest.result)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    assert not torch.equal(whole.net.gconv_output.bias, whole.result.gconv_output.bias)  # the average is another net


def test_cosine_schedule_rises_and_falls_and_the_gradient_is_clipped(windows):
    config = TrainConfig(epochs=10, batch_size=32, lr=1.0, warmup=9)
    rates = [config.rate(step // 100, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, rel=1e-2)
    assert rates[-1] < 1e-4
    assert all(a >= b for a, b in itertools.pairwise(rates[20:]))
    few, net = Windows(windows.clips[:1]), small_net()
    before = [p.detach().clone() for p in net.parameters()]
    fit(State(net, plain(1, len(few), clip=1e-9)), few, p1_loss)
    norm = sum(float(p.grad.square().sum()) for p in net.parameters()) ** 0.5
    assert norm <= 1e-9 * 1.01
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_training_stops_when_asked_and_raises_when_the_loss_explodes(windows):
    few, epochs = Windows(windows.clips[:1]), []

    def stop(steps):
        epochs.append(len(steps))
        return len(epochs) == 2

    fit(State(small_net(), plain(9, 32)), few, p1_loss, on_epoch=stop)
    assert len(epochs) == 2
    with pytest.raises(ValueError, match=r"the loss is .* in epoch .* learning rate too high"):
        fit(State(small_net(), plain(9, 32, 1e30)), few, p1_loss)


def test_bfloat16_trains_like_float32(windows):
    few, results = Windows(windows.clips[:2]), []
    for precision in ("float32", "bfloat16"):
        losses = []
        state = State(small_net(), plain(15, 32, 3e-3, precision=precision))
        fit(state, few, p1_loss, on_epoch=lambda steps, to=losses: to.append(mean_loss(steps)))
        assert losses[-1] < 0.7 * losses[0]
        results.append(losses[-1])
    assert results[1] == pytest.approx(results[0], rel=0.2)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"epochs": 0}, "expected epochs >= 1, got 0"),
        ({"batch_size": 1}, "expected batch_size >= 2, got 1"),
        ({"lr": float("inf")}, "expected lr > 0 and < 1e.38, got inf"),
        ({"lr": float("nan")}, "expected lr > 0"),
        ({"clip": 0.0}, "expected clip > 0"),
        ({"ema": 1.0}, "expected ema > 0 and < 1, got 1.0"),
        ({"seed": -1}, "expected seed >= 0"),
        ({"save_every": float("nan")}, "expected save_every >= 0, got nan"),
        ({"patience": 0}, "expected patience >= 1"),
        ({"balance": 1.5}, "expected balance from 0 to 1, got 1.5"),
        ({"epoch": 3}, "unknown field of TrainConfig 'epoch'; did you mean epochs"),
        ({"schedule": "linear"}, r"TrainConfig: Invalid enum value 'linear' - at `\$\.schedule`"),
        ({"epochs": "3"}, r"TrainConfig: Expected `int`, got `str` - at `\$\.epochs`"),
    ],
)
def test_wrong_settings_raise(kw, message):
    with pytest.raises(ValueError, match=message):
        config_from(TrainConfig, kw)


@pytest.mark.parametrize("name", [pytest.param("htnet", marks=pytest.mark.slow), "mgcn_lw", "avg_mgcn_lw"])
def test_the_average_of_equal_weights_is_the_same_network(name, windows):
    few = Windows(windows.clips[:1])
    net = (build_variance_net if name.startswith("avg_") else build_lifter)(name.removeprefix("avg_"))
    state = State(net, plain(8, 32, 1e-30, ema=0.9))
    fit(state, few, lambda net, indices, batch: net(batch.keypoints).square().mean())
    theirs = state.result.state_dict()
    for key, value in net.state_dict().items():
        if "running" not in key:  # batch statistics lag behind
            assert torch.allclose(value, theirs[key], atol=1e-6), key


ROOT = Path(__file__).parent.parent
ENV = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def start(count, *command, cwd):
    """A command in several processes on this machine."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    return subprocess.run([*torchrun, str(count), *map(str, command)], env=ENV, cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_several_processes_train_what_one_does(tmp_path):
    """Without batch statistics the weights are those of one process, up to rounding."""
    for count in (1, 2, 3):
        done = start(count, ROOT / "tests" / "train_toy.py", tmp_path / f"{count}.pt", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two, three = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2, 3))
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-5)
    for key, value in one["weights"].items():
        assert torch.allclose(value, two["weights"][key], atol=1e-6), key
        assert torch.allclose(value, three["weights"][key], atol=1e-6), key


@pytest.mark.slow
def test_two_processes_train_and_resume(tmp_path):
    args = ["-m", "prpose", "train", "lifter", "--data", "walkers", "--config.every", "20", "--epochs", "2",
            "--out", "run"]  # fmt: skip
    done = start(2, *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2 ") == 2  # the epoch's line and the best one's
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2]
    before = (tmp_path / "run/best.safetensors").read_bytes()
    again = start(2, *args, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run/best.safetensors").read_bytes() == before
    failed = start(2, *args, cwd=tmp_path)
    assert failed.returncode != 0
    assert "error: run: exists already" in failed.stderr


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined():
        assert (processes.count(), processes.rank()) == (1, 0)
        assert processes.total(2.5, torch.device("cpu")) == 2.5
        with pytest.raises(ValueError, match="no"):
            processes.once(lambda: (_ for _ in ()).throw(ValueError("no")))
