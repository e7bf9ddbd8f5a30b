import pytest
import torch

from prpose import build_lifter
from prpose.nets.layers import PartitionedGraphConv, body_partitions
from prpose.skeleton import H36M_17
from tests.golden_numbers import arrays


def partitions():
    return body_partitions(H36M_17.parents, H36M_17.mirror, H36M_17.index("spine"))


@pytest.mark.parametrize("name", ["graphmlp_f1", "graphmlp_f27"])
def test_partitions_are_the_golden_ones(name):
    golden = torch.from_numpy(arrays(f"lifters/{name}.npz")["graph.A"])
    assert torch.equal(partitions(), golden)


def test_partitions_of_a_small_tree():
    """A pelvis with two hips, seen from the pelvis; links are counted by hand."""
    own, inwards, outwards, pairs = body_partitions((-1, 0, 0), (0, 2, 1), centre=0)
    third = torch.full((3,), 1 / 3)
    assert torch.equal(own, torch.diag(third))
    assert inwards.nonzero().tolist() == [[1, 0], [2, 0]]
    assert outwards.nonzero().tolist() == [[0, 1], [0, 2]]
    assert pairs.nonzero().tolist() == [[1, 2], [2, 1]]
    assert torch.allclose((own + inwards + outwards + pairs).sum(0), torch.ones(3))


def test_partitioned_convolution_against_a_loop():
    graph, conv = torch.rand(2, 3, 3), PartitionedGraphConv(torch.rand(2, 3, 3), 4, 5)
    conv.partitions = graph
    x = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = torch.zeros(6, 3, 5)
        for k, (weight, bias) in enumerate(zip(conv.linear.weight.chunk(2), conv.linear.bias.chunk(2), strict=True)):
            for v in range(3):
                for w in range(3):
                    expected[:, w] += graph[k, v, w] * (x[:, v] @ weight.T + bias)
        assert torch.allclose(conv(x), expected, atol=1e-6)


@torch.no_grad()
def test_a_token_has_x_of_every_frame_then_y():
    net = build_lifter("graphmlp", frames=3, channels=6).eval()
    net.embedding.weight.copy_(torch.eye(6))
    net.embedding.bias.zero_()
    tokens = []
    net.embedding.register_forward_hook(lambda _, __, x: tokens.append(x))
    keypoints = torch.arange(4 * 17 * 2.0).reshape(1, 4, 17, 2)
    net(keypoints)
    assert tokens[0].shape == (2, 17, 6)  # two windows
    for t in (0, 1):
        window = keypoints[0, t : t + 3]
        assert torch.equal(tokens[0][t, :, :3], window[..., 0].T)
        assert torch.equal(tokens[0][t, :, 3:], window[..., 1].T)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        *(({"frames": bad}, "frames to be an odd integer >= 1, got ") for bad in (0, 4, "27", 1.0, True, [27])),
        ({"blocks": 2}, "expected 2 drop_path rates, got 3"),
        ({"channels": -8}, "graphmlp cannot be built with .*negative dimension"),
        ({"channel": 8}, "graphmlp cannot be built with .*unexpected keyword argument 'channel'"),
    ],
)
def test_bad_arguments_are_named(kw, message):
    with pytest.raises(ValueError, match=message):
        build_lifter("graphmlp", **kw)
