"""Original Human3.6M poses, made small with cdflib, against OpenCV and a scalar projection."""

import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import cdflib.cdfwrite
import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from prpose.data import load_clips
from prpose.data.human36m import SUBJECTS, from_cdf
from prpose.unpickle import read_npz

pytestmark = pytest.mark.usefixtures("any_points", "read_at_once")
FOLDER = "MyPoseFeatures/D3_Positions"
OUTPUTS = ("data_3d_h36m.npz", "data_2d_h36m_gt.npz")
STEMS = ("Directions", "Directions 1", "TakingPhoto", "WalkingDog_1", "Photo 1")
T = 4


def write_cdf(path, pose, name="Pose", compress=6, majority="row_major"):
    """As the original: one record of (T, 96), column- or row-major."""
    path.unlink(missing_ok=True)
    # cdflib writes numbers as they lie in memory
    stored = np.ascontiguousarray(pose.T).reshape(pose.shape) if majority == "column_major" else pose
    writer = cdflib.cdfwrite.CDF(path, cdf_spec={"Majority": majority})
    spec = {"Variable": name, "Data_Type": writer.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True, "Compress": compress}
    writer.write_var({**spec, "Dim_Sizes": list(pose.shape[1:])}, var_data=stored)
    writer.close()


def world_mm(subject, stem, frames=T):
    """(1, T, 96) float32: 32 joints within a metre of the middle of the room."""
    generator = np.random.default_rng([*map(ord, subject + stem)])
    points = generator.uniform(-1000, 1000, (1, frames, 32, 3))
    points[..., 2] += 1000
    return points.reshape(1, frames, 96).astype(np.float32)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    source = tmp_path_factory.mktemp("original")
    for number, subject in enumerate(SUBJECTS):
        folder = source / subject / FOLDER
        folder.mkdir(parents=True)
        for stem in STEMS:
            compress, majority = ((6, "row_major"), (0, "column_major"))[number % 2]
            write_cdf(folder / f"{stem}.cdf", world_mm(subject, stem), compress=compress, majority=majority)
        (folder / "_ALL 1.cdf").write_bytes(b"no pose of its own")
        (folder / "._Directions.cdf").write_bytes(b"resource fork")
    return source


@pytest.fixture
def copy(original, tmp_path):
    """A source to damage, and an empty root."""
    root = tmp_path / "root"
    root.mkdir()
    return Path(shutil.copytree(original, tmp_path / "source")), root


def outer(camera):
    """Rotation world → camera and camera centre, by SciPy."""
    w, x, y, z = camera.orientation
    return Rotation.from_quat([x, y, z, w]).inv(), np.array(camera.position_m)


def opencv_pixels(points, camera):
    rotation, centre = outer(camera)
    matrix = np.diag([*camera.focal_px, 1.0])
    matrix[:2, 2] = camera.center_px
    k1, k2, k3 = camera.radial
    lens = np.array([k1, k2, *camera.tangential, k3])
    turn, shift = rotation.as_rotvec(), -rotation.apply(centre)
    pixels, _ = cv2.projectPoints(points.reshape(-1, 1, 3), turn, shift, matrix, lens)
    return pixels.reshape(*points.shape[:-1], 2)


def videopose3d_pixels(points, camera):
    """The published formula, point by point."""
    rotation, centre = outer(camera)
    pixels = np.empty((*points.shape[:-1], 2))
    for place in np.ndindex(points.shape[:-1]):
        X = rotation.apply(points[place] - centre)
        x = X[:2] / X[2]
        r2 = (x * x).sum()
        radial = 1 + sum(k * r2 ** (n + 1) for n, k in enumerate(camera.radial))
        tangential = np.array(camera.tangential)
        bent = x * (radial + (tangential * x).sum()) + tangential * r2
        pixels[place] = bent * camera.focal_px + camera.center_px
    return pixels


@pytest.mark.parametrize(("tangential", "oracle"), [("opencv", opencv_pixels), ("videopose3d", videopose3d_pixels)])
def test_clips_are_the_original_poses_in_four_cameras(original, tmp_path, tangential, oracle):
    counts = from_cdf(original, tmp_path, tangential=tangential)
    recordings = 7 * len(STEMS) - 1
    clips, frames = 4 * recordings, 4 * recordings * T
    assert counts == {"subjects": 7, "recordings": recordings, "clips": clips, "frames": frames}
    actions = ("Directions", "Directions 1", "Photo", "WalkDog 1", "Photo 1")
    stems = dict(zip(actions, STEMS, strict=True))
    joints = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    clips = [clip for split in ("train", "test") for clip in load_clips("h36m", tmp_path, split, keypoints="gt")]
    assert len(clips) == counts["clips"]
    for clip in clips:
        points = world_mm(clip.subject, stems[clip.action]).reshape(T, 32, 3)[:, joints] / 1000.0
        rotation, centre = outer(clip.camera)
        camera_space = rotation.apply((points - centre).reshape(-1, 3)).reshape(T, 17, 3)
        np.testing.assert_allclose(clip.poses_cam, camera_space, atol=2e-6)
        np.testing.assert_allclose(clip.keypoints_px, oracle(points.astype(np.float64), clip.camera), atol=1e-3)


