"""Who is who over time, where a file does not say it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from prpose.camera import Array
from prpose.data.synthetic.detector_noise import COCO_SIGMA, person_size
from prpose.io.keypoints.detections import Detection
from prpose.remap import is_seen
from prpose.skeleton import Skeleton

SAME = 0.1
"""Least similarity (OKS) of one person in neighbouring frames. Between 0.5 and 0.95 is where COCO
tells a good detection from a bad one; a walker at 10 frames a second still has some 0.3."""

FORGOTTEN = 15
"""People who are not seen in so many frames are somebody else when they come back."""

LIMBS = tuple(name for name in COCO_SIGMA if name.startswith(("left_", "right_")))
"""Joints that all layouts have, by the same names."""


def by_person(sightings: Sequence[Detection], skeleton: Skeleton) -> dict[str, list[Detection]]:
    """Sightings by person, each in order of frames.

    Identities of the file count if everybody has one. Without them, a file with one person in each
    frame is of one person; several are matched from frame to frame (:func:`match`).

    Raises:
        ValueError: if somebody is twice in a frame, or several people are to be told apart and
            SciPy is missing.
    """
    sightings = sorted(sightings, key=lambda sighting: sighting.frame)
    frames = [sighting.frame for sighting in sightings]
    if any(sighting.track_id is None for sighting in sightings):
        alone = len(set(frames)) == len(frames)
        ids = ["0"] * len(frames) if alone else match(sightings, skeleton)
        sightings = [replace(s, track_id=name) for s, name in zip(sightings, ids, strict=True)]
    people: dict[str, list[Detection]] = {}
    for sighting in sightings:
        track = people.setdefault(str(sighting.track_id), [])
        if track and track[-1].frame == sighting.frame:
            raise ValueError(
                f"expected each person once in a frame, got {sighting.track_id!r:.40} twice in frame {sighting.frame}"
            )
        track.append(sighting)
    return people


def match(sightings: Sequence[Detection], skeleton: Skeleton) -> list[str]:
    """Identities of sightings in order of frames: "0", "1" ... in order of appearance.

    In each frame, people are matched with those seen last so that their similarities sum to the
    most (Kuhn-Munkres; Kuhn, Naval Research Logistics Quarterly 2, 1955). Pairs less similar than
    :data:`SAME` are not the same person; people are forgotten after :data:`FORGOTTEN` frames.

    Raises:
        ValueError: if SciPy is missing.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ValueError('telling several people apart needs SciPy: pip install "prpose[people]"') from None
    joints = [skeleton.index(name) for name in LIMBS]
    sigma = np.array([COCO_SIGMA[name] for name in LIMBS])
    last: dict[int, tuple[int, Array]] = {}  # by identity: when, counted in frames, and where
    found: list[str] = []
    born = 0
    for now, people in enumerate(_frames(sightings)):
        known = [person for person, (seen, _) in last.items() if now - seen <= FORGOTTEN]
        limbs = [person.xy[joints] for person in people]
        likeness = np.array([[oks(last[k][1], limb, sigma) for k in known] for limb in limbs])
        ids: dict[int, int] = {}
        if known:
            for row, column in zip(*linear_sum_assignment(likeness, maximize=True), strict=True):
                if likeness[row, column] >= SAME:
                    ids[int(row)] = known[int(column)]
        for i, limb in enumerate(limbs):
            if i not in ids:
                ids[i], born = born, born + 1
            last[ids[i]] = (now, limb)
            found.append(str(ids[i]))
    return found


def _frames(sightings: Sequence[Detection]) -> list[list[Detection]]:
    frames: dict[int, list[Detection]] = {}
    for sighting in sightings:
        frames.setdefault(sighting.frame, []).append(sighting)
    return list(frames.values())


def oks(one: Array, other: Array, sigma: Array) -> float:
    """COCO's object keypoint similarity of two poses (J, 2), over the joints seen in both.

    The mean of exp(-d²/(2 s² k²)), k = 2 sigma, s the root of the person's area
    (cocodataset.org/#keypoints-eval), which is taken from the larger pose; 0 if no joint is shared.

    Example:
        >>> import numpy as np
        >>> pose = np.array([[0.0, 0.0], [10.0, 50.0]])
        >>> oks(pose, pose, np.array([0.1, 0.1]))
        1.0
    """
    both = is_seen(one) & is_seen(other)
    if not both.any():
        return 0.0
    size = max(float(person_size(pose[is_seen(pose)])) for pose in (one, other))
    squared = ((one[both] - other[both]) ** 2).sum(axis=-1)
    scale = 2 * (max(size, 1e-6) * 2 * sigma[both]) ** 2
    return float(np.exp(-squared / scale).mean())
