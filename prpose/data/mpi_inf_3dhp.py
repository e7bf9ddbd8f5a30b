"""MPI-INF-3DHP (Mehta et al., 3DV 2017): clips of the field's npz files, and these from the original annotations.

3D is in camera axes, absolute, metres; the npz files hold no calibration.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.io

from prpose.camera import Array, Camera
from prpose.data.clip import Clip, finite_float32
from prpose.data.release_files import Selection, check_pair, import_mocap, paths_of, read_entries, write_pair
from prpose.layouts import MPI_28
from prpose.skeleton import H36M_17

SPLITS = {"train": tuple(f"S{i}" for i in range(1, 9)), "test": tuple(f"TS{i}" for i in range(1, 7))}
DEFAULT_KEYPOINTS = "hrnet_coco"
SETTINGS = {
    **dict.fromkeys(("TS1", "TS2"), "studio, green screen"),
    **dict.fromkeys(("TS3", "TS4"), "studio, no green screen"),
    **dict.fromkeys(("TS5", "TS6"), "outdoor"),
}
"""Setting of each test sequence, in the data set's own words."""

Annotation = Literal["univ_annot3", "annot3"]
TRAIN_CAMERAS = 14
TRAIN_SEQUENCES = ("Seq1", "Seq2")
TEST_SEQUENCE = "Seq1"
"""Name given to the only sequence of a test subject."""
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
"""Human3.6M's name → the data set's, where they differ; its head is a point of the face, as our neck."""


def load(root: Path, split: str, selection: Selection, keypoints: str) -> list[Clip]:
    """Clips of ``data_3d_3dhp.npz`` and ``data_2d_3dhp_{keypoints}.npz`` in ``root``.

    Raises:
        ValueError: naming file, subject, action and camera, for anything missing or misshapen.
    """
    clips = []
    for entry in read_entries(paths_of(root, "3dhp", keypoints), SPLITS[split], selection):
        poses = entry.poses_by_camera(len(H36M_17))
        keypoints_px = entry.keypoints_by_camera([len(each) for each in poses])
        for index, (xy, pose) in enumerate(zip(keypoints_px, poses, strict=True)):
            frames = selection.frames(len(pose))
            clips.append(Clip(xy[frames], pose[frames], camera(entry.subject), entry.subject, entry.action, index))
    return clips


def camera(subject: str) -> Camera:
    """Image size of a subject's videos; the outdoor test sequences are wider."""
    return Camera(1920, 1080) if subject in ("TS5", "TS6") else Camera(2048, 2048)


def from_original(
    source: Path, root: Path, overwrite: bool = False, annotation: Annotation = "univ_annot3"
) -> dict[str, int]:
    """Writes ``data_3d_3dhp.npz`` and ``data_2d_3dhp_gt.npz`` from the original annotations (extra ``mocap``).

    Per subject, sequence and camera they hold (T, 17, 3) float32 metres, camera axes, absolute, and (T, 17, 2)
    float32 pixels; of the test set only the valid frames. The training set, the test set or both may be there, each
    complete.

    Args:
        source: folder with ``S1/Seq1/annot.mat`` to ``S8/Seq2/annot.mat`` and/or
            ``mpi_inf_3dhp_test_set/TS1/annot_data.mat`` to TS6 (or TS1 to TS6 directly), MATLAB 5 or 7.3;
            millimetres and pixels.
        root: folder to write to.
        overwrite: whether to replace existing files.
        annotation: ``univ_annot3`` is scaled to one skeleton height, as the field evaluates; ``annot3`` has the true
            size and projects onto the image.

    Returns:
        Counts: subjects, recordings (complete: 22), clips (one per camera), frames of clips.

    Raises:
        ValueError: naming the file or folder, for anything missing, damaged, misshapen or not finite, and for
            outputs that exist.
    """
    source, root = Path(source), Path(root)
    outputs = check_pair(root, "3dhp", overwrite)
    positions_3d: dict[str, dict[str, list[Array]]] = {}
    positions_2d: dict[str, dict[str, list[Array]]] = {}
    for subject, sequence, path in _annotation_files(source):
        keypoints_px, poses = _read_annotations(path, subject in SPLITS["train"], annotation)
        positions_3d.setdefault(subject, {})[sequence] = poses
        positions_2d.setdefault(subject, {})[sequence] = keypoints_px
    return write_pair(outputs, positions_3d, positions_2d)


