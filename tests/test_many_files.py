"""prpose predict of a folder: every file by itself, whatever becomes of one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.cli.command import made_alone
from prpose.cli.many_files import Job
from prpose.io.export import read_prediction
from prpose.io.keypoints.folders import inputs_in, is_one_clip
from prpose.keypoints import read_npz_keypoints, write_keypoints
from tests.videos import picture, with_square, write_png, write_video
from tests.make_formats import HERE

SIZE = ["--image-size", "1000", "1002", "--fps", "10", "-n", "3"]


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture
def clips(tmp_path):
    """Two files, a folder of OpenPose with two people, and what is neither."""
    folder = tmp_path / "clips"
    (folder / "deeper").mkdir(parents=True)
    shutil.copy(HERE / "walk_h36m17.npz", folder / "b.npz")
    shutil.copy(HERE / "walk_coco17.csv", folder / "a.csv")
    shutil.copytree(HERE / "openpose_body25", folder / "two.people")
    (folder / "notes.txt").write_text("not keypoints")
    (folder / ".hidden.json").write_text("{}")
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_every_file_is_an_input_and_one_of_them_may_be_bad(clips, capsys):
    out = clips.parent / "poses"
    (clips / "bad.json").write_text("{")
    assert prpose("predict", clips, "--out", out, *SIZE) == 1
    printed = capsys.readouterr()
    assert names(out) == ["a.npz", "b.npz"]
    errors = [line for line in printed.err.splitlines() if line.startswith("error")]
    assert f"error: {clips}/bad.json: " in errors[0]
    assert f"error: {clips}/two.people: expected one person, or --person" in errors[1]
    assert errors[2] == "error: 2 of 4 files could not be lifted: bad.json, two.people"
    assert len(errors) == 3
    assert "note: neither keypoints nor video, left out: deeper, notes.txt" in printed.err
    assert "note: a.csv, b.npz: no intrinsics" in printed.err
    assert "2 of 4 files, 2 people, 16 frames, 3 hypotheses each" in printed.out
    assert f"written: 2 files in {out}" in printed.out
    alone = clips.parent / "alone.npz"
    assert prpose("predict", clips / "a.csv", "--out", alone, *SIZE) == 0
    one, many = read_prediction(alone), read_prediction(out / "a.npz")
    for name in ("hypotheses", "aggregate", "covariance", "keypoints_px", "root_cam"):
        assert np.array_equal(getattr(one, name), getattr(many, name)), name


def test_everybody_gets_a_file(clips, capsys):
    out = clips.parent / "poses"
    argv = ["predict", clips, "--out", out, "--person", "all", "--out-format", "csv", *SIZE]
    assert prpose(*argv) == 0
    assert names(out) == ["a.0.csv", "b.0.csv", "two.people.0.csv", "two.people.1.csv"]
    assert "3 of 3 files, 4 people, 32 frames" in capsys.readouterr().out
    assert prpose(*argv) == 1
    assert "a.0.csv: exists already, and 3 more" in capsys.readouterr().err
    assert prpose(*argv, "--force") == 0
    single = clips.parent / "single.npz"
    argv = ["predict", clips / "two.people", "--out", single, "--person", "all", *SIZE]
    assert prpose(*argv) == 0
    assert "written: " + ", ".join(f"{single.parent}/single.{n}.npz" for n in (0, 1)) in (capsys.readouterr().out)
    assert not single.exists()
    first, second = (read_prediction(single.parent / f"single.{n}.npz") for n in (0, 1))
    assert not np.array_equal(first.pose, second.pose)


def test_everybody_is_not_written_over_what_is_read(tmp_path, capsys):
    """Of p.0.json the first person's file would be p.0.json, if it were p.json."""
    file = tmp_path / "p.0.json"
    shutil.copy(HERE / "coco_results.json", file)
    before = file.read_bytes()
    argv = ["predict", file, "--out", tmp_path / "p.json", "--person", "all", "--force", *SIZE]
    assert prpose(*argv) == 1
    assert f"{file}: expected a file of its own" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_the_command_of_one_file_is_the_one_that_was_typed():
    argv = ["predict", "a.json", "--out", "x.dat", "--out-format", "npz", "--person", "all"]
    job = Job(Path("a.json"), Path("x.dat"))
    assert made_alone(argv, Path("a.json"), job) == "prpose " + " ".join(argv)


