import ezc3d
import numpy as np
import pytest

from prpose.data.mocap import Recording, read_c3d, read_npz_points
from prpose.data.mocap.mapping import SHIPPED, read_mapping
from prpose.skeleton import H36M_17

ONE_TO_ONE = "\n".join(f'{name} = ["{name}"]' for name in H36M_17.names)
FLOOR = '\n[floor]\npoints = ["a"]\nclearance_m = '
HEAD = 'metres_per_unit = 0.001\nup = "y"\n'
TEXT = HEAD + "[joints]\n" + ONE_TO_ONE


def mapping(tmp_path, text=TEXT):
    (tmp_path / "joints.toml").write_text(text)
    return read_mapping(tmp_path / "joints.toml")


POSITIONS = np.random.default_rng(0).uniform(100, 2000, (40, 17, 3))


def recording(positions=POSITIONS):
    return Recording(H36M_17.names, positions, 100.0)


@pytest.mark.parametrize(("up", "order"), [("x", (1, 2, 0)), ("y", (2, 0, 1)), ("z", (0, 1, 2))])
def test_axes_handedness_units_and_ground(up, order, tmp_path):
    text = TEXT.replace('up = "y"', f'up = "{up}"')
    poses = mapping(tmp_path, text).poses(recording())
    assert np.allclose(mapping(tmp_path, "left_handed = true\n" + text).poses(recording()) * [-1, 1, 1], poses)
    expected = POSITIONS[..., list(order)] / 1000
    assert np.allclose(poses[..., :2], expected[..., :2])
    offset = poses[..., 2] - expected[..., 2]
    assert np.ptp(offset) < 1e-9  # all of the body is lifted alike
    lowest = poses[:, [3, 6], 2].min(axis=1)
    assert np.percentile(lowest, 5) == pytest.approx(0.08)  # an ankle at rest
    assert np.linalg.det(np.eye(3)[list(order)]) == pytest.approx(1)  # no mirror


def test_distant_person_is_moved_to_the_origin(tmp_path):
    near = mapping(tmp_path).poses(recording())
    far = mapping(tmp_path).poses(recording(POSITIONS + np.array([5e8, 0, -4e8])))
    assert np.abs(far[..., :2]).max() < 3
    shift = far - near
    assert np.abs(shift - shift[0, 0]).max() < 1e-6
    assert np.abs(shift[..., 2]).max() < 1e-6


def test_means_weights_and_floor(tmp_path):
    text = TEXT.replace('pelvis = ["pelvis"]', 'pelvis = ["left_hip", "right_hip"]')
    text = text.replace('neck = ["neck"]', "neck = { thorax = 0.25, head = 0.75 }") + FLOOR.replace(
        '"a"', '"left_knee"'
    )
    poses = mapping(tmp_path, text + "0.4").poses(recording())
    assert np.allclose(poses[:, 0], (poses[:, 1] + poses[:, 4]) / 2)
    assert np.allclose(poses[:, 9], 0.25 * poses[:, 8] + 0.75 * poses[:, 10])
    assert np.percentile(poses[:, 5, 2], 5) == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["cmu_asf", "cmu_bvh"])
def test_shipped_mappings(name):
    shipped = read_mapping(SHIPPED / f"{name}.toml")
    assert all(abs(sum(weights.values()) - 1) < 1e-9 for weights in shipped.joints)
    for joint, weights in zip(H36M_17.names, shipped.joints, strict=True):
        if joint.startswith(("left_", "right_")):
            assert {point[0].lower() for point in weights} == {joint[0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace('head = ["head"]\n', ""), "missing: head, unknown: none"),
        (lambda t: t + "\ntail = ['tail']", "missing: none, unknown: tail"),
        (lambda t: t.replace('["head"]', "[]"), "expected head as names"),
        (lambda t: t.replace('["head"]', "{ head = 0.6 }"), "weights that sum to 1"),
        (lambda t: t.replace('["head"]', "{ head = nan, neck = 1 }"), "weights that sum to 1"),
        (lambda t: t.replace('["head"]', "{ head = true }"), "got `bool` - at `joints"),
        (lambda t: t.replace('["head"]', "3"), "got `int` - at `joints"),
        (lambda t: t.replace('"y"', '"up"'), "Invalid enum value 'up' - at `up`"),
        *(
            (lambda t, v=v: t.replace("0.001", v), ".* - at `metres_per_unit`")
            for v in ("0", '"mm"', "9" * 400, "true", "nan")
        ),
        (lambda t: "units = 3\n" + t, "unknown field `units`"),
        (lambda t: 'left_handed = "false"\n' + t, "Expected `bool`, got `str` - at `left_handed`"),
        (lambda t: "floor = 3\n" + t, "got `int` - at `floor`"),
        (lambda t: t + '\n[floor]\npoints = "toe"', "got `str` - at `floor.points`"),
        (lambda t: t + "\n[floor]\nfloor = 3", "unknown field `floor` - at `floor`"),
        (lambda t: t + FLOOR.replace('"a"', "") + "0.1", "length >= 1 - at `floor.points`"),
        (lambda t: t + FLOOR + "inf", "Expected `float` <= 0.5 - at `floor.clearance_m`"),
        (lambda t: t + FLOOR + "-0.1", "Expected `float` >= 0.0 - at `floor.clearance_m`"),
        (lambda t: "joints = 3\n" + t.partition("[joints]")[0], "got `int` - at `joints`"),
        (lambda t: "]", "not a TOML file"),
    ],
)
def test_broken_mappings_raise_with_file_and_entry(change, message, tmp_path):
    with pytest.raises(ValueError, match=rf"joints\.toml: .*{message}"):
        mapping(tmp_path, change(TEXT))


