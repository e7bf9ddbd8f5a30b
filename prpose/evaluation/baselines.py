"""What adaptive noise has to beat, and whether it knows what it should: where the lifter errs."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from prpose.camera import Array
from prpose.data.windows import Windows
from prpose.lifter import own_frame
from prpose.metrics import joint_errors, rank_correlation
from prpose.noise import AdaptiveNoise, ConstantNoise
from prpose.sampler import Sampler


class IsotropicCloud(nn.Module):
    """One 3D Gaussian of the same width everywhere around a lifter's own answer.

    Args:
        net: whose answer; its noise is not used.
        width_m: standard deviation of every coordinate, metres.
    """

    def __init__(self, net: Sampler, width_m: float) -> None:
        super().__init__()
        self.net = net
        self.width_m = width_m

    def single(self, keypoints: Tensor) -> Tensor:
        """As :meth:`Sampler.deterministic`."""
        return self.net.deterministic(keypoints)

    def forward(self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, doubt: Tensor | None = None) -> Tensor:
        """As :meth:`Sampler.forward`: three of the four numbers of a joint's noise.

        It is of the same width everywhere, whatever the doubt.
        """
        poses = self.net.deterministic(keypoints)
        eps3 = torch.cat([eps, eps_mirrored[..., :1]], dim=-1)  # (S, B, T, J, 3)
        first = own_frame(self.net.lifter)
        cloud = poses + self.width_m * eps3[..., first : first + poses.shape[1], :, :]
        cloud[..., 0, :] = 0
        return cloud


@torch.no_grad()
def equal_variance(noise: AdaptiveNoise, windows: Windows, device: torch.device) -> ConstantNoise:
    """Constant noise whose variance is the adaptive noise's mean over frames and joints."""
    variances = [
        noise(batch.keypoints.to(device)).variance.flatten(1).mean(1).cpu() for _, batch in windows.batches(512)
    ]
    return ConstantNoise(math.sqrt(float(torch.cat(variances).double().mean())))


@torch.no_grad()
def fitted_isotropic(net: Sampler, windows: Windows, device: torch.device) -> IsotropicCloud:
    """The isotropic Gaussian that makes the truth most likely on ``windows``."""
    squares = []
    for _, batch in windows.batches(512):
        error = net.deterministic(batch.keypoints.to(device)) - batch.target.to(device)
        squares.append(error[..., 1:, :].square().flatten(1).mean(1).cpu())
    return IsotropicCloud(net, math.sqrt(float(torch.cat(squares).double().mean())))


@torch.no_grad()
def awareness(net: Sampler, windows: Windows, device: torch.device) -> dict[str, list[float | None]]:
    """Spearman's correlation of predicted sigma and true error over frames, joint by joint.

    Args:
        net: with adaptive noise.
        windows: to look at.
        device: of the net.

    Returns:
        ``all``, and ``seen`` and ``hidden`` where the clips know what is hidden; None for a joint
        that is so in fewer than 50 frames.
    """
    sigmas, errors = [], []
    for _, batch in windows.batches(512):
        keypoints = batch.keypoints.to(device)
        sigmas.append(net.noise(keypoints[:, own_frame(net.lifter)]).stddev[..., 0].cpu())
        errors.append(joint_errors(net.deterministic(keypoints), batch.target.to(device))[:, 0].cpu())
    sigma, error = torch.cat(sigmas).numpy(), torch.cat(errors).numpy()
    masks = {"all": np.ones(error.shape, bool)}
    hidden = [clip.hidden for clip in windows.clips]
    if all(each is not None for each in hidden):
        rows = zip(windows.clip_of.tolist(), windows.frame_of.tolist(), strict=True)
        out_of_sight = np.stack([np.asarray(hidden[clip])[frame] for clip, frame in rows])
        masks |= {"seen": ~out_of_sight, "hidden": out_of_sight}
    return {
        name: [_known(sigma[mask[:, j], j], error[mask[:, j], j]) for j in range(error.shape[1])]
        for name, mask in masks.items()
    }


def _known(sigma: Array, error: Array) -> float | None:
    return rank_correlation(sigma, error) if len(sigma) >= 50 else None
