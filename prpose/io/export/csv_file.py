"""CSV: a row for each frame and joint, for tables and statistics."""

from typing import BinaryIO

import numpy as np

from prpose.prediction import FLAGS, Prediction
from prpose.skeleton import H36M_17

COLUMNS = (
    *("frame", "time_s", "joint", "x_right_m", "y_down_m", "z_forward_m"),
    *("sd_x_m", "sd_y_m", "sd_z_m", "flag"),
)
"""The names say unit and axis, so that the file needs no comment, which few readers skip."""
ROOT_COLUMNS = ("root_x_m", "root_y_m", "root_z_m")


def write(poses: Prediction, stream: BinaryIO, name: str) -> None:
    """Camera axes, metres, pelvis at 0; ``root_*``, the pelvis in camera space, where known."""
    times, flags = poses.seconds, np.asarray(poses.flags)
    named = np.asarray(poses.frame_numbers)
    variance = np.diagonal(poses.covariance, axis1=-2, axis2=-1)
    numbers = np.concatenate([poses.pose, np.sqrt(np.maximum(variance, 0))], axis=-1)
    root = poses.root
    stream.write((",".join(COLUMNS + (() if root is None else ROOT_COLUMNS)) + "\n").encode())
    for t, frame in enumerate(numbers):
        time = "" if times is None else f"{times[t]:.6f}"
        end = "" if root is None else "".join(f",{value:.6f}" for value in root[t])
        for joint, row, flag in zip(H36M_17.names, frame, flags[t], strict=True):
            cells = ",".join(f"{value:.6f}" for value in row)
            stream.write(f"{named[t]},{time},{joint},{cells},{FLAGS[flag]}{end}\n".encode())
