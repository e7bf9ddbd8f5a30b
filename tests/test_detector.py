"""Detectors over photos, videos, folders and cameras, and what the model makes of their keypoints."""

import sys
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import prpose
from prpose.cli import run
from prpose.cli.predict import predict
from prpose.io.detector import DETECTORS, create_detector, run_detector
from prpose.io.keypoints import people_from
from prpose.io.video import input_kind, open_video, read_photo
from tests.measure import peak_gib
from tests.videos import BODY, Finder, picture, with_square, write_png, write_video


@pytest.fixture
def walk(tmp_path):
    """A person who is absent in frames 3, 10 and after 20, at uneven times."""
    times = np.cumsum(np.tile([0.03, 0.05, 0.04], 8)) - 0.03
    images = [picture(80 + 4 * t, colour=None if t in (3, 10, 21, 22, 23) else "white") for t in range(24)]
    return write_video(tmp_path / "walk.mp4", images, times), times


def test_a_detector_sees_every_frame_with_its_time(walk):
    path, times = walk
    detector, steps = Finder(), []
    (keypoints,) = people_from(run_detector(open_video(path), detector, steps.append))
    assert np.allclose(detector.times, times, atol=1e-3)
    assert detector.shapes == [(240, 320, 3)] * 24
    assert steps == [1] * 24
    present = [t for t in range(24) if t not in (3, 10, 21, 22, 23)]
    assert keypoints.frame_numbers.tolist() == present
    assert np.allclose(keypoints.times_s, times[present], atol=1e-3)
    assert keypoints.fps == pytest.approx(23 / (times[-1] - times[0]), rel=0.01)
    assert (keypoints.image_size, keypoints.layout) == ((320, 240), "coco17")
    expected = BODY + np.array([[[79.5 + 4 * t, 119.5]] for t in present])
    assert np.abs(keypoints.xy - expected).max() < 1
    assert np.allclose(keypoints.confidence, 0.9)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_video_becomes_a_prediction(walk):
    path, times = walk
    (keypoints,) = people_from(run_detector(open_video(path), Finder()))
    prediction = prpose.load("mgcn-cmu17")(keypoints, num_samples=3)
    assert prediction.frame_numbers.tolist() == list(range(21))
    expected = times[:21].copy()
    for t in (3, 10):  # interpolated
        expected[t] = (times[t - 1] + times[t + 1]) / 2
    assert np.allclose(prediction.times_s, expected, atol=1e-3)
    assert (prediction.flags[[3, 10]] == 2).all()


def test_a_folder_of_photos_is_one_clip_and_a_photo_one_frame(tmp_path):
    for t in range(4):
        path = write_png(tmp_path / f"{t + 8}.png", picture(100 + 5 * t))
    (keypoints,) = people_from(run_detector(open_video(path), Finder()))
    assert (len(keypoints), keypoints.fps, keypoints.times_s) == (1, None, None)
    (keypoints,) = people_from(run_detector(open_video(tmp_path, fps=5), Finder()))
    assert keypoints.frame_numbers.tolist() == [8, 9, 10, 11]
    assert keypoints.frame_names == ("8.png", "9.png", "10.png", "11.png")
    assert keypoints.fps == 5
    assert np.allclose(np.diff(keypoints.xy[:, 0, 0]), 5)


def test_two_people_are_two_clips(tmp_path):
    """The order within a frame changes, and one appears later."""
    images = []
    for t in range(10):
        image = picture(70 + 3 * t, 120, "red")
        images.append(image if t < 4 else with_square(image, 240 - 3 * t, 130, "white"))
    path = write_video(tmp_path / "two.mp4", images)
    first, second = people_from(run_detector(open_video(path), Finder()))
    assert (len(first), second.frame_numbers.tolist()) == (10, [4, 5, 6, 7, 8, 9])
    assert second.xy[0, 11:13, 0].mean() == pytest.approx(227.5, abs=1)


