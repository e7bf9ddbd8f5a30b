import pytest
import torch

from prpose.lifter import build_refinement
from prpose.nets.mlp import back_project


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
