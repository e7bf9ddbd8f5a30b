"""People: which detections are of one person over time, by the file's ids or by position."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count, groupby

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import Detection, Detections
from prpose.keypoints import USUAL_FPS, Keypoints, Tracking, agree, frame_rate
from prpose.layouts import COCO_SIGMA, LAYOUTS, corners, find_layout, oks, person_size
from prpose.remap import LIMBS, is_placeholder, is_present
from prpose.skeleton import Skeleton
from prpose.tables import printable

MIN_OKS = 0.1  # lowest similarity of one person in neighbouring frames; a walker at 10 fps still has some 0.3
MAX_ABSENCE = 15  # frames; a person among others who is absent for longer gets a new id on return
FASTEST = 15.0  # body heights per second; no body moves as fast, a sprinter some 7
UNUSUAL = 10  # a jump is also this many times as long as the usual step of the clip
SAME_OKS = 0.8  # two people in a frame who are more alike than that may be one body, detected twice
LIMB_SIGMA = np.array([COCO_SIGMA[name] for name in LIMBS])
NEAREST = 32  # people, by the middle of their limbs, with whom a person is compared
MOST_PEOPLE = 2000  # in a frame, of those without track ids
LISTED = 8  # jumps that are listed in the warnings


def people_from(
    found: Detections,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    tracking: Tracking = "auto",
) -> list[Keypoints]:
    """Keypoints of each person from the detections of all frames, as of :func:`prpose.read_people`."""
    if not found.detections:
        raise ValueError("expected at least one person, got none in any frame")
    found = without_placeholders(found)
    if not found.detections:
        raise ValueError("expected at least one keypoint, got none: all are missing")
    name = _layout(found, layout)
    rate, slower, changed = frame_rate(found.fps, fps)
    people = []
    by_person, notes = group_by_person(found.detections, LAYOUTS[name], rate, tracking)
    twice = detected_twice(by_person, LAYOUTS[name])
    for person, detections in by_person.items():
        size = agree("image size", found.image_sizes.get(person, found.image_size), image_size)
        xy = np.stack([detection.xy for detection in detections]) * (size if found.normalised else 1)
        scores = [detection.confidence for detection in detections if detection.confidence is not None]
        confidence = np.stack(scores) if len(scores) == len(detections) else None
        frames = [detection.frame for detection in detections]
        times = np.array([found.times_s[frame] * slower for frame in frames]) if found.times_s else None
        names = tuple(found.frame_names.get(frame, "") for frame in frames)
        names = names if all(names) else ()
        warnings = tuple(map(printable, (*found.warnings, *changed, *notes, *twice.get(person, []))))
        known = confidence, rate, np.array(frames), times, person, names, warnings, found.focal_px
        people.append(Keypoints(xy, size, name, *known))
    return sorted(people, key=len, reverse=True)


def without_placeholders(found: Detections) -> Detections:
    """Missing keypoints as NaN, of confidence 0, also those at (0, 0) or (-1, -1); and without people who have none."""
    detections, number, frames = [*found.detections], 0, set[int]()
    xy = _stacked(detections)
    absent = is_placeholder(xy)
    for i in np.flatnonzero(absent.any(axis=1)).tolist():
        own, confidence = absent[i], detections[i].confidence
        scored = own if confidence is None else own & (confidence > 0)
        if scored.any():
            number += int(scored.sum())
            frames.add(detections[i].frame)
        confidence = None if confidence is None else np.where(own, 0.0, confidence)
        detections[i] = replace(detections[i], xy=np.where(own[:, None], np.nan, xy[i]), confidence=confidence)
    kept = [detections[i] for i in np.flatnonzero((is_present(xy) & ~absent).any(axis=1)).tolist()]
    where = f"{number} keypoints in {len(frames)} frames are at exactly (0, 0) or (-1, -1) and count as missing"
    return replace(found, detections=kept, warnings=(*found.warnings, *([where] if number else [])))


def _stacked(detections: Sequence[Detection]) -> Array:
    """(N, J, 2) of detections with as many joints each."""
    counts = {len(detection.xy) for detection in detections}
    if len(counts) > 1:
        raise ValueError(f"expected as many joints in every frame, got {sorted(counts)[:8]}")
    return np.stack([detection.xy for detection in detections])


def _layout(found: Detections, given: str | None) -> str:
    """The layout from file, format or user, which must have as many joints as the file."""
    J = len(found.detections[0].xy)
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


def group_by_person(
    detections: Sequence[Detection], layout: Skeleton, fps: float | None = None, tracking: Tracking = "auto"
) -> tuple[dict[str, list[Detection]], list[str]]:
    """Detections by person, each in order of frames, and warnings, one sentence each.

    Track ids count, unless they cannot be ids; detections without one are matched to the others by position. Without
    ids, one person in each frame is one person, up to a jump that no body makes, and several are matched.
    """
    detections, notes = sorted(detections, key=lambda found: found.frame), list[str]()
    ids = [None if tracking == "position" else found.track_id for found in detections]
    reason = _useless(detections)
    if reason and any(ids):
        if tracking == "ids":
            raise ValueError(f"expected track ids, got {reason}")
        ids = [None] * len(detections)
        notes.append(f"the track ids are not used, as they hold {reason}; people are tracked by position")
    if unnumbered := ids.count(None):
        if tracking == "ids":
            raise ValueError(f"expected a track id of every detection, got {unnumbered} of {len(ids)} without one")
        if unnumbered < len(ids):
            notes.append(f"{unnumbered} of {len(ids)} detections have no track id and are matched by position")
        elif len({found.frame for found in detections}) == len(detections):
            ids, jumps = split_at_jumps(detections, fps)
            notes += _first([f"{jump} starts another person" for jump in jumps])
    people: dict[str, list[Detection]] = {}
    for found, person in zip(detections, track(detections, layout, ids), strict=True):
        people.setdefault(person, []).append(found)
    if unnumbered < len(ids):
        first = {person: split_at_jumps(own, fps)[1][:1] for person, own in people.items()}
        notes += _first([f"{j} of person {p!r:.40}: is it one person?" for p, jumps in first.items() for j in jumps])
    return people, notes


def _first(notes: list[str]) -> list[str]:
    """The first of several notes, which every person gets, and the number of others."""
    return notes[:LISTED] + ([f"there are {len(notes) - LISTED} more such jumps"] if len(notes) > LISTED else [])


def detected_twice(people: Mapping[str, Sequence[Detection]], layout: Skeleton) -> dict[str, list[str]]:
    """A warning for both of two people who have nearly the same keypoints in some frames, by person."""
    joints = list(layout.subset(LIMBS))
    by_frame, shared = dict[int, list[tuple[str, Array]]](), dict[tuple[str, str], list[int]]()
    for person, own in people.items() if len(people) > 1 else ():
        for found in own:
            by_frame.setdefault(found.frame, []).append((person, found.xy[joints]))
    for frame, present in sorted(by_frame.items()):
        limbs = np.stack([xy for _, xy in present])
        others, likeness = nearest(limbs, limbs)
        for i, k in np.argwhere(likeness > SAME_OKS) if len(present) > 1 else ():
            if i < others[i, k]:
                shared.setdefault((present[i][0], present[others[i, k]][0]), []).append(frame)
    found_twice = dict[str, list[str]]()
    for pair, frames in shared.items():
        where = f"{len(frames)} frames, {frames[0]} to {frames[-1]}" if len(frames) > 1 else f"frame {frames[0]}"
        for one, other in (pair, pair[::-1]):
            text = f"person {other!r:.40} has nearly the same keypoints in {where}: is it one body, detected twice?"
            found_twice.setdefault(one, []).append(text)
    return found_twice


def _useless(detections: Sequence[Detection]) -> str:
    """Why these track ids do not tell who is who over time; nothing if they may."""
    numbered = [(found.frame, found.track_id) for found in detections if found.track_id is not None]
    (frame, person), times = Counter(numbered).most_common(1)[0] if numbered else ((0, ""), 1)
    if times > 1:
        return f"{person!r:.40} {'twice' if times == 2 else f'{times} times'} in frame {frame}"
    frames, ids = {frame for frame, _ in numbered}, {person for _, person in numbered}
    return "another id in every frame" if len(ids) == len(numbered) and len(frames) > 2 else ""


def split_at_jumps(detections: Sequence[Detection], fps: float | None) -> tuple[list[str | None], list[str]]:
    """Ids "0", "1" ... of one detection per frame, another one after each jump that no body makes; and the jumps.

    A jump is longer than a body moves in that time, and much longer than the clip's usual steps.
    """
    lengths = _heights_per_frame(detections) if len(detections) > 1 else np.zeros(0)
    limit = max(FASTEST / (fps or USUAL_FPS), UNUSUAL * float(np.median(lengths)) if len(lengths) else 0.0)
    jumps = [
        f"a jump of {lengths[i]:.1f} body heights between frames {detections[i].frame} and {detections[i + 1].frame}"
        for i in np.flatnonzero(lengths > limit).tolist()
    ]
    return [*map(str, np.cumsum([False, *(lengths > limit)]).tolist())], jumps


def _heights_per_frame(detections: Sequence[Detection]) -> Array:
    """Mean displacement of the joints present in both of two neighbours, over the larger height or width, per frame."""
    xy, frames = _stacked(detections), np.array([found.frame for found in detections], dtype=np.float64)
    both = is_present(xy[1:]) & is_present(xy[:-1])
    lengths = np.where(both, np.linalg.norm(np.diff(xy, axis=0), axis=-1), 0)
    moved = lengths.sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    extent = np.ptp(corners(xy), axis=1).max(axis=-1)
    size = np.maximum(np.maximum(extent[1:], extent[:-1]), 1e-6)
    return np.asarray(moved / size / np.maximum(1, np.diff(frames)))


def track(detections: Sequence[Detection], layout: Skeleton, ids: Sequence[str | None]) -> list[str]:
    """Ids of detections in order of frames: their own, if they have one; else by position.

    Those without take over an id of neighbouring frames, or get new ones, "0", "1" ... in order of appearance.
    """
    if None not in ids:
        return [str(person) for person in ids]
    frames = sorted({found.frame for found in detections})
    step = max(1, int(np.median(np.diff(frames)))) if len(frames) > 1 else 1
    if any(ids):  # ids of the frames before, else of those after
        ids = _matched(detections, layout, ids, step, new=False)
        ids = _matched(detections[::-1], layout, ids[::-1], step, new=False)[::-1]
    return [str(person) for person in _matched(detections, layout, ids, step, new=True)]


def _matched(
    detections: Sequence[Detection], layout: Skeleton, ids: Sequence[str | None], step: int, new: bool
) -> list[str | None]:
    """Ids of detections frame by frame: those without are assigned to people of the frames before, or are ``new``.

    The sum of the similarities is largest (Kuhn, Naval Research Logistics Quarterly 2, 1955).
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array

    joints = layout.subset(LIMBS)
    last: dict[str, tuple[int, int, Array]] = {}  # by id: the frame, the count of frames with people, and the limbs
    taken, found = {*ids}, list[str | None]()
    fresh = (str(n) for n in count() if str(n) not in taken)
    frames = groupby(zip(detections, ids, strict=True), key=lambda pair: pair[0].frame)
    for now, (frame, group) in enumerate(frames):
        people = list(group)
        last = {
            person: (t, count_then, xy)
            for person, (t, count_then, xy) in last.items()
            if abs(frame - t) <= MAX_ABSENCE * step and now - count_then <= MAX_ABSENCE
        }
        own = {person for _, person in people}
        known = [person for person in last if person not in own]
        open_rows = [i for i, (_, person) in enumerate(people) if person is None]
        if len(open_rows) > MOST_PEOPLE:
            raise ValueError(f"expected at most {MOST_PEOPLE} people without ids in a frame, got {len(open_rows)}")
        limbs = np.stack([detection.xy[[*joints]] for detection, _ in people])
        assigned = {i: person for i, (_, person) in enumerate(people) if person is not None}
        if known and open_rows:
            columns, values = nearest(limbs[open_rows], np.stack([last[person][2] for person in known]))
            near = np.unique(columns[values >= MIN_OKS]) if len(known) > NEAREST else np.arange(len(known))
            places = np.indices(columns.shape)[0].ravel(), columns.ravel()
            similarity = csr_array((values.ravel(), places), (len(open_rows), len(known)))[:, near].toarray()
            pairs = zip(*linear_sum_assignment(similarity, maximize=True), strict=True)
            assigned |= {open_rows[i]: known[near[k]] for i, k in pairs if similarity[i, k] >= MIN_OKS}
        for i in range(len(people)):
            if i not in assigned and new:
                assigned[i] = next(fresh)
            if i in assigned:
                last[assigned[i]] = (frame, now, limbs[i])
            found.append(assigned.get(i))
    return found


def nearest(one: Array, other: Array) -> tuple[Array, Array]:
    """For limbs of people (A, L, 2), the nearest of others (B, L, 2): their indices, and :func:`oks`, (A, K <= B)."""
    from scipy.spatial import cKDTree

    rows = np.broadcast_to(np.arange(len(other)), (len(one), len(other)))
    if len(other) > NEAREST:
        tree = cKDTree(_middle(other), balanced_tree=False, compact_nodes=False)  # fast also for people in one place
        rows = tree.query(_middle(one), NEAREST)[1]
    sizes = [person_size(corners(poses)) for poses in (one, other)]
    return rows, oks(one[:, None], other[rows], LIMB_SIGMA, np.maximum(sizes[0][:, None], sizes[1][rows]))


def _middle(poses: Array) -> Array:
    """Mean of the joints present, (N, J, 2) → (N, 2); 0 without any."""
    present = is_present(poses)[..., None]
    return np.asarray(np.where(present, poses, 0).sum(axis=1) / np.maximum(present.sum(axis=1), 1))
