"""CSV (a row per frame and joint); TRC (markers; OpenSim) and BVH (bones that rotate; Blender), both with y up."""

import re
import warnings
from typing import BinaryIO, NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array, level_rotation
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17

TRC_KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"]
TRC_KEYS += ["OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"]
ROTATION = "Zrotation Xrotation Yrotation"
POSITION = "Xposition Yposition Zposition"
REST = {"hip": (1, 0, 0), "knee": (0, -1, 0), "ankle": (0, -1, 0)} | {
    "spine": (0, 1, 0), "thorax": (0, 1, 0), "neck": (0, 1, 0), "head": (0, 1, 0),
    "shoulder": (1, 0, 0), "elbow": (1, 0, 0), "wrist": (1, 0, 0),
}  # fmt: skip
"""Direction of the bone to a joint, left side, when all rotations are 0: arms spread, facing +z."""
END_SITE = 0.25  # length of hand and foot, which are not measured, relative to the bone before it
FPS = 30.0  # of predictions without a frame rate


def write_csv(prediction: Prediction, stream: BinaryIO, name: str, *_: object) -> None:
    """The columns of :meth:`Prediction.to_columns`: camera axes, metres, pelvis at 0."""
    stream.write((",".join(prediction.to_columns(slice(0))) + "\n").encode())
    for frames in prediction.frame_pieces():
        columns = prediction.to_columns(frames).values()
        for row in zip(*(column.tolist() for column in columns), strict=True):
            cells = ["" if cell != cell else f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row]
            stream.write((",".join(cells) + "\n").encode())


def write_trc(prediction: Prediction, stream: BinaryIO, name: str, *_: object) -> None:
    """Markers are the joints of the point estimate; metres, y up; frames count from 1."""
    times = prediction.seconds
    if times is None or (rate := frame_rate(prediction)) is None:
        raise ValueError("expected fps, or times of two frames or more, for trc, got neither")
    T, J = len(prediction), len(H36M_17)
    rows = [
        ["PathFileType", "4", "(X/Y/Z)", re.sub(r"\s", "_", name)],
        TRC_KEYS,
        [f"{rate:.10g}", f"{rate:.10g}", str(T), str(J), "m", f"{rate:.10g}", "1", str(T)],
        ["Frame#", "Time", *(cell for joint in H36M_17.names for cell in (joint, "", ""))],
        ["", "", *(f"{axis}{j}" for j in range(1, J + 1) for axis in "XYZ")],
        [],
    ]
    stream.write("".join("\t".join(row) + "\n" for row in rows).encode(errors="replace"))
    for t, pose in enumerate(pose for frames in prediction.frame_pieces() for pose in placed_y_up(prediction, frames)):
        cells = "\t".join(f"{value:.6f}" for value in pose.ravel() + 0.0)  # without "-0.000000"
        stream.write(f"{t + 1}\t{times[t]:.6f}\t{cells}\n".encode())


def placed_y_up(prediction: Prediction, frames: slice = slice(None)) -> Array:
    """(T, 17, 3) metres, x right, y up, z towards the camera; the pelvis is at 0 if the root is unknown.

    Up is the prediction's, which the smallest rotation about the camera turns to y; where unknown, the image's.
    """
    root = 0.0 if prediction.root is None else prediction.root[frames, None]
    points = (prediction.pose[frames].astype(np.float64) + root) @ level_rotation(prediction.up).T
    return np.asarray(points * [1.0, -1.0, -1.0])


def frame_rate(prediction: Prediction) -> float | None:
    """Frames of the prediction per second: for every fifth frame, a fifth of the nominal rate; else by the times."""
    times, T = prediction.times_s, len(prediction)
    if prediction.fps is not None:
        return prediction.fps / float(np.median(np.diff(prediction.frame_numbers))) if T > 1 else prediction.fps
    return None if times is None or T == 1 else float((T - 1) / (times[-1] - times[0]))


class Node(NamedTuple):
    """A joint of the file, which rotates the bones to ``children``; each of several hangs on a node of its own."""

    name: str
    parent: int
    children: list[int]


def write_bvh(prediction: Prediction, stream: BinaryIO, name: str, *_: object) -> None:
    """The point estimate, y up, metres, with the mean bone lengths of the clip."""
    if (rate := frame_rate(prediction)) is None:
        warnings.warn(f"unknown frame rate: {name} is written at {FPS:g} frames per second", stacklevel=4)
        rate = FPS
    elif (times := prediction.seconds) is not None:
        off = np.abs((times - times[0]) * rate - np.arange(len(times))).max()
        if off > 0.5:
            raise ValueError(f"expected frames every {1 / rate:.6g} s for bvh, got one {off:.3g} frames off")
    parts = (_bones(prediction, frames)[1] for frames in prediction.frame_pieces())
    lengths = np.concatenate([np.linalg.norm(bones, axis=-1) for bones in parts])
    offsets = rest_directions() * lengths.mean(axis=0)[:, None]
    nodes, lines = hierarchy(offsets)
    lines = ["HIERARCHY", *lines, "MOTION", f"Frames: {len(prediction)}", f"Frame Time: {1 / rate:.10g}", ""]
    stream.write("\n".join(lines).encode())
    angles = [np.zeros((1, 3)) for _ in nodes]
    for frames in prediction.frame_pieces():
        roots, bones = _bones(prediction, frames)
        known = lengths[frames] > 1e-6  # else the bone has no direction
        directions = bones * (known / np.where(known, lengths[frames], 1.0))[..., None]
        turns = zip(local_rotations(nodes, offsets, directions), angles, strict=True)
        angles = [zxy_degrees(turn, before[-1]) for turn, before in turns]
        values = np.round(np.concatenate([roots, *angles], axis=1), 6) + 0.0  # without "-0.000000"
        np.savetxt(stream, values, fmt="%.6f")


