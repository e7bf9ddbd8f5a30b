"""CSV (a row per frame and joint) and TRC (markers; OpenSim's documentation); the axes and rates of TRC and BVH."""

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
    for t, pose in enumerate(placed_y_up(prediction)):
        cells = "\t".join(f"{value:.6f}" for value in pose.ravel() + 0.0)  # without "-0.000000"
        stream.write(f"{t + 1}\t{times[t]:.6f}\t{cells}\n".encode())


def placed_y_up(prediction: Prediction) -> Array:
    """(T, 17, 3) float64 metres: the point estimate in camera space, or with the pelvis at 0 if the root is unknown.

    Half a turn about the camera's x axis: x right, y up, z towards the camera.
    """
    poses = prediction.pose.astype(np.float64)
    if prediction.root is not None:
        poses = poses + prediction.root[:, None]
    return np.asarray(poses * [1.0, -1.0, -1.0])


def frame_rate(prediction: Prediction) -> float | None:
    """Frames of the prediction per second: for every fifth frame, a fifth of the nominal rate; else by the times."""
    times, T = prediction.times_s, len(prediction)
    if prediction.fps is not None:
        return prediction.fps / float(np.median(np.diff(prediction.frame_numbers))) if T > 1 else prediction.fps
    return None if times is None or T == 1 else float((T - 1) / (times[-1] - times[0]))
