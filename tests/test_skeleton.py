import re

import pytest
import torch

from prpose.layouts import LAYOUTS
from prpose.skeleton import H36M_16, H36M_17, PCK_14, PCK_17, Skeleton, mirror_pose


def test_mirror_is_an_involution_and_matches_the_published_pairs():
    mirror = H36M_17.mirror
    assert [mirror[mirror[j]] for j in range(17)] == list(range(17))
    assert [mirror[j] for j in (4, 5, 6, 11, 12, 13)] == [1, 2, 3, 14, 15, 16]
    assert [mirror[j] for j in (0, 7, 8, 9, 10)] == [0, 7, 8, 9, 10]


@pytest.mark.parametrize("shape", [(17, 2), (3, 17, 3), (2, 3, 4, 17, 3)])
def test_mirroring_twice_changes_nothing(shape):
    pose = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    once = mirror_pose(pose, H36M_17.mirror)
    assert torch.equal(mirror_pose(once, H36M_17.mirror), pose)
    assert torch.equal(once[..., 1, 0], -pose[..., 4, 0])
    assert torch.equal(once[..., 1, 1:], pose[..., 4, 1:])


def test_pck_joint_sets():
    assert len(PCK_14) == len(set(PCK_14)) == 14
    assert set(range(17)) - set(PCK_14) == {0, 7, 9}
    assert tuple(range(17)) == PCK_17


def test_a_side_without_its_partner_raises():
    with pytest.raises(ValueError, match="no joint 'right_b'"):
        Skeleton(("a", "left_b"), (-1, 0))


def test_bones_and_sides():
    assert H36M_17.bones == tuple((joint, parent) for joint, parent in enumerate(H36M_17.parents) if joint)
    assert [H36M_17.sides[joint] for joint in (0, 1, 4, 10, 11, 16)] == [
        *("middle", "right", "left", "middle", "left", "right")
    ]


def test_children_of_a_removed_joint_become_its_parents():
    assert H36M_16.names == tuple(name for name in H36M_17.names if name != "neck")
    for name, parent in zip(H36M_16.names, H36M_16.parents, strict=True):
        before = H36M_17.parents[H36M_17.index(name)]
        expected = "thorax" if name == "head" else H36M_17.names[before]
        assert parent == -1 if before == -1 else H36M_16.names[parent] == expected


@pytest.mark.parametrize("name", LAYOUTS)
def test_trees_have_one_root_and_the_same_limbs_on_both_sides(name):
    layout = LAYOUTS[name]
    mirror, parents = layout.mirror, layout.parents
    assert len(layout) == int(re.search(r"\d+(?=b?$)", name)[0]) == len(set(layout.names))
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
        ("body25b", {"nose": 0, "right_ankle": 16, "upper_neck": 17, "head": 18, "left_big_toe": 19, "right_heel": 24}),
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
