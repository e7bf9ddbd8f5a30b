"""Keypoints and noise in, S poses out: the method's core, pure and in bounded memory."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from prpose.lifter import average_flipped, poses_at_once, receptive_field
from prpose.noise import AdaptiveNoise, ConstantNoise, correlated, draw_eps
from prpose.skeleton import H36M_17, mirror_pose


class Sampler(nn.Module):
    """Many 3D poses for one 2D pose (arXiv 2405.02114, §3; both networks should be in eval mode).

    For keypoints x and their mirror image x′, each with its own σ, hypothesis s is the average
    of lift(x + σ∘ε_s) and of the un-mirrored lift(x′ + σ′∘ε′_s), with the pelvis at 0.
    Averaging two independent draws narrows the spread by about √2.

    Args:
        lifter: (B, T, J, 2) → (B, T - F + 1, J, 3).
        noise: width of the noise on each keypoint.
        mirror: left/right permutation of the joints.
        chunk: most poses lifted at once; bounds the memory whatever S × B × T is. If not given, as
            many as suit the lifter and the device (:func:`prpose.lifter.poses_at_once`).

    Example:
        >>> from prpose import build_lifter, build_variance_net
        >>> net = Sampler(
        ...     build_lifter("mgcn_lw"), AdaptiveNoise(build_variance_net("mgcn_lw"))
        ... ).eval()
        >>> keypoints = torch.rand(4, 1, 17, 2) * 2 - 1
        >>> with torch.no_grad():
        ...     poses = net.sample(keypoints, num_samples=10, generator=torch.Generator().manual_seed(0))
        >>> poses.shape
        torch.Size([10, 4, 1, 17, 3])
    """

    def __init__(
        self,
        lifter: nn.Module,
        noise: AdaptiveNoise | ConstantNoise,
        mirror: Sequence[int] = H36M_17.mirror,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if chunk is not None and chunk < 1:
            raise ValueError(f"expected chunk >= 1, got {chunk}")
        self.lifter = lifter
        self.noise = noise
        self.mirror = tuple(mirror)
        self.chunk = chunk

    def forward(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
    ) -> Tensor:
        """The pure function: the same inputs give the same poses.

        Args:
            keypoints: (B, T, J, 2), normalised.
            eps: (S, B, T, J, 2), standard normal, for the keypoints.
            eps_mirrored: the same for their mirror image; its joints are the mirror image's.
            extra_sigma: (B, T, J), how far each keypoint may be off besides (:func:`prpose.noise.confidence_sigma`);
                its variance is added to the noise's.

        Returns:
            (S, B, T - F + 1, J, 3) poses: camera axes, metres, pelvis at 0.

        Raises:
            ValueError: for wrong shapes, types or devices, or values that are not finite.
        """
        self._check(keypoints)
        _check_eps(keypoints, eps=eps, eps_mirrored=eps_mirrored)
        noise, noise_mirrored = self._noises(keypoints, extra_sigma)
        S, B = eps.shape[:2]
        eps, eps_mirrored = eps.flatten(0, 1), eps_mirrored.flatten(0, 1)
        poses = Rows(S * B)
        every = torch.arange(S * B, device=keypoints.device)
        for rows in every.split(self._clips_at_once(keypoints)):
            b = rows % B
            noisy = noise.mean[b] + noise.stddev[b] * eps[rows]
            noisy_mirrored = noise_mirrored.mean[b] + noise_mirrored.stddev[b] * eps_mirrored[rows]
            poses.add(self._lift(noisy, noisy_mirrored))
        return poses.whole.unflatten(0, (S, B))

    def noisy(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` lifts; for whoever keeps it, as a stream does.

        Args:
            keypoints, eps, eps_mirrored, extra_sigma: as of :meth:`forward`.

        Returns:
            (S, B, T, J, 2) noisy keypoints, and the same of the mirror image.
        """
        self._check(keypoints)
        _check_eps(keypoints, eps=eps, eps_mirrored=eps_mirrored)
        own, mirrored = self._noises(keypoints, extra_sigma)
        return own.mean + own.stddev * eps, mirrored.mean + mirrored.stddev * eps_mirrored

    def lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Lifts keypoints as they are, flip averaged: the mirror image need not be theirs.

        Args:
            keypoints, mirrored: (N, T, J, 2), normalised, as of :meth:`noisy` but for S and B.

        Returns:
            (N, T - F + 1, J, 3) poses: camera axes, metres, pelvis at 0.
        """
        few = self._clips_at_once(keypoints)
        pairs = zip(keypoints.split(few), mirrored.split(few), strict=True)
        return torch.cat([self._lift(*pair) for pair in pairs])

    def deterministic(self, keypoints: Tensor) -> Tensor:
        """The lifter's own answer, without noise, flip averaged.

        Args:
            keypoints: (B, T, J, 2), normalised.

        Returns:
            (B, T - F + 1, J, 3) poses: camera axes, metres, pelvis at 0.

        Raises:
            ValueError: for keypoints of a wrong shape or type, or not finite.
        """
        self._check(keypoints)
        return self.lift(keypoints, mirror_pose(keypoints, self.mirror))

    def sample(
        self,
        keypoints: Tensor,
        num_samples: int,
        generator: torch.Generator,
        rho: float = 0.0,
        extra_sigma: Tensor | None = None,
    ) -> Tensor:
        """S hypotheses with noise from ``generator``, which fixes them for given shapes.

        Args:
            keypoints: (B, T, J, 2), normalised.
            num_samples: S; the first of a larger S are those of a smaller one.
            generator: source of the noise; its device draws it.
            rho: of a frame's noise in the next one's (:mod:`prpose.noise`).
            extra_sigma: as of :meth:`forward`.

        Returns:
            (S, B, T - F + 1, J, 3) poses: camera axes, metres, pelvis at 0.

        Raises:
            ValueError: if S < 1, for wrong shapes, or keypoints that are not finite.
        """
        S = num_samples
        if S < 1:
            raise ValueError(f"expected num_samples >= 1, got {S}")
        self._check(keypoints)
        pair = (2, *keypoints.shape)  # keypoints, mirror image
        at_once = max(1, self._clips_at_once(keypoints) // len(keypoints))
        poses = Rows(S)
        for start in range(0, S, at_once):
            eps = draw_eps(min(at_once, S - start), pair, generator).to(keypoints)
            eps = correlated(eps, rho)
            poses.add(self(keypoints, eps[:, 0], eps[:, 1], extra_sigma))
        return poses.whole

    def _noises(self, keypoints: Tensor, extra_sigma: Tensor | None) -> tuple[Normal, Normal]:
        """Of the keypoints, and of their mirror image."""
        frames = torch.stack([keypoints, mirror_pose(keypoints, self.mirror)]).flatten(0, 2)
        few = frames.split(self.chunk or poses_at_once(self.noise, keypoints.device))
        found = [self.noise(some) for some in few]
        means, stddevs = (
            torch.cat(parts).view(2, *keypoints.shape).unbind(0)
            for parts in zip(*((part.mean, part.stddev) for part in found), strict=True)
        )
        if extra_sigma is not None:
            if extra_sigma.shape != keypoints.shape[:-1]:
                got = tuple(extra_sigma.shape)
                raise ValueError(f"expected extra_sigma of shape {tuple(keypoints.shape[:-1])}, got {got}")
            more = extra_sigma.to(keypoints), extra_sigma[..., list(self.mirror)].to(keypoints)
            pairs = zip(stddevs, more, strict=True)
            stddevs = tuple((std**2 + own[..., None] ** 2).sqrt() for std, own in pairs)
        own, mirrored = (Normal(mean, stddev, validate_args=False) for mean, stddev in zip(means, stddevs, strict=True))
        return own, mirrored

    def _at_once(self, keypoints: Tensor) -> int:
        """How many poses make a chunk."""
        return self.chunk or poses_at_once(self.lifter, keypoints.device)

    def _clips_at_once(self, keypoints: Tensor) -> int:
        """How many clips make a chunk of poses."""
        return max(
            1,
            self._at_once(keypoints) // max(1, keypoints.shape[1] - receptive_field(self.lifter) + 1),
        )

    def _lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Both images through the lifter as one batch, averaged, (N, T, J, 2) → (N, T', J, 3).

        Long clips go through it a piece after the other, with F - 1 frames in common.
        """
        both, more = torch.cat([keypoints, mirrored]), receptive_field(self.lifter) - 1
        at_once = self._at_once(keypoints)
        starts = range(0, max(1, both.shape[1] - more), at_once)
        pieces = [self.lifter(both[:, start : start + at_once + more]) for start in starts]
        poses, poses_mirrored = torch.cat(pieces, dim=1).chunk(2)
        return average_flipped(poses, poses_mirrored, self.mirror)

    def _check(self, keypoints: Tensor) -> None:
        J = len(self.mirror)
        _check_type("keypoints", keypoints)
        if keypoints.ndim != 4 or keypoints.shape[2:] != (J, 2) or not keypoints.numel():
            raise ValueError(f"expected keypoints of shape (B, T, {J}, 2) with B, T >= 1, got {tuple(keypoints.shape)}")
        _check_finite("keypoints", keypoints)


