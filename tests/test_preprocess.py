from dataclasses import replace

import numpy as np
import pytest

from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.preprocess import fill_gaps, preprocess, ranges
from prpose.remap import WEIGHTED_SUMS, is_present, to_h36m17
from prpose.skeleton import H36M_17
from tests.detections import detect
from tests.make_formats import clips, image_size, walker


def walking(layout="coco17", **change):
    xy, confidence = walker(layout)
    return replace(Keypoints(xy.astype(np.float32), image_size(), layout, confidence), **change)


def without(layout, joint, frames):
    xy = walker(layout)[0].astype(np.float32)
    xy[list(frames), LAYOUTS[layout].index(joint)] = np.nan
    return walking(layout, xy=xy)


def test_complete_keypoints_are_unchanged_to_the_bit():
    keypoints = walking("h36m17")
    ready = preprocess(keypoints)
    for name in ("xy", "confidence", "frame_numbers"):
        assert np.array_equal(getattr(ready, name), getattr(keypoints, name))
    assert not (ready.missing | ready.interpolated | ready.derived | ready.exchanged).any()
    assert (ready.sigma_px == 0).all()
    assert ready.warnings == ()


def test_short_gaps_are_interpolated_linearly_and_marked():
    before = walker("coco17")[0][:, LAYOUTS["coco17"].index("left_hip")]
    ready = preprocess(without("coco17", "left_hip", (3, 4)), max_gap=2)
    hip, pelvis = H36M_17.index("left_hip"), H36M_17.index("pelvis")
    line = before[2] + np.array([[1], [2]]) / 3 * (before[5] - before[2])
    assert np.allclose(ready.xy[3:5, hip], line, atol=1e-3)
    expected = np.zeros((8, 17), dtype=bool)
    expected[3:5, [hip, pelvis, H36M_17.index("spine")]] = True
    assert np.array_equal(ready.interpolated, expected)
    assert not ready.missing.any()
    assert (ready.confidence[3:5, [hip, pelvis]] == 0).all()
    assert (ready.confidence[:3, hip] > 0).all()
    assert ready.warnings == ("interpolated: left_hip in 2 frames",)


@pytest.mark.parametrize("frames", [(3, 4, 5), (0, 1), (7,)])
def test_joints_missing_for_long_or_at_the_ends_are_estimated_and_marked(frames):
    incomplete, ankle = without("coco17", "left_ankle", frames), H36M_17.index("left_ankle")
    ready = preprocess(incomplete, max_gap=2)
    expected = np.zeros((8, 17), dtype=bool)
    expected[list(frames), ankle] = True
    assert np.array_equal(ready.missing, expected)
    assert np.array_equal(ready.sigma_px > 0, expected)
    assert (ready.confidence[ready.missing] == 0).all()
    assert ready.warnings == (
        f"missing joints were estimated from the others, with a wide spread: left_ankle in frames {ranges(frames)}",
    )
    off = np.linalg.norm(ready.xy - preprocess(walking()).xy, axis=-1)
    assert (off[~expected] == 0).all()
    assert (off[expected] < 4 * ready.sigma_px[expected]).all()


@pytest.mark.parametrize("frames", [(3, 4, 5), (0, 1), (7,)])
def test_incomplete_frames_are_dropped_on_request(frames):
    ready = preprocess(without("coco17", "left_ankle", frames), max_gap=2, drop_incomplete=True)
    assert ready.frame_numbers.tolist() == [t for t in range(8) if t not in frames]
    assert ready.warnings[0].startswith(f"{len(frames)} frames were dropped for missing joints: left_ankle")
    assert np.isfinite(ready.xy).all()
    with pytest.raises(ValueError, match="got missing joints in all of them: right_wrist in frames 0-7"):
        preprocess(without("coco17", "right_wrist", range(8)), drop_incomplete=True)


def test_joints_missing_in_a_single_frame_are_an_error_on_request():
    photo = Keypoints(walker("h36m17")[0][:1].astype(np.float32), image_size(), "h36m17")
    lost = photo.xy.copy()
    lost[:, 16] = np.nan
    with pytest.raises(
        ValueError, match="single frame, got missing joints: right_wrist in frames 0; allow_implausible"
    ):
        preprocess(replace(photo, xy=lost), complete_photo=True)
    assert preprocess(replace(photo, xy=lost)).missing[0, 16]


def test_frames_of_too_few_joints_are_dropped():
    xy = walker("h36m17")[0].astype(np.float32)
    xy[5:, 5:] = np.nan
    ready = preprocess(walking("h36m17", xy=xy))
    assert ready.frame_numbers.tolist() == [0, 1, 2, 3, 4]
    assert ready.warnings[-1].startswith("3 frames were dropped for fewer than 6 of 17 joints: ")
    xy[:, 5:] = np.nan
    with pytest.raises(ValueError, match="expected a frame that can be lifted, got fewer than 6 of 17 joints in all"):
        preprocess(walking("h36m17", xy=xy))


