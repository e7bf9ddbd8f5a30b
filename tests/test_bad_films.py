"""What cannot be watched is said in one line, and leaves nothing behind."""

import http.server
import socket
import sys
import threading
import zipfile

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.io.detector import model_file
from prpose.io.export import read_prediction
from prpose.io.video import open_video
from tests.films import picture, write_png, write_sound, write_video

FINDER = ["--detector", "tests.films:Finder"]


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


def empty_folder(folder):
    (folder / "frames").mkdir()
    return folder / "frames", []


def a_text(folder):
    (folder / "photo.jpg").write_text("dear diary")
    return folder / "photo.jpg", []


def zero_bytes(folder, name="video.mp4"):
    (folder / name).write_bytes(b"")
    return folder / name, []


def cut_short(folder, share):
    whole = write_video(folder / "whole.mp4", [picture()] * 20).read_bytes()
    (folder / "whole.mp4").unlink()
    (folder / "video.mp4").write_bytes(whole[: int(len(whole) * share)])
    return folder / "video.mp4", []


def half_a_photo(folder):
    path = write_png(folder / "photo.png", np.random.default_rng(0).integers(
        0, 255, (240, 320, 3)).astype(np.uint8))  # fmt: skip
    path.write_bytes(path.read_bytes()[:2000])
    return path, []


def two_sizes(folder):
    (folder / "frames").mkdir()
    write_png(folder / "frames" / "1.png", picture())
    write_png(folder / "frames" / "2.png", picture(width=400))
    return folder / "frames", []


def nobody(folder):
    return write_video(folder / "video.mp4", [np.full_like(picture(), 80)] * 3), []


def good(folder, *more):
    return write_png(folder / "photo.png", picture()), [str(part) for part in more]


def good_video(folder, *more):
    return write_video(folder / "video.mp4", [picture()] * 3), [str(part) for part in more]


def keypoints(folder):
    np.save(folder / "k.npy", np.zeros((2, 17, 2)))
    return folder / "k.npy", ["--overlay", str(folder / "o.mp4")]


