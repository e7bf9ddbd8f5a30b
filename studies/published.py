"""Published ways to draw many poses, rebuilt from their descriptions with random weights: only their cost is the same.

Facts are of the papers and, where these leave them open, of the releases: the layers of the coupling flow, the kernels'
single standard deviations, the numbers of the condition of DiffPose.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import zuko
from torch import Tensor, nn
from torch.nn.functional import elu

from prpose.skeleton import H36M_17, mirror_pose

J = 16  # joints of the single-frame networks, without the pelvis


def kept(time: float) -> float:
    """The share of the poses' variance that the noise leaves at a time from 0 to 1: the cosine schedule."""
    return max(1e-4, math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2)


def denoised(poses: Tensor, steps: int, clean: Callable[[Tensor, float], Tensor]) -> Tensor:
    """Poses from noise in some steps of DDIM (Song et al., ICLR 2021), each with an estimate of the clean poses."""
    for now, then in pairwise(torch.linspace(1, 0, steps + 1).tolist()):
        estimate = clean(poses, now)
        noise = (poses - math.sqrt(kept(now)) * estimate) / math.sqrt(1 - kept(now))
        poses = math.sqrt(kept(then)) * estimate + math.sqrt(1 - kept(then)) * noise
    return poses


class D3DP(nn.Module):
    """Diffusion of clips of poses (Shan et al., ICCV 2023, arXiv 2303.11579) with the denoiser MixSTE (CVPR 2022).

    Pairs of blocks, whose tokens are a frame's joints and then a joint's frames, predict the clean poses.
    """

    def __init__(self, frames: int = 243, channels: int = 512, pairs: int = 8, heads: int = 8) -> None:
        super().__init__()
        joints = len(H36M_17)
        self.embed, self.head = nn.Linear(5, channels), nn.Linear(channels, 3)
        self.time = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.joint = nn.Parameter(0.02 * torch.randn(joints, channels))
        self.frame = nn.Parameter(0.02 * torch.randn(frames, 1, channels))
        block = partial(nn.TransformerEncoderLayer, channels, heads, 2 * channels, 0.0, "gelu", norm_first=True)
        self.blocks = nn.ModuleList(block(batch_first=True) for _ in range(2 * pairs))
        self.norm = nn.LayerNorm(channels)

    def forward(self, keypoints: Tensor, noisy: Tensor, time: float) -> Tensor:
        """(B, T, J, 2), (B, T, J, 3) and the time of the diffusion, from 0 to 1 → clean poses (B, T, J, 3)."""
        half = self.joint.shape[-1] // 2
        angles = 1000 * time * torch.exp(-math.log(1e4) / half * torch.arange(half))
        x = self.embed(torch.cat([keypoints, noisy], dim=-1)) + self.joint
        x = x + self.time(torch.cat([angles.sin(), angles.cos()]))
        for number, (spatial, temporal) in enumerate(zip(self.blocks[::2], self.blocks[1::2], strict=True)):
            x = spatial(x.flatten(0, 1)).view_as(x)
            x = (x + self.frame if number == 0 else x).transpose(1, 2)
            x = temporal(x.flatten(0, 1)).view_as(x).transpose(1, 2)
        return self.head(self.norm(x))

    def sample(self, keypoints: Tensor, H: int, K: int) -> Tensor:
        """H hypotheses of a clip (T, J, 2) by K iterations of DDIM, each averaged over both images, (H, T, J, 3)."""
        both = torch.stack([keypoints, mirror_pose(keypoints, H36M_17.mirror)])

        def clean(poses: Tensor, time: float) -> Tensor:
            pairs = (torch.stack([pose, mirror_pose(pose, H36M_17.mirror)]) for pose in poses)
            found = [self(both, pair, time) for pair in pairs]  # one at a time, which fits the cache
            return torch.stack([(own + mirror_pose(other, H36M_17.mirror)) / 2 for own, other in found])

        return denoised(torch.randn(H, *keypoints.shape[:-1], 3), K, clean)


