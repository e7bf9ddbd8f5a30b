"""Every format of tests/data/formats holds the same walker (tests/make_formats.py)."""

import json
import re
import shutil
from itertools import pairwise
from unittest.mock import Mock

import h5py
import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.io.keypoints import (
    ENTRY_POINTS,
    FORMATS,
    Format,
    coco,
    inputs_in,
    is_one_clip,
    known_formats,
    read_keypoints,
    read_people,
    recognise,
    select_person,
)
from prpose.io.keypoints.detections import frame_numbers
from prpose.layouts import LAYOUTS, oks
from prpose.preprocess import preprocess
from prpose.skeleton import H36M_17
from tests.make_formats import FPS, HERE, image_size, walker

SIZE = image_size()
NEEDS = {  # what each file does not give
    "3dhp.npz": {"image_size": SIZE},
    "alphapose_by_image.json": {"image_size": SIZE},
    "alphapose_halpe26.json": {"image_size": SIZE},
    "coco_annotations.json": {},
    "coco_results.json": {"image_size": SIZE},
    "coco_results_wholebody.json": {"image_size": SIZE},
    "deeplabcut.h5": {"image_size": SIZE},
    "detectron2.npz": {},
    "keypoints.npz": {"image_size": SIZE},
    "mediapipe.json": {},
    "mediapipe.npy": {"image_size": SIZE, "format": "mediapipe"},
    "mediapipe_long.csv": {"image_size": SIZE},
    "mediapipe_wide.csv": {"image_size": SIZE},
    "mmpose_demo.json": {"image_size": SIZE},
    "mmpose_images": {"image_size": SIZE, "layout": "coco17"},
    "mmpose_frames.json": {"image_size": SIZE, "layout": "coco17"},
    "mmpose_inferencer.json": {"image_size": SIZE, "layout": "coco17"},
    "openpifpaf.json": {"image_size": SIZE},
    "openpifpaf_images": {"image_size": SIZE},
    "openpose_body25": {"image_size": SIZE},
    "openpose_coco18": {"image_size": SIZE},
    "openpose_frames.json": {},
    "reconstruction.npz": {"image_size": SIZE},
    "sleap.h5": {"image_size": SIZE},
    "sleap_labels.slp": {},
    "ultralytics.json": {"image_size": SIZE},
    "ultralytics_images": {"image_size": SIZE},
    "ultralytics_labels": {"image_size": SIZE},
    "videopose3d.npz": {},
    "walk_coco17.csv": {"image_size": SIZE},
    "walk_h36m17.npy": {"image_size": SIZE, "layout": "h36m17"},
    "walk_h36m17.npz": {},
}
NAMES = {  # formats by file, where they are not its first word
    "coco_annotations.json": "coco-annotations",
    "mmpose_images": "mmpose-images",
    "mmpose_frames.json": "mmpose-frames",
    "openpifpaf_images": "openpifpaf-images",
    "openpose_frames.json": "openpose-frames",
    "alphapose_by_image.json": "alphapose-by-image",
    "sleap_labels.slp": "sleap-labels",
    "ultralytics_images": "ultralytics-images",
    "ultralytics_labels": "ultralytics-labels",
    "mediapipe.npy": "npy",  # an array like any other
    **dict.fromkeys(("mediapipe_long.csv", "mediapipe_wide.csv"), "csv"),
    **{f"walk_{name}": name[-3:] for name in ("coco17.csv", "h36m17.npy", "h36m17.npz")},
}
PEOPLE = {"alphapose_halpe26.json": ["1", "2"], "openpose_body25": ["0", "1"]}


def read(name, **more):
    return read_people(HERE / name, **(NEEDS[name] | more))


def test_every_example_is_tested_and_every_format_has_one():
    assert {path.name for path in HERE.iterdir()} == set(NEEDS)
    assert {recognise(HERE / name)[0] for name in NEEDS} == set(FORMATS)


