import pytest
import torch

from prpose import build_lifter
from prpose.lifter import build_refinement
from prpose.nets.layers import PartitionedGraphConv, body_partitions
from prpose.nets.mlp import back_project
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


def scene():
    """Poses 4 m away, and where a camera of the golden numbers' kind sees them."""
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(5, 2, 17, 3, generator=generator, dtype=torch.float64) * 0.3
    poses[..., 0, :] = 0
    pelvis = torch.tensor([0.3, -0.2, 4.0], dtype=torch.float64).expand(5, 2, 3)
    intrinsics = torch.tensor([2.2, 2.3, 0.02, 0.05, 0, 0, 0, 0, 0], dtype=torch.float64)
    points = poses + pelvis[..., None, :]
    keypoints = points[..., :2] / points[..., 2:] * intrinsics[:2] + intrinsics[2:4]
    return poses, keypoints, pelvis[..., 2], intrinsics


def test_back_projection_inverts_projection():
    poses, keypoints, depth, intrinsics = scene()
    assert torch.allclose(back_project(poses, keypoints, depth, intrinsics), poses, atol=1e-12)
    moved = poses + torch.tensor([1, 2, 0])  # of the pose, only the depths count
    moved[..., 0, 2] = 0.5  # and not the pelvis's, which a lifter need not put at 0
    assert torch.allclose(back_project(moved, keypoints, depth, intrinsics), poses, atol=1e-12)
    with pytest.raises(ValueError, match="expected calibrated cameras"):
        back_project(poses, keypoints, depth, torch.zeros(9))


@pytest.mark.parametrize(("name", "hidden"), [("graphmlp", 1536), ("modulated_gcn", 1024)])
@torch.no_grad()
def test_refined_poses_lie_between_the_two(name, hidden):
    torch.manual_seed(0)
    net = build_refinement(name).eval()
    assert net.post_refine[0].out_features == hidden
    poses, back = torch.randn(2, 6, 1, 17, 3)
    refined = net(poses, back)
    assert torch.equal(refined[..., 2], poses[..., 2])
    share = (refined - back)[..., :2] / (poses - back)[..., :2]
    assert (share > 0).all()
    assert (share < 1).all()
    assert torch.allclose(net(poses[:1], back[:1]), refined[:1], atol=1e-6)
    assert torch.allclose(net(poses, poses), poses, atol=1e-6)


def test_refinement_of_unused_width_and_bad_names():
    assert build_refinement("graphmlp", hidden=1024).post_refine[3].in_features == 1024
    with pytest.raises(ValueError, match="unknown refinement 'graphmpl'; did you mean graphmlp"):
        build_refinement("graphmpl")
    with pytest.raises(ValueError, match=r"modulated_gcn cannot be built with .*'width'"):
        build_refinement("modulated_gcn", width=3)


def test_gradients_are_finite_everywhere():
    torch.manual_seed(0)
    net = build_refinement("modulated_gcn").train()
    net(*torch.randn(2, 8, 1, 17, 3)).square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
