"""docs/formats.md has the numbers for all clips; here, one frame in twelve of half of them."""

import numpy as np
import pytest

from prpose.data import load_clips
from prpose.layouts import LAYOUTS
from prpose.plausibility import doubts
from tests.detections import detect


@pytest.fixture(scope="module")
def walkers():
    return load_clips("walkers", ".", "test", stride=12)[::2]


def kinds(keypoints, layout, score=None):
    return [doubt.kind for doubt in doubts(keypoints, layout, score)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_right_layouts_raise_no_doubt(layout, walkers):
    for clip in walkers:
        assert kinds(*with_layout(clip, layout)) == [], (clip.subject, clip.action)


def with_layout(clip, layout):
    keypoints, score = detect(clip, layout)
    return keypoints, layout, score


@pytest.mark.parametrize(("true", "declared"), [("h36m17", "coco17"), ("coco17", "h36m17")])
def test_wrong_layouts_do_and_the_right_one_is_named(true, declared, walkers):
    for clip in walkers:
        keypoints, score = detect(clip, true)
        found = doubts(keypoints, declared, score)
        assert [doubt.kind for doubt in found] == ["layout"], (clip.subject, clip.action)
        assert f"; {true} would fit" in found[0].message


@pytest.mark.parametrize("layout", ["h36m17", "coco17", "body25"])
def test_people_on_their_heads_are_noticed(layout, walkers):
    for clip in walkers:
        keypoints, _ = detect(clip, layout)
        assert kinds(keypoints * [1, -1] + [0, 1000], layout) == ["upside-down"]


def test_exchanged_axes_are_noticed_of_people_who_stand(walkers):
    standing = [clip for clip in walkers if clip.action in ("walk", "wave")]
    assert len(standing) >= 8
    for clip in standing:
        assert kinds(clip.keypoints_px[..., ::-1], "h36m17") == ["lying"]


def test_arms_of_the_other_side_are_noticed(walkers):
    """Left and right exchanged for the arms alone, of people seen from front or back."""
    arms = [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")]
    layout = LAYOUTS["h36m17"]
    joints, noticed, wide = layout.subset(arms), 0, 0
    other = [layout.mirror[j] for j in joints]
    for clip in walkers:
        pose = clip.keypoints_px.copy()
        pose[:, joints] = pose[:, other]
        across = pose[:, layout.index("left_hip"), 0] - pose[:, layout.index("right_hip"), 0]
        if (np.abs(across) > 0.1 * np.ptp(pose[..., 1], axis=1)).mean() > 0.5:
            wide += 1
            noticed += kinds(pose, "h36m17") == ["sides"]
    assert wide > 5
    assert noticed / wide > 0.8


def test_mirrored_people_are_noticed_if_their_face_is_seen(walkers):
    layout = LAYOUTS["coco17"]
    noticed = facing = 0
    for clip in walkers:
        keypoints, score = detect(clip, "coco17")
        left = keypoints[:, layout.index("left_shoulder"), 0]
        wide = left - keypoints[:, layout.index("right_shoulder"), 0]
        if (wide > 0.15 * np.ptp(keypoints[..., 1], axis=1)).all():
            facing += 1
            noticed += "sides" in kinds(keypoints[:, list(layout.mirror)], "coco17", score)
    assert facing > 5
    assert noticed == facing


def test_little_to_go_by_raises_no_error():
    empty = np.full((3, 17, 2), np.nan)
    assert doubts(empty, "coco17") == []
    empty[1, 0] = 5
    assert doubts(empty, "coco17", np.ones((3, 17))) == []