@pytest.mark.parametrize("name", NEEDS)
def test_formats_are_recognised_and_hold_the_same_walker(name):
    expected = NAMES.get(name, name.split("_")[0].split(".")[0])
    assert recognise(HERE / name)[0] == expected
    people = read(name, format=NEEDS[name].get("format", expected))
    assert [keypoints.person for keypoints in people] == PEOPLE.get(name, [people[0].person])
    for number, keypoints in enumerate(people):
        xy, confidence = walker(keypoints.layout, number)
        present = keypoints.present
        assert present.sum() >= present.size - 1
        assert np.abs(keypoints.xy - xy)[present].max() < 0.02
        assert keypoints.image_size == SIZE
        if keypoints.confidence is not None and "annotations" not in name:
            assert np.allclose(keypoints.confidence, confidence, atol=1e-3)
        assert (np.diff(keypoints.frame_numbers) == 1).all()
    body = preprocess(people[0])
    away = np.linalg.norm(body.xy - walker("h36m17")[0], axis=-1)
    limbs = ~body.interpolated & [name.startswith(("left_", "right_")) for name in H36M_17.names]
    assert limbs.sum() > 0.98 * 8 * 12
    assert away[limbs].max() < 0.02
    assert away.mean() < 5


def test_rates_numbers_and_names_are_read():
    assert read("mediapipe.json")[0].fps == FPS
    assert read("walk_h36m17.npz")[0].fps == FPS
    assert read("coco_results.json", fps=25.0)[0].fps == 25
    assert read("coco_results.json")[0].fps is None
    assert read("coco_results.json")[0].frame_numbers.tolist() == list(range(100, 108))
    assert read("mmpose_demo.json")[0].frame_numbers[0] == 1
    annotations = read("coco_annotations.json")[0]
    assert annotations.frame_names[2] == "walk_000002.jpg"
    assert annotations.confidence[3:5, 9].tolist() == [0.5, 0]
    assert not annotations.present[4, 9]
    assert read("openpose_coco18")[0].frame_names[7] == "walk_000000000007_keypoints.json"
    assert read("alphapose_halpe26.json")[0].frame_names[3] == "3.jpg"
    assert read("videopose3d.npz")[0].person == "walk.mp4/custom/0"
    assert not read("walk_h36m17.npy")[0].present[2, 16]


@pytest.mark.parametrize("missing", ["null", "NaN", "0"])
def test_missing_keypoints_byte_order_mark_and_whole_floats_are_read(missing, tmp_path):
    content = json.loads((HERE / "coco_results.json").read_text())
    for item in content:
        item["image_id"] = float(item["image_id"])
        item["keypoints"][27:30] = [0, 0, "?"] if missing == "0" else ["?", "?", 0.9]
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(content).replace('"?"', missing).encode())
    keypoints = read_keypoints(tmp_path / "a.json", image_size=SIZE)
    assert np.argwhere(~keypoints.present[0]).tolist() == [[9]]
    assert keypoints.confidence[0, 9] == 0
    assert keypoints.frame_numbers[0] == 100


def test_people_change_their_order_in_the_file_but_not_their_ids():
    files = sorted((HERE / "openpose_body25").iterdir())
    first = [json.loads(f.read_text())["people"][0]["pose_keypoints_2d"][0] for f in files]
    assert min(abs(a - b) for a, b in pairwise(first)) > 100
    for number, keypoints in enumerate(read("openpose_body25")):
        assert np.abs(keypoints.xy - walker("body25", number)[0]).max() < 0.02


def test_a_person_who_returns_soon_has_the_same_id(tmp_path):
    folder = tmp_path / "walk"
    shutil.copytree(HERE / "openpose_body25", folder)
    for t in (3, 4):
        path = folder / f"walk_{t:012d}_keypoints.json"
        content = json.loads(path.read_text())
        content["people"] = content["people"][t % 2 :][:1]  # the first walker alone
        path.write_text(json.dumps(content))
    people = read_people(folder, image_size=SIZE)
    assert [(keypoints.person, len(keypoints)) for keypoints in people] == [("0", 8), ("1", 6)]
    assert people[1].frame_numbers.tolist() == [0, 1, 2, 5, 6, 7]


def test_one_person_is_selected_and_several_are_listed():
    people = read("alphapose_halpe26.json")
    assert select_person(people, "2").person == "2"
    assert select_person(people[:1]).person == "1"
    listed = r"there are 2: 1 \(8 frames, 0 to 7, mean confidence 0\.\d\d\); 2 \(8 frames"
    with pytest.raises(ValueError, match=rf"halpe26\.json: expected one person, or --person; {listed}"):
        read_keypoints(HERE / "alphapose_halpe26.json", image_size=SIZE)
    with pytest.raises(ValueError, match=f"expected the id of a person, got '3'; {listed}"):
        read_keypoints(HERE / "alphapose_halpe26.json", image_size=SIZE, person="3")


