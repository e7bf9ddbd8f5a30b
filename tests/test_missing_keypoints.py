"""Every format × every way in which programs write that a keypoint, a person or a frame is missing."""

import csv
import json

import numpy as np
import pytest

from prpose.io.keypoints import read_people
from prpose.layouts import LAYOUTS
from prpose.preprocess import preprocess
from prpose.skeleton import H36M_17
from tests.make_formats import image_size, walker

SIZE = image_size()
JOINT, FRAME, GONE = 9, 3, 5  # the missing joint and its frame; the frame without the person
JOINTS = {  # x, y, score of a missing joint
    "zero": (0.0, 0.0, 0.18),
    "minus one": (-1.0, -1.0, 0.9),
    "score 0": (3.0, 4.0, 0.0),
    "null": (None, None, None),
    "nan": (float("nan"), float("nan"), float("nan")),
}
PEOPLE = "no entry", "empty list", "null keypoints", "null person"  # how the frame without the person is written


def flat(marks):
    return [value for mark in marks for value in mark]


def written(folder, name, frames, gone):
    """A file of the format, of frames of x, y, score per joint; ``gone`` is how a frame that is None is written."""
    path = folder / f"in.{'npz' if name == 'videopose3d' else name if name in ('csv', 'npy', 'npz') else 'json'}"
    with_keypoints = {"no entry": None, "empty list": [], "null keypoints": None, "null person": None}[gone]
    content = []
    for t, marks in enumerate(frames):
        k = with_keypoints if marks is None else flat(marks)
        points = with_keypoints if marks is None else [mark[:2] for mark in marks]
        scores = with_keypoints if marks is None else [mark[2] for mark in marks]
        entry = {
            "coco": {"image_id": t, "keypoints": k},
            "alphapose": {"image_id": f"{t}.jpg", "idx": 1, "keypoints": k},
            "coco-annotations": {
                "image_id": t,
                "keypoints": k and [(v and 2) if i % 3 == 2 else v for i, v in enumerate(k)],
            },
            "mmpose": {"keypoints": points, "keypoint_scores": scores},
            "openpose": {"pose_keypoints_2d": k},
            "mediapipe": scores and [landmark(mark) for mark in marks],
        }[name]
        if marks is None and gone == "null person":
            entry = None
        people = [] if marks is None and gone == "no entry" else [entry]
        if name == "mmpose":
            people = [{"frame_id": t, "instances": people}]
        elif name == "mediapipe":
            people = [{"frame": t, "pose_landmarks": people if gone != "null keypoints" or marks else None}]
        elif name == "openpose":
            (folder / f"v_{t:03d}_keypoints.json").write_text(json.dumps({"people": people}))
        content += people
    if name == "openpose":
        return folder
    if name == "coco-annotations":
        images = [{"id": t, "file_name": f"{t}.jpg"} for t in range(len(frames))]
        content = {"images": images, "annotations": content}
    path.write_text(json.dumps(content))
    return path


def landmark(mark):
    x, y, score = mark
    scaled = (x, y) if x in (None, 0.0, -1.0) else (x / SIZE[0], y / SIZE[1])
    return {"x": scaled[0], "y": scaled[1], "visibility": score}


def frames_of(layout):
    xy, score = walker(layout)
    return [
        [(*point, value) for point, value in zip(*pair, strict=True)]
        for pair in zip(xy.tolist(), score.tolist(), strict=True)
    ]


@pytest.mark.parametrize("gone", PEOPLE)
@pytest.mark.parametrize("way", JOINTS)
@pytest.mark.parametrize("name", ["coco", "alphapose", "coco-annotations", "mmpose", "openpose", "mediapipe"])
def test_missing_joints_and_people_are_missing_in_json(name, way, gone, tmp_path):
    layout = {"mediapipe": "blazepose33", "openpose": "coco18"}.get(name, "coco17")
    frames = frames_of(layout)
    frames[FRAME][JOINT] = JOINTS[way]
    if name == "coco-annotations" and way == "score 0":
        frames[FRAME][JOINT] = (3.0, 4.0, 0)
    frames[GONE] = None
    (person,) = read_people(written(tmp_path, name, frames, gone), layout=layout, image_size=SIZE)
    check(person, layout)


@pytest.mark.parametrize("way", ["", "nan", "NaN", "null", "None", "NA", "0", "-1"])
def test_missing_joints_are_missing_in_csv(way, tmp_path):
    frames = frames_of("coco17")
    frames[FRAME][JOINT] = (way, way, 0.18)
    names = [f"{name}_{part}" for name in LAYOUTS["coco17"].names for part in ("x", "y", "score")]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        rows = [[t, *flat(marks)] for t, marks in enumerate(frames) if t != GONE]
        csv.writer(file).writerows([["frame", *names], *rows])
    (person,) = read_people(tmp_path / "in.csv", image_size=SIZE)
    check(person, "coco17")


@pytest.mark.parametrize("way", ["", "nan", "None", "0", "no row"])
def test_missing_joints_are_missing_in_tables_with_a_row_per_joint(way, tmp_path):
    rows = [
        [t, name, *marks[j]]
        for t, marks in enumerate(frames_of("halpe26"))
        for j, name in enumerate(LAYOUTS["halpe26"].names)
        if t != GONE
    ]
    place = FRAME * 26 + JOINT
    rows[place : place + 1] = [] if way == "no row" else [[*rows[place][:2], way, way, 0.18]]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["frame", "keypoint", "x", "y", "score"], *rows])
    (person,) = read_people(tmp_path / "in.csv", image_size=SIZE)
    check(person, "halpe26")


@pytest.mark.parametrize("way", ["zero", "minus one", "nan"])
@pytest.mark.parametrize("name", ["npy", "videopose3d", "keypoints", "reconstruction"])
def test_missing_joints_and_frames_are_missing_in_arrays(name, way, tmp_path):
    path, xy = tmp_path / f"in.{'npy' if name == 'npy' else 'npz'}", walker("coco17")[0]
    xy[FRAME, JOINT] = xy[GONE] = JOINTS[way][:2]
    if name == "npy":
        np.save(path, xy)
    elif name != "videopose3d":
        np.savez(path, **{name: xy})
    else:
        metadata = {"layout_name": "coco", "num_joints": 17}
        np.savez(path, positions_2d={"v": {"custom": [xy]}}, metadata=metadata)
    (person,) = read_people(path, layout="coco17", image_size=SIZE)
    check(person, "coco17")


@pytest.mark.parametrize("way", ["zero", "minus one", "nan"])
def test_missing_joints_are_interpolated_in_our_own_file(way, tmp_path):
    xy = walker("coco17")[0]
    xy[FRAME, JOINT] = JOINTS[way][:2]
    np.savez(tmp_path / "in.npz", keypoints_px=xy, layout="coco17", image_size=SIZE)
    (person,) = read_people(tmp_path / "in.npz")
    filled = preprocess(person)
    assert filled.interpolated[FRAME, H36M_17.index("left_wrist")]
    assert filled.interpolated.sum() == 1


def check(person, layout):
    """All frames but one, with one missing joint, and nothing else of the walker changed."""
    kept = [t for t in range(8) if t != GONE]
    np.testing.assert_array_equal(person.frame_numbers, kept)
    expected = walker(layout)[0][kept]
    expected[FRAME, JOINT] = np.nan
    np.testing.assert_allclose(person.xy, expected, atol=1e-3)
    if person.confidence is not None:
        assert person.confidence[FRAME, JOINT] == 0
