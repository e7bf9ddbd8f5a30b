"""C3D against files that ezc3d writes, and named points as npz."""

import ezc3d
import numpy as np
import pytest

from prpose.data.mocap import read_c3d, read_npz_points


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


def test_a_truncated_c3d_is_found_out(tmp_path):
    """ezc3d corrects the number of frames to what it finds, and says nothing."""
    write_c3d(tmp_path / "a.c3d", positions(T=400))
    data = (tmp_path / "a.c3d").read_bytes()
    assert len(read_c3d(tmp_path / "a.c3d").positions) == 400
    for kept in (len(data) // 2, len(data) - 600):
        (tmp_path / "b.c3d").write_bytes(data[:kept])
        with pytest.raises(ValueError, match=r"b\.c3d: expected 400 frames, got .*truncated"):
            read_c3d(tmp_path / "b.c3d")


def test_more_markers_than_fit_into_a_parameter(tmp_path):
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
def test_broken_npz_files_are_named(change, message, tmp_path):
    content = {"positions": positions(), "names": np.array(["a", "b", "c"]), "fps": np.array(30.0)}
    np.savez(tmp_path / "a.npz", **{k: v for k, v in (content | change).items() if v is not None})
    with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
        read_npz_points(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"not a c3d file" * 99])
def test_broken_c3d_files_are_named(content, tmp_path):
    (tmp_path / "a.c3d").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.c3d: damaged or not a C3D file"):
        read_c3d(tmp_path / "a.c3d")
    with pytest.raises(ValueError, match=r"none\.c3d: .*No such file"):
        read_c3d(tmp_path / "none.c3d")
