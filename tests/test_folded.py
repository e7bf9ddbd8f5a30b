"""Networks for inference: the same results as the networks they are made of, for every lifter and variance net."""

import copy
import threading

import pytest
import torch
from torch import nn

from prpose import LIFTERS, VARIANCE_NETS, build_lifter, build_variance_net
from prpose.lifter import receptive_field
from prpose.nets.folded import FoldedGraphConv, for_inference, in_threads
from prpose.noise import ConstantNoise
from prpose.sampler import Sampler
from tests.golden_numbers import LIFTER_CASES, OURS, arrays, golden_lifter, lifter_outputs, network, rule_state

SETTINGS = [
    *((name, {}) for name in LIFTERS),
    ("modulated_gcn", {"joints": 16}),
    ("modulated_gcn", {"joints": 16, "nonlocal_blocks": True}),
    ("graphmlp", {"frames": 9}),
    ("temporal", {"causal": True, "filter_widths": [3, 1, 3]}),
    ("gaussian_mlp", {"frames": 3, "step": 2}),
    ("mgcn_lw", {"framed": True}),
]


def trained(net):
    """The network as if trained: no statistic or learnt part has its initial value."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            for value, low, high in ((module.running_mean, -0.2, 0.2), (module.running_var, 0.3, 2)):
                value.uniform_(low, high, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
        if hasattr(module, "adj2"):
            module.adj2.data.uniform_(-0.2, 0.2, generator=generator)
    return net.eval()


@pytest.mark.parametrize(("name", "kw"), SETTINGS)
@torch.no_grad()
def test_lifters_give_the_same_poses(name, kw):
    torch.manual_seed(0)
    net = trained(build_lifter(name, **kw))
    folded, F = for_inference(net), receptive_field(net)
    assert receptive_field(folded) == F
    for shape in ((1, F), (5, F), (3, F + 4)):
        keypoints = torch.rand(*shape, 17, 2) * 2 - 1
        expected, found = net(keypoints), folded(keypoints)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() <= 1e-5 * max(1, float(expected.abs().max()))
    assert torch.equal(for_inference(folded)(keypoints), found)
    wide = keypoints.double()
    expected = net.double()(wide)
    assert (for_inference(net)(wide) - expected).abs().max() <= 1e-12 * max(1, float(expected.abs().max()))


@pytest.mark.parametrize("name", VARIANCE_NETS)
@torch.no_grad()
def test_variance_nets_give_the_same_sigma(name):
    torch.manual_seed(0)
    net = trained(build_variance_net(name))
    keypoints = torch.rand(7, 17, 2)
    expected = net(keypoints)
    assert (for_inference(net)(keypoints) - expected).abs().max() <= 1e-5 * max(1, float(expected.abs().max()))


@pytest.mark.parametrize("name", OURS)
@torch.no_grad()
def test_published_networks_keep_their_golden_numbers(name):
    net, x = for_inference(network(name)), torch.from_numpy(arrays("models/inputs.npz")["x"])
    assert (net(x) - torch.from_numpy(arrays(f"models/{name}.npz")["y"])).abs().max() <= 1e-5


@pytest.mark.parametrize("name", LIFTER_CASES)
@torch.no_grad()
def test_published_lifters_keep_their_golden_numbers(name):
    net = for_inference(golden_lifter(name, rule_state(name)))
    for ours, golden in lifter_outputs(name, net, torch.float32):
        assert (ours - golden).abs().max() <= 1e-5


def test_the_network_itself_is_left_as_it_is():
    net = build_lifter("mgcn_lw").train()
    before = copy.deepcopy(net.state_dict())
    folded = for_inference(net)
    assert net.training
    assert not folded.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert any(isinstance(part, FoldedGraphConv) for part in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_networks_of_other_classes_stay():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.lock = nn.Linear(2, 3), (n for n in range(3))  # cannot be copied

        def forward(self, keypoints):
            return self.net(keypoints)

    own = Own()
    assert for_inference(own) is own


@torch.no_grad()
def test_a_network_of_ones_own_keeps_its_parts_and_gains_faster_ones():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = build_lifter("mgcn_lw"), nn.Linear(3, 3)

        def forward(self, keypoints):
            return self.last(self.first(keypoints))

    own, keypoints = trained(Own()), torch.rand(4, 1, 17, 2)
    folded = for_inference(own)
    assert isinstance(folded, Own)
    assert (folded(keypoints) - own(keypoints)).abs().max() < 1e-5


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_work_on_parts_alone_and_without_gradients(two_threads):
    seen = []

    def work(part):
        seen.append((int(part[0]), threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()))

    parts = torch.arange(12).split(2)
    with torch.no_grad():
        in_threads(work, parts)
    assert sorted(first for first, *_ in seen) == [0, 2, 4, 6, 8, 10]
    assert threading.get_ident() not in {thread for _, thread, *_ in seen}
    assert {(count, grad) for *_, count, grad in seen} == {(1, False)}
    assert torch.get_num_threads() == 2
    seen.clear()
    in_threads(work, parts)  # with gradients, in this thread
    assert {thread for _, thread, *_ in seen} == {threading.get_ident()}


def test_an_error_in_a_thread_is_raised_and_the_threads_are_restored(two_threads):
    with torch.no_grad(), pytest.raises(ZeroDivisionError):
        in_threads(lambda part: 1 / int(part[0]), torch.arange(4).split(1))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("flip", ["average", "mixture"])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_samples_do_not_depend_on_the_number_of_threads(flip, context, two_threads):
    torch.manual_seed(0)
    net = Sampler(build_lifter("mgcn_lw", hidden=8, blocks=1), ConstantNoise(0.02), chunk=5, flip=flip).eval()
    x, eps, mirrored = torch.rand(3, 1, 17, 2), *torch.randn(2, 8, 3, 1, 17, 2)
    with context():
        found = net(x, eps, mirrored)
        torch.set_num_threads(1)
        assert torch.equal(net(x, eps, mirrored), found)
        drawn = net.sample(x, 8, torch.Generator().manual_seed(1))
        torch.set_num_threads(2)
        assert torch.equal(net.sample(x, 8, torch.Generator().manual_seed(1)), drawn)
