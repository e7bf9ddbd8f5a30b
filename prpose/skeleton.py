"""Skeletons: joint names, the tree that links them, and the left/right symmetry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Side = Literal["left", "right", "middle"]


@dataclass(frozen=True)
class Skeleton:
    """A named joint tree with a left/right symmetry; ``ValueError`` if a joint of one side has no partner.

    Example:
        >>> H36M_17.index("right_knee"), H36M_17.names[H36M_17.mirror[2]], H36M_17.sides[2]
        (2, 'left_knee', 'right')
    """

    names: tuple[str, ...]  # one per joint; left and right joints start with left_ and right_
    parents: tuple[int, ...]  # index of each joint's parent, -1 for a root

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.parents), "one parent per joint"
        _ = self.mirror  # raises for a joint without partner

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Index of the joint called ``name``; ``ValueError`` if there is none."""
        if name not in self.names:
            raise ValueError(f"no joint {name!r}; the joints are {', '.join(self.names)}")
        return self.names.index(name)

    def subset(self, names: Sequence[str]) -> tuple[int, ...]:
        """Indices of the named joints, in the order given."""
        return tuple(self.index(name) for name in names)

    def without(self, name: str) -> "Skeleton":
        """The skeleton without one joint of the middle; its children become its parent's."""
        removed = self.index(name)
        parents = [self.parents[removed] if parent == removed else parent for parent in self.parents]
        parents = [parent - (parent > removed) for joint, parent in enumerate(parents) if joint != removed]
        return Skeleton(tuple(other for other in self.names if other != name), tuple(parents))

    @property
    def mirror(self) -> tuple[int, ...]:
        """Exchanges left and right: ``swapped[..., j, :] = x[..., mirror[j], :]``."""
        other = {"left": "right_", "right": "left_"}
        sides = zip(self.names, self.sides, strict=True)
        return tuple(self.index(other.get(side, "") + name.removeprefix(f"{side}_")) for name, side in sides)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(joint, parent) pairs of indices, for every joint but the roots."""
        return tuple((joint, parent) for joint, parent in enumerate(self.parents) if parent >= 0)

    @property
    def sides(self) -> tuple[Side, ...]:
        """The side of each joint."""
        return tuple(
            "left" if name.startswith("left_") else "right" if name.startswith("right_") else "middle"
            for name in self.names
        )


def mirror_pose(pose: "Tensor", mirror: Sequence[int]) -> "Tensor":
    """The mirror image of a 2D or 3D pose, (*, J, C) → the same: x negated, sides exchanged."""
    swapped = pose.index_select(-2, pose.new_tensor(mirror).long())  # faster than indexing
    sign = swapped.new_ones(swapped.shape[-1])
    sign[0] = -1
    return swapped * sign


H36M_17 = Skeleton(
    names=(
        "pelvis",
        *("right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle"),
        *("spine", "thorax", "neck", "head"),
        *("left_shoulder", "left_elbow", "left_wrist"),
        *("right_shoulder", "right_elbow", "right_wrist"),
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)
"""The 17 joints of Human3.6M that the field evaluates on; ``neck`` is its neck/nose point."""
H36M_16 = H36M_17.without("neck")
"""The joints of networks without the neck/nose point; the head's parent is the thorax."""
PCK_14 = tuple(joint for joint, name in enumerate(H36M_17.names) if name not in ("pelvis", "spine", "neck"))
"""The 14 joints of MPI-INF-3DHP's official PCK. Its head top is our ``head``, its neck, at the base of the neck, our
``thorax``; pelvis, spine and the face point (our ``neck``) do not count."""
PCK_17 = tuple(range(len(H36M_17)))
"""All 17 joints, with the always-correct pelvis, as in the PCK of PRPose's release."""