def test_similarity_is_cocos():
    pose, sigma = walker("coco17")[0][0], np.full(17, 0.07)
    moved = pose + np.array([3.0, 4.0])
    area = 0.53 * 1.25**2 * np.ptp(pose, axis=0).prod()
    assert oks(pose[None], moved[None], sigma) == pytest.approx(np.exp(-25 / (2 * area * 0.14**2)))
    pose[5:] = np.nan
    moved[:5] = np.nan
    assert oks(pose[None], moved[None], sigma) == 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10.jpg", "9.jpg"], {"9.jpg": 9, "10.jpg": 10}),
        (["a.jpg"], {"a.jpg": 0}),
        (["b2_x1.png", "b10_x1.png"], {"b2_x1.png": 2, "b10_x1.png": 10}),
        (["00100_720p_keypoints.json", "00101_720p_keypoints.json"], [100, 101]),
        (["000012_rendered_1.png", "000013_rendered_1.png"], [12, 13]),
        (["cam1.440", "cam1.442"], [440, 442]),
        (["f_1_t0033.png", "f_2_t0067.png"], [1, 2]),
        (["a1.png", "b7.png"], [1, 7]),
        (["v_007_keypoints.json", "v_011_keypoints.json"], {"v_007_keypoints.json": 7, "v_011_keypoints.json": 11}),
    ],
)
def test_frames_are_numbered_by_file_names(names, expected):
    expected = expected if isinstance(expected, dict) else dict(zip(names, expected, strict=True))
    assert frame_numbers(names) == (expected, ())


def test_frames_are_counted_with_a_warning_where_names_do_not_tell_their_numbers():
    numbers, (warning,) = frame_numbers(["b.png", "a10.png", "a9.png"])
    assert numbers == {"a9.png": 0, "a10.png": 1, "b.png": 2}
    assert "counted in the order of their names, from a9.png to b.png" in warning


@pytest.mark.parametrize(
    "names",
    [
        [f"{video}_{i:03d}_keypoints.json" for video in ("front", "side") for i in range(3)],
        [f"cam{video}_{i:03d}.png" for video in (1, 2) for i in range(3)],
        [f"{i:03d}_cam{video}.png" for video in (1, 2) for i in range(3)],
    ],
)
def test_the_frames_of_several_videos_are_an_error_that_lists_them(names):
    with pytest.raises(ValueError, match="frames of one video, got those of 2") as caught:
        frame_numbers(names)
    assert names[0] in str(caught.value)
    assert names[3] in str(caught.value)


def test_arguments_override_defaults_of_formats_but_not_declarations():
    assert read("coco_results.json", layout="h36m17")[0].layout == "h36m17"
    with pytest.raises(ValueError, match="expected the 25 joints of body25, got 18"):
        read("openpose_coco18", layout="body25")
    for name in ("mmpose_demo.json", "videopose3d.npz", "mediapipe.json"):
        with pytest.raises(ValueError, match=rf"{name}: expected --layout as in the file"):
            read(name, layout="h36m17")
    for name in ("coco_annotations.json", "detectron2.npz", "mediapipe.json"):
        with pytest.raises(ValueError, match="expected --image-size as in the file"):
            read(name, image_size=(640, 480))
    (person,) = read("mediapipe.json", fps=25.0)
    assert person.fps == 25
    assert person.warnings == ("the file has 10 frames per second; 25 are used as given",)
    assert read("mediapipe.json", fps=10.01)[0].warnings == ()


def test_the_body_of_alphaposes_136_joints_is_read(tmp_path):
    content = json.loads((HERE / "alphapose_halpe26.json").read_text())
    for item in content:
        item["keypoints"] += [1.0, 2.0, 0.5] * 110
    (tmp_path / "a.json").write_text(json.dumps(content))
    for number, keypoints in enumerate(read_people(tmp_path / "a.json", image_size=SIZE)):
        assert keypoints.layout == "halpe26"
        assert np.abs(keypoints.xy - walker("halpe26", number)[0]).max() < 0.02


def test_freemocaps_array_has_a_person_per_camera(tmp_path):
    xy = walker("blazepose33")[0]
    array = np.full((2, 8, 543, 2), np.nan)
    array[0, :, :33], array[1, :, :33] = xy, xy + 10
    np.save(tmp_path / "mediapipe_2d_data.npy", array)
    people = read_people(tmp_path / "mediapipe_2d_data.npy", image_size=SIZE)
    assert [(person.person, person.layout) for person in people] == [
        ("camera0", "blazepose33"),
        ("camera1", "blazepose33"),
    ]
    assert np.abs(people[1].xy - xy - 10).max() < 0.02


