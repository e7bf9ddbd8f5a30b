"""Framed keypoints, the one-pass network, and samplers that mix both images."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from prpose.lifter import build_lifter, is_framed, is_one_pass, receptive_field
from prpose.nets.framed import SIZE, frame_person
from prpose.nets.gaussian import PoseGaussian
from prpose.noise import LearntNoise, build_variance_net
from prpose.one_pass import OnePassSampler, build_sampler
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, mirror_pose

MEMBERS = [
    {"name": "gaussian_gcn", "framed": True, "hidden": 8, "blocks": 1},
    {"name": "gaussian_mlp", "framed": True, "hidden": 16},
]
MIRROR = H36M_17.mirror
FRAMED = [
    ("gaussian_mlp", {"hidden": 16}),
    ("gaussian_gcn", {"hidden": 16, "blocks": 1, "frames": 3, "step": 2}),
    ("gaussian_mlp", {"hidden": 16, "frames": 3, "step": 2, "causal": True}),
    ("mgcn_lw", {"hidden": 8, "blocks": 1}),
    ("temporal", {"channels": 8, "filter_widths": [3]}),
]


def points(B=4, T=7, seed=0):
    """Joints before a camera, (B, T, 17, 3) metres, and their keypoints in units of the focal length."""
    generator = torch.Generator().manual_seed(seed)
    poses = torch.randn(B, T, 17, 3, generator=generator, dtype=torch.float64) / 3
    root = torch.tensor([0.7, -0.4, 4.0], dtype=torch.float64)
    poses = poses - poses[:, :, :1] + root + 0.2 * torch.randn(B, T, 1, 3, generator=generator, dtype=torch.float64)
    return poses, poses[..., :2] / poses[..., 2:]


def test_a_framed_person_is_in_the_middle_and_equally_large():
    _, keypoints = points()
    framed, rotation, size = frame_person(keypoints, own=3)
    assert framed.shape == keypoints.shape
    assert framed[:, 3, 0].abs().max() < 1e-9
    assert (framed[:, 3, 1:].norm(dim=-1).mean(-1) - SIZE).abs().max() < 1e-9
    assert (rotation @ rotation.mT - torch.eye(3)).abs().max() < 1e-9
    # The smallest rotation: its axis lies in the image plane.
    angles = Rotation.from_matrix(rotation.numpy()).as_rotvec()
    assert np.abs(angles[:, 2]).max() < 1e-9
    assert size.shape == (4,)


def test_framing_undoes_a_turn_of_the_camera_and_a_zoom():
    """A camera turned to the pelvis by the same smallest rotation, of any focal length, sees the framed keypoints."""
    poses, keypoints = points()
    framed, rotation, _ = frame_person(keypoints)
    turned = torch.einsum("bij,btkj->btki", rotation, poses)
    seen = turned[..., :2] / turned[..., 2:]
    ratio = framed / seen
    assert (ratio[..., 1:, :] - ratio[:, :1, 1:2, :1]).abs().max() < 1e-6
    again, still, _ = frame_person(3 * seen - 3 * seen[:, :1, :1])
    assert (again - framed).abs().max() < 1e-9
    assert (still - torch.eye(3)).abs().max() < 1e-9


def test_framing_is_mirror_equivariant():
    _, keypoints = points()
    framed = frame_person(keypoints, own=2)[0]
    assert (frame_person(mirror_pose(keypoints, MIRROR), own=2)[0] - mirror_pose(framed, MIRROR)).abs().max() < 1e-9


@pytest.mark.parametrize(("name", "kw"), FRAMED)
@torch.no_grad()
def test_a_framed_lifter_keeps_the_contract(name, kw):
    torch.manual_seed(0)
    lifter = build_lifter(name, framed=True, **kw).eval().double()
    assert is_framed(lifter)
    assert not is_framed(build_lifter(name, **kw))
    assert is_one_pass(lifter) == name.startswith("gaussian")
    F, (_, keypoints) = receptive_field(lifter), points()
    poses = lifter(keypoints)
    assert poses.shape == (4, 7 - F + 1, 17, 3)
    for start in range(7 - F + 1):
        assert (lifter(keypoints[:, start : start + F])[:, 0] - poses[:, start]).abs().max() < 1e-9
    assert (lifter(keypoints[1:2]) - poses[1:2]).abs().max() < 1e-9


@torch.no_grad()
def test_a_framed_lifter_turns_with_the_camera():
    """The pose of a person seen by a camera turned about its centre is the pose turned as much."""
    torch.manual_seed(0)
    lifter = build_lifter("mgcn_lw", framed=True, hidden=8, blocks=1).eval().double()
    poses, keypoints = points(T=1)
    rotation = frame_person(keypoints)[1]
    turned = torch.einsum("bij,btkj->btki", rotation, poses)
    seen = turned[..., :2] / turned[..., 2:]
    expected = torch.einsum("bij,btkj->btki", rotation, lifter(keypoints))
    assert (lifter(seen) - expected).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("name", "kw"),
    [
        ("gaussian_mlp", {"hidden": 32}),
        ("gaussian_mlp", {"hidden": 32, "framed": True}),
        ("gaussian_mixture", {"members": MEMBERS}),
    ],
)
@torch.no_grad()
def test_covariance_is_that_of_many_samples(name, kw):
    torch.manual_seed(1)
    net = build_sampler(build_lifter(name, **kw), None).eval()
    assert isinstance(net, OnePassSampler)
    keypoints = points(B=2, T=1)[1].float()
    samples = net.sample(keypoints, 40_000, torch.Generator().manual_seed(0))
    mean, expected = net.moments(keypoints)
    away = samples - samples.mean(0)
    found = torch.einsum("s...i,s...k->...ik", away, away) / len(samples)
    assert expected.shape == (2, 1, 17, 3, 3)
    assert (found - expected).abs().max() < 0.03 * expected.abs().max()
    assert (samples.mean(0) - net.deterministic(keypoints)).abs().max() < 0.02 * expected.abs().max().sqrt()
    assert (mean - net.deterministic(keypoints)).abs().max() < 1e-6
    assert not samples[..., 0, :].any()


def test_tails_raise_the_fourth_moment_and_leave_the_second():
    generator = torch.Generator().manual_seed(0)
    mean, factor = torch.zeros(5, 3), torch.randn(5, 3, 5, generator=generator)
    scale, eps = torch.rand(5, 3, generator=generator), torch.randn(400_000, 5, 4, generator=generator)
    scale[0] = 0  # the pelvis'
    light, heavy = (PoseGaussian(mean, factor, scale, torch.tensor(tail)).sample(eps) for tail in (0.0, 0.3))
    second, fourth = (heavy.pow(n).mean(0) / light.pow(n).mean(0) for n in (2, 4))
    assert (second - 1).abs().max() < 0.02
    assert (fourth / np.exp(4 * 0.3**2) - 1).abs().max() < 0.05


@torch.no_grad()
def test_samples_of_a_framed_lifter_are_those_of_each_window_alone():
    """Its tails, factors and rotations belong to the same windows; mirror images keep the tails."""
    torch.manual_seed(0)
    lifter = build_lifter("gaussian_mlp", framed=True, hidden=16, frames=3).eval().double()
    keypoints = points(B=3, T=6)[1]
    (found,), eps = lifter.distribution(keypoints).components, torch.randn(5, 3, 4, 17, 4, dtype=torch.float64)
    assert found.tail.std() > 1e-4
    for b, t in np.ndindex(3, 4):
        (alone,) = lifter.distribution(keypoints[b : b + 1, t : t + 3]).components
        assert (alone.sample(eps[:, b : b + 1, t : t + 1])[:, 0, 0] - found.sample(eps)[:, b, t]).abs().max() < 1e-9
    assert torch.equal(found.mirrored(MIRROR).tail, found.tail)


@torch.no_grad()
def test_alpha_scales_the_noise_of_each_coordinate_alone():
    lifter, keypoints = build_lifter("gaussian_mlp", hidden=32).eval(), points(B=2, T=1)[1].float()
    nets = {alpha: OnePassSampler(lifter, alpha).eval() for alpha in (0, 0.5, 1)}
    poses = {alpha: net.sample(keypoints, 4, torch.Generator().manual_seed(0)) for alpha, net in nets.items()}
    assert (poses[0] + poses[1] - 2 * poses[0.5]).abs().max() < 1e-6
    assert (poses[1] - poses[0]).abs().max() > 1e-3
    covariances = {alpha: net.moments(keypoints)[1] for alpha, net in nets.items()}
    added = {alpha: covariances[alpha] - covariances[0] for alpha in (0.5, 1)}
    assert torch.allclose(added[0.5], added[1] / 4, atol=1e-7)
    with pytest.raises(ValueError, match="expected alpha"):
        OnePassSampler(lifter, -1)


@torch.no_grad()
def test_samples_do_not_depend_on_how_many_are_lifted_at_once():
    """Components and images take turns over all samples, whatever the size of the batch."""
    keypoints, names = points(B=1, T=1)[1].float(), [0, 2, 3]
    for net in [list(samplers())[k] for k in names if receptive_field(list(samplers())[k].lifter) == 1]:
        alone = net.sample(keypoints, 8, torch.Generator().manual_seed(0))
        eps = torch.stack(
            [
                torch.randn(2, 1, 1, 17, net.noise_channels, generator=g)
                for g in [torch.Generator().manual_seed(0)]
                for _ in range(8)
            ]
        )
        many = keypoints.expand(200, -1, -1, -1)
        noise = eps.expand(-1, -1, 200, -1, -1, -1)
        parts = [net(many, *noise[s : s + 1].unbind(1), None, s) for s in range(8)]
        assert (torch.cat(parts)[:, :1] - alone).abs().max() < 1e-5
        batch = net.sample(many, 40, torch.Generator().manual_seed(1)).mean((0, 1))
        assert (batch - net.deterministic(keypoints)[0]).norm(dim=-1).max() < 0.15 * alone.std(0).norm(dim=-1).max()


def samplers():
    torch.manual_seed(2)
    noise = LearntNoise(build_variance_net("mgcn_lw", hidden=8), framed=True)
    yield build_sampler(build_lifter("mgcn_lw", framed=True, hidden=8, blocks=1), noise).eval()
    yield build_sampler(build_lifter("temporal", channels=8, filter_widths=[3]), LearntNoise(None)).eval()
    yield build_sampler(build_lifter("gaussian_gcn", framed=True, hidden=8, blocks=1, frames=3), None).eval()
    yield build_sampler(build_lifter("gaussian_mixture", members=MEMBERS), None).eval()


@pytest.mark.parametrize("number", range(4))
@torch.no_grad()
def test_axioms_of_mixtures(number):
    net, keypoints = list(samplers())[number], points(B=2, T=5)[1].float()
    generator = torch.Generator().manual_seed(0)
    eps, eps_mirrored = torch.randn(2, 6, 2, 5, 17, net.noise_channels, generator=generator)
    poses = net(keypoints, eps, eps_mirrored)
    assert poses.shape == (6, 2, 5 - receptive_field(net.lifter) + 1, 17, 3)
    assert not poses[..., 0, :].any()
    assert (net(keypoints[:1], eps[:, :1], eps_mirrored[:, :1]) - poses[:, :1]).abs().max() < 1e-5
    assert (net(keypoints, eps[:3], eps_mirrored[:3]) - poses[:3]).abs().max() < 1e-5
    # Even samples are of the keypoints and their noise, odd ones of the mirror image and its own.
    other = net(keypoints, eps, torch.zeros_like(eps))
    assert (other[::2] - poses[::2]).abs().max() < 1e-5
    if net.noise is not None:
        assert (other[1::2] - poses[1::2]).abs().max() > 1e-3
    pairs = [eps_mirrored.unflatten(0, (-1, 2)).flip(1).flatten(0, 1), eps.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)]
    if net.noise is None:  # one-pass samplers use eps alone, in the order of the pose's joints
        pairs = [torch.cat([pairs[1][..., MIRROR, :3], pairs[1][..., 3:]], dim=-1)] * 2
    flipped = mirror_pose(net(mirror_pose(keypoints, MIRROR), *pairs), MIRROR)
    assert (flipped.unflatten(0, (-1, 2)).flip(1).flatten(0, 1) - poses).abs().max() < 1e-5
    still = net(keypoints, torch.zeros_like(eps), torch.zeros_like(eps))
    n = 2 * (len(MEMBERS) if number == 3 else 1)
    assert (still[:n].mean(0) - net.deterministic(keypoints)).abs().max() < 1e-5


@pytest.mark.parametrize("number", range(3))
def test_without_a_mirror_image_samples_are_of_the_keypoints_with_gradients(number):
    net, keypoints = list(samplers())[number].train(), points(B=4, T=3)[1].float()
    eps = torch.randn(2, 4, 3, 17, net.noise_channels)
    poses = net(keypoints, eps, None)
    assert poses.shape == (2, 4, 3 - receptive_field(net.lifter) + 1, 17, 3)
    net.eval()
    with torch.no_grad():
        assert (net(keypoints, eps, None)[0] - net(keypoints, eps, eps)[0]).abs().max() < 1e-5
    net.train()
    poses = net(keypoints, eps, None)
    poses.square().mean().backward()
    unused = [name for name, p in net.named_parameters() if p.grad is None]
    assert not unused


def test_learnt_noise_scales_with_the_person_and_each_axis():
    noise = LearntNoise(None, alpha=0.1, framed=True)
    keypoints = points(B=3, T=1)[1].float()[:, 0]
    with torch.no_grad():
        noise.log_scale[3, 1] = np.log(2)
        near, far = noise(keypoints), noise(keypoints / 2)
    sizes = [frame_person(x[:, None])[2][:, None, None] for x in (keypoints, keypoints / 2)]
    assert torch.allclose(near.stddev / far.stddev, sizes[0] / sizes[1])
    assert (sizes[0] / sizes[1] - 2).abs().max() < 0.3, "twice as large, but for the perspective"
    assert torch.allclose(near.stddev[:, 3, 1], 2 * near.stddev[:, 3, 0])
    with pytest.raises(ValueError, match="expected alpha"):
        LearntNoise(None, alpha=-1)


def test_stepped_networks_use_every_nth_frame():
    torch.manual_seed(0)
    lifter = build_lifter("gaussian_mlp", hidden=8, frames=3, step=2).eval()
    keypoints = points(B=1, T=5)[1].float()
    other = keypoints.clone()
    other[:, 1::2] += 1
    assert receptive_field(lifter) == 5
    assert torch.equal(lifter(keypoints), lifter(other))
    with pytest.raises(ValueError, match="expected step >= 1"):
        build_lifter("gaussian_mlp", step=0)


def test_samplers_are_built_by_their_noise():
    lifter = build_lifter("mgcn_lw", hidden=8)
    published = build_sampler(lifter, build_variance_net("mgcn_lw"), 0.01, 0.5)
    assert (published.flip, published.noise.alpha, published.noise.floor) == ("average", 0.01, 0.5)
    learnt = build_sampler(lifter, LearntNoise(None))
    assert (type(learnt), learnt.flip, learnt.moments(torch.zeros(1, 1, 17, 2))[1]) == (Sampler, "mixture", None)


def test_mixtures_need_one_pass_members_of_one_kind():
    for members, message in [
        ([], "expected members"),
        ([{"hidden": 8}], "expected members"),
        ([{"name": "mgcn_lw"}], "expected one-pass lifters"),
        ([MEMBERS[0], {"name": "gaussian_gcn"}], "all of them framed or none"),
        ([MEMBERS[0], {**MEMBERS[0], "frames": 3}], "of the same frames"),
    ]:
        with pytest.raises(ValueError, match=message):
            build_lifter("gaussian_mixture", members=members)
