"""Photos and videos that cannot be read, detectors that fail, and MediaPipe's model file."""

import contextlib
import http.server
import socket
import sys
import threading
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from prpose.io import detector as detectors
from prpose.io.detector import MODEL_PARTS, MODEL_URL, create_detector, find_model, run_detector
from prpose.io.keypoints import people_from
from prpose.io.overlay import check_overlay
from prpose.io.video import open_video
from tests.videos import Finder, picture, write_png, write_sound, write_video


def written(path, content):
    path.write_bytes(content)
    return path


def half(path):
    return written(path, path.read_bytes()[: path.stat().st_size // 2])


def two_sizes(folder):
    for name, width in (("1.png", 320), ("2.png", 400)):
        write_png(folder / name, picture(width=width))
    return folder


NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
NO_PHOTO = "photo.png: expected a photo, got a file that cannot be decoded ("
NO_VIDEO = "video.mp4: expected a video that can be opened (Invalid data found when processing input)"
BAD = {
    "an empty folder": (lambda f: f, ": expected a photo, video, folder of photos or camera, got no such"),
    "no file": (lambda f: f / "gone.mp4", "gone.mp4: expected a photo, video, folder of photos or camera, got no"),
    "a text file": (lambda f: written(f / "photo.png", b"dear diary"), f"{NO_PHOTO}unknown format)"),
    "half a photo": (lambda f: half(write_png(f / "photo.png", NOISE)), f"{NO_PHOTO}image file is truncated"),
    "an empty video": (lambda f: written(f / "video.mp4", b""), NO_VIDEO),
    "half a video": (lambda f: half(write_video(f / "video.mp4", [picture()] * 20)), NO_VIDEO),
    "sound": (lambda f: write_sound(f / "sound.mp4"), "sound.mp4: expected a video, got audio only"),
    "no camera": (lambda f: Path("63"), "63: expected a camera that can be opened (No such file or directory)"),
    "two sizes": (two_sizes, ": 2.png, expected frames of one size, got (320, 240) and (400, 240)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_videos_are_errors_that_name_the_file(case, tmp_path, capfd):
    make, message = BAD[case]
    path = make(tmp_path)
    with pytest.raises(ValueError) as caught:
        run_detector(open_video(path), Finder())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


XY, ONES = np.zeros((17, 2)), np.ones(17)
BAD_PEOPLE = {
    "a number": ([3], r"frame 0, expected \(keypoints, confidence\) from the detector, got 3"),
    "another layout": ([(XY[:5], ONES)], r"expected \(17, 2\) and \(17,\) from the detector, got \(5, 2\)"),
    "infinite pixels": ([(XY + np.inf, ONES)], "expected pixels, finite or NaN, and confidence from 0 to 1"),
    "confidence 2": ([(XY, 2 * ONES)], "expected pixels, finite or NaN, and confidence from 0 to 1"),
    "an exception": (None, r"frame 0, the detector failed \(TypeError: 'NoneType' object is not iterable\)"),
    "no person": ([], "expected at least one person, got none in any frame"),
}


@pytest.mark.parametrize("case", BAD_PEOPLE)
def test_detections_that_cannot_be_used_are_errors(case, tmp_path):
    people, message = BAD_PEOPLE[case]

    class Fixed(Finder):
        def __call__(self, image, time_s):
            return people

    video = open_video(write_video(tmp_path / "video.mp4", [picture()] * 3))
    with pytest.raises(ValueError, match=message):
        people_from(run_detector(video, Fixed()))


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("tests.videos:Finder", "model.task", "Finder cannot be created: TypeError"),
        ("tests.videos:Missing", None, "cannot import 'tests.videos:Missing'"),
        ("builtins:dict", None, "to be a detector, with a layout and a call"),
        ("nowhere:Class", None, "cannot import 'nowhere:Class': No module named 'nowhere'"),
        ("yolo", None, r"unknown detector 'yolo' \(known: mediapipe, rtmlib, .*\), or package.module:Class"),
    ],
)
def test_a_class_that_is_no_detector_is_an_error(name, model, message):
    with pytest.raises(ValueError, match=message):
        create_detector(name, model).__enter__()


def test_videos_need_pyav_but_photos_do_not(tmp_path, monkeypatch):
    video, folder = write_video(tmp_path / "video.mp4", [picture()]), tmp_path / "photos"
    folder.mkdir()
    photo = write_png(folder / "1.png", picture())
    monkeypatch.setitem(sys.modules, "av", None)
    for path in (photo, folder):
        assert len(run_detector(open_video(path), Finder()).detections) == 1
    check_overlay("photo", tmp_path / "over.png", False)
    for needs_av in (lambda: open_video(video), lambda: check_overlay("folder", tmp_path / "over.mp4", False)):
        with pytest.raises(ValueError, match=r'av is not installed: pip install "prpose\[video\]"'):
            needs_av()


# MediaPipe's model


def bundle(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"TFL3" * 100)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server in place of Google's, and the empty cache."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.server.content else 404)
            self.send_header("Content-Length", str(len(self.server.content) + self.server.missing))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(self.server.content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url, server.content, server.missing = f"http://127.0.0.1:{server.server_port}/pose.task", b"", 0
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(detectors, "LARGEST_BYTES", 2_000_000)
    with server:
        yield server, tmp_path / "prpose"
        server.shutdown()


def test_the_model_is_downloaded_once(server, tmp_path, capfd):
    server, cache = server
    server.content = whole = bundle(tmp_path / "whole.task", *MODEL_PARTS).read_bytes()
    for server.content in (whole, b""):
        path = find_model(None, server.url)
        assert (path, path.read_bytes()) == (cache / "pose.task", whole)
    assert list(cache.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")  # the progress bar is for terminals


@pytest.mark.parametrize(
    ("content", "missing", "reason"),
    [
        (b"", 0, "404 Client Error"),
        (b"<html>log in</html>", 0, "got another or a damaged file"),
        (b"half", 4, "IncompleteRead"),
        (bytes(3_000_000), 10**12, "got more than 2 MB"),
    ],
)
def test_a_failed_download_leaves_no_file(content, missing, reason, server):
    server, cache = server
    server.content, server.missing = content, missing
    with pytest.raises(
        ValueError, match=rf"cannot download {server.url} \(.*{reason}.*give a copy as --config.detector-model"
    ):
        find_model(None, server.url)
    assert not list(cache.iterdir())


def test_without_a_connection_the_error_names_the_url(tmp_path, monkeypatch):
    def refused(*args, **kw):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ValueError, match="mediapipe is not installed"):  # nothing is downloaded for it
        create_detector("mediapipe").__enter__()
    monkeypatch.setitem(sys.modules, "mediapipe", ModuleType("mediapipe"))
    with pytest.raises(ValueError, match=rf"{MODEL_URL} \(.*Temporary failure in name resolution[^\n]*$"):
        create_detector("mediapipe").__enter__()


def test_a_file_that_is_no_model_and_a_missing_mediapipe_are_errors(tmp_path, monkeypatch):
    path, empty = tmp_path / "pose.task", tmp_path / "empty.task"
    damaged = bytearray(bundle(path, *MODEL_PARTS).read_bytes())
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ValueError, match=r'mediapipe is not installed: pip install "prpose\[detect\]"'):
        create_detector("mediapipe", path).__enter__()
    monkeypatch.setitem(sys.modules, "mediapipe", ModuleType("mediapipe"))
    damaged[60] ^= 1
    path.write_bytes(damaged)
    empty.touch()
    for file in (path, empty, bundle(tmp_path / "other.task", "a.txt"), tmp_path / "gone.task"):
        with pytest.raises(ValueError, match=f"{file.name}: .*, got (another or a damaged|no such) file"):
            create_detector("mediapipe", file).__enter__()