def test_a_camera_ends_by_time_or_by_ctrl_c(tmp_path, monkeypatch):
    """FFmpeg's test picture, which never ends, stands in for a camera."""
    monkeypatch.setattr("prpose.io.video._camera_device", lambda path: ("testsrc=rate=30:size=320x240", "lavfi"))
    monkeypatch.chdir(tmp_path)
    images = iter(range(20))

    def detector(image, time_s):
        if next(images, None) is None:
            raise KeyboardInterrupt
        return [(BODY + np.array([160, 120]), np.full(17, 0.9))]

    detector.layout = "coco17"
    for seconds, frames in ((0.5, 15), (None, 5)):
        camera = open_video(type(tmp_path)("0"), max_seconds=seconds)
        (keypoints,) = people_from(run_detector(camera, detector))
        assert np.allclose(keypoints.times_s, np.arange(frames) / 30)
        assert keypoints.fps == pytest.approx(30)
    path = write_video(tmp_path / "walk.mp4", [picture()] * 9)
    with pytest.raises(KeyboardInterrupt):  # a file is read whole or not at all
        run_detector(open_video(path), detector)


def test_several_people_are_looked_for_where_one_is_chosen_and_else_a_warning_says_how(tmp_path, monkeypatch):
    asked, photo = [], write_png(tmp_path / "1.png", picture())
    create = lambda name, model, most: asked.append(most) or nullcontext(Finder())  # noqa: E731
    monkeypatch.setattr("prpose.cli.many_files.create_detector", create)
    options = ([], ["--person", "all"], ["--person", "0"], ["--person", "all", "--config.max-people", "3"])
    for i, option in enumerate(options):
        run(["predict", str(photo), "--out", str(tmp_path / f"{i}.npz"), "-n", "2", *option])
    assert asked == [None, 10, 10, 3]
    monkeypatch.setitem(DETECTORS, "mediapipe", lambda model, most: Finder())
    for most in (None, 1, 5):
        with create_detector("mediapipe", None, most) as detector:
            (keypoints,) = people_from(run_detector(open_video(photo), detector))
        expected = "looked for one person: --person all, or max_people (--config.max-people 3)"
        assert [expected in warning for warning in keypoints.warnings] == [True] * (most is None)


def test_a_detector_is_created_before_the_progress_bars(tmp_path, monkeypatch):
    """It may download a model, with a bar of its own."""
    events, command = [], sys.modules[predict.__module__]

    def log(event, value=None):
        return lambda *args: events.append(event) or nullcontext(value)

    monkeypatch.setattr("prpose.cli.many_files.create_detector", log("detector", Finder()))
    monkeypatch.setattr(command, "find_model", log("model"))
    monkeypatch.setattr(command, "progress", lambda name, *_: log(name, lambda *_: None)())
    photo, out = write_png(tmp_path / "1.png", picture()), tmp_path / "out"
    run(["predict", str(photo), "--out", str(out / "1.npz"), "-n", "2"])
    run(["predict", str(tmp_path), "--config.folder", "files", "--out", str(out / "all"), "-n", "2"])
    frames = ["detect", "predict", "write npz"]  # the bars of a file alone
    assert events == ["detector", *frames, "model", "detector", *frames]


def test_a_detector_is_created_by_name_and_closed():
    with create_detector("tests.videos:Finder") as detector:
        assert not detector.closed
    assert detector.closed


def centre(image):
    rows, columns = np.nonzero((image > 200).all(axis=-1))
    return columns.mean() + 0.5, rows.mean() + 0.5


def test_frames_of_a_video_come_in_order_with_their_times(tmp_path):
    places = np.arange(20, 300, 14)
    path = write_video(tmp_path / "walk.mp4", [picture(x) for x in places], fps=10)
    video = open_video(path)
    assert (video.kind, video.fps, video.total) == ("video", 10.0, 20)
    for _ in range(2):  # it can be read several times
        frames = list(video.frames())
        assert [frame.number for frame in frames] == list(range(20))
        assert np.allclose([frame.time_s for frame in frames], np.arange(20) / 10)
        found = [centre(frame.image) for frame in frames]
        assert np.allclose(found, np.stack([places, np.full(20, 120)], axis=1), atol=0.6)
    assert video.warnings == ()
    part = open_video(path, max_seconds=0.75)
    assert (part.total, len(list(part.frames())), part.warnings) == (8, 8, ())