def test_one_person_who_cannot_be_lifted_does_not_stop_the_others(tmp_path, capsys):
    content = json.loads((HERE / "coco_annotations.json").read_text())
    for one in list(content["annotations"]):
        one["track_id"] = 5
        no_ankles = one["keypoints"][: 15 * 3] + [0] * 6
        content["annotations"].append(one | {"id": 1000, "track_id": 77, "keypoints": no_ankles})
    (tmp_path / "two.json").write_text(json.dumps(content))
    argv = ["predict", tmp_path / "two.json", "--out", tmp_path / "p.npz", "--person", "all"]
    assert prpose(*argv, "-n", "2") == 1
    error = capsys.readouterr().err
    assert "two.json, person 77: expected every joint in every frame" in error
    assert "1 of 1 files could not be lifted for everybody in them: two.json" in error
    assert names(tmp_path) == ["p.5.npz", "two.json"]


def test_files_of_one_clip_are_taken_each_by_itself_if_asked(tmp_path, capsys):
    folder = tmp_path / "frames"
    shutil.copytree(HERE / "openpose_body25", folder)
    argv = ["predict", folder, "--person", "0", *SIZE]
    assert prpose(*argv, "--out", tmp_path / "clip.npz") == 0
    assert len(read_prediction(tmp_path / "clip.npz")) == 8
    assert prpose(*argv, "--each", "--out", tmp_path / "each") == 0
    assert len(names(tmp_path / "each")) == 8
    assert len(read_prediction(next((tmp_path / "each").iterdir()))) == 1
    capsys.readouterr()


