"""``prpose predict`` on many files: in one process, in a pool, on Ray."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import prpose
from prpose.atomic import replacing
from prpose.cli import guarded, run
from prpose.cli.many_files import Request
from prpose.config import InferenceConfig
from prpose.keypoints import load_keypoints, save_keypoints
from tests.make_formats import HERE
from tests.videos import Finder, picture, with_square, write_png, write_video

SIZE = ["--image-size", "1000", "1002", "--fps", "10", "-n", "3"]
X = {"a_once": 260, "c_always": 60}
"""Places of the squares in photos that kill."""
DETECTOR = ["--config.detector", "tests.videos:Finder", "-n", "2"]


class Killer(Finder):
    """A detector whose process is killed: always at a square on the left, once (a file says so) at one on the right."""

    def __call__(self, image, time_s):
        people = super().__call__(image, time_s)
        x = people[0][0][:, 0].mean()
        once = Path(os.environ["PRPOSE_TEST_KILL_ONCE"])
        if x < 80 or (x > 240 and once.exists()):
            once.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return people


class Sleeper(Finder):
    """A detector that writes a temporary file, and never ends."""

    def __call__(self, image, time_s):
        with replacing(Path(os.environ["PRPOSE_TEST_SLEEP"]) / str(os.getpid())):
            time.sleep(600)


def command(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture
def clips(tmp_path):
    """Two files, an OpenPose folder with two people, and other files."""
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


def test_bad_files_stop_no_other_and_pool_gives_the_bytes_of_each_file_alone(clips, capsys, monkeypatch):
    out = clips.parent / "poses"
    (clips / "bad.json").write_text("{")
    assert command("predict", clips, "--out", out, *SIZE, "--jobs", "2") == 1
    printed = capsys.readouterr()
    assert names(out) == ["a.npz", "b.npz"]
    errors = sorted(line for line in printed.err.splitlines() if line.startswith("error"))
    assert errors[0].startswith(f"error: {clips}/bad.json: ")
    assert errors[1].startswith(f"error: {clips}/two.people: expected one person, or --person")
    assert errors[2] == "error: prediction failed in 2 of 4 files: bad.json, two.people"
    assert len(errors) == 3
    assert "warning: neither keypoints nor video, skipped: deeper, notes.txt" in printed.err
    assert "warning: a.csv, b.npz: no intrinsics" in printed.err
    assert "2 of 4 files, 2 people, 16 frames, 3 samples each" in printed.out
    assert f"Wrote 2 files in {out}" in printed.out
    for name in names(out):
        together = (out / name).read_bytes()
        recorded = prpose.read_prediction(out / name).command
        assert command(*shlex.split(recorded)[1:], "--overwrite") == 0
        assert prpose.read_prediction(out / name).command == f"{recorded} --overwrite"
        (out / name).unlink()
        assert command(*shlex.split(recorded)[1:]) == 0
        assert (out / name).read_bytes() == together


POOL = (["--jobs", "2"], ["a_once", "b"])
ALL = ["a_once", "b", "c_always", "d"]


@pytest.mark.parametrize(
    ("engine", "photos"),
    [POOL, *(pytest.param(engine, ALL, marks=pytest.mark.slow) for engine in (POOL[0], [*POOL[0], "--ray"]))],
    ids=["pool", "pool_all", "ray_all"],
)
@pytest.mark.filterwarnings("ignore")  # of Ray
def test_killed_worker_loses_no_file(engine, photos, tmp_path, monkeypatch, capsys):
    """SIGKILL in the middle: its file is done again; a file that kills every worker is reported, and stops no other."""
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for n, name in enumerate(photos):
        write_png(folder / f"{name}.png", picture(X.get(name, 140 + 10 * n)))
    monkeypatch.setenv("PRPOSE_TEST_KILL_ONCE", str(tmp_path / "kill"))
    (tmp_path / "kill").touch()
    argv = [
        "predict",
        folder,
        "--out",
        out,
        "--config.folder",
        "files",
        "--config.detector",
        f"{__name__}:Killer",
        *engine,
    ]
    assert command(*argv, "-n", "2") == int("c_always" in photos)
    assert not (tmp_path / "kill").exists()
    assert names(out) == [f"{name}.npz" for name in photos if name != "c_always"]
    for name in names(out):
        prpose.read_prediction(out / name)
    error = capsys.readouterr().err
    if "c_always" in photos:
        assert f"error: {folder}/c_always.png: its worker process died" in error
        assert "prediction failed in 1 of 4 files: c_always.png" in error


@contextmanager
def sleeping(tmp_path, *engine):
    """A command, in a group of its own, two workers of which write temporary files, in a folder."""
    for folder in ("photos", "written"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "c"):
        write_png(tmp_path / "photos" / f"{name}.png", picture())
    words = [sys.executable, "-m", "prpose", "predict", "photos", "--out", "out", "--config.folder", "files"]
    words += ["-n", "2", "--config.detector", f"{__name__}:Sleeper", *engine]
    environment = os.environ | {"PRPOSE_TEST_SLEEP": str(tmp_path / "written"), "PYTHONPATH": str(HERE.parents[2])}
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=errors, start_new_session=True)
    try:
        while len(names(tmp_path / "written")) < 2:
            assert process.poll() is None, (tmp_path / "errors").read_text()
            time.sleep(0.1)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def has_group(number, seconds):
    """Whether a group has processes after some time."""
    for _ in range(10 * seconds):
        try:
            os.killpg(number, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no groups of processes")
@pytest.mark.parametrize(
    ("name", "send", "code"),
    [
        ("SIGKILL", os.kill, -9),
        pytest.param("SIGTERM", os.kill, 143, marks=pytest.mark.slow),
        pytest.param("SIGHUP", os.killpg, 129, marks=pytest.mark.slow),
        pytest.param("SIGINT", os.killpg, 130, marks=pytest.mark.slow),
    ],
    ids=["kill", "terminate", "terminal_closed", "ctrl_c"],
)
def test_workers_end_with_their_parent_and_leave_no_temporary_file(name, send, code, tmp_path):
    """Whether a signal reaches the parent alone, or all processes, as from a terminal."""
    with sleeping(tmp_path, "--jobs", "2") as process:
        send(process.pid, getattr(signal, name))
        assert process.wait(30) == code
        assert not has_group(process.pid, 20)
    assert names(tmp_path / "written") == []
    # The tracker of multiprocessing dies of SIGHUP, and the next one does not know what to track.
    assert name == "SIGHUP" or "Traceback" not in (tmp_path / "errors").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="no /proc")
@pytest.mark.parametrize("killed", [(b"gcs_server", b"raylet"), (b"raylet",)], ids=["all", "node"])
def test_ray_that_is_killed_is_an_error(killed, tmp_path):
    with sleeping(tmp_path, "--jobs", "2", "--ray") as process:
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                program = (path / "cmdline").read_bytes().partition(b"\0")[0]
                if program.endswith(killed) and bytes(tmp_path) in (path / "environ").read_bytes():
                    os.kill(int(path.name), signal.SIGKILL)
        assert process.wait(60) == 1
    errors = (tmp_path / "errors").read_text()
    assert "error: Ray ended before all files were predicted" in errors
    assert "Traceback" not in errors


def test_ray_needs_its_extra(clips, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert command("predict", clips, "--out", clips.parent / "poses", "--ray", *SIZE) == 1
    assert 'pip install "prpose[ray]"' in capsys.readouterr().err
    assert names(clips.parent) == ["clips"]


def test_every_person_gets_a_file(clips, capsys):
    out = clips.parent / "poses"
    argv = ["predict", clips, "--out", out, "--person", "all", "--config.output-format", "csv", *SIZE]
    assert command(*argv) == 0
    assert names(out) == ["a.0.csv", "b.0.csv", "two.people.0.csv", "two.people.1.csv"]
    assert "3 of 3 files, 4 people, 32 frames" in capsys.readouterr().out
    assert command(*argv) == 1
    assert "a.0.csv: exists already" in capsys.readouterr().err
    assert command(*argv, "--overwrite") == 0
    single = clips.parent / "single.npz"
    assert command("predict", clips / "two.people", "--out", single, "--person", "all", *SIZE) == 0
    written = ", ".join(f"{single.parent}/single.{n}.npz" for n in (0, 1))
    assert f"Wrote {written}" in capsys.readouterr().out
    assert not single.exists()
    first, second = (prpose.read_prediction(single.parent / f"single.{n}.npz") for n in (0, 1))
    assert not np.array_equal(first.pose, second.pose)


def test_output_of_a_person_never_replaces_the_input(tmp_path, capsys):
    """With p.json as the output, the first person's is p.0.json."""
    file = tmp_path / "p.0.json"
    shutil.copy(HERE / "coco_results.json", file)
    before = file.read_bytes()
    argv = ["predict", file, "--out", tmp_path / "p.json", "--person", "all", "--overwrite", *SIZE]
    assert command(*argv) == 1
    assert f"{file}: expected an output of its own" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_command_of_one_file_has_the_options_that_are_not_the_default():
    config = InferenceConfig(intrinsics=(9, 9, 5, 5), drop_incomplete=True, jobs=2, folder="files", output_format="csv")
    request = Request(num_samples=2, image_size=(640, 480), config=config)
    expected = "prpose predict 'd/a 1.csv' --out o/a.npz --num-samples 2 --image-size 640 480"
    expected += " --config.intrinsics 9 9 5 5 --config.drop-incomplete"
    assert request.command(Path("d/a 1.csv"), Path("o/a.npz")) == expected


