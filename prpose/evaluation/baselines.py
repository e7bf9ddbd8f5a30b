"""Baselines of adaptive noise, and how well its sigma ranks the lifter's errors."""

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

LEAST_N = 50
"""Least number of frames of a rank correlation."""


class IsotropicCloud(nn.Module):
    """One isotropic 3D Gaussian around a sampler's deterministic pose.

    Args:
        net: sampler whose deterministic pose is the mean.
        sigma_m: standard deviation of every coordinate, metres.
    """

    def __init__(self, net: Sampler, sigma_m: float) -> None:
        super().__init__()
        self.net = net
        self.sigma_m = sigma_m

    def deterministic(self, keypoints: Tensor) -> Tensor:
        """As :meth:`Sampler.deterministic`."""
        return self.net.deterministic(keypoints)

    def forward(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
    ) -> Tensor:
        """As :meth:`Sampler.forward`, with three of the four noise coordinates of a joint, and no extra sigma."""
        poses = self.net.deterministic(keypoints)
        eps3 = torch.cat([eps, eps_mirrored[..., :1]], dim=-1)  # (S, B, T, J, 3)
        first = own_frame(self.net.lifter)
        cloud = poses + self.sigma_m * eps3[..., first : first + poses.shape[1], :, :]
        cloud[..., 0, :] = 0
        return cloud


@torch.no_grad()
def baseline_samplers(net: Sampler, windows: Windows, device: torch.device) -> dict[str, Sampler | IsotropicCloud]:
    """A sampler with adaptive noise and its baselines, by name.

    Args:
        net: on ``device``.
        windows: of the validation split, to fit the baselines on.
        device: of the networks.
    """
    assert isinstance(net.noise, AdaptiveNoise), "constant noise is a baseline itself"
    constant, gaussian = equal_variance(net.noise, windows, device), fitted_isotropic(net, windows, device)
    return {
        f"adaptive, alpha {net.noise.alpha:.4g}": net,
        f"constant, sigma {constant.sigma:.4g}": Sampler(net.lifter, constant).to(device),
        f"3D Gaussian, {gaussian.sigma_m * 1000:.1f} mm": gaussian,
    }


@torch.no_grad()
def equal_variance(noise: AdaptiveNoise, windows: Windows, device: torch.device) -> ConstantNoise:
    """Constant noise of the adaptive noise's mean variance over frames and joints."""
    variances = [
        noise(batch.keypoints.to(device)).variance.flatten(1).mean(1).cpu() for _, batch in windows.batches(512)
    ]
    return ConstantNoise(math.sqrt(float(torch.cat(variances).double().mean())))


@torch.no_grad()
def fitted_isotropic(net: Sampler, windows: Windows, device: torch.device) -> IsotropicCloud:
    """The isotropic Gaussian of maximum likelihood on ``windows``."""
    squares = []
    for _, batch in windows.batches(512):
        error = net.deterministic(batch.keypoints.to(device)) - batch.target.to(device)
        squares.append(error[..., 1:, :].square().flatten(1).mean(1).cpu())
    return IsotropicCloud(net, math.sqrt(float(torch.cat(squares).double().mean())))


@torch.no_grad()
def sigma_rank_correlation(net: Sampler, windows: Windows, device: torch.device) -> dict[str, list[float | None]]:
    """Spearman's correlation over frames of predicted sigma and error of the deterministic pose, per joint.

    Returns:
        ``all``, and ``visible`` and ``occluded`` where the clips know it; None for a joint with fewer than 50 frames.
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
        occluded = np.stack([np.asarray(hidden[clip])[frame] for clip, frame in rows])
        masks |= {"visible": ~occluded, "occluded": occluded}
    return {
        name: [_correlation(sigma[mask[:, j], j], error[mask[:, j], j]) for j in range(error.shape[1])]
        for name, mask in masks.items()
    }


def _correlation(sigma: Array, error: Array) -> float | None:
    return rank_correlation(sigma, error) if len(sigma) >= LEAST_N else None
