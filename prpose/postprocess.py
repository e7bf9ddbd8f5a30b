"""Samples to one pose a frame, its covariance and its place; smoothing over time."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from prpose.camera import Array
from prpose.config import InferenceConfig
from prpose.metrics import covariance
from prpose.placement import place, placement_covariance, reprojection_errors
from prpose.preprocess import Preprocessed
from prpose.tables import look_up

FRAMES_AT_ONCE = 64
"""Most frames whose S² distances are held at once."""


def mean(poses: Tensor, weights: Tensor | None = None) -> Tensor:
    """Joint by joint, (S, *, J, 3) → (*, J, 3); bones of it are a little short.

    Args:
        weights: (S, *) of the hypotheses, >= 0; equal ones if not given. Where all are zero, equal.
    """
    if weights is None:
        return poses.mean(0)
    total = weights.sum(0)
    share = torch.where(total > 0, weights / total.clamp_min(1e-30), 1 / len(weights))
    return (share[..., None, None] * poses).sum(0)


def medoid(poses: Tensor) -> Tensor:
    """The hypothesis whose mean joint distance from the others is least, (S, *, J, 3) → (*, J, 3).

    A pose that the lifter made, with bones of their own lengths; over time it jumps from one
    hypothesis to another.
    """
    S, shape = len(poses), poses.shape[1:]
    chosen = []
    for some in poses.reshape(S, -1, *shape[-2:]).split(FRAMES_AT_ONCE, dim=1):
        total = torch.stack([(some - one).norm(dim=-1).mean(-1).sum(0) for one in some])  # (S, n)
        best = total.argmin(0)
        chosen.append(some[best, torch.arange(some.shape[1])])
    return torch.cat(chosen).reshape(shape)


def geometric_median(poses: Tensor, iterations: int = 32, eps_m: float = 1e-4) -> Tensor:
    """Joint by joint, the point nearest to all hypotheses, (S, *, J, 3) → (*, J, 3).

    Less moved by outliers than the mean. Weiszfeld's iteration (Tôhoku Math. J. 1937), smoothed
    near the points themselves.

    Args:
        iterations: of Weiszfeld's.
        eps_m: metres within which a point counts as met.
    """
    median = poses.mean(0)
    for _ in range(iterations):
        near = 1 / (poses - median).norm(dim=-1, keepdim=True).clamp_min(eps_m)
        median = (near * poses).sum(0) / near.sum(0)
    return median


def reprojection_weights(errors: Tensor) -> Tensor:
    """Weights of hypotheses whose 2D should agree with the keypoints, (S, *) → (S, *).

    A Gaussian of the error, whose width is the median error over S: hypotheses that agree as well
    as most do weigh 0.6, those twice as far off 0.14.

    Args:
        errors: root mean square distance of each placed hypothesis from the keypoints, any unit.
    """
    width = errors.median(0).values.clamp_min(1e-12)
    return torch.exp(-((errors / width) ** 2) / 2)


POINT_ESTIMATES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": mean,
    "medoid": medoid,
    "geometric_median": geometric_median,
}
"""By name, (S, *, J, 3) → (*, J, 3); the reprojection-weighted one is :func:`mean` with weights."""


def point_estimate(poses: Tensor, kind: str = "mean") -> Tensor:
    """One pose of S, (S, *, J, 3) → (*, J, 3).

    Args:
        kind: a key of :data:`POINT_ESTIMATES`.

    Raises:
        ValueError: for an unknown kind, or no hypotheses.

    Example:
        >>> poses = torch.tensor([0.0, 1.0, 5.0]).reshape(3, 1, 1).expand(3, 2, 3)
        >>> point_estimate(poses, "mean")[0, 0].item(), point_estimate(poses, "medoid")[0, 0].item()
        (2.0, 1.0)
    """
    if not len(poses):
        raise ValueError("expected at least one hypothesis, got none")
    return look_up(kind, POINT_ESTIMATES, "point estimate")(poses)


def gaussian(poses: Tensor, fps: float, sigma_s: float = 0.05) -> Tensor:
    """A Gaussian mean over time, (T, J, 3) → (T, J, 3); ends are repeated. It sees the future.

    Args:
        fps: frames per second.
        sigma_s: standard deviation of the filter, seconds.

    Raises:
        ValueError: if fps or sigma_s is not > 0.
    """
    _positive(fps=fps, sigma_s=sigma_s)
    radius = max(1, math.ceil(3 * sigma_s * fps - 1e-6))
    offsets = torch.arange(-radius, radius + 1, dtype=poses.dtype, device=poses.device)
    weights = torch.exp(-((offsets / (sigma_s * fps)) ** 2) / 2)
    rows = poses.flatten(1).T[:, None]  # (J·3, 1, T)
    rows = functional.pad(rows, (radius, radius), mode="replicate")
    smooth = functional.conv1d(rows, (weights / weights.sum())[None, None])
    return smooth[:, 0].T.reshape(poses.shape)


def one_euro(poses: Tensor, fps: float, min_cutoff_hz: float = 1.5, beta: float = 3.0) -> Tensor:
    """The One-Euro filter, coordinate by coordinate, (T, J, 3) → (T, J, 3). It lags, but causally.

    A low-pass filter whose cutoff rises with speed: little tremble at rest, little lag in motion
    (Casiez et al., 1€ Filter, CHI 2012; its derivative's cutoff is 1 Hz, as there).

    Args:
        fps: frames per second.
        min_cutoff_hz: cutoff at rest.
        beta: how fast it rises, Hz per m/s.

    Raises:
        ValueError: if fps or min_cutoff_hz is not > 0, or beta < 0.
    """
    _positive(fps=fps, min_cutoff_hz=min_cutoff_hz)
    if not 0 <= beta < math.inf:
        raise ValueError(f"expected beta >= 0, got {beta}")
    out, speed = [poses[0]], torch.zeros_like(poses[0])
    for t in range(1, len(poses)):
        change = (poses[t] - out[-1]) * fps
        speed = speed + _share(torch.ones_like(speed), fps) * (change - speed)
        out.append(out[-1] + _share(min_cutoff_hz + beta * speed.abs(), fps) * (poses[t] - out[-1]))
    return torch.stack(out)


def _share(cutoff_hz: Tensor, fps: float) -> Tensor:
    """Of the new value in a first-order low-pass filter."""
    turn = 2 * math.pi * cutoff_hz / fps
    return turn / (turn + 1)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"expected {name} > 0, got {value}")


def _as_is(poses: Tensor, fps: float) -> Tensor:
    return poses


SMOOTHERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "none": _as_is,
    "gaussian": gaussian,
    "one_euro": one_euro,
}
"""By name, (T, J, 3) and frames per second → (T, J, 3)."""


def flags_of(keypoints: Preprocessed, min_confidence: float) -> Array:
    """(T, 17) uint8 flags of the 2D input, as :data:`prpose.prediction.FLAGS` numbers them."""
    confidence = keypoints.confidence
    low = np.zeros(keypoints.detected.shape, bool) if confidence is None else confidence < min_confidence
    flags = np.where(low, 1, 0)
    flags = np.where(~keypoints.detected & ~keypoints.interpolated, 3, flags)
    return np.asarray(np.where(keypoints.interpolated, 2, flags), dtype=np.uint8)


def summarise(samples: Tensor, deterministic: Tensor, plane: Tensor, config: InferenceConfig) -> dict[str, Tensor]:
    """Point estimate, covariance, root and the samples to keep.

    The root's covariance is that of the samples' own roots, plus what the reprojection error of the point estimate
    leaves open.

    Args:
        samples: (S, T, 17, 3) metres, relative to the pelvis.
        deterministic: (T, 17, 3), the pose without noise.
        plane: (T, 17, 2), as of :func:`prpose.placement.plane_of`.
        config: the point estimate, and how many samples to keep.

    Returns:
        Fields of :class:`prpose.prediction.Prediction` by name, time first, but for ``samples``.
    """
    roots = place(samples, plane)  # (S, T, 3)
    if config.point_estimate == "deterministic":
        pose = deterministic
    elif config.point_estimate == "reprojection_weighted":
        errors = reprojection_errors(samples, plane, roots).square().mean(-1).sqrt()
        pose = mean(samples, reprojection_weights(errors).to(samples))
    else:
        pose = point_estimate(samples, config.point_estimate)
    root = place(pose, plane)
    error = reprojection_errors(pose, plane, root).square().mean(-1, keepdim=True).sqrt()
    placement = placement_covariance(pose, root, error / 2**0.5)
    summary = {
        "pose": pose,
        "covariance": covariance(samples).float(),
        "root": root.float(),
        "root_covariance": (covariance(roots) + placement).float(),
    }
    if config.save_samples != 0:
        summary["samples"] = samples[: config.save_samples]
    return summary
