"""MPI-INF-3DHP (Mehta et al., 3DV 2017): clips of the field's npz files, and these from the original annotations.

3D is in camera axes, absolute, metres; the npz files hold no calibration.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.io

from prpose.apart import try_apart
from prpose.camera import Array, Camera
from prpose.data.clip import check_coordinates, finite_float32
from prpose.data.release_files import OnFile, View, by_camera, paths_of, write_release
from prpose.layouts import MPI_28
from prpose.skeleton import H36M_17
from prpose.tables import import_extra

SPLITS = {"train": tuple(f"S{i}" for i in range(1, 9)), "test": tuple(f"TS{i}" for i in range(1, 7))}
DEFAULT_KEYPOINTS = "hrnet_coco"
SETTINGS = {  # of the test sequences, in the data set's own words
    **dict.fromkeys(("TS1", "TS2"), "studio, green screen"),
    **dict.fromkeys(("TS3", "TS4"), "studio, no green screen"),
    **dict.fromkeys(("TS5", "TS6"), "outdoor"),
}

Annotation = Literal["univ_annot3", "annot3"]
TRAIN_CAMERAS = 14
TRAIN_SEQUENCES = ("Seq1", "Seq2")
TEST_SEQUENCE = "Seq1"  # name given to the only sequence of a test subject
TEST_FOLDER = "mpi_inf_3dhp_test_set"
TRAIN_JOINTS = MPI_28.names  # of annot.mat, in its order, by the data set's own names
TEST_JOINTS = (  # the same of annot_data.mat
    *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
)
OTHER_NAMES = {"thorax": "neck", "neck": "head", "head": "head_top"}
"""Human3.6M's name → the data set's, where they differ; its head is a point of the face, as our neck."""


def views(subject: str, stored: Any, where: str) -> list[View]:
    """Poses in each camera's axes; ``ValueError``, starting with ``where``, if they are no such list."""
    poses = by_camera(stored, where)
    if not poses or np.ndim(poses[0]) == 2:
        got = f"{len(poses)} frames" if poses else "none"
        raise ValueError(f"{where}: expected 3D of at least one camera, got {got}")
    checked = (check_coordinates(pose, len(H36M_17), 3, f"{where}, camera {i}", "3D") for i, pose in enumerate(poses))
    size = (1920, 1080) if subject in ("TS5", "TS6") else (2048, 2048)  # outdoors, and in the studio
    return [(Camera(*size), pose) for pose in checked]


def from_original(
    source: Path,
    root: Path,
    overwrite: bool = False,
    annotation: Annotation = "univ_annot3",
    on_file: OnFile = lambda files, total: None,
) -> dict[str, int]:
    """Writes ``data_3d_3dhp.npz`` and ``data_2d_3dhp_gt.npz`` from the original annotations (extra ``mocap``).

    Per subject, sequence and camera they hold (T, 17, 3) float32 metres, camera axes, absolute, and (T, 17, 2)
    float32 pixels; of the test set only the valid frames. The training set, the test set or both may be there, each
    complete.

    Args:
        source: folder with ``S1/Seq1/annot.mat`` to ``S8/Seq2/annot.mat`` and/or
            ``mpi_inf_3dhp_test_set/TS1/annot_data.mat`` to TS6 (or TS1 to TS6 directly), MATLAB 5 or 7.3;
            millimetres and pixels.
        root, overwrite: folder to write to, and whether to replace existing files.
        annotation: ``univ_annot3`` is scaled to one skeleton height, as the field evaluates; ``annot3`` has the true
            size and projects onto the image.
        on_file: as of :func:`prpose.data.release_files.write_release`.

    Returns:
        Counts: subjects, recordings (complete: 22), clips, and frames of clips.
    """

    def read(subject: str, path: Path) -> tuple[list[Array], list[Array]]:
        return _read_annotations(path, subject in SPLITS["train"], annotation)

    files = _annotation_files(Path(source))
    names = ["annot2", annotation, "valid_frame"]
    try_apart(_read_mat, "h5py", *(path for *_, path in files), names=names)
    return write_release(paths_of(root, "3dhp", "gt"), overwrite, files, read, on_file)


