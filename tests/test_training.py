"""Targets, schedule and steps of the variance net against golden/train."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.training import Recipe, State, fit, published_rates
from prpose.training.weak_supervision import error_targets, given
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
        State(net, Recipe(2, 64, published_rates(2), amsgrad=True, seed=None)),
        windows,
        given(targets),
        lambda items, loss: steps.append(loss),
        lambda batches: epochs.append(mean_loss(batches)),
    )
    assert abs(steps[0] / golden["step_losses"][0] - 1) < 1e-5
    assert np.abs(np.array(steps[:5]) / golden["step_losses"] - 1).max() < tolerance
    expected = SETTING[lifter]["two_epoch_mean_loss"]
    assert np.abs(np.array(epochs) / expected - 1).max() < {"htnet": 1e-2, "mgcn_lw": 1e-4}[lifter]


def test_published_schedule():
    expected = SETTING["mgcn_lw"]["lr_per_epoch"]
    assert list(published_rates(len(expected))) == pytest.approx(expected)


def test_a_last_batch_of_one_is_left_out(windows):
    from prpose import build_variance_net

    few = Windows(windows.clips[:1])
    targets, seen = torch.ones(len(few), 1, 17, 1), []
    state = State(build_variance_net("mgcn_lw"), Recipe(1, len(few) - 1))
    fit(state, few, given(targets), lambda items, loss: seen.append(items))
    assert seen == [len(few) - 1]


def test_it_learns_64_poses_by_heart(windows):
    """With a target that depends on the pose: the loss falls well below the best constant."""
    from prpose import build_variance_net

    torch.manual_seed(0)
    few = Windows(windows.clips[:2])
    targets = error_targets(network("htnet", fitted=True), few)
    net, epochs = build_variance_net("htnet", hidden=64, blocks=1), []
    state = State(net, Recipe(150, 64, (3e-3,) * 150))
    fit(state, few, given(targets), on_epoch=lambda batches: epochs.append(mean_loss(batches)))
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


def small_net():
    from prpose import build_lifter

    torch.manual_seed(0)
    return build_lifter("mgcn_lw", hidden=16, blocks=1)


def p1_loss(net, indices, batch):
    from prpose.metrics import mpjpe

    return mpjpe(net(batch.keypoints), batch.target).mean()


@pytest.mark.parametrize("seed", [0, 7])
def test_a_training_goes_on_as_if_it_had_never_stopped(seed, windows):
    few = Windows(windows.clips[:3])
    recipe = Recipe(3, 32, lr=3e-3, clip=1.0, ema=0.9, seed=seed)
    whole = State(small_net(), recipe)
    fit(whole, few, p1_loss)

    class Killed(Exception):
        pass

    saved = {}

    def save_and_die(items, loss):
        if part.epoch == 1 and part.batch == 2:
            saved.update(copy.deepcopy(part.state_dict()))
            raise Killed

    part = State(small_net(), recipe)
    with pytest.raises(Killed):
        fit(part, few, p1_loss, save_and_die)
    torch.manual_seed(99)
    rest = State(small_net(), recipe)
    rest.load_state_dict(saved)
    fit(rest, few, p1_loss)
    for name, value in whole.state_dict()["net"].items():
        assert torch.equal(value, rest.net.state_dict()[name]), name
    for name, value in whole.result.state_dict().items():
        assert torch.equal(value, rest.result.state_dict()[name]), name
    assert not torch.equal(whole.net.gconv_output.bias, whole.result.gconv_output.bias)  # the average is another net


def test_rates_rise_and_fall_and_the_gradient_is_clipped(windows):
    recipe = Recipe(10, 32, lr=1.0, warmup=9)
    rates = [recipe.rate(step // 100, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, rel=1e-2)
    assert rates[-1] < 1e-4
    assert all(a >= b for a, b in itertools.pairwise(rates[20:]))
    few, net = Windows(windows.clips[:1]), small_net()
    before = [p.detach().clone() for p in net.parameters()]
    fit(State(net, Recipe(1, len(few), (1e-3,), clip=1e-9)), few, p1_loss)
    # Adam scales by the gradient's own size, so a step is taken all the same; the norm is small.
    norm = sum(float(p.grad.square().sum()) for p in net.parameters()) ** 0.5
    assert norm <= 1e-9 * 1.01
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


def test_stopping_early_and_losses_that_explode(windows):
    few, epochs = Windows(windows.clips[:1]), []

    def stop(steps):
        epochs.append(len(steps))
        return len(epochs) == 2

    fit(State(small_net(), Recipe(9, 32)), few, p1_loss, on_epoch=stop)
    assert len(epochs) == 2
    with pytest.raises(ValueError, match=r"the loss is .* in epoch .* learning rate too high"):
        fit(State(small_net(), Recipe(9, 32, (1e30,) * 9)), few, p1_loss)


def test_bfloat16_trains_much_like_float32(windows):
    few, results = Windows(windows.clips[:2]), []
    for precision in ("float32", "bfloat16"):
        losses = []
        state = State(small_net(), Recipe(15, 32, (3e-3,) * 15, precision=precision))
        fit(state, few, p1_loss, on_epoch=lambda steps, to=losses: to.append(mean_loss(steps)))
        assert losses[-1] < 0.7 * losses[0]
        results.append(losses[-1])
    assert results[1] == pytest.approx(results[0], rel=0.2)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"epochs": 0}, "expected epochs >= 1"),
        ({"batch_size": 1}, "a batch size >= 2"),
        ({"rates": (1e-3,)}, "expected 3 rates, got 1"),
        ({"rates": (1e-3, float("inf"), 1e-3)}, "finite learning rates > 0"),
        ({"lr": -1.0}, "finite learning rates > 0, got -1.0"),
        ({"lr": float("nan")}, "finite learning rates > 0"),
        ({"clip": 0.0}, "expected clip > 0"),
        ({"ema": 1.0}, "ema between 0 and 1"),
    ],
)
def test_recipes_that_train_nothing_are_refused(kw, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**({"epochs": 3, "batch_size": 8} | kw))


@pytest.mark.parametrize("name", ["htnet", "mgcn_lw", "avg_htnet", "avg_mgcn_lw"])
def test_the_average_of_equal_weights_is_the_same_network(name, windows):
    """Index buffers included: a rate of next to nothing, many steps."""
    from prpose import build_lifter, build_variance_net

    few = Windows(windows.clips[:1])
    variance = name.startswith("avg_")
    build = build_variance_net if variance else build_lifter
    net = build(name.removeprefix("avg_"))
    state = State(net, Recipe(8, 32, (1e-30,) * 8, ema=0.9))

    def loss(net, indices, batch):
        return net(batch.keypoints).square().mean()

    fit(state, few, loss)
    batch = few[torch.arange(5)]
    with torch.no_grad():
        a, b = net.eval()(batch.keypoints), state.result.eval()(batch.keypoints)
    ours, theirs = dict(net.named_buffers()), dict(state.result.named_buffers())
    for key, value in ours.items():
        if not value.is_floating_point():
            assert torch.equal(value, theirs[key]), key
    assert (a - b).abs().max() < 0.3 * a.abs().max() + 1e-6  # batch statistics lag behind
    if not any(isinstance(module, nn.BatchNorm1d) for module in net.modules()):
        assert (a - b).abs().max() < 1e-6
