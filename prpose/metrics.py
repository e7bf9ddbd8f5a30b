"""Metrics of poses and of samples: one value per pose; averages over poses are those of :mod:`prpose.evaluation`.

Poses are (*, J, 3) in metres, relative to the pelvis; targets broadcast against them, so that S samples (S, *, J, 3)
are compared with one ground truth (*, J, 3). Joint 0, the pelvis, counts, too. Other shapes raise ``ValueError``.
Definitions follow Human3.6M (Ionescu et al., 2014) and MPI-INF-3DHP (Mehta et al., 2017) unless stated otherwise.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PCK_THRESHOLD_M = 0.150
AUC_THRESHOLDS_M = tuple(step * 0.005 for step in range(31))  # of the official MPI-INF-3DHP evaluation
LEVELS = tuple(level / 20 for level in range(21))  # of the calibration error (Pierzchlewicz et al., 2022)
LEAST_S = 4  # smallest number of samples with a regular covariance of three axes
POSES_AT_ONCE = (8192, 65536)  # poses that P2 aligns at a time, on a CPU and on a GPU
NEWTON_STEPS = 6  # of P2, after which poses that resemble their targets have all converged
LEAST_M = 1e-5  # standard deviation added to the samples, metres, so that equal ones have a regular covariance, too


def joint_errors(poses: Tensor, target: Tensor) -> Tensor:
    """Euclidean distance of every joint, (*, J, 3) and (*, J, 3) → (*, J) in metres."""
    _check_shapes(poses, target)
    return torch.linalg.vector_norm(poses - target, dim=-1)


def mpjpe(poses: Tensor, target: Tensor) -> Tensor:
    """P1: mean per-joint position error, (*, J, 3) → (*) in metres."""
    return joint_errors(poses, target).mean(-1)


def acceleration_error(poses: Tensor, target: Tensor, fps: float) -> Tensor:
    """Acceleration error, (*, T, J, 3) and (*, T, J, 3) → (*, T - 2), m/s², for T >= 3.

    Mean over joints of the distance between the second differences of poses and target (Kanazawa et al., Learning 3D
    Human Dynamics from Video, CVPR 2019, §4.1; there in mm/s²).
    """
    _check_shapes(poses, target)
    if min(poses.ndim, target.ndim) < 3 or poses.shape[-3] < 3:
        raise ValueError(f"expected at least three frames, got poses of shape {tuple(poses.shape)}")
    return mpjpe(poses.diff(n=2, dim=-3), target.diff(n=2, dim=-3)) * fps**2


def bone_lengths(poses: Tensor, parents: Sequence[int]) -> Tensor:
    """Length of the bone from each joint but the root to its parent, (*, J, 3) → (*, J - 1) metres."""
    joints = [joint for joint, parent in enumerate(parents) if parent >= 0]
    return torch.linalg.vector_norm(poses[..., joints, :] - poses[..., [parents[j] for j in joints], :], dim=-1)


def bone_asymmetry(poses: Tensor, parents: Sequence[int], mirror: Sequence[int]) -> Tensor:
    """Mean absolute difference in length between left and right bones, (*, J, 3) → (*) metres."""
    lengths = bone_lengths(poses, parents)
    joints = [joint for joint, parent in enumerate(parents) if parent >= 0]
    sided = [j for j in joints if mirror[j] > j]
    left, right = ([joints.index(j) for j in js] for js in (sided, [mirror[j] for j in sided]))
    return (lengths[..., left] - lengths[..., right]).abs().mean(-1)


def bone_length_deviation(poses: Tensor, parents: Sequence[int]) -> Tensor:
    """Standard deviation over time of the bones' lengths, mean over bones, (*, T, J, 3) → (*) metres."""
    return bone_lengths(poses, parents).std(-2, correction=0).mean(-1)


def p_mpjpe(poses: Tensor, target: Tensor) -> Tensor:
    """P2: MPJPE after the best similarity (:func:`procrustes`), (*, J, 3) → (*) in metres."""
    errors = [away.square_().sum(1).sqrt().mean(0) for away in _offsets(poses, target)]
    return torch.cat(errors).reshape(np.broadcast_shapes(poses.shape, target.shape)[:-2]).to(poses.dtype)


def procrustes(poses: Tensor, target: Tensor) -> Tensor:
    r"""Poses aligned to the target by the least-squares similarity (Umeyama, PAMI 1991), (*, J, 3) → (*, J, 3).

    With centred poses X, centred targets Y and the SVD :math:`X^T Y = U Σ V^T`: :math:`R = U D V^T`,
    :math:`s = \operatorname{tr}(Σ D) / ‖X‖²`, D = diag(1, 1, det(U V^T)), so that a mirrored pose does not match. In
    float64, since nearly flat poses are ill-conditioned. A pose whose joints all coincide is moved to the target's
    centroid. ``ValueError`` for values that are not finite.
    """
    away = torch.cat([part.movedim((0, 1), (-2, -1)) for part in _offsets(poses, target)])
    return (target - away.reshape(np.broadcast_shapes(poses.shape, target.shape))).to(poses.dtype)


