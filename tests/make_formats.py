"""Writes tests/data/formats, one walker (or two) in each format: python -m tests.make_formats

Eight frames, ten a second; the second person is another walker further left, in another order in every other frame.
The files are in version control, so that the tests of the readers do not depend on this.
"""

import csv
import json
import pickle
import shutil
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from prpose.data import load_clips
from prpose.data.mpi_inf_3dhp import OTHER_NAMES, TEST_JOINTS
from prpose.keypoints import Keypoints, save_keypoints
from prpose.layouts import LAYOUTS
from prpose.skeleton import H36M_17
from tests.detections import detect

HERE = Path(__file__).parent / "data" / "formats"
FRAMES = slice(30, 78, 6)
FPS = 10.0
SHIFT = (-180.0, 0.0)  # pixels, of the second person
NAMES_3DHP = {theirs: ours for ours, theirs in OTHER_NAMES.items()}  # of MPI-INF-3DHP → Human3.6M's


@cache
def clips():
    """Two walkers before the same camera, without detector errors."""
    people = load_clips("walkers", ".", "test", "gt", actions=("walk",))
    return people[0], people[4]


def walker(layout, person=0):
    """(T, J, 2) pixels and (T, J) confidences of one of the two walkers."""
    xy, confidence = detect(clips()[person], layout)
    xy = xy[FRAMES] + (SHIFT if person else (0.0, 0.0))
    return np.round(xy, 2), np.round(confidence[FRAMES], 3)


def image_size():
    camera = clips()[0].camera
    return camera.width, camera.height


def triplets(layout, person=0):
    """x, y, confidence of each joint, a flat list per frame."""
    xy, confidence = walker(layout, person)
    flat = np.concatenate([xy, confidence[..., None]], axis=-1)
    return [[round(float(v), 3) for v in frame.ravel()] for frame in flat]


def write_json(name, content):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n")


def write_csv(name, rows):
    with (HERE / name).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def coco(width, height):
    for layout, name in (("coco17", "coco_results.json"), ("wholebody133", "coco_results_wholebody.json")):
        frames = enumerate(triplets(layout))
        write_json(name, [{"image_id": 100 + t, "category_id": 1, "keypoints": k, "score": 0.9} for t, k in frames])
    xy, confidence = walker("coco17")
    v = np.where(confidence > 0.5, 2.0, 1.0)[..., None]
    v[3, 9] = 1  # a hidden wrist
    v[4, 9] = 0  # and one that is not labelled
    xy[4, 9] = 0
    images, annotations = [], []
    for t, k in enumerate(np.concatenate([xy, v], axis=-1)):
        images.append({"id": 7 * t + 1, "file_name": f"walk_{t:06d}.jpg", "width": width, "height": height})
        labelled = {"keypoints": k.ravel().tolist(), "num_keypoints": int((v[t] > 0).sum())}
        annotations.append({"id": t, "image_id": 7 * t + 1, "category_id": 1, "iscrowd": 0, **labelled})
    categories = [{"id": 1, "name": "person", "keypoints": list(LAYOUTS["coco17"].names)}]
    write_json("coco_annotations.json", {"images": images, "annotations": annotations, "categories": categories})


def openpose():
    for layout, people in (("body25", 2), ("coco18", 1)):
        for t, frame in enumerate(zip(*(triplets(layout, person) for person in range(people)), strict=True)):
            found = [{"person_id": [-1], "pose_keypoints_2d": k, "face_keypoints_2d": []} for k in frame]
            content = {"version": 1.3, "people": found[:: -1 if t % 2 else 1]}
            write_json(f"openpose_{layout}/walk_{t:012d}_keypoints.json", content)
    width, height = image_size()
    canvas = {"canvas_width": width, "canvas_height": height}
    frames = [{"people": [{"pose_keypoints_2d": k, "face_keypoints_2d": None}], **canvas} for k in triplets("coco18")]
    write_json("openpose_frames.json", frames)


def openpifpaf():
    person = {"bbox": [1.0, 1.0, 9.0, 9.0], "score": 0.9, "category_id": 1}
    lines = []
    for t, k in enumerate(triplets("coco17")):
        lines.append({"frame": t + 1, "predictions": [{"keypoints": k, **person, "id_": 1}]})
        write_json(f"openpifpaf_images/walk_{t}.jpg.predictions.json", [{"keypoints": k, **person}])
    (HERE / "openpifpaf.json").write_text("".join(json.dumps(line) + "\n" for line in lines))


