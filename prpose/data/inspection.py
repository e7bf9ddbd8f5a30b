"""What is in a data set: counts, and how far its 2D is from the truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prpose.camera import Array
from prpose.data.clip import Clip
from prpose.metrics import rank_correlation
from prpose.skeleton import H36M_17

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class JointErrors:
    """Errors of one joint's 2D (or of all joints').

    Args:
        joint: its name.
        hidden_share: how often it is hidden, in [0, 1].
        visible, hidden: 50th, 90th and 99th percentile where it is seen and where not, in
            thousandths of the image width: pixels at 1000 × 1000; None where it never is so.
        mean: over all frames, the same unit.
    """

    joint: str
    hidden_share: float
    visible: tuple[float, ...] | None
    hidden: tuple[float, ...] | None
    mean: float


def count(clips: Sequence[Clip]) -> dict[tuple[str, str], tuple[int, int]]:
    """Clips and frames by subject and first word of the action, sorted."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for clip in clips:
        key = (clip.subject, clip.action.split(" ")[0])
        number, frames = counts.get(key, (0, 0))
        counts[key] = number + 1, frames + len(clip)
    return dict(sorted(counts.items()))


def detector_errors(clips: Sequence[Clip]) -> list[JointErrors]:
    """Distance of the 2D from the projected 3D, joint by joint and, at the end, of all.

    Empty if cameras or hidden joints are not known, as in data sets that were not made here.
    """
    if not all(clip.camera.focal_px is not None and clip.hidden is not None for clip in clips):
        return []
    errors, hidden = [], []
    for clip in clips:
        truth = clip.camera.project(clip.poses_cam.astype(np.float64))
        errors.append(np.linalg.norm(clip.keypoints_px - truth, axis=-1) * 1000 / clip.camera.width)
        hidden.append(np.asarray(clip.hidden))
    if not errors:
        return []
    error, out_of_sight = np.concatenate(errors), np.concatenate(hidden)
    rows = [_errors(name, error[:, j], out_of_sight[:, j]) for j, name in enumerate(H36M_17.names)]
    return [*rows, _errors("all", error, out_of_sight)]


def confidence_rank_correlation(clips: Sequence[Clip]) -> float | None:
    """Spearman's rank correlation of the confidence with the error; None without confidences."""
    scored = [clip for clip in clips if clip.confidence is not None and clip.camera.focal_px is not None]
    if not scored:
        return None
    truths = [clip.camera.project(clip.poses_cam.astype(np.float64)) for clip in scored]
    errors = [np.linalg.norm(clip.keypoints_px - truth, axis=-1) for clip, truth in zip(scored, truths, strict=True)]
    scores = np.concatenate([np.asarray(clip.confidence) for clip in scored])
    return rank_correlation(np.concatenate(errors), scores)


def _errors(name: str, error: Array, hidden: Array) -> JointErrors:
    def percentiles(values: Array) -> tuple[float, ...] | None:
        return tuple(np.percentile(values, PERCENTILES).tolist()) if values.size else None

    return JointErrors(
        name,
        float(hidden.mean()),
        percentiles(error[~hidden]),
        percentiles(error[hidden]),
        float(error.mean()),
    )
