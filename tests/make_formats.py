"""Writes tests/data/formats: one walker (or two) as each format has it.

    python -m tests.make_formats

Eight frames, ten a second; the second person is another walker further left, in another order in
every other frame. The files are small and in version control, so that the tests do not test this.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np

from prpose.atomic import replacing
from prpose.data import load_clips
from prpose.keypoints import Keypoints, save_keypoints
from prpose.layouts import LAYOUTS
from tests.detections import detect

HERE = Path(__file__).parent / "data" / "formats"
FRAMES = slice(30, 78, 6)
FPS = 10.0
SHIFT = (-180.0, 0.0)
"""Pixels, of the second person."""


def clips():
    """Two walkers before the same camera, without detector errors."""
    people = load_clips("walkers", ".", "test", "gt", actions=("walk",))
    return people[0], people[4]


def walker(layout, person=0):
    """(T, J, 2) pixels and (T, J) confidences of one of the two walkers."""
    keypoints, score = detect(clips()[person], layout)
    keypoints = keypoints[FRAMES] + (SHIFT if person else (0.0, 0.0))
    return np.round(keypoints, 2), np.round(score[FRAMES], 3)


def image_size():
    camera = clips()[0].camera
    return camera.width, camera.height


def triplets(layout, person=0):
    keypoints, score = walker(layout, person)
    flat = np.concatenate([keypoints, score[..., None]], axis=-1)
    return [[round(float(v), 3) for v in frame.ravel()] for frame in flat]


def write_json(name, content):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) + "\n")


def coco_results(layout, name):
    frames = triplets(layout)
    write_json(
        name,
        [{"image_id": 100 + t, "category_id": 1, "keypoints": k, "score": 0.9} for t, k in enumerate(frames)],
    )


def coco_annotations():
    width, height = image_size()
    keypoints, score = walker("coco17")
    v = np.where(score > 0.5, 2.0, 1.0)[..., None]
    v[3, 9] = 1  # a hidden wrist
    v[4, 9] = 0  # and one that is not labelled
    keypoints[4, 9] = 0
    flat = np.concatenate([keypoints, v], axis=-1).reshape(len(keypoints), -1)
    sides = {"width": width, "height": height}
    write_json(
        "coco_annotations.json",
        {
            "images": [{"id": 7 * t + 1, "file_name": f"walk_{t:06d}.jpg", **sides} for t in range(len(flat))],
            "annotations": [
                {
                    "id": t,
                    "image_id": 7 * t + 1,
                    "category_id": 1,
                    "iscrowd": 0,
                    "keypoints": row.tolist(),
                    "num_keypoints": int((v[t] > 0).sum()),
                }
                for t, row in enumerate(flat)
            ],
            "categories": [{"id": 1, "name": "person", "keypoints": list(LAYOUTS["coco17"].names)}],
        },
    )


def openpose(layout, folder, people):
    tracks = [triplets(layout, person) for person in range(people)]
    for t in range(len(tracks[0])):
        frame = [{"person_id": [-1], "pose_keypoints_2d": track[t], "face_keypoints_2d": []} for track in tracks]
        content = {"version": 1.3, "people": frame[:: -1 if t % 2 else 1]}
        write_json(f"{folder}/walk_{t:012d}_keypoints.json", content)


def alphapose():
    tracks = [triplets("halpe26", person) for person in (0, 1)]
    write_json(
        "alphapose_halpe26.json",
        [
            {
                "image_id": f"{t}.jpg",
                "category_id": 1,
                "keypoints": track[t],
                "score": 2.8,
                "box": [0.0, 0.0, 10.0, 10.0],
                "idx": person + 1,
            }
            for t in range(len(tracks[0]))
            for person, track in enumerate(tracks)
        ],
    )


def mmpose():
    keypoints, score = walker("coco17")
    names = LAYOUTS["coco17"].names
    meta = {
        "dataset_name": "coco",
        "num_keypoints": 17,
        "keypoint_id2name": {str(i): name for i, name in enumerate(names)},
    }
    instances = [
        [
            {
                "keypoints": k.tolist(),
                "keypoint_scores": s.tolist(),
                "bbox": [[0.0, 0.0, 10.0, 10.0]],
                "bbox_score": 0.9,
            }
        ]
        for k, s in zip(keypoints, score, strict=True)
    ]
    frames = [{"frame_id": t, "instances": people} for t, people in enumerate(instances)]
    counted = [{**frame, "frame_id": frame["frame_id"] + 1} for frame in frames]  # the demos do
    write_json("mmpose_demo.json", {"meta_info": meta, "instance_info": counted})
    write_json("mmpose_inferencer.json", frames)
    for t, people in enumerate(instances):
        write_json(f"mmpose_images/walk_{t}.json", people)


def mediapipe():
    width, height = image_size()
    keypoints, score = walker("blazepose33")
    write_json(
        "mediapipe.json",
        {
            "image_size": [width, height],
            "fps": FPS,
            "frames": [
                {
                    "frame": t,
                    "pose_landmarks": [
                        [
                            {
                                "x": round(x / width, 6),
                                "y": round(y / height, 6),
                                "z": 0.0,
                                "visibility": s,
                            }
                            for (x, y), s in zip(k.tolist(), v.tolist(), strict=True)
                        ]
                    ],
                }
                for t, (k, v) in enumerate(zip(keypoints, score, strict=True))
            ],
        },
    )
    shares = np.concatenate([keypoints / (width, height), np.zeros((*score.shape, 1)), score[..., None]], axis=-1)
    with replacing(HERE / "mediapipe.npy") as path:
        np.save(path, shares.astype(np.float32))


def videopose3d():
    width, height = image_size()
    keypoints, score = walker("coco17")
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[*range(1, 17, 2)], [*range(2, 17, 2)]],
        "video_metadata": {"walk.mp4": {"w": width, "h": height}},
    }
    positions = {"walk.mp4": {"custom": [keypoints.astype(np.float32)]}}
    with replacing(HERE / "videopose3d.npz") as path:
        np.savez_compressed(path, positions_2d=positions, metadata=metadata)
    frames = np.empty((len(keypoints), 2), dtype=object)
    for t, (k, s) in enumerate(zip(keypoints, score, strict=True)):
        frames[t, 0] = []
        frames[t, 1] = np.stack([*k.T, np.zeros(17), s])[None].astype(np.float32)
    with replacing(HERE / "detectron2.npz") as path:
        np.savez_compressed(path, boxes=frames, keypoints=frames, metadata={"w": width, "h": height})


def arrays():
    keypoints, score = walker("h36m17")
    keypoints[2, 16] = np.nan
    with replacing(HERE / "walk_h36m17.npy") as path:
        np.save(path, keypoints.astype(np.float32))
    (HERE / "walk_h36m17.npz").unlink(missing_ok=True)
    save_keypoints(HERE / "walk_h36m17.npz", Keypoints(keypoints.astype(np.float32), image_size(), "h36m17", fps=FPS))
    keypoints, score = walker("coco17")
    names = LAYOUTS["coco17"].names
    with (HERE / "walk_coco17.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["frame", *(f"{n}_{part}" for n in names for part in ("x", "y", "score"))])
        for t, (k, s) in enumerate(zip(keypoints, score, strict=True)):
            writer.writerow([t, *np.concatenate([k, s[:, None]], axis=-1).ravel().tolist()])


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir(parents=True)
    coco_results("coco17", "coco_results.json")
    coco_results("wholebody133", "coco_results_wholebody.json")
    coco_annotations()
    openpose("body25", "openpose_body25", people=2)
    openpose("coco18", "openpose_coco18", people=1)
    alphapose()
    mmpose()
    mediapipe()
    videopose3d()
    arrays()


if __name__ == "__main__":
    main()
