"""Confidence regions: ellipsoids about a joint that hold it with 95 % probability.

The hypotheses tell a region's shape: in which direction, at which joint and in which pose the
answer is less sure. They are over-confident, and so tell its size badly; a model's card says, joint
by joint, how large regions must be to hold the truth in 95 % of the validation split's frames
(split conformal prediction, as in Angelopoulos & Bates, arXiv 2107.07511).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.skeleton import H36M_17

LEVEL = 0.95
CHI_SQUARE = 7.814727903251179
"""95 % quantile of the chi-square distribution with 3 degrees of freedom."""


def confidence_regions(covariance: Array, limit: Array | float = CHI_SQUARE) -> tuple[Array, Array]:
    """Ellipsoids of a squared Mahalanobis distance.

    That of a 3D Gaussian's points from its mean is chi-square with 3 degrees of freedom, so that
    with the default limit an ellipsoid holds 95 % of a Gaussian of this covariance, and reaches
    2.80 standard deviations.

    Args:
        covariance: (*, 3, 3) square metres.
        limit: the distance; a number, or (*).

    Returns:
        Semi-axes (*, 3), metres, longest first; and their directions (*, 3, 3), unit vectors in
        rows, each signed so that its largest component is positive.

    Example:
        >>> semi_axes, directions = confidence_regions(np.diag([1e-4, 9e-4, 4e-4]))
        >>> semi_axes.round(4).tolist(), directions.tolist()[0]
        ([0.0839, 0.0559, 0.028], [0.0, 1.0, 0.0])
    """
    wide = covariance.astype(np.float64)
    values, vectors = np.linalg.eigh((wide + wide.swapaxes(-1, -2)) / 2)
    limits = np.asarray(limit, dtype=np.float64)[..., None]
    semi_axes = np.sqrt(limits * np.maximum(values[..., ::-1], 0))
    directions = vectors.swapaxes(-1, -2)[..., ::-1, :]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(-1)[..., None], axis=-1)
    return semi_axes, directions * np.sign(largest)


def limits_of(model: Mapping[str, Any]) -> Array | None:
    """(17,) squared Mahalanobis distances of a model's 95 % regions, or None if it is not known.

    Args:
        model: what its card says; ``limits_95`` has them by joint.

    Raises:
        ValueError: if they are not numbers > 0, one for each joint but the pelvis.
    """
    said = model.get("limits_95") or {}
    if not said:
        return None
    names = H36M_17.names[1:]
    numbers = isinstance(said, Mapping) and all(_is_limit(value) for value in said.values())
    if not numbers or set(said) != set(names):
        raise ValueError(f"expected limits_95 > 0 of {', '.join(names)}, got {said!r:.80}")
    return np.array([CHI_SQUARE, *(said[name] for name in names)])


def reach_of(model: Mapping[str, Any]) -> Array:
    """(17,) as of :func:`limits_of`, or a Gaussian's where the card says none."""
    limits = limits_of(model)
    return np.full(len(H36M_17), CHI_SQUARE) if limits is None else limits


def regions_of(covariance: Array, model: Mapping[str, Any]) -> tuple[Array, Array]:
    """The 95 % ellipsoids of poses; calibrated if their model's card is.

    Args:
        covariance: (T, 17, 3, 3) square metres.
        model: what the card says, as ``poses.model`` has it.

    Returns:
        Semi-axes (T, 17, 3), metres, longest first, and their directions (T, 17, 3, 3), as of
        :func:`confidence_regions`.

    Raises:
        ValueError: as of :func:`limits_of`.
    """
    return confidence_regions(covariance, reach_of(model))


def _is_limit(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < np.inf
