"""Keypoints and noise in, S poses out: the core of the method, a pure function in bounded memory."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prpose.lifter import average_flipped, poses_at_once, receptive_field
from prpose.noise import AdaptiveNoise, ConstantNoise, correlated, draw_eps
from prpose.skeleton import H36M_17, mirror_pose


class Sampler(nn.Module):
    """Many 3D poses for each 2D pose (arXiv 2405.02114, §3); both networks should be in eval mode.

    For keypoints x and their mirror image x′, each with its own σ, sample s is the average of lift(x + σ∘ε_s) and of
    the un-mirrored lift(x′ + σ′∘ε′_s), with the pelvis at 0. Averaging two independent draws narrows the spread by
    about √2. Poses are in camera axes, metres.

    Args:
        lifter: (B, T, J, 2) → (B, T - F + 1, J, 3).
        noise: distribution of the noisy keypoints.
        mirror: left/right permutation of the joints.
        chunk: largest number of poses lifted at once, which bounds the memory. Default: the fastest for the lifter and
            the device (:func:`prpose.lifter.poses_at_once`).

    Example:
        >>> from prpose import build_lifter, build_variance_net
        >>> net = Sampler(build_lifter("mgcn_lw"), AdaptiveNoise(build_variance_net("mgcn_lw"))).eval()
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
        self.lifter, self.noise, self.mirror, self.chunk = lifter, noise, tuple(mirror), chunk

    def forward(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
    ) -> Tensor:
        """The pure function: the same inputs give the same poses, (S, B, T - F + 1, J, 3).

        Args:
            keypoints: (B, T, J, 2), normalised.
            eps: (S, B, T, J, 2), standard normal, for the keypoints.
            eps_mirrored: the same for their mirror image, in the mirror image's order of joints.
            extra_sigma: (B, T, J) further standard deviation (:func:`prpose.noise.confidence_sigma`), added in square.

        Raises:
            ValueError: for wrong shapes, types or devices, or values that are not finite.
        """
        self._check(keypoints, eps=eps, eps_mirrored=eps_mirrored)
        means, stddevs = self._noises(keypoints, extra_sigma)
        S, B = eps.shape[:2]
        eps, eps_mirrored = eps.flatten(0, 1), eps_mirrored.flatten(0, 1)
        poses = self._empty(keypoints, S * B)
        for rows in torch.arange(S * B, device=keypoints.device).split(self._clips_at_once(keypoints)):
            b = rows % B
            noisy = means[0][b] + stddevs[0][b] * eps[rows]
            noisy_mirrored = means[1][b] + stddevs[1][b] * eps_mirrored[rows]
            poses[rows] = self._lift(noisy, noisy_mirrored)
        return poses.unflatten(0, (S, B))

    def noisy(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The inputs of the lifter in :meth:`forward`: noisy keypoints and mirror images, both (S, B, T, J, 2)."""
        self._check(keypoints, eps=eps, eps_mirrored=eps_mirrored)
        means, stddevs = self._noises(keypoints, extra_sigma)
        return means[0] + stddevs[0] * eps, means[1] + stddevs[1] * eps_mirrored

    def lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Lifts keypoints and mirror images (N, T, J, 2) as they are and averages them, → (N, T - F + 1, J, 3)."""
        few = self._clips_at_once(keypoints)
        return torch.cat([self._lift(*pair) for pair in zip(keypoints.split(few), mirrored.split(few), strict=True)])

    def deterministic(self, keypoints: Tensor) -> Tensor:
        """The lifter's poses without noise, flip averaged, (B, T, J, 2) → (B, T - F + 1, J, 3)."""
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
        """Draws the noise a few samples at a time and lifts it, (B, T, J, 2) → (S, B, T - F + 1, J, 3).

        Args:
            num_samples: S; the first samples of a larger S are those of a smaller one.
            generator: source of the noise; its device draws it.
            rho: correlation of the noise of neighbouring frames (:func:`prpose.noise.noise_rho`).
            extra_sigma: as of :meth:`forward`, as are the errors.
        """
        S = num_samples
        if S < 1:
            raise ValueError(f"expected num_samples >= 1, got {S}")
        self._check(keypoints)
        at_once = max(1, self._clips_at_once(keypoints) // len(keypoints))
        poses = self._empty(keypoints, S, len(keypoints))
        for start in range(0, S, at_once):
            few = min(at_once, S - start)
            eps = correlated(draw_eps(few, (2, *keypoints.shape), generator).to(keypoints), rho)
            poses[start : start + few] = self(keypoints, eps[:, 0], eps[:, 1], extra_sigma)
        return poses

    def _noises(self, keypoints: Tensor, extra_sigma: Tensor | None) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of the keypoints and of their mirror image, each (2, B, T, J, 2)."""
        frames = torch.stack([keypoints, mirror_pose(keypoints, self.mirror)]).flatten(0, 2)
        parts = [self.noise(few) for few in frames.split(self.chunk or poses_at_once(self.noise, keypoints.device))]
        means = torch.cat([noise.mean for noise in parts]).view(2, *keypoints.shape)
        stddevs = torch.cat([noise.stddev for noise in parts]).view(2, *keypoints.shape)
        if extra_sigma is not None:
            if extra_sigma.shape != keypoints.shape[:-1]:
                expected, got = tuple(keypoints.shape[:-1]), tuple(extra_sigma.shape)
                raise ValueError(f"expected extra_sigma of shape {expected}, got {got}")
            extra = torch.stack([extra_sigma, extra_sigma[..., list(self.mirror)]]).to(keypoints)
            stddevs = (stddevs**2 + extra[..., None] ** 2).sqrt()
        return means, stddevs

    def _poses(self, keypoints: Tensor) -> int:
        return max(1, keypoints.shape[1] - receptive_field(self.lifter) + 1)

    def _at_once(self, keypoints: Tensor) -> int:
        return self.chunk or poses_at_once(self.lifter, keypoints.device)

    def _clips_at_once(self, keypoints: Tensor) -> int:
        return max(1, self._at_once(keypoints) // self._poses(keypoints))

    def _empty(self, keypoints: Tensor, *leading: int) -> Tensor:
        # Concatenating parts would leave them between the networks' temporary tensors and fragment the memory.
        return keypoints.new_empty(*leading, self._poses(keypoints), len(self.mirror), 3)

    def _lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Both images as one batch, averaged; long clips are lifted in pieces that share F - 1 frames."""
        both, at_once = torch.cat([keypoints, mirrored]), self._at_once(keypoints)
        overlap = receptive_field(self.lifter) - 1
        starts = range(0, self._poses(keypoints), at_once)
        pieces = [self.lifter(both[:, start : start + at_once + overlap]) for start in starts]
        poses, poses_mirrored = torch.cat(pieces, dim=1).chunk(2)
        return average_flipped(poses, poses_mirrored, self.mirror)

    def _check(self, keypoints: Tensor, **eps: Tensor) -> None:
        for name, value in {"keypoints": keypoints, **eps}.items():
            if not isinstance(value, Tensor) or not value.is_floating_point():
                got = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"expected {name} as a tensor of floating-point numbers, got {got}")
            if value.device != keypoints.device:
                raise ValueError(f"expected {name} on {keypoints.device}, got {value.device}")
            if not value.isfinite().all():
                raise ValueError(f"expected finite {name}, got NaN or infinity")
        J, shape = len(self.mirror), tuple(keypoints.shape)
        if keypoints.ndim != 4 or shape[2:] != (J, 2) or not keypoints.numel():
            raise ValueError(f"expected keypoints of shape (B, T, {J}, 2) with B, T >= 1, got {shape}")
        for name, value in eps.items():
            if value.shape[1:] != shape:
                raise ValueError(f"expected {name} of shape (S, {str(shape)[1:]}, got {tuple(value.shape)}")
        S, *others = map(len, eps.values()) if eps else (1,)
        if not S or any(other != S for other in others):
            raise ValueError(f"expected as many samples in eps_mirrored as in eps, and S >= 1, got {others[0]} and {S}")
