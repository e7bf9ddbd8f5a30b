import numpy as np
import pytest

from prpose.data import load_clips
from prpose.keypoints import Keypoints, load_keypoints, save_keypoints
from prpose.layouts import LAYOUTS
from prpose.plausibility import implausibilities
from prpose.preprocess import preprocess
from tests.detections import detect

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


def test_the_users_frame_rate_is_used_with_a_warning(tmp_path):
    np.savez(tmp_path / "a.npz", **FILE, times_s=np.arange(5) / 30)
    loaded = load_keypoints(tmp_path / "a.npz", fps=240)
    assert loaded.fps == 240
    np.testing.assert_allclose(loaded.times_s, np.arange(5) / 240)
    assert loaded.warnings == ("the file has 30 frames per second; 240 are used as given",)
    same = load_keypoints(tmp_path / "a.npz", fps=29.97)
    assert (same.fps, same.warnings) == (30, ())


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


@pytest.fixture(scope="module")
def walkers():
    return load_clips("walkers", ".", "test", stride=12)[::2]


def kinds(xy, layout, confidence=None):
    return [finding.kind for finding in implausibilities(xy, layout, confidence)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_right_layouts_are_plausible(layout, walkers):
    for clip in walkers:
        xy, confidence = detect(clip, layout)
        assert kinds(xy, layout, confidence) == [], (clip.subject, clip.action)


@pytest.mark.parametrize(("true", "declared"), [("h36m17", "coco17"), ("coco17", "h36m17")])
def test_wrong_layouts_are_found_and_the_right_one_is_named(true, declared, walkers):
    for clip in walkers:
        xy, confidence = detect(clip, true)
        (finding,) = implausibilities(xy, declared, confidence)
        assert (finding.kind, finding.certain) == ("layout", True), (clip.subject, clip.action)
        assert f"; the layout {true} would fit" in finding.message


def test_an_odd_frame_is_not_certain_to_be_in_the_wrong_layout(walkers):
    xy, _ = detect(walkers[0], "coco17")
    frame = xy[:1].copy()
    frame[:, LAYOUTS["coco17"].index("nose")] += 0.6 * np.ptp(frame[..., 1])
    (finding,) = implausibilities(frame, "coco17")
    assert (finding.kind, finding.certain) == ("layout", False)


@pytest.mark.parametrize("layout", ["h36m17", "coco17", "body25"])
def test_people_upside_down_are_found(layout, walkers):
    for clip in walkers:
        assert kinds(detect(clip, layout)[0] * [1, -1] + [0, 1000], layout) == ["upside-down"]


def test_exchanged_axes_of_standing_people_are_found(walkers):
    standing = [clip for clip in walkers if clip.action in ("walk", "wave")]
    assert len(standing) >= 8
    for clip in standing:
        assert kinds(clip.keypoints_px[..., ::-1], "h36m17") == ["lying"]


def test_exchanged_arms_are_found(walkers):
    """Left and right exchanged for the arms alone, of people seen from front or back."""
    arms = [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")]
    layout = LAYOUTS["h36m17"]
    joints, found = layout.subset(arms), []
    for clip in walkers:
        xy = clip.keypoints_px.copy()
        xy[:, joints] = xy[:, [layout.mirror[j] for j in joints]]
        across = xy[:, layout.index("left_hip"), 0] - xy[:, layout.index("right_hip"), 0]
        if (np.abs(across) > 0.1 * np.ptp(xy[..., 1], axis=1)).mean() > 0.5:
            found.append(kinds(xy, "h36m17") == ["sides"])
    assert len(found) > 5
    assert np.mean(found) > 0.8


def test_mirrored_people_are_found_if_their_face_is_visible(walkers):
    layout, facing = LAYOUTS["coco17"], 0
    for clip in walkers:
        xy, confidence = detect(clip, "coco17", ear=0.8)
        across = xy[:, layout.index("left_shoulder"), 0] - xy[:, layout.index("right_shoulder"), 0]
        if (across > 0.15 * np.ptp(xy[..., 1], axis=1)).all():
            facing += 1
            assert "sides" in kinds(xy[:, list(layout.mirror)], "coco17", confidence)
            certain = np.ones_like(confidence)  # as of detectors that are sure of a face that they cannot see
            assert "sides" not in kinds(xy[:, list(layout.mirror)], "coco17", certain)
    assert facing > 5


@pytest.mark.parametrize("layout", ["coco17", "body25", "blazepose33"])
def test_joints_of_another_person_are_found_with_their_frames(layout, walkers):
    """The left arm, or leg, of somebody a body height to the right, for some frames of a clip."""
    names, found = LAYOUTS[layout], 0
    for clip in walkers:
        for part in (("elbow", "wrist"), ("knee", "ankle")):
            xy = np.repeat(detect(clip, layout)[0], 3, axis=0)
            aside = np.ptp(xy[..., 1], axis=1).max()
            xy[4:9, names.subset([f"left_{name}" for name in part]), 0] += aside
            (finding,) = implausibilities(xy, layout)
            assert (finding.kind, finding.certain) == ("stretched", False)
            assert set(finding.frames) <= {4, 5, 6, 7, 8}
            found += len(finding.frames)
    assert found > 0.9 * 5 * 2 * len(walkers)


def test_a_slip_of_one_frame_is_no_other_person_but_a_photo_may_show_one(walkers):
    xy, _ = detect(walkers[0], "coco17")
    xy[:, LAYOUTS["coco17"].index("left_wrist")] += 30  # a wrist alone is a common slip, too
    xy[5, LAYOUTS["coco17"].subset(["left_elbow", "left_wrist"])] += 120
    assert kinds(xy, "coco17") == []
    assert kinds(xy[5:6], "coco17") == ["stretched"]
    keypoints = Keypoints(xy[5:6], (2000, 2000), "coco17", frame_numbers=np.array([17]))
    warning = preprocess(keypoints).warnings[-1]
    assert "left shoulder to left elbow is up to" in warning
    assert warning.endswith("are joints of two people mixed, or misplaced? In frames 17.")


def test_a_few_keypoints_are_not_judged():
    xy = np.full((3, 17, 2), np.nan)
    assert kinds(xy, "coco17") == []
    xy[1, 0] = 5
    assert kinds(xy, "coco17", np.ones((3, 17))) == []
