"""People: which detections are of one person over time, by the file's ids or by position."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import Detection, Detections
from prpose.keypoints import Keypoints, agree
from prpose.layouts import COCO_SIGMA, LAYOUTS, find_layout, person_size
from prpose.remap import LIMBS, is_present
from prpose.skeleton import Skeleton

MIN_OKS = 0.1  # lowest similarity of one person in neighbouring frames; a walker at 10 fps still has some 0.3
MAX_ABSENCE = 15  # frames; a person absent for longer gets a new id on return


def people_from(
    found: Detections, layout: str | None = None, image_size: tuple[int, int] | None = None, fps: float | None = None
) -> list[Keypoints]:
    """Keypoints of each person from the detections of all frames, as of :func:`prpose.read_people`."""
    if not found.detections:
        raise ValueError("expected at least one person, got none in any frame")
    name = _layout(found, layout)
    rate = fps if found.fps is None else agree("fps", found.fps, fps)
    people = []
    for person, detections in group_by_person(found.detections, LAYOUTS[name]).items():
        size = agree("image size", found.image_sizes.get(person, found.image_size), image_size)
        xy = np.stack([detection.xy for detection in detections]) * (size if found.normalised else 1)
        scores = [detection.confidence for detection in detections if detection.confidence is not None]
        confidence = np.stack(scores) if len(scores) == len(detections) else None
        frames = [detection.frame for detection in detections]
        times = np.array([found.times_s[frame] for frame in frames]) if found.times_s else None
        names = tuple(found.frame_names.get(frame, "") for frame in frames)
        names = names if all(names) else ()
        people.append(
            Keypoints(xy, size, name, confidence, rate, np.array(frames), times, person, names, found.warnings)
        )
    return sorted(people, key=len, reverse=True)


def _layout(found: Detections, given: str | None) -> str:
    """The layout from file, format or user, which must have as many joints as the file."""
    counts = {len(detection.xy) for detection in found.detections}
    if len(counts) > 1:
        raise ValueError(f"expected as many joints in every frame, got {sorted(counts)}")
    J = counts.pop()
    known = found.layout or next((key for key, layout in LAYOUTS.items() if layout.names == found.joint_names), None)
    given = given or (found.default_layouts.get(J) if known is None else None)
    if known is None and given is None:
        fitting = ", ".join(key for key, layout in LAYOUTS.items() if len(layout) == J) or "none"
        joints = f" with the joints {', '.join(found.joint_names[:4])} ..." if found.joint_names else ""
        raise ValueError(f"the file{joints} does not give its layout: expected --layout (of {J} joints: {fitting})")
    name = agree("layout", known, given)
    if len(find_layout(name)) != J:
        raise ValueError(f"expected the {len(LAYOUTS[name])} joints of {name}, got {J}")
    return name


def select_person(people: Sequence[Keypoints], person: str | None = None) -> Keypoints:
    """One person's keypoints: the only ones, or those of an id; else a ``ValueError`` lists the people."""
    chosen = people if person is None else [keypoints for keypoints in people if keypoints.person == person]
    if len(chosen) == 1:
        return chosen[0]
    listed = []
    for k in people[:10]:
        numbers = np.asarray(k.frame_numbers)
        mean = "" if k.confidence is None else f", mean confidence {k.confidence.mean():.2f}"
        listed.append(f"{k.person} ({len(k)} frames, {numbers[0]} to {numbers[-1]}{mean})")
    if len(people) > 10:
        listed.append(f"and {len(people) - 10} more")
    wanted = "one person, or --person" if person is None else f"the id of a person, got {person!r}"
    raise ValueError(f"expected {wanted}; there are {len(people)}: {'; '.join(listed)}")


def group_by_person(detections: Sequence[Detection], layout: Skeleton) -> dict[str, list[Detection]]:
    """Detections by person, each in order of frames.

    Track ids count if every detection has one. Else one person in each frame is one person, and several are matched.
    """
    detections = sorted(detections, key=lambda found: found.frame)
    if any(found.track_id is None for found in detections):
        single = len({found.frame for found in detections}) == len(detections)
        ids = ["0"] * len(detections) if single else track(detections, layout)
        detections = [replace(found, track_id=name) for found, name in zip(detections, ids, strict=True)]
    people: dict[str, list[Detection]] = {}
    for found in detections:
        person = people.setdefault(str(found.track_id), [])
        if person and person[-1].frame == found.frame:
            twice = f"{found.track_id!r:.40} twice in frame {found.frame}"
            raise ValueError(f"expected each track id once in a frame, got {twice}")
        person.append(found)
    return people


def track(detections: Sequence[Detection], layout: Skeleton) -> list[str]:
    """Ids "0", "1" ... in order of appearance, of detections in order of frames.

    People are assigned to the last detections of known ones, so that the sum of their similarities is largest (Kuhn,
    Naval Research Logistics Quarterly 2, 1955).
    """
    from scipy.optimize import linear_sum_assignment

    joints = [layout.index(name) for name in LIMBS]
    sigma = np.array([COCO_SIGMA[name] for name in LIMBS])
    last: dict[int, tuple[int, Array]] = {}  # by id: the count of frames, and the limbs
    ids: list[str] = []
    for now, (_, people) in enumerate(groupby(detections, key=lambda found: found.frame)):
        known = [person for person, (frame, _) in last.items() if now - frame <= MAX_ABSENCE]
        limbs = [person.xy[joints] for person in people]
        similarity = np.array([[oks(last[person][1], limb, sigma) for person in known] for limb in limbs])
        pairs = zip(*linear_sum_assignment(similarity, maximize=True), strict=True) if known else ()
        assigned = {row: known[column] for row, column in pairs if similarity[row, column] >= MIN_OKS}
        for i, limb in enumerate(limbs):
            person = assigned.get(i, len(last))
            last[person] = (now, limb)
            ids.append(str(person))
    return ids


def oks(one: Array, other: Array, sigma: Array) -> float:
    """COCO's object keypoint similarity of two poses (J, 2), over the joints present in both; 0 if there is none.

    The mean of exp(-d²/(2 s² k²)), k = 2 sigma, s the square root of the larger person's area
    (cocodataset.org/#keypoints-eval).
    """
    both = is_present(one) & is_present(other)
    if not both.any():
        return 0.0
    size = max(float(person_size(pose[is_present(pose)])) for pose in (one, other))
    squared = ((one[both] - other[both]) ** 2).sum(axis=-1)
    return float(np.exp(-squared / (2 * (max(size, 1e-6) * 2 * sigma[both]) ** 2)).mean())
