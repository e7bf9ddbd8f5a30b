"""Predictions in the viewer Rerun, read back from a recording."""

import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import prpose
from prpose.regions import region_quantiles

CLIP = "examples/walk_openpose"


@pytest.fixture(scope="module")
def prediction():
    keypoints = prpose.read_keypoints(CLIP, image_size=(1000, 1002), fps=30)
    return prpose.load("mgcn-cmu17")(keypoints, num_samples=5)


def test_without_rerun_the_error_names_the_extra(prediction, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ValueError, match=r'rerun is not installed: pip install "prpose\[rerun\]"'):
        prediction.to_rerun()


@pytest.fixture
def rr():
    return pytest.importorskip("rerun", reason="rerun-sdk is not installed; make test-all installs it")


def recorded(rr, path, log):
    """Columns of what ``log`` logs to a recording, by name, static ones left out; a row for each frame."""
    recording = rr.RecordingStream("prpose_test")
    recording.save(path)
    log(recording)
    recording.flush()
    del recording
    dataframe = pytest.importorskip("rerun.dataframe", reason="rerun-sdk up to 0.26 reads its files")
    table = dataframe.load_recording(path).view(index="frame", contents="/**").select().read_all()
    return {name: column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}


@pytest.mark.slow
def test_every_frame_is_in_the_recording(rr, prediction, tmp_path):
    found = recorded(rr, tmp_path / "walk.rrd", prediction.to_rerun)
    T, root = len(prediction), prediction.root[:, None]
    assert found["frame"] == list(range(T))
    assert np.allclose([time.total_seconds() for time in found["time"]], np.arange(T) / 30, atol=1e-6)
    joints = np.array(found["/prpose/pose/joints:Points3D:positions"])
    assert np.allclose(joints, prediction.pose + root, atol=1e-6)
    assert found["/prpose/pose/joints:Points3D:labels"][T - 1] == list(prediction.joint_names)
    colour = dict(zip(prediction.joint_names, found["/prpose/pose/joints:Points3D:colors"][0], strict=True))
    assert [f"{colour[side + '_wrist']:08x}" for side in ("left", "right")] == ["1f77b4ff", "ff7f0eff"]
    strips = found["/prpose/samples:LineStrips3D:strips"][7]
    per_sample = len(strips) // 5
    assert per_sample == len(found["/prpose/pose/bones:LineStrips3D:strips"][7])
    for s in range(5):
        points = np.concatenate([np.array(strip) for strip in strips[s * per_sample : (s + 1) * per_sample]])
        wanted = prediction.samples[s, 7] + root[7]
        nearest = np.linalg.norm(points[:, None] - wanted, axis=-1)
        assert nearest.min(axis=1).max() < 1e-5  # every point is a joint of the sample
        assert nearest.min(axis=0).max() < 1e-5  # and every joint is drawn
    assert {colour & 0xFF for colour in found["/prpose/samples:LineStrips3D:colors"][7]} == {40}  # translucent
    pixels = np.array(found["/prpose/image/keypoints:Points2D:positions"])
    assert np.allclose(pixels, prediction.keypoints_px)


@pytest.mark.slow
def test_ellipsoids_are_the_95_percent_regions(rr, prediction, tmp_path):
    found = recorded(rr, tmp_path / "walk.rrd", prediction.to_rerun)
    sizes, quaternions, centres = (
        np.array(found[f"/prpose/regions:Ellipsoids3D:{name}"]) for name in ("half_sizes", "quaternions", "centers")
    )
    turns = Rotation.from_quat(quaternions.reshape(-1, 4)).as_matrix().reshape(*quaternions.shape[:2], 3, 3)
    shapes = np.einsum("tjik,tjk,tjlk->tjil", turns, sizes**2, turns)
    expected = prediction.covariance[:, 1:] * region_quantiles(prediction.model)[1:, None, None]
    assert np.allclose(shapes, expected, atol=1e-5)
    assert np.allclose(centres, prediction.pose[:, 1:] + prediction.root[:, None], atol=1e-6)


@pytest.mark.slow
def test_what_is_unknown_is_left_out(rr, prediction, tmp_path):
    fields = {name: getattr(prediction, name) for name in ("pose", "covariance", "deterministic", "num_samples")}
    bare = prpose.Prediction(**fields)
    found = recorded(rr, tmp_path / "bare.rrd", lambda recording: bare.to_rerun(recording, "person/1"))
    assert "time" not in found
    assert not [name for name in found if "image" in name or "samples" in name]
    assert np.allclose(found["/person/1/pose/joints:Points3D:positions"], prediction.pose, atol=1e-6)
    with pytest.raises(ValueError, match=r"expected a recording, or rerun\.init"):
        bare.to_rerun()
