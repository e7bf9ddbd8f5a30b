"""Keypoints and noise in, S poses out: the core of the method, a pure function in bounded memory."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from prpose.lifter import average_flipped, poses_at_once, receptive_field
from prpose.noise import AdaptiveNoise, ConstantNoise, correlated, draw_eps
from prpose.skeleton import H36M_17, mirror_pose


class Sampler(nn.Module):
    """Many 3D poses for each 2D pose (arXiv 2405.02114, §3); both networks should be in eval mode.

    For keypoints x and their mirror image x′, each with its own σ, sample s is the average of lift(x + σ∘ε_s) and of
    the un-mirrored lift(x′ + σ′∘ε′_s), with the pelvis at 0. Averaging two independent draws narrows the spread by
    about √2.

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
            eps_mirrored: the same for their mirror image, in the mirror image's order of joints.
            extra_sigma: (B, T, J) further standard deviation of each keypoint
                (:func:`prpose.noise.confidence_sigma`); its variance is added to the noise's.

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
        for rows in torch.arange(S * B, device=keypoints.device).split(self._clips_at_once(keypoints)):
            b = rows % B
            noisy = noise.mean[b] + noise.stddev[b] * eps[rows]
            noisy_mirrored = noise_mirrored.mean[b] + noise_mirrored.stddev[b] * eps_mirrored[rows]
            poses.add(self._lift(noisy, noisy_mirrored))
        return poses.whole.unflatten(0, (S, B))

    def noisy(
        self, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The inputs of the lifter in :meth:`forward`, of the same arguments.

        Returns:
            (S, B, T, J, 2) noisy keypoints, and those of the mirror image.
        """
        self._check(keypoints)
        _check_eps(keypoints, eps=eps, eps_mirrored=eps_mirrored)
        own, mirrored = self._noises(keypoints, extra_sigma)
        return own.mean + own.stddev * eps, mirrored.mean + mirrored.stddev * eps_mirrored

    def lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Lifts keypoints and mirror images as they are, and averages them.

        Args:
            keypoints, mirrored: (N, T, J, 2), normalised, as :meth:`noisy` returns them, with N = S·B.

        Returns:
            (N, T - F + 1, J, 3) poses: camera axes, metres, pelvis at 0.
        """
        few = self._clips_at_once(keypoints)
        pairs = zip(keypoints.split(few), mirrored.split(few), strict=True)
        return torch.cat([self._lift(*pair) for pair in pairs])

    def deterministic(self, keypoints: Tensor) -> Tensor:
        """The lifter's poses without noise, flip averaged.

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
        """Draws the noise a few samples at a time and lifts it.

        Args:
            keypoints: (B, T, J, 2), normalised.
            num_samples: S; the first samples of a larger S are those of a smaller one.
            generator: source of the noise; its device draws it.
            rho: correlation of the noise of neighbouring frames (:func:`prpose.noise.noise_rho`).
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
        """Distributions of the keypoints and of their mirror image."""
        frames = torch.stack([keypoints, mirror_pose(keypoints, self.mirror)]).flatten(0, 2)
        few = frames.split(self.chunk or poses_at_once(self.noise, keypoints.device))
        parts = [self.noise(some) for some in few]
        means, stddevs = (
            torch.cat(part).view(2, *keypoints.shape)
            for part in ([noise.mean for noise in parts], [noise.stddev for noise in parts])
        )
        if extra_sigma is not None:
            if extra_sigma.shape != keypoints.shape[:-1]:
                got = tuple(extra_sigma.shape)
                raise ValueError(f"expected extra_sigma of shape {tuple(keypoints.shape[:-1])}, got {got}")
            extra = torch.stack([extra_sigma, extra_sigma[..., list(self.mirror)]]).to(keypoints)
            stddevs = (stddevs**2 + extra[..., None] ** 2).sqrt()
        own, mirrored = (Normal(mean, stddev, validate_args=False) for mean, stddev in zip(means, stddevs, strict=True))
        return own, mirrored

    def _clips_at_once(self, keypoints: Tensor) -> int:
        """Clips per chunk."""
        poses = keypoints.shape[1] - receptive_field(self.lifter) + 1
        return max(1, self._at_once(keypoints) // max(1, poses))

    def _at_once(self, keypoints: Tensor) -> int:
        return self.chunk or poses_at_once(self.lifter, keypoints.device)

    def _lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Both images as one batch, averaged, (N, T, J, 2) → (N, T', J, 3).

        Long clips are lifted in pieces that share F - 1 frames.
        """
        both, overlap = torch.cat([keypoints, mirrored]), receptive_field(self.lifter) - 1
        at_once = self._at_once(keypoints)
        starts = range(0, max(1, both.shape[1] - overlap), at_once)
        pieces = [self.lifter(both[:, start : start + at_once + overlap]) for start in starts]
        poses, poses_mirrored = torch.cat(pieces, dim=1).chunk(2)
        return average_flipped(poses, poses_mirrored, self.mirror)

    def _check(self, keypoints: Tensor) -> None:
        J = len(self.mirror)
        _check_values("keypoints", keypoints)
        if keypoints.ndim != 4 or keypoints.shape[2:] != (J, 2) or not keypoints.numel():
            raise ValueError(f"expected keypoints of shape (B, T, {J}, 2) with B, T >= 1, got {tuple(keypoints.shape)}")


def _check_values(name: str, value: Tensor) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"expected {name} as a tensor of floating-point numbers, got {got}")
    if not value.is_meta and not value.isfinite().all():
        raise ValueError(f"expected finite {name}, got NaN or infinity")


def _check_eps(keypoints: Tensor, **eps: Tensor) -> None:
    for name, value in eps.items():
        _check_values(name, value)
        if value.shape[1:] != keypoints.shape:
            shape = ", ".join(map(str, keypoints.shape))
            raise ValueError(f"expected {name} of shape (S, {shape}), got {tuple(value.shape)}")
        if value.device != keypoints.device:
            raise ValueError(f"expected {name} on {keypoints.device}, got {value.device}")
    S, S_mirrored = map(len, eps.values())
    if S_mirrored != S or not S:
        raise ValueError(f"expected as many samples in eps_mirrored as in eps, and S >= 1, got {S_mirrored} and {S}")


class Rows:
    """Collects the rows of one tensor in memory that is allocated once, with the first part.

    Concatenating a list of parts would leave them between the networks' large temporary tensors and fragment the
    allocator's memory.
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
