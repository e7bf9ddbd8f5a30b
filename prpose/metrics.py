"""Errors of poses. One value per pose, never an average over poses: that is evaluation.py's.

Poses are (*, J, 3) in metres, relative to the pelvis; targets broadcast against them, so that
S hypotheses (S, *, J, 3) are compared with one truth (*, J, 3). Joint 0, the pelvis, counts as
any other joint. Definitions follow Human3.6M (Ionescu et al., 2014) and MPI-INF-3DHP (Mehta et
al., 2017) unless said.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

PCK_THRESHOLD_M = 0.150
AUC_THRESHOLDS_M = tuple(step * 0.005 for step in range(31))
"""0, 5, …, 150 mm: the 31 thresholds of the official MPI-INF-3DHP evaluation."""


def joint_errors(poses: Tensor, target: Tensor) -> Tensor:
    """Euclidean distance of every joint, (*, J, 3) and (*, J, 3) → (*, J) in metres.

    Raises:
        ValueError: if the shapes do not broadcast or do not end in the same (J, 3).
    """
    _check_shapes(poses, target)
    return torch.linalg.vector_norm(poses - target, dim=-1)


def mpjpe(poses: Tensor, target: Tensor) -> Tensor:
    """P1: mean per-joint position error, (*, J, 3) → (*) in metres."""
    return joint_errors(poses, target).mean(-1)


def acceleration_error(poses: Tensor, target: Tensor, fps: float) -> Tensor:
    """How far the joints' accelerations are off, (*, T, J, 3) and (*, T, J, 3) → (*, T - 2), m/s².

    Of second differences over three frames, the mean over joints of the length of what is wrong
    with them: jitter, and motion that is too smooth (Kanazawa et al., Learning 3D Human Dynamics
    from Video, CVPR 2019, §4.1; there in mm/s²).

    Raises:
        ValueError: for shapes as in :func:`joint_errors`, fewer than three frames, or fps <= 0.
    """
    _check_shapes(poses, target)
    if min(poses.ndim, target.ndim) < 3 or poses.shape[-3] < 3:
        raise ValueError(f"expected at least three frames, got poses of shape {tuple(poses.shape)}")
    if not fps > 0:
        raise ValueError(f"expected fps > 0, got {fps}")
    return mpjpe(poses.diff(n=2, dim=-3), target.diff(n=2, dim=-3)) * fps**2


def bone_lengths(poses: Tensor, parents: Sequence[int]) -> Tensor:
    """Length of each joint's bone to its parent, (*, J, 3) → (*, J - 1) metres; the root has none.

    Args:
        parents: :attr:`prpose.skeleton.Skeleton.parents`.
    """
    joints = [joint for joint, parent in enumerate(parents) if parent >= 0]
    ends = poses[..., [parents[joint] for joint in joints], :]
    return torch.linalg.vector_norm(poses[..., joints, :] - ends, dim=-1)


def bone_asymmetry(poses: Tensor, parents: Sequence[int], mirror: Sequence[int]) -> Tensor:
    """Mean difference of left and right bones' lengths, (*, J, 3) → (*) metres."""
    lengths = bone_lengths(poses, parents)
    joints = [joint for joint, parent in enumerate(parents) if parent >= 0]
    sided = [j for j in joints if mirror[j] > j]
    left, right = ([joints.index(j) for j in js] for js in (sided, [mirror[j] for j in sided]))
    return (lengths[..., left] - lengths[..., right]).abs().mean(-1)


def bone_length_deviation(poses: Tensor, parents: Sequence[int]) -> Tensor:
    """How much bones change over a clip, (*, T, J, 3) → (*) metres.

    The standard deviation over time of each bone's length, mean over bones.
    """
    return bone_lengths(poses, parents).std(-2, correction=0).mean(-1)


def p_mpjpe(poses: Tensor, target: Tensor) -> Tensor:
    """P2: MPJPE after the best similarity (scale, rotation, shift), (*, J, 3) → (*) in metres.

    Raises:
        ValueError: for shapes as in :func:`joint_errors`, or values that are not finite.
    """
    return mpjpe(procrustes(poses, target), target)


