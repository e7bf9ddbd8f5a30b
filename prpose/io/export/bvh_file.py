"""BVH (Biovision hierarchy): bones of constant length that turn, for Blender and its like."""

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from prpose.camera import Array
from prpose.io.export.axes import frame_rate, placed
from prpose.io.export.rotations import best_turn, turn_towards, zxy_degrees
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17

ROTATION = "Zrotation Xrotation Yrotation"
POSITION = "Xposition Yposition Zposition"
REST = {"hip": (1, 0, 0), "knee": (0, -1, 0), "ankle": (0, -1, 0)} | {
    "spine": (0, 1, 0), "thorax": (0, 1, 0), "neck": (0, 1, 0), "head": (0, 1, 0),
    "shoulder": (1, 0, 0), "elbow": (1, 0, 0), "wrist": (1, 0, 0),
}  # fmt: skip
"""Direction of the bone to a joint, left side, when all rotations are 0: arms spread, facing +z."""
BEYOND = 0.25
"""Length of a bone beyond the last joint (hand, foot), which is not measured, of the one before."""


@dataclass(frozen=True)
class Node:
    """A joint of the file. The bones that a joint turns are those to ``aims``.

    Where several bones start, pelvis and thorax, the joint turns like a rigid body, and each bone
    hangs on a node of its own in the same place, as in CMU's files: so all of them point exactly
    where they should.
    """

    name: str
    parent: int
    joint: int
    aims: tuple[int, ...]
    offset: Array
    depth: int

    def __post_init__(self) -> None:
        self.offset.flags.writeable = False


def write(poses: Prediction, stream: BinaryIO, name: str) -> None:
    """The aggregate, y up, metres, with the mean bone lengths of the clip.

    Raises:
        ValueError: if no frame rate is known, or the times are not even.
    """
    frame_time = 1 / frame_rate(poses, "bvh", even=True)
    points = placed(poses)
    directions, lengths = _bones(points)
    offsets = rest_directions() * lengths.mean(axis=0)[:, None]
    nodes = hierarchy(offsets)
    channels = [points[:, 0]] + [zxy_degrees(turn) for turn in turns(nodes, offsets, directions)]
    values = np.round(np.concatenate(channels, axis=1), 6) + 0.0  # no "-0.000000"
    stream.write(("HIERARCHY\n" + _text(nodes)).encode())
    head = f"MOTION\nFrames: {len(points)}\nFrame Time: {frame_time:.10g}\n"
    stream.write(head.encode())
    np.savetxt(stream, values, fmt="%.6f")


def rest_directions() -> Array:
    """(17, 3) unit vectors of the bones to each joint when all rotations are 0; 0 for the root."""
    directions = np.zeros((len(H36M_17), 3))
    for joint, name in enumerate(H36M_17.names[1:], start=1):
        side, _, part = name.rpartition("_")
        directions[joint] = np.array(REST[part]) * [-1 if side == "right" else 1, 1, 1]
    return directions


def hierarchy(offsets: Array) -> list[Node]:
    """Nodes in the order of the file, parents first.

    Args:
        offsets: (17, 3) of the joints from their parents, at rest.
    """
    nodes: list[Node] = []

    def add(joint: int, parent: int, depth: int) -> None:
        children = tuple(j for j, above in enumerate(H36M_17.parents) if above == joint)
        name, here = H36M_17.names[joint], len(nodes)
        nodes.append(Node(name, parent, joint, children, offsets[joint].copy(), depth))
        for child in children:
            if len(children) > 1:
                own = f"{name}_to_{H36M_17.names[child]}"
                nodes.append(Node(own, here, joint, (child,), np.zeros(3), depth + 1))
                add(child, len(nodes) - 1, depth + 2)
            else:
                add(child, here, depth + 1)

    add(0, -1, 0)
    return nodes


def turns(nodes: list[Node], offsets: Array, directions: Array) -> list[Array]:
    """Rotations (T, 3, 3) of each node against its parent.

    Args:
        nodes: of :func:`hierarchy`.
        offsets: (17, 3) at rest.
        directions: (T, 17, 3) unit vectors of the bones as they are, or 0 where a bone has no
            length, which then does not turn.
    """
    rest = rest_directions()
    world: list[Array] = []
    local: list[Array] = []
    for node in nodes:
        above = world[node.parent] if node.parent >= 0 else np.eye(3)[None]
        aims = list(node.aims)
        seen = np.einsum("tji,tkj->tki", np.broadcast_to(above, (len(directions), 3, 3)),
                         directions[:, aims])  # fmt: skip
        if len(aims) == 1:
            known = np.linalg.norm(seen[:, 0], axis=-1, keepdims=True) > 0.5
            turn = turn_towards(rest[aims[0]], np.where(known, seen[:, 0], rest[aims[0]]))
        elif aims:
            weights = np.linalg.norm(offsets[aims], axis=-1)
            turn = best_turn(offsets[aims], seen * weights[:, None])
        else:
            turn = np.broadcast_to(np.eye(3), (len(directions), 3, 3))
        local.append(turn)
        world.append(above @ turn)
    return local


def _bones(points: Array) -> tuple[Array, Array]:
    """Unit vectors (T, 17, 3) from each joint's parent, and lengths (T, 17), 0 for the root."""
    parents = [max(0, parent) for parent in H36M_17.parents]
    bones = points - points[:, parents]
    lengths = np.linalg.norm(bones, axis=-1)
    known = lengths > 1e-6
    return bones * (known / np.where(known, lengths, 1.0))[..., None], lengths


def _text(nodes: list[Node]) -> str:
    lines: list[str] = []
    for i, node in enumerate(nodes):
        tab = "  " * node.depth
        root = node.parent < 0
        lines += [f"{tab}{'ROOT' if root else 'JOINT'} {node.name}", f"{tab}{{"]
        lines.append(f"{tab}  OFFSET {_numbers(node.offset)}")
        lines.append(f"{tab}  CHANNELS {f'6 {POSITION}' if root else '3'} {ROTATION}")
        if not node.aims:
            lines += [f"{tab}  End Site", f"{tab}  {{"]
            lines += [f"{tab}    OFFSET {_numbers(node.offset * BEYOND)}", f"{tab}  }}"]
        following = nodes[i + 1].depth if i + 1 < len(nodes) else 0
        lines += ["  " * depth + "}" for depth in range(node.depth, following - 1, -1)]
    return "".join(f"{line}\n" for line in lines)


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.6f}" for value in np.round(values, 6) + 0.0)
