"""Noise on keypoints: how large it is (PRPose's AVG)."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import softplus

from prpose.nets.framed import frame_person
from prpose.nets.layers import body_adjacency, construct
from prpose.nets.mlp import ResidualMLP
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.rng import check_scale
from prpose.skeleton import H36M_17
from prpose.tables import look_up

_OF_HTNET = partial(ModulatedGCN, body_adjacency(H36M_17.parents))
VARIANCE_NETS: dict[str, Callable[..., nn.Module]] = {
    "htnet": _OF_HTNET,
    "mgcn_lw": ResidualMLP,
    **dict.fromkeys(("modulated_gcn", "graphmlp", "temporal"), _OF_HTNET),
}
"""The variance net of each lifter, by the lifter's name: those of the first two are published; else, HTNet's."""


CONSTANT = "constant"  # the learnt noise without a variance net


def variance_net_of(lifter: str) -> str:
    """The name of a lifter's variance net, a key of :data:`VARIANCE_NETS`; ``htnet`` for other lifters."""
    return lifter if lifter in VARIANCE_NETS else "htnet"


def build_variance_net(name: str, **kw: Any) -> nn.Module:
    """A variance net with random weights, by a key of :data:`VARIANCE_NETS`; the defaults are the published network.

    It maps normalised keypoints (*, 17, 2) to (*, 17, 1): the expected error of the lifter at each joint, relative to
    its mean error. ``ValueError`` for an unknown name, or arguments that the network does not accept.
    """
    return construct(name, look_up(name, VARIANCE_NETS, "variance net"), kw)


def build_learnt_noise(name: str, framed: bool = False, **kw: Any) -> "LearntNoise":
    """Learnt noise with a variance net of random weights, by its name, or ``constant``; errors as of the net."""
    if not isinstance(framed, bool) or (name == CONSTANT and kw):
        raise ValueError(f"learnt noise {name}: expected framed to be true or false, got {framed!r:.80} and {kw}")
    return LearntNoise(None if name == CONSTANT else build_variance_net(name, **kw), framed=framed)


class AdaptiveNoise(nn.Module):
    r"""A normal distribution around the keypoints, wider where the lifter tends to be wrong.

    .. math:: σ_j = α \max(g(x)_j, 1), \quad x̃ \sim N(x, σ²)

    with the same σ for both coordinates of a joint (arXiv 2405.02114, §3.2).

    Args:
        variance_net: g, (*, J, 2) → (*, J, 1).
        alpha: scale α in normalised units (half image widths). Published: 0.005 for Human3.6M, 0.01 for MPI-INF-3DHP.
        floor: lower bound of g, published as 1.
    """

    def __init__(self, variance_net: nn.Module, alpha: float = 0.005, floor: float = 1.0) -> None:
        super().__init__()
        check_scale("alpha", alpha)
        check_scale("floor", floor)
        self.variance_net, self.alpha, self.floor = variance_net, alpha, floor

    def forward(self, keypoints: Tensor) -> Normal:
        """The distribution of noisy keypoints, (*, J, 2): mean the keypoints, stddev the same for x and y."""
        sigma = self.alpha * self.variance_net(keypoints).clamp_min(self.floor)  # (*, J, 1)
        return Normal(keypoints, sigma.expand_as(keypoints), validate_args=False)


class LearntNoise(nn.Module):
    r"""Noise that is trained with the lifter, by the energy score of the poses (:mod:`prpose.training.energy`).

    .. math:: σ_{jc} = s α e^{p_{jc}} \operatorname{softplus}(4 g(x)_j) / 4, \quad x̃ \sim N(x, σ²)

    for joint j and axis c, with α and p learnt. It is not a model of the detector's error but the source of all variety
    of the poses, depth included.

    Args:
        variance_net: g, (*, J, 2) → (*, J, 1); without it, softplus(4 g) = 1: the same noise for all poses.
        alpha: initial value of α; in units of the keypoints, or, framed, of framed ones (:func:`frame_person`).
        framed: whether g gets framed keypoints, and s is the size that they were divided by; else s = 1.
    """

    def __init__(
        self, variance_net: nn.Module | None, alpha: float = 0.02, framed: bool = False, joints: int = 17
    ) -> None:
        super().__init__()
        check_scale("alpha", alpha)
        self.variance_net, self.framed = variance_net, framed
        self.log_alpha = nn.Parameter(torch.tensor(math.log(max(alpha, 1e-9))))
        self.log_scale = nn.Parameter(torch.zeros(joints, 2))

    def forward(self, keypoints: Tensor) -> Normal:
        """The distribution of noisy keypoints, (*, J, 2): mean the keypoints, a stddev for each coordinate."""
        x, scale = keypoints, (self.log_alpha + self.log_scale).exp()
        if self.framed:
            x, _, size = frame_person(keypoints[..., None, :, :])
            x, scale = x[..., 0, :, :], scale * size[..., None, None]
        g = 0.25 if self.variance_net is None else softplus(4 * self.variance_net(x)) / 4
        return Normal(keypoints, (scale * g).expand_as(keypoints), validate_args=False)


class ConstantNoise(nn.Module):
    """The same noise for all joints and poses, the baseline of adaptive noise; ``sigma`` in normalised units."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        check_scale("sigma", sigma)
        self.sigma = sigma

    def forward(self, keypoints: Tensor) -> Normal:
        return Normal(keypoints, torch.full_like(keypoints, self.sigma), validate_args=False)


def draw_eps(S: int, shape: torch.Size | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard-normal noise, (S, *shape), float32; the first samples of a larger S are those of a smaller one."""
    return torch.stack([torch.randn(shape, generator=generator, device=generator.device) for _ in range(S)])


def correlated(eps: Tensor, rho: float) -> Tensor:
    """AR(1) noise (:class:`prpose.rng.NoiseProcess`) from independent noise, (*, T, J, C) → the same; rho in [0, 1]."""
    if not 0 <= rho <= 1:
        raise ValueError(f"expected rho from 0 to 1, got {rho}")
    if rho == 0:
        return eps
    noise = eps.clone()
    for previous, frame in pairwise(noise.unbind(-3)):  # in place, in a third of the time of a list of frames
        frame.mul_(math.sqrt(1 - rho**2)).add_(rho * previous)
    return noise
