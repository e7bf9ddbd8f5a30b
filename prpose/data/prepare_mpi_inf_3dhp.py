"""MPI-INF-3DHP: the original download (MATLAB annotations) → the field's two npz files.

Joints are matched by name with Human3.6M's 17. 3D stays in camera axes, absolute, in metres.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from prpose.camera import Array
from prpose.data import mpi_inf_3dhp
from prpose.data.arrays import finite_float32
from prpose.data.release_files_write import check_pair, import_mocap, write_pair
from prpose.layouts import MPI_28
from prpose.skeleton import H36M_17

Annotation = Literal["univ_annot3", "annot3"]
TRAIN_CAMERAS = 14
TRAIN_SEQUENCES = ("Seq1", "Seq2")
TEST_SEQUENCE = "Seq1"
"""A test subject has one sequence; it gets the name of a training subject's first."""
TEST_FOLDER = "mpi_inf_3dhp_test_set"

TRAIN_JOINTS = MPI_28.names
"""The 28 joints of ``annot.mat``, in its order, by the data set's own names."""

TEST_JOINTS = (
    *("head_top", "neck"),
    *("right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle"),
    *("pelvis", "spine", "head"),
)
"""The 17 joints of ``annot_data.mat``, in its order, by the data set's own names."""

OTHER_NAMES = {"thorax": "neck", "neck": "head", "head": "head_top"}
"""Our name → the data set's, where they differ; its head is a point of the face, as our neck."""


def from_original(
    source: Path, root: Path, overwrite: bool = False, annotation: Annotation = "univ_annot3"
) -> dict[str, int]:
    """Writes ``data_3d_3dhp.npz`` and ``data_2d_3dhp_gt.npz`` into ``root``; both or neither.

    Per subject, sequence and camera they hold (T, 17, 3) float32 metres, camera axes, absolute,
    and (T, 17, 2) float32 pixels. The test set keeps its valid frames only. The training set,
    the test set or both may be there, each complete. The extra ``mocap`` reads the files.

    Args:
        source: folder with ``S1/Seq1/annot.mat`` to ``S8/Seq2/annot.mat`` and/or
            ``mpi_inf_3dhp_test_set/TS1/annot_data.mat`` to TS6 (or TS1 to TS6 directly),
            MATLAB 5 or 7.3; millimetres and pixels.
        root: folder to write to.
        overwrite: whether to replace files that are there.
        annotation: ``univ_annot3`` is scaled to one skeleton height, as the field evaluates;
            ``annot3`` is in true size, and projects onto the image.

    Returns:
        Counts: subjects, recordings (complete: 22), clips (one per camera), frames of clips.

    Raises:
        ValueError: naming the file or folder, for anything missing, damaged, misshapen or not
            finite, and for outputs that exist.
    """
    source, root = Path(source), Path(root)
    if annotation not in get_args(Annotation):
        known = " or ".join(get_args(Annotation))
        raise ValueError(f"expected annotation {known}, got {annotation!r}")
    outputs = check_pair(root, "3dhp", overwrite)
    positions_3d: dict[str, dict[str, list[Array]]] = {}
    positions_2d: dict[str, dict[str, list[Array]]] = {}
    for subject, sequence, path in _annotation_files(source):
        read = _read_train if subject in mpi_inf_3dhp.SPLITS["train"] else _read_test
        poses, tracks = read(path, annotation)
        positions_3d.setdefault(subject, {})[sequence] = poses
        positions_2d.setdefault(subject, {})[sequence] = tracks
    return write_pair(outputs, positions_3d, positions_2d)


def _annotation_files(source: Path) -> list[tuple[str, str, Path]]:
    """(subject, sequence, file) of all that there should be, given what is there at all."""
    train, test = mpi_inf_3dhp.SPLITS["train"], mpi_inf_3dhp.SPLITS["test"]
    test_root = source / TEST_FOLDER if (source / TEST_FOLDER).is_dir() else source
    files = []
    if any((source / subject).is_dir() for subject in train):
        files += [
            (subject, sequence, source / subject / sequence / "annot.mat")
            for subject in train
            for sequence in TRAIN_SEQUENCES
        ]
    if test_root != source or any((test_root / subject).is_dir() for subject in test):
        files += [(s, TEST_SEQUENCE, test_root / s / "annot_data.mat") for s in test]
    if not files:
        raise ValueError(
            f"{source}: expected the original MPI-INF-3DHP, S1/Seq1/annot.mat to S8/Seq2 or "
            f"{TEST_FOLDER}/TS1/annot_data.mat to TS6, got neither"
        )
    # All of them before any is read: reading takes minutes.
    for _, _, path in files:
        if not path.is_file():
            raise ValueError(f"{path}: no such file; that part of the data set must be complete")
    return files