def test_what_is_one_clip():
    for name in ("openpose_body25", "openpose_coco18", "mmpose_images"):
        assert is_one_clip(HERE / name)
    assert not is_one_clip(HERE)
    inputs, others = inputs_in(HERE)
    assert {"mmpose_images", "coco_results.json"} <= {path.name for path in inputs}
    assert others == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--out", "{clips}"], "expected another folder than that of the keypoints"),
        (["--out", "{tmp}/poses.npz"], "expected a folder for the poses of many files"),
        (["--out", "{clips}/a.csv/x"], "expected a file name, got a folder, or a file in place"),
        (["--out", "{clips}/notes.txt"], "expected a folder for the poses of many files"),
        (["--out-format", "xyz"], "unknown format of poses 'xyz'"),
        (["--model", "gpt"], "unknown model 'gpt'"),
        (["-n", "1"], "expected S >= 2"),
        (["--seed", "-1"], "expected a seed >= 0"),
        (["--hypotheses-out", "51"], "expected save_samples up to 3, got 51"),
        (["--fov-deg", "300"], "expected a field of view"),
    ],
)
def test_mistakes_are_one_line_before_any_work(change, message, clips, capsys):
    tmp = clips.parent
    change = [word.format(clips=clips, tmp=tmp) for word in change]
    assert prpose("predict", clips, "--out", tmp / "poses", *SIZE, *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert names(tmp) == ["clips"]


def test_two_files_of_the_same_name_are_refused(clips, capsys):
    shutil.copy(HERE / "walk_h36m17.npz", clips / "a.npz")
    assert prpose("predict", clips, "--out", clips.parent / "poses", *SIZE) == 1
    assert "expected files of different names, got a.csv, a.npz: a.npz" in capsys.readouterr().err
    assert not (clips.parent / "poses").exists()


def test_outputs_that_exist_are_refused_before_any_work(clips, capsys):
    out = clips.parent / "poses"
    out.mkdir()
    (out / "b.npz").write_text("precious")
    assert prpose("predict", clips, "--out", out, "--person", "0", *SIZE) == 1
    assert "b.npz: exists already" in capsys.readouterr().err
    assert names(out) == ["b.npz"]
    assert prpose("predict", clips, "--out", out, "--person", "0", "--force", *SIZE) == 0
    assert names(out) == ["a.npz", "b.npz", "two.people.npz"]  # each has a person 0
    assert (out / "b.npz").read_bytes() != b"precious"


def test_each_of_a_file_and_an_empty_folder_are_refused(tmp_path, capsys):
    argv = ["--out", tmp_path / "poses", *SIZE]
    assert prpose("predict", HERE / "walk_coco17.csv", "--each", *argv) == 1
    assert "expected a folder with --each" in capsys.readouterr().err
    assert prpose("predict", tmp_path, *argv) == 1
    assert "expected pictures, video or files of keypoints in the folder" in capsys.readouterr().err


def test_people_whose_names_are_paths_stay_in_the_folder(tmp_path, capsys):
    track = read_npz_keypoints(HERE / "walk_h36m17.npz")
    write_keypoints(tmp_path / "w.npz", type(track)(**(vars(track) | {"person": "../S1/walk 0"})))
    argv = [
        "predict",
        tmp_path / "w.npz",
        "--person",
        "all",
        "--out",
        tmp_path / "p.npz",
        "-n",
        "2",
    ]
    assert prpose(*argv) == 0
    assert names(tmp_path) == ["p._S1_walk_0.npz", "w.npz"]
    capsys.readouterr()


def test_videos_and_folders_of_photos_side_by_side(tmp_path, capsys):
    """Each is a clip of its own; photos beside them are left out unless each is wanted."""
    clips, finder = tmp_path / "clips", ["--detector", "tests.videos:Finder", "-n", "2"]
    (clips / "frames").mkdir(parents=True)
    for t in range(3):
        write_png(clips / "frames" / f"{t}.png", picture(100 + t))
    write_video(clips / "a.mp4", [picture(120 + t) for t in range(4)])
    write_video(clips / "gone.mp4", [np.full_like(picture(), 80)] * 2)
    write_png(clips / "photo.png", picture())
    assert prpose("predict", clips, "--out", tmp_path / "out", *finder) == 1
    printed = capsys.readouterr()
    assert "neither keypoints nor video, left out: photo.png" in printed.err
    assert "gone.mp4: expected somebody in it, the detector found nobody" in printed.err
    assert "2 of 3 files, 2 people, 7 frames" in printed.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.npz", "frames.npz"]
    alone = ["predict", clips / "a.mp4", "--out", tmp_path / "a.npz", *finder]
    assert prpose(*alone) == 0
    a, b = read_prediction(tmp_path / "a.npz"), read_prediction(tmp_path / "out" / "a.npz")
    assert np.array_equal(a.samples, b.samples)
    argv = ["predict", clips / "frames", "--out", tmp_path / "each", "--each", *finder]
    assert prpose(*argv) == 0
    assert len(list((tmp_path / "each").iterdir())) == 3
    assert prpose(*argv, "--overwrite", "--overlay", tmp_path / "o.mp4") == 1
    assert "expected one person of one film to draw, got many" in capsys.readouterr().err


def test_everybody_in_a_video_gets_a_file(tmp_path, capsys):
    images = [with_square(picture(70, 120, "red"), 240, 130, "white") for _ in range(3)]
    path = write_video(tmp_path / "two.mp4", images)
    argv = ["predict", path, "--detector", "tests.videos:Finder", "-n", "2", "--person", "all"]
    assert prpose(*argv, "--out", tmp_path / "p.npz") == 0
    places = [read_prediction(tmp_path / f"p.{n}.npz").keypoints_px[0, 0, 0] for n in "01"]
    assert sorted(round(float(x)) for x in places) == [70, 240]
