import numpy as np
import pytest

from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.preprocess import fill_gaps, prepare, ranges
from prpose.skeleton import H36M_17
from tests.make_formats import found, size


def track(layout="coco17", **change):
    keypoints, score = found(layout)
    said = {"keypoints_px": keypoints.astype(np.float32), "score": score.astype(np.float32)}
    width, height = size()
    return Keypoints(**({"width": width, "height": height, "layout": layout} | said | change))


def unseen(layout, joint, frames):
    keypoints = found(layout)[0].astype(np.float32)
    keypoints[list(frames), LAYOUTS[layout].index(joint)] = np.nan
    return track(layout, keypoints_px=keypoints)


def test_a_whole_track_stays_as_it_is_to_the_bit():
    whole = track("h36m17")
    ready = prepare(whole)
    assert np.array_equal(ready.keypoints_px, whole.keypoints_px)
    assert np.array_equal(ready.score, whole.score)
    assert ready.seen.all()
    assert not ready.interpolated.any()
    assert not ready.made.any()
    assert ready.frames.tolist() == list(range(8))
    assert ready.messages == ()


def test_short_gaps_are_straight_lines_and_marked():
    before = found("coco17")[0][:, LAYOUTS["coco17"].index("left_hip")]
    ready = prepare(unseen("coco17", "left_hip", (3, 4)), max_gap=2)
    hip, pelvis = H36M_17.index("left_hip"), H36M_17.index("pelvis")
    line = before[2] + np.array([[1], [2]]) / 3 * (before[5] - before[2])
    assert np.allclose(ready.keypoints_px[3:5, hip], line, atol=1e-3)
    expected = np.zeros((8, 17), dtype=bool)
    expected[3:5, [hip, pelvis, H36M_17.index("spine")]] = True
    assert np.array_equal(ready.interpolated, expected)
    assert np.array_equal(ready.seen, ~expected)
    assert (ready.score[3:5, [hip, pelvis]] == 0).all()
    assert (ready.score[:3, hip] > 0).all()
    assert ready.messages[0] == "filled in by straight lines: left_hip in 2 frames"
    assert "coco17 has no pelvis, spine, thorax, head: made of other joints" in ready.messages


@pytest.mark.parametrize("frames", [(3, 4, 5), (0, 1), (7,)])
def test_long_gaps_and_ends_are_refused_by_name(frames):
    bad = unseen("coco17", "left_ankle", frames)
    where = f"left_ankle in frames {ranges(frames)}; --max-gap fills longer gaps, --skip-unseen"
    with pytest.raises(ValueError, match=where):
        prepare(bad, max_gap=2)
    ready = prepare(bad, max_gap=2, drop_incomplete=True)
    assert ready.frames.tolist() == [t for t in range(8) if t not in frames]
    assert ready.messages[0].startswith(f"{len(frames)} frames left out; neither seen nor made")
    assert np.isfinite(ready.keypoints_px).all()


def test_nothing_is_left_to_skip_to():
    with pytest.raises(ValueError, match="expected a frame with every joint, got none; missing: r"):
        prepare(unseen("coco17", "right_wrist", range(8)), drop_incomplete=True)


def test_a_face_that_is_unseen_is_made_up_for():
    keypoints = found("coco17")[0].astype(np.float32)
    keypoints[:, [0, 1, 3]] = np.nan  # nose, an eye and an ear, as from behind
    ready = prepare(track(keypoints_px=keypoints))
    whole = prepare(track())
    away = np.linalg.norm(ready.keypoints_px - whole.keypoints_px, axis=-1).max(axis=0)
    assert {H36M_17.names[j] for j in np.flatnonzero(away > 1e-3)} == {"neck", "head"}
    assert away.max() < 0.12 * np.ptp(keypoints[0, 5:, 1])
    assert ready.made[:, H36M_17.index("neck")].all()


