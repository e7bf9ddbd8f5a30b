"""Who is who over time: ids of files, people matched by position, jumps and absences."""

import numpy as np
import pytest

from prpose.io.keypoints.coco import read_results
from prpose.io.keypoints.detections import Detection, Detections
from prpose.io.keypoints.tracking import people_from
from tests.make_formats import image_size, walker

SIZE = image_size()
STEP = np.array([4.0, 0.0])  # pixels per frame


def people_of(rows, tracking="auto", fps=30.0, **more):
    """People from (frame, place of the walker, id or None)."""
    body = walker("coco17")[0][0]
    found = [Detection(t, body + place, np.full(17, 0.9), person) for t, place, person in rows]
    return people_from(Detections(found, "coco17", **more), image_size=SIZE, fps=fps, tracking=tracking)


def crossing(ids):
    """Two people who walk towards each other and cross; ids of frame t as ``ids(t)``."""
    a, b = np.array([-200.0, 0.0]), np.array([200.0, 0.0])
    return [
        (t, place, person)
        for t in range(40)
        for place, person in zip((a + 10 * t * STEP / 4, b - 10 * t * STEP / 4), ids(t), strict=True)
    ]


def places(person):
    return person.xy[:, 5, 0]


def test_ids_of_a_file_count_also_where_people_cross():
    left, right = people_of(crossing(lambda t: ("7", "8")))
    assert (left.person, right.person) == ("7", "8")
    assert (np.diff(places(left)) > 0).all()
    assert (np.diff(places(right)) < 0).all()


def test_two_people_with_the_same_keypoints_are_reported():
    """Where people overlap, detectors find the one in front twice."""
    left, right = people_of(crossing(lambda t: ("7", "8")))
    same = "has nearly the same keypoints in 3 frames, 19 to 21: is it one body, detected twice?"
    assert left.warnings == (f"person '8' {same}",)
    assert right.warnings == (f"person '7' {same}",)
    rows = [(t, t * STEP, "1") for t in range(9)] + [(4, 4 * STEP + 2, "2"), (4, 4 * STEP + (300, 0), "3")]
    first, second, third = people_of(rows)
    assert "'2' has nearly the same keypoints in frame 4:" in first.warnings[-1]
    assert "'1' has nearly" in second.warnings[-1]
    assert third.warnings == ()


@pytest.mark.parametrize("frame", [0, 3, 39])
def test_a_missing_id_is_matched_by_position_and_the_others_stay(frame):
    people = people_of(crossing(lambda t: (None if t == frame else "7", "8")))
    assert [(person.person, len(person)) for person in people] == [("7", 40), ("8", 40)]
    assert people[0].warnings[0] == "1 of 80 detections have no track id and are matched by position"


def test_a_person_who_never_has_an_id_gets_one_of_their_own():
    people = people_of([row for t in range(9) for row in ((t, t * STEP, "0"), (t, (300, 0) + t * STEP, None))])
    assert [(person.person, len(person)) for person in people] == [("0", 9), ("1", 9)]


@pytest.mark.parametrize("ids", [("0", "0"), ("3", "3")])
def test_ids_twice_in_a_frame_are_reported_and_people_tracked_by_position(ids):
    rows = [row for t in range(9) for row in ((t, t * STEP, ids[0]), (t, (300, 0) - t * STEP, ids[1]))]
    people = people_of(rows)
    assert [len(person) for person in people] == [9, 9]
    assert f"they hold {ids[0]!r} twice in frame 0; people are tracked by position" in people[0].warnings[0]
    with pytest.raises(ValueError, match=r"expected track ids, got '.' twice in frame 0"):
        people_of(rows, "ids")


def test_ids_that_count_detections_are_no_ids():
    people = people_of([(t, t * STEP, str(t)) for t in range(9)])
    assert [len(person) for person in people] == [9]
    assert "another id in every frame" in people[0].warnings[0]


