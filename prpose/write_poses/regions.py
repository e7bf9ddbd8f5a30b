"""Confidence regions: where a joint is with 95 % probability, if its covariance says so."""

import numpy as np

from prpose.camera import Array

LEVEL = 0.95
CHI_SQUARE = 7.814727903251179
"""95 % quantile of the chi-square distribution with 3 degrees of freedom."""


def confidence_regions(covariance: Array) -> tuple[Array, Array]:
    """The ellipsoid about its mean that holds 95 % of a 3D Gaussian.

    The squared Mahalanobis distance of a 3D Gaussian's points is chi-square with 3 degrees of
    freedom, so that the semi-axes are ``sqrt(7.8147 · eigenvalue)``, 2.80 standard deviations.

    Args:
        covariance: (*, 3, 3) square metres.

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
    semi_axes = np.sqrt(CHI_SQUARE * np.maximum(values[..., ::-1], 0))
    directions = vectors.swapaxes(-1, -2)[..., ::-1, :]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(-1)[..., None], axis=-1)
    return semi_axes, directions * np.sign(largest)
