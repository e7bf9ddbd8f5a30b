"""Hypotheses over whole clips: do they move as bodies do?"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from prpose import metrics, processes
from prpose.camera import normalise
from prpose.data import Clip
from prpose.lifter import padded
from prpose.rng import mixed_seed
from prpose.sampler import Sampler

Rates = Callable[[float], float]
"""Frames per second → the share of a frame's noise that the next frame keeps."""

VALUES = {
    "P1 single": "mm",
    "P1 of a hypothesis": "mm",
    "P1 of the mean": "mm",
    "P1 of the best of a clip": "mm",
    "energy score": "mm",
    "acceleration error, single": "m/s²",
    "acceleration error of a hypothesis": "m/s²",
    "acceleration error of the mean": "m/s²",
}
"""What :func:`score_motions` gives, and its unit when reported."""


@torch.no_grad()
def score_motions(
    net: Sampler,
    clips: Sequence[Clip],
    S: int,
    seed: int,
    rho: Rates,
    device: torch.device | str = "cpu",
    on_clip: Callable[[int], None] = lambda frames: None,
) -> dict[str, Tensor]:
    """Scores of every frame of every clip, at the clips' own rate, ends repeated.

    Several processes take clips in turn; each gets all scores.

    Args:
        net: on ``device``, in eval mode.
        clips: whose frame rates are known.
        S: hypotheses; each is one motion.
        seed: of the noise, with the clip's place.
        rho: how noise hangs together in time (:mod:`prpose.noise`).
        on_clip: told the number of frames after each clip.

    Returns:
        For each of :data:`VALUES` (N,) values of all frames, in metres or m/s²; accelerations have
        none at a clip's first and last frame.

    Raises:
        ValueError: if S < 2, or for a clip without frame rate or with fewer than three frames.
    """
    if S < 2:
        raise ValueError(f"expected S >= 2 hypotheses, a distribution, got {S}")

    def checked() -> Iterator[tuple[Clip, float]]:
        for clip in clips:
            on_clip(len(clip))
            if clip.fps is None or len(clip) < 3:
                raise ValueError(f"{clip.where()}: expected three frames or more, and a frame rate")
            yield clip, clip.fps

    def scored(number: int, item: tuple[Clip, float]) -> dict[str, Tensor]:
        clip, fps = item
        generator = torch.Generator().manual_seed(mixed_seed(seed, number))
        return _of_clip(net, clip, S, generator, rho(fps), device)

    parts = processes.in_turn(checked(), scored)
    return {name: torch.cat([part[name] for part in parts]) for name in VALUES}


def lifted(
    net: Sampler,
    clip: Clip,
    S: int,
    generator: torch.Generator,
    rho: float,
    device: torch.device | str,
) -> tuple[Tensor, Tensor]:
    """A clip's hypotheses, (S, T, J, 3), and the lifter's own answer, (T, J, 3), on the CPU."""
    pixels = normalise(clip.keypoints_px, clip.camera.width, clip.camera.height)
    keypoints = padded(torch.from_numpy(pixels).float()[None], net.lifter).to(device)
    poses = net.sample(keypoints, S, generator, rho)[:, 0].cpu()
    return poses, net.deterministic(keypoints)[0].cpu()


def _of_clip(
    net: Sampler,
    clip: Clip,
    S: int,
    generator: torch.Generator,
    rho: float,
    device: torch.device | str,
) -> dict[str, Tensor]:
    poses, single = lifted(net, clip, S, generator, rho, device)
    truth = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])
    mean, fps = poses.mean(0), float(clip.fps or 0)
    errors = metrics.mpjpe(poses, truth)  # (S, T)
    few = zip(poses.split(64, dim=1), truth.split(64), strict=True)
    values = (
        metrics.mpjpe(single, truth),
        errors.mean(0),
        metrics.mpjpe(mean, truth),
        errors[errors.mean(1).argmin()],
        torch.cat([metrics.energy_score(x, y) for x, y in few]),
        metrics.acceleration_error(single, truth, fps),
        metrics.acceleration_error(poses, truth, fps).mean(0),
        metrics.acceleration_error(mean, truth, fps),
    )
    return dict(zip(VALUES, values, strict=True))
