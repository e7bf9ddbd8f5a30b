"""Parity of every network with the golden numbers, and what must hold for any of them."""

import pytest
import torch

from prpose import LIFTERS, VARIANCE_NETS, build_lifter, build_variance_net
from prpose.lifter import average_flipped, receptive_field
from prpose.nets.htnet import HTNet
from prpose.nets.layers import DropPath, body_adjacency
from prpose.skeleton import H36M_17, mirror_pose
from prpose.weights import RENAMINGS
from tests.golden_numbers import LIFTER_CASES, OURS, arrays, golden_lifter, lifter_outputs, network, rule_state, table


def test_adjacency():
    assert torch.equal(body_adjacency(H36M_17.parents), torch.from_numpy(arrays("models/adjacency.npz")["adj"]))


@pytest.mark.parametrize("name", OURS)
@torch.no_grad()
def test_parity(name, device):
    """The weights are the golden ones; outputs agree in float32 and float64, for a batch and alone."""
    state, golden = rule_state(name), arrays(f"models/{name}.npz")
    for tensor in table(f"models/{name}.json")["tensors"]:
        assert abs(float(state[tensor["key"]].double().sum()) - tensor["sum"]) < 1e-9
    net, x = network(name).to(device), torch.from_numpy(arrays("models/inputs.npz")["x"]).to(device)
    assert sum(parameter.numel() for parameter in net.parameters()) == table(f"models/{name}.json")["parameter_count"]
    for cast, key, tolerance in ((torch.Tensor.float, "y", 5e-6), (torch.Tensor.double, "y_float64", 1e-8)):
        net.to(cast(x).dtype)
        expected = torch.from_numpy(golden[key])
        assert (net(cast(x)).cpu() - expected).abs().max() <= tolerance
        assert (net(cast(x[:1])).cpu() - expected[:1]).abs().max() <= tolerance


@pytest.fixture(scope="module", params=LIFTER_CASES)
def case(request):
    return request.param, rule_state(request.param)


@torch.no_grad()
def test_parity_of_lifters(case, device):
    name, state = case
    for tensor in table(f"lifters/{name}.json")["tensors"]:
        value = state[tensor["key"]].double()
        assert abs(float(value.sum()) - tensor["sum"]) < 1e-9 * max(1, tensor["abs_sum"])
    net = golden_lifter(name, state).to(device)
    for ours, golden in lifter_outputs(name, net, torch.float32):
        assert ours.shape == golden.shape
        assert (ours.cpu() - golden).abs().max() <= 5e-6
    for ours, golden in lifter_outputs(name, net.double(), torch.float64):
        assert ours.dtype == golden.dtype
        assert (ours.cpu() - golden).abs().max() <= 1e-9 * golden.abs().max()


def test_parameters_of_lifters_are_those_published_but_for_the_fixed_graph(case):
    name, state = case
    net, rename = golden_lifter(name, state), RENAMINGS.get(LIFTER_CASES[name][0], str)
    published = table(f"lifters/{name}.json")
    assert sum(parameter.numel() for parameter in net.parameters()) == published["parameter_count"]
    kinds = {t["key"]: t["kind"] for t in published["tensors"]}
    weights = {rename(key): value for key, value in state.items() if kinds[key] != "graph"}
    assert len(weights) == sum(kind != "graph" for kind in kinds.values())
    assert weights.keys() == net.state_dict().keys()
    for key, value in net.state_dict().items():
        assert torch.equal(weights[key].reshape(value.shape), value), key
    graphs = {rename(key) for key, kind in kinds.items() if kind == "graph"}
    assert all(net.get_buffer(key).shape == (4, 17, 17) for key in graphs)