def _offsets(poses: Tensor, target: Tensor) -> Iterator[Tensor]:
    """Targets minus aligned poses, (J, 3, n, *) float64, some at a time: long vectors that stay in a CPU's cache."""
    _check_shapes(poses, target)
    shape = np.broadcast_shapes(poses.shape, target.shape, (1, 1, 1))  # torch's would import SymPy, for a second
    x, y = poses.expand(shape), target[(None,) * (len(shape) - target.ndim)]
    few = max(1, POSES_AT_ONCE[poses.is_cuda] // max(1, math.prod(shape[1:-2])))
    dense: dict[str, Any] = {"dtype": torch.float64, "memory_format": torch.contiguous_format, "copy": True}
    for pair in zip(x.split(few), y.split(few) if len(y) > 1 else itertools.repeat(y), strict=False):
        x, y = (part.movedim((-2, -1), (0, 1)).to(**dense) for part in pair)
        x -= x.mean(0)
        y -= y.mean(0)
        h = torch.stack([(x[:, axis, None] * y).sum(0) for axis in range(3)])
        if not h.isfinite().all():
            raise ValueError("expected finite poses and target, got NaN or infinity")
        rotation, trace = _rotation(h)
        size = x.square().sum((0, 1))
        scaled = rotation * (trace / torch.where(size > 0, size, 1))
        away = torch.addcmul(y, x[:, :1], scaled[0], value=-1)
        for axis in (1, 2):
            away.addcmul_(x[:, axis, None], scaled[axis], value=-1)
        yield away


def _rotation(h: Tensor) -> tuple[Tensor, Tensor]:
    """R = U D V^T and tr(Σ D) of :func:`procrustes`, (3, 3, n) → (3, 3, n) and (n,), within 1e-8.

    By Markley's FOAM (J. Astronautical Sciences 41, 1993): the trace is the largest root of a quartic, found by Newton
    steps from above, and gives R without eigenvectors; by the SVD where two axes could as well be exchanged.
    """
    norm = h.square().sum((0, 1)).sqrt()
    b = h / torch.where(norm > 0, norm, 1)
    cofactors = torch.stack([torch.linalg.cross(b[i - 2], b[i - 1], dim=0) for i in range(3)])
    det, squares = (b[0] * cofactors[0]).sum(0), cofactors.square().sum((0, 1))
    trace, linear, constant = (1 + (12 * squares).sqrt()).sqrt(), -8 * det, 1 - 4 * squares
    for _ in range(NEWTON_STEPS):
        square = trace.square()
        value = torch.addcmul(constant, torch.addcmul(linear, square - 2, trace), trace)
        step = value / torch.addcmul(linear, square - 1, trace, value=4)
        trace = trace - step
    half = (trace.square() - 1) / 2
    zeta, gram = half * trace - det, (b[:, None] * b).sum(2)
    rotation = ((half + 1) * b + trace * cofactors - (gram[:, :, None] * b).sum(1)) / zeta
    if (unclear := ~((zeta > 1e-4) & (step.abs() < 1e-8))).any():
        u, sigma, vt = torch.linalg.svd(b[..., unclear].movedim(-1, 0))
        proper = torch.ones_like(sigma)
        proper[..., 2] = torch.linalg.det(u @ vt).sign()
        rotation[..., unclear] = ((u * proper[..., None, :]) @ vt).movedim(0, -1)
        trace[unclear] = (sigma * proper).sum(-1)
    return rotation, trace * norm


def pck(poses: Tensor, target: Tensor, joints: Sequence[int], threshold_m: float = PCK_THRESHOLD_M) -> Tensor:
    """Percentage of correct keypoints: share of the joints nearer than the threshold, (*, J, 3) → (*) in [0, 1].

    ``joints`` are ``skeleton.PCK_14`` (official MPI-INF-3DHP) or ``PCK_17`` (PRPose's release).
    """
    return auc(poses, target, joints, (threshold_m,))


def auc(
    poses: Tensor, target: Tensor, joints: Sequence[int], thresholds_m: Sequence[float] = AUC_THRESHOLDS_M
) -> Tensor:
    """Mean :func:`pck` over the thresholds, (*, J, 3) → (*) in [0, 1]."""
    errors = joint_errors(poses, target)[..., list(joints)]
    wrong = torch.bucketize(errors, errors.new_tensor(sorted(thresholds_m)), right=True)  # thresholds <= the error
    return 1 - wrong.to(errors.dtype).mean(-1) / len(thresholds_m)


def best_of_s(values: Tensor, higher_is_better: bool = False) -> Tensor:
    """The best value over the samples of each pose, (S, *) → (*): an oracle, which knows the ground truth."""
    return values.amax(0) if higher_is_better else values.amin(0)


def energy_score(poses: Tensor, target: Tensor) -> Tensor:
    r"""Energy score, (S, *, J, 3) and (*, J, 3) → (*) in metres; lower is better.

    .. math:: \frac1S \sum_s ‖x̂_s - x‖ - \frac1{2S^2} \sum_{s,s'} ‖x̂_s - x̂_{s'}‖

    on whole poses, as vectors of 3J numbers. A proper score: unlike the best of S, it is best where the samples are
    distributed as the ground truth is (Gneiting & Raftery, JASA 2007).
    """
    _check_samples(poses, target)
    samples = poses.flatten(-2).movedim(0, -2)  # (*, S, 3J)
    truth = target.flatten(-2).unsqueeze(-2)  # (*, 1, 3J)
    distance = torch.linalg.vector_norm(samples - truth, dim=-1).mean(-1)
    # Each pair once, and exactly: the matrix-product shortcut of cdist loses the distances between similar samples.
    clouds = samples.reshape(-1, *samples.shape[-2:])
    among = torch.cat([distance.new_zeros(0), *(torch.pdist(cloud).sum()[None] for cloud in clouds)])
    return distance - among.reshape(distance.shape) / len(poses) ** 2


def spread(poses: Tensor) -> Tensor:
    """Sharpness: standard deviation over the samples, (S, *, J, 3) → (*, J, 3) in metres, S >= 2."""
    return poses.std(0)


def covariance(points: Tensor) -> Tensor:
    """Covariance of the samples, (S, *, 3) → (*, 3, 3) float64, square metres."""
    away = (points - points.mean(0)).double()
    return torch.einsum("s...i,s...k->...ik", away, away) / (len(points) - 1)


def mahalanobis(poses: Tensor, target: Tensor, centre: Tensor, closed: Tensor | None = None) -> Tensor:
    """Squared Mahalanobis distance between ground truth and centre (*, J, 3) by the covariance of samples, → (*, J).

    ``closed``, (*, J, 3, 3), replaces the samples' covariance where it is known in closed form.

    Chi-square distributed with 3 degrees of freedom if the truth is Gaussian with that covariance about the centre; its
    quantiles are the sizes of conformal regions (:mod:`prpose.regions`). At least :data:`LEAST_S` samples.
    """
    _check_samples(poses, target)
    if len(poses) < LEAST_S:
        raise ValueError(f"expected S >= {LEAST_S} samples for a covariance, got {len(poses)}")
    scatter = covariance(poses) if closed is None else closed.double()
    scatter = scatter + LEAST_M**2 * torch.eye(3).to(scatter)
    off = (target - centre).double()[..., None]
    return (off * torch.linalg.solve(scatter, off)).sum((-2, -1)).to(target)


def covered(poses: Tensor, target: Tensor, levels: tuple[float, ...] = LEVELS) -> Tensor:
    """Whether the ground truth lies inside each level's region, (S, *, J, 3) → (*, J, levels) bool.

    The region of level q of a joint is the ball about the samples' coordinate-wise median (the lower one for even S)
    that contains a share q of them (interpolated quantile of the distances). If the samples are calibrated, the mean
    over poses is q at every level; if they are over-confident, less (Pierzchlewicz et al., arXiv 2210.11179).
    """
    _check_samples(poses, target)
    median = poses.median(0).values
    distances = torch.linalg.vector_norm(poses - median, dim=-1)  # (S, *, J)
    radii = torch.quantile(distances, distances.new_tensor(levels), dim=0)  # (levels, *, J)
    return (radii > torch.linalg.vector_norm(target - median, dim=-1)).movedim(0, -1)


def rank_correlation(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Spearman's rank correlation of two arrays of N numbers; None if all numbers of one are equal."""
    from scipy.stats import spearmanr  # takes seconds to import

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a.ravel(), b.ravel()).statistic)


def _check_shapes(poses: Tensor, target: Tensor) -> None:
    pairs = zip(poses.shape[::-1], target.shape[::-1], strict=False)
    broadcast = all(one == other or 1 in (one, other) for one, other in pairs)
    if not broadcast or poses.shape[-2:] != target.shape[-2:] or poses.ndim < 2 or poses.shape[-1] != 3:
        got = f"{tuple(poses.shape)} and {tuple(target.shape)}"
        raise ValueError(f"expected poses and target that broadcast and end in the same (J, 3), got {got}")


def _check_samples(poses: Tensor, target: Tensor) -> None:
    if poses.ndim < 3 or not len(poses) or poses.shape[1:] != target.shape or poses.shape[-1] != 3:
        got = f"{tuple(poses.shape)} and {tuple(target.shape)}"
        raise ValueError(f"expected samples (S, *, J, 3) with S >= 1 and a target (*, J, 3), got {got}")