def test_bad_person_stops_no_other(tmp_path, capsys):
    content = json.loads((HERE / "coco_annotations.json").read_text())
    for one in list(content["annotations"]):
        one["track_id"] = 5
        face = one["keypoints"][: 5 * 3] + [0] * 36
        content["annotations"].append(one | {"id": 1000, "track_id": 77, "keypoints": face})
    (tmp_path / "two.json").write_text(json.dumps(content))
    argv = ["predict", tmp_path / "two.json", "--out", tmp_path / "p.npz", "--person", "all"]
    assert command(*argv, "-n", "2") == 1
    error = capsys.readouterr().err
    assert "two.json, person 77: " in error
    assert "prediction failed for all people in 1 of 1 files: two.json" in error
    assert names(tmp_path) == ["p.5.npz", "two.json"]


def test_files_of_a_clip_are_predicted_one_by_one_on_request(tmp_path, capsys):
    folder = tmp_path / "frames"
    shutil.copytree(HERE / "openpose_body25", folder)
    argv = ["predict", folder, "--person", "0", *SIZE]
    assert command(*argv, "--out", tmp_path / "clip.npz") == 0
    assert len(prpose.read_prediction(tmp_path / "clip.npz")) == 8
    assert command(*argv, "--config.folder", "files", "--out", tmp_path / "each") == 0
    assert len(names(tmp_path / "each")) == 8
    assert len(prpose.read_prediction(next((tmp_path / "each").iterdir()))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--out", "{clips}"], "expected another folder than that of the input"),
        (["--out", "{tmp}/poses.npz"], "expected a folder for the predictions of many files"),
        (["--out", "{clips}/a.csv/x"], "expected a file name, got a folder, or a file in place"),
        (["--out", "{clips}/notes.txt"], "expected a folder for the predictions of many files"),
        (["--overlay", "{tmp}/over.mp4"], "expected one person of one clip with --overlay"),
        (["--config.output-format", "xyz"], "'xyz'"),
        (["--model", "gpt"], "unknown model 'gpt'"),
        (["--model", "gpt", "--jobs", "2"], "unknown model 'gpt'"),
        (["-n", "1"], "from 2 to 2,147,483,647, got 1"),
        (["--jobs", "0"], "expected jobs >= 1"),
    ],
)
def test_mistake_is_one_line_before_any_work(change, message, clips, capsys):
    tmp = clips.parent
    change = [word.format(clips=clips, tmp=tmp) for word in change]
    assert command("predict", clips, "--out", tmp / "poses", *SIZE, *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert names(tmp) == ["clips"]


def test_files_with_the_same_output_are_an_error(clips, capsys):
    shutil.copy(HERE / "walk_h36m17.npz", clips / "a.npz")
    assert command("predict", clips, "--out", clips.parent / "poses", *SIZE) == 1
    assert "expected files with different names, got a.csv, a.npz" in capsys.readouterr().err
    assert not (clips.parent / "poses").exists()


def test_existing_outputs_are_an_error_before_any_work(clips, capsys):
    out = clips.parent / "poses"
    out.mkdir()
    (out / "b.npz").write_text("precious")
    assert command("predict", clips, "--out", out, "--person", "0", *SIZE) == 1
    assert "b.npz: exists already" in capsys.readouterr().err
    assert (out / "b.npz").read_text() == "precious"
    assert names(out) == ["b.npz"]
    assert command("predict", clips, "--out", out, "--person", "0", "--overwrite", *SIZE) == 0
    assert names(out) == ["a.npz", "b.npz", "two.people.npz"]  # each has a person 0
    assert command("predict", clips, "--out", out, "--person", "0", *SIZE) == 1
    assert "a.npz and 2 other outputs exist already" in capsys.readouterr().err


def test_people_named_like_paths_stay_in_the_folder(tmp_path, capsys):
    keypoints = load_keypoints(HERE / "walk_h36m17.npz")
    save_keypoints(tmp_path / "w.npz", type(keypoints)(**(vars(keypoints) | {"person": "../S1/walk 0"})))
    argv = ["predict", tmp_path / "w.npz", "--person", "all", "--out", tmp_path / "p.npz", "-n", "2"]
    assert command(*argv) == 0
    assert names(tmp_path) == ["p._S1_walk_0.npz", "w.npz"]


def test_videos_and_folders_of_photos_side_by_side(tmp_path, capsys):
    """Each is a clip; photos beside them are skipped unless each file is a clip."""
    clips = tmp_path / "clips"
    (clips / "frames").mkdir(parents=True)
    for t in range(3):
        write_png(clips / "frames" / f"{t}.png", picture(100 + t))
    write_video(clips / "a.mp4", [picture(120 + t) for t in range(4)])
    write_video(clips / "empty.mp4", [np.full_like(picture(), 80)] * 2)
    write_png(clips / "photo.png", picture())
    assert command("predict", clips, "--out", tmp_path / "out", *DETECTOR) == 1
    printed = capsys.readouterr()
    assert "neither keypoints nor video, skipped: photo.png" in printed.err
    assert "empty.mp4: " in printed.err
    assert "2 of 3 files, 2 people, 7 frames" in printed.out
    assert names(tmp_path / "out") == ["a.npz", "frames.npz"]
    argv = ["predict", clips / "frames", "--out", tmp_path / "each", "--config.folder", "files", *DETECTOR]
    assert command(*argv) == 0
    assert len(names(tmp_path / "each")) == 3


def test_every_person_in_a_video_gets_a_file(tmp_path, capsys):
    images = [with_square(picture(70, 120, "red"), 240, 130, "white") for _ in range(3)]
    path = write_video(tmp_path / "two.mp4", images)
    assert command("predict", path, *DETECTOR, "--person", "all", "--out", tmp_path / "p.npz") == 0
    places = [prpose.read_prediction(tmp_path / f"p.{n}.npz").keypoints_px[0, 0, 0] for n in "01"]
    assert sorted(round(float(x)) for x in places) == [70, 240]
