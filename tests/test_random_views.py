import numpy as np
import pytest
import torch

from prpose.data import load_motions
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.data.synthetic.walkers import walker
from prpose.skeleton import H36M_17


@pytest.fixture(scope="module")
def motions():
    return load_motions("walkers", ".", "val")


def batches(views, seed, size=100):
    return list(views.batches(size, (seed, 0)))


def test_seed_fixes_the_batches_and_epochs_differ(motions):
    views = RandomViews(motions, every=10)
    first, again, other = batches(views, 0), batches(views, 0), batches(views, 1)
    for (i, a), (j, b) in zip(first, again, strict=True):
        assert torch.equal(i, j)
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x, y)
    second = list(views.batches(100, (0, 1)))
    rest = list(views.batches(100, (0, 0), start=2))
    assert torch.equal(rest[0][1].keypoints, first[2][1].keypoints)
    assert len(rest) == len(first) - 2
    for one in (other, second):
        assert not torch.equal(first[0][0], one[0][0])
    # Every item once, each time from another side.
    for epoch in (first, second):
        assert torch.cat([i for i, _ in epoch]).sort().values.tolist() == list(range(len(views)))
    by_item = [
        {int(i): x for ids, b in epoch for i, x in zip(ids, b.keypoints, strict=True)} for epoch in (first, second)
    ]
    difference = [float((by_item[0][i] - by_item[1][i]).abs().max()) for i in range(len(views))]
    assert min(difference) > 1e-3


@pytest.mark.parametrize("F", [1, 5])
def test_shapes_and_geometry(F, motions):
    views = RandomViews(motions, F=F, every=30, keypoints="gt")
    (_, batch), *_ = batches(views, 0)
    B = len(batch.clip)
    assert batch.keypoints.shape == (B, F, 17, 2)
    assert batch.target.shape == (B, 1, 17, 3)
    assert not batch.target[:, :, 0].any()
    assert 0.3 < batch.mirrored.float().mean() < 0.7
    # The middle frame's keypoints are the projection of the target, up to the lens.
    points = batch.target[:, 0] + batch.root[:, None]
    plain = points[..., :2] / points[..., 2:] * (1147 / 500)
    assert (batch.keypoints[:, F // 2] - plain).abs().max() < 0.12
    assert (batch.keypoints[:, F // 2] - plain).abs().median() < 0.03
    # y points down, and the head is above the feet.
    assert (batch.target[:, 0, 10, 1] < batch.target[:, 0, 3, 1]).float().mean() > 0.95


def test_the_pose_is_that_of_the_motion(motions):
    """Without changes of body and mirror images: the same distances between joints."""
    views = RandomViews(motions, every=60, proportions=Proportions(0, 0), keypoints="gt")
    for indices, batch in batches(views, 3):
        for k in range(len(indices)):
            motion = motions[int(batch.clip[k])]
            pose = motion.poses_world[int(batch.frame[k])].astype(float)
            if batch.mirrored[k]:
                pose = pose[list(H36M_17.mirror)]
            expected = np.linalg.norm(pose[:, None] - pose[None], axis=-1)
            ours = torch.cdist(batch.target[k, 0], batch.target[k, 0]).numpy()
            assert np.abs(ours - expected).max() < 1e-3


def test_proportions_change_both_sides_alike_and_leave_the_feet_on_the_ground():
    poses = walker("W01", "squat").poses_world[:40].astype(float)[:, None]
    changed = Proportions(0.05, 0.1).change(poses, np.random.default_rng(0))
    parents = H36M_17.parents[1:]
    old, new = (np.linalg.norm(p[:, 0, 1:] - p[:, 0, parents], axis=-1) for p in (poses, changed))
    factor = new / old
    mirror = np.array(H36M_17.mirror)[1:] - 1
    assert np.allclose(factor, factor[:, mirror])
    assert 0.05 < np.log(factor).std() < 0.2
    for p in (poses, changed):
        directions = p[:, 0, 1:] - p[:, 0, parents]
        directions = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        p[:] = 0
        p[:, 0, 1:] = directions
    assert np.allclose(poses, changed)
    source = walker("W01", "squat").poses_world[:40].astype(float)[:, None]
    again = Proportions(0.05, 0.1).change(source, np.random.default_rng(0))
    lowest = [p[..., (3, 6), 2].min(axis=(1, 2)) for p in (source, again)]
    assert np.allclose(*lowest)


def test_detected_keypoints_err_as_the_detector_does(motions):
    kw = {"every": 20, "proportions": Proportions(0, 0), "cameras": RandomCameras(zoom=0)}
    found = batches(RandomViews(motions, **kw), 5)
    truth = batches(RandomViews(motions, keypoints="gt", **kw), 5)
    a, b = found[0][1], truth[0][1]
    for name in ("clip", "mirrored", "root", "target"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    error = (a.keypoints - b.keypoints).norm(dim=-1) * 500
    assert 1 < error.median() < 8
    assert error.quantile(0.99) > 3 * error.median()


def test_invalid_settings_raise(motions):
    for kw, message in [
        ({"motions": []}, "at least one clip"),
        ({"F": 2}, "odd window length, got 2"),
        ({"every": 0}, "got 14 clips and every = 0"),
        ({"keypoints": "cpn"}, "unknown 2D 'cpn'"),
    ]:
        with pytest.raises(ValueError, match=message):
            RandomViews(**({"motions": motions} | kw))
    with pytest.raises(ValueError, match="made of motion capture, got h36m"):
        load_motions("h36m", ".", "train")
