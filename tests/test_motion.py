from dataclasses import replace

import numpy as np
import pytest

from prpose.data.motion import Cleaning, Motion, check_sides, cut, resample
from prpose.data.synthetic.walkers import MOVES, walker


def walking(T=480):
    """Smooth and never still, 120 fps."""
    phases = np.random.default_rng(0).uniform(0, 6, (17, 3))
    return np.sin(np.arange(T)[:, None, None] / 60 + phases)


def pieces(poses, fps=120.0, **kw):
    return [(s.start, s.stop) for s in Cleaning(**kw).pieces(poses, fps)]


def test_good_recording_is_one_piece():
    assert pieces(walking()) == [(0, 480)]
    for motion in (walker(subject, action) for subject in ("W01", "W05") for action in MOVES):
        assert Cleaning().good(motion.poses_world, motion.fps).all()


def test_frozen_frames_and_jumps_with_a_margin_are_dropped():
    poses = walking()
    poses[200:230] = poses[200]
    assert pieces(poses) == [(0, 200), (236, 480)]  # where it goes on, it jumps
    poses[300:302] = poses[300]  # a single repeat is no freeze
    assert pieces(poses) == [(0, 200), (236, 480)]
    poses = walking()
    poses[240:, 5, 0] += 0.21  # 25 m/s
    assert pieces(poses) == [(0, 234), (246, 480)]
    poses[240:, 5, 0] -= 0.05
    assert pieces(poses) == [(0, 480)]
    assert pieces(poses, jump_m_s=10.0) == [(0, 234), (246, 480)]


@pytest.mark.parametrize("fps", [119.99, 120.0, 1 / 0.0083333])
def test_rounded_frame_rates_are_cleaned_alike(fps):
    poses = walking()
    poses[200:204] = poses[200]  # 3 steps of 1/120 s are 0.025 s
    poses[300:, 5, 0] += 0.3
    assert pieces(poses, fps) == [(0, 200), (204, 294), (306, 480)]
    assert pieces(poses[:60], fps) == [(0, 60)]


@pytest.mark.parametrize(("fps", "margin"), [(5.0, 1), (10.0, 1), (30.0, 2)])
def test_low_frame_rates_are_cleaned(fps, margin):
    poses = walking(60)
    poses[20] = poses[19]
    assert pieces(poses, fps) == [(0, 60)]  # a single repeat is no freeze
    poses[21] = poses[19]
    assert pieces(poses, fps) == [(0, 19), (22, 60)]
    jumping = walking(60)
    jumping[30:, 5, 0] += 30.0
    assert pieces(jumping, fps) == [(0, 30 - margin), (30 + margin, 60)]


def test_missing_joints_and_short_pieces_are_dropped():
    poses = walking()
    poses[100:110, 3] = np.nan
    poses[150, 7, 1] = np.inf
    assert pieces(poses) == [(0, 100), (151, 480)]  # 110 to 150 is less than half a second
    assert pieces(poses, shortest_s=0.3) == [(0, 100), (110, 150), (151, 480)]
    assert pieces(np.full((50, 17, 3), np.nan)) == []


@pytest.mark.parametrize(("fps", "to_fps"), [(120, 60), (60, 60), (240, 60), (119.99, 60)])
def test_whole_ratios_take_every_nth_frame(fps, to_fps):
    poses = walking()
    assert np.array_equal(resample(poses, fps, to_fps), poses[:: round(fps / to_fps)])


@pytest.mark.parametrize("fps", [25, 30, 50, 100])
def test_other_rates_are_interpolated(fps):
    t = np.arange(fps * 3) / fps
    poses = np.sin(t)[:, None, None] * np.ones((1, 17, 3))
    ours = resample(poses, fps, 60.0)
    times = np.arange(len(ours)) / 60
    assert times[-1] <= t[-1] + 1e-9 < times[-1] + 1 / 60
    assert np.abs(ours[:, 0, 0] - np.sin(times)).max() < 0.5 / fps**2
    assert resample(poses[:1], fps, 60.0).shape == (1, 17, 3)


def test_pieces_become_motions_with_names():
    source = walker("W03", "walk")
    poses = source.poses_world.astype(float)
    poses[100:103, 2] = np.nan
    motions = cut("w", "W03", "walk", poses, 60.0, 60.0, Cleaning().pieces(poses, 60.0))
    assert [(motion.name, len(motion)) for motion in motions] == [("w", 100), ("w#2", 137)]
    assert motions[1].poses_world.dtype == np.float32
    assert np.allclose(motions[1].poses_world, source.poses_world[103:])


def scaled(motion, *factors):
    return replace(motion, poses_world=motion.poses_world * np.float32(factors))


@pytest.mark.parametrize("action", ["walk", "run", "squat", "sit", "turn"])
def test_mirrored_and_upside_down_people_raise(action):
    motion = walker("W04", action)
    assert check_sides([motion]) == []
    swapped = replace(motion, poses_world=motion.poses_world[:, [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]])
    for mirrored in (scaled(motion, -1, 1, 1), swapped):
        with pytest.raises(ValueError, match=f"W04_{action}: the knees bend backwards"):
            check_sides([mirrored])
    with pytest.raises(ValueError, match="head down"):
        check_sides([scaled(motion, 1, -1, -1)])


def test_handstand_among_others_is_only_reported():
    motions = [walker("W04", action) for action in ("walk", "run", "squat")]
    handstand = replace(scaled(walker("W04", "wave"), 1, -1, -1), name="handstand")
    assert check_sides([*motions, handstand]) == ["handstand: head down on the whole"]
    with pytest.raises(ValueError, match="clip handstand and 1 more: head down on the whole; is"):
        check_sides([handstand, replace(handstand, name="again")])
    assert check_sides([]) == []
    short = replace(handstand, poses_world=handstand.poses_world[:20])
    assert check_sides([motions[0], short, replace(short, name="again")])  # frames count, not clips


@pytest.mark.parametrize("fps", [60.0, 1000.0, 20_000.0])
def test_slow_movement_is_not_frozen_at_any_rate(fps):
    poses = np.zeros((400, 17, 3)) + np.arange(400)[:, None, None] * 0.01 / fps  # 1 cm/s
    assert pieces(poses, fps, shortest_s=0.0) == [(0, 400)]


def test_motion_rejects_invalid_poses_and_rates():
    good = walking().astype(np.float32)
    for poses, fps, message in [
        (good[:, :16], 60, r"clip m: expected 3D of shape \(T, 17, 3\)"),
        (good * np.nan, 60, "clip m: expected finite 3D"),
        (good[:0], 60, "T > 0"),
        (good, 0, "clip m: expected a frame rate > 0, got 0"),
        (good, np.nan, "frame rate > 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            Motion("m", "s", "a", poses, fps)
