"""BVH (Biovision hierarchy): bones of constant length that rotate, for Blender and similar programs."""

import warnings
from typing import BinaryIO, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.io.export.csv_trc import frame_rate, placed_y_up
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17

ROTATION = "Zrotation Xrotation Yrotation"
POSITION = "Xposition Yposition Zposition"
REST = {"hip": (1, 0, 0), "knee": (0, -1, 0), "ankle": (0, -1, 0)} | {
    "spine": (0, 1, 0), "thorax": (0, 1, 0), "neck": (0, 1, 0), "head": (0, 1, 0),
    "shoulder": (1, 0, 0), "elbow": (1, 0, 0), "wrist": (1, 0, 0),
}  # fmt: skip
"""Direction of the bone to a joint, left side, when all rotations are 0: arms spread, facing +z."""
END_SITE = 0.25
"""Length of the bone beyond the last joint (hand, foot), which is not measured, relative to the bone before it."""


class Node(NamedTuple):
    """A joint of the file, which rotates the bones to ``children``.

    Where several bones start, pelvis and thorax, the joint rotates as a rigid body, and each bone hangs on a node of
    its own in the same place, as in CMU's files; so all bones point exactly where they should.
    """

    name: str
    parent: int
    children: list[int]
    offset: Array
    depth: int


def write_bvh(prediction: Prediction, stream: BinaryIO, name: str) -> None:
    """The point estimate, y up, metres, with the mean bone lengths of the clip.

    Raises:
        ValueError: if no frame rate is known, or the times are not even.
    """
    frame_time = 1 / frame_rate(prediction, "bvh", even=True)
    points = placed_y_up(prediction)
    bones = points - points[:, [max(0, parent) for parent in H36M_17.parents]]
    lengths = np.linalg.norm(bones, axis=-1)
    known = lengths > 1e-6  # else the bone has no direction
    directions = bones * (known / np.where(known, lengths, 1.0))[..., None]
    offsets = rest_directions() * lengths.mean(axis=0)[:, None]
    nodes = hierarchy(offsets)
    channels = [points[:, 0]] + [zxy_degrees(turn) for turn in local_rotations(nodes, offsets, directions)]
    values = np.round(np.concatenate(channels, axis=1), 6) + 0.0  # without "-0.000000"
    head = f"HIERARCHY\n{_text(nodes)}MOTION\nFrames: {len(points)}\nFrame Time: {frame_time:.10g}\n"
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
    """Nodes in the order of the file, parents first; offsets (17, 3) are those of the joints from their parents."""
    nodes: list[Node] = []

    def add(joint: int, parent: int, depth: int) -> None:
        children = [j for j, above in enumerate(H36M_17.parents) if above == joint]
        name, here = H36M_17.names[joint], len(nodes)
        nodes.append(Node(name, parent, children, offsets[joint], depth))
        for child in children:
            if len(children) > 1:
                nodes.append(Node(f"{name}_to_{H36M_17.names[child]}", here, [child], np.zeros(3), depth + 1))
                add(child, len(nodes) - 1, depth + 2)
            else:
                add(child, here, depth + 1)

    add(0, -1, 0)
    return nodes


def local_rotations(nodes: list[Node], offsets: Array, directions: Array) -> list[Rotation]:
    """T rotations of each node relative to its parent.

    Args:
        nodes: of :func:`hierarchy`.
        offsets: (17, 3) at rest.
        directions: (T, 17, 3) unit vectors of the bones, or 0 for a bone of no length, which then does not rotate.
    """
    rest, still = rest_directions(), Rotation.identity(len(directions))
    world: list[Rotation] = []
    local: list[Rotation] = []
    for node in nodes:
        above = world[node.parent] if node.parent >= 0 else still
        ends = [above.inv().apply(directions[:, child]) for child in node.children]
        turn = still
        if len(ends) == 1:
            start = rest[node.children[0]]
            known = np.linalg.norm(ends[0], axis=-1, keepdims=True) > 0.5
            turn = smallest_rotation(start, np.where(known, ends[0], start))
        elif ends:
            starts = offsets[node.children]
            turn = kabsch(starts, np.stack(ends, axis=1) * np.linalg.norm(starts, axis=-1)[:, None])
        local.append(turn)
        world.append(above * turn)
    return local


def smallest_rotation(start: Array, end: Array) -> Rotation:
    """The T smallest rotations of the unit vector ``start`` (3,) to ``end`` (T, 3).

    The quaternion (start × end, 1 + start · end), or half a turn about an axis square to ``start`` if opposite.
    """
    square = np.cross(start, np.eye(3)[np.abs(start).argmin()])
    quaternions = np.concatenate([np.cross(start, end), 1 + end @ start[:, None]], axis=-1)
    opposite = np.linalg.norm(quaternions, axis=-1, keepdims=True) < 1e-7
    return Rotation.from_quat(np.where(opposite, [*square, 0.0], quaternions))


def kabsch(start: Array, end: Array) -> Rotation:
    """The T rotations of points ``start`` (K, 3) nearest to ``end`` (T, K, 3), by least squares (Kabsch, 1976).

    ``Rotation.align_vectors`` does one at a time.
    """
    u, _, vt = np.linalg.svd(np.einsum("ki,tkj->tij", start, end))
    u[..., 2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]  # a rotation, never a mirror image
    return Rotation.from_matrix((u @ vt).swapaxes(-1, -2))


def zxy_degrees(rotations: Rotation) -> Array:
    """Angles (T, 3) about z, x and y with Rz·Rx·Ry = the T rotations, without jumps.

    Each rotation has two such triples, and each angle is known up to full turns: the nearest to the frame before.
    """
    with warnings.catch_warnings():  # in gimbal lock SciPy warns, and sets y to 0
        warnings.simplefilter("ignore")
        first = rotations.as_euler("ZXY", degrees=True)
    angles, before = np.empty_like(first), np.zeros(3)
    for t, triples in enumerate(np.stack([first, first * [1, -1, 1] + 180], axis=1)):
        near = triples - 360 * np.round((triples - before) / 360)
        before = angles[t] = near[np.abs(near - before).sum(-1).argmin()]
    return angles


def _text(nodes: list[Node]) -> str:
    lines: list[str] = []
    for i, node in enumerate(nodes):
        tab = "  " * node.depth
        root = node.parent < 0
        lines += [f"{tab}{'ROOT' if root else 'JOINT'} {node.name}", f"{tab}{{"]
        lines.append(f"{tab}  OFFSET {_numbers(node.offset)}")
        lines.append(f"{tab}  CHANNELS {f'6 {POSITION}' if root else '3'} {ROTATION}")
        if not node.children:
            lines += [f"{tab}  End Site", f"{tab}  {{"]
            lines += [f"{tab}    OFFSET {_numbers(node.offset * END_SITE)}", f"{tab}  }}"]
        following = nodes[i + 1].depth if i + 1 < len(nodes) else 0
        lines += ["  " * depth + "}" for depth in range(node.depth, following - 1, -1)]
    return "".join(f"{line}\n" for line in lines)


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.6f}" for value in np.round(values, 6) + 0.0)