def test_ids_are_demanded_or_ignored_on_request():
    with pytest.raises(ValueError, match="expected a track id of every detection, got 1 of 80 without one"):
        people_of(crossing(lambda t: (None if t == 3 else "7", "8")), "ids")
    people = people_of([(t, t * STEP, "7" if t < 5 else "8") for t in range(9)], "position")
    assert [(person.person, len(person)) for person in people] == [("0", 9)]


def test_someone_among_others_who_is_gone_for_long_comes_back_as_somebody_else():
    rows = [(t, (x, 0), None) for t in (*range(8), *range(5008, 5016)) for x in (0, 300)]
    assert [len(person) for person in people_of(rows)] == [8] * 4
    sparse = [(25 * t, (x, 0), None) for t in range(8) for x in (0, 300)]  # every 25th frame has no absences
    assert [len(person) for person in people_of(sparse)] == [8, 8]


def test_one_person_in_each_frame_is_one_person_whatever_is_missing():
    (person,) = people_of([(t, t * STEP, None) for t in (*range(10), *range(40, 50))])
    assert len(person) == 20


def test_a_jump_that_no_body_makes_starts_another_person_with_a_warning():
    jumping = [(t, t * STEP + (260 if t >= 10 else 0, 0), None) for t in range(20)]
    people = people_of(jumping)
    assert [len(person) for person in people] == [10, 10]
    assert "body heights between frames 9 and 10 starts another person" in people[0].warnings[-1]
    numbered = [(t, place, "4") for t, place, _ in jumping]
    (person,) = people_of(numbered)
    assert "between frames 9 and 10 of person '4': is it one person?" in person.warnings[-1]


def test_fast_people_at_low_frame_rates_do_not_jump():
    (person,) = people_of([(t, 40 * t * STEP, None) for t in range(6)], fps=5)
    assert len(person) == 6
    (person,) = people_of([(t, (260 if t >= 3 else 0, 0), None) for t in range(6)], fps=5)
    assert len(person) == 6


def test_placeholders_are_no_joints_that_people_share():
    body, found = walker("coco17")[0][0], []
    for t in range(20):
        for x in (0, 600, -250) if t < 10 else (0, 600, 250):
            xy = body + np.array([x, 0.0])
            if abs(x) == 250:
                xy[11:] = 0
            found.append(Detection(t, xy, np.full(17, 0.18)))
    people = people_from(Detections(found, "coco17"), image_size=SIZE, fps=30)
    assert [len(person) for person in people] == [20, 20, 10, 10]
    assert "120 keypoints in 20 frames are at exactly (0, 0) or (-1, -1)" in people[0].warnings[0]


def test_a_crowd_is_matched():
    body, rng, found = walker("coco17")[0][0] / 10, np.random.default_rng(0), []
    place = np.stack(np.meshgrid(np.arange(12), np.arange(12)), axis=-1).reshape(-1, 1, 2) * 80.0
    for t in range(6):
        found += [Detection(t, body + place[i] + t) for i in rng.permutation(144)]
    people = people_from(Detections(found, "coco17"), image_size=SIZE, fps=30)
    assert len(people) == 144
    assert all(np.allclose(np.diff(person.xy, axis=0), 1, atol=1e-3) for person in people)


@pytest.mark.parametrize(
    ("more", "person"),
    [
        ({"track_id": 3}, "3"),
        ({"track_id": [3.0]}, "3"),
        ({"idx": [[3]]}, "3"),
        ({"attributes": {"track_id": 3, "occluded": False}}, "3"),
        ({"person_id": [3]}, "3"),
        ({"instance_id": "a"}, "a"),
        ({"track_id": -1, "idx": 4}, "4"),
        ({"track_id": ""}, None),
        ({"track_id": True}, None),
        ({"person_id": [-1]}, None),
    ],
)
def test_ids_are_read_where_programs_write_them(more, person):
    (detection,) = read_results([{"image_id": 0, "keypoints": [1, 2, 1] * 17, **more}]).detections
    assert detection.track_id == person