def _bones(prediction: Prediction, frames: slice) -> tuple[Array, Array]:
    """The roots (t, 3) and the bones to each joint (t, 17, 3), metres, y up."""
    points = placed_y_up(prediction, frames)
    return points[:, 0], points - points[:, [max(0, parent) for parent in H36M_17.parents]]


def rest_directions() -> Array:
    """(17, 3) unit vectors of the bones to each joint when all rotations are 0; 0 for the root."""
    directions = np.zeros((len(H36M_17), 3))
    for joint, name in enumerate(H36M_17.names[1:], start=1):
        side, _, part = name.rpartition("_")
        directions[joint] = np.array(REST[part]) * [-1 if side == "right" else 1, 1, 1]
    return directions


def hierarchy(offsets: Array) -> tuple[list[Node], list[str]]:
    """Nodes and lines of the file, parents first; offsets (17, 3) are those of the joints from their parents."""
    nodes, lines = list[Node](), list[str]()

    def add(name: str, parent: int, offset: Array, tab: str, bone: int | None = None) -> None:
        here, parents = len(nodes), H36M_17.parents
        children = [j for j in range(1, 17) if parents[j] == H36M_17.index(name)] if bone is None else [bone]
        nodes.append(Node(name, parent, children))
        kind, channels = ("JOINT", f"3 {ROTATION}") if tab else ("ROOT", f"6 {POSITION} {ROTATION}")
        lines.extend([f"{tab}{kind} {name}", f"{tab}{{", f"{tab}  OFFSET {_numbers(offset)}"])
        lines.append(f"{tab}  CHANNELS {channels}")
        for child in children:
            below = H36M_17.names[child]
            if len(children) > 1:
                add(f"{name}_to_{below}", here, np.zeros(3), f"{tab}  ", child)
            else:
                add(below, here, offsets[child], f"{tab}  ")
        if not children:
            end = f"{tab}    OFFSET {_numbers(offset * END_SITE)}"
            lines.extend([f"{tab}  End Site", f"{tab}  {{", end, f"{tab}  }}"])
        lines.append(f"{tab}}}")

    add(H36M_17.names[0], -1, offsets[0], "")
    return nodes, lines


def local_rotations(nodes: list[Node], offsets: Array, directions: Array) -> list[Rotation]:
    """T rotations of each node relative to its parent, which turn ``offsets`` (17, 3) to the bones' directions.

    Directions are unit vectors (T, 17, 3), or 0 for a bone of no length, which then does not rotate.
    """
    rest, still = rest_directions(), Rotation.identity(len(directions))
    world, local = list[Rotation](), list[Rotation]()
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
    """The T smallest rotations of the unit vector ``start`` (3,) to ``end`` (T, 3)."""
    square = np.cross(start, np.eye(3)[np.abs(start).argmin()])
    # (start × end, 1 + start · end), or half a turn about an axis square to start if opposite
    quaternions = np.concatenate([np.cross(start, end), 1 + end @ start[:, None]], axis=-1)
    opposite = np.linalg.norm(quaternions, axis=-1, keepdims=True) < 1e-7
    return Rotation.from_quat(np.where(opposite, [*square, 0.0], quaternions))


def kabsch(start: Array, end: Array) -> Rotation:
    """The T rotations of points ``start`` (K, 3) nearest to ``end`` (T, K, 3), by least squares (Kabsch, 1976)."""
    u, _, vt = np.linalg.svd(np.einsum("ki,tkj->tij", start, end))
    u[..., 2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))[:, None]  # a rotation, never a mirror image
    return Rotation.from_matrix((u @ vt).swapaxes(-1, -2))


def zxy_degrees(rotations: Rotation, before: Array | float = 0.0) -> Array:
    """Angles (T, 3) about z, x and y with Rz·Rx·Ry = the T rotations; of all such, the nearest to the frame before."""
    with warnings.catch_warnings():  # in gimbal lock SciPy warns, and sets y to 0
        warnings.simplefilter("ignore")
        first = rotations.as_euler("ZXY", degrees=True)
    angles = np.empty_like(first)
    for t, triples in enumerate(np.stack([first, first * [1, -1, 1] + 180], axis=1)):
        near = triples - 360 * np.round((triples - before) / 360)
        before = angles[t] = near[np.abs(near - before).sum(-1).argmin()]
    return angles


def _numbers(values: Array) -> str:
    return " ".join(f"{value:.6f}" for value in np.round(values, 6) + 0.0)