class CouplingFlow(nn.Module):
    """The flow of Wehrbein et al. (ICCV 2021, arXiv 2107.13788): 8 blocks of two affine couplings (zuko).

    Poses come from the keypoints and a latent vector of 16 numbers; the condition is six numbers of a Gaussian in the
    heatmap of each of 13 joints.
    """

    def __init__(self, couplings: int = 16, hidden: int = 1028, context: int = 56) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(13 * 6, 256), nn.ReLU(), nn.Linear(256, context))
        self.flow = zuko.flows.RealNVP(3 * J, context, couplings, randmask=True, hidden_features=(hidden,))

    def sample(self, gaussians: Tensor, keypoints: Tensor, S: int) -> Tensor:
        """(B, 78) and (B, J, 2) → (S, B, J, 3)."""
        flat = keypoints.flatten(1)
        code = torch.cat([flat.expand(S, -1, -1), torch.randn(S, len(flat), J)], dim=-1)
        return self.flow(self.condition(gaussians)).transform.inv(code).unflatten(-1, (J, 3))


class Residual(nn.Module):
    """A linear layer, two residual blocks of two layers, and a linear map (Martinez et al., ICCV 2017)."""

    def __init__(self, inputs: int, outputs: int, hidden: int, norm: bool) -> None:
        super().__init__()

        def layer(inputs: int = hidden) -> list[nn.Module]:
            act = [nn.BatchNorm1d(hidden), nn.ReLU()] if norm else [nn.LeakyReLU()]
            return [nn.Linear(inputs, hidden), *act]

        self.first = nn.Sequential(*layer(inputs))
        self.blocks = nn.ModuleList(nn.Sequential(*layer(), *layer()) for _ in range(2))
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


class MixtureDensityNetwork(nn.Module):
    """Of Li & Lee (CVPR 2019, arXiv 1904.05547): five isotropic Gaussians and their weights."""

    def __init__(self, hidden: int = 1024, kernels: int = 5) -> None:
        super().__init__()
        self.kernels, self.net = kernels, Residual(2 * J, kernels * (3 * J + 2), hidden, norm=True)

    def sample(self, keypoints: Tensor, S: int) -> Tensor:
        """(B, J, 2) → (S, B, J, 3)."""
        mean, sigma, weight = self.net(keypoints.flatten(1)).unflatten(1, (self.kernels, -1)).split([3 * J, 1, 1], -1)
        chosen = torch.multinomial(weight[..., 0].softmax(1), S, replacement=True)  # (B, S)
        b = torch.arange(len(chosen))[:, None]
        poses = mean[b, chosen] + (elu(sigma) + 1)[b, chosen] * torch.randn(*chosen.shape, 3 * J)
        return poses.transpose(0, 1).unflatten(-1, (J, 3))


class DiffPose(nn.Module):
    """Diffusion of single poses (Holmquist & Wandt, ICCV 2023): 25 steps, conditioned on an embedding of heatmaps.

    The network that makes the 128 numbers a joint of the condition is left out.
    """

    def __init__(self, hidden: int = 1024, condition: int = 128 * J, steps: int = 25) -> None:
        super().__init__()
        self.steps, self.net = steps, Residual(3 * J + condition + 1, 3 * J, hidden, norm=False)

    def sample(self, condition: Tensor, S: int) -> Tensor:
        """(B, condition) → (S, B, J, 3)."""
        condition = condition.repeat(S, 1)

        def clean(poses: Tensor, time: float) -> Tensor:
            noise = self.net(torch.cat([poses, poses.new_full((len(poses), 1), time), condition], dim=1))
            return (poses - math.sqrt(1 - kept(time)) * noise) / math.sqrt(kept(time))

        poses = denoised(torch.randn(len(condition), 3 * J), self.steps, clean)
        return poses.unflatten(0, (S, -1)).unflatten(-1, (J, 3))