def procrustes(poses: Tensor, target: Tensor) -> Tensor:
    r"""Poses moved onto the target by the least-squares similarity, (*, J, 3) → (*, J, 3).

    The rotation is proper (det = +1): a mirrored pose is not a right pose. With centred poses X,
    centred targets Y and the SVD :math:`X^T Y = U Σ V^T`: :math:`R = U D V^T`,
    :math:`s = \operatorname{tr}(Σ D) / ‖X‖²`, D = diag(1, 1, det(U V^T)). Computed in float64,
    since nearly flat poses make the SVD ill-conditioned. A pose whose joints all coincide is
    put on the target's centroid (its best similarity; the release divides by zero here).

    Raises:
        ValueError: for shapes as in :func:`joint_errors`, or values that are not finite.

    Reference:
        Umeyama, Least-squares estimation of transformation parameters between two point
        patterns, PAMI 1991.
    """
    _check_shapes(poses, target)
    if not (poses.isfinite().all() and target.isfinite().all()):
        raise ValueError("expected finite poses and target, got NaN or infinity")
    mean = target.mean(-2, keepdim=True).double()
    y = target.double() - mean
    x = poses.double()
    x = x - x.mean(-2, keepdim=True)
    u, sigma, vt = torch.linalg.svd(x.mT @ y)
    proper = torch.ones_like(sigma)
    proper[..., 2] = torch.linalg.det(u @ vt).sign()
    rotation = (u * proper[..., None, :]) @ vt
    size = x.square().sum((-2, -1))
    scale = (sigma * proper).sum(-1) / torch.where(size > 0, size, 1)
    return (scale[..., None, None] * (x @ rotation) + mean).to(poses.dtype)


def pck(
    poses: Tensor,
    target: Tensor,
    joints: Sequence[int],
    threshold_m: float = PCK_THRESHOLD_M,
) -> Tensor:
    """Share of the joints nearer than the threshold, (*, J, 3) → (*) in [0, 1].

    Args:
        joints: which joints count: ``skeleton.PCK_14`` (official MPI-INF-3DHP) or
            ``skeleton.PCK_17`` (PRPose's release; it includes the always-correct pelvis).
        threshold_m: strictly nearer than this counts, metres.

    Raises:
        ValueError: for shapes as in :func:`joint_errors`, or no joints or ones that are not there.
    """
    return auc(poses, target, joints, (threshold_m,))


def auc(
    poses: Tensor,
    target: Tensor,
    joints: Sequence[int],
    thresholds_m: Sequence[float] = AUC_THRESHOLDS_M,
) -> Tensor:
    """Mean PCK over the thresholds, (*, J, 3) → (*) in [0, 1]; raises as :func:`pck`."""
    errors = joint_errors(poses, target)
    if not joints or not thresholds_m or not 0 <= min(joints) <= max(joints) < errors.shape[-1]:
        raise ValueError(
            f"expected at least one of {errors.shape[-1]} joints and a threshold, "
            f"got joints {tuple(joints)} and {len(thresholds_m)} thresholds"
        )
    errors = errors[..., list(joints)]
    total = torch.zeros_like(errors[..., 0])
    for threshold in thresholds_m:
        total += (errors < threshold).to(poses.dtype).mean(-1)
    return total / len(thresholds_m)


def best_of_s(values: Tensor, higher_is_better: bool = False) -> Tensor:
    """The best value over the hypotheses of each pose, (S, *) → (*).

    An oracle: it needs the truth to choose, and falls as S or the spread grows.

    Raises:
        ValueError: if there are no hypotheses.
    """
    if not values.ndim or not len(values):
        raise ValueError(f"expected values of S >= 1 hypotheses, got {tuple(values.shape)}")
    return values.amax(0) if higher_is_better else values.amin(0)


def mean_of_s(values: Tensor) -> Tensor:
    """What one hypothesis drawn at random is worth on average, (S, *) → (*).

    Not the error of the mean pose, which is ``mpjpe(poses.mean(0), target)`` (P-Agg).
    """
    return values.mean(0)


def _check_shapes(poses: Tensor, target: Tensor) -> None:
    try:
        fit = poses.shape[-1] == 3 and poses.shape[-2:] == target.shape[-2:] and poses.ndim > 1
        torch.broadcast_shapes(poses.shape, target.shape)
    except (RuntimeError, IndexError):  # they do not broadcast; no axes at all
        fit = False
    if not fit:
        raise ValueError(
            "expected poses and target that broadcast and end in the same (J, 3), "
            f"got {tuple(poses.shape)} and {tuple(target.shape)}"
        )


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
    _check_cloud(poses, target)
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
    _check_cloud(poses, target)
    _check_cloud(poses, centre)
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
    _check_cloud(poses, target)
    median = poses.median(0).values
    distances = torch.linalg.vector_norm(poses - median, dim=-1)  # (S, *, J)
    limits = torch.quantile(distances, distances.new_tensor(levels), dim=0)  # (levels, *, J)
    truth = torch.linalg.vector_norm(target - median, dim=-1)
    return (limits > truth).movedim(0, -1)


def _check_cloud(poses: Tensor, target: Tensor) -> None:
    if poses.ndim < 3 or not len(poses) or poses.shape[1:] != target.shape or poses.shape[-1] != 3:
        raise ValueError(
            "expected a cloud (S, *, J, 3) with S >= 1 and a truth (*, J, 3), "
            f"got {tuple(poses.shape)} and {tuple(target.shape)}"
        )


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Spearman's rank correlation of two sets of N numbers (any shape); None if all of one are equal."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a.ravel(), b.ravel()).statistic)