def _annotation_files(source: Path) -> list[tuple[str, str, Path]]:
    """Subject, sequence and path of each file of the training set, the test set or both, whichever is there."""
    test_root = source / TEST_FOLDER if (source / TEST_FOLDER).is_dir() else source
    files = []
    if any((source / subject).is_dir() for subject in SPLITS["train"]):
        files += [(s, seq, source / s / seq / "annot.mat") for s in SPLITS["train"] for seq in TRAIN_SEQUENCES]
    if test_root != source or any((test_root / subject).is_dir() for subject in SPLITS["test"]):
        files += [(s, TEST_SEQUENCE, test_root / s / "annot_data.mat") for s in SPLITS["test"]]
    if not files:
        expected = f"S1/Seq1/annot.mat to S8/Seq2 or {TEST_FOLDER}/TS1/annot_data.mat to TS6"
        raise ValueError(f"{source}: expected the original MPI-INF-3DHP, {expected}, got neither")
    for _, _, path in files:  # all of them before any is read
        if not path.is_file():
            raise ValueError(f"{path}: no such file; that part of the data set must be complete")
    return files


def _read_annotations(path: Path, train: bool, annotation: Annotation) -> tuple[list[Array], list[Array]]:
    """(T, 17, 3) metres and (T, 17, 2) pixels of each camera, float32, joints matched by name."""
    content = _read_mat(path, ["annot2", annotation] + ([] if train else ["valid_frame"]))
    names, count = (TRAIN_JOINTS, TRAIN_CAMERAS) if train else (TEST_JOINTS, 1)
    indices = [names.index(OTHER_NAMES.get(name, name)) for name in H36M_17.names]
    found: dict[str, list[Array]] = {}
    for name, channels, per_unit in (("annot2", 2, 1), (annotation, 3, 1000)):
        cells = content[name] if train else [_valid_frames(path, content, name, channels)]
        if not isinstance(cells, list) or len(cells) != count:
            got = len(cells) if isinstance(cells, list) else "no cell array"
            raise ValueError(f"{path}: expected {name} of {count} cells, got {got}")
        found[name] = []
        for index, cell in enumerate(cells):
            where, columns = f"{path}: {name}, camera {index}", len(names) * channels
            cell = _numbers(cell, where)
            if cell.ndim != 2 or cell.shape[1] != columns or not len(cell):
                raise ValueError(f"{where}: expected shape (T, {columns}), T > 0, got {cell.shape}")
            found[name].append(finite_float32(cell.reshape(-1, len(names), channels)[:, indices] / per_unit, where))
    for index, (xy, poses) in enumerate(zip(*found.values(), strict=True)):
        if len(xy) != len(poses):
            expected = f"expected as many frames of annot2 as of {annotation}"
            raise ValueError(f"{path}: camera {index}: {expected}, got {len(xy)} and {len(poses)}")
    return found[annotation], found["annot2"]


def _valid_frames(path: Path, content: dict[str, Any], name: str, channels: int) -> Array:
    """Valid frames of a test sequence's (T, 1, 17, C) array, or its reverse as in the original, as (T', 17 * C)."""
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
    with np.errstate(all="ignore"):  # numbers beyond float64 are infinite, which is an error
        return array.astype(np.float64)


def _read_mat(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Variables of a MATLAB file, axes in MATLAB's order; a cell array is a list of its cells."""
    h5py = import_extra("h5py", "mocap")
    try:
        if h5py.is_hdf5(path):  # MATLAB 7.3: HDF5 with all axes reversed
            with h5py.File(path, "r") as file:
                present = [name for name in file if not name.startswith("#")]
                raw = {name: file[name][()].T for name in names if name in file}
                content = {k: [file[x][()].T for x in v.ravel()] if v.dtype == object else v for k, v in raw.items()}
        else:
            with warnings.catch_warnings():
                # SciPy warns of a variable that it cannot read and gives text for it, which is not a number.
                warnings.filterwarnings("ignore", message="Unreadable variable")
                found = scipy.io.loadmat(path, appendmat=False, variable_names=list(names))
            present = [name for name, _, _ in scipy.io.whosmat(path, appendmat=False)]
            raw = {name: np.asarray(found[name]) for name in names if name in found}
            content = {k: list(v.ravel()) if v.dtype == object else v for k, v in raw.items()}
    except Exception as error:  # both libraries raise many kinds of errors for damaged files
        raise ValueError(f"{path}: truncated or not a MATLAB file ({type(error).__name__}: {error})") from None
    for name in names:
        if name not in content:
            raise ValueError(f"{path}: no variable {name}; the file holds {', '.join(present) or 'nothing'}")
    return content
