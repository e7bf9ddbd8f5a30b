import dataclasses

import numpy as np
import pytest
import torch

from prpose import build_lifter, build_variance_net
from prpose.config import CHOICES, InferenceConfig
from prpose.data import load_clips
from prpose.keypoints import Keypoints
from prpose.model import Model
from prpose.noise import AdaptiveNoise, ConstantNoise, NoiseProcess
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17, mirror_pose

SMALL = {"channels": 8, "filter_widths": (3, 3)}


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "test", actions=("wave",))[0]


def predictor(name="mgcn_lw", **kw):
    torch.manual_seed(0)
    noise = AdaptiveNoise(build_variance_net("mgcn_lw"), 0.01)
    return Model(Sampler(build_lifter(name, **kw).eval(), noise.eval()).eval())


def size(clip):
    return clip.camera.width, clip.camera.height


@pytest.mark.parametrize(("name", "kw"), [("mgcn_lw", {}), ("temporal", SMALL),
                                          ("temporal", SMALL | {"causal": True})])  # fmt: skip
def test_pieces_of_a_track_make_one_whole(name, kw, clip, monkeypatch):
    """Noise and windows go on where a piece ends: the same poses for any size of pieces."""
    net = predictor(name, **kw)
    pixels = clip.keypoints_px[:70]
    a = net.predict(pixels, size(clip), hypotheses=4, seed=1, fps=60)
    monkeypatch.setattr("prpose.model.FRAMES_AT_ONCE", 7)
    b = net.predict(pixels, size(clip), hypotheses=4, seed=1, fps=60)
    for field in ("hypotheses", "aggregate", "single", "covariance", "root_cam"):
        assert np.allclose(getattr(a, field), getattr(b, field), atol=1e-4), field
    assert a.samples.shape == (4, 70, 17, 3)


def test_the_noise_stream_is_one_whole_and_correlates():
    def stream():
        return NoiseProcess((3, 2, 1, 5, 2), 0.8, torch.Generator().manual_seed(0))

    one, many = stream().next(9), stream()
    assert torch.equal(torch.cat([many.next(n) for n in (2, 4, 3)], dim=-3), one)
    noise = NoiseProcess((4000, 1, 2), 0.8, torch.Generator().manual_seed(0)).next(4)
    assert float((noise[:, 1:] * noise[:, :-1]).mean()) == pytest.approx(0.8, abs=0.03)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_somebody_is_put_where_they_are(clip):
    """With true intrinsics and a lifter that knows, within centimetres of some metres."""
    true = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])[:40]

    class Oracle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, keypoints):
            half = keypoints.shape[0] // 2
            poses = true.expand(half, *true.shape).clone()
            return torch.cat([poses, mirror_pose(poses, H36M_17.mirror)])

    net = Model(Sampler(Oracle(), ConstantNoise(0.0)))
    (fx, fy), (cx, cy) = clip.camera.focal_px, clip.camera.center_px
    track = Keypoints(clip.keypoints_px[:40], *size(clip), layout="h36m17", fps=60.0)
    poses, _ = net.predict_track(track, 2, 0, InferenceConfig(intrinsics=(fx, fy, cx, cy)))
    off = np.linalg.norm(poses.root - clip.poses_cam[:40, 0], axis=-1)
    assert off.max() < 0.05 * clip.poses_cam[:40, 0, 2].mean()
    deviation = np.sqrt(poses.root_covariance[:, 2, 2])
    assert (off < 5 * deviation + 0.05).all()


def test_choices_and_smoothing(clip):
    net = predictor()
    track = Keypoints(clip.keypoints_px[:20], *size(clip), layout="h36m17", fps=60.0)
    found = {}
    for choice in CHOICES:
        poses, _ = net.predict_track(track, 6, 0, InferenceConfig(point_estimate=choice))
        assert poses.point_estimate == choice
        found[choice] = poses.pose
    assert np.allclose(found["mean"], poses.samples.mean(0), atol=1e-5)
    assert np.array_equal(found["single"], poses.deterministic)
    assert not np.allclose(found["medoid"], found["mean"])
    smooth, _ = net.predict_track(track, 6, 0, InferenceConfig(smooth="gaussian"))
    assert smooth.point_estimate == "single, gaussian"
    assert np.abs(np.diff(smooth.pose, 2, axis=0)).mean() < 0.5 * np.abs(np.diff(found["single"], 2, axis=0)).mean()
    with pytest.raises(ValueError, match="expected frames per second, to smooth by; got none"):
        net.predict_track(dataclasses.replace(track, fps=None), 6, 0, InferenceConfig(smooth="gaussian"))


