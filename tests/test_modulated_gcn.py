import pytest
import torch

from prpose import build_lifter
from prpose.lifter import PAIRS_16
from prpose.nets.layers import ModulatedGraphConv, NonLocalBlock, PairNonLocalBlock, body_adjacency
from prpose.skeleton import H36M_16, H36M_17
from tests.golden_numbers import arrays, golden_lifter

CASES = ["modulated_gcn_16", "modulated_gcn_16_nonlocal", "modulated_gcn_17"]


@pytest.mark.parametrize("name", CASES)
def test_graphs_are_the_golden_ones(name):
    golden = arrays(f"lifters/{name}.npz")
    skeleton = H36M_17 if "17" in name else H36M_16
    assert list(skeleton.parents) == golden["graph.parents"].tolist()
    adjacency = body_adjacency(skeleton.parents)
    assert torch.equal(adjacency, torch.from_numpy(golden["graph.adj"]))
    for module in golden_lifter(name).modules():
        if isinstance(module, ModulatedGraphConv):
            assert torch.equal(module.adjacency, adjacency)


def test_pairs_are_the_golden_ones():
    golden = arrays("lifters/modulated_gcn_16_nonlocal.npz")["graph.nodes_group"].tolist()
    assert [list(pair) for pair in PAIRS_16] == golden
    assert sorted(joint for pair in golden for joint in pair) == list(range(16))


@pytest.mark.parametrize("joints", [16, 17])
def test_initialisation(joints):
    torch.manual_seed(0)
    net = build_lifter("modulated_gcn", joints=joints)
    convs = [module for module in net.modules() if isinstance(module, ModulatedGraphConv)]
    assert len(convs) == 10
    for conv in convs:
        _, inputs, outputs = conv.W.shape
        assert (conv.M == 1).all() == (joints == 16)
        assert (conv.adj2 == 1e-6).all()
        assert conv.bias.abs().max() <= outputs**-0.5
        # Xavier of a 3D tensor counts the last two axes by the first: fan in + out of torch.
        fans = (inputs + 2) * outputs
        assert conv.W.abs().max() <= 1.414 * (6 / fans) ** 0.5


@pytest.mark.parametrize("block", [NonLocalBlock(8), PairNonLocalBlock(8, [(0, 3), (1, 2)])], ids=["all", "pairs"])
def test_non_local_blocks_begin_as_the_identity(block):
    x = torch.randn(5, 4, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x)
    torch.nn.init.ones_(block.norm.weight)
    assert not torch.allclose(block(x), x)


@torch.no_grad()
def test_non_local_attention_against_a_loop():
    torch.manual_seed(0)
    block, x = NonLocalBlock(8).eval(), torch.randn(4, 8)
    torch.nn.init.ones_(block.norm.weight)
    q, k, v = block.query(x), block.key(x), block.value(x)
    for i in range(4):
        weights = torch.stack([(q[i] * k[j]).sum() for j in range(4)]).exp()
        mixed = sum(weights[j] * v[j] for j in range(4)) / weights.sum()
        expected = x[i] + block.out(mixed) / (1 + block.norm.eps) ** 0.5
        assert torch.allclose(block(x)[i], expected, atol=1e-6)


@torch.no_grad()
def test_pair_attention_against_a_loop():
    torch.manual_seed(0)
    pairs = [(0, 3), (1, 2)]
    block, x = PairNonLocalBlock(8, pairs).eval(), torch.randn(4, 8)
    torch.nn.init.ones_(block.norm.weight)
    q, k, v = block.query(x), block.key(x), block.value(x)
    for i in range(4):
        mixed = torch.zeros(4)
        for a, b in pairs:
            key, value = torch.maximum(k[a], k[b]), torch.maximum(v[a], v[b])
            mixed += block.pairwise(torch.cat([q[i], key])).relu() / 2 * value
        expected = x[i] + block.out(mixed) / (1 + block.norm.eps) ** 0.5
        assert torch.allclose(block(x)[i], expected, atol=1e-6)


@pytest.mark.parametrize("nonlocal_blocks", [False, True])
@torch.no_grad()
def test_the_network_of_16_joints_lifts_17(nonlocal_blocks):
    net = build_lifter("modulated_gcn", joints=16, nonlocal_blocks=nonlocal_blocks).eval()
    x = torch.randn(5, 3, 17, 2, generator=torch.Generator().manual_seed(0))
    y, neck = net(x), H36M_17.index("neck")
    others = [joint for joint in range(17) if joint != neck]
    assert torch.equal(y[..., others, :], net.net(x[..., others, :]))
    around = y[..., [H36M_17.index("thorax"), H36M_17.index("head")], :]
    assert torch.allclose(y[..., neck, :], around.mean(-2), atol=1e-6)
    x[..., neck, :] = 7
    assert torch.equal(net(x), y)  # what it lacks, it does not see


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        *(({"joints": bad}, "expected joints to be 16 or 17, got ") for bad in (15, "17", [16])),
        ({"nonlocal_blocks": True}, "nonlocal_blocks with joints=16 only"),
        ({"joints": 16, "nonlocal_blocks": "no"}, "to be true or false, got 'no'"),
        ({"joints": 16, "width": 8}, "modulated_gcn cannot be built with .*'width'"),
    ],
)
def test_bad_arguments_are_named(kw, message):
    with pytest.raises(ValueError, match=message):
        build_lifter("modulated_gcn", **kw)
