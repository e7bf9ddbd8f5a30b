"""CSV (a row per frame and joint) and TRC (markers for OpenSim and Pose2Sim); the axes and rates of TRC and BVH.

Source of TRC's layout: OpenSim's documentation of marker files; its readers, and Pose2Sim's, take tabs, marker names at
every third column, and an empty line before the data.
"""

import re
from typing import BinaryIO

import numpy as np

from prpose.camera import Array
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17

TRC_KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"]
TRC_KEYS += ["OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"]


def write_csv(prediction: Prediction, stream: BinaryIO, name: str) -> None:
    """The columns of :meth:`Prediction.to_columns`: camera axes, metres, pelvis at 0."""
    columns = prediction.to_columns()
    stream.write((",".join(columns) + "\n").encode())
    for row in zip(*(column.tolist() for column in columns.values()), strict=True):
        cells = ["" if cell != cell else f"{cell:.6f}" if isinstance(cell, float) else str(cell) for cell in row]
        stream.write((",".join(cells) + "\n").encode())


def write_trc(prediction: Prediction, stream: BinaryIO, name: str) -> None:
    """Markers are the joints of the point estimate; metres, y up; frames count from 1.

    Raises:
        ValueError: if neither times nor a frame rate are known.
    """
    rate = f"{frame_rate(prediction, 'trc', even=False):.10g}"
    times = prediction.seconds
    assert times is not None, "a frame rate comes from times or gives them"
    T, J = len(prediction), len(H36M_17)
    rows = [
        ["PathFileType", "4", "(X/Y/Z)", re.sub(r"\s", "_", name)],
        TRC_KEYS,
        [rate, rate, str(T), str(J), "m", rate, "1", str(T)],
        ["Frame#", "Time", *(cell for joint in H36M_17.names for cell in (joint, "", ""))],
        ["", "", *(f"{axis}{j}" for j in range(1, J + 1) for axis in "XYZ")],
        [],
    ]
    stream.write("".join("\t".join(row) + "\n" for row in rows).encode(errors="replace"))
    for t, pose in enumerate(placed_y_up(prediction)):
        cells = "\t".join(f"{value:.6f}" for value in pose.ravel() + 0.0)  # without "-0.000000"
        stream.write(f"{t + 1}\t{times[t]:.6f}\t{cells}\n".encode())


def placed_y_up(prediction: Prediction) -> Array:
    """(T, 17, 3) float64 metres: the point estimate in camera space, or with the pelvis at 0 if the root is unknown.

    Camera axes (x right, y down, z forward) become x right, y up, z towards the camera: half a turn about x, nothing
    is mirrored. A person facing the camera faces +z, with the left hand at +x, as characters in animation do. "Up" is
    up in the image.
    """
    poses = prediction.pose.astype(np.float64)
    if prediction.root is not None:
        poses = poses + prediction.root[:, None]
    return np.asarray(poses * [1.0, -1.0, -1.0])


def frame_rate(prediction: Prediction, format: str, even: bool) -> float:
    """Frames per second: the nominal rate, or that of the times.

    Raises:
        ValueError: if it is not known; with ``even``, if a frame is more than half a frame off the rate.
    """
    times, rate = prediction.times_s, prediction.fps
    if rate is None and times is not None and len(times) > 1:
        rate = float((len(times) - 1) / (times[-1] - times[0]))
    if rate is None:
        raise ValueError(f"expected fps, or times of two frames or more, for {format}, got neither")
    if even and times is not None:
        off = np.abs((times - times[0]) * rate - np.arange(len(times))).max()
        if off > 0.5:
            raise ValueError(f"expected frames every {1 / rate:.6g} s for {format}, got one {off:.3g} frames off")
    return rate