def test_times_are_those_of_the_file_or_follow_from_the_frame_rate(tmp_path):
    """MPEG's program streams give only some of their frames a time."""
    times = [0.0, 0.033, 0.1, 0.101, 0.6, 2.0, 2.04]
    for name in ("walk.mp4", "walk.mkv"):
        path = write_video(tmp_path / name, [picture()] * 7, times)
        assert np.allclose([frame.time_s for frame in open_video(path).frames()], times, atol=6e-4), name
    path = write_video(tmp_path / "old.mpg", [picture(100 + t) for t in range(20)], fps=25)
    assert np.allclose(np.diff([frame.time_s for frame in open_video(path).frames()]), [0.04] * 19, atol=1e-3)


def test_addresses_of_streams_are_opened_as_cameras():
    for text in ("rtsp://127.0.0.1:9/x", "http://127.0.0.1:9/a/b.m3u8"):
        assert input_kind(Path(text)) == "camera"
        with pytest.raises(ValueError, match=f"{text}: expected a camera that can be opened"):
            list(open_video(Path(text)).frames())


def test_a_truncated_video_is_read_to_its_end_with_a_warning(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", [picture(100 + t) for t in range(40)])
    path = tmp_path / "part.mkv"  # Matroska can be read without its end
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    video = open_video(path)
    assert 1 <= len(list(video.frames())) < 36
    assert "of 40 frames; the video may be truncated" in video.warnings[-1]


@pytest.mark.parametrize(("degrees", "place"), [(90, (30, 200)), (-90, (210, 120)), (180, (200, 210))])
def test_a_rotated_video_is_upright(degrees, place, tmp_path):
    """Of 320 x 240, a square at (120, 30), to be turned anticlockwise by so many degrees."""
    path = write_video(tmp_path / "phone.mp4", [picture(120, 30)] * 3, rotation=degrees)
    image = next(open_video(path).frames()).image
    assert image.shape[:2] == ((240, 320) if degrees == 180 else (320, 240))
    assert np.allclose(centre(image), place, atol=1)


def test_pixels_are_square(tmp_path):
    path = write_video(tmp_path / "tape.mp4", [picture(60, 120, width=240)] * 3, aspect=Fraction(4, 3))
    image = next(open_video(path).frames()).image
    assert image.shape == (240, 320, 3)
    assert np.allclose(centre(image), (80, 120), atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_upright_as_in_opencv(orientation, tmp_path):
    path, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(120, 30)).save(path, quality=95, exif=exif)
    image, expected = read_photo(path)[0], cv2.imread(str(path))
    assert image.shape == expected.shape
    assert np.allclose(centre(image), centre(expected), atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(orientation, tmp_path):
    """As phones write it, with the orientation both in Exif and in HEIF's own properties."""
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed; the extra dev has it")
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("photo.jpg", "photo.HEIC"):
        heif.register_heif_opener()
        Image.fromarray(picture(120, 30)).save(tmp_path / name, quality=95, exif=exif.tobytes())
    assert (b"irot" in (tmp_path / "photo.HEIC").read_bytes()) == (orientation in (3, 5, 6, 7, 8))
    assert input_kind(tmp_path / "photo.HEIC") == "photo"
    image, expected = read_photo(tmp_path / "photo.HEIC")[0], cv2.imread(str(tmp_path / "photo.jpg"))
    assert image.shape == expected.shape
    assert np.allclose(centre(image), centre(expected), atol=1)
    (tmp_path / "photo.HEIC").write_bytes((tmp_path / "photo.HEIC").read_bytes()[:400])
    with pytest.raises(ValueError, match="expected a photo, got a file that cannot be decoded"):
        read_photo(tmp_path / "photo.HEIC")


def test_heic_without_its_decoder_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r'pip install "prpose\[heic\]"'):
        list(open_video(tmp_path / "photo.heic").frames())


def test_photos_of_other_modes_become_8_bit_rgb(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    photo = Image.fromarray(grey)
    for image in (photo, photo.convert("RGBA"), Image.fromarray(grey.astype(np.uint16) * 257)):
        image.save(tmp_path / "photo.png")
        assert np.array_equal(read_photo(tmp_path / "photo.png")[0], np.repeat(grey[..., None], 3, axis=2)), image.mode


@pytest.fixture
def rig(tmp_path):
    """Photos of two cameras, of different sizes; the person stands further right before the second."""
    (tmp_path / "rig").mkdir()
    for t in range(1, 4):
        write_png(tmp_path / f"rig/camA_{t:04d}.png", picture(80 + 10 * t))
        write_png(tmp_path / f"rig/camB_{t:04d}.png", picture(180 + 10 * t, width=400))
    return tmp_path / "rig"


def test_prefix_selects_the_photos_of_a_camera(rig, tmp_path):
    command = ["predict", str(rig), "--config.detector", "tests.videos:Finder", "--fps", "10", "-n", "2"]
    with pytest.raises(ValueError, match=f"{rig}: expected the frames of one video, got those of 2"):
        run([*command, "--out", str(tmp_path / "a.npz")])
    with pytest.raises(ValueError, match="begin with 'camC', got camA_0001"):
        run([*command, "--out", str(tmp_path / "a.npz"), "--prefix", "camC"])
    for camera, x, width in (("camA", 80, 320), ("camB_", 180, 400)):
        run([*command, "--out", str(tmp_path / "a.npz"), "--prefix", camera, "--overwrite"])
        prediction = prpose.read_prediction(tmp_path / "a.npz")
        assert (prediction.camera.width, prediction.camera.height) == (width, 240)
        assert prediction.frame_numbers.tolist() == [1, 2, 3]
        assert np.allclose(prediction.keypoints_px[:, 0, 0], [x + 10, x + 20, x + 30], atol=1)


def test_prefix_selects_the_photos_that_are_predicted_one_by_one(rig, tmp_path, capsys):
    command = ["predict", str(rig), "--config.detector", "tests.videos:Finder", "-n", "2"]
    run([*command, "--config.folder", "files", "--prefix", "camB", "--out", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"camB_000{t}.npz" for t in (1, 2, 3)]
    assert "skipped" not in capsys.readouterr().err


def test_a_folder_of_photos_is_a_clip_in_natural_order(tmp_path):
    for name, x in {"f2": 40, "f10": 60, "f1": 20}.items():
        write_png(tmp_path / f"{name}.png", picture(x))
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / ".hidden.png").write_bytes(b"")
    frames = list(open_video(tmp_path, fps=5).frames())
    assert [(frame.name, frame.number) for frame in frames] == [("f1.png", 1), ("f2.png", 2), ("f10.png", 10)]
    assert [frame.time_s for frame in frames] == [0.2, 0.4, 2.0]
    assert [centre(frame.image)[0] for frame in frames] == [20, 40, 60]
    assert [frame.time_s for frame in open_video(tmp_path).frames()] == [None] * 3
    part = open_video(tmp_path, fps=5, max_seconds=0.3)
    assert part.total == len(list(part.frames())) == 2


def test_input_kind_is_told_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, kind in {"a.JPG": "photo", "b.mp4": "video", "c.json": None, "d.npz": None, "7": None}.items():
        (tmp_path / name).write_bytes(b"")
        assert input_kind(Path(name)) == kind, name
    for name in ("b.mp4", "c.json", "d.npz"):
        assert input_kind(tmp_path) is None  # many videos or keypoint files, or a clip of JSON
        (tmp_path / name).unlink()
    assert [input_kind(path) for path in (tmp_path, Path("0"), Path("/dev/video2"))] == ["folder", "camera", "camera"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    """20 and 80 s: beside the keypoints, some 2 kB a frame, at most 6 MB of noise."""
    peaks = []
    for seconds in (20, 80):
        frames = (picture(50 + i % 50, 60, width=160, height=120) for i in range(30 * seconds))
        path = write_video(tmp_path / f"{seconds}.mp4", frames, fps=30)
        imports = "import pathlib, prpose.io.detector, prpose.io.video, tests.videos;"
        video = f"prpose.io.video.open_video(pathlib.Path({str(path)!r}))"
        peaks.append(peak_gib(f"{imports} prpose.io.detector.run_detector({video}, tests.videos.Finder())"))
    grown = (peaks[1] - peaks[0]) * 1024
    assert grown < 60 * 30 * 2 / 1024 + 6, f"{grown:.1f} MB"
