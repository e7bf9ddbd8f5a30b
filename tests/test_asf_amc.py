"""ASF/AMC against a scalar recursive walk and against the same clip as BVH; and broken files."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prpose.data.mocap import read_bvh
from prpose.data.mocap.asf_amc import read_amc
from tests.mocap_files import AMC_HEAD, ASF, CMU, amc_text, change, needs_cmu, write_amc


def turn(order, angles):
    """A rotation about fixed axes, the first letter first."""
    return Rotation.from_euler(order.lower(), angles, degrees=True)


def walk(root, thigh, shin):
    hips = np.array(root[:3])
    body = turn("XYZ", root[3:])
    hip = hips + body.apply([2, 0, 0])
    c = turn("XYZ", [10, -40, 20])
    upper = body * c * turn("XYZ", thigh) * c.inv()
    knee = hip + upper.apply(np.array([0.34202, -0.939693, 0]) * 7.5)
    c = turn("ZXY", [20, 30, 15])  # the file's 30 15 20 are about x, y and z, whatever the order
    lower = upper * c * turn("ZXY", [shin[0], shin[1], 0]) * c.inv()
    return [hips, hip, knee, knee + lower.apply([0, -7, 0])]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_against_a_scalar_walk(end, tmp_path):
    (tmp_path / "07.asf").write_bytes(ASF.replace("\n", end).encode())
    (tmp_path / "07_01.amc").write_bytes(amc_text(5).replace("\n", end).encode())
    recording = read_amc(tmp_path / "07_01.amc")
    assert recording.names == ("root", "hip", "thigh", "shin")
    assert recording.fps == 120
    lines = [[float(v) for v in x.split()[1:]] for x in amc_text(5).splitlines() if x[0] in "rts"]
    expected = [walk(*lines[i : i + 3]) for i in range(0, 15, 3)]
    assert np.abs(recording.positions - np.array(expected)).max() < 1e-9


def test_radians_give_the_same_positions_as_degrees(tmp_path):
    recording = read_amc(write_amc(tmp_path))
    asf = ASF.replace("angle deg", "angle rad")
    for axis in ("10 -40 20", "30 15 20"):
        radians = " ".join(f"{np.deg2rad(float(v)):.9f}" for v in axis.split())
        asf = asf.replace(f"axis {axis}", f"axis {radians}")
    amc = AMC_HEAD.replace("DEGREES", "RADIANS")
    for line in amc_text().splitlines()[3:]:
        name, *values = line.split()
        first = 3 if name == "root" else 0
        turned = [f"{np.deg2rad(float(v)):.9f}" for v in values[first:]]
        amc += " ".join([name, *values[:first], *turned]) + "\n"
    again = read_amc(write_amc(tmp_path, asf, amc))
    assert np.abs(recording.positions - again.positions).max() < 1e-5


@needs_cmu
def test_same_clip_as_bvh_and_amc_has_the_same_positions():
    ours = read_amc(CMU / "asfamc/02/02_01.amc")
    other = read_bvh(CMU / "bvh/walking_1.bvh")
    for bone, joint in [
        ("lhipjoint", "LeftUpLeg"), ("lfemur", "LeftLeg"), ("rtibia", "RightFoot"),
        ("lowerback", "Spine"), ("thorax", "Neck"), ("head", "Head_end"), ("root", "Hips"),
        ("rhumerus", "RightForeArm"), ("rwrist", "RightFingerBase"), ("lwrist", "LeftFingerBase"),
    ]:  # fmt: skip
        a = ours.positions[:, ours.names.index(bone)]
        b = other.positions[:, other.names.index(joint)]
        assert np.abs(a - b).max() < 2e-4


@needs_cmu
@pytest.mark.parametrize("path", sorted(CMU.glob("asfamc/*/*_01.amc")), ids=lambda p: p.stem)
def test_bone_lengths_of_real_clips_are_constant(path):
    recording = read_amc(path)
    for a, b in [("lfemur", "ltibia"), ("rhumerus", "rradius"), ("root", "lhipjoint")]:
        i, j = recording.names.index(a), recording.names.index(b)
        length = np.linalg.norm(recording.positions[:, i] - recording.positions[:, j], axis=-1)
        assert np.ptp(length) < 1e-9


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: "", "expected a hierarchy with every bone; all bones missing"),
        (lambda t: t[: t.index("length 7.5")], "07.asf"),
        (lambda t: t[: t.index(":hierarchy")], "expected a hierarchy with every bone; hip, shin"),
        (change("    thigh shin\n", ""), "every bone; shin missing"),
        (change("thigh shin", "thigh arm"), "line 48: expected new children of a known bone"),
        (change("thigh shin", "thigh hip"), "line 48: expected new children of a known bone"),
        (change("name shin", "name thigh"), "line 43: bone thigh is there already"),
        (change("direction 0 -1 0", "direction 0 -1"), "line 37: expected 3 finite numbers"),
        (change("length 7.5", "length seven"), "line 27: expected numbers, got 'seven'"),
        (change("length 7.5", "length nan"), "line 27: expected 1 finite numbers"),
        (change("20 ZXY", "20 ZXX"), "line 39: expected an order of axes such as XYZ"),
        (change("dof rz rx", "dof rz tx"), "line 40: expected dof of"),
        (change("position 0 0 0", "position 0 1 0"), "line 13: expected a root without position"),
        (change("  end\n  begin\n     id 3", ""), "07.asf"),
        (change("     direction 0 -1 0\n", ""), "line 42: bone shin has no direction"),
        (change("     length 2\n", ""), "line 21: bone hip has no length"),
        (change("axis 10 -40 20 XYZ", "axis XYZ"), "line 28: expected 3 finite numbers"),
        (change("length 7\n", "length -7\n"), "line 38: expected a length >= 0, got -7"),
        (change("     axis 10 -40 20 XYZ\n", ""), "line 32: bone thigh has no axis"),
        (change("length 7\n", "length 7\n     length 8\n"), "line 39: length twice in a bone"),
        (change("  begin\n     id 3", "  begin\n  begin\n     id 3"), "line 35: bone . has no end"),
        (change("direction 0 -1 0", "direction 0 0 0"), "line 37: expected a direction of length 1"),
        (change("angle deg", "angle grad"), "line 7: expected angle deg or rad, got"),
        (change("   order TX TY TZ RX RY RZ\n", ""), "expected :root with an order"),
    ],
)
def test_broken_skeletons_raise_with_the_line(damage, message, tmp_path):
    path = write_amc(tmp_path, asf=damage(ASF))
    with pytest.raises(ValueError, match=rf"07\.asf.*{message.removeprefix('07.asf')}"):
        read_amc(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: "", "expected at least one frame, got none"),
        (lambda t: AMC_HEAD, "expected at least one frame, got none"),
        (lambda t: t[: t.rindex("shin")], "line 14: frame 3 ends without shin"),
        (lambda t: t[: t.rindex(" ")], "line 15: expected 2 finite numbers"),
        (change("2\nroot", "2\nroof"), "line 9: unknown bone 'roof'"),
        (change("2\nroot", "2\nhip 1 2 3\nroot"), "'hip', or one without degrees of freedom"),
        (change("2\nroot", "2\nthigh 1 2 3\nroot"), "line 11: thigh twice in a frame"),
        (change("1\nroot", "root"), "line 4: root twice in a frame, or outside of one"),
        (change("\n2\nroot", "\n3\nroot"), "line 8: expected frame 2, got 3"),
        (change("\n2\nroot", "\n\u00b2\nroot"), "line 8: unknown bone"),
        (change("\n2\nroot", f"\n{'2' * 5000}\nroot"), "line 8: expected frame 2, got 222"),
        (change(":DEGREES", ":GRADS"), "line 3: expected :DEGREES or :RADIANS, .* got :GRADS"),
        (change("\n2\nroot", "\n:RADIANS\n2\nroot"), "line 8: .* before the first frame, got :RADIANS"),
        (lambda t: t.replace("shin 1", "shin 1_", 1), "expected numbers"),
        (lambda t: t.rstrip() + " 3\n", "line 15: expected 2 finite numbers"),
        (lambda t: t.replace("shin ", "shin x", 1), "line 7: expected numbers"),
    ],
)
def test_broken_motions_raise_with_the_line(damage, message, tmp_path):
    path = write_amc(tmp_path, amc=damage(amc_text()))
    with pytest.raises(ValueError, match=rf"07_01\.amc.*{message}"):
        read_amc(path)


def test_skeleton_is_found_beside_the_motion(tmp_path):
    path = write_amc(tmp_path)
    (tmp_path / "08.asf").write_text(ASF.replace("length 7.5", "length 9"))
    assert read_amc(path).positions.shape == (3, 4, 3)
    longer = read_amc(path, tmp_path / "08.asf").positions
    assert not np.allclose(longer, read_amc(path).positions)
    for other in ("0", "07_0"):  # other numbers, not beginnings
        (tmp_path / f"{other}.asf").write_text("not read")
    assert read_amc(path).positions.shape == (3, 4, 3)
    (tmp_path / "07_01.asf").write_text(ASF)  # the longer beginning
    assert np.allclose(read_amc(path).positions, longer) is False
    for other in ("0", "07_0", "07_01"):
        (tmp_path / f"{other}.asf").unlink()
    (tmp_path / "07.asf").rename(tmp_path / "9.asf")
    with pytest.raises(ValueError, match=r"07_01\.amc: expected its \.asf in the same folder, got 2"):
        read_amc(path)
    with pytest.raises(ValueError, match=r"none\.amc: no such file"):
        read_amc(tmp_path / "none.amc", tmp_path / "9.asf")