def _annotation_files(source: Path) -> list[tuple[str, str, Path]]:
    """(subject, sequence, file) of the training set, the test set or both, whichever is there."""
    test_root = source / TEST_FOLDER if (source / TEST_FOLDER).is_dir() else source
    files = []
    if any((source / subject).is_dir() for subject in SPLITS["train"]):
        files += [(s, seq, source / s / seq / "annot.mat") for s in SPLITS["train"] for seq in TRAIN_SEQUENCES]
    if test_root != source or any((test_root / subject).is_dir() for subject in SPLITS["test"]):
        files += [(s, TEST_SEQUENCE, test_root / s / "annot_data.mat") for s in SPLITS["test"]]
    if not files:
        raise ValueError(
            f"{source}: expected the original MPI-INF-3DHP, S1/Seq1/annot.mat to S8/Seq2 or "
            f"{TEST_FOLDER}/TS1/annot_data.mat to TS6, got neither"
        )
    for _, _, path in files:  # all of them before any is read
        if not path.is_file():
            raise ValueError(f"{path}: no such file; that part of the data set must be complete")
    return files


def _read_annotations(path: Path, train: bool, annotation: Annotation) -> tuple[list[Array], list[Array]]:
    """(T, 17, 2) pixels and (T, 17, 3) metres of each camera, float32, joints matched by name."""
    content = _read_mat(path, ("annot2", annotation) if train else ("annot2", annotation, "valid_frame"))
    names, count = (TRAIN_JOINTS, TRAIN_CAMERAS) if train else (TEST_JOINTS, 1)
    indices = [names.index(OTHER_NAMES.get(name, name)) for name in H36M_17.names]
    found = []
    for name, channels in (("annot2", 2), (annotation, 3)):
        cells = content[name] if train else [_valid_frames(path, content, name, channels)]
        if not isinstance(cells, list) or len(cells) != count:
            got = len(cells) if isinstance(cells, list) else "no cell array"
            raise ValueError(f"{path}: expected {name} of {count} cells, got {got}")
        cameras = []
        for index, cell in enumerate(cells):
            where, columns = f"{path}: {name}, camera {index}", len(names) * channels
            cell = _numbers(cell, where)
            if cell.ndim != 2 or cell.shape[1] != columns or not len(cell):
                raise ValueError(f"{where}: expected shape (T, {columns}), T > 0, got {cell.shape}")
            joints = cell.reshape(-1, len(names), channels)[:, indices]
            cameras.append(finite_float32(joints / (1000 if channels == 3 else 1), where))
        found.append(cameras)
    for index, (xy, poses) in enumerate(zip(*found, strict=True)):
        if len(xy) != len(poses):
            raise ValueError(
                f"{path}: camera {index}: expected as many frames of annot2 as of {annotation}, "
                f"got {len(xy)} and {len(poses)}"
            )
    return found[0], found[1]


def _valid_frames(path: Path, content: dict[str, Any], name: str, channels: int) -> Array:
    """Valid frames of a test sequence's (T, 1, 17, C) array, or of its reverse as in the original: (T', 17 * C)."""
    valid = _numbers(content["valid_frame"], f"{path}: valid_frame").ravel() == 1
    values, expected = _numbers(content[name], f"{path}: {name}"), (len(valid), 1, len(TEST_JOINTS), channels)
    values = values.T if values.shape[:1] == (channels,) else values
    if values.shape != expected:
        got = f"{values.shape} for {len(valid)} entries of valid_frame"
        raise ValueError(f"{path}: expected {name} of shape {expected} or its reverse, got {got}")
    return values[valid].reshape(-1, len(TEST_JOINTS) * channels)


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
    h5py = import_mocap("h5py")
    try:
        if h5py.is_hdf5(path):  # MATLAB 7.3: HDF5 with all axes reversed
            with h5py.File(path, "r") as file:
                present = [name for name in file if not name.startswith("#")]
                content = {name: file[name][()] for name in names if name in file}
                content = {
                    name: [file[cell][()].T for cell in value.ravel()] if value.dtype == object else value.T
                    for name, value in content.items()
                }
        else:
            with warnings.catch_warnings():
                # SciPy warns of a variable that it cannot read and gives text for it, which is not a number.
                warnings.filterwarnings("ignore", message="Unreadable variable")
                content = scipy.io.loadmat(path, appendmat=False, variable_names=list(names))
            present = [name for name, _, _ in scipy.io.whosmat(path, appendmat=False)]
            content = {
                name: list(content[name].ravel()) if np.asarray(content[name]).dtype == object else content[name]
                for name in names
                if name in content
            }
    except Exception as error:  # both libraries raise many kinds of errors for damaged files
        raise ValueError(f"{path}: truncated or not a MATLAB file ({type(error).__name__}: {error})") from None
    for name in names:
        if name not in content:
            raise ValueError(f"{path}: no variable {name}; the file holds {', '.join(present) or 'nothing'}")
    return content