def ultralytics():
    """``Results.to_json`` of each frame; also in files of their own."""
    box = {"x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0}
    frames = []
    for t, (k, c) in enumerate(zip(*walker("coco17"), strict=True)):
        points = {"x": k[:, 0].tolist(), "y": k[:, 1].tolist(), "visible": c.tolist()}
        frames.append(
            [{"name": "person", "class": 0, "confidence": 0.9, "box": box, "track_id": 1, "keypoints": points}]
        )
        write_json(f"ultralytics_images/walk_{t}.json", frames[-1])
        joints = np.concatenate([k / image_size(), c[:, None]], axis=1).round(6)
        path = HERE / f"ultralytics_labels/walk_{t + 1}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(" ".join(map(str, [0, 0.5, 0.5, 0.1, 0.1, *joints.ravel().tolist(), 1])) + "\n")
    write_json("ultralytics.json", frames)


def alphapose():
    box = [0.0, 0.0, 10.0, 10.0]
    content = [
        {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": k, "score": 2.8, "box": box, "idx": person + 1}
        for t, frame in enumerate(zip(triplets("halpe26", 0), triplets("halpe26", 1), strict=True))
        for person, k in enumerate(frame)
    ]
    write_json("alphapose_halpe26.json", content)
    frames = [{"version": "AlphaPose v0.3", "bodies": [{"joints": k}]} for k in triplets("coco18")]  # --format cmu
    write_json("alphapose_by_image.json", {f"walk_{t:03d}.jpg": frame for t, frame in enumerate(frames)})


def mmpose():
    names = {str(i): name for i, name in enumerate(LAYOUTS["coco17"].names)}
    meta = {"dataset_name": "coco", "num_keypoints": 17, "keypoint_id2name": names}
    box = {"bbox": [[0.0, 0.0, 10.0, 10.0]], "bbox_score": 0.9}
    frames = []
    for t, (k, c) in enumerate(zip(*walker("coco17"), strict=True)):
        people = [{"keypoints": k.tolist(), "keypoint_scores": c.tolist(), **box}]
        frames.append({"frame_id": t, "instances": people})
        write_json(f"mmpose_images/walk_{t}.json", people)
    write_json("mmpose_inferencer.json", frames)
    write_json("mmpose_frames.json", [[frame["instances"]] for frame in frames])
    counted = [{**frame, "frame_id": frame["frame_id"] + 1} for frame in frames]  # the demos do
    write_json("mmpose_demo.json", {"meta_info": meta, "instance_info": counted})


def mediapipe(size):
    xy, confidence = walker("blazepose33")
    table = np.stack([*np.moveaxis(xy / size, -1, 0), 0 * confidence, confidence], axis=-1)
    names = ("x", "y", "z", "visibility")
    people = [[dict(zip(names, mark, strict=True)) for mark in frame] for frame in table.round(6).tolist()]
    frames = [{"frame": t, "pose_landmarks": [person]} for t, person in enumerate(people)]
    write_json("mediapipe.json", {"image_size": list(size), "fps": FPS, "frames": frames})
    np.save(HERE / "mediapipe.npy", table.astype(np.float32))
    numbered = [f"{part}{j + 1}" for j in range(33) for part in "xyzv"]
    write_csv("mediapipe_wide.csv", [["class", *numbered], *(["walk", *row.ravel()] for row in table.round(6))])
    marks = LAYOUTS["blazepose33"].names
    rows = [[t, j, marks[j].upper(), *table[t, j].round(6)] for t in range(len(table)) for j in range(33)]
    write_csv("mediapipe_long.csv", [["frame", "landmark_id", "landmark_name", *names], *rows])


def videopose3d(width, height):
    xy, confidence = walker("coco17")
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[*range(1, 17, 2)], [*range(2, 17, 2)]],
        "video_metadata": {"walk.mp4": {"w": width, "h": height}},
    }
    positions = {"walk.mp4": {"custom": [xy.astype(np.float32)]}}
    np.savez_compressed(HERE / "videopose3d.npz", positions_2d=positions, metadata=metadata)
    order = [H36M_17.index(NAMES_3DHP.get(name, name)) for name in TEST_JOINTS]
    sequence = {"data_2d": walker("h36m17")[0][:, order], "valid": np.ones(len(xy)), "data_3d": np.zeros((8, 17, 3))}
    np.savez_compressed(HERE / "3dhp.npz", data={"walk": sequence})
    frames = np.empty((len(xy), 2), dtype=object)
    for t, (k, c) in enumerate(zip(xy, confidence, strict=True)):
        frames[t, 0] = []
        frames[t, 1] = np.stack([*k.T, np.zeros(17), c])[None].astype(np.float32)
    metadata = {"w": width, "h": height}
    np.savez_compressed(HERE / "detectron2.npz", boxes=frames, keypoints=frames, metadata=metadata)


