"""From samples to one pose per frame, its covariance and its root; temporal smoothing."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from prpose.camera import Array, Camera
from prpose.config import InferenceConfig
from prpose.metrics import covariance
from prpose.placement import place, placement_covariance, plane_of, reprojection_errors
from prpose.preprocess import Preprocessed
from prpose.tables import look_up
from prpose.timing import actual_rate, interpolate, is_uneven, to_grid

FRAMES_AT_ONCE = 64  # whose S² distances are in memory at once


def mean(poses: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over the samples, (S, *, J, 3) → (*, J, 3); its bones are slightly too short.

    Weights (S, *) are >= 0, and equal where not given or all zero.
    """
    if weights is None:
        return poses.mean(0)
    total = weights.sum(0)
    share = torch.where(total > 0, weights / total.clamp_min(1e-30), 1 / len(weights))
    return (share[..., None, None] * poses).sum(0)


def medoid(poses: Tensor) -> Tensor:
    """The sample with the least mean joint distance from the others, (S, *, J, 3) → (*, J, 3).

    Its bone lengths are the lifter's; over time it jumps between samples.
    """
    shape = poses.shape[1:]
    chosen = []
    for part in poses.reshape(len(poses), -1, *shape[-2:]).split(FRAMES_AT_ONCE, dim=1):
        total = torch.stack([(part - one).norm(dim=-1).mean(-1).sum(0) for one in part])  # (S, n)
        chosen.append(part[total.argmin(0), torch.arange(part.shape[1])])
    return torch.cat(chosen).reshape(shape)


def geometric_median(poses: Tensor, iterations: int = 32, eps_m: float = 1e-4) -> Tensor:
    """The point nearest to all samples, joint by joint, (S, *, J, 3) → (*, J, 3); outliers move it less than the mean.

    Weiszfeld's iteration (Tôhoku Math. J. 1937), with distances of at least ``eps_m`` metres.
    """
    median = poses.mean(0)
    for _ in range(iterations):
        weights = 1 / (poses - median).norm(dim=-1, keepdim=True).clamp_min(eps_m)
        median = (weights * poses).sum(0) / weights.sum(0)
    return median


def reprojection_weights(errors: Tensor) -> Tensor:
    """Weights of samples by their reprojection error, (S, *) → (S, *).

    A Gaussian whose width is the median error over S: a sample of median error weighs 0.6, one of twice that 0.14.
    Errors are root mean square distances of the placed samples from the keypoints, in any unit.
    """
    width = errors.median(0).values.clamp_min(1e-12)
    return torch.exp(-((errors / width) ** 2) / 2)


POINT_ESTIMATES: dict[str, Callable[[Tensor], Tensor]]  # functions of the samples alone
POINT_ESTIMATES = {"mean": mean, "medoid": medoid, "geometric_median": geometric_median}


def point_estimate(poses: Tensor, kind: str = "mean") -> Tensor:
    """One pose from S samples, (S, *, J, 3) → (*, J, 3), by the function of that name in :data:`POINT_ESTIMATES`."""
    return look_up(kind, POINT_ESTIMATES, "point estimate")(poses)


def gaussian(poses: Tensor, fps: float, sigma_s: float = 0.05) -> Tensor:
    """Gaussian filter over time, (T, J, 3) → (T, J, 3), ends repeated, cut off at three standard deviations."""
    radius = max(1, math.ceil(3 * sigma_s * fps - 1e-6))
    return torch.from_numpy(gaussian_filter1d(poses.numpy(), sigma_s * fps, axis=0, mode="nearest", radius=radius))


def one_euro(poses: Tensor, fps: float, min_cutoff_hz: float = 1.5, beta: float = 3.0) -> Tensor:
    """The One-Euro filter, coordinate by coordinate, (T, J, 3) → (T, J, 3); causal, with a lag.

    A low-pass filter whose cutoff rises with speed: little jitter at rest, little lag in motion (Casiez et al., 1€
    Filter, CHI 2012; the derivative's cutoff is 1 Hz, as there). ``min_cutoff_hz`` is the cutoff at rest, ``beta`` its
    increase with speed, Hz per m/s.
    """
    out, speed = [poses[0]], torch.zeros_like(poses[0])
    for t in range(1, len(poses)):
        change = (poses[t] - out[-1]) * fps
        speed = speed + _low_pass(torch.ones_like(speed), fps) * (change - speed)
        out.append(out[-1] + _low_pass(min_cutoff_hz + beta * speed.abs(), fps) * (poses[t] - out[-1]))
    return torch.stack(out)


def _low_pass(cutoff_hz: Tensor, fps: float) -> Tensor:
    """Weight of the new value."""
    omega = 2 * math.pi * cutoff_hz / fps
    return omega / (omega + 1)


SMOOTHERS: dict[str, Callable[[Tensor, float], Tensor]] = {"gaussian": gaussian, "one_euro": one_euro}


def smooth(poses: Tensor, method: str, keypoints: Preprocessed, fps: float | None) -> Tensor:
    """(T, 17, 3) smoothed over time; frames at uneven times are resampled to even ones, and back."""
    if method == "none":
        return poses
    assert fps is not None, "the model checks that smoothing has a frame rate"
    if keypoints.times_s is None or not is_uneven(keypoints, fps):
        return SMOOTHERS[method](poses, actual_rate(keypoints, fps))
    positions = ((keypoints.times_s - keypoints.times_s[0]) * fps).round(6)
    return interpolate(SMOOTHERS[method](to_grid(poses, positions), fps), positions)


def flags_of(keypoints: Preprocessed, min_confidence: float) -> Array:
    """(T, 17) uint8 flags of the 2D input, as :data:`prpose.prediction.FLAGS` numbers them."""
    flags = np.zeros(keypoints.detected.shape, np.uint8)
    if keypoints.confidence is not None:
        flags[keypoints.confidence < min_confidence] = 1
    flags[~keypoints.detected] = 3
    flags[keypoints.interpolated] = 2
    return flags


def summarise(
    samples: Tensor, deterministic: Tensor, keypoints_px: Array, camera: Camera, config: InferenceConfig
) -> dict[str, Tensor]:
    """Point estimate, covariance, root, and the samples to save: fields of a prediction by name.

    The root's covariance is that of the samples' own roots, plus that of the placement given the reprojection error
    of the point estimate.

    Args:
        samples: (S, T, 17, 3) metres, relative to the pelvis.
        deterministic: (T, 17, 3), the pose without noise.
        keypoints_px: (T, 17, 2) pixels.
        camera: of known intrinsics.
        config: the point estimate, and the number of samples to save.
    """
    plane = plane_of(keypoints_px, camera)
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