def test_a_missing_face_is_derived_from_an_ear():
    xy = walker("coco17")[0].astype(np.float32)
    xy[:, [0, 1, 3]] = np.nan  # nose, an eye and an ear, as from behind
    ready, complete = preprocess(walking(xy=xy)), preprocess(walking())
    away = np.linalg.norm(ready.xy - complete.xy, axis=-1).max(axis=0)
    assert {H36M_17.names[j] for j in np.flatnonzero(away > 1e-3)} == {"neck", "head"}
    assert away.max() < 0.12 * np.ptp(xy[0, 5:, 1])
    assert ready.derived[:, H36M_17.index("neck")].all()


def test_missing_frames_are_interpolated_up_to_the_gap():
    numbers = [0, 1, 4, 5, 6, 7]
    xy, confidence = walker("h36m17")
    part = Keypoints(xy[numbers], image_size(), "h36m17", confidence[numbers], None, numbers)
    filled, marks = fill_gaps(part, 2)
    assert filled.frame_numbers.tolist() == list(range(8))
    assert marks.all(axis=1).tolist() == [False, False, True, True, False, False, False, False]
    assert np.allclose(filled.xy[2], xy[1] + (xy[4] - xy[1]) / 3, atol=1e-3)
    ready = preprocess(part, max_gap=1)
    assert ready.frame_numbers.tolist() == numbers
    assert "1 gaps are too long to interpolate, the first between frames 1 and 4" in ready.warnings[-1]
    ready = preprocess(replace(part, frame_numbers=np.arange(0, 30, 5)))  # every fifth frame has no gaps
    assert (ready.frame_numbers.tolist(), ready.warnings) == (list(range(0, 30, 5)), ())


def test_interpolation_follows_the_times():
    xy = walker("h36m17")[0][[0, 2]]
    late = Keypoints(xy[[0, 0, 1]], image_size(), "h36m17", frame_numbers=[0, 1, 3], times_s=[0.0, 0.5, 2.5])
    filled, _ = fill_gaps(late, 1)
    assert filled.times_s.tolist() == [0, 0.5, 1.5, 2.5]
    assert np.allclose(filled.xy[2], (xy[0] + xy[1]) / 2, atol=1e-3)


def test_keypoints_at_zero_are_missing():
    xy = walker("h36m17")[0].astype(np.float32)
    xy[4, 16] = 0
    ready = preprocess(walking("h36m17", xy=xy, confidence=None))
    assert ready.warnings[0] == "1 keypoints in 1 frames are at exactly (0, 0) or (-1, -1) and count as missing"
    assert np.linalg.norm(ready.xy[4, 16] - walker("h36m17")[0][4, 16]) < 10
    assert ready.confidence is None
    with pytest.raises(ValueError, match=r"expected keypoints, got \(0, 0\) or \(-1, -1\) everywhere"):
        preprocess(walking("h36m17", xy=xy * 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda xy: xy / 1000,
            r"expected pixels of the image of 1000 x 1002 pixels, got normalised ones, from 0\.\d\d",
        ),
        (lambda xy: xy / 500 - 1, "got normalised ones"),
        (lambda xy: xy * 0 + 7, "all joints in one point"),
    ],
)
def test_coordinates_that_are_no_pixels_are_errors(change, message):
    with pytest.raises(ValueError, match=message):
        preprocess(walking("h36m17", xy=change(walker("h36m17")[0])), allow_implausible=True)


@pytest.mark.parametrize(
    ("change", "layout", "message"),
    [
        (lambda xy: xy * [1, -1] + [0, 1002], "h36m17", "the head is below the hips.* does y point up"),
        (lambda xy: xy[..., ::-1], "h36m17", "trunk and legs are horizontal; are x and y exchanged"),
        (lambda xy: xy[:1], "coco17", "do not look like a body in the layout coco17: .* the layout h36m17 would fit"),
        (lambda xy: xy + 1500, "h36m17", "outside"),
    ],
)
def test_implausible_keypoints_are_errors_unless_allowed(change, layout, message):
    keypoints = Keypoints(change(walker("h36m17")[0]), image_size(), layout)
    with pytest.raises(ValueError, match=f"{message}.* allow_implausible .--config.allow-implausible. predicts"):
        preprocess(keypoints)
    ready = preprocess(keypoints, allow_implausible=True)
    assert any(message.split(".*")[0] in warning for warning in ready.warnings)
    if layout == "h36m17":
        assert np.array_equal(ready.xy, keypoints.xy)


def test_exchanged_axes_of_a_wide_image_are_named():
    exchanged = (walker("h36m17")[0] * [1.9, 1.0])[..., ::-1] + np.array([0, 500])
    with pytest.raises(ValueError, match=r"outside, x from .* are x and y exchanged\?"):
        preprocess(walking("h36m17", xy=exchanged, image_size=(1900, 700)))


