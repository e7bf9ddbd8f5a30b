"""What is kept of hypotheses: one pose, how unsure it is, where it is, what its 2D is worth."""

import numpy as np
from torch import Tensor

from prpose.aggregate import aggregate, mean, reprojection_weights
from prpose.camera import Array
from prpose.clouds import covariance
from prpose.config import REPROJECTION, SINGLE, InferenceConfig
from prpose.placement import place, placement_covariance, reprojection_errors
from prpose.preprocess import Prepared


def flags_of(ready: Prepared, low_confidence: float) -> Array:
    """What each joint's 2D is worth, (T, 17), as :data:`prpose.prediction.FLAGS` numbers it."""
    low = np.zeros(ready.seen.shape, bool) if ready.score is None else ready.score < low_confidence
    flags = np.where(low, 1, 0)
    flags = np.where(~ready.seen & ~ready.interpolated, 3, flags)
    return np.asarray(np.where(ready.interpolated, 2, flags), dtype=np.uint8)


def summed_up(poses: Tensor, single: Tensor, plane: Tensor, how: InferenceConfig) -> dict[str, Tensor]:
    """One pose of the hypotheses, its covariance, its place, and those that are kept.

    The root's covariance is that of the hypotheses' own roots, and what the distance of keypoints
    and reprojected pose leaves open.

    Args:
        poses: (S, T, 17, 3) metres, relative to the pelvis.
        single: (T, 17, 3), the lifter's own answer.
        plane: (T, 17, 2), as of :func:`prpose.placement.plane_of`.
        how: to choose, and which to keep.

    Returns:
        The fields of :class:`prpose.prediction.Prediction` by name, time first, but for ``hypotheses``.
    """
    roots = place(poses, plane)  # (S, t, 3)
    if how.choice == SINGLE:
        chosen = single
    elif how.choice == REPROJECTION:
        off = reprojection_errors(poses, plane, roots).square().mean(-1).sqrt()
        chosen = mean(poses, reprojection_weights(off).to(poses))
    else:
        chosen = aggregate(poses, how.choice)
    root = place(chosen, plane)
    off = reprojection_errors(chosen, plane, root).square().mean(-1, keepdim=True).sqrt()
    unsure = placement_covariance(chosen, root, off / 2**0.5)
    found = {
        "aggregate": chosen,
        "covariance": covariance(poses).float(),
        "root_cam": root.float(),
        "root_covariance": (covariance(roots) + unsure).float(),
    }
    if how.hypotheses_out != "none":
        count = len(poses) if how.hypotheses_out == "all" else int(how.hypotheses_out)
        found["hypotheses"] = poses[:count]
    return found