def test_missing_points_and_files_raise(tmp_path):
    source = Recording(("a", "b"), np.zeros((2, 2, 3)), 30.0)
    with pytest.raises(ValueError, match=r"no point head, left_ankle.* the recording has a, b"):
        mapping(tmp_path).poses(source)
    with pytest.raises(ValueError, match=r"none\.toml: no such file"):
        read_mapping(tmp_path / "none.toml")


def test_missing_markers_affect_only_their_joints_and_the_ground(tmp_path):
    positions = POSITIONS.copy()
    positions[3, 16] = np.nan
    missing = np.isnan(mapping(tmp_path).poses(recording(positions)))
    assert missing[3, 16].all()
    assert missing.sum() == 3
    text = TEXT + FLOOR.replace('"a"', '"left_ankle", "right_ankle"') + "0.02"
    whole = mapping(tmp_path, text).poses(recording())
    assert np.percentile(whole[:, [3, 6], 2].min(axis=1), 5) == pytest.approx(0.02)
    positions[:, 3] = np.nan  # the right ankle never
    one = mapping(tmp_path, text).poses(recording(positions))
    assert np.percentile(one[:, 6, 2], 5) == pytest.approx(0.02)
    fallback = mapping(tmp_path, text.replace('left_ankle", "right_ankle', "right_ankle")).poses(recording(positions))
    assert np.percentile(fallback[:, 6, 2], 5) == pytest.approx(0.08)  # the other ankle
    assert np.isnan(mapping(tmp_path, text).poses(recording(POSITIONS * np.nan))).all()


def positions(T=7, P=3):
    return np.random.default_rng(0).uniform(-1000, 1000, (T, P, 3))


def write_c3d(path, points, names=("LASI", "RASI", "C7 "), fps=100.0):
    c3d = ezc3d.c3d()
    c3d["parameters"]["POINT"]["RATE"]["value"] = [fps]
    c3d["parameters"]["POINT"]["LABELS"]["value"] = list(names)
    ones = np.ones((*points.shape[:2], 1))
    c3d["data"]["points"] = np.concatenate([points, ones], axis=-1).transpose(2, 1, 0)
    c3d.write(str(path))


def test_c3d(tmp_path):
    points = positions()
    points[2, 1] = np.nan
    write_c3d(tmp_path / "a.c3d", points)
    read = read_c3d(tmp_path / "a.c3d")
    assert read.names == ("LASI", "RASI", "C7")
    assert read.fps == 100
    assert np.isnan(read.positions[2, 1]).all()
    assert np.nanmax(np.abs(read.positions - points)) < 1e-3
    assert np.isfinite(np.delete(read.positions, 2, axis=0)).all()


def test_truncated_c3d_raises(tmp_path):
    """ezc3d silently corrects the number of frames to what it finds."""
    write_c3d(tmp_path / "a.c3d", positions(T=400))
    data = (tmp_path / "a.c3d").read_bytes()
    assert len(read_c3d(tmp_path / "a.c3d").positions) == 400
    for length in (len(data) // 2, len(data) - 600):
        (tmp_path / "b.c3d").write_bytes(data[:length])
        with pytest.raises(ValueError, match=r"b\.c3d: expected 400 frames, got .*truncated"):
            read_c3d(tmp_path / "b.c3d")


def test_c3d_with_more_than_255_markers(tmp_path):
    names = [f"m{n}" for n in range(300)]
    write_c3d(tmp_path / "a.c3d", positions(P=300), names)
    assert read_c3d(tmp_path / "a.c3d").names == tuple(names)


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", positions=positions(), names=np.array(["a", "b", "c"]), fps=30)
    read = read_npz_points(tmp_path / "a.npz")
    assert read.names == ("a", "b", "c")
    assert np.array_equal(read.positions, positions())
    assert read.fps == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": None}, "no entry 'names'"),
        ({"names": np.array(["a", "b"])}, r"positions of shape \(T, 2, 3\), T > 0, got \(7, 3, 3\)"),
        ({"names": np.array(["a", "b", "b"])}, "expected each name once, got b"),
        ({"names": np.arange(3)}, "expected names as text"),
        ({"positions": positions()[0]}, r"expected positions \(T, P, 3\)"),
        ({"positions": positions()[:0]}, r"T > 0, got \(0, 3, 3\)"),
        ({"positions": positions().astype(str)}, "positions and fps as numbers"),
        ({"fps": np.zeros(())}, "expected a frame rate > 0, got 0.0"),
        ({"fps": np.array([30, 60])}, r"and one fps, got .* \(2,\)"),
    ],
)
def test_broken_npz_files_raise(change, message, tmp_path):
    content = {"positions": positions(), "names": np.array(["a", "b", "c"]), "fps": np.array(30.0)}
    np.savez(tmp_path / "a.npz", **{k: v for k, v in (content | change).items() if v is not None})
    with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
        read_npz_points(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"not a c3d file" * 99])
def test_broken_c3d_files_raise(content, tmp_path):
    (tmp_path / "a.c3d").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.c3d: damaged or not a C3D file"):
        read_c3d(tmp_path / "a.c3d")
    with pytest.raises(ValueError, match=r"none\.c3d: .*No such file"):
        read_c3d(tmp_path / "none.c3d")