@pytest.mark.parametrize("content", [{"df_with_missing": 1}, {"tracks": np.zeros((1, 2, 3, 4)), "node_names": [b"a"]}])
def test_other_hdf5_is_refused_with_a_way_on(content, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in content.items():
            file[name] = value
    message = (
        "another table of pandas; save it as CSV"
        if "df_with_missing" in content
        else r"expected tracks of shape \(people, 2, 1, T"
    )
    with pytest.raises(ValueError, match=message):
        read_people(tmp_path / "a.h5", image_size=SIZE)


def test_unknown_joint_names_are_no_layout(tmp_path):
    """MMPose's h36m has left and right exchanged in its names."""
    content = json.loads((HERE / "mmpose_demo.json").read_text())
    names = content["meta_info"]["keypoint_id2name"]
    names["1"], names["2"] = names["2"], names["1"]
    (tmp_path / "exchanged.json").write_text(json.dumps(content))
    message = "the file with the joints nose, right_eye, left_eye, left_ear ... does not give its layout"
    with pytest.raises(ValueError, match=message):
        read_people(tmp_path / "exchanged.json", image_size=SIZE)
    assert len(read_keypoints(tmp_path / "exchanged.json", layout="coco17", image_size=SIZE)) == 8


def test_folders_of_one_clip_are_told_from_folders_of_files(tmp_path):
    assert all(is_one_clip(HERE / name) for name in ("openpose_body25", "openpose_coco18", "mmpose_images"))
    assert not is_one_clip(HERE)
    inputs, others = inputs_in(HERE)
    assert [path.name for path in inputs] == sorted(NEEDS)
    assert others == []
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="expected images, video or keypoint files in it"):
        inputs_in(tmp_path)


def test_layouts_of_the_documentation_are_complete():
    page = (HERE.parents[2] / "docs" / "formats.md").read_text()
    for name in (*FORMATS, *LAYOUTS):
        assert f"`{name}`" in page


def test_an_installed_package_adds_a_format(tmp_path, monkeypatch):
    point = Mock(value="package:FORMAT", **{"load.return_value": Format(coco.read_results, ("image_id mine",))})
    point.name = "mine"
    monkeypatch.setattr("prpose.io.keypoints.entry_points", lambda group: [point] if group == ENTRY_POINTS else [])
    known_formats.cache_clear()
    try:
        content = json.loads((HERE / "coco_results.json").read_text())
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert "mine" in known_formats()
        (person,) = read_people(tmp_path / "a.json", image_size=SIZE, format="mine")
        assert len(person) == 8
        point.load.return_value = 3
        known_formats.cache_clear()
        with pytest.raises(ValueError, match=r"expected a new Format as 'mine' of prpose.formats, got package:FORMAT"):
            known_formats()
    finally:
        known_formats.cache_clear()


@pytest.mark.parametrize(
    ("content", "near"),
    [
        ([{"keypoints": [1, 2], "bbox": []}], "; the nearest format is openpifpaf-images, which has category_id"),
        ({"images": []}, "; the nearest format is coco-annotations, which has annotations"),
        ([3], "got list; --config.format: one of prpose models --formats"),
    ],
)
def test_unknown_json_is_refused_with_the_nearest_format(content, near, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(near)):
        read_people(tmp_path / "a.json", image_size=SIZE)


def test_formats_are_listed(capsys):
    assert guarded(lambda: run(["models", "--formats"])) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in FORMATS)


def test_shares_of_the_image_are_scaled_whatever_the_first_frame_holds(tmp_path):
    frames = json.loads((HERE / "ultralytics.json").read_text())
    for t, ((person,), _) in enumerate(zip(frames, range(4), strict=False)):
        points = person["keypoints"]
        points["x"], points["y"] = ([v / side for v in points[axis]] for axis, side in zip("xy", SIZE, strict=True))
        (tmp_path / f"im_{t}.json").write_text(json.dumps([person] if t else []))
    (person,) = read_people(tmp_path, image_size=SIZE)
    assert np.abs(person.xy - walker("coco17")[0][1:4]).max() < 0.1


def test_the_confidence_of_a_box_is_no_id(tmp_path):
    line = " ".join(["0 0.5 0.5 0.1 0.1", *["0.4 0.5 0.9"] * 16, "0.5 0.4 0.9"])
    for t, more in enumerate((" 0.91234", " 0.95678", " 0.9 1234567", " 1234567")):
        (tmp_path / "a.txt").write_text(line + more)
        (person,) = read_people(tmp_path / "a.txt", image_size=SIZE)
        assert person.person == ("0" if t < 2 else "1234567")


