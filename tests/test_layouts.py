import re

import pytest

from prpose.layouts import LAYOUTS


@pytest.mark.parametrize("name", LAYOUTS)
def test_trees_have_one_root_and_the_same_limbs_on_both_sides(name):
    layout = LAYOUTS[name]
    mirror, parents = layout.mirror, layout.parents
    assert len(layout) == int(re.search(r"\d+$", name)[0]) == len(set(layout.names))
    assert parents.count(-1) == 1
    assert [mirror[mirror[j]] for j in range(len(layout))] == list(range(len(layout)))
    for j, parent in enumerate(parents):
        assert (parents[mirror[j]] == -1) if parent < 0 else (parents[mirror[j]] == mirror[parent])
        steps = 0
        while parent >= 0:
            parent, steps = parents[parent], steps + 1
            assert steps < len(layout), "a loop"


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("coco17", {"nose": 0, "left_eye": 1, "right_ear": 4, "left_hip": 11, "right_ankle": 16}),
        ("coco18", {"neck": 1, "left_wrist": 7, "right_hip": 8, "left_ear": 17}),
        ("body25", {"mid_hip": 8, "right_hip": 9, "right_eye": 15, "right_heel": 24}),
        ("halpe26", {"head": 17, "neck": 18, "hip": 19, "right_big_toe": 21, "left_heel": 24}),
        ("wholebody133", {"right_ankle": 16, "left_heel": 19, "face_8": 31, "left_hand_0": 91}),
        ("blazepose33", {"right_eye_inner": 4, "left_ear": 7, "left_mouth": 9, "right_knee": 26}),
        ("mpi28", {"pelvis": 4, "head_top": 7, "left_hip": 18, "right_toe": 27}),
    ],
)  # fmt: skip
def test_numbers_are_those_of_the_definitions(name, numbers):
    assert {joint: LAYOUTS[name].index(joint) for joint in numbers} == numbers


def test_a_face_mirrors_as_the_68_points_do():
    layout = LAYOUTS["wholebody133"]
    face = [layout.mirror[23 + i] - 23 for i in range(68)]
    assert face[:17] == list(range(16, -1, -1))
    assert face[17:27] == list(range(26, 16, -1))
    assert face[27:31] == [27, 28, 29, 30]
    assert face[36:42] == [45, 44, 43, 42, 47, 46]
    assert face[48:55] == list(range(54, 47, -1))
    assert face[55:60] == [59, 58, 57, 56, 55]
    assert face[60:68] == [64, 63, 62, 61, 60, 67, 66, 65]
