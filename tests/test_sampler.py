import pytest
import torch

from prpose.lifter import build_lifter, receptive_field
from prpose.noise import AdaptiveNoise, ConstantNoise
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, mirror_pose
from tests.golden_numbers import VARIANCE_OF, arrays, sampler
from tests.measure import peak_gib


def golden_case():
    golden = arrays("pipeline/pipeline.npz")
    keypoints = torch.from_numpy(golden["input_2D"][:, 0])[:, None]
    noise = torch.from_numpy(golden["noise"]).transpose(0, 1)[:, :, :, None]  # S B 2 T J 2
    return golden, keypoints, noise[:, :, 0], noise[:, :, 1]


@pytest.mark.parametrize("lifter", VARIANCE_OF)
@pytest.mark.parametrize("alpha", [0.005, 0.01])
@pytest.mark.parametrize("chunk", [7, 512])
@torch.no_grad()
def test_pipeline_parity(lifter, alpha, chunk, device):
    golden, *inputs = golden_case()
    net = sampler(lifter, alpha, chunk).to(device)
    poses = net(*(x.to(device) for x in inputs)).cpu()
    expected = torch.from_numpy(golden[f"{lifter}/alpha{alpha}/output_3D"]).transpose(0, 1)
    assert (poses[:, :, 0] - expected).abs().max() < 1e-5
    single = net.deterministic(inputs[0].to(device)).cpu()
    assert (single - torch.from_numpy(golden[f"{lifter}/single/output_3D"])).abs().max() < 1e-5


@pytest.mark.parametrize("lifter", VARIANCE_OF)
@torch.no_grad()
def test_axioms(lifter):
    net = sampler(lifter, chunk=11)
    _, keypoints, eps, eps_mirrored = golden_case()
    poses = net(keypoints, eps, eps_mirrored)
    still = net(keypoints, torch.zeros_like(eps), torch.zeros_like(eps))
    assert (still - net.deterministic(keypoints)).abs().max() < 1e-6
    order = torch.tensor([3, 0, 4, 1, 2])
    assert (net(keypoints, eps[order], eps_mirrored[order]) - poses[order]).abs().max() < 1e-5
    for b in range(len(keypoints)):
        alone = net(keypoints[b : b + 1], eps[:, b : b + 1], eps_mirrored[:, b : b + 1])
        assert (alone - poses[:, b : b + 1]).abs().max() < 1e-5
    # The mirror image with the two noises exchanged is the mirrored answer.
    flipped = net(mirror_pose(keypoints, H36M_17.mirror), eps_mirrored, eps)
    assert (flipped - mirror_pose(poses, H36M_17.mirror)).abs().max() < 1e-5
    assert not poses[..., 0, :].any()


@torch.no_grad()
def test_sampling_repeats_nests_and_ignores_the_chunk():
    _, keypoints, *_ = golden_case()
    whole, pieces = sampler("mgcn_lw"), sampler("mgcn_lw", chunk=3)

    def sample(net, S, seed):
        return net.sample(keypoints, S, torch.Generator().manual_seed(seed))

    poses = sample(whole, 6, 1)
    assert torch.equal(poses, sample(whole, 6, 1))
    assert not torch.equal(poses, sample(whole, 6, 2))
    assert (poses - sample(pieces, 6, 1)).abs().max() < 1e-5
    assert (poses[:2] - sample(whole, 2, 1)).abs().max() < 1e-5


@torch.no_grad()
def test_two_independent_draws_narrow_the_spread_by_root_two():
    class Flat(torch.nn.Module):  # linear: exactly what averaging promises
        def forward(self, keypoints):
            return torch.nn.functional.pad(keypoints, (0, 1))

    class Two(torch.nn.Module):
        def forward(self, keypoints):
            return torch.full_like(keypoints[..., :1], 2.0)

    net = Sampler(Flat(), AdaptiveNoise(Two(), alpha=0.01), chunk=4096)
    poses = net.sample(torch.zeros(1, 1, 17, 2), 50_000, torch.Generator().manual_seed(0))
    assert (poses.std(0)[0, 0, 1:, :2] / (0.02 / 2**0.5) - 1).abs().max() < 0.02


X, EPS = torch.zeros(2, 1, 17, 2), torch.zeros(3, 2, 1, 17, 2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        *(((torch.zeros(shape), EPS, EPS), r"expected keypoints of shape \(B, T, 17, 2\)")
          for shape in [(2, 17, 2), (2, 1, 16, 2), (2, 1, 17, 3), (0, 1, 17, 2), (2, 0, 17, 2)]),
        *(((X + bad, EPS, EPS), "finite keypoints, got NaN") for bad in (float("nan"), float("inf"))),
        ((X, EPS + float("nan"), EPS), "expected finite eps, got NaN"),
        ((X, EPS, EPS + float("inf")), "expected finite eps_mirrored, got NaN"),
        ((X, EPS, EPS[:, 0]), r"expected eps_mirrored of shape \(S, 2, 1, 17, 2\)"),
        ((X, torch.empty_like(EPS, device="meta"), EPS), "expected eps on cpu, got meta"),
        ((X.numpy(), EPS, EPS), "keypoints as a tensor of floating.*got ndarray"),
        ((X.long(), EPS, EPS), "keypoints as a tensor of floating.*got torch.int64"),
        *(((X, EPS[:S], EPS[:other]), f"S >= 1, got {other} and {S}") for S, other in [(3, 2), (2, 3), (0, 0)]),
    ],
)  # fmt: skip
def test_bad_inputs_raise(inputs, message):
    net, generator = sampler("mgcn_lw"), torch.Generator()
    with pytest.raises(ValueError, match=message):
        net(*inputs)
    keypoints, S = (inputs[0], 2) if "keypoints" in message else (X, 0)
    with pytest.raises(ValueError, match=message if S else "expected num_samples >= 1, got 0"):
        net.sample(keypoints, S, generator)


