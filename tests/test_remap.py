import numpy as np
import pytest

from prpose.layouts import LAYOUTS
from prpose.remap import WEIGHTED_SUMS, is_present, to_h36m17
from prpose.skeleton import H36M_17
from tests.detections import detect
from tests.make_formats import clips, walker

SIDES = {"left_": "right_", "right_": "left_"}


def mirrored(name):
    for side, other in SIDES.items():
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def random_pose(layout, T=4):
    return np.random.default_rng(0).uniform(0, 1000, (T, len(LAYOUTS[layout]), 2)).astype("f4")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_sum_to_one_over_joints_of_the_layout(layout):
    assert set(WEIGHTED_SUMS[layout]) == set(H36M_17.names)
    for sums in WEIGHTED_SUMS[layout].values():
        assert sums
        for weights in sums:
            assert sum(weights.values()) == pytest.approx(1)
            assert set(weights) <= set(LAYOUTS[layout].names)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_of_the_left_mirror_those_of_the_right(layout):
    def canonical(sums, rename):
        return {frozenset((rename(n), round(w, 9)) for n, w in weights.items()) for weights in sums}

    for name, sums in WEIGHTED_SUMS[layout].items():
        assert canonical(sums, mirrored) == canonical(WEIGHTED_SUMS[layout][mirrored(name)], lambda n: n)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mirrored_image_gives_the_mirrored_pose(layout):
    pose = random_pose(layout)
    turned = pose[:, list(LAYOUTS[layout].mirror)] * [-1, 1]
    once = to_h36m17(pose, layout).xy
    expected = once[:, list(H36M_17.mirror)] * [-1, 1]
    assert np.allclose(to_h36m17(turned, layout).xy, expected, atol=1e-2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_remapping_commutes_with_moving_and_scaling(layout):
    pose = random_pose(layout)
    moved = to_h36m17(pose * 0.5 + np.float32([30, -20]), layout).xy
    expected = to_h36m17(pose, layout).xy * 0.5 + [30, -20]
    assert np.allclose(moved, expected, atol=1e-2)


def test_human36m_is_unchanged_to_the_bit():
    pose = random_pose("h36m17")
    body = to_h36m17(pose, "h36m17")
    assert np.array_equal(body.xy, pose)
    assert not body.derived.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_limbs_are_copied_and_other_joints_are_near(layout):
    truth = walker("h36m17")[0]
    body = to_h36m17(walker(layout)[0], layout)
    away = np.linalg.norm(body.xy - truth, axis=-1).mean(axis=0)
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


def test_joints_derived_from_a_missing_one_are_missing():
    pose = random_pose("coco17")
    pose[1, LAYOUTS["coco17"].index("left_hip")] = np.nan
    body = to_h36m17(pose, "coco17")
    missing = {H36M_17.names[j] for j in np.flatnonzero(~is_present(body.xy)[1])}
    assert missing == {"left_hip", "pelvis", "spine"}
    assert is_present(body.xy)[[0, 2, 3]].all()


def test_openposes_mid_hip_is_copied_and_else_derived():
    pose = random_pose("body25")
    layout = LAYOUTS["body25"]
    pelvis = H36M_17.index("pelvis")
    own = to_h36m17(pose, "body25")
    assert np.array_equal(own.xy[:, pelvis], pose[:, layout.index("mid_hip")])
    assert not own.derived[:, pelvis].any()
    pose[:, layout.index("mid_hip")] = np.nan
    derived = to_h36m17(pose, "body25")
    hips = pose[:, layout.subset(("left_hip", "right_hip"))].mean(axis=1)
    assert np.allclose(derived.xy[:, pelvis], hips, atol=1e-3)
    assert derived.derived[:, pelvis].all()


def test_confidence_is_the_lowest_and_interpolation_is_passed_on():
    pose = random_pose("coco17")
    confidence = np.random.default_rng(1).uniform(0.1, 1, pose.shape[:2])
    marks = np.zeros(pose.shape[:2], dtype=bool)
    marks[2, LAYOUTS["coco17"].index("right_hip")] = True
    body = to_h36m17(pose, "coco17", confidence, marks)
    hips = confidence[:, LAYOUTS["coco17"].subset(("left_hip", "right_hip"))]
    assert np.allclose(body.confidence[:, H36M_17.index("pelvis")], hips.min(axis=1))
    marked = {H36M_17.names[j] for j in np.flatnonzero(body.interpolated[2])}
    assert marked == {"right_hip", "pelvis", "spine"}
    assert not body.interpolated[[0, 1, 3]].any()
