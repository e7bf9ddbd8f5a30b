import numpy as np
import pytest

from prpose.data import load_clips
from prpose.layouts import LAYOUTS
from prpose.plausibility import implausibilities
from tests.detections import detect


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
        xy, confidence = detect(clip, "coco17")
        across = xy[:, layout.index("left_shoulder"), 0] - xy[:, layout.index("right_shoulder"), 0]
        if (across > 0.15 * np.ptp(xy[..., 1], axis=1)).all():
            facing += 1
            assert "sides" in kinds(xy[:, list(layout.mirror)], "coco17", confidence)
    assert facing > 5


def test_a_few_keypoints_are_not_judged():
    xy = np.full((3, 17, 2), np.nan)
    assert kinds(xy, "coco17") == []
    xy[1, 0] = 5
    assert kinds(xy, "coco17", np.ones((3, 17))) == []
