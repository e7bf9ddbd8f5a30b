"""Frames at any times: noise, smoothing, and lifters that have learnt one rate."""

import dataclasses

import numpy as np
import pytest
import torch

from prpose import build_lifter, build_variance_net
from prpose.config import CONFIDENCE_NOISE, InferenceConfig
from prpose.data import load_clips
from prpose.hub import bundled_models
from prpose.keypoints import Keypoints, read_npz_keypoints, write_keypoints
from prpose.model import Model
from prpose.noise import AdaptiveNoise, NoiseProcess, noise_rho
from prpose.preprocess import fill_gaps, prepare
from prpose.sampler import Sampler
from prpose.timing import Timing, evened, interpolated, timing

SIZE = (1000, 1002)


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "test", actions=("walk",))[0]


@pytest.fixture(scope="module")
def net():
    return Model.load("temporal-cmu17")


def track(clip, frames, fps, times=None):
    return Keypoints(clip.keypoints_px[frames], *SIZE, layout="h36m17", fps=fps, times_s=times)


def small():
    torch.manual_seed(0)
    noise = AdaptiveNoise(build_variance_net("mgcn_lw"), 0.01)
    return Model(Sampler(build_lifter("mgcn_lw").eval(), noise.eval()).eval())


def error_mm(poses, clip, frames):
    truth = clip.poses_cam[frames] - clip.poses_cam[frames, :1]
    return 1000 * float(np.linalg.norm(poses.pose - truth, axis=-1).mean())


def test_a_lifter_of_several_frames_gets_the_rate_that_it_learnt(clip, net):
    """Every second, third and sixth frame are lifted nearly as well as all; as they are, worse."""
    assert bundled_models()["temporal-cmu17"].card.fps == 60
    assert bundled_models()["mgcn-cmu17"].card.fps is None
    blind = Model(net.net, dataclasses.replace(net.card, fps=None))
    every = np.arange(120)
    whole, _ = net.predict_track(track(clip, every, 60.0), 8, 0, InferenceConfig())
    for step in (2, 3, 6):
        frames = every[::step]
        given = track(clip, frames, 60.0 / step)
        found, _ = net.predict_track(given, 8, 0, InferenceConfig())
        bare, _ = blind.predict_track(given, 8, 0, InferenceConfig())
        best = error_mm(whole, clip, every)
        assert error_mm(found, clip, frames) < best + 0.3 * (error_mm(bare, clip, frames) - best)
        assert found.samples.shape == (8, len(frames), 17, 3)
        assert np.array_equal(found.keypoints_px, clip.keypoints_px[frames])


def test_its_own_rate_changes_nothing(clip, net):
    blind = Model(net.net, dataclasses.replace(net.card, fps=None))
    for rate, times in ((60.0, None), (59.94, None), (60.0, np.arange(30) / 60 + 0.001)):
        given = track(clip, slice(0, 30), rate, times)
        a, _ = net.predict_track(given, 3, 0, InferenceConfig())
        b, _ = blind.predict_track(dataclasses.replace(given, times_s=None), 3, 0, InferenceConfig())
        assert np.array_equal(a.samples, b.samples)


def test_pieces_at_another_rate_make_one_whole(clip, net, monkeypatch):
    times = np.cumsum(np.tile([0.01, 0.07, 0.04], 10))
    given = track(clip, slice(0, 60, 2), 25.0, times)
    a, _ = net.predict_track(given, 3, 0, InferenceConfig())
    monkeypatch.setattr("prpose.model.FRAMES_AT_ONCE", 5)
    b, _ = net.predict_track(given, 3, 0, InferenceConfig())
    assert np.allclose(a.samples, b.samples, atol=1e-4)
    assert np.array_equal(a.times_s, times)


def test_a_long_absence_is_not_lifted_frame_by_frame(clip):
    times = np.concatenate([np.arange(10) / 30, 3600 + np.arange(10) / 30])
    given = dataclasses.replace(track(clip, slice(0, 20), 30.0, times),
                                frames=np.r_[:10, 108000:108010])  # fmt: skip
    when = timing(prepare(given), 30.0, InferenceConfig(), F=27, learnt_fps=60.0)
    assert len(when.ready.keypoints_px) == 18 + 27 + 18 + 1
    assert when.positions.tolist() == [*range(0, 20, 2), *range(45, 65, 2)]


