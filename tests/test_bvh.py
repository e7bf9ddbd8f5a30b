"""BVH against a scalar recursive walk and against bvhio; errors of broken files."""

import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prpose.data.mocap import read_bvh
from tests.mocap_files import CMU, ORDERS, bvh_text, change, needs_cmu


@pytest.fixture
def bvhio():
    with warnings.catch_warnings():  # of its own dependency, about an import
        warnings.simplefilter("ignore")
        return pytest.importorskip("bvhio")


def walk(frame):
    """The joints of the made-up tree, one after the other, with SciPy's rotations."""
    hips, *angles = np.reshape(frame, (5, 3))
    turn, leg_own, foot_own, spine_own = (
        Rotation.from_euler(ORDERS[key], own, degrees=True) for key, own in zip("abcb", angles, strict=True)
    )
    leg_turn, spine_turn = turn * leg_own, turn * spine_own
    leg, spine = hips + turn.apply([1.5, -2, 0.25]), hips + turn.apply([0, 2, 0])
    foot = leg + leg_turn.apply([0, -4, 0.5])
    toe = foot + (leg_turn * foot_own).apply([0, 0, 1])
    return [hips, leg, foot, toe, spine, spine + spine_turn.apply([0, 3, 0])]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_against_a_scalar_walk(end, tmp_path):
    path = tmp_path / "a.bvh"
    path.write_bytes(bvh_text(5).replace("\n", end).encode())
    recording = read_bvh(path)
    assert recording.names == ("Hips", "Leg", "Foot", "Foot_end", "Spine", "Spine_end")
    assert recording.fps == pytest.approx(50)
    rows = [line.split() for line in bvh_text(5).splitlines()[-5:]]
    expected = [walk([float(value) for value in row]) for row in rows]
    assert np.abs(recording.positions - np.array(expected)).max() < 1e-9


def positions_of_bvhio(bvhio, path, frames):
    root = bvhio.readAsHierarchy(str(path))
    for t in frames:
        root.loadPose(t)
        yield t, {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}


def test_against_bvhio(bvhio, tmp_path):
    path = tmp_path / "a.bvh"
    path.write_text(bvh_text(4))
    recording = read_bvh(path)
    for t, expected in positions_of_bvhio(bvhio, path, range(4)):
        assert set(expected) == {"Hips", "Leg", "Foot", "Spine"}
        for name, position in expected.items():
            ours = recording.positions[t, recording.names.index(name)]
            assert np.abs(ours - position).max() < 1e-3  # of 170: it computes in float32


@needs_cmu
@pytest.mark.parametrize("name", ["running_2", "washwindow_6"])
def test_real_files_against_bvhio(name, bvhio):
    path = CMU / "bvh" / f"{name}.bvh"
    recording = read_bvh(path)
    assert recording.fps == pytest.approx(120, abs=0.01)
    for t, expected in positions_of_bvhio(bvhio, path, (0, 50, len(recording.positions) - 1)):
        for joint, position in expected.items():
            ours = recording.positions[t, recording.names.index(joint)]
            assert np.abs(ours - position).max() < 1e-4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: "", "ends before its MOTION section"),
        (lambda t: t[:200], "line "),
        (lambda t: t[: t.index("MOTION")], "ends before its MOTION section"),
        (lambda t: t[: t.index("Frames")], "expected Frames: and Frame Time: after MOTION"),
        (lambda t: t[: t.index("Frame Time")], "expected Frames: and Frame Time: after MOTION"),
        (lambda t: t[:-200], "rows of motion, got 3 and"),
        (lambda t: "\n".join(t.split("\n")[:-2]), "rows of motion, got 3 and 2 rows"),
        (lambda t: t + "1 2 3\n", "rows of motion, got 3 and 4 rows"),
        (lambda t: t.rstrip() + " 7\n", "expected 15 finite numbers"),
        (change("OFFSET 0 2 0", "OFFSET 0 2"), "line 22: expected 3 finite numbers, got 0 2"),
        (change("OFFSET 0 2 0", "OFFSET 0 two 0"), "line 22: expected numbers, got '0 two 0'"),
        (change("CHANNELS 6", "CHANNELS 5"), "line 5: expected 5 different channels"),
        (change("Zrotation", "Wrotation"), "line 5: expected 6 different channels"),
        (change("JOINT Spine\n  {", "JOINT Spine\n"), "line 22: 'OFFSET 0 2 0' is not exp"),
        (change("JOINT Spine", "MESH Spine"), "line 20: 'MESH Spine' is not expected here"),
        (change("JOINT Spine", "ROOT Spine"), "line 20: ROOT is not expected here"),
        (change("JOINT Spine", "JOINT Leg"), "line 20: Leg is there already"),
        (change("    OFFSET 0 2 0\n", ""), "line 27: Spine has no OFFSET"),
        (change("        OFFSET 0 0 1\n", ""), "line 16: Foot_end has no OFFSET"),
        (change("Zrotation Yr", "Yrotation Yr"), "6 different"),
        (change("OFFSET 0 2 0", "OFFSET 0 2 0\n    OFFSET 0 2 0"), "line 23: 'OFFSET 0 2 0'"),
        (change("OFFSET 0 0 1", "OFFSET 0 0 1\n CHANNELS 1 Xrotation"), "line 17: 'CHANNELS 1"),
        (change("OFFSET 0 0 1", "OFFSET 0 0 1\n JOINT Toe\n{"), "line 17: JOINT is not expected"),
        (change("JOINT Foot", "CHANNELS 1 Xposition\n JOINT Foot"), "line 10: 'CHANNELS 1"),
        (change("HIERARCHY", "<html>"), "line 1: '<html>' is not expected here"),
        (change("0.02", "0"), "line 32: expected a frame time > 0, got 0"),
        (change("Frames: 3", "Frames: 2.5"), "line 31: expected as many frames as rows of motion, got 2.5"),
    ],
)  # fmt: skip
def test_broken_files_raise_with_the_line(damage, message, tmp_path):
    path = tmp_path / "broken.bvh"
    path.write_text(damage(bvh_text()))
    with pytest.raises(ValueError, match=rf"broken\.bvh.*{message}"):
        read_bvh(path)


def test_position_channels_replace_the_offset(tmp_path):
    """All zero but for positions: the joint is where they say, whatever its offset."""
    text = bvh_text().replace("CHANNELS 3 XZY", "")
    text = text.replace("CHANNELS 3 Xrotation Zrotation Yrotation",
                        "CHANNELS 3 Xposition Yposition Zposition", 1)  # fmt: skip
    head, _, _ = text.partition("Frames:")
    row = " ".join(["0"] * 6 + ["7", "8", "9"] + ["0"] * 6)
    (tmp_path / "a.bvh").write_text(f"{head}Frames: 1\nFrame Time: 0.02\n{row}\n")
    recording = read_bvh(tmp_path / "a.bvh")
    assert recording.positions[0, recording.names.index("Leg")].tolist() == [7, 8, 9]


def test_binary_and_missing_files_raise(tmp_path):
    (tmp_path / "a.bvh").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(ValueError, match=r"a\.bvh: expected a text file"):
        read_bvh(tmp_path / "a.bvh")
    with pytest.raises(ValueError, match=r"no\.bvh: no such file"):
        read_bvh(tmp_path / "no.bvh")


def test_names_may_have_spaces(tmp_path):
    (tmp_path / "a.bvh").write_text(bvh_text().replace("JOINT Leg", "JOINT left  upper leg"))
    assert "left upper leg" in read_bvh(tmp_path / "a.bvh").names