def test_a_few_joints_outside_the_image_are_a_warning():
    xy = walker("h36m17")[0]
    xy[:4, 16] = (-150, 400)
    warning = preprocess(walking("h36m17", xy=xy)).warnings[0]
    assert warning == "3% of the joints lie outside the image of 1000 x 1002 pixels"


def mirrored(name):
    side, _, rest = name.partition("_")
    return {"left": "right_", "right": "left_"}.get(side, f"{side}_" if rest else side) + rest


def random_pose(layout, T=4):
    return np.random.default_rng(0).uniform(0, 1000, (T, len(LAYOUTS[layout]), 2)).astype("f4")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_sum_to_one_and_sums_of_the_left_mirror_those_of_the_right(layout):
    def canonical(sums, rename):
        return {frozenset((rename(n), round(w, 9)) for n, w in weights.items()) for weights in sums}

    sums = WEIGHTED_SUMS[layout]
    assert set(sums) == set(H36M_17.names)
    for name, alternatives in sums.items():
        assert alternatives
        for weights in alternatives:
            assert sum(weights.values()) == pytest.approx(1)
            assert set(weights) <= set(LAYOUTS[layout].names)
        assert canonical(alternatives, mirrored) == canonical(sums[mirrored(name)], lambda n: n)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_remapping_commutes_with_mirroring_moving_and_scaling(layout):
    pose = random_pose(layout)
    once = to_h36m17(pose, layout).xy
    turned = to_h36m17(pose[:, list(LAYOUTS[layout].mirror)] * [-1, 1], layout).xy
    assert np.allclose(turned, once[:, list(H36M_17.mirror)] * [-1, 1], atol=1e-2)
    moved = to_h36m17(pose * 0.5 + np.float32([30, -20]), layout).xy
    assert np.allclose(moved, once * 0.5 + [30, -20], atol=1e-2)


def test_human36m_is_unchanged_to_the_bit():
    pose = random_pose("h36m17")
    body = to_h36m17(pose, "h36m17")
    assert np.array_equal(body.xy, pose)
    assert not body.derived.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_limbs_are_copied_and_other_joints_are_near(layout):
    truth = walker("h36m17")[0]
    away = np.linalg.norm(to_h36m17(walker(layout)[0], layout).xy - truth, axis=-1).mean(axis=0)
    size = np.ptp(truth[..., 1], axis=1).mean()
    for j, name in enumerate(H36M_17.names):
        most = 0.02 if name.startswith(("left_", "right_")) else 0.04 * size
        assert away[j] < most, (name, away[j], size)


def test_the_head_is_derived_from_one_ear_or_none():
    keypoints, _ = detect(clips()[0], "coco17")
    complete = to_h36m17(keypoints, "coco17").xy[:, H36M_17.index("head")]
    size = np.ptp(keypoints[..., 1], axis=1)
    for missing in (["left_ear"], ["right_ear"], ["left_ear", "right_ear"]):
        fewer = keypoints.copy()
        fewer[:, LAYOUTS["coco17"].subset(missing)] = np.nan
        head = to_h36m17(fewer, "coco17").xy[:, H36M_17.index("head")]
        assert (np.linalg.norm(head - complete, axis=-1) / size).mean() < 0.1
        assert not np.array_equal(head, complete)


def test_openposes_mid_hip_is_copied_and_else_derived():
    pose, layout, pelvis = random_pose("body25"), LAYOUTS["body25"], H36M_17.index("pelvis")
    own = to_h36m17(pose, "body25")
    assert np.array_equal(own.xy[:, pelvis], pose[:, layout.index("mid_hip")])
    assert not own.derived[:, pelvis].any()
    pose[:, layout.index("mid_hip")] = np.nan
    derived = to_h36m17(pose, "body25")
    hips = pose[:, layout.subset(("left_hip", "right_hip"))].mean(axis=1)
    assert np.allclose(derived.xy[:, pelvis], hips, atol=1e-3)
    assert derived.derived[:, pelvis].all()


def test_missing_and_interpolated_sources_and_the_lowest_confidence_are_passed_on():
    layout = LAYOUTS["coco17"]
    pose = random_pose("coco17")
    pose[1, layout.index("left_hip")] = np.nan
    confidence = np.random.default_rng(1).uniform(0.1, 1, pose.shape[:2])
    marks = np.zeros(pose.shape[:2], dtype=bool)
    marks[2, layout.index("right_hip")] = True
    body = to_h36m17(pose, "coco17", confidence, marks)
    expected = np.zeros((2, 4, 17), dtype=bool)
    expected[0, 1, H36M_17.subset(("left_hip", "pelvis", "spine"))] = True
    expected[1, 2, H36M_17.subset(("right_hip", "pelvis", "spine"))] = True
    assert np.array_equal(~is_present(body.xy), expected[0])
    assert np.array_equal(body.interpolated, expected[1])
    lowest = confidence[:, layout.subset(("left_hip", "right_hip"))].min(axis=1)
    lowest[1] = 0
    assert np.allclose(body.confidence[:, H36M_17.index("pelvis")], lowest)
