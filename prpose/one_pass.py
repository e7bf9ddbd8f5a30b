"""Many 3D poses from one pass of a lifter that predicts a distribution, and the sampler of any lifter."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from prpose.lifter import own_frame, receptive_field
from prpose.nets.gaussian import PoseMixture
from prpose.noise import AdaptiveNoise, LearntNoise, check_scale
from prpose.sampler import Sampler
from prpose.skeleton import mirror_pose


class OnePassSampler(Sampler):
    """Many 3D poses from one pass of a lifter that predicts a distribution (:mod:`prpose.nets.gaussian`).

    Samples are of the mixture of the distributions for the keypoints and for their mirror image, in turns. The noise of
    a joint is four numbers, of which those in ``eps`` of the poses' own frames are used. With ``extra_sigma``, poses
    that depend on such a keypoint are lifted once per sample, from keypoints with noise by ``eps_mirrored``.
    ``alpha`` scales the noise of each coordinate alone.
    """

    noise_channels = 4

    def __init__(self, lifter: nn.Module, alpha: float = 1.0, chunk: int | None = None) -> None:
        super().__init__(lifter, None, chunk=chunk, flip="mixture")
        check_scale("alpha", alpha)
        self.alpha = alpha

    def moments(self, keypoints: Tensor, prepared: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the mixture, in closed form; shapes and errors as of :meth:`Sampler.moments`."""
        if prepared is not None:
            return prepared.pose, prepared.covariance()
        self._check(keypoints)
        mixtures = (self._mixture(piece) for piece in self._split(keypoints))
        poses, covariances = zip(*((mixture.pose, mixture.covariance()) for mixture in mixtures), strict=True)
        return torch.cat(poses, dim=1), torch.cat(covariances, dim=1)

    def _samples_of_keypoints(self, keypoints: Tensor, eps: Tensor) -> Tensor:
        return self._distribution(keypoints).sample(self._own(eps))

    def _samples(
        self,
        keypoints: Tensor,
        eps: Tensor,
        eps_mirrored: Tensor,
        extra_sigma: Tensor | None,
        first: int,
        prepared: Any,
    ) -> Tensor:
        mixture: PoseMixture = prepared
        poses = mixture.sample(self._own(eps), first)
        if extra_sigma is None:
            return poses
        F, few = receptive_field(self.lifter), self._at_once(keypoints)
        b, t = noisy_poses(extra_sigma, F).nonzero(as_tuple=True)
        frames = b[:, None], t[:, None] + torch.arange(F, device=t.device)
        windows, sigma, own = keypoints[frames], extra_sigma[frames][..., None], self._own(eps)[:, b, t][:, :, None]
        for s, noise in enumerate(eps_mirrored[..., :2]):  # which a network of one pass has no other use for
            component = (first + s) % len(mixture.components)
            noisy = (windows + sigma * noise[frames]).split(few)
            lifted = [self._mixture(part).components[component] for part in noisy]
            pairs = zip(lifted, own[s].split(few), strict=True)
            poses[s, b, t] = torch.cat([each.sample(e[None])[0, :, 0] for each, e in pairs])
        return poses

    def _prepare(self, keypoints: Tensor, extra_sigma: Tensor | None) -> Any:
        return self._mixture(keypoints)

    def _distribution(self, keypoints: Tensor) -> PoseMixture:
        found: PoseMixture = self.lifter.distribution(keypoints)  # type: ignore[operator]
        return PoseMixture(tuple(each._replace(scale=self.alpha * each.scale) for each in found.components))

    def _mixture(self, keypoints: Tensor) -> PoseMixture:
        """Of both images' distributions; components of the keypoints and of the mirror image take turns."""
        own = self._distribution(keypoints).components
        others = self._distribution(mirror_pose(keypoints, self.mirror)).components
        pairs = zip(own, (other.mirrored(self.mirror) for other in others), strict=True)
        return PoseMixture(tuple(component for pair in pairs for component in pair))

    def _own(self, eps: Tensor) -> Tensor:
        """Of the noise of T frames, that of the T - F + 1 with a pose."""
        first, F = own_frame(self.lifter), receptive_field(self.lifter)
        return eps[:, :, first : first + eps.shape[2] - F + 1]


class Drawn(NamedTuple):
    """Samples of poses, and what is known without them."""

    samples: Tensor  # (S, B, T', J, 3) metres
    pose: Tensor  # (B, T', J, 3), deterministic
    covariance: Tensor | None  # (B, T', J, 3, 3) in closed form, NaN for poses that have further noise
    noise_sd: Tensor | None  # (B, T', J, 2) of the noise on the keypoints, where there is a noise net


def drawn(
    sampler: Sampler, keypoints: Tensor, eps: Tensor, eps_mirrored: Tensor, extra_sigma: Tensor | None = None
) -> Drawn:
    """Samples, deterministic pose and covariance from one pass of what they share; arguments as of ``Sampler``."""
    prepared = sampler.prepare(keypoints, extra_sigma)
    pose, covariance = sampler.moments(keypoints, prepared)
    samples = sampler(keypoints, eps, eps_mirrored, extra_sigma, 0, prepared)
    if covariance is not None and extra_sigma is not None:  # that of the samples instead, which have more noise
        covariance[noisy_poses(extra_sigma, receptive_field(sampler.lifter))] = torch.nan
    noise_sd, own = sampler.noise_sd(prepared), own_frame(sampler.lifter)
    return Drawn(samples, pose, covariance, None if noise_sd is None else noise_sd[:, own : own + pose.shape[1]])


def build_sampler(lifter: nn.Module, noise: nn.Module | None, alpha: float = 1.0, floor: float = 1.0) -> Sampler:
    """The sampler of a lifter with a variance net and its alpha and floor, with learnt noise, or with none."""
    if noise is None:
        return OnePassSampler(lifter, alpha)
    if isinstance(noise, LearntNoise):
        return Sampler(lifter, noise, flip="mixture")
    return Sampler(lifter, AdaptiveNoise(noise, alpha, floor))


def noisy_poses(extra_sigma: Tensor, F: int) -> Tensor:
    """Whether any of the F frames that a pose depends on has further noise, (B, T, J) → (B, T - F + 1) bool."""
    return extra_sigma.unfold(1, F, 1).flatten(2).any(-1)