# Constructor arguments that make other networks of the same name; narrow ones, where it is slow.
VARIANTS = [
    ("htnet", {}), ("mgcn_lw", {}),
    ("modulated_gcn", {"hidden": 64}), ("modulated_gcn", {"joints": 16}),
    ("modulated_gcn", {"joints": 16, "nonlocal_blocks": True}),
    ("graphmlp", {"channels": 64}), ("graphmlp", {"channels": 64, "frames": 9}),
    ("temporal", {"channels": 64}), ("temporal", {"channels": 64, "filter_widths": [3, 5], "causal": True}),
    ("temporal", {"channels": 64, "filter_widths": [1, 1, 1]}),
    ("gaussian_gcn", {"hidden": 64}), ("gaussian_gcn", {"hidden": 64, "frames": 3, "step": 2, "causal": True}),
    ("gaussian_mlp", {"hidden": 64}), ("gaussian_mixture", {}),
]  # fmt: skip
every_lifter = pytest.mark.parametrize(("name", "kw"), [pytest.param(n, kw, id=f"{n}{kw or ''}") for n, kw in VARIANTS])


def lively(net):
    """The net with noise on its parameters: some start at zero and would hide what follows."""
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return net


def clip(B, T):
    return torch.randn(B, T, 17, 2, generator=torch.Generator().manual_seed(1))


def test_the_variants_cover_the_table():
    assert {name for name, _ in VARIANTS} == LIFTERS.keys()
    assert VARIANCE_NETS.keys() == {name for name in LIFTERS if not name.startswith("gaussian")}


@every_lifter
@torch.no_grad()
def test_lifter_contract_and_mirror_equivariance_by_flip_averaging(name, kw):
    """(B, T, J, 2) → (B, T - F + 1, J, 3), the same for a clip alone and for parts of its time; no fewer than F."""
    net = lively(build_lifter(name, **kw)).eval()
    F = receptive_field(net)
    y = net(x := clip(3, F + 4))
    assert y.shape == (3, 5, 17, 3)
    assert y[0].std() > 1e-3  # else what follows says little
    for b in range(3):
        assert (net(x[b : b + 1]) - y[b : b + 1]).abs().max() < 1e-5
    for start, stop in ((0, 1), (1, 4), (4, 5)):
        assert (net(x[:, start : stop + F - 1]) - y[:, start:stop]).abs().max() < 1e-5
    assert net(x[:0]).shape == (0, 5, 17, 3)
    if F > 1:
        with pytest.raises(ValueError, match=rf"T >= {F}, got \(2, {F - 1}, 17, 2\)"):
            net(clip(2, F - 1))

    def lift(keypoints):
        return average_flipped(net(keypoints), net(mirror_pose(keypoints, mirror)), mirror)

    mirror = H36M_17.mirror
    assert (lift(mirror_pose(x, mirror)) - mirror_pose(lift(x), mirror)).abs().max() < 1e-6
    assert not lift(x)[..., 0, :].any()


VARIANCE = [(build_variance_net, name) for name in ("htnet", "mgcn_lw")]
NETS = [*((build_lifter, *variant) for variant in VARIANTS), *((*net, {}) for net in VARIANCE)]


@pytest.mark.parametrize("T", [0, 2])  # one window is another way through the temporal net than a clip is
@pytest.mark.parametrize(("build", "name", "kw"), NETS)
def test_gradients_are_finite_everywhere(build, name, kw, T):
    torch.manual_seed(0)
    net = build(name, **kw).train()
    net(clip(8, receptive_field(net) + T)).square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key


# Those that see one frame at a time take any leading axes.
SINGLE_FRAME = [*((build_lifter, name) for name in ("htnet", "mgcn_lw", "modulated_gcn")), *VARIANCE]


@pytest.mark.parametrize(("build", "name"), SINGLE_FRAME)
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (2, 3)])
def test_leading_axes_and_batch_independence(build, name, shape):
    net, x = build(name).eval(), clip(*shape)
    with torch.no_grad():
        y = net(x)
        assert y.shape == (*shape, 17, 3 if build is build_lifter else 1)
        for b in range(shape[0]):
            assert (net(x[b : b + 1]) - y[b : b + 1]).abs().max() < 1e-5
        assert (net(x.flatten(0, 1)[:, None]).view_as(y) - y).abs().max() < 1e-5
        assert (net(x[0, 0]) - y[0, 0]).abs().max() < 1e-5
        assert net(x[:0]).shape == (0, *y.shape[1:])


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