def test_fewer_hypotheses_may_be_kept(clip):
    net = predictor()
    track = Keypoints(clip.keypoints_px[:5], *size(clip), layout="h36m17", fps=60.0)
    whole, _ = net.predict_track(track, 6, 0, InferenceConfig())
    few, _ = net.predict_track(track, 6, 0, InferenceConfig(save_samples=2))
    none, _ = net.predict_track(track, 6, 0, InferenceConfig(save_samples="none"))
    assert np.array_equal(few.samples, whole.samples[:2])
    assert none.samples is None
    assert np.array_equal(none.covariance, whole.covariance)


def test_low_confidence_widens_and_is_flagged(clip):
    net = predictor()
    pixels = clip.keypoints_px[:10]
    score = np.ones(pixels.shape[:2], np.float32)
    score[:, 13] = 0.1
    kw = {"hypotheses": 40, "score": score, "fps": 60}
    plain = net.predict(pixels, size(clip), **kw)
    wide = net.predict(pixels, size(clip), **kw, config=InferenceConfig(confidence_noise=0.05))
    spread = [poses.covariance[:, 13].trace(axis1=-2, axis2=-1).mean() for poses in (plain, wide)]
    assert spread[1] > 1.5 * spread[0]
    assert (plain.flags[:, 13] == 1).all()
    assert (plain.flags[:, 12] == 0).all()


def test_what_was_mended_is_warned_of(clip):
    pixels = clip.keypoints_px[:9].copy()
    pixels[4, 13] = np.nan
    with pytest.warns(UserWarning, match="filled in by straight lines: left_wrist in 1 frames"):
        poses = predictor().predict(pixels, size(clip), hypotheses=2)
    assert poses.flags[4, 13] == 2
    assert poses.flags.sum() == 2


@pytest.mark.parametrize(("name", "kw"), [("mgcn_lw", {}), ("temporal", SMALL | {"causal": True})])
def test_a_stream_gives_what_a_track_gives(name, kw, clip):
    """Where no frame of the future is wanted; the noise is the same, too."""
    net = predictor(name, **kw)
    pixels = clip.keypoints_px[:12]
    track = net.predict(pixels, size(clip), hypotheses=3, seed=5, fps=60)
    stream = net.stream(size(clip), hypotheses=3, seed=5, fps=60)
    steps = [stream.step(frame) for frame in pixels]
    single = np.concatenate([step.deterministic for step in steps])
    assert np.allclose(single, track.deterministic, atol=1e-5)
    assert all(step.samples.shape == (3, 1, 17, 3) for step in steps)
    if not kw:
        hypotheses = np.concatenate([step.samples for step in steps], axis=1)
        assert np.allclose(hypotheses, track.samples, atol=1e-5)


def test_a_stream_does_not_wait_for_the_future(clip):
    net = predictor("temporal", **SMALL)
    stream = net.stream(size(clip), hypotheses=3, fps=60)
    first = stream.step(clip.keypoints_px[0])
    still = net.predict(clip.keypoints_px[:1], size(clip), hypotheses=3)
    assert np.allclose(first.deterministic, still.deterministic, atol=1e-5)
    assert stream.step(clip.keypoints_px[1]).root.shape == (1, 3)
    for wrong, message in (
        ({"hypotheses": 1}, "expected S >= 2 hypotheses"),
        ({"how": InferenceConfig(point_estimate="mena")}, "unknown choice of one pose 'mena'"),
        (
            {"hypotheses": 3, "how": InferenceConfig(save_samples=4)},
            "expected save_samples up to 3, got 4",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            net.stream(size(clip), **wrong)


def test_a_stream_remembers_that_confidences_are_in_units_of_their_own(clip):
    """As a track's, which are looked at together: AlphaPose's go from 0 to 6."""
    net, pixels = predictor(), clip.keypoints_px[:2]
    plain, own = (net.stream(size(clip), hypotheses=3, fps=60) for _ in range(2))
    for frame, score in zip(pixels, (5.0, 0.5), strict=True):
        expected = plain.step(frame)
        found = own.step(frame, np.full(17, score))
        assert np.array_equal(found.samples, expected.samples)