def test_files_have_the_published_format(original, tmp_path):
    from_cdf(original, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(OUTPUTS)
    world = read_npz(tmp_path / OUTPUTS[0], "positions_3d")
    keypoints = read_npz(tmp_path / OUTPUTS[1], "positions_2d")
    for positions in (world, keypoints):
        assert list(positions) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
        assert list(positions["S1"]) == ["Directions", "Directions 1", "Photo", "Photo 1", "WalkDog 1"]
        assert list(positions["S11"]) == list(positions["S1"])[1:]  # the corrupt video
    array = world["S1"]["Photo"]
    assert (array.shape, array.dtype) == ((T, 32, 3), np.float32)
    np.testing.assert_array_equal(array, world_mm("S1", "TakingPhoto").reshape(T, 32, 3) / 1000)
    assert [(t.shape, t.dtype.name) for t in keypoints["S1"]["Photo"]] == [((T, 17, 2), "float32")] * 4
    symmetry = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    assert read_npz(tmp_path / OUTPUTS[1], "metadata") == metadata


@pytest.mark.parametrize("existing", OUTPUTS)
def test_existing_files_are_only_replaced_with_overwrite(original, tmp_path, existing):
    (tmp_path / existing).write_bytes(b"precious")
    with pytest.raises(ValueError, match=f"{existing}: exists already"):
        from_cdf(original, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {existing: b"precious"}
    from_cdf(original, tmp_path, overwrite=True)
    assert load_clips("h36m", tmp_path, "test", keypoints="gt")


def truncated(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def spoiled(value):
    pose = world_mm("S8", "Photo 1")
    pose[0, 2, 45] = value  # the head
    return pose


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *((truncated(share), "truncated or not a CDF") for share in (0, 0.01, 0.1, 0.5, 0.9)),
        (truncated(0.18), "no variable Pose"),  # within the header of the variable
        (lambda path: path.write_bytes(b"not a CDF" * 99), "truncated or not a CDF"),
        (lambda path: write_cdf(path, spoiled(0), name="Angles"), "no variable Pose; the file holds Angles"),
        (lambda path: write_cdf(path, spoiled(0)[:, :, :51]), r"shape \(1, T, 96\), got float32 \(1, 4, 51\)"),
        (lambda path: write_cdf(path, spoiled(0)[0]), r"shape \(1, T, 96\), got float32 \(4, 96\)"),
        *(
            (lambda path, value=value: write_cdf(path, spoiled(value)), "got NaN or infinity in frame 2")
            for value in (np.nan, -np.inf)
        ),
        (lambda path: write_cdf(path, spoiled(3e38)), "expected 3D within 100000 metres"),
        (lambda path: shutil.copy(path, path.with_name("Photo_1.cdf")), "expected one file"),
    ],
)
@pytest.mark.parametrize("subject", ["S8", "S5"])  # compressed and not
def test_damaged_files_raise_and_nothing_is_written(copy, damage, message, subject):
    source, root = copy
    damage(source / subject / FOLDER / "Photo 1.cdf")
    with pytest.raises(ValueError, match=rf"{subject}/{FOLDER}/Photo.1\.cdf.*({message})"):
        from_cdf(source, root)
    assert not list(root.iterdir())


@pytest.mark.parametrize("overwrite", [False, True])
def test_missing_folders_raise_with_the_expected_files(copy, overwrite):
    source, root = copy
    shutil.rmtree(source / "S7" / FOLDER)
    with pytest.raises(ValueError, match=r"S7/.*: expected the original .*\.cdf for S1, S5, S6.* none of S7"):
        from_cdf(source, root, overwrite)
    with pytest.raises(ValueError, match=r"elsewhere/S1/.* none of S1"):
        from_cdf(source / "elsewhere", root, overwrite)
    assert not list(root.iterdir())


def test_missing_cdflib_names_the_extra(original, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cdflib", None)
    with pytest.raises(ValueError, match=r'cdflib .* pip install "prpose\[mocap\]"'):
        from_cdf(original, tmp_path)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_files(original, tmp_path, monkeypatch):
    for name in OUTPUTS:
        (tmp_path / name).write_bytes(b"precious")
    full_disk = Mock(side_effect=[None, OSError("No space left on device")])
    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space"):
        from_cdf(original, tmp_path, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(OUTPUTS, b"precious")
