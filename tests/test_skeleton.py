import pytest
import torch

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