SLP = {  # of SLEAP's tables, see sleap-io's docs/formats/slp.md
    "frames": "frame_id <u8, video <u4, frame_idx <u8, instance_id_start <u8, instance_id_end <u8",
    "instances": "instance_id <i8, instance_type u1, frame_id <u8, skeleton <u4, track <i4, from_predicted <i8, "
    "score <f4, point_id_start <u8, point_id_end <u8, tracking_score <f4",
    "points": "x <f8, y <f8, visible ?, complete ?",
    "pred_points": "x <f8, y <f8, visible ?, complete ?, score <f8",
}


def slp(path, layout, size, **more):
    """SLEAP's own file, of one predicted person in a frame; ``more`` replaces its tables and metadata."""
    (xy, scores), names = walker(layout), LAYOUTS[layout].names
    J = len(names)
    nodes = [{"name": name, "weight": 1.0} for name in names]
    backend = {"type": "MediaVideo", "shape": [len(xy), *size[::-1], 3], "fps": FPS}
    content = {
        "frames": [(t, 0, t, t, t + 1) for t in range(len(xy))],
        "instances": [(t, 1, t, 0, 0, -1, 0.9, J * t, J * t + J, 0.0) for t in range(len(xy))],
        "points": [],
        "pred_points": [
            (*point, True, False, score) for point, score in zip(xy.reshape(-1, 2), scores.flat, strict=True)
        ],
        "tracks_json": [[0, "walker"]],
        "videos_json": [{"filename": "walk.mp4", "backend": backend}],
        "json": {
            "version": "2.0.0",
            "skeletons": [{"nodes": [{"id": j} for j in range(J)], "links": []}],
            "nodes": nodes,
        },
        "format_id": 1.2,
    } | more
    with h5py.File(path, "w") as file:
        for name, fields in SLP.items():
            dtype = [tuple(field.split(" ")) for field in fields.split(", ")]
            file[name] = np.array([tuple(row) for row in content[name]], dtype=dtype)
        for name in ("tracks_json", "videos_json"):
            file.create_dataset(name, data=[json.dumps(row) for row in content[name]], dtype=h5py.string_dtype())
        attributes = file.create_group("metadata").attrs
        attributes["json"], attributes["format_id"] = np.bytes_(json.dumps(content["json"])), content["format_id"]
    return path


def arrays(size):
    xy = walker("h36m17")[0].astype(np.float32)
    xy[2, 16] = np.nan
    np.save(HERE / "walk_h36m17.npy", xy)
    save_keypoints(HERE / "walk_h36m17.npz", Keypoints(xy, size, "h36m17", fps=FPS))
    tracks, scores = walker("coco17")
    with h5py.File(HERE / "sleap.h5", "w") as file:
        file["tracks"] = tracks.transpose(2, 1, 0)[None]
        file["point_scores"] = scores.T[None]
        file["node_names"] = [name.encode() for name in LAYOUTS["coco17"].names]
        file["track_names"] = [b"walker"]
    xy, confidence = walker("halpe26")
    np.savez_compressed(HERE / "keypoints.npz", keypoints=np.concatenate([xy, confidence[..., None]], -1)[None])
    slp(HERE / "sleap_labels.slp", "coco17", size)
    with h5py.File(HERE / "deeplabcut.h5", "w") as file:  # as pandas' to_hdf(key="df_with_missing", format="table")
        rows = np.concatenate([tracks, scores[..., None]], axis=-1).reshape(len(tracks), -1)
        fields = [("index", "<i8"), ("values_block_0", "<f8", rows.shape[1:])]
        file["df_with_missing/table"] = np.array([*enumerate(rows)], dtype=fields)
        columns = [("DLC", joint, part) for joint in LAYOUTS["coco17"].names for part in ("x", "y", "likelihood")]
        kind = np.bytes_(pickle.dumps(columns, protocol=0))
        file["df_with_missing/table"].attrs["values_block_0_kind"] = kind
    np.savez(HERE / "reconstruction.npz", reconstruction=walker("h36m17")[0].astype(np.float32)[None])
    columns = [f"{n}_{part}" for n in LAYOUTS["coco17"].names for part in ("x", "y", "score")]
    write_csv("walk_coco17.csv", [["frame", *columns], *([t, *k] for t, k in enumerate(triplets("coco17")))])


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    coco(*image_size())
    openpose()
    alphapose()
    mmpose()
    ultralytics()
    openpifpaf()
    mediapipe(image_size())
    videopose3d(*image_size())
    arrays(image_size())
