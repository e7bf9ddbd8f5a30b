"""TRC, parsed as OpenSim and Pose2Sim do, in a few lines."""

import numpy as np
import pytest

from prpose.io.export import write_prediction
from prpose.skeleton import H36M_17
from tests.pose_files import made, of_one, standing

KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate",
        "OrigDataStartFrame", "OrigNumFrames"]  # fmt: skip


def parse(path):
    """Header by key, marker names, frame numbers, times, and (T, markers, 3)."""
    lines = path.read_text(encoding="ascii").split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert lines[1].split("\t") == KEYS
    header = dict(zip(KEYS, lines[2].split("\t"), strict=True))
    names = lines[3].split("\t")
    assert names[:2] == ["Frame#", "Time"]
    labels = lines[4].split("\t")
    J = int(header["NumMarkers"])
    assert labels == ["", ""] + [f"{axis}{j + 1}" for j in range(J) for axis in "XYZ"]
    assert len(names) == len(labels)
    assert [name for i, name in enumerate(names[2:]) if i % 3] == [""] * (2 * J)
    assert lines[5] == lines[-1] == ""
    rows = np.array([[float(cell) for cell in line.split("\t")] for line in lines[6:-1]])
    return header, names[2::3], rows[:, 0], rows[:, 1], rows[:, 2:].reshape(len(rows), J, 3)


def test_markers_are_the_joints_in_space(tmp_path):
    poses = made()
    write_prediction(poses, tmp_path / "take 1.trc")
    header, names, frames, times, points = parse(tmp_path / "take 1.trc")
    assert header["DataRate"] == header["CameraRate"] == header["OrigDataRate"] == "30"
    assert (header["NumFrames"], header["OrigNumFrames"], header["Units"]) == ("4", "4", "m")
    assert tuple(names) == H36M_17.names
    assert frames.tolist() == [1, 2, 3, 4]
    assert np.abs(times - poses.times_s).max() < 1e-6
    expected = (poses.pose + poses.root[:, None]) * [1, -1, -1]
    assert np.abs(points - expected).max() < 1e-6
    assert (tmp_path / "take 1.trc").read_text().split("\n")[0].endswith("\ttake_1.trc")


@pytest.mark.parametrize("rate", [29.97, 59.94005994, 240])
def test_the_rate_is_the_nominal_one_or_that_of_the_times(rate, tmp_path):
    write_prediction(of_one(standing(5), fps=rate), tmp_path / "a.trc")
    header, _, _, times, _ = parse(tmp_path / "a.trc")
    assert float(header["DataRate"]) == pytest.approx(rate, rel=1e-9)
    assert np.abs(times - np.arange(5) / rate).max() < 1e-6
    write_prediction(of_one(standing(5), times_s=times), tmp_path / "b.trc")
    assert float(parse(tmp_path / "b.trc")[0]["DataRate"]) == pytest.approx(rate, rel=1e-4)


def test_who_stands_upright_is_upright_and_not_mirrored(tmp_path):
    write_prediction(of_one(standing(), fps=30), tmp_path / "a.trc")
    *_, points = parse(tmp_path / "a.trc")
    at = dict(zip(H36M_17.names, points[0], strict=True))
    assert at["head"][1] > at["pelvis"][1] > at["left_knee"][1] > at["left_ankle"][1]
    assert at["left_hip"][0] > at["right_hip"][0]
    assert at["neck"][2] > at["thorax"][2]  # the nose points to the camera, +z
    turn, *_ = np.linalg.lstsq(standing()[0], points[0], rcond=None)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-5)
