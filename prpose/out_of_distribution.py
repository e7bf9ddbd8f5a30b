"""Frames that lie outside what a model was trained on, by their keypoints as the model's networks see them.

The pose is judged by its distance from :func:`prpose.missing.body_prior`; for networks that see the whole image, the
person's size and place in it, too. A card's ``input_limits`` are quantiles of these (studies/input_limits.py).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.missing import body_prior
from prpose.preprocess import ranges

VARIANCE = 0.03  # added to the prior's, for the detector's errors; its unit is the mean distance from the pelvis
NEAREST = 0.05  # least depth of a joint's ray along the pelvis' ray, as in prpose.nets.framed


def input_measures(x: Array, framed: bool) -> dict[str, Array]:
    """What frames are judged by, (T, 17, 2) as of :meth:`prpose.camera.Camera.lifter_input` → (T,) each.

    The squared Mahalanobis distance of the ``pose``; unless ``framed``, in half image widths, the ``size``, which is
    the joints' mean distance from the pelvis, and the ``place``, the pelvis' from the middle, in x or y, the larger.
    """
    xy = centred(x) if framed else x.astype(np.float64)
    off = xy - xy[:, :1]
    size = np.maximum(np.linalg.norm(off[:, 1:], axis=-1).mean(axis=1), 1e-9)
    away = (off / size[:, None, None]).reshape(len(x), -1) - body_prior().mean
    pose = {"pose": ((away @ _precision()) * away).sum(axis=1)}
    return pose if framed else pose | {"size": size, "place": np.abs(xy[:, 0]).max(axis=1)}


@cache
def _precision() -> Array:
    return np.linalg.inv(body_prior().covariance + VARIANCE * np.eye(len(body_prior().mean)))


def centred(rays: Array) -> Array:
    """Rays (x/z, y/z), (T, 17, 2), before a camera that is turned to the pelvis by the smallest rotation."""
    points = np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1).astype(np.float64)
    x, y, z = (points[:, 0] / np.linalg.norm(points[:, 0], axis=-1, keepdims=True)).T
    k = 1 / (1 + z)
    rotation = np.array([[1 - x * x * k, -x * y * k, -x], [-x * y * k, 1 - y * y * k, -y], [x, y, z]])
    turned = np.einsum("ijt,tkj->tki", rotation, points)
    return np.asarray(turned[..., :2] / np.maximum(turned[..., 2:], NEAREST))


def is_outside(x: Array, framed: bool, card: Mapping[str, Any]) -> Array:
    """Which frames (T, 17, 2) lie outside the card's ``input_limits``, (T,) bool; none if it has no limits."""
    outside, limits = np.zeros(len(x), dtype=bool), card.get("input_limits", {})
    for name, values in input_measures(x, framed).items() if limits else ():
        outside |= (values < limits.get(f"smallest_{name}", 0)) | (values > limits.get(f"largest_{name}", np.inf))
    return outside


def warnings_of(outside: Array, frame_numbers: Array, framed: bool) -> list[str]:
    """One sentence if any frames are outside, (T,) bool."""
    what = "the pose" if framed else "the pose, or the person's size or place in the image,"
    where = f"is unlike the model's training data in frames {ranges(frame_numbers[outside])}" if outside.any() else ""
    return [f"{what} {where}; expect larger errors, which the spread may not show"] if where else []
