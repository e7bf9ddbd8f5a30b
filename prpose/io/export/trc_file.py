"""TRC (track row column): markers over time for OpenSim, Pose2Sim and their like.

Source of the layout: OpenSim's documentation of marker files; its readers, and Pose2Sim's, take
tabs, marker names at every third column, and an empty line before the data.
"""

import re
from typing import BinaryIO

from prpose.io.export.axes import frame_rate, placed
from prpose.prediction import Prediction
from prpose.skeleton import H36M_17

KEYS = (
    *("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"),
    *("OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"),
)


def write(poses: Prediction, stream: BinaryIO, name: str) -> None:
    """Markers are the joints; metres, y up; frames count from 1; times are those of the poses.

    Raises:
        ValueError: if neither times nor a frame rate are known.
    """
    rate = f"{frame_rate(poses, 'trc', even=False):.10g}"
    times = poses.seconds
    assert times is not None, "a frame rate comes from times or makes them"
    T, J = len(poses), len(H36M_17)
    values = (rate, rate, str(T), str(J), "m", rate, "1", str(T))
    axes = [f"{axis}{j}" for j in range(1, J + 1) for axis in "XYZ"]
    lines = [
        "PathFileType\t4\t(X/Y/Z)\t" + re.sub(r"\s", "_", name),
        "\t".join(KEYS),
        "\t".join(values),
        "Frame#\tTime\t" + "\t\t\t".join(H36M_17.names) + "\t\t",
        "\t\t" + "\t".join(axes),
        "",
    ]
    stream.write("".join(f"{line}\n" for line in lines).encode(errors="replace"))
    for t, pose in enumerate(placed(poses)):
        cells = "\t".join(f"{value:.6f}" for value in pose.ravel() + 0.0)  # no "-0.000000"
        stream.write(f"{t + 1}\t{times[t]:.6f}\t{cells}\n".encode())
