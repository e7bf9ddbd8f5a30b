"""One pose of S hypotheses, without knowing the truth."""

from collections.abc import Callable

import torch
from torch import Tensor

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


AGGREGATES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": mean,
    "medoid": medoid,
    "geometric-median": geometric_median,
}
"""By name, (S, *, J, 3) → (*, J, 3); the reprojection-weighted one is :func:`mean` with weights."""


def aggregate(poses: Tensor, kind: str = "mean") -> Tensor:
    """One pose of S, (S, *, J, 3) → (*, J, 3).

    Args:
        kind: a key of :data:`AGGREGATES`.

    Raises:
        ValueError: for an unknown kind, or no hypotheses.

    Example:
        >>> poses = torch.tensor([0.0, 1.0, 5.0]).reshape(3, 1, 1).expand(3, 2, 3)
        >>> aggregate(poses, "mean")[0, 0].item(), aggregate(poses, "medoid")[0, 0].item()
        (2.0, 1.0)
    """
    if not len(poses):
        raise ValueError("expected at least one hypothesis, got none")
    return look_up(kind, AGGREGATES, "aggregate")(poses)
