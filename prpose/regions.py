"""Confidence regions: ellipsoids that contain a joint with a given probability.

The samples give the shape. Those of lifted noise are over-confident, so the size is the conformal quantile, per joint,
of the squared Mahalanobis distance between point estimate and truth on the validation split (split conformal
prediction; Angelopoulos & Bates, arXiv 2107.07511), from the model's card. Samples trained by the energy score give the
size, too, as if they were Gaussian; they have heavier tails: 99 % regions hold some 97 % of them, 50 % regions 58 %.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from prpose.camera import Array
from prpose.skeleton import H36M_17
from prpose.tables import is_number

LEVEL = 0.95  # the level whose conformal quantiles a card stores


def ellipsoids(covariance: Array, quantile: Array | float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ellipsoids of covariances (*, 3, 3), m², at a squared Mahalanobis distance, a number or (*).

    Returns:
        Semi-axes (*, 3), metres, longest first; and their directions (*, 3, 3), unit vectors in rows, whose largest
        component is positive.
    """
    wide = covariance.astype(np.float64)
    values, vectors = np.linalg.eigh((wide + wide.swapaxes(-1, -2)) / 2)
    quantiles = np.asarray(quantile, dtype=np.float64)[..., None]
    semi_axes = np.sqrt(quantiles * np.maximum(values[..., ::-1], 0))
    directions = vectors.swapaxes(-1, -2)[..., ::-1, :]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(-1)[..., None], axis=-1)
    return semi_axes, directions * np.sign(largest)


def is_calibrated(card: Mapping[str, Any]) -> bool:
    """Whether the card stores conformal quantiles (``limits_95``)."""
    return bool(card.get("limits_95"))


def is_trained(card: Mapping[str, Any]) -> bool:
    """Whether the samples were trained by the energy score, so that their own regions hold what they state."""
    noise = card.get("noise", "")  # of a one-pass model None
    return noise is None or (isinstance(noise, Mapping) and str(noise.get("network")).startswith("learnt_"))


def region_quantiles(card: Mapping[str, Any], level: float = LEVEL) -> NDArray[np.float64]:
    """(17,) squared Mahalanobis distances of the regions of a level, a probability between 0 and 1.

    The card's conformal quantiles ``limits_95``, by joint, scaled at other levels as those of chi-square are; without
    them, those of chi-square, which hold for a Gaussian with the samples' covariance.

    Raises:
        ValueError: for a level out of range, or quantiles that are not positive numbers, one per joint.
    """
    if not (is_number(level) and 0 < level < 1):
        raise ValueError(f"expected a level between 0 and 1, got {level!r:.80}")
    stored, gaussian, names = card.get("limits_95"), chdtri(3, 1 - level), H36M_17.names[1:]  # 7.8147 at 0.95
    if not stored:
        return np.full(len(H36M_17), gaussian)
    values: list[Any] = list(stored.values()) if isinstance(stored, Mapping) else [None]
    valid = [type(value) in (int, float) and 0 < value < np.inf for value in values]
    if not all(valid) or set(stored) != set(names):
        raise ValueError(f"expected limits_95 > 0 of {', '.join(names)}, got {stored!r:.80}")
    scale = gaussian / chdtri(3, 1 - LEVEL)
    return np.array([gaussian, *(scale * stored[name] for name in names)])
