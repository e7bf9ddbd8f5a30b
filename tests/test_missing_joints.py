"""Joints that a detector never finds: expected from the others, and uncertain."""

import numpy as np
import pytest

import prpose
from prpose.data import load_clips
from prpose.missing import body_prior, fill_missing
from prpose.skeleton import H36M_17

MIRROR = list(H36M_17.mirror)
ANKLES = list(H36M_17.subset(("left_ankle", "right_ankle")))


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "test", actions=("walk",))[0]


def without(xy, joints, frames=slice(None)):
    lost = xy.astype(np.float32).copy()
    lost[frames, joints] = np.nan
    return lost


def test_expected_joints_are_the_conditional_mean_of_the_prior():
    """Against dense conditioning of a pose drawn from the prior, whose place and size are known."""
    prior = body_prior()
    generator = np.random.default_rng(0)
    poses = generator.multivariate_normal(prior.mean, prior.covariance, 200, method="eigh").reshape(-1, 17, 2)
    filled, sigma = zip(*(fill_missing(without(100 * pose[None], ANKLES), np.arange(1)) for pose in poses), strict=True)
    off = (np.concatenate(filled) / 100 - poses)[:, ANKLES]
    ratio = off.std() / (np.concatenate(sigma)[:, ANKLES] / 100).mean()
    assert 0.8 < ratio < 1.3  # the size is estimated, too
    known, unseen = np.setdiff1d(np.arange(17), ANKLES), np.repeat(ANKLES, 2) * 2 + np.tile([0, 1], 2)
    seen = np.repeat(known, 2) * 2 + np.tile([0, 1], len(known))
    gain = prior.covariance[np.ix_(unseen, seen)] @ np.linalg.pinv(prior.covariance[np.ix_(seen, seen)], rcond=1e-6)
    flat = poses.reshape(len(poses), -1)
    exact = prior.mean[unseen] + (flat[:, seen] - prior.mean[seen]) @ gain.T
    assert off.std() < 1.15 * (exact - flat[:, unseen]).std()


def test_expectations_move_scale_and_mirror_with_the_pose(clip):
    xy = without(clip.keypoints_px[:20], [3, 6, 16], slice(5, None))
    filled, sigma = fill_missing(xy, np.arange(20), 60.0)
    moved, wider = fill_missing(2 * xy + 300, np.arange(20), 60.0)
    assert np.allclose(moved, 2 * filled + 300, atol=0.05)
    assert np.allclose(wider, 2 * sigma, rtol=1e-4)
    mirrored, same = fill_missing(xy[:, MIRROR] * [-1, 1], np.arange(20), 60.0)
    assert np.allclose(mirrored, filled[:, MIRROR] * [-1, 1], atol=0.05)
    assert np.allclose(same, sigma[:, MIRROR], rtol=1e-4)
    assert np.array_equal(np.isnan(xy).any(-1), sigma > 0)


def test_what_was_known_before_fades(clip):
    xy = clip.keypoints_px[:60].astype(np.float64)
    xy[:, 3] += [80, 40]  # an unusual foot
    filled, sigma = fill_missing(without(xy, [3], slice(20, None)), np.arange(60), 60.0)
    error = np.linalg.norm(filled - xy, axis=-1)[:, 3]
    assert error[20] < 15
    assert (np.diff(sigma[20:25, 3]) > 0).all()
    assert error[59] > 40
    assert sigma[59, 3] > 2 * sigma[20, 3]


def test_a_joint_that_appears_after_hours_is_expected_without_numerical_warnings(clip):
    xy, numbers = clip.keypoints_px[:4], np.array([0, 1, 10**6, 10**6 + 1])
    filled, sigma = fill_missing(without(xy, [3], slice(0, 2)), numbers, 60.0)
    alone, wide = fill_missing(without(xy[:2], [3]), numbers[:2], 60.0)
    assert np.allclose(filled[:2], alone)
    assert np.allclose(sigma[:2], wide)


@pytest.mark.parametrize("name", ["mgcn-cmu17", "gaussian-cmu17"])
@pytest.mark.filterwarnings("ignore")
def test_regions_of_joints_that_are_never_found_are_wide_and_hold(name, clip):
    model, xy = prpose.load(name), clip.keypoints_px[:60]
    given = {"layout": "h36m17", "image_size": (clip.camera.width, clip.camera.height), "fps": 60}
    seen, unseen = (model(each, 30, **given) for each in (xy, without(xy, ANKLES)))
    spread = [np.sqrt(np.trace(p.covariance, axis1=2, axis2=3)).mean(0) for p in (seen, unseen)]
    wider = spread[1] / np.maximum(spread[0], 1e-9)
    assert (wider[ANKLES] > 1.5).all()
    assert wider[H36M_17.index("head")] < 0.8 * wider[ANKLES].min()
    assert (unseen.flags[:, ANKLES] == 3).all()
    truth = clip.poses_cam[:60] - clip.poses_cam[:60, :1]
    semi_axes, directions = unseen.regions(0.95)
    off = np.einsum("tjkc,tjc->tjk", directions, truth - unseen.pose) / np.maximum(semi_axes, 1e-9)
    assert ((off**2).sum(-1) <= 1)[:, ANKLES].mean() > 0.85
    whole = np.linalg.norm(unseen.root - clip.poses_cam[:60, 0], axis=-1)
    assert whole.max() < 0.35 * clip.poses_cam[:60, 0, 2].mean()  # the focal length is assumed