NO_VIDEO = "expected a picture or video, got none (Invalid data found when processing input)"
BAD = {
    "an empty folder": (empty_folder, "expected pictures, video or files of keypoints in"),
    "text": (a_text, "photo.jpg: expected a picture, got none, or part of one"),
    "a photo of 0 bytes": (lambda f: zero_bytes(f, "photo.png"), "photo.png: expected a picture"),
    "a video of 0 bytes": (zero_bytes, f"video.mp4: {NO_VIDEO}"),
    "a video without its end": (lambda f: cut_short(f, 0.5), f"video.mp4: {NO_VIDEO}"),
    "a video's first bytes": (lambda f: cut_short(f, 0.01), f"video.mp4: {NO_VIDEO}"),
    "half a photo": (half_a_photo, "photo.png: expected a picture, got none, or part of one"),
    "sound": (lambda f: (write_sound(f / "s.mp4"), []), "expected a picture or video, got audio"),
    "no such file": (lambda f: (f / "gone.mp4", []), "gone.mp4: no such file or folder"),
    "no such camera": (lambda f: ("63", []), "63: expected a camera, got none (No such file"),
    "frames of two sizes": (two_sizes, "expected frames of one size, 320 x 240, got 400 x 240 in"),
    "nobody": (nobody, "expected somebody in it, the detector found nobody in any frame"),
    "the layout of another": (lambda f: good(f, "--layout", "h36m17"), "as in the file, coco17"),
    "another size": (lambda f: good(f, "--image-size", 10, 10), "--image-size as in the file"),
    "another rate": (lambda f: good_video(f, "--fps", 3), "expected --fps as in the file, 10.0"),
    "no time at all": (lambda f: good_video(f, "--seconds", 0), "expected --seconds > 0, got 0.0"),
    "nobody of that name": (lambda f: good(f, "--person", "5"), "expected one of the people, got"),
    "scores beyond 1": (
        lambda f: good(f, "--detector", "tests.films:Careless"),
        "frame 0, person 0: expected finite pixels or NaN, and scores from 0 to 1, got others",
    ),
    "a detector that fails": (
        lambda f: good(f, "--detector", "tests.films:Broken"),
        "frame 0: the detector failed (IndexError: list index out of range)",
    ),
    "no detector": (
        lambda f: good(f, "--detector", "tests.films:Undecided"),
        "expected tests.films:Undecided to be a detector, with a layout",
    ),
    "an overlay of keypoints": (keypoints, "expected pictures or video to draw on, got keypoints"),
    "an overlay of a camera": (
        lambda f: ("0", ["--overlay", str(f / "o.mp4")]),
        "expected what can be watched twice, got a camera",
    ),
    "a photo's overlay as video": (
        lambda f: good(f, "--overlay", f / "o.mp4"),
        "expected an overlay in .png of a photo",
    ),
    "a video's overlay as photo": (
        lambda f: good_video(f, "--overlay", f / "o.png"),
        "expected an overlay in .mp4, .mov, .mkv of a video",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_films_are_one_line(case, tmp_path, capfd):
    make, message = BAD[case]
    path, more = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    argv = ["predict", path, "--out", tmp_path / "poses.npz", "-n", 2]
    assert prpose(*argv, *(more if "--detector" in more else [*FINDER, *more])) == 1
    error = capfd.readouterr().err.strip()
    assert message in error
    assert error.startswith("error: ")
    assert "\n" not in error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_video_that_stops_early_is_lifted_and_said(tmp_path, capsys):
    """Matroska needs no end to be read."""
    whole = write_video(tmp_path / "whole.mkv", [picture(100 + t) for t in range(40)])
    path = tmp_path / "part.mkv"
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    assert prpose("predict", path, *FINDER, "--out", tmp_path / "poses.npz", "-n", 2) == 0
    assert "of 40 frames are there: is the video whole?" in capsys.readouterr().err
    poses = read_prediction(tmp_path / "poses.npz")
    assert 1 <= len(poses) < 36
    assert any("is the video whole?" in note for note in poses.warnings)
    few = open_video(path, seconds=0.1)
    assert len(list(few.frames())) == 1
    assert few.warnings == ()  # no more was wanted


def test_a_video_without_some_times_goes_on_by_its_rate(tmp_path):
    """MPEG's program streams time only some of their frames."""
    path = write_video(tmp_path / "old.mpg", [picture(100 + t) for t in range(20)], fps=25)
    times = [frame.time_s for frame in open_video(path).frames()]
    assert len(times) == 20
    assert np.allclose(np.diff(times), 0.04, atol=1e-3)


def test_pictures_need_pyav(tmp_path, monkeypatch, capsys):
    path, _ = good(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)
    assert prpose("predict", path, *FINDER, "--out", tmp_path / "poses.npz") == 1
    expected = 'error: PyAV is needed for pictures and video: pip install "prpose[video]"\n'
    assert capsys.readouterr().err == expected


# MediaPipe's model


def bundle(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"TFL3" * 100)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of a folder, in place of Google's, and an empty cache."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def copyfile(self, source, outputfile):  # of a connection that breaks
            outputfile.write(source.read(300 if (folder / "broken").exists() else -1))

        def log_message(self, *args):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield folder, f"http://127.0.0.1:{found.server_port}/pose.task"
    found.shutdown()
    thread.join()
    found.server_close()


def test_the_model_is_fetched_once_and_kept(server, tmp_path):
    folder, url = server
    served = bundle(folder / "pose.task", *model_file.PARTS)
    path = model_file.find(None, url)
    assert path == tmp_path / "cache" / "prpose" / "pose.task"
    assert path.read_bytes() == served.read_bytes()
    served.unlink()
    assert model_file.find(None, url) == path
    assert [p.name for p in path.parent.iterdir()] == ["pose.task"]


@pytest.mark.parametrize("served", ["nothing", "something else", "half of it", "less"])
def test_a_model_that_does_not_come_leaves_nothing(served, server, tmp_path):
    folder, url = server
    size = 0
    if served == "something else":
        (folder / "pose.task").write_text("<html>please log in</html>")
    if served == "half of it":
        whole = bundle(folder / "pose.task", *model_file.PARTS).read_bytes()
        (folder / "pose.task").write_bytes(whole[:300])
    if served == "less":
        size = bundle(folder / "pose.task", *model_file.PARTS).stat().st_size
        (folder / "broken").touch()
    with pytest.raises(ValueError, match="--detector-model") as caught:
        model_file.find(None, url)
    reason = {"nothing": "HTTP 404", "less": f"expected {size} bytes, got 300"}
    assert reason.get(served, "what came: expected a model of") in str(caught.value)
    assert url in str(caught.value)
    assert not list((tmp_path / "cache" / "prpose").iterdir())


def test_without_a_connection_it_says_what_to_get(tmp_path, monkeypatch, capsys):
    def refused(*args, **kw):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    path, _ = good(tmp_path)
    assert prpose("predict", path, "--out", tmp_path / "poses.npz") == 1
    note, error = capsys.readouterr().err.strip().splitlines()
    assert note == f"note: fetching {model_file.URL}, once"
    assert error.startswith("error: MediaPipe's model cannot be fetched (urlopen error [Errno -3]")
    assert f"get {model_file.URL} where there is a connection" in error
    assert error.endswith("and name the file with --detector-model")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "pose.task: no such file; expected a detector's model, as from https"),
        (lambda path: path.write_bytes(b""), "pose.task: expected a model of MediaPipe's pose"),
        (lambda path: path.write_text("no"), "got something else, or part of one"),
        (lambda path: bundle(path, "a.txt"), "without pose_detector.tflite"),
    ],
)
def test_a_model_that_is_none(make, message, tmp_path, capsys):
    photo, _ = good(tmp_path)
    make(tmp_path / "pose.task")
    argv = ["predict", photo, "--detector-model", tmp_path / "pose.task"]
    assert prpose(*argv, "--out", tmp_path / "poses.npz") == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "poses.npz").exists()


def test_a_damaged_model_is_noticed(tmp_path):
    path = bundle(tmp_path / "pose.task", *model_file.PARTS)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"with a damaged pose_detector\.tflite"):
        model_file.checked(path)


def test_people_are_found_by_mediapipe(tmp_path, monkeypatch, capsys):
    photo, _ = good(tmp_path)
    bundle(tmp_path / "pose.task", *model_file.PARTS)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    argv = ["predict", photo, "--detector-model", tmp_path / "pose.task"]
    assert prpose(*argv, "--out", tmp_path / "poses.npz") == 1
    error = capsys.readouterr().err
    assert 'error: MediaPipe is needed to find people: pip install "prpose[detect]"' in error
    assert error.count("\n") == 1
    assert prpose(*argv, "--people", "0", "--out", tmp_path / "poses.npz") == 1
    assert "expected --people >= 1, got 0" in capsys.readouterr().err
