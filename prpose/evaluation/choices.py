"""Which one pose of S hypotheses to take, and how to smooth it: scored against the truth."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from prpose import metrics, processes
from prpose.data import Clip
from prpose.evaluation.motions import Rates, lifted
from prpose.placement import place, plane_of, reprojection_errors
from prpose.postprocess import POINT_ESTIMATES, gaussian, mean, one_euro, reprojection_weights
from prpose.rng import mixed_seed
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17

VALUES = {
    "P1": "mm",
    "P2": "mm",
    "left/right": "mm",
    "bone wobble": "mm",
    "acceleration error": "m/s²",
}
"""What is scored, and its unit when reported: the difference of left and right bones, how much
bones change over a clip, and jitter are measured beside the errors."""

OWN = "the lifter's own"
"""The choice that the hypotheses have no part in."""


@torch.no_grad()
def score_choices(
    net: Sampler,
    clips: Sequence[Clip],
    S: int,
    seed: int,
    rho: Rates,
    device: torch.device | str = "cpu",
    on_clip: Callable[[int], None] = lambda frames: None,
) -> dict[str, dict[str, Tensor]]:
    """Scores of each choice in every frame of every clip, ``{choice: {value: (N,)}}``.

    Several processes take clips in turn; each gets all scores. Hypotheses are placed before the
    clip's own camera.

    Args:
        net, clips, S, seed, rho, device, on_clip: as of
            :func:`prpose.evaluation.motions.score_motions`.

    Raises:
        ValueError: if S < 2, or for a clip without frame rate, with fewer than three frames, or
            before a camera that is not calibrated.
    """
    if S < 2:
        raise ValueError(f"expected S >= 2 hypotheses, a distribution, got {S}")

    def checked() -> Iterator[tuple[Clip, float]]:
        for clip in clips:
            on_clip(len(clip))
            if clip.fps is None or len(clip) < 3 or clip.camera.focal_px is None:
                raise ValueError(
                    f"{clip.where()}: expected three frames or more, a frame rate, and a camera with a focal length"
                )
            yield clip, clip.fps

    def scored(number: int, item: tuple[Clip, float]) -> dict[str, dict[str, Tensor]]:
        clip, fps = item
        generator = torch.Generator().manual_seed(mixed_seed(seed, number))
        found = _choices(net, clip, S, generator, rho(fps), device)
        truth = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])
        return {name: _values(poses, truth, fps) for name, poses in found.items()}

    parts = processes.in_turn(checked(), scored)
    return {name: {value: torch.cat([part[name][value] for part in parts]) for value in VALUES} for name in parts[0]}


def _choices(
    net: Sampler,
    clip: Clip,
    S: int,
    generator: torch.Generator,
    rho: float,
    device: torch.device | str,
) -> dict[str, Tensor]:
    """(T, J, 3) by name; the first hypothesis stands for any."""
    poses, single = lifted(net, clip, S, generator, rho, device)
    plane = plane_of(clip.keypoints_px, clip.camera)
    errors = reprojection_errors(poses, plane, place(poses, plane))
    weights = reprojection_weights(errors.square().mean(-1).sqrt()).float()
    fps = float(clip.fps or 0)
    found = {OWN: single, "a hypothesis": poses[0]}
    found |= {kind: aggregate(poses, kind) for kind in POINT_ESTIMATES}
    found["reprojection-weighted mean"] = mean(poses, weights)
    for name in (OWN, "mean"):
        found[f"{name}, Gaussian 50 ms"] = gaussian(found[name], fps)
        found[f"{name}, One-Euro"] = one_euro(found[name], fps)
    return found


def _values(poses: Tensor, truth: Tensor, fps: float) -> dict[str, Tensor]:
    parents = H36M_17.parents
    return {
        "P1": metrics.mpjpe(poses, truth),
        "P2": metrics.p_mpjpe(poses, truth),
        "left/right": metrics.bone_asymmetry(poses, parents, H36M_17.mirror),
        "bone wobble": metrics.bone_length_deviation(poses, parents).expand(len(poses)),
        "acceleration error": metrics.acceleration_error(poses, truth, fps),
    }
