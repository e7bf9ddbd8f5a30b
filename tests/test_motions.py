import numpy as np
import pytest
import torch
from prpose.evaluation.motions import VALUES, score_motions

from prpose import build_lifter, metrics
from prpose.data import load_clips
from prpose.lifter import padded
from prpose.noise import ConstantNoise, noise_rho
from prpose.sampler import Sampler


@pytest.fixture(scope="module")
def clips():
    return load_clips("walkers", ".", "val", actions=("wave", "squat"))[:3]


@pytest.fixture(scope="module", params=["mgcn_lw", "temporal", "causal"])
def net(request):
    torch.manual_seed(0)
    small = {"channels": 8, "filter_widths": (3, 3)}
    kw = {"temporal": small, "causal": small | {"causal": True}}.get(request.param, {})
    lifter = build_lifter("mgcn_lw" if not kw else "temporal", **kw)
    return Sampler(lifter.eval(), ConstantNoise(0.02))


def test_there_is_a_value_for_every_frame_and_the_best_motion_is_best(clips, net):
    scores = score_motions(net, clips, 4, 0, lambda fps: 0.5)
    assert set(scores) == set(VALUES)
    for name, values in scores.items():
        lost = 2 * len(clips) if name.startswith("acceleration") else 0
        assert values.shape == (sum(map(len, clips)) - lost,)
        assert values.isfinite().all()
    assert scores["P1 of the best of a clip"].mean() <= scores["P1 of a hypothesis"].mean()
    assert scores["energy score"].mean() > 0


def test_shared_noise_trembles_least(clips, net):
    error = {}
    for kind in KINDS:
        scores = score_motions(net, clips, 4, 0, lambda fps, kind=kind: noise_rho(kind, fps))
        error[kind] = float(scores["acceleration error of a hypothesis"].mean())
    assert error["shared"] < error["ar1"] < error["iid"]


def test_the_single_answer_is_that_of_a_padded_clip(clips, net):
    scores = score_motions(net, clips[:1], 2, 0, lambda fps: 0.0)
    clip = clips[0]
    x = torch.from_numpy(clip.keypoints_px / 500 - [1, clip.camera.height / 1000]).float()
    keypoints = padded(x[None], net.lifter)
    with torch.no_grad():
        poses = net.deterministic(keypoints)[0]
    truth = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])
    assert torch.allclose(scores["P1 single"], metrics.mpjpe(poses, truth), atol=1e-5)


def test_acceleration_errors_are_second_differences():
    rng = np.random.default_rng(0)
    poses, truth = rng.standard_normal((2, 6, 17, 3))
    by_hand = [
        np.linalg.norm(
            (poses[t - 1] - 2 * poses[t] + poses[t + 1]) - (truth[t - 1] - 2 * truth[t] + truth[t + 1]),
            axis=-1,
        ).mean()
        * 50**2
        for t in range(1, 5)
    ]
    found = metrics.acceleration_error(torch.from_numpy(poses), torch.from_numpy(truth), 50.0)
    assert np.allclose(found.numpy(), by_hand)
    drift = torch.arange(6.0)[:, None, None] * torch.ones(17, 3)  # of constant velocity
    assert metrics.acceleration_error(drift + 3, 0 * drift, 50.0).abs().max() < 1e-3
    with pytest.raises(ValueError, match="expected at least three frames"):
        metrics.acceleration_error(drift[:2], drift[:2], 50.0)


def test_mistakes_are_named(clips, net):
    with pytest.raises(ValueError, match="expected S >= 2"):
        score_motions(net, clips, 1, 0, lambda fps: 0.0)
    still = clips[0].__class__(**{**vars(clips[0]), "fps": None})
    with pytest.raises(ValueError, match="expected three frames or more, and a frame rate"):
        score_motions(net, [still], 2, 0, lambda fps: 0.0)
