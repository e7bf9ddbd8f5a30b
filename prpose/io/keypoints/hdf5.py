"""HDF5 of SLEAP, its analysis files and its own .slp, and of DeepLabCut (extra ``mocap``)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from prpose.apart import try_apart
from prpose.camera import Array
from prpose.io.keypoints import csv_table
from prpose.io.keypoints.arrays import check_joints, within_range
from prpose.io.keypoints.detections import Detection, Detections, Value, Whole, check, without_missing
from prpose.layouts import LAYOUTS
from prpose.remap import is_present
from prpose.tables import import_extra
from prpose.unpickle import most_bytes, read_pickle

MOST_TEXTS = 2**20  # names, or frames with one; as texts they take more than their file


class Place(msgspec.Struct):
    id: Whole  # in the file's list of nodes


class Skeleton(msgspec.Struct):
    nodes: list[Place] = []
    nx_graph: Any = None  # since SLEAP 1.3.2, the same within this


class Node(msgspec.Struct):
    name: str


class Metadata(msgspec.Struct):
    skeletons: list[Skeleton]
    nodes: list[Node]


class Backend(msgspec.Struct):
    shape: tuple[Whole | None, Whole, Whole, Whole | None] | None = None  # frames, height, width, channels
    fps: Value = None


class Video(msgspec.Struct):
    backend: Backend = msgspec.field(default_factory=Backend)


def entry_names(path: Path) -> tuple[str, ...]:
    """Names of what is at the top of a file."""
    return tuple(_content(path, ())[1])


def _content(path: Path, wanted: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
    """The wanted datasets, by their path, all attributes of what is wanted, ``path@name``, and all names at the top."""
    try_apart(read_here, "h5py", path, wanted=wanted)
    return read_here(path, wanted)


def read_here(path: str | Path, wanted: Sequence[str]) -> tuple[dict[str, Any], set[str]]:
    """As :func:`_content`, in this process, which a damaged file may crash, or stop for good."""
    h5py = import_extra("h5py", "mocap")
    try:
        with h5py.File(path, "r") as file:
            entries = {name: file[name] for name in wanted if name in file}
            attributes = {f"{name}@{key}": x for name, entry in entries.items() for key, x in entry.attrs.items()}
            stored = {name: entry for name, entry in entries.items() if hasattr(entry, "size")}
            size = sum(each.size * each.dtype.itemsize for each in stored.values())
            most = most_bytes(Path(path).stat().st_size)
            if size > most:  # HDF5 need not store what was not written
                raise ValueError(f"expected at most {most:,} bytes in a file of this size, got {size:,}")
            return attributes | {name: entry[()] for name, entry in stored.items()}, set(map(str, file))
    except (OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"expected an HDF5 file, got one that cannot be read ({type(error).__name__})") from None


def read_analysis(path: Path) -> Detections:
    """All tracks: ``tracks`` (people, 2, J, T) pixels, ``node_names``, and, where there are, ``point_scores``."""
    content, names = _content(path, ("tracks", "node_names", "track_names", "point_scores"))
    if not {"tracks", "node_names"} <= content.keys():
        found = ", ".join(sorted(names)) or "nothing"
        raise ValueError(f"expected tracks and node_names of SLEAP, or df_with_missing of DeepLabCut, got {found:.80}")
    nodes = _texts(content["node_names"])
    tracks = np.asarray(content["tracks"])
    if tracks.dtype.kind != "f" or tracks.ndim != 4 or tracks.shape[1:3] != (2, len(nodes)):
        raise ValueError(f"expected tracks of shape (people, 2, {len(nodes)}, T), got {tracks.dtype} {tracks.shape}")
    check_joints(len(nodes))
    ids = _texts(content.get("track_names", [])) or [str(i) for i in range(len(tracks))]
    scores = np.asarray(content.get("point_scores", np.ones_like(tracks[:, 0])))
    if scores.dtype.kind != "f":
        raise ValueError(f"expected point_scores as numbers, got {scores.dtype}")
    scores = np.where(np.isnan(scores), 1.0, scores)  # of points that were corrected by hand
    if scores.shape != tracks[:, 0].shape or len(ids) != len(tracks):
        raise ValueError(f"expected scores and names of {len(tracks)} tracks, got {scores.shape} and {len(ids)}")
    order, joints = _order(nodes)
    detections = []
    tracks = within_range(tracks)
    for person, xy_of, score_of in zip(ids, tracks.transpose(0, 3, 2, 1), scores.swapaxes(1, 2), strict=True):
        for t in np.flatnonzero(is_present(xy_of).any(axis=1)):
            xy, confidence = without_missing(xy_of[t, order], score_of[t, order])
            detections.append(Detection(int(t), xy, confidence if "point_scores" in content else None, person))
    return Detections(detections, joint_names=joints)


TABLES = {  # of a .slp: the fields of each that are used
    "frames": ("video", "frame_idx", "instance_id_start", "instance_id_end"),
    "instances": (
        *("instance_id", "instance_type", "from_predicted", "skeleton", "track", "point_id_start", "point_id_end"),
    ),
    "points": ("x", "y", "visible"),
    "pred_points": ("x", "y", "visible", "score"),
}


def read_labels(path: Path) -> Detections:
    """SLEAP's .slp of one video (sleap-io's docs/formats/slp.md): predictions, or the labels that replace them."""
    content, names = _content(path, (*TABLES, "tracks_json", "videos_json", "metadata"))
    for name, fields in TABLES.items():
        table = np.asarray(content.get(name))
        kinds = {field: dtype.kind for field, (dtype, *_) in (table.dtype.fields or {}).items()}
        if table.ndim != 1 or not all(kinds.get(field, "?") in "biuf" for field in fields):
            raise ValueError(f"expected {name} of SLEAP with numbers {', '.join(fields)}, got something else")
    version = check(np.asarray(content.get("metadata@format_id", 1.0)).item(), float, "format_id")
    frames, instances = content["frames"], content["instances"]
    if version >= 3 or len(videos := np.unique(frames["video"])) > 1:
        got = f"version {version:g}" if version >= 3 else f"labels of {len(videos)} videos"
        raise ValueError(f"expected a .slp before version 3 and of one video, got {got}; export its analysis HDF5")
    nodes = _nodes(check(_json(content.get("metadata@json", "")), Metadata), instances["skeleton"])
    order, joints = _order(nodes)
    rows = map(_json, content.get("tracks_json", ()))
    tracks = [str(row[1]) for row in rows if isinstance(row, list) and len(row) > 1]
    detections = []
    for frame in frames:
        for instance in _shown(instances[int(frame["instance_id_start"]) : int(frame["instance_id_end"])]):
            table = content["pred_points" if instance["instance_type"] else "points"]
            points = table[int(instance["point_id_start"]) : int(instance["point_id_end"])]
            if len(points) != len(nodes):
                raise ValueError(f"frame {frame['frame_idx']}: expected {len(nodes)} points, got {len(points)}")
            xy = within_range(np.stack([points["x"], points["y"]], axis=1))
            xy = np.where(points["visible"][:, None], xy - (0.5 if version < 1.1 else 0.0), np.nan)[order]
            scores = points["score"][order] if instance["instance_type"] else np.ones(len(nodes))
            xy, confidence = without_missing(xy, np.where(np.isnan(scores), 1.0, scores))
            track = int(instance["track"])
            person = tracks[track] if 0 <= track < len(tracks) else None
            detections.append(Detection(int(frame["frame_idx"]), xy, confidence, person))
    described = [check(_json(text), Video).backend for text in content.get("videos_json", ())]
    video = described[0] if len(described) == 1 and "video_crops" not in names else Backend()
    size = None if video.shape is None else (int(video.shape[2]), int(video.shape[1]))
    return Detections(detections, joint_names=joints, image_size=size, fps=video.fps or None)


def _shown(instances: Array) -> Array:
    """The people of a frame without predictions that were corrected, which stay in the file."""
    by_hand = instances[instances["instance_type"] == 0]
    tracks = by_hand["track"][by_hand["track"] >= 0]
    replaced = np.isin(instances["instance_id"], by_hand["from_predicted"]) | np.isin(instances["track"], tracks)
    return instances[(instances["instance_type"] == 0) | ~replaced]


def _nodes(metadata: Metadata, skeletons: Array) -> list[str]:
    """Names of the nodes of the only skeleton that people have."""
    found = set[tuple[str, ...]]()
    for i in map(int, np.unique(skeletons)):
        if i >= len(metadata.skeletons):
            raise ValueError(f"expected skeletons up to number {i}, got {len(metadata.skeletons)}")
        skeleton = metadata.skeletons[i]
        skeleton = skeleton if skeleton.nx_graph is None else check(skeleton.nx_graph, Skeleton)
        places = [int(place.id) for place in skeleton.nodes]
        if not all(0 <= place < len(metadata.nodes) for place in places):
            raise ValueError(f"expected nodes up to number {max(places)}, got {len(metadata.nodes)}")
        found.add(tuple(metadata.nodes[place].name for place in places))
    if len(found) != 1:
        raise ValueError(f"expected people of one skeleton, got {len(found)}")
    return [*found.pop()]


def read_deeplabcut(path: Path) -> Detections:
    """DeepLabCut's results of a video, a table of pandas, whose pickled names of columns are not run."""
    content, _ = _content(path, ["df_with_missing/table"])
    table, pickled = content.get("df_with_missing/table"), content.get("df_with_missing/table@values_block_0_kind")
    fields = getattr(table, "dtype", np.dtype(float)).names
    if table is None or not isinstance(pickled, bytes | np.generic) or fields != ("index", "values_block_0"):
        raise ValueError("expected DeepLabCut's results of a video, got another table of pandas; save it as CSV")
    columns = read_pickle(np.asarray(pickled).tobytes())
    is_known = isinstance(columns, list) and {len(c) if isinstance(c, tuple) else 0 for c in columns} in ({3}, {4})
    if not is_known or table["values_block_0"].shape[1:] != (len(columns),):
        raise ValueError("expected columns of scorer, bodyparts and coords, got others")
    levels = ("scorer", *(["individuals"] if len(columns[0]) == 4 else []), "bodyparts", "coords")
    header = [[name, *map(str, level)] for name, level in zip(levels, zip(*columns, strict=True), strict=True)]
    index = _texts(table["index"])
    rows = [[name, *map(str, row)] for name, row in zip(index, table["values_block_0"].tolist(), strict=True)]
    return csv_table.read_rows([*header, *rows], range(1, len(header) + len(rows) + 1))


def _order(names: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """Where the joints of a layout are among the names of a file, and their names; the file's own for no layout."""
    joints = [csv_table.joint_name(name) for name in names]
    for layout in LAYOUTS.values():
        if sorted(layout.names) == sorted(joints):
            return [joints.index(name) for name in layout.names], layout.names
    return [*range(len(joints))], tuple(joints)


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("expected JSON in SLEAP's metadata, got something else") from None


def _texts(values: Any) -> list[str]:
    if np.size(values) > MOST_TEXTS:
        raise ValueError(f"expected at most {MOST_TEXTS:,} names, got {np.size(values):,}")
    return [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in np.ravel(values)]