def test_frames_that_are_missing_are_filled_in_up_to_the_gap():
    kept = [0, 1, 4, 5, 6, 7]
    keypoints, score = found("h36m17")
    part = track(
        "h36m17",
        keypoints_px=keypoints[kept].astype(np.float32),
        score=score[kept],
        frames=np.array(kept),
        frame_names=tuple(f"{t}.jpg" for t in kept),
    )
    filled, marks = fill_gaps(part, 2)
    assert filled.frame_numbers.tolist() == list(range(8))
    assert marks.all(axis=1).tolist() == [False, False, True, True, False, False, False, False]
    assert filled.frame_names == ("0.jpg", "1.jpg", "", "", "4.jpg", "5.jpg", "6.jpg", "7.jpg")
    assert np.allclose(filled.keypoints_px[2], keypoints[1] + (keypoints[4] - keypoints[1]) / 3, atol=1e-3)
    ready = prepare(part, max_gap=1)
    assert ready.frames.tolist() == kept
    assert "absent 1 times, first between frames 1 and 4" in ready.messages[-1]


def test_every_fifth_frame_is_no_gap():
    part = track("h36m17", frames=np.arange(0, 40, 5))
    ready = prepare(part)
    assert ready.frames.tolist() == list(range(0, 40, 5))
    assert ready.messages == ()


def test_zeros_are_unseen_and_said_to_be():
    keypoints = found("h36m17")[0].astype(np.float32)
    keypoints[4, 16] = 0
    ready = prepare(track("h36m17", keypoints_px=keypoints, score=None))
    assert ready.messages[0] == "1 joints at exactly (0, 0), in 1 frames, count as unseen"
    assert np.linalg.norm(ready.keypoints_px[4, 16] - found("h36m17")[0][4, 16]) < 10
    assert ready.score is None
    with pytest.raises(ValueError, match=r"expected keypoints, got \(0, 0\) everywhere"):
        prepare(track("h36m17", keypoints_px=keypoints * 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k / 1000, r"coordinates from 0\.\d\d to 0\.\d\d: they look normalised"),
        (lambda k: k / 500 - 1, r"they look normalised"),
        (lambda k: k * 0 + 7, "all joints in one point"),
        (lambda k: k + 1500, r"expected joints within the image of 1000 x 1002, got 100% outside"),
        (lambda k: k[..., ::-1], "are x and y exchanged"),
        (lambda k: k * [1, -1] + [0, 1002], "does y count upwards"),
    ],
)
def test_what_are_no_pixels_is_refused(change, message):
    bad = change(found("h36m17")[0]).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        prepare(track("h36m17", keypoints_px=bad))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k * [1, -1] + [0, 1002], "doubtful: the head is below the hips"),
        (lambda k: k[..., ::-1], "doubtful: trunk and legs lie across the image"),
        (lambda k: k + 1500, "100% of the joints lie outside of the image of 1000 x 1002"),
    ],
)
def test_they_are_lifted_as_they_are_if_that_is_wanted(change, message):
    odd = change(found("h36m17")[0]).astype(np.float32)
    ready = prepare(track("h36m17", keypoints_px=odd), allow_implausible=True)
    assert np.array_equal(ready.keypoints_px, odd)
    assert any(message in said for said in ready.messages)


def test_exchanged_axes_of_a_wide_image_are_named():
    wide = found("h36m17")[0] * [1.9, 1.0]
    exchanged = (wide[..., ::-1] + np.array([0, 500])).astype(np.float32)
    with pytest.raises(ValueError, match=r"outside, x from .* are x and y exchanged\?"):
        prepare(track("h36m17", keypoints_px=exchanged, width=1900, height=700))


def test_a_few_joints_beyond_the_edge_are_said():
    keypoints = found("h36m17")[0].astype(np.float32)
    keypoints[:4, 16] = (-150, 400)
    ready = prepare(track("h36m17", keypoints_px=keypoints))
    assert ready.messages[0].startswith("3% of the joints lie outside of the image of 1000 x 1002")


def test_negative_gaps_are_refused():
    with pytest.raises(ValueError, match="expected --max-gap >= 0 frames, got -1"):
        prepare(track(), max_gap=-1)
