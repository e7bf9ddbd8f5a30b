"""Photos and videos that cannot be read, detectors that fail, and MediaPipe's model file."""

import http.server
import socket
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from prpose.io import detector as detectors
from prpose.io.detector import MODEL_PARTS, MODEL_URL, create_detector, find_model, run_detector
from prpose.io.keypoints import people_from
from prpose.io.video import open_video
from tests.videos import Finder, picture, write_png, write_sound, write_video


def written(path, content):
    path.write_bytes(content)
    return path


def truncated(folder, share):
    whole = write_video(folder / "whole.mp4", [picture()] * 20).read_bytes()
    return written(folder / "video.mp4", whole[: int(len(whole) * share)])


def half_a_photo(folder):
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    return written(folder / "photo.png", write_png(folder / "whole.png", noise).read_bytes()[:2000])


def two_sizes(folder):
    (folder / "frames").mkdir()
    write_png(folder / "frames" / "1.png", picture())
    write_png(folder / "frames" / "2.png", picture(width=400))
    return folder / "frames"


NO_PHOTO = "photo.png: expected a photo, got a file that cannot be decoded ("
NO_VIDEO = "video.mp4: expected a video that can be opened (Invalid data found when processing input)"
BAD = {
    "an empty folder": (lambda f: f, ": expected a photo, video, folder of photos or camera, got no such"),
    "no file": (lambda f: f / "gone.mp4", "gone.mp4: expected a photo, video, folder of photos or camera, got no"),
    "a text file": (lambda f: written(f / "photo.png", b"dear diary"), f"{NO_PHOTO}unknown format)"),
    "a photo of 0 bytes": (lambda f: written(f / "photo.png", b""), f"{NO_PHOTO}unknown format)"),
    "half a photo": (half_a_photo, f"{NO_PHOTO}image file is truncated"),
    "a video of 0 bytes": (lambda f: written(f / "video.mp4", b""), NO_VIDEO),
    "a video without its end": (lambda f: truncated(f, 0.5), NO_VIDEO),
    "the first bytes of a video": (lambda f: truncated(f, 0.01), NO_VIDEO),
    "sound": (lambda f: write_sound(f / "sound.mp4"), "sound.mp4: expected a video, got audio only"),
    "no camera": (lambda f: Path("63"), "63: expected a camera that can be opened (No such file or directory)"),
    "two sizes": (two_sizes, "frames: 2.png, expected frames of one size, got (320, 240) and (400, 240)"),
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
    "infinite pixels": (
        [(XY + np.inf, ONES)],
        "expected finite pixels and confidence from 0 to 1 from the detector, got inf to inf",
    ),
    "confidence 2": ([(XY, 2 * ONES)], "expected finite pixels and confidence from 0 to 1 .*, got 0 to 0 and 2 to 2"),
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
        ("tests.videos:WithoutLayout", None, "to be a detector, with a layout and a call"),
        ("nowhere:Class", None, "cannot import 'nowhere:Class': No module named 'nowhere'"),
        ("yolo", None, "expected a detector, mediapipe or package.module:Class, got 'yolo'"),
    ],
)
def test_a_class_that_is_no_detector_is_an_error(name, model, message):
    with pytest.raises(ValueError, match=message):
        create_detector(name, model).__enter__()


def test_videos_need_pyav_but_photos_do_not(tmp_path, monkeypatch):
    photo, video = write_png(tmp_path / "photo.png", picture()), write_video(tmp_path / "video.mp4", [picture()])
    monkeypatch.setitem(sys.modules, "av", None)
    assert len(list(open_video(photo).frames())) == 1
    with pytest.raises(ValueError, match=r'av is not installed: pip install "prpose\[video\]"'):
        open_video(video)


# MediaPipe's model


def bundle(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"TFL3" * 100)
    return path


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An empty cache, and a server in place of Google's: serves the given bytes, or zeros without end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        served, sent = None, 0
        announced = None

        def do_GET(self):
            self.send_response(200 if Handler.served != b"" else 404)
            if Handler.announced is not None:
                self.send_header("Content-Length", str(Handler.announced))
            self.end_headers()
            try:
                while Handler.served is None and Handler.sent < 10**9:
                    Handler.sent += self.wfile.write(bytes(2**20))
                self.wfile.write(Handler.served or b"")
            except OSError:
                pass

        def log_message(self, *args):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield Handler, f"http://127.0.0.1:{found.server_port}/pose.task"
    found.shutdown()
    found.server_close()


def test_the_model_is_downloaded_once(server, tmp_path, capfd):
    handler, url = server
    handler.served = bundle(tmp_path / "pose.task", *MODEL_PARTS).read_bytes()
    path = find_model(None, url)
    assert path == tmp_path / "cache" / "prpose" / "pose.task"
    assert path.read_bytes() == handler.served
    handler.served = b""
    assert find_model(None, url) == path
    assert [file.name for file in path.parent.iterdir()] == ["pose.task"]
    assert capfd.readouterr() == ("", "")  # the progress bar is for terminals


@pytest.mark.parametrize("case", ["404", "another file", "half of it", "a broken connection", "too large"])
def test_a_failed_download_leaves_no_file(case, server, tmp_path):
    handler, url = server
    whole = bundle(tmp_path / "pose.task", *MODEL_PARTS).read_bytes()
    handler.served = {"404": b"", "another file": b"<html>log in</html>", "too large": bytes(2**18)}.get(
        case, whole[:300]
    )
    handler.announced = {"a broken connection": len(whole), "too large": 10**9}.get(case)
    reason = {"404": "404 Client Error", "too large": "got more than 200 MB", "a broken connection": "bytes"}
    with pytest.raises(ValueError, match=reason.get(case, "got another or a truncated file")) as caught:
        find_model(None, url)
    assert f"download {url} on a machine with a connection, and give the file as detector_model" in str(caught.value)
    assert not list((tmp_path / "cache" / "prpose").iterdir())


def test_a_download_without_end_stops_at_the_largest_size(server, tmp_path, monkeypatch):
    monkeypatch.setattr(detectors, "LARGEST_BYTES", 20_000_000)
    handler, url = server
    with pytest.raises(ValueError, match="got more than 20 MB"):
        find_model(None, url)
    assert handler.sent < 40_000_000
    assert not list((tmp_path / "cache" / "prpose").iterdir())


def test_without_a_connection_the_error_names_the_url(tmp_path, monkeypatch):
    def refused(*args, **kw):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    with pytest.raises(ValueError, match=r"cannot be downloaded \(.*Temporary failure in name resolution") as caught:
        create_detector("mediapipe").__enter__()
    assert f"download {MODEL_URL} on a machine with a connection" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model_is_an_error(tmp_path):
    path, empty, other = (tmp_path / name for name in ("pose.task", "empty.task", "other.task"))
    damaged = bytearray(bundle(path, *MODEL_PARTS).read_bytes())
    damaged[60] ^= 1
    path.write_bytes(damaged)
    empty.touch()
    for file, message in {path: "got a damaged one", empty: "got another or a truncated file",
                          bundle(other, "a.txt"): r"got one without pose_detector\.tflite",
                          tmp_path / "gone.task": "as from https.*; there is no such file"}.items():  # fmt: skip
        with pytest.raises(ValueError, match=message):
            create_detector("mediapipe", file).__enter__()


def test_mediapipe_is_the_extra_detect(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ValueError, match=r'mediapipe is not installed: pip install "prpose\[detect\]"'):
        create_detector("mediapipe", bundle(tmp_path / "pose.task", *MODEL_PARTS)).__enter__()
