"""Original MPI-INF-3DHP annotations, made small with SciPy and h5py in both MATLAB formats."""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from prpose.data import load_clips
from prpose.data.mpi_inf_3dhp import TEST_JOINTS, TRAIN_JOINTS, from_original
from prpose.skeleton import H36M_17

pytestmark = pytest.mark.usefixtures("any_points", "read_at_once")
TRAIN = [f"S{i}" for i in range(1, 9)]
TEST = [f"TS{i}" for i in range(1, 7)]
TEST_SET = "mpi_inf_3dhp_test_set"
CHANNELS = {"annot2": 2, "annot3": 3, "univ_annot3": 3}
T = 3
VALID = np.array([1, 0, 1, 1, 0])

# H36M_17's joints among the original's, written out by hand.
TRAIN_INDICES = [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
TEST_INDICES = [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]


def train_arrays(subject, sequence):
    """{name: 14 x (T, 28 * channels)}, MATLAB's axis order."""
    generator = np.random.default_rng([*map(ord, subject + sequence)])
    return {name: [generator.uniform(-900, 4000, (T, 28 * n)) for _ in range(14)] for name, n in CHANNELS.items()}


def test_arrays(subject):
    """{name: (T, 1, 17, channels)}, with rubbish in frames that are not valid."""
    generator = np.random.default_rng([*map(ord, subject)])
    arrays = {name: generator.uniform(0, 2000, (len(VALID), 1, 17, n)) for name, n in CHANNELS.items()}
    for array in arrays.values():
        array[VALID == 0] = np.nan
    return arrays | {"valid_frame": VALID}


test_arrays.__test__ = False  # a helper


def write_train5(path, arrays):
    cells = {}
    for name, values in arrays.items():
        cells[name] = np.empty((len(values), 1), dtype=object)
        cells[name][:, 0] = values
    content = {**cells, "frames": np.arange(1.0, T + 1)[:, None], "cameras": np.arange(14.0)}
    scipy.io.savemat(path, content, do_compression=True)


def write_train73(path, arrays):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            references = file.create_dataset(name, (1, len(values)), dtype=h5py.ref_dtype)
            for index, value in enumerate(values):
                cell = file.create_dataset(f"#refs#/{name}{index}", data=value.T)
                references[0, index] = cell.ref


def write_test5(path, arrays):
    reverse = {name: array.T for name, array in arrays.items()}
    scipy.io.savemat(path, {**reverse, "valid_frame": arrays["valid_frame"][None, :]})


def write_test73(path, arrays):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            values = array[:, None].astype(np.float64) if name == "valid_frame" else array
            file.create_dataset(name, data=values, compression="gzip")


def write_original(source, train_writer=write_train5, test_writer=write_test73):
    for subject in TRAIN:
        for sequence in ("Seq1", "Seq2"):
            folder = source / subject / sequence
            folder.mkdir(parents=True)
            train_writer(folder / "annot.mat", train_arrays(subject, sequence))
    for subject in TEST:
        folder = source / TEST_SET / subject
        folder.mkdir(parents=True)
        test_writer(folder / "annot_data.mat", test_arrays(subject))
    return source


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_original(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def original_other_formats(tmp_path_factory):
    return write_original(tmp_path_factory.mktemp("other"), write_train73, write_test5)


@pytest.fixture
def copy(original, tmp_path):
    """A source to damage, and an empty root."""
    root = tmp_path / "root"
    root.mkdir()
    return Path(shutil.copytree(original, tmp_path / "source")), root


def expected(clip, annotation):
    """Pixels and metres of a clip, from the arrays that were written."""
    if clip.subject in TRAIN:
        arrays = train_arrays(clip.subject, clip.action)
        cameras = {name: arrays[name][clip.camera_index].reshape(T, 28, -1)[:, TRAIN_INDICES] for name in CHANNELS}
    else:
        arrays = test_arrays(clip.subject)
        cameras = {name: arrays[name][[0, 2, 3], 0][:, TEST_INDICES] for name in CHANNELS}
    pixels, poses = cameras["annot2"], cameras[annotation]
    return pixels.astype(np.float32), (poses / 1000).astype(np.float32)


@pytest.mark.parametrize("annotation", ["univ_annot3", "annot3"])
@pytest.mark.parametrize("formats", ["original", "original_other_formats"])
def test_clips_are_the_original_annotations(request, tmp_path, formats, annotation):
    source = request.getfixturevalue(formats)
    counts = from_original(source, tmp_path, annotation=annotation)
    clips = 16 * 14 + 6
    assert counts == {"subjects": 14, "recordings": 22, "clips": clips, "frames": clips * 3}
    train = load_clips("3dhp", tmp_path, "train", keypoints="gt")
    test = load_clips("3dhp", tmp_path, "test", keypoints="gt")
    assert (len(train), len(test)) == (16 * 14, 6)
    assert [clip.subject for clip in test] == TEST
    for clip in train + test:
        pixels, poses = expected(clip, annotation)
        np.testing.assert_array_equal(clip.keypoints_px, pixels)
        np.testing.assert_array_equal(clip.poses_cam, poses)


def test_joints_are_matched_by_name():
    renamed = {"thorax": "neck", "neck": "head", "head": "head_top"}
    theirs = [renamed.get(name, name) for name in H36M_17.names]
    assert [TRAIN_JOINTS[i] for i in TRAIN_INDICES] == [TEST_JOINTS[i] for i in TEST_INDICES] == theirs
    assert (len(TRAIN_JOINTS), len(TEST_JOINTS)) == (28, 17)


def test_training_or_test_set_may_be_missing(copy):
    source, root = copy
    shutil.move(source / TEST_SET, source.parent / "test")
    assert from_original(source, root)["subjects"] == 8
    assert len(load_clips("3dhp", root, "train", keypoints="gt")) == 16 * 14
    # The test set's folder given directly.
    assert from_original(source.parent / "test", root, overwrite=True)["subjects"] == 6
    assert len(load_clips("3dhp", root, "test", keypoints="gt")) == 6
    with pytest.raises(ValueError, match="no subject S1"):
        load_clips("3dhp", root, "train", keypoints="gt")


@pytest.mark.parametrize(
    "missing", ["S3/Seq2/annot.mat", "S3/Seq2", "S1", f"{TEST_SET}/TS4/annot_data.mat", f"{TEST_SET}/TS6"]
)
def test_incomplete_part_raises(copy, missing):
    source, root = copy
    shutil.move(source / missing, source.parent / "away")
    with pytest.raises(ValueError, match=rf"source/{missing}.*: no such file; .* complete"):
        from_original(source, root)
    assert not list(root.iterdir())


def test_empty_source_raises_with_the_expected_files(tmp_path):
    for source in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=rf"{source}: expected .*annot\.mat.*annot_data\.mat"):
            from_original(source, tmp_path)


def check_raises(copy, path, message):
    with pytest.raises(ValueError, match=rf"{path}.*({message})"):
        from_original(*copy)
    assert not list(copy[1].iterdir())


TRAIN_FILE, TEST_FILE = "S2/Seq1/annot.mat", f"{TEST_SET}/TS3/annot_data.mat"
WRITERS = {TRAIN_FILE: (write_train5, write_train73), TEST_FILE: (write_test5, write_test73)}


def arrays_of(path):
    return train_arrays("S2", "Seq1") if path == TRAIN_FILE else test_arrays("TS3")


@pytest.mark.parametrize("share", [0, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("path", WRITERS)
def test_truncated_files_raise(copy, path, version, share):
    target = copy[0] / path
    WRITERS[path][version](target, arrays_of(path))
    data = target.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    check_raises(copy, path, "truncated or not a MATLAB file|no variable|numbers|cells|shape")


def change(name, index, value):
    return lambda arrays: arrays[name].__setitem__(index, value(arrays[name][index]))


def with_nan(array):
    array[2, 20] = np.nan
    return array


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(
    ("path", "damage", "message"),
    [
        *(
            (path, lambda a, name=name: a.pop(name), f"no variable {name}; the file holds .*annot3")
            for path in WRITERS
            for name in ("annot2", "univ_annot3")
        ),
        (TRAIN_FILE, change("annot2", 5, lambda a: a[:, :34]), r"annot2, camera 5: .*\(T, 56\), T > 0, got \(3, 34\)"),
        (TRAIN_FILE, change("univ_annot3", 0, lambda a: a[:2]), "camera 0: expected as many frames"),
        (TRAIN_FILE, change("univ_annot3", 13, with_nan), "univ_annot3, camera 13: .*NaN.*frame 2"),
        (TRAIN_FILE, change("annot2", 1, with_nan), "annot2, camera 1: .*NaN.*frame 2"),
        (TRAIN_FILE, lambda a: a["annot2"].pop(), "annot2 of 14 cells, got 13"),
        (TEST_FILE, lambda a: a.update(annot2=a["annot2"][:, :, :16]), r"annot2 .*\(5, 1, 17, 2\)"),
        (TEST_FILE, lambda a: a.update(valid_frame=VALID[:4]), "univ_annot3|annot2 .* 4 entries of valid_frame"),
        (TEST_FILE, lambda a: a.update(valid_frame=VALID * 0), r"T > 0, got \(0, 34\)"),
        (TEST_FILE, lambda a: a.update(valid_frame=np.ones(5)), "annot2, camera 0: .*NaN.*frame 1"),
    ],
)
def test_bad_annotations_raise(copy, path, version, damage, message):
    arrays = arrays_of(path)
    damage(arrays)
    WRITERS[path][version](copy[0] / path, arrays)
    check_raises(copy, path, message)


def test_missing_h5py_names_the_extra(original, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r'h5py .* pip install "prpose\[mocap\]"'):
        from_original(original, tmp_path)
    assert not list(tmp_path.iterdir())