def test_samples_of_pieces_are_those_of_the_whole():
    poses = torch.randn(2, 23, 17, 3)
    positions = np.array([0.0, 0.4, 1.0, 6.999, 7.0, 7.5, 13.25, 21.9, 22.0])
    expected = interpolated(poses, positions)
    for t, position in enumerate(positions):
        low, share = int(position), position % 1
        by_hand = (1 - share) * poses[:, low] + share * poses[:, min(low + 1, 22)]
        assert torch.allclose(expected[:, t], by_hand, atol=1e-6)
    for size in (1, 2, 7, 23):
        pieces = ((slice(s, min(s + size, 23)), poses[:, s : s + size])
                  for s in range(0, 23, size))  # fmt: skip
        when = Timing(None, 0.0, positions)
        got = list(when.sampled(pieces))
        assert [n for frames, _ in got for n in range(frames.start, frames.stop)] == [*range(9)]
        assert torch.allclose(torch.cat([part for _, part in got], dim=1), expected)


def test_noise_is_forgotten_over_seconds():
    """After 1/30 s more is left than after 1/3 s, whatever the number of frames."""
    steps = np.tile([1 / 30, 1 / 3], 20)
    keep = [noise_rho("ar1", 1 / step, 0.25) for step in steps]
    noise = NoiseProcess((20000, 1, 1), keep, torch.Generator().manual_seed(0)).next(41)
    for t in (4, 5):
        found = float((noise[:, t] * noise[:, t + 1]).mean())
        assert found == pytest.approx(np.exp(-steps[t] / 0.25), abs=0.03)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_an_uneven_track_has_uneven_noise(clip):
    times = np.array([0, 0.03, 0.06, 5.0, 5.03])
    when = timing(prepare(track(clip, slice(0, 5), 30.0, times)), 30.0, InferenceConfig())
    assert when.positions is None
    assert np.allclose(when.rho, np.exp(-np.diff(times) / 0.25))
    even = timing(prepare(track(clip, slice(0, 5), 30.0, np.arange(5) / 30 + 7)), 30.0, InferenceConfig())
    assert even.rho == InferenceConfig().rho(30.0)
    away = dataclasses.replace(track(clip, slice(0, 5), 30.0), frames=np.array([0, 1, 2, 92, 93]))
    when = timing(prepare(away), 30.0, InferenceConfig())
    assert np.allclose(when.rho, np.exp(-np.array([1, 1, 90, 1]) / 30 / 0.25))
    fifth = dataclasses.replace(away, frames=np.arange(0, 25, 5))
    assert timing(prepare(fifth), 30.0, InferenceConfig()).keep == InferenceConfig().rho(6.0)
    unknown = timing(prepare(track(clip, slice(0, 5), None)), None, InferenceConfig())
    assert unknown.rho == 0


def test_a_pause_is_where_it_is_for_a_lifter_of_several_frames_too(clip, monkeypatch):
    """Whose noise begins with frames that stand for those before the first."""
    noise = AdaptiveNoise(build_variance_net("mgcn_lw"), 0.01)
    lifter = build_lifter("temporal", channels=8, filter_widths=(3, 3))  # 4 frames on each side
    net = Model(Sampler(lifter.eval(), noise.eval()).eval())
    given: list[list[float]] = []

    class Spy(NoiseProcess):
        def __init__(self, shape, keep, generator):
            given.append(list(keep))
            super().__init__(shape, keep, generator)

    monkeypatch.setattr("prpose.model.NoiseProcess", Spy)
    times = np.array([0, 1, 2, 603, 604, 605]) / 60  # 10 s between frames 2 and 3
    net.predict_track(track(clip, np.arange(6), 60.0, times), 2, 0, InferenceConfig())
    assert np.argmin(given[0]) == 4 + 2
    assert len(given[0]) == 4 + 5


def test_what_was_filled_in_is_less_sure_but_not_lost(clip):
    pixels = clip.keypoints_px[:9].copy()
    pixels[4, 13] = np.nan
    score = np.full(pixels.shape[:2], 0.99, np.float32)
    score[7, 13] = 0.001
    given = Keypoints(pixels, *SIZE, layout="h36m17", fps=60.0, score=score)
    poses, _ = small().predict_track(given, 400, 0, InferenceConfig(confidence_noise=0.03))
    seen, filled, lost = np.sqrt(poses.covariance[[3, 4, 7], 13].trace(axis1=-2, axis2=-1))
    assert seen < filled < 0.5 * lost


