import numpy as np
import pytest

from prpose.keypoints import Keypoints, load_keypoints, save_keypoints

XY = np.random.default_rng(0).uniform(0, 1000, (5, 17, 2)).astype(np.float32)
FILE = {"keypoints_px": XY, "layout": "h36m17", "image_size": [1000, 800], "fps": 30.0}


def test_load_returns_what_was_saved(tmp_path):
    confidence = np.linspace(0.1, 1, 85).reshape(5, 17).astype(np.float32)
    confidence[2, 3] = 0
    xy = XY.copy()
    xy[1, 4] = np.nan
    numbers, times = np.array([2, 3, 5, 8, 13]), np.array([0.1, 0.2, 0.3, 0.5, 0.8])
    names = tuple(f"{t}.png" for t in range(5))
    saved = Keypoints(xy, (1000, 800), "coco17", confidence, None, numbers, times, "anna", names)
    save_keypoints(tmp_path / "walk.npz", saved)
    loaded = load_keypoints(tmp_path / "walk.npz")
    for name in ("confidence", "frame_numbers", "times_s"):
        assert np.array_equal(getattr(loaded, name), getattr(saved, name))
    assert (loaded.person, loaded.frame_names, loaded.fps, len(loaded)) == ("anna", names, None, 5)
    assert (loaded.image_size, loaded.layout) == ((1000, 800), "coco17")
    assert np.argwhere(~loaded.present).tolist() == [[1, 4], [2, 3]], "missing, or of confidence 0"
    assert np.array_equal(loaded.xy[loaded.present], xy[loaded.present])


def test_older_names_of_entries_are_read(tmp_path):
    score = np.full((5, 17), 0.5, np.float32)
    np.savez(tmp_path / "old.npz", **FILE, score=score, frames=np.arange(3, 8))
    loaded = load_keypoints(tmp_path / "old.npz")
    assert np.array_equal(loaded.confidence, score)
    assert loaded.frame_numbers.tolist() == [3, 4, 5, 6, 7]
    with pytest.raises(ValueError, match=r"--image-size as in the file, \(1000, 800\), got \(8"):
        load_keypoints(tmp_path / "old.npz", image_size=(800, 1000))


def test_arguments_fill_in_what_the_file_lacks(tmp_path):
    np.savez(tmp_path / "bare.npz", keypoints_px=XY.astype(int))
    with pytest.raises(ValueError, match=r"bare\.npz: the file does not give its image size: expected --image-size"):
        load_keypoints(tmp_path / "bare.npz", "h36m17")
    with pytest.raises(ValueError, match=r"does not give its layout: expected --layout"):
        load_keypoints(tmp_path / "bare.npz", image_size=(640, 480))
    keypoints = load_keypoints(tmp_path / "bare.npz", "h36m17", (640, 480), 25)
    assert (keypoints.image_size, keypoints.fps, keypoints.xy.dtype) == ((640, 480), 25, np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints_px": None}, "no entry 'keypoints_px'"),
        ({"keypoints_px": np.zeros((5, 16, 2))}, r"expected keypoints of shape \(T, 17, 2\)"),
        ({"keypoints_px": np.zeros((5, 17, 3))}, r"expected keypoints of shape \(T, 17, 2\)"),
        ({"keypoints_px": np.zeros((17, 2))}, r"expected keypoints of shape \(T, 17, 2\)"),
        ({"keypoints_px": np.zeros((0, 17, 2))}, "T >= 1"),
        ({"keypoints_px": np.full((5, 17, 2), np.nan)}, "at least one keypoint, got none"),
        ({"keypoints_px": np.full((5, 17, 2), np.inf)}, "within 1e[+]07 pixels"),
        ({"keypoints_px": np.full((5, 17, 2), (1, np.nan))}, "got NaN in one of joint 0, frame 0"),
        ({"keypoints_px": np.zeros((5, 17, 2), complex)}, "got complex128"),
        ({"layout": "coco16"}, "unknown layout 'coco16'"),
        ({"image_size": [1000.5, 800.0]}, "image_size as width and height"),
        ({"image_size": [1000]}, "image_size as width and height"),
        ({"image_size": [0, 800]}, r"width and height >= 1, got \(0, 800\)"),
        ({"image_size": "wide"}, "image_size as width and height"),
        ({"fps": [30.0]}, "expected fps as one number"),
        ({"fps": -1}, "expected fps > 0, got -1"),
        ({"fps": float("nan")}, "expected fps > 0, got nan"),
        ({"confidence": np.ones((5, 16))}, r"expected confidence of shape \(5, 17\), got float64 \(5, 16\)"),
        ({"confidence": np.full((5, 17), np.inf)}, "expected finite confidence"),
        ({"frame_numbers": np.arange(4)}, r"expected frame_numbers of shape \(5,\)"),
        ({"frame_numbers": np.arange(5.0)}, r"expected frame_numbers of shape \(5,\)"),
        ({"frame_numbers": np.arange(5)[::-1]}, "expected frame_numbers in increasing order"),
        ({"times_s": [0, 1, 1, 2, 3]}, "expected times_s in increasing order"),
        ({"times_s": [0, 1, 2]}, r"expected times_s of shape \(5,\)"),
        ({"frame_names": ["a"]}, "expected 5 frame names, got 1"),
    ],
)
def test_invalid_files_are_rejected(change, message, tmp_path):
    content = {key: value for key, value in (FILE | change).items() if value is not None}
    np.savez(tmp_path / "bad.npz", **content)
    with pytest.raises(ValueError, match=rf"bad\.npz: .*({message})"):
        load_keypoints(tmp_path / "bad.npz")
