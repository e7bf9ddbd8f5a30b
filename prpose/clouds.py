"""What a cloud of hypotheses is worth as a distribution. One value per pose, as in ``metrics``.

Clouds are (S, *, J, 3) in metres, relative to the pelvis; the truth is (*, J, 3).
"""

import torch
from torch import Tensor

LEVELS = tuple(level / 20 for level in range(21))
"""0, 0.05, …, 1: the levels of the calibration error (Pierzchlewicz et al., 2022)."""

LEAST_S = 4
"""Hypotheses that a covariance of three axes needs."""

LEAST_M = 1e-5
"""Standard deviation that a cloud has at least: one of copies has a covariance, too."""


def energy_score(poses: Tensor, target: Tensor) -> Tensor:
    r"""Energy score, (S, *, J, 3) and (*, J, 3) → (*) in metres; lower is better.

    .. math:: \frac1S \sum_s ‖x̂_s - x‖ - \frac1{2S^2} \sum_{s,s'} ‖x̂_s - x̂_{s'}‖

    on whole poses, as vectors of 3J numbers. A proper score: unlike the best of S it cannot be
    improved by spreading the hypotheses more, or less, than the truth is spread.

    Raises:
        ValueError: for shapes that do not fit.

    Reference:
        Gneiting & Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 2007.
    """
    _check(poses, target)
    cloud = poses.flatten(-2).movedim(0, -2)  # (*, S, 3J)
    truth = target.flatten(-2).unsqueeze(-2)  # (*, 1, 3J)
    distance = torch.linalg.vector_norm(cloud - truth, dim=-1).mean(-1)
    # The matrix-product shortcut of cdist loses the small distances of a narrow cloud.
    among = torch.cdist(cloud, cloud, compute_mode="donot_use_mm_for_euclid_dist")
    return distance - among.mean((-2, -1)) / 2


def spread(poses: Tensor) -> Tensor:
    """Standard deviation over the hypotheses, (S, *, J, 3) → (*, J, 3) in metres, S >= 2.

    Sharpness: to be reported with the calibration error, never alone.
    """
    if poses.ndim < 3 or len(poses) < 2:
        raise ValueError(f"expected a cloud of at least 2 poses, got {tuple(poses.shape)}")
    return poses.std(0)


def covariance(points: Tensor) -> Tensor:
    """Over the hypotheses, about their mean, (S, *, 3) → (*, 3, 3) float64, square metres."""
    away = (points - points.mean(0)).double()
    return torch.einsum("s...i,s...k->...ik", away, away) / (len(points) - 1)


def mahalanobis(poses: Tensor, target: Tensor, centre: Tensor) -> Tensor:
    """Squared distance of truth and centre by the hypotheses' covariance, → (*, J).

    Chi-square with 3 degrees of freedom if the truth is a Gaussian of that covariance about the
    centre; how far regions must reach to hold it is a quantile of these (:mod:`prpose.regions`).

    Args:
        poses: (S, *, J, 3), S >= 4, or there is no covariance of three axes.
        target, centre: (*, J, 3).

    Raises:
        ValueError: for shapes that do not fit.
    """
    _check(poses, target)
    _check(poses, centre)
    if len(poses) < LEAST_S:
        raise ValueError(f"expected S >= {LEAST_S} hypotheses, a covariance, got {len(poses)}")
    scatter = covariance(poses)
    scatter = scatter + LEAST_M**2 * torch.eye(3).to(scatter)
    off = (target - centre).double()[..., None]
    return (off * torch.linalg.solve(scatter, off)).sum((-2, -1)).to(target)


def covered(poses: Tensor, target: Tensor, levels: tuple[float, ...] = LEVELS) -> Tensor:
    """Whether the truth lies inside each level's region, (S, *, J, 3) → (*, J, levels) bool.

    The region of level q around a joint is the ball about the hypotheses' median that holds a share
    q of them (distances' quantile, interpolated); the median is taken coordinate by coordinate, the
    lower one for even S. The mean over poses is q, level by level, if the hypotheses are
    calibrated; less means over-confident.

    Raises:
        ValueError: for shapes that do not fit.

    Reference:
        Pierzchlewicz et al., Multi-hypothesis 3D human pose estimation metrics favor miscalibrated
        distributions, arXiv 2210.11179.
    """
    _check(poses, target)
    median = poses.median(0).values
    distances = torch.linalg.vector_norm(poses - median, dim=-1)  # (S, *, J)
    limits = torch.quantile(distances, distances.new_tensor(levels), dim=0)  # (levels, *, J)
    truth = torch.linalg.vector_norm(target - median, dim=-1)
    return (limits > truth).movedim(0, -1)


def _check(poses: Tensor, target: Tensor) -> None:
    if poses.ndim < 3 or not len(poses) or poses.shape[1:] != target.shape or poses.shape[-1] != 3:
        raise ValueError(
            "expected a cloud (S, *, J, 3) with S >= 1 and a truth (*, J, 3), "
            f"got {tuple(poses.shape)} and {tuple(target.shape)}"
        )
