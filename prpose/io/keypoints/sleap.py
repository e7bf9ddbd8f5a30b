"""SLEAP's analysis HDF5 (``sleap-convert --format analysis``), of any number of animals (extra ``mocap``)."""

from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.arrays import within_range
from prpose.io.keypoints.csv_table import plain_name
from prpose.io.keypoints.detections import Detection, Detections, without_missing
from prpose.remap import is_present
from prpose.tables import import_extra


def read(path: Path) -> Detections:
    """All tracks: ``tracks`` (people, 2, J, T) pixels, ``node_names``, and, where there are, ``point_scores``."""
    h5py = import_extra("h5py", "mocap")
    try:
        with h5py.File(path, "r") as file:
            names = set(file)
            if sum(getattr(file[name], "size", 0) or 0 for name in names & set(FIELDS)) > MOST_NUMBERS:
                raise ValueError(f"expected at most {MOST_NUMBERS:g} numbers, got more")
            content = {name: file[name][()] for name in FIELDS if name in names}
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"expected an HDF5 file, got one that cannot be read ({type(error).__name__})") from None
    if not {"tracks", "node_names"} <= content.keys():
        found = ", ".join(sorted(names)) or "nothing"
        hint = "export DeepLabCut's as CSV, and convert SLEAP's .slp by sleap-convert --format analysis"
        raise ValueError(f"expected tracks and node_names of SLEAP's analysis file, got {found:.80}; {hint}")
    joints = tuple(plain_name(name) for name in _texts(content["node_names"]))
    tracks = np.asarray(content["tracks"])
    if tracks.dtype.kind != "f" or tracks.ndim != 4 or tracks.shape[1:3] != (2, len(joints)):
        raise ValueError(f"expected tracks of shape (people, 2, {len(joints)}, T), got {tracks.dtype} {tracks.shape}")
    ids = _texts(content.get("track_names", [])) or [str(i) for i in range(len(tracks))]
    scores = np.asarray(content.get("point_scores", np.ones_like(tracks[:, 0])))
    if scores.dtype.kind != "f":
        raise ValueError(f"expected point_scores as numbers, got {scores.dtype}")
    scores = np.where(np.isnan(scores), 1.0, scores)  # of points that were corrected by hand
    if scores.shape != tracks[:, 0].shape or len(ids) != len(tracks):
        raise ValueError(f"expected scores and names of {len(tracks)} tracks, got {scores.shape} and {len(ids)}")
    scored = "point_scores" in content
    return Detections(_people(within_range(tracks.astype(np.float64)), scores, ids, scored), joint_names=joints)


MOST_NUMBERS = 3e7  # of a file: its size tells nothing, as HDF5 need not store what was not written
FIELDS = "tracks", "node_names", "track_names", "point_scores"


def _people(tracks: Array, scores: Array, ids: list[str], scored: bool) -> list[Detection]:
    found = []
    for person, xy_of, score_of in zip(ids, tracks.transpose(0, 3, 2, 1), scores.swapaxes(1, 2), strict=True):
        for t in np.flatnonzero(is_present(xy_of).any(axis=1)):
            xy, confidence = without_missing(xy_of[t], score_of[t])
            found.append(Detection(int(t), xy, confidence if scored else None, person))
    return found


def _texts(values: Any) -> list[str]:
    return [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in np.ravel(values)]
