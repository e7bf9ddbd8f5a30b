"""Keypoints and noise in, S poses out: the core of the method, a pure function in bounded memory."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from prpose.camera import Array
from prpose.engine import Drawn, noisy_poses
from prpose.lifter import average_flipped, is_framed, own_frame, poses_at_once, receptive_field, unmirror
from prpose.nets.folded import in_threads, single_threaded
from prpose.noise import AdaptiveNoise, ConstantNoise, LearntNoise, correlated, draw_eps
from prpose.skeleton import H36M_17, mirror_pose
from prpose.tables import look_up

PARTS = 8  # of the noise drawn at once, that threads can lift side by side


class NoisyKeypoints(NamedTuple):
    """The distributions of the noisy keypoints and of those of their mirror image."""

    means: Tensor  # (2, B, T, J, 2)
    stddevs: Tensor  # (2, B, T, J, 2)


class Sampler(nn.Module):
    """Many 3D poses for each 2D pose (arXiv 2405.02114, §3); both networks should be in eval mode.

    For keypoints x and their mirror image x′, each with its own σ, sample s is the average of lift(x + σ∘ε_s) and of
    the un-mirrored lift(x′ + σ′∘ε′_s), with the pelvis at 0. Averaging two independent draws narrows the spread by
    about √2; as a mixture, every second sample is of the mirror image instead, at half the cost, and the samples keep
    the spread that the noise was trained for. Poses are in camera axes, metres.

    Args:
        lifter: (B, T, J, 2) → (B, T - F + 1, J, 3).
        noise: distribution of the noisy keypoints.
        mirror: left/right permutation of the joints.
        flip: whether a sample is the average of two draws, as published, or one of them.
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

    noise_channels, one_pass = 2, False  # as of prpose.engine.Engine

    def __init__(
        self,
        lifter: nn.Module,
        noise: AdaptiveNoise | ConstantNoise | LearntNoise | None,
        mirror: Sequence[int] = H36M_17.mirror,
        chunk: int | None = None,
        flip: Literal["average", "mixture"] = "average",
    ) -> None:
        super().__init__()
        look_up(flip, dict.fromkeys(("average", "mixture")), "flip")
        self.lifter, self.noise, self.mirror, self.chunk, self.flip = lifter, noise, tuple(mirror), chunk, flip
        self.F, self.own_frame, self.framed = receptive_field(lifter), own_frame(lifter), is_framed(lifter)
        self.trained = noise is None or isinstance(noise, LearntNoise)

    def forward(
        self,
        keypoints: Tensor,
        eps: Tensor,
        eps_mirrored: Tensor | None,
        extra_sigma: Tensor | None = None,
        first: int = 0,
        prepared: Any = None,
    ) -> Tensor:
        """The pure function: the same inputs give the same poses, (S, B, T - F + 1, J, 3).

        Args:
            keypoints: (B, T, J, 2), normalised.
            eps: (S, B, T, J, 2), standard normal, for the keypoints.
            eps_mirrored: the same for their mirror image, in the mirror image's order of joints. None, in training:
                all samples are of the keypoints themselves, unchecked and lifted at once.
            extra_sigma: (B, T, J) further standard deviation (:func:`prpose.rng.confidence_sigma`), added in square.
            first: number of the first sample, if these are some of many; every second one of a mixture is mirrored.
            prepared: :meth:`prepare` of the keypoints and their extra sigma, so that it does not run again.

        Raises:
            ValueError: for wrong shapes, types or devices, or values that are not finite.
        """
        if eps_mirrored is None:
            return self._samples_of_keypoints(keypoints, eps)
        self._check(keypoints, eps=eps, eps_mirrored=eps_mirrored)
        prepared = self.prepare(keypoints, extra_sigma) if prepared is None else prepared
        return self._samples(prepared, eps, eps_mirrored, first)

    @torch.no_grad()
    def draw(
        self, keypoints: Array, eps: Array, eps_mirrored: Array, extra_sigma: Array | None = None, first: int = 0
    ) -> Drawn:
        """Samples, pose and covariance from one pass of what they share, in NumPy; errors as of :meth:`forward`."""
        x, *noise = (torch.from_numpy(each).to(self.device) for each in (keypoints, eps, eps_mirrored))
        sigma = None if extra_sigma is None else torch.from_numpy(extra_sigma).to(x)
        with nullcontext() if self.one_pass else single_threaded():  # the same bytes for any number of threads
            prepared = self.prepare(x, sigma)
            pose, covariance = self.moments(x, prepared)
        samples = self(x, *noise, first=first, prepared=prepared).cpu().numpy()
        known = None if covariance is None else covariance.cpu().numpy()
        if known is not None and extra_sigma is not None:  # that of the samples instead, which have more noise
            known[noisy_poses(extra_sigma, self.F)] = float("nan")
        noise_sd, own = self.noise_sd(prepared), slice(self.own_frame, self.own_frame + pose.shape[1])
        return Drawn(samples, pose.cpu().numpy(), known, None if noise_sd is None else noise_sd[:, own].cpu().numpy())

    def prepare(self, keypoints: Tensor, extra_sigma: Tensor | None = None) -> Any:
        """What all samples of the keypoints share, from one pass of the noise net; errors as of :meth:`forward`."""
        self._check(keypoints)
        if extra_sigma is not None and extra_sigma.shape != keypoints.shape[:-1]:
            expected, got = tuple(keypoints.shape[:-1]), tuple(extra_sigma.shape)
            raise ValueError(f"expected extra_sigma of shape {expected}, got {got}")
        return self._prepare(keypoints, extra_sigma)

    def _samples_of_keypoints(self, keypoints: Tensor, eps: Tensor) -> Tensor:
        noise = self._noise_of_keypoints()(keypoints)
        poses = self.lifter((noise.mean + noise.stddev * eps).flatten(0, 1)).unflatten(0, eps.shape[:2])
        return poses - poses[..., :1, :]

    def _samples(self, prepared: Any, eps: Tensor, eps_mirrored: Tensor, first: int) -> Tensor:
        means, stddevs = prepared
        S, B = eps.shape[:2]
        eps, eps_mirrored = eps.flatten(0, 1), eps_mirrored.flatten(0, 1)
        poses = self._empty(means[0], S * B)

        def fill(rows: Tensor) -> None:
            b, mirrored = rows % B, (first + rows // B) % 2
            if self.flip == "mixture":
                chosen = torch.where(mirrored.bool()[:, None, None, None], eps_mirrored[rows], eps[rows])
                lifted = self._lift_pieces(means[mirrored, b] + stddevs[mirrored, b] * chosen)
                poses[rows] = unmirror(lifted, mirrored.bool(), self.mirror)
            else:
                noisy = means[0][b] + stddevs[0][b] * eps[rows]
                noisy_mirrored = means[1][b] + stddevs[1][b] * eps_mirrored[rows]
                poses[rows] = self._lift(noisy, noisy_mirrored)

        in_threads(fill, torch.arange(S * B, device=means.device).split(self._clips_at_once(means[0])))
        return poses.unflatten(0, (S, B))

    def train(self, mode: bool = True) -> "Sampler":
        """A lifter without trainable weights stays in eval mode."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.lifter.parameters()):
            self.lifter.eval()
        return self

    def lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Lifts keypoints and mirror images (N, T, J, 2) as they are and averages them, → (N, T - F + 1, J, 3)."""
        few = self._clips_at_once(keypoints)
        return torch.cat([self._lift(*pair) for pair in zip(keypoints.split(few), mirrored.split(few), strict=True)])

    def deterministic(self, keypoints: Tensor) -> Tensor:
        """The lifter's poses without noise, flip averaged, (B, T, J, 2) → (B, T - F + 1, J, 3)."""
        self._check(keypoints)
        return self.lift(keypoints, mirror_pose(keypoints, self.mirror))

    @property
    def device(self) -> torch.device:
        return next(self.parameters(), torch.empty(0)).device

    def noise_sd(self, prepared: Any) -> Tensor | None:
        """Standard deviation of the noise on the keypoints of :meth:`prepare`, (B, T, J, 2); None if they have none."""
        return None if self.noise is None else prepared.stddevs[0]

    def moments(self, keypoints: Tensor, prepared: Any = None) -> tuple[Tensor, Tensor | None]:
        """The deterministic pose, and the covariance of each joint where it needs no samples, else None.

        (B, T, J, 2) → (B, T - F + 1, J, 3) and (B, T - F + 1, J, 3, 3), m and m²; ``prepared`` as of :meth:`forward`.
        """
        return self.deterministic(keypoints), None

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
            rho: correlation of the noise of neighbouring frames (:func:`prpose.rng.noise_rho`).
            extra_sigma: as of :meth:`forward`, as are the errors.
        """
        if (S := num_samples) < 1:
            raise ValueError(f"expected num_samples >= 1, got {S}")
        prepared = self.prepare(keypoints, extra_sigma)
        clips = PARTS * self._clips_at_once(keypoints)
        at_once = S if self.noise is None else max(1, clips // len(keypoints))
        poses = self._empty(keypoints, S, len(keypoints))
        for start in range(0, S, at_once):
            few = min(at_once, S - start)
            shape = 2, *keypoints.shape[:-1], self.noise_channels
            eps = correlated(draw_eps(few, shape, generator).to(keypoints), rho)
            poses[start : start + few] = self(keypoints, eps[:, 0], eps[:, 1], first=start, prepared=prepared)
        return poses

    def _noise_of_keypoints(self) -> AdaptiveNoise | ConstantNoise | LearntNoise:
        if self.noise is None:
            raise ValueError("expected noise; only a one-pass lifter needs none (OnePassSampler)")
        return self.noise

    def _prepare(self, keypoints: Tensor, extra_sigma: Tensor | None) -> Any:
        frames = torch.stack([keypoints, mirror_pose(keypoints, self.mirror)]).flatten(0, 2)
        noise = self._noise_of_keypoints()
        parts = [noise(few) for few in frames.split(self.chunk or poses_at_once(noise, keypoints.device))]
        means = torch.cat([noise.mean for noise in parts]).view(2, *keypoints.shape)
        stddevs = torch.cat([noise.stddev for noise in parts]).view(2, *keypoints.shape)
        if extra_sigma is not None:
            extra = torch.stack([extra_sigma, extra_sigma[..., list(self.mirror)]]).to(keypoints)
            stddevs = (stddevs**2 + extra[..., None] ** 2).sqrt()
        return NoisyKeypoints(means, stddevs)

    def _poses(self, keypoints: Tensor) -> int:
        return max(1, keypoints.shape[1] - self.F + 1)

    def _at_once(self, keypoints: Tensor) -> int:
        return self.chunk or poses_at_once(self.lifter, keypoints.device)

    def _clips_at_once(self, keypoints: Tensor) -> int:
        return max(1, self._at_once(keypoints) // self._poses(keypoints))

    def _empty(self, keypoints: Tensor, *leading: int) -> Tensor:
        # Concatenating parts would leave them between the networks' temporary tensors and fragment the memory.
        return keypoints.new_empty(*leading, self._poses(keypoints), len(self.mirror), 3)

    def _lift(self, keypoints: Tensor, mirrored: Tensor) -> Tensor:
        """Both images as one batch, averaged."""
        poses, poses_mirrored = self._lift_pieces(torch.cat([keypoints, mirrored])).chunk(2)
        if self.trained:  # without the pelvis' place, which the score of training leaves out
            poses, poses_mirrored = poses - poses[..., :1, :], poses_mirrored - poses_mirrored[..., :1, :]
        return average_flipped(poses, poses_mirrored, self.mirror)

    def _lift_pieces(self, keypoints: Tensor) -> Tensor:
        return torch.cat([self.lifter(piece) for piece in self._split(keypoints)], dim=1)

    def _split(self, keypoints: Tensor) -> list[Tensor]:
        """Pieces of long clips, which share F - 1 frames."""
        at_once, overlap = self._at_once(keypoints), self.F - 1
        starts = range(0, self._poses(keypoints), at_once)
        return [keypoints[:, start : start + at_once + overlap] for start in starts]

    def _check(self, keypoints: Tensor, **eps: Tensor) -> None:
        for name, value in {"keypoints": keypoints, **eps}.items():
            if not isinstance(value, Tensor) or not value.is_floating_point():
                got = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"expected {name} as a tensor of floating-point numbers, got {got}")
            if value.device != keypoints.device:
                raise ValueError(f"expected {name} on {keypoints.device}, got {value.device}")
            if not value.sum().isfinite() and not value.isfinite().all():  # a finite sum is the faster proof
                raise ValueError(f"expected finite {name}, got NaN or infinity")
        J, shape = len(self.mirror), tuple(keypoints.shape)
        if keypoints.ndim != 4 or shape[2:] != (J, 2) or not keypoints.numel():
            raise ValueError(f"expected keypoints of shape (B, T, {J}, 2) with B, T >= 1, got {shape}")
        shape = *shape[:-1], self.noise_channels
        for name, value in eps.items():
            if value.shape[1:] != shape:
                raise ValueError(f"expected {name} of shape (S, {str(shape)[1:]}, got {tuple(value.shape)}")
        S, *others = map(len, eps.values()) if eps else (1,)
        if not S or any(other != S for other in others):
            raise ValueError(f"expected as many samples in eps_mirrored as in eps, and S >= 1, got {others[0]} and {S}")
