"""A lifter that predicts a Gaussian distribution of poses: any number of samples from one pass."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from prpose.nets.layers import check_clip, odd


class PoseGaussian(NamedTuple):
    r"""A scale mixture of Gaussians over poses with a low-rank covariance, whose axes may be turned or mirrored.

    .. math:: P = (μ + r (A z + d ∘ e)) R, \qquad r = \exp(τ n - τ^2)

    with z, e and n standard normal. The scale r of the whole pose makes the tails heavier and leaves the covariance as
    it is, since :math:`E[r^2] = 1`; with τ = 0, P is Gaussian. The pelvis has neither mean nor variance.
    """

    mean: Tensor  # (*, J, 3) metres
    factor: Tensor  # (*, J, 3, J) metres: A, of as many common factors as joints
    scale: Tensor  # (*, J, 3) metres: d >= 0
    tail: Tensor  # (*): τ >= 0
    rotation: Tensor | None = None  # (*, 3, 3)

    @property
    def pose(self) -> Tensor:
        """The mean pose, (*, J, 3)."""
        return self._turned(self.mean)

    def sample(self, eps: Tensor) -> Tensor:
        """Poses from standard-normal noise, (S, *, J, 4) → (S, *, J, 3).

        Of a joint's four numbers, the last is z's; the pelvis, which needs no e, has n in the first.
        """
        e, z, n = eps[..., :3], eps[..., 3], eps[..., 0, 0]
        with torch.autocast(eps.device.type, enabled=False):
            common = torch.einsum("...jck,s...k->s...jc", self.factor, z)
            radius = torch.exp(self.tail * (n - self.tail))[..., None, None]
            return self._turned(self.mean + radius * (common + self.scale * e))

    def covariance(self) -> Tensor:
        """Covariance of each joint in closed form, (*, J, 3, 3), square metres."""
        own = self.factor @ self.factor.mT + torch.diag_embed(self.scale.square())
        if self.rotation is None:
            return own
        turn = self.rotation[..., None, :, :]
        return turn.mT @ own @ turn

    def chunk(self, parts: int) -> Iterator["PoseGaussian"]:
        """The distributions of equal parts of the batch."""
        stacked = [None if value is None else value.unflatten(0, (parts, -1)) for value in self]
        return (PoseGaussian._make(value if value is None else value[k] for value in stacked) for k in range(parts))

    def mirrored(self, mirror: Sequence[int]) -> "PoseGaussian":
        """The distribution of the mirror images, for the left/right permutation of the joints."""
        flip = torch.diag(self.mean.new_tensor([-1, 1, 1]))
        rotation = flip if self.rotation is None else self.rotation @ flip
        swap = list(mirror)
        mean, factor, scale = self.mean[..., swap, :], self.factor[..., swap, :, :], self.scale[..., swap, :]
        return PoseGaussian(mean, factor, scale, self.tail, rotation)

    def _turned(self, poses: Tensor) -> Tensor:
        if self.rotation is None:
            return poses
        with torch.autocast(poses.device.type, enabled=False):
            return poses @ self.rotation


class PoseMixture(NamedTuple):
    """An equally weighted mixture of Gaussians over poses."""

    components: tuple[PoseGaussian, ...]

    @property
    def pose(self) -> Tensor:
        """The mean pose, (*, J, 3)."""
        return torch.stack([each.pose for each in self.components]).mean(0)

    def sample(self, eps: Tensor, first: int = 0) -> Tensor:
        """Poses from standard-normal noise, (S, *, J, 4) → (S, *, J, 3); components take turns, from ``first`` on."""
        M, poses = len(self.components), torch.empty_like(eps[..., :3])
        for k in range(min(M, len(eps))):
            poses[k::M] = self.components[(first + k) % M].sample(eps[k::M])
        return poses

    def covariance(self) -> Tensor:
        """Covariance of each joint in closed form, (*, J, 3, 3), square metres."""
        within = torch.stack([each.covariance() for each in self.components]).mean(0)
        away = torch.stack([each.pose for each in self.components]) - self.pose
        return within + torch.einsum("m...i,m...k->...ik", away, away) / len(self.components)


class GaussianLifter(nn.Module):
    """A lifter that predicts a distribution of poses, (B, T, J, 2) → its mean (B, T - F + 1, J, 3).

    A lifter as any other; :meth:`distribution` gives the whole of it. Trained by the energy score, as in engression
    (Shen & Meinshausen, arXiv 2307.00835).

    Args:
        net: (N, J, 2 · frames) → (N, J, 6 + 3 · J): of each joint, a mean, J factors of each coordinate, and a scale;
            the last number of the pelvis is the tail's.
        frames, step: number of input frames, odd, and their distance: F = (frames - 1) · step + 1.
        causal: whether the pose is that of the last frame, not of the middle one.
    """

    one_pass = True

    def __init__(self, net: nn.Module, frames: int = 1, step: int = 1, causal: bool = False) -> None:
        super().__init__()
        if not isinstance(step, int) or step < 1 or not isinstance(causal, bool):
            raise ValueError(f"expected step >= 1 and causal true or false, got {step!r:.80}, {causal!r:.80}")
        self.net, self.frame_step, self.causal = net, step, causal
        self.F = (odd("frames", frames) - 1) * step + 1

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.distribution(keypoints).pose

    def distribution(self, keypoints: Tensor) -> PoseMixture:
        """The distribution of the pose of each frame, (B, T, J, 2) → of shape (B, T - F + 1)."""
        check_clip(keypoints, self.F)
        x = keypoints.unfold(-3, self.F, 1)[..., :: self.frame_step].flatten(-2)  # (B, T', J, 2·frames)
        out = self.net(x.flatten(0, 1)).unflatten(0, x.shape[:2]).to(keypoints)
        # The offsets let a training begin with τ near 0.13 and d near 7 mm, the factors' effect being far larger.
        tail = softplus(out[..., 0, -1] - 2)
        out = torch.cat([torch.zeros_like(out[..., :1, :]), out[..., 1:, :]], dim=-2)
        J = out.shape[-2]
        mean, factor, scale = out.split([3, 3 * J, 3], dim=-1)
        scale = softplus(scale - 5) * (torch.arange(J, device=out.device) > 0)[:, None]
        return PoseMixture((PoseGaussian(mean, 0.1 * factor.unflatten(-1, (3, J)), scale, tail),))


class GaussianMixture(nn.Module):
    """One-pass lifters that were trained one by one, as an equally weighted mixture.

    An ensemble of networks also tells where these disagree (Lakshminarayanan et al., Simple and scalable predictive
    uncertainty estimation using deep ensembles, NeurIPS 2017).
    """

    one_pass = True

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        names = "F", "causal", "framed", "one_pass"
        shapes = {tuple(getattr(each, name, False) for name in names) for each in members}
        if len(shapes) != 1 or not all(one_pass for *_, one_pass in shapes):
            raise ValueError("expected one-pass lifters of the same frames, all of them framed or none")
        self.F, self.causal, self.framed, _ = shapes.pop()

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.distribution(keypoints).pose

    def distribution(self, keypoints: Tensor) -> PoseMixture:
        """The mixture of all members' distributions."""
        found: list[PoseMixture] = [each.distribution(keypoints) for each in self.members]  # type: ignore[operator]
        return PoseMixture(tuple(component for each in found for component in each.components))


def channels(J: int) -> int:
    """Numbers per joint that a network for :class:`GaussianLifter` returns."""
    return 6 + 3 * J
