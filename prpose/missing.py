"""Missing joints of a 2D pose, expected from the others, and how far from there they may be.

A pose of Human3.6M-17 is a Gaussian vector of 34 numbers, placed and sized by the joints that are present: a missing
joint has its conditional distribution given these. In a clip, what the joint was off its expectation before it was lost
fades away (an Ornstein-Uhlenbeck process).
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from prpose.camera import Array
from prpose.keypoints import USUAL_FPS
from prpose.remap import is_present

FEWEST = 6  # joints that a person is expected from; of fewer, place and size are guesses
PRIOR = "body_prior.npz"  # of motion capture in front of random cameras, made by studies/missing.py
JITTER = 1e-3  # variance of a joint's error, as the unit of the prior's lengths: the mean distance from the pelvis
ANYWHERE = 100.0  # variance of the place
TIME_CONSTANT_S = 0.3  # after which a joint is off its expectation by 1/e of what it was


class Prior(NamedTuple):
    """Mean (34,) and covariance (34, 34) of a pose relative to its pelvis, over its mean distance from it."""

    mean: Array
    covariance: Array


@cache
def body_prior() -> Prior:
    """The prior that prpose ships."""
    with files("prpose").joinpath(PRIOR).open("rb") as file, np.load(file) as entries:
        return Prior(*(entries[name].astype(np.float64) for name in Prior._fields))


def fill_missing(
    xy: Array, frame_numbers: Array, fps: float | None = None, prior: Prior | None = None
) -> tuple[Array, Array]:
    """Joints that are missing, as expected, and their standard deviation, (T, 17, 2) → (T, 17, 2) and (T, 17).

    Args:
        xy: (T, 17, 2) pixels, NaN where missing; at least :data:`FEWEST` joints in every frame.
        frame_numbers: (T,) increasing.
        fps: frames per second.
        prior: of poses. Default: the one that prpose ships.

    Returns:
        The pose without missing joints, and the standard deviation per axis, pixels; 0 of joints that are present.
    """
    present, prior = is_present(xy), prior or body_prior()
    filled, sigma = xy.astype(np.float64), np.zeros(present.shape)
    patterns, which = np.unique(present, axis=0, return_inverse=True)
    groups = [(known, np.flatnonzero(which.reshape(-1) == i)) for i, known in enumerate(patterns) if not known.all()]
    for known, frames in groups:
        filled[frames], sigma[frames] = _expected(filled[frames], known, prior)
    first, clock = filled.copy(), np.asarray(frame_numbers) / (fps or USUAL_FPS) / TIME_CONSTANT_S
    for known, frames in groups:
        for joint in np.flatnonzero(~known):
            anchors = np.flatnonzero(present[:, joint])
            if len(anchors):
                after = np.searchsorted(anchors, frames)
                anchors = anchors[np.unique(np.concatenate([after - 1, after]).clip(0, len(anchors) - 1))]
                off = first[anchors, joint] - _expected(first[anchors], known, prior)[0][:, joint]
                shift, share = _faded(off, clock[anchors], clock[frames])
                filled[frames, joint] += shift
                sigma[frames, joint] *= share
    return filled.astype(np.float32), sigma


def _expected(xy: Array, known: Array, prior: Prior) -> tuple[Array, Array]:
    """Poses (n, 17, 2) with the joints that are not ``known``, (17,), as expected; standard deviations (n, 17)."""
    J = len(known)
    seen, unseen = (np.flatnonzero(np.repeat(mask, 2)) for mask in (known, ~known))
    points = xy[:, known]
    middle = points.mean(axis=1, keepdims=True)
    second = prior.covariance + np.outer(prior.mean, prior.mean)
    centre = np.kron(np.eye(known.sum()) - 1 / known.sum(), np.eye(2))
    usual = np.trace(centre @ second[np.ix_(seen, seen)])
    size = np.sqrt(((points - middle) ** 2).sum(axis=(1, 2)) / usual).clip(1e-6)
    place = np.kron(np.ones((J, J)), np.eye(2)) * ANYWHERE
    wide = prior.covariance + place + JITTER * np.eye(2 * J)
    factor = cho_factor(wide[np.ix_(seen, seen)])
    gain = cho_solve(factor, wide[np.ix_(seen, unseen)]).T
    off = ((points - middle) / size[:, None, None]).reshape(len(xy), -1) - prior.mean[seen]
    filled, sigma = xy.copy(), np.zeros(xy.shape[:2])
    expected = (prior.mean[unseen] + off @ gain.T).reshape(len(xy), -1, 2)
    filled[:, ~known] = expected * size[:, None, None] + middle
    rest = wide[np.ix_(unseen, unseen)] - gain @ wide[np.ix_(seen, unseen)]
    variance = np.diag(rest).reshape(-1, 2).mean(axis=1)
    sigma[:, ~known] = np.sqrt(variance.clip(0)) * size[:, None]
    return filled, sigma


def _faded(off: Array, known: Array, times: Array) -> tuple[Array, Array]:
    """What remains of values (n, 2), known at times (n,), at others (m,): (m, 2), and the share of the deviation."""
    after = np.searchsorted(known, times)
    before = after - 1
    a = np.where(before >= 0, np.exp(-np.abs(times - known[before.clip(0)])), 0)
    b = np.where(after < len(known), np.exp(-np.abs(known[after.clip(max=len(known) - 1)] - times)), 0)
    rest = np.maximum(1 - a * a * b * b, 1e-12)
    left, right = a * (1 - b * b) / rest, b * (1 - a * a) / rest
    shift = left[:, None] * off[before.clip(0)] + right[:, None] * off[after.clip(max=len(known) - 1)]
    return shift, np.sqrt((1 - a * a) * (1 - b * b) / rest)
