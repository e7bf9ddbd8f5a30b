"""Many 3D poses from one pass of a lifter that predicts a distribution, and the sampler of any lifter."""

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from prpose.camera import Array
from prpose.engine import Drawn, noisy_poses
from prpose.nets.folded import single_threaded
from prpose.nets.gaussian import PoseMixture
from prpose.noise import AdaptiveNoise, LearntNoise
from prpose.rng import check_scale
from prpose.sampler import Sampler
from prpose.skeleton import mirror_pose

FEW_POSES = 8  # whose layers are too small for several threads


class Prepared(NamedTuple):
    """What all samples of some keypoints share; the keypoints are lifted again where they have further noise."""

    mixture: PoseMixture
    keypoints: Tensor
    extra_sigma: Tensor | None


class OnePassSampler(Sampler):
    """Many 3D poses from one pass of a lifter that predicts a distribution (:mod:`prpose.nets.gaussian`).

    Samples are of the mixture of the distributions for the keypoints and for their mirror image, in turns. The noise of
    a joint is four numbers, of which those in ``eps`` of the poses' own frames are used. With ``extra_sigma``, poses
    that depend on such a keypoint are lifted once per sample, from keypoints with noise by ``eps_mirrored``.
    ``alpha`` scales the noise of each coordinate alone.
    """

    noise_channels, one_pass = 4, True

    def __init__(self, lifter: nn.Module, alpha: float = 1.0) -> None:
        super().__init__(lifter, None, flip="mixture")
        check_scale("alpha", alpha)
        self.alpha = alpha

    def draw(
        self, keypoints: Array, eps: Array, eps_mirrored: Array, extra_sigma: Array | None = None, first: int = 0
    ) -> Drawn:
        """As :meth:`Sampler.draw`; a frame or two are computed by one thread, which is twice as fast as by two."""
        few = keypoints.shape[0] * (keypoints.shape[1] - self.F + 1) <= FEW_POSES
        with single_threaded() if few else nullcontext():
            return super().draw(keypoints, eps, eps_mirrored, extra_sigma, first)

    def moments(self, keypoints: Tensor, prepared: Any = None) -> tuple[Tensor, Tensor]:
        """Mean and covariance of the mixture, in closed form; shapes and errors as of :meth:`Sampler.moments`."""
        if prepared is not None:
            return prepared.mixture.pose, prepared.mixture.covariance()
        self._check(keypoints)
        mixtures = (self._mixture(piece) for piece in self._split(keypoints))
        poses, covariances = zip(*((mixture.pose, mixture.covariance()) for mixture in mixtures), strict=True)
        return torch.cat(poses, dim=1), torch.cat(covariances, dim=1)

    def _samples_of_keypoints(self, keypoints: Tensor, eps: Tensor) -> Tensor:
        return self._distribution(keypoints).sample(self._own(eps))

    def _samples(self, prepared: Any, eps: Tensor, eps_mirrored: Tensor, first: int) -> Tensor:
        mixture, keypoints, extra_sigma = prepared
        poses = mixture.sample(self._own(eps), first)
        if extra_sigma is None:
            return poses
        few = self._at_once(keypoints)
        b, t = (torch.from_numpy(index) for index in noisy_poses(extra_sigma.cpu().numpy(), self.F).nonzero())
        frames = b[:, None], t[:, None] + torch.arange(self.F)
        windows, sigma, own = keypoints[frames], extra_sigma[frames][..., None], self._own(eps)[:, b, t][:, :, None]
        for s, noise in enumerate(eps_mirrored[..., :2]):  # which a network of one pass has no other use for
            component = (first + s) % len(mixture.components)
            noisy = (windows + sigma * noise[frames]).split(few)
            lifted = [self._mixture(part).components[component] for part in noisy]
            pairs = zip(lifted, own[s].split(few), strict=True)
            poses[s, b, t] = torch.cat([each.sample(e[None])[0, :, 0] for each, e in pairs])
        return poses

    def _prepare(self, keypoints: Tensor, extra_sigma: Tensor | None) -> Any:
        return Prepared(self._mixture(keypoints), keypoints, extra_sigma)

    def _distribution(self, keypoints: Tensor) -> PoseMixture:
        found: PoseMixture = self.lifter.distribution(keypoints)  # type: ignore[operator]
        return PoseMixture(tuple(each._replace(scale=self.alpha * each.scale) for each in found.components))

    def _mixture(self, keypoints: Tensor) -> PoseMixture:
        """Of both images' distributions, as one batch; components of the keypoints and the mirror image take turns."""
        found = self._distribution(torch.cat([keypoints, mirror_pose(keypoints, self.mirror)])).components
        pairs = (each.chunk(2) for each in found)
        return PoseMixture(tuple(part for own, other in pairs for part in (own, other.mirrored(self.mirror))))

    def _own(self, eps: Tensor) -> Tensor:
        """Of the noise of T frames, that of the T - F + 1 with a pose."""
        return eps[:, :, self.own_frame : self.own_frame + eps.shape[2] - self.F + 1]


def build_sampler(lifter: nn.Module, noise: nn.Module | None, alpha: float = 1.0, floor: float = 1.0) -> Sampler:
    """The sampler of a lifter with a variance net and its alpha and floor, with learnt noise, or with none."""
    if noise is None:
        return OnePassSampler(lifter, alpha)
    if isinstance(noise, LearntNoise):
        return Sampler(lifter, noise, flip="mixture")
    return Sampler(lifter, AdaptiveNoise(noise, alpha, floor))