def test_an_empty_text_makes_no_clip(tmp_path):
    (tmp_path / "log.txt").write_text("")
    assert not is_one_clip(tmp_path)


def test_frames_that_may_be_of_two_videos_are_stated():
    names = [f"a_{i}.json" for i in range(3)] + [f"b_{i}.json" for i in range(100, 103)]
    _, (warning,) = frame_numbers(names)
    assert warning == "the names may be of 2 videos, from a_0.json, b_100.json on"


def test_points_of_sleap_without_a_score_are_present(tmp_path):
    shutil.copy(HERE / "sleap.h5", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["point_scores"][:, :, 1] = np.nan
    assert read_people(tmp_path / "a.h5", image_size=SIZE)[0].frame_numbers.tolist() == list(range(8))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["node_names"] = [b"a"]
        file.create_dataset("tracks", (1, 2, 1, 300_000_000), dtype="f8", chunks=(1, 2, 1, 1000))
    with pytest.raises(ValueError, match=r"expected at most 16,777,216 bytes"):
        read_people(tmp_path / "b.h5", image_size=SIZE)


@pytest.mark.parametrize(("layout", "J"), [("coco17", 17), ("body25", 25), ("blazepose33", 33)])
def test_number_of_joints_of_an_npz_decides_only_if_one_layout_has_it(layout, J, tmp_path):
    path, xy = tmp_path / "a.npz", walker(layout)[0]
    np.savez(path, keypoints=np.stack([xy, xy + 200]))
    if J != 33:
        with pytest.raises(ValueError, match=rf"expected --layout \(of {J} joints: \w+, \w+\)"):
            read_people(path, image_size=SIZE)
    people = read_people(path, image_size=SIZE, layout=None if J == 33 else layout)
    assert [person.person for person in people] == ["0", "1"]
    assert {person.layout for person in people} == {layout}
    np.testing.assert_allclose(people[1].xy, xy + 200, atol=1e-3)


def test_sequences_of_mpi_inf_3dhp_have_their_sizes_and_valid_frames(tmp_path):
    xy = np.random.default_rng(0).uniform(1, 1000, (6, 17, 2))
    sequences = {
        name: {"data_2d": xy, "valid": np.array([1, 1, 0, 1, 0, 1])[:, None], "data_3d": np.zeros((6, 17, 3))}
        for name in ("TS4", "TS5")
    }
    np.savez(tmp_path / "a.npz", data=sequences)
    people = {person.person: person for person in read_people(tmp_path / "a.npz")}
    assert {name: person.image_size for name, person in people.items()} == {"TS4": (2048, 2048), "TS5": (1920, 1080)}
    assert people["TS5"].frame_numbers.tolist() == [0, 1, 3, 5]
    pelvis, head = H36M_17.index("pelvis"), H36M_17.index("head")
    np.testing.assert_allclose(people["TS4"].xy[:, [pelvis, head]], xy[[0, 1, 3, 5]][:, [14, 0]], rtol=1e-6)
    np.savez(tmp_path / "a.npz", data={"S1 Seq1": [{"0": sequences["TS4"]}]})
    with pytest.raises(
        ValueError, match=r"S1 Seq1: expected data_2d \(T, 17, 2\) and valid \(T\), got another structure"
    ):
        read_people(tmp_path / "a.npz")


def test_npz_of_something_else_is_an_error(tmp_path):
    np.savez(tmp_path / "a.npz", keypoints=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"expected keypoints \(people, T, J, 2 or 3\), got float64 \(2, 3\)"):
        read_people(tmp_path / "a.npz")


def test_prefix_selects_the_files_of_a_camera(tmp_path):
    for path in (HERE / "openpose_coco18").iterdir():
        shutil.copy(path, tmp_path / path.name.replace("walk", "camA"))
        (tmp_path / path.name.replace("walk", "camB")).write_text("{")
    with pytest.raises(ValueError, match="expected JSON, got invalid JSON"):
        read_people(tmp_path, image_size=SIZE)
    (person,) = read_people(tmp_path, image_size=SIZE, prefix="camA_")
    assert np.abs(person.xy - walker("coco18")[0]).max() < 0.02
    assert person.frame_names[0] == "camA_000000000000_keypoints.json"
    with pytest.raises(ValueError, match="whose names begin with 'camC', got camA_0"):
        read_people(tmp_path, image_size=SIZE, prefix="camC")
