"""Parity of every network with the golden numbers, and what must hold for any of them."""

import pytest
import torch

from prpose import LIFTERS, VARIANCE_NETS, build_lifter, build_variance_net, load_published
from prpose.lifter import average_flipped
from prpose.nets.graph import body_adjacency
from prpose.nets.htnet import HTNet
from prpose.nets.layers import DropPath
from prpose.nets.residual_mlp import ResidualMLP
from prpose.skeleton import H36M_17, mirror_pose
from tests.golden_numbers import OURS, arrays, network, rule_state, table

NETS = list(OURS)


def inputs():
    return torch.from_numpy(arrays("models/inputs.npz")["x"])


def test_adjacency():
    golden = torch.from_numpy(arrays("models/adjacency.npz")["adj"])
    assert torch.equal(body_adjacency(H36M_17.parents), golden)


@pytest.mark.parametrize("name", NETS)
def test_rule_weights_are_the_golden_ones(name):
    state = rule_state(name)
    for tensor in table(f"models/{name}.json")["tensors"]:
        assert abs(float(state[tensor["key"]].double().sum()) - tensor["sum"]) < 1e-9


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_float32_parity(name, device):
    net, x = network(name).to(device), inputs().to(device)
    golden = torch.from_numpy(arrays(f"models/{name}.npz")["y"])
    assert (net(x).cpu() - golden).abs().max() <= 5e-6
    assert (net(x[:1]).cpu() - golden[:1]).abs().max() <= 5e-6


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_float64_parity(name, device):
    net, x = network(name).double().to(device), inputs().double().to(device)
    golden = torch.from_numpy(arrays(f"models/{name}.npz")["y_float64"])
    assert (net(x).cpu() - golden).abs().max() <= 1e-8
    assert (net(x[:1]).cpu() - golden[:1]).abs().max() <= 1e-8


@pytest.mark.parametrize("name", NETS)
def test_parameter_count(name):
    count = sum(parameter.numel() for parameter in network(name).parameters())
    assert count == table(f"models/{name}.json")["parameter_count"]


EVERY_NET = [
    *(pytest.param(build_lifter, name, id=name) for name in LIFTERS),
    *(pytest.param(build_variance_net, name, id=f"avg_{name}") for name in VARIANCE_NETS),
]


@pytest.mark.parametrize(("build", "name"), EVERY_NET)
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (2, 3)])
def test_leading_axes_and_batch_independence(build, name, shape):
    net = build(name).eval()
    x = torch.randn(*shape, 17, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = net(x)
        assert y.shape[:-1] == (*shape, 17)
        for b in range(shape[0]):
            assert (net(x[b : b + 1]) - y[b : b + 1]).abs().max() < 1e-5
        folded = net(x.flatten(0, 1)[:, None]).view_as(y)
        assert (net(x[0, 0]) - y[0, 0]).abs().max() < 1e-5
        assert net(x[:0]).shape == (0, *y.shape[1:])
    assert (folded - y).abs().max() < 1e-5


@pytest.mark.parametrize(("build", "name"), EVERY_NET)
def test_training_mode_gradients_are_finite_everywhere(build, name):
    torch.manual_seed(0)
    net = build(name).train()
    net(torch.randn(8, 1, 17, 2)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("name", LIFTERS)
@torch.no_grad()
def test_flip_averaging_makes_a_lifter_mirror_equivariant(name):
    net, x = build_lifter(name).eval(), inputs()[:6]
    mirror = H36M_17.mirror

    def lift(keypoints):
        return average_flipped(net(keypoints), net(mirror_pose(keypoints, mirror)), mirror)

    difference = lift(mirror_pose(x, mirror)) - mirror_pose(lift(x), mirror)
    assert difference.abs().max() < 1e-6
    assert not lift(x)[..., 0, :].any()


@pytest.mark.parametrize(("name", "keys"), [("htnet", "htnet"), ("mgcn_lw", "mgcn_lw")])
def test_published_and_own_keys_load_alike(name, keys):
    net = load_published(name, rule_state(keys))
    again = load_published(name, net.state_dict())
    for key, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_drop_path_keeps_the_mean_and_zeroes_whole_samples():
    torch.manual_seed(0)
    y = DropPath(0.3).train()(torch.ones(20_000, 2, 3))
    assert abs(float(y.mean()) - 1) < 0.02
    assert sorted(y.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert (y.flatten(1).std(dim=1) == 0).all()


def test_impossible_settings_are_refused():
    adjacency = body_adjacency(H36M_17.parents)
    with pytest.raises(ValueError, match="channels divisible by 3 x 8 heads, got 100"):
        HTNet(adjacency, channels=100)
    with pytest.raises(ValueError, match="expected 2 drop_path rates, got 3"):
        HTNet(adjacency, blocks=2)


def test_residual_mlp_as_lifter():
    assert ResidualMLP(out_channels=3).eval()(torch.zeros(2, 1, 17, 2)).shape == (2, 1, 17, 3)
