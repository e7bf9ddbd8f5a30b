import numpy as np
import pytest

from prpose.layouts import LAYOUTS
from prpose.remap import RECIPES, to_h36m17
from prpose.skeleton import H36M_17
from tests.detections import detect
from tests.make_formats import clips, found

SIDES = {"left_": "right_", "right_": "left_"}


def mirrored(name):
    for side, other in SIDES.items():
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def random_pose(layout, T=4):
    return np.random.default_rng(0).uniform(0, 1000, (T, len(LAYOUTS[layout]), 2)).astype("f4")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_sum_to_one_and_name_joints_of_the_layout(layout):
    assert set(RECIPES[layout]) == set(H36M_17.names)
    for recipes in RECIPES[layout].values():
        assert recipes
        for recipe in recipes:
            assert sum(recipe.values()) == pytest.approx(1)
            assert set(recipe) <= set(LAYOUTS[layout].names)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_left_is_made_as_the_right(layout):
    def canonical(recipes, turn):
        return {frozenset((turn(n), round(w, 9)) for n, w in r.items()) for r in recipes}

    for name, recipes in RECIPES[layout].items():
        there = canonical(RECIPES[layout][mirrored(name)], lambda n: n)
        assert canonical(recipes, mirrored) == there


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mirrored_image_gives_the_mirrored_pose(layout):
    pose = random_pose(layout)
    turned = pose[:, list(LAYOUTS[layout].mirror)] * [-1, 1]
    once = to_h36m17(pose, layout).keypoints_px
    expected = once[:, list(H36M_17.mirror)] * [-1, 1]
    assert np.allclose(to_h36m17(turned, layout).keypoints_px, expected, atol=1e-2)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_moving_and_scaling_the_image_moves_and_scales_the_pose(layout):
    pose = random_pose(layout)
    moved = to_h36m17(pose * 0.5 + np.float32([30, -20]), layout).keypoints_px
    expected = to_h36m17(pose, layout).keypoints_px * 0.5 + [30, -20]
    assert np.allclose(moved, expected, atol=1e-2)


def test_our_own_layout_stays_as_it_is_to_the_bit():
    pose = random_pose("h36m17")
    body = to_h36m17(pose, "h36m17")
    assert np.array_equal(body.keypoints_px, pose)
    assert not body.made.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_limbs_are_exact_and_the_rest_is_near(layout):
    truth = found("h36m17")[0]
    body = to_h36m17(found(layout)[0], layout)
    away = np.linalg.norm(body.keypoints_px - truth, axis=-1).mean(axis=0)
    size = np.ptp(truth[..., 1], axis=1).mean()
    for j, name in enumerate(H36M_17.names):
        most = 0.02 if name.startswith(("left_", "right_")) else 0.04 * size
        assert away[j] < most, (name, away[j], size)


def test_the_head_is_found_from_one_ear_and_from_none():
    keypoints, _ = detect(clips()[0], "coco17")
    whole = to_h36m17(keypoints, "coco17").keypoints_px[:, H36M_17.index("head")]
    size = np.ptp(keypoints[..., 1], axis=1)
    for gone in (["left_ear"], ["right_ear"], ["left_ear", "right_ear"]):
        fewer = keypoints.copy()
        fewer[:, LAYOUTS["coco17"].subset(gone)] = np.nan
        head = to_h36m17(fewer, "coco17").keypoints_px[:, H36M_17.index("head")]
        assert (np.linalg.norm(head - whole, axis=-1) / size).mean() < 0.1
        assert not np.array_equal(head, whole)


def test_what_is_made_of_an_unseen_joint_is_unseen():
    pose = random_pose("coco17")
    pose[1, LAYOUTS["coco17"].index("left_hip")] = np.nan
    body = to_h36m17(pose, "coco17")
    missing = {H36M_17.names[j] for j in np.flatnonzero(~body.seen[1])}
    assert missing == {"left_hip", "pelvis", "spine"}
    assert body.seen[[0, 2, 3]].all()


def test_openposes_own_middle_is_preferred_and_replaced():
    pose = random_pose("body25")
    layout = LAYOUTS["body25"]
    pelvis = H36M_17.index("pelvis")
    own = to_h36m17(pose, "body25")
    assert np.array_equal(own.keypoints_px[:, pelvis], pose[:, layout.index("mid_hip")])
    assert not own.made[:, pelvis].any()
    pose[:, layout.index("mid_hip")] = np.nan
    made = to_h36m17(pose, "body25")
    hips = pose[:, layout.subset(("left_hip", "right_hip"))].mean(axis=1)
    assert np.allclose(made.keypoints_px[:, pelvis], hips, atol=1e-3)
    assert made.made[:, pelvis].all()


def test_scores_are_the_lowest_and_marks_are_passed_on():
    pose = random_pose("coco17")
    score = np.random.default_rng(1).uniform(0.1, 1, pose.shape[:2])
    marks = np.zeros(pose.shape[:2], dtype=bool)
    marks[2, LAYOUTS["coco17"].index("right_hip")] = True
    body = to_h36m17(pose, "coco17", score, marks)
    hips = score[:, LAYOUTS["coco17"].subset(("left_hip", "right_hip"))]
    assert np.allclose(body.score[:, H36M_17.index("pelvis")], hips.min(axis=1))
    marked = {H36M_17.names[j] for j in np.flatnonzero(body.marked[2])}
    assert marked == {"right_hip", "pelvis", "spine"}
    assert not body.marked[[0, 1, 3]].any()


@pytest.mark.parametrize("shape", [(4, 16, 2), (4, 17, 3), (17, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected keypoints of coco17, \(T, 17, 2\), got"):
        to_h36m17(np.zeros(shape), "coco17")


def test_unknown_layouts_are_refused():
    with pytest.raises(ValueError, match="unknown layout 'coco71'; did you mean coco1"):
        to_h36m17(np.zeros((1, 17, 2)), "coco71")