def _check_type(name: str, value: Tensor) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"expected {name} as a tensor of floating-point numbers, got {got}")


def _check_eps(keypoints: Tensor, **eps: Tensor) -> None:
    for name, value in eps.items():
        _check_type(name, value)
        if value.shape[1:] != keypoints.shape:
            raise ValueError(
                f"expected {name} of shape (S, {', '.join(map(str, keypoints.shape))}), got {tuple(value.shape)}"
            )
        if value.device != keypoints.device:
            raise ValueError(f"expected {name} on {keypoints.device}, got {value.device}")
        _check_finite(name, value)
    S, S_mirrored = map(len, eps.values())
    if S_mirrored != S or not S:
        raise ValueError(f"expected as many hypotheses in eps_mirrored as in eps, and S >= 1, got {S_mirrored} and {S}")


def _check_finite(name: str, value: Tensor) -> None:
    if not value.isfinite().all():
        raise ValueError(f"expected finite {name}, got NaN or infinity")


class Rows:
    """Collects the rows of one tensor into memory that is taken once, with the first part.

    A list of parts, joined at the end, would lie scattered between the networks' large temporary
    tensors and keep the allocator from using their memory again.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.filled = 0
        self.whole = torch.empty(0)

    def add(self, part: Tensor) -> None:
        if not self.filled:
            self.whole = part.new_empty(self.rows, *part.shape[1:])
        self.whole[self.filled : self.filled + len(part)] = part
        self.filled += len(part)