def _read_train(path: Path, annotation: Annotation) -> tuple[list[Array], list[Array]]:
    """14 x (T, 17, 3) metres and 14 x (T, 17, 2) pixels, float32, of an ``annot.mat``."""
    content = _read_mat(path, ("annot2", annotation))
    kept = _source_joints(TRAIN_JOINTS)
    cameras: dict[str, list[Array]] = {}
    for name, channels in (("annot2", 2), (annotation, 3)):
        cells = content[name]
        if not isinstance(cells, list) or len(cells) != TRAIN_CAMERAS:
            got = len(cells) if isinstance(cells, list) else "no cell array"
            raise ValueError(f"{path}: expected {name} of {TRAIN_CAMERAS} cells, got {got}")
        columns = len(TRAIN_JOINTS) * channels
        cameras[name] = []
        for index, cell in enumerate(cells):
            where = f"{path}: {name}, camera {index}"
            cell = _numbers(cell, where)
            if cell.ndim != 2 or cell.shape[1] != columns or len(cell) == 0:
                raise ValueError(f"{where}: expected shape (T, {columns}), got {cell.shape}")
            joints = cell.reshape(len(cell), len(TRAIN_JOINTS), channels)[:, kept]
            cameras[name].append(finite_float32(joints / (1000 if channels == 3 else 1), where))
    poses, tracks = cameras[annotation], cameras["annot2"]
    for index, (pose, track) in enumerate(zip(poses, tracks, strict=True)):
        if len(pose) != len(track):
            raise ValueError(
                f"{path}: camera {index}: expected as many frames of annot2 as of {annotation}, "
                f"got {len(track)} and {len(pose)}"
            )
    return poses, tracks


def _read_test(path: Path, annotation: Annotation) -> tuple[list[Array], list[Array]]:
    """[(T, 17, 3) metres] and [(T, 17, 2) pixels], float32, valid frames of a test sequence."""
    content = _read_mat(path, ("annot2", annotation, "valid_frame"))
    kept, J = _source_joints(TEST_JOINTS), len(TEST_JOINTS)
    valid = _numbers(content["valid_frame"], f"{path}: valid_frame").ravel() == 1
    if not valid.any():
        raise ValueError(f"{path}: expected valid frames, got none in valid_frame")
    arrays = []
    for name, channels in (("annot2", 2), (annotation, 3)):
        values = _numbers(content[name], f"{path}: {name}")
        if values.ndim == 4 and values.shape[:3] == (channels, J, 1):
            values = values.T  # as the original has it, MATLAB's first axis fastest
        expected = (len(valid), 1, J, channels)
        if values.shape != expected:
            raise ValueError(
                f"{path}: expected {name} of shape {expected} or its reverse, for "
                f"{len(valid)} entries of valid_frame, got {values.shape}"
            )
        joints = values[valid, 0][:, kept] / (1000 if channels == 3 else 1)
        arrays.append(finite_float32(joints, f"{path}: {name}, valid frames"))
    return [arrays[1]], [arrays[0]]


def _source_joints(names: Sequence[str]) -> list[int]:
    """Where each joint of ``H36M_17`` is among a data set's ``names``."""
    return [names.index(OTHER_NAMES.get(name, name)) for name in H36M_17.names]


def _numbers(value: Any, where: str) -> Array:
    """A real-valued array as float64."""
    array = np.asarray(value) if not isinstance(value, list) else np.empty(0, dtype=object)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{where}: expected an array of numbers, got {array.dtype}")
    return array.astype(np.float64)


def _read_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Variables of a MATLAB file, axes in MATLAB's order; a cell array is a list of its cells.

    Raises:
        ValueError: naming the file, if it is damaged or lacks one.
    """
    try:
        read = _read_mat73 if import_mocap("h5py").is_hdf5(path) else _read_mat5
    except OSError as error:
        raise ValueError(f"{path}: {error}") from None
    module = import_mocap("h5py" if read is _read_mat73 else "scipy.io")
    try:
        content, present = read(module, path, names)
    except Exception as error:  # a damaged file can fail in any way at all
        raise ValueError(f"{path}: truncated or not a MATLAB file ({type(error).__name__}: {error})") from None
    for name in names:
        if name not in content:
            held = ", ".join(present) or "nothing"
            raise ValueError(f"{path}: no variable {name}; the file holds {held}")
    return content


def _read_mat5(io: Any, path: Path, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """MATLAB 5: the named variables that are there, and the names of all."""
    with warnings.catch_warnings():
        # SciPy warns of a variable it cannot read and gives text for it, which is no number.
        warnings.filterwarnings("ignore", message="Unreadable variable")
        content = io.loadmat(path, appendmat=False, variable_names=list(names))
    present = [name for name, _, _ in io.whosmat(path, appendmat=False)]
    return {
        name: list(value.ravel()) if np.asarray(value).dtype == object else value
        for name, value in content.items()
        if name in names
    }, present


def _read_mat73(h5py: Any, path: Path, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """MATLAB 7.3, which is HDF5 with all axes reversed: as :func:`_read_mat5`."""
    content: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        for name in names:
            if name not in file:
                continue
            values = file[name][()]
            if values.dtype == object:
                content[name] = [file[reference][()].T for reference in values.ravel()]
            else:
                content[name] = values.T
        return content, [name for name in file if not name.startswith("#")]