def test_smoothing_by_the_clock(clip):
    """Poses at uneven times are smoothed as at even ones: a straight motion stays what it is."""
    times = np.cumsum(np.tile([0.01, 0.05, 0.03], 20))
    line = torch.from_numpy(times)[:, None, None].expand(-1, 17, 3).contiguous()
    even, positions = evened(line, times, 1 / 0.03)
    assert np.allclose(np.diff(even[:-1, 0, 0]), 0.03, atol=1e-6)
    assert torch.allclose(interpolated(even, positions)[:-1], line[:-1], atol=1e-6)
    given = track(clip, np.arange(60) * 2, 1 / 0.03, times)
    rough, _ = small().predict_track(given, 4, 0, InferenceConfig())
    smooth, _ = small().predict_track(given, 4, 0, InferenceConfig(smooth="gaussian"))
    bent = [np.abs(np.diff(np.diff(p.pose, axis=0) / np.diff(times)[:, None, None], axis=0))
            for p in (rough, smooth)]  # fmt: skip
    assert bent[1].mean() < 0.5 * bent[0].mean()


def test_smoothing_does_not_reach_across_a_pause(clip):
    """Frames 5 s apart are neighbours by number only."""
    frames = np.r_[0:10, 100:110]
    times = np.concatenate([np.arange(10) / 30, 5 + np.arange(10) / 30])
    how = InferenceConfig(smooth="gaussian")
    whole, _ = small().predict_track(track(clip, frames, 30.0, times), 4, 0, how)
    alone, _ = small().predict_track(track(clip, frames[:10], 30.0, times[:10]), 4, 0, how)
    plain, _ = small().predict_track(track(clip, frames, 30.0), 4, 0, how)
    away = [np.abs(p.pose[9] - alone.pose[9]).max() for p in (whole, plain)]
    assert away[0] < 0.05 * away[1]


def test_gaps_are_filled_by_the_clock(clip):
    pixels = clip.keypoints_px[:5].copy()
    pixels[2, 13] = np.nan
    times = np.array([0, 0.1, 0.4, 0.5, 0.6])
    given = Keypoints(pixels, *SIZE, layout="h36m17", fps=8.0, times_s=times)
    filled, marks = fill_gaps(given, 5)
    way = pixels[3, 13] - pixels[1, 13]
    assert np.allclose(filled.keypoints_px[2, 13], pixels[1, 13] + 0.75 * way, atol=1e-3)
    assert marks.sum() == 1
    late = dataclasses.replace(given, frames=np.array([0, 1, 4, 5, 6]), times_s=times)
    filled, _ = fill_gaps(late, 5)
    assert np.allclose(filled.times_s, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_times_are_kept_by_files(clip, tmp_path):
    given = track(clip, slice(0, 4), 30.0, np.array([0.5, 0.6, 0.9, 1.0]))
    write_keypoints(tmp_path / "t.npz", given)
    found = read_npz_keypoints(tmp_path / "t.npz")
    assert np.array_equal(found.times_s, given.times_s)


def test_confidences_count_by_default_where_they_are_from_0_to_1(clip):
    given, net, found = track(clip, slice(0, 5), 30.0), small(), {}
    for name, value, scale in (
        *(("none", None, None), ("default", 0.5, None), ("said", 0.5, CONFIDENCE_NOISE)),
        *(("off", 0.5, 0.0), ("other unit", 5.0, None), ("sure", 1.0, None)),
    ):
        score = None if value is None else np.full((5, 17), value, np.float32)
        how = InferenceConfig(confidence_noise=scale)
        with_score = dataclasses.replace(given, score=score)
        poses, notes = net.predict_track(with_score, 3, 0, how)
        found[name] = poses.samples
        said = any("confidences are from 5.00 to 5.00, not from 0 to 1" in note for note in notes)
        assert said == (name == "other unit")
        assert poses.warnings == notes
    assert np.array_equal(found["default"], found["said"])
    assert not np.array_equal(found["default"], found["none"])
    for name in ("off", "other unit", "sure"):
        assert np.array_equal(found[name], found["none"]), name


@pytest.mark.parametrize("times", [[0, 1, 1, 2], [0, 1, np.nan, 3], [0, 1], [3, 2, 1, 0]])
def test_times_that_are_none_are_refused(times, clip):
    with pytest.raises(ValueError, match="times"):
        track(clip, slice(0, 4), 30.0, np.array(times, float))