PEAK = """
import torch
from prpose import AdaptiveNoise, Sampler, build_lifter, build_variance_net
net = Sampler(build_lifter("htnet"), AdaptiveNoise(build_variance_net("htnet"))).eval()
with torch.no_grad():
    poses = net.sample(torch.zeros({B}, 1, 17, 2), {S}, torch.Generator().manual_seed(0))
assert poses.shape == ({S}, {B}, 1, 17, 3)
"""


@pytest.mark.slow
def test_peak_memory_hardly_grows_with_num_samples():
    small, large = (peak_gib(PEAK.format(B=64, S=S)) for S in (8, 64))
    assert large - small < 0.15
    assert peak_gib(PEAK.format(B=512, S=200)) < 2


def test_gradients_flow_to_the_keypoints_whatever_the_chunk():
    _, keypoints, eps, eps_mirrored = golden_case()
    gradients = []
    for chunk in (3, 512):
        net, x = sampler("mgcn_lw", chunk=chunk), keypoints.clone().requires_grad_()
        net(x, eps, eps_mirrored).square().mean().backward()
        gradients.append(x.grad)
    assert gradients[0].abs().max() > 0
    assert (gradients[0] - gradients[1]).abs().max() < 1e-6


@pytest.mark.parametrize(("name", "kw"), [("mgcn_lw", {}), ("temporal", {"channels": 8, "filter_widths": (3, 3)})])
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_clips_of_many_frames_are_lifted_in_pieces(name, kw, chunk):
    torch.manual_seed(0)
    lifter = build_lifter(name, **kw).eval()
    net, whole = (Sampler(lifter, ConstantNoise(0.02), chunk=n) for n in (chunk, 1000))
    keypoints = torch.rand(2, 20, 17, 2) * 2 - 1
    eps, eps_mirrored = torch.randn(2, 3, *keypoints.shape)
    with torch.no_grad():
        poses, single = net(keypoints, eps, eps_mirrored), net.deterministic(keypoints)
        assert torch.allclose(poses, whole(keypoints, eps, eps_mirrored), atol=1e-5)
        assert torch.allclose(single, whole.deterministic(keypoints), atol=1e-5)
    F = receptive_field(lifter)
    assert poses.shape == (3, 2, 20 - F + 1, 17, 3)
    part = net(keypoints[:, 4 : 4 + F], eps[:, :, 4 : 4 + F], eps_mirrored[:, :, 4 : 4 + F])
    assert torch.allclose(part[:, :, 0], poses[:, :, 4], atol=1e-5)


def test_shared_noise_moves_all_frames_alike_and_iid_noise_jitters():
    torch.manual_seed(0)
    net = Sampler(build_lifter("mgcn_lw").eval(), ConstantNoise(0.02))
    keypoints = (torch.rand(1, 1, 17, 2) * 2 - 1).expand(1, 15, 17, 2)  # the person stands still
    with torch.no_grad():
        jittering, slow, still = (
            net.sample(keypoints, 8, torch.Generator().manual_seed(1), rho=rho).diff(dim=2).abs()
            for rho in (0.0, 0.9, 1.0)
        )
    assert still.max() < 1e-5
    assert 0 < slow.mean() < 0.6 * jittering.mean()


def test_extra_sigma_adds_its_variance_and_is_mirrored():
    torch.manual_seed(0)
    lifter = build_lifter("mgcn_lw").eval()
    keypoints, eps, eps_mirrored = torch.rand(3, 1, 17, 2), *torch.randn(2, 4, 3, 1, 17, 2)
    with torch.no_grad():
        plain, both = (Sampler(lifter, ConstantNoise(sigma)) for sigma in (0.03, 0.018))
        sigma = torch.full((3, 1, 17), 0.024)  # 0.018² + 0.024² = 0.03²
        expected = plain(keypoints, eps, eps_mirrored)
        assert torch.allclose(both(keypoints, eps, eps_mirrored, sigma), expected, atol=1e-5)
        one = torch.zeros(3, 1, 17)
        one[..., 13] = 0.5  # the left wrist, which is the right one in the mirror image
        moved = Sampler(lifter, ConstantNoise(0.0))(keypoints, 0 * eps, eps_mirrored, one)
        by_hand = mirror_pose(keypoints, H36M_17.mirror)[None].repeat(4, 1, 1, 1, 1)
        by_hand[..., 16, :] += 0.5 * eps_mirrored[..., 16, :]
        mirrored = mirror_pose(lifter(by_hand.flatten(0, 1)), H36M_17.mirror).unflatten(0, (4, 3))
        expected = (lifter(keypoints) + mirrored) / 2
        assert torch.allclose(moved[..., 1:, :], expected[..., 1:, :], atol=1e-5)
    with pytest.raises(ValueError, match=r"expected extra_sigma of shape \(3, 1, 17\), got \(3, 17\)"):
        both(keypoints, eps, eps_mirrored, sigma[:, 0])
