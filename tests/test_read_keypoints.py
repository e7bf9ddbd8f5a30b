"""Every format of tests/data/formats holds the same walker (tests/make_formats.py)."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest

from prpose.io.keypoints import FORMATS, pick, read_people, recognise
from prpose.io.keypoints.detections import frame_numbers
from prpose.io.keypoints.people import oks
from prpose.layouts import LAYOUTS
from prpose.preprocess import prepare
from prpose.skeleton import H36M_17
from tests.make_formats import FPS, HERE, found, size

SIZE = size()
NEEDS = {  # what each file does not say itself
    "alphapose_halpe26.json": {"image_size": SIZE},
    "coco_annotations.json": {},
    "coco_results.json": {"image_size": SIZE},
    "coco_results_wholebody.json": {"image_size": SIZE},
    "detectron2.npz": {},
    "mediapipe.json": {},
    "mediapipe.npy": {"image_size": SIZE, "format": "mediapipe"},
    "mmpose_demo.json": {"image_size": SIZE},
    "mmpose_images": {"image_size": SIZE, "layout": "coco17"},
    "mmpose_inferencer.json": {"image_size": SIZE, "layout": "coco17"},
    "openpose_body25": {"image_size": SIZE},
    "openpose_coco18": {"image_size": SIZE},
    "videopose3d.npz": {},
    "walk_coco17.csv": {"image_size": SIZE},
    "walk_h36m17.npy": {"image_size": SIZE, "layout": "h36m17"},
    "walk_h36m17.npz": {},
}
KINDS = {
    "coco_results.json": "coco",
    "coco_results_wholebody.json": "coco",
    "coco_annotations.json": "coco-annotations",
    "walk_coco17.csv": "csv",
    "walk_h36m17.npy": "npy",
    "walk_h36m17.npz": "npz",
}
PEOPLE = {"alphapose_halpe26.json": ["1", "2"], "openpose_body25": ["0", "1"]}


def read(name, **more):
    return read_people(HERE / name, **(NEEDS[name] | more))


def test_every_file_is_tested():
    assert {path.name for path in HERE.iterdir()} == set(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_formats_are_recognised(name):
    expected = KINDS.get(name, name.split("_")[0].split(".")[0])
    if name == "mediapipe.npy":  # an array like any other
        expected = "npy"
    assert recognise(HERE / name)[0] == expected
    again = read(name, format=NEEDS[name].get("format", expected))
    assert [track.person for track in again] == PEOPLE.get(name, [again[0].person])


@pytest.mark.parametrize("name", NEEDS)
def test_all_formats_hold_the_same_walker(name):
    tracks = read(name)
    truth = found("h36m17")[0]
    for number, track in enumerate(tracks):
        own, score = found(track.layout, number)
        shown = track.seen
        assert shown.sum() >= own.shape[0] * own.shape[1] - 1
        assert np.abs(track.keypoints_px - own)[shown].max() < 0.02
        assert (track.width, track.height) == SIZE
        if track.score is not None and "annotations" not in name:
            assert np.allclose(track.score, score, atol=1e-3)
        assert (np.diff(track.frame_numbers) == 1).all()
    body = prepare(tracks[0])
    away = np.linalg.norm(body.keypoints_px - truth, axis=-1)
    limbs = [j for j, n in enumerate(H36M_17.names) if n.startswith(("left_", "right_"))]
    exact = ~body.interpolated[:, limbs]
    assert exact.mean() > 0.98
    assert away[:, limbs][exact].max() < 0.02
    assert away.mean() < 5


def test_what_files_say_beyond_coordinates_is_kept():
    assert read("mediapipe.json")[0].fps == FPS
    assert read("walk_h36m17.npz")[0].fps == FPS
    assert read("coco_results.json", fps=25.0)[0].fps == 25
    assert read("coco_results.json")[0].fps is None
    assert read("coco_results.json")[0].frame_numbers.tolist() == list(range(100, 108))
    assert read("mmpose_demo.json")[0].frame_numbers[0] == 1
    assert read("coco_annotations.json")[0].frame_names[2] == "walk_000002.jpg"
    assert read("openpose_coco18")[0].frame_names[7] == "walk_000000000007_keypoints.json"
    assert read("alphapose_halpe26.json")[0].frame_names[3] == "3.jpg"
    assert read("videopose3d.npz")[0].person == "walk.mp4/custom/0"
    assert read("coco_annotations.json")[0].score[3:5, 9].tolist() == [0.5, 0]
    assert not read("coco_annotations.json")[0].seen[4, 9]
    assert not read("walk_h36m17.npy")[0].seen[2, 16]


def test_people_are_told_apart_though_their_order_changes():
    tracks = read("openpose_body25")
    files = sorted((HERE / "openpose_body25").iterdir())
    firsts = [json.loads(f.read_text())["people"][0]["pose_keypoints_2d"][0] for f in files]
    assert min(abs(a - b) for a, b in pairwise(firsts)) > 100
    for number, track in enumerate(tracks):
        assert np.abs(track.keypoints_px - found("body25", number)[0]).max() < 0.02


def test_somebody_who_comes_back_soon_is_the_same(tmp_path):
    folder = tmp_path / "walk"
    shutil.copytree(HERE / "openpose_body25", folder)
    for t in (3, 4):
        path = folder / f"walk_{t:012d}_keypoints.json"
        content = json.loads(path.read_text())
        content["people"] = content["people"][t % 2 :][:1]  # the first walker alone
        path.write_text(json.dumps(content))
    tracks = read_people(folder, image_size=SIZE)
    assert [(track.person, len(track)) for track in tracks] == [("0", 8), ("1", 6)]
    assert tracks[1].frame_numbers.tolist() == [0, 1, 2, 5, 6, 7]


def test_one_person_is_picked_and_several_are_listed():
    tracks = read("alphapose_halpe26.json")
    assert pick(tracks, "2").person == "2"
    assert pick(tracks[:1]).person == "1"
    listed = r"there are 2: 1 \(8 frames, 0 to 7, mean score 0\.\d\d\); 2 \(8 frames"
    with pytest.raises(ValueError, match=f"expected one person, or --person; {listed}"):
        pick(tracks)
    with pytest.raises(ValueError, match=f"expected one of the people, got '3'; {listed}"):
        pick(tracks, "3")


def test_similarity_is_cocos():
    pose = found("coco17")[0][0]
    sigma = np.full(17, 0.07)
    moved = pose + np.array([3.0, 4.0])
    extent = np.ptp(pose, axis=0)
    assert extent.min() > 0.25 * extent.max()
    area = 0.53 * 1.25**2 * extent.prod()
    assert oks(pose, moved, sigma) == pytest.approx(np.exp(-25 / (2 * area * 0.14**2)))
    pose[5:] = np.nan
    moved[:5] = np.nan
    assert oks(pose, moved, sigma) == 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10.jpg", "9.jpg"], {"9.jpg": 9, "10.jpg": 10}),
        (["a.jpg"], {"a.jpg": 0}),
        (["b2_x1.png", "b10_x1.png"], {"b2_x1.png": 0, "b10_x1.png": 1}),
        (["v_007_keypoints.json", "v_011_keypoints.json"], None),
    ],
)
def test_frames_are_numbered_as_the_files(names, expected):
    expected = expected or {"v_007_keypoints.json": 7, "v_011_keypoints.json": 11}
    assert frame_numbers(names) == expected


def test_the_users_word_counts_more_than_a_convention_and_less_than_the_files():
    track = read("coco_results.json", layout="h36m17")[0]
    assert track.layout == "h36m17"
    for name in ("openpose_coco18", "mmpose_demo.json", "videopose3d.npz", "mediapipe.json"):
        with pytest.raises(ValueError, match=rf"{name}: expected --layout as in the file"):
            read(name, layout="h36m17")
    for name in ("coco_annotations.json", "detectron2.npz", "mediapipe.json"):
        with pytest.raises(ValueError, match="expected --image-size as in the file"):
            read(name, image_size=(640, 480))
    with pytest.raises(ValueError, match=r"expected --fps as in the file, 10\.0, got 25"):
        read("mediapipe.json", fps=25.0)


def test_a_wrong_declaration_is_doubted():
    body = prepare(read("coco_results.json", layout="h36m17")[0])
    assert "h36m17 does not look like a body" in body.messages[0]
    assert "coco17 would fit" in body.messages[0]
    assert prepare(read("walk_h36m17.npz")[0]).messages == ("filled in by straight lines: right_wrist in 1 frames",)


def test_names_of_joints_that_are_no_layouts_are_not_guessed(tmp_path):
    """MMPose's h36m has left and right exchanged in its names."""
    content = json.loads((HERE / "mmpose_demo.json").read_text())
    names = content["meta_info"]["keypoint_id2name"]
    names["1"], names["2"] = names["2"], names["1"]
    (tmp_path / "swapped.json").write_text(json.dumps(content))
    message = "its joints are nose, right_eye, left_eye, left_ear ...; expected the file to say its"
    with pytest.raises(ValueError, match=message):
        read_people(tmp_path / "swapped.json", image_size=SIZE)
    assert len(read_people(tmp_path / "swapped.json", None, "coco17", SIZE)[0]) == 8


def test_formats_and_layouts_are_those_of_the_help_text():
    from prpose.cli.source import Source

    words = set(Source.__doc__.replace(",", " ").replace(".", " ").replace(":", " ").split())
    assert set(FORMATS) | set(LAYOUTS) <= words


def test_without_scipy_several_people_are_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(ValueError, match=r"needs SciPy: pip install \"prpose\[people\]\""):
        read("openpose_body25")
    assert len(read("openpose_coco18")) == 1
