"""Frames at any times: noise, smoothing, and lifters trained at one rate."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize

import prpose
from prpose.config import CONFIDENCE_NOISE, InferenceConfig
from prpose.data import load_clips
from prpose.hub import bundled_models
from prpose.keypoints import Keypoints
from prpose.model import Model
from prpose.postprocess import POINT_ESTIMATES, geometric_median, mean, medoid, reprojection_weights
from prpose.preprocess import preprocess
from prpose.rng import NoiseProcess, noise_rho
from prpose.smoothing import gaussian, one_euro, rts, smooth
from prpose.timing import Schedule, interpolate, schedule
from tests.prediction_files import model_of

SIZE = (1000, 1002)


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "test", actions=("walk",))[0]


@pytest.fixture(scope="module")
def temporal():
    return prpose.load("temporal-cmu17")


def keypoints_of(clip, frames, fps, times_s=None, **kw):
    return Keypoints(clip.keypoints_px[frames], SIZE, "h36m17", fps=fps, times_s=times_s, **kw)


def error_mm(prediction, clip, frames):
    truth = clip.poses_cam[frames] - clip.poses_cam[frames, :1]
    return 1000 * float(np.linalg.norm(prediction.pose - truth, axis=-1).mean())


def test_keypoints_are_resampled_to_the_rate_of_training(clip, temporal):
    assert bundled_models()["temporal-cmu17"].card.fps == 60
    assert bundled_models()["mgcn-cmu17"].card.fps is None
    without = Model(temporal.sampler, dataclasses.replace(temporal.card, fps=None))
    every = np.arange(120)
    best = error_mm(temporal(keypoints_of(clip, every, 60.0), 8), clip, every)
    for step in (2, 3, 6):
        frames = every[::step]
        given = keypoints_of(clip, frames, 60.0 / step)
        found = temporal(given, 8)
        assert error_mm(found, clip, frames) < best + 0.3 * (error_mm(without(given, 8), clip, frames) - best)
        assert found.samples.shape == (8, len(frames), 17, 3)
        assert np.array_equal(found.keypoints_px, clip.keypoints_px[frames])


def test_the_rate_of_training_changes_nothing(clip, temporal):
    without = Model(temporal.sampler, dataclasses.replace(temporal.card, fps=None))
    for rate, times in ((60.0, None), (59.94, None), (60.0, np.arange(30) / 60 + 0.001)):
        given = keypoints_of(clip, slice(0, 30), rate, times)
        a, b = temporal(given, 3), without(dataclasses.replace(given, times_s=None), 3)
        assert np.array_equal(a.samples, b.samples)


def test_resampling_does_not_depend_on_the_size_of_pieces(clip, temporal, monkeypatch):
    times = np.cumsum(np.tile([0.01, 0.07, 0.04], 10))
    given = keypoints_of(clip, slice(0, 60, 2), 25.0, times)
    a = temporal(given, 3)
    monkeypatch.setattr("prpose.model.FRAMES_AT_ONCE", 5)
    b = temporal(given, 3)
    assert np.allclose(a.samples, b.samples, atol=1e-4)
    assert np.array_equal(a.times_s, times)


def test_a_long_gap_is_not_lifted_frame_by_frame(clip):
    times = np.concatenate([np.arange(10) / 30, 3600 + np.arange(10) / 30])
    given = keypoints_of(clip, slice(0, 20), 30.0, times, frame_numbers=np.r_[:10, 108000:108010])
    plan = schedule(preprocess(given, 5, False, False), 30.0, InferenceConfig(), F=27, trained_fps=60.0)
    assert len(plan.keypoints.xy) == 18 + 27 + 18 + 1
    assert plan.positions.tolist() == [*range(0, 20, 2), *range(45, 65, 2)]


def test_interpolated_pieces_match_the_whole():
    poses = normal(2, 23, 17, 3)
    positions = np.array([0.0, 0.4, 1.0, 6.999, 7.0, 7.5, 13.25, 21.9, 22.0])
    expected = interpolate(poses, positions)
    for t, position in enumerate(positions):
        low, share = int(position), position % 1
        by_hand = (1 - share) * poses[:, low] + share * poses[:, min(low + 1, 22)]
        assert np.allclose(expected[:, t], by_hand, atol=1e-6)
    for size in (1, 2, 7, 23):
        pieces = ((slice(s, min(s + size, 23)), poses[:, s : s + size]) for s in range(0, 23, size))
        got = list(Schedule(None, [0.0], positions).resample(pieces))
        assert [n for frames, _ in got for n in range(frames.start, frames.stop)] == [*range(9)]
        assert np.allclose(np.concatenate([part for _, part in got], axis=1), expected)


def test_noise_decorrelates_over_seconds_not_frames():
    steps = np.tile([1 / 30, 1 / 3], 20)
    rho = [noise_rho("ar1", 1 / step, 0.25) for step in steps]
    noise = NoiseProcess((20000, 1, 1), rho, 0).next(41)
    for t in (4, 5):
        found = float((noise[:, t] * noise[:, t + 1]).mean())
        assert found == pytest.approx(np.exp(-steps[t] / 0.25), abs=0.03)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_uneven_frames_have_uneven_noise_correlation(clip):
    def rho(fps, times_s=None, **kw):
        given = keypoints_of(clip, slice(0, 5), fps, times_s, **kw)
        plan = schedule(preprocess(given, 5, False, False), fps, InferenceConfig())
        assert plan.positions is None
        return plan.rho

    times = np.array([0, 0.03, 0.06, 5.0, 5.03])
    assert np.allclose(rho(30.0, times), np.exp(-np.diff(times) / 0.25))
    assert rho(30.0, np.arange(5) / 30 + 7) == [InferenceConfig().rho(30.0)]
    gap = rho(30.0, frame_numbers=np.array([0, 1, 2, 92, 93]))
    assert np.allclose(gap, np.exp(-np.array([1, 1, 90, 1]) / 30 / 0.25))
    assert rho(30.0, frame_numbers=np.arange(0, 25, 5)) == [InferenceConfig().rho(6.0)]
    assert rho(None) == [0]


@pytest.mark.filterwarnings("ignore")
def test_interpolated_keypoints_are_less_certain_but_not_lost(clip):
    xy = clip.keypoints_px[:9].copy()
    xy[4, 13] = np.nan
    confidence = np.full(xy.shape[:2], 0.99, np.float32)
    confidence[7, 13] = 0.001
    prediction = model_of()(Keypoints(xy, SIZE, "h36m17", confidence, 60.0), 400)
    detected, interpolated, lost = np.sqrt(prediction.covariance[[3, 4, 7], 13].trace(axis1=-2, axis2=-1))
    assert detected < interpolated < 0.5 * lost


def test_smoothing_leaves_a_straight_motion_at_uneven_times():
    times = np.cumsum(np.tile([0.01, 0.05, 0.03], 20))
    line = np.tile(times[:, None, None], (1, 17, 3))
    given = SimpleNamespace(times_s=times, frame_numbers=np.arange(60))
    assert np.allclose(smooth(line, "gaussian", given, 1 / 0.03)[5:-5], line[5:-5], atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_smoothing_stops_at_a_pause(clip):
    frames = np.r_[0:10, 100:110]
    times = np.concatenate([np.arange(10) / 30, 5 + np.arange(10) / 30])
    config = InferenceConfig(smooth="gaussian")
    whole = model_of()(keypoints_of(clip, frames, 30.0, times), 4, config=config)
    alone = model_of()(keypoints_of(clip, frames[:10], 30.0, times[:10]), 4, config=config)
    even = model_of()(keypoints_of(clip, frames, 30.0), 4, config=config)
    offsets = [np.abs(prediction.pose[9] - alone.pose[9]).max() for prediction in (whole, even)]
    assert offsets[0] < 0.05 * offsets[1]


@pytest.mark.filterwarnings("ignore")
def test_confidences_widen_the_noise_by_default_where_they_lie_in_0_to_1(clip):
    given, model, found = keypoints_of(clip, slice(0, 5), 30.0), model_of(), {}
    for name, value, scale in (
        *(("none", None, None), ("default", 0.5, None), ("explicit", 0.5, CONFIDENCE_NOISE)),
        *(("off", 0.5, 0.0), ("other unit", 5.0, None), ("certain", 1.0, None)),
    ):
        confidence = None if value is None else np.full((5, 17), value, np.float32)
        config = InferenceConfig(confidence_noise=scale)
        prediction = model(dataclasses.replace(given, confidence=confidence), 3, config=config)
        found[name] = prediction.samples
        warned = any("confidences range from 5.00 to 5.00, not from 0 to 1" in text for text in prediction.warnings)
        assert warned == (name == "other unit")
    assert np.array_equal(found["default"], found["explicit"])
    assert not np.array_equal(found["default"], found["none"])
    for name in ("off", "other unit", "certain"):
        assert np.array_equal(found[name], found["none"]), name


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("estimate", POINT_ESTIMATES.values())
@pytest.mark.parametrize("shape", [(1,), (2, 70)])
def test_point_estimate_axioms(estimate, shape):
    """Any leading axes; of equal samples it is that pose; equivariant to order, translation and scale."""
    poses = normal(7, *shape, 17, 3)
    one = estimate(poses)
    assert one.shape == (*shape, 17, 3)
    assert np.allclose(estimate(poses[:1].repeat(5, axis=0)), poses[0])
    assert np.allclose(estimate(poses[::-1]), one)
    assert np.allclose(estimate(2 * poses + 3), 2 * one + 3, atol=1e-4)
    assert np.allclose(np.stack([estimate(poses[:, i]) for i in range(shape[0])]), one)


def test_medoid_is_the_sample_nearest_to_all():
    poses = normal(9, 4, 17, 3)
    chosen = medoid(poses)
    for t in range(4):
        away = [[np.linalg.norm(a - b, axis=-1).mean() for b in poses[:, t]] for a in poses[:, t]]
        assert np.array_equal(chosen[t], poses[int(np.argmin(np.sum(away, axis=1))), t])


def test_geometric_median_matches_scipy_and_is_robust_to_an_outlier():
    poses = normal(9, 1, 2, 3)
    found = geometric_median(poses, iterations=200)
    for j in range(2):
        points = poses[:, 0, j]
        best = minimize(lambda x, p=points: np.linalg.norm(p - x, axis=-1).sum(), points.mean(0))
        assert np.allclose(found[0, j], best.x, atol=1e-3)
    far = poses.copy()
    far[0] += 100
    assert np.linalg.norm(geometric_median(far) - geometric_median(poses)) < 2
    assert np.linalg.norm(mean(far) - mean(poses)) > 20


def test_weighted_mean():
    poses = normal(3, 5, 17, 3)
    weights = np.zeros((3, 5))
    weights[1] = 2.0
    assert np.allclose(mean(poses, weights), poses[1])
    assert np.allclose(mean(poses, 0 * weights), mean(poses))
    errors = np.array([[1.0], [1.0], [2.0], [0.0]])
    found = reprojection_weights(errors)[:, 0]
    assert found.tolist() == pytest.approx([0.6065, 0.6065, 0.1353, 1.0], abs=1e-4)


def test_gaussian_matches_explicit_convolution():
    poses = normal(50, 17, 3)
    weights = np.exp(-((np.arange(-9, 10) / 3) ** 2) / 2)
    padded = np.pad(poses, ((9, 9), (0, 0), (0, 0)), mode="edge")
    expected = np.stack([(padded[t : t + 19] * (weights / weights.sum())[:, None, None]).sum(0) for t in range(50)])
    assert np.allclose(gaussian(poses, 60.0, 0.05), expected)


def test_one_euro_matches_the_paper_step_by_step():
    x = [0.0, 0.1, 0.05, 0.3, 0.2]

    def alpha(cutoff, fps):
        return 1 / (1 + fps / (2 * math.pi * cutoff))

    out, speed = x[0], 0.0
    expected = [out]
    for value in x[1:]:
        speed += alpha(1.0, 30) * ((value - out) * 30 - speed)
        out += alpha(0.7 + 2.0 * abs(speed), 30) * (value - out)
        expected.append(out)
    poses = np.tile(np.array(x)[:, None, None], (1, 2, 3))
    found = one_euro(poses, 30.0, 0.7, 2.0)
    assert np.allclose(found[:, 1, 2], expected)
    noisy = normal(20, 17, 3)
    assert np.array_equal(one_euro(noisy, 60.0)[:10], one_euro(noisy[:10], 60.0))  # causal


def test_rts_smoother_is_the_mean_of_the_gaussian_that_it_states():
    """Against the posterior of the whole series at once, by dense linear algebra."""
    generator = np.random.default_rng(0)
    times = np.cumsum(generator.uniform(0.01, 0.05, 30))
    values = np.cumsum(generator.normal(0, 0.02, (30, 1, 1)), axis=0).repeat(3, axis=2)
    variance = generator.uniform(0.5, 2.0, (30, 1, 1)).repeat(3, axis=2)
    x = values[:, 0, 0]
    sigma = np.median(np.abs(np.diff(x, 4))) / 0.6745 / 70**0.5
    relative = variance[:, 0, 0] / np.median(variance[:, 0, 0])
    prior = np.zeros((60, 60))
    prior[:2, :2] = np.diag([1e4, 100.0])  # nothing is known of the place before the first observation
    for t, dt in enumerate(np.diff(times), start=1):
        move, now, before = np.array([[1, dt], [0, 1]]), slice(2 * t, 2 * t + 2), slice(2 * t - 2, 2 * t)
        drift = 2.0 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        prior[now, : 2 * t] = move @ prior[before, : 2 * t]
        prior[: 2 * t, now] = prior[now, : 2 * t].T
        prior[now, now] = move @ prior[before, before] @ move.T + drift
    observed = prior[::2, ::2] + np.diag(sigma**2 * relative)
    expected = prior[::2, ::2] @ np.linalg.solve(observed, x - x[0]) + x[0]
    assert np.allclose(rts(values, times, variance)[:, 0, 0], expected, atol=2e-4)


def test_rts_smoother_leaves_straight_lines_and_damps_noise():
    times = np.arange(100) / 50
    line = times[:, None, None] * np.array([[[1.0, -2.0, 0.5]]])
    equal = np.ones_like(line)
    assert np.allclose(rts(line, times, equal), line, atol=1e-5)
    noisy = line + 0.02 * normal(*line.shape)
    smoothed = rts(noisy, times, equal)
    assert np.linalg.norm(smoothed - line) < 0.5 * np.linalg.norm(noisy - line)
    uncertain = equal.copy()
    noisy[50] += 0.2
    uncertain[50] = 50
    off, off_equal = (np.linalg.norm(rts(noisy, times, each)[50] - line[50]) for each in (uncertain, equal))
    assert off < 0.3 * off_equal
    assert np.array_equal(rts(noisy[:8], times[:8], equal[:8]), noisy[:8])


@pytest.mark.parametrize("fps", [25, 30, 60])
def test_rts_smoother_keeps_fast_motion(fps):
    times = np.arange(3 * fps) / fps
    swing = np.tile(0.3 * np.sin(2 * np.pi * 1.5 * times)[:, None, None], (1, 1, 3))
    assert np.abs(rts(swing, times, np.ones_like(swing)) - swing)[fps:-fps].max() < 0.01
