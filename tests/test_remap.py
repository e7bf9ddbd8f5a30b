import numpy as np
import pytest

from prpose.layouts import LAYOUTS
from prpose.remap import WEIGHTED_SUMS, is_present, to_h36m17
from prpose.skeleton import H36M_17
from tests.detections import detect
from tests.make_formats import clips, walker


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
