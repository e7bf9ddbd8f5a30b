"""Confidence regions: ellipsoids that contain a joint with a given probability.

The samples give a region's shape: which direction, joint and pose is less certain. They are over-confident, so its
size comes from the model's card: the conformal quantile, per joint, of the squared Mahalanobis distance between the
point estimate and the truth on the validation split (split conformal prediction; Angelopoulos & Bates, arXiv
2107.07511).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from prpose.camera import Array
from prpose.skeleton import H36M_17

LEVEL = 0.95
"""The level whose conformal quantiles a card stores."""


def ellipsoids(covariance: Array, quantile: Array | float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ellipsoids of constant Mahalanobis distance.

    Args:
        covariance: (*, 3, 3) square metres.
        quantile: squared Mahalanobis distance of the surface, a number or (*).

    Returns:
        Semi-axes (*, 3), metres, longest first; and their directions (*, 3, 3), unit vectors in rows, each signed so
        that its largest component is positive.

    Example:
        >>> semi_axes, directions = ellipsoids(np.diag([1e-4, 9e-4, 4e-4]), chi2_quantile(0.95))
        >>> semi_axes.round(4).tolist(), directions.tolist()[0]
        ([0.0839, 0.0559, 0.028], [0.0, 1.0, 0.0])
    """
    wide = covariance.astype(np.float64)
    values, vectors = np.linalg.eigh((wide + wide.swapaxes(-1, -2)) / 2)
    quantiles = np.asarray(quantile, dtype=np.float64)[..., None]
    semi_axes = np.sqrt(quantiles * np.maximum(values[..., ::-1], 0))
    directions = vectors.swapaxes(-1, -2)[..., ::-1, :]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(-1)[..., None], axis=-1)
    return semi_axes, directions * np.sign(largest)


def chi2_quantile(level: float) -> float:
    """Quantile of the chi-square distribution with 3 degrees of freedom: 7.8147 at 0.95."""
    return float(chdtri(3, 1 - level))


def is_calibrated(card: Mapping[str, Any]) -> bool:
    """Whether the card stores conformal quantiles (``limits_95``)."""
    return bool(card.get("limits_95"))


def region_quantiles(card: Mapping[str, Any], level: float = LEVEL) -> NDArray[np.float64]:
    """(17,) squared Mahalanobis distances of the regions of a level.

    With a card that stores conformal quantiles, they are those at 0.95; at another level they are scaled as the
    quantiles of the chi-square distribution are. Without, they are the chi-square quantiles themselves, as for a
    Gaussian with the samples' covariance.

    Args:
        card: a model's card; ``limits_95`` maps every joint but the pelvis to its quantile.
        level: probability, between 0 and 1.

    Raises:
        ValueError: for a level out of range, or quantiles that are not positive numbers, one per joint.

    Example:
        >>> region_quantiles({}, 0.95)[3].round(4).item()
        7.8147
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level}")
    stored, gaussian, names = card.get("limits_95") or {}, chi2_quantile(level), H36M_17.names[1:]
    if not stored:
        return np.full(len(H36M_17), gaussian)
    values: list[Any] = list(stored.values()) if isinstance(stored, Mapping) else [None]
    valid = [type(value) in (int, float) and 0 < value < np.inf for value in values]
    if not all(valid) or set(stored) != set(names):
        raise ValueError(f"expected limits_95 > 0 of {', '.join(names)}, got {stored!r:.80}")
    scale = gaussian / chi2_quantile(LEVEL)
    return np.array([gaussian, *(scale * stored[name] for name in names)])
