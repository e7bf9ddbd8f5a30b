import numpy as np
import pytest

from prpose.keypoints import Keypoints, read_npz_keypoints, write_keypoints

GOOD = {
    "keypoints_px": np.random.default_rng(0).uniform(0, 1000, (5, 17, 2)).astype(np.float32),
    "layout": np.array("h36m17"),
    "image_size": np.array([1000, 800]),
    "fps": np.array(30.0),
}


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "track.npz", **GOOD)
    return tmp_path / "track.npz"


def test_what_is_written_is_read(path, tmp_path):
    track = read_npz_keypoints(path)
    assert (track.width, track.height, track.layout, track.fps) == (1000, 800, "h36m17", 30)
    assert np.array_equal(track.keypoints_px, GOOD["keypoints_px"])
    write_keypoints(tmp_path / "again.npz", track)
    again = read_npz_keypoints(tmp_path / "again.npz", "h36m17", (1000, 800))
    assert np.array_equal(again.keypoints_px, track.keypoints_px)
    assert (again.width, again.height, again.fps) == (1000, 800, 30)


def test_scores_frames_and_names_are_kept(tmp_path):
    score = np.linspace(0.1, 1, 85).reshape(5, 17).astype(np.float32)
    score[2, 3] = 0
    names = tuple(f"{t}.png" for t in range(5))
    frames = np.array([2, 3, 5, 8, 13])
    pixels = GOOD["keypoints_px"].copy()
    pixels[1, 4] = np.nan
    track = Keypoints(pixels, 1000, 800, "coco17", None, score, frames, "anna", names)
    write_keypoints(tmp_path / "track.npz", track)
    again = read_npz_keypoints(tmp_path / "track.npz")
    assert np.array_equal(again.score, score)
    assert np.array_equal(again.frames, frames)
    assert (again.person, again.frame_names, again.fps, len(again)) == ("anna", names, None, 5)
    assert np.argwhere(~again.seen).tolist() == [[1, 4], [2, 3]]
    assert np.array_equal(again.keypoints_px[again.seen], pixels[again.seen])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": np.ones((5, 16))}, r"expected score of shape \(5, 17\), got \(5, 16\)"),
        ({"frames": np.arange(4)}, "expected frames as 5 whole numbers, got int64"),
        ({"frames": np.arange(5.0)}, "expected frames as 5 whole numbers, got float64"),
        ({"frames": np.arange(5)[::-1]}, "expected frames in increasing order"),
        ({"frame_names": ("a",)}, "expected 5 frame names, got 1"),
        ({"fps": float("nan")}, "expected a frame rate > 0, got nan"),
    ],
)
def test_tracks_of_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Keypoints(**({"keypoints_px": GOOD["keypoints_px"], "width": 9, "height": 9,
                  "layout": "coco17"} | change))  # fmt: skip


def test_the_user_may_say_what_the_file_does_not(tmp_path):
    np.savez(tmp_path / "bare.npz", keypoints_px=GOOD["keypoints_px"].astype(int))
    with pytest.raises(ValueError, match=r"bare\.npz: expected the file to say its image size, or"):
        read_npz_keypoints(tmp_path / "bare.npz", "h36m17")
    with pytest.raises(ValueError, match=r"expected the file to say its layout, or --layout"):
        read_npz_keypoints(tmp_path / "bare.npz", image_size=(640, 480))
    track = read_npz_keypoints(tmp_path / "bare.npz", "h36m17", (640, 480))
    assert (track.width, track.height, track.fps) == (640, 480, None)
    assert track.keypoints_px.dtype == np.float32


def test_the_user_may_not_contradict_the_file(path):
    with pytest.raises(ValueError, match=r"--image-size as in the file, \(1000, 800\), got \(8"):
        read_npz_keypoints(path, image_size=(800, 1000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints_px": None}, "no entry 'keypoints_px'"),
        ({"keypoints_px": np.zeros((5, 16, 2))}, r"expected 2D of shape \(T, 17, 2\)"),
        ({"keypoints_px": np.zeros((5, 17, 3))}, r"expected 2D of shape \(T, 17, 2\)"),
        ({"keypoints_px": np.zeros((17, 2))}, "expected keypoints_px|expected 2D of shape"),
        ({"keypoints_px": np.zeros((0, 17, 2))}, "at least one frame"),
        ({"keypoints_px": np.full((5, 17, 2), np.nan)}, "finite 2D"),
        ({"keypoints_px": np.zeros((5, 17, 2), complex)}, "array of numbers"),
        ({"layout": np.array("coco16")}, "unknown layout 'coco16'"),
        ({"image_size": np.array([1000.0, 800.0])}, "image_size as two whole numbers"),
        ({"image_size": np.array([1000])}, "image_size as two whole numbers"),
        ({"image_size": np.array([0, 800])}, "positive image size, got 0 x 800"),
        ({"fps": np.array([30.0])}, "expected fps as a number"),
        ({"fps": np.array(-1)}, "expected a frame rate > 0, got -1"),
    ],
)
def test_bad_files_are_named(change, message, tmp_path):
    content = {key: value for key, value in (GOOD | change).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(ValueError, match=rf"bad\.npz: .*({message})"):
        read_npz_keypoints(tmp_path / "bad.npz")


def test_a_track_checks_itself():
    with pytest.raises(ValueError, match="unknown layout"):
        Keypoints(GOOD["keypoints_px"], 10, 10, "openpose")
