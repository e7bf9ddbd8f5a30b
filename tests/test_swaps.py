"""Left and right that a detector exchanges for some frames."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from prpose.data import load_clips
from prpose.keypoints import Keypoints
from prpose.layouts import LAYOUTS
from prpose.preprocess import preprocess
from prpose.skeleton import H36M_17
from prpose.swaps import exchanged_sides

MIRROR = list(H36M_17.mirror)
LEGS, ARMS = (
    [H36M_17.index(f"{side}_{name}") for side in ("left", "right") for name in names]
    for names in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
)
REAL = Path(__file__).parents[2] / "shared/real/p2s_balance_mediapipe.npz"


@cache
def walkers():
    return load_clips("walkers", ".", "test", "det")


def exchange(xy, frames, joints):
    changed = xy.copy()
    changed[np.ix_(frames, joints)] = xy[:, MIRROR][np.ix_(frames, joints)]
    return changed


@pytest.mark.parametrize("step", [1, 2, 3, 6, 10])  # of 60 frames per second
def test_nothing_is_exchanged_in_any_motion_at_usual_frame_rates(step):
    for clip in walkers():
        xy = clip.camera.project(clip.poses_cam)[::step]
        found = exchanged_sides(xy, np.arange(len(xy)), H36M_17, 60 / step)
        assert not found.any(), (clip.subject, clip.action, np.flatnonzero(found.any(axis=1)))


@pytest.mark.parametrize("joints", [LEGS + ARMS, ARMS], ids=["body", "arms"])
@pytest.mark.parametrize("frames", [range(20, 45), range(30), range(70, 100), range(40, 43), range(50, 58)])
def test_exchanged_frames_are_found(joints, frames):
    clip = next(clip for clip in walkers() if clip.action == "wave")
    xy = clip.camera.project(clip.poses_cam)[:100]
    expected = np.zeros((100, 17), dtype=bool)
    expected[np.ix_(list(frames), joints)] = True
    assert np.array_equal(exchanged_sides(exchange(xy, list(frames), joints), np.arange(100), H36M_17, 60), expected)


def test_frames_of_neither_side_do_not_hide_an_exchange():
    clip = next(clip for clip in walkers() if clip.action == "wave")
    xy = clip.camera.project(clip.poses_cam)[:100]
    changed = exchange(xy, list(range(40, 70)), LEGS + ARMS)
    noise = np.random.default_rng(0).normal(0, 40, (100, 17, 2))
    for t in (38, 39, 40, 41, 68, 69, 70):
        changed[t] = (xy[t] + xy[t, MIRROR]) / 2 + noise[t]
    found = exchanged_sides(changed, np.arange(100), H36M_17, 60)[:, LEGS + ARMS]
    assert found[42:68].all()
    assert not found[:38].any()
    assert not found[71:].any()


def test_missing_joints_and_absences_are_no_exchanges():
    clip = next(clip for clip in walkers() if clip.action == "wave")
    xy = clip.camera.project(clip.poses_cam)[:100]
    xy[10:30, LEGS] = np.nan
    xy[50] = np.nan
    numbers = np.concatenate([np.arange(60), np.arange(200, 240)])
    assert not exchanged_sides(xy, numbers, H36M_17, 60).any()
    changed = exchange(xy, list(range(35, 48)), ARMS)
    found = exchanged_sides(changed, numbers, H36M_17, 60)
    assert np.flatnonzero(found.any(axis=1)).tolist() == list(range(35, 48))


def test_photos_are_not_followed():
    clips = [clip for clip in walkers() if clip.subject == walkers()[0].subject]
    xy = np.stack([clip.camera.project(clip.poses_cam)[t] for t in (0, 90, 180) for clip in clips])
    assert not exchanged_sides(xy, np.arange(len(xy)), H36M_17).any()


def test_preprocessing_exchanges_back_unless_asked_not_to():
    clip = next(clip for clip in walkers() if clip.action == "wave")
    xy = clip.camera.project(clip.poses_cam)[:60].astype(np.float32)
    given = Keypoints(xy, (clip.camera.width, clip.camera.height), "h36m17", fps=60)
    changed = replace(given, xy=exchange(xy, list(range(20, 40)), LEGS + ARMS))
    ready = preprocess(changed)
    assert np.array_equal(ready.xy, given.xy)
    assert np.flatnonzero(ready.exchanged.any(axis=1)).tolist() == list(range(20, 40))
    assert any("left and right were exchanged in frames 20-39, and were exchanged back" in w for w in ready.warnings)
    assert np.array_equal(preprocess(changed, keep_sides=True).xy, changed.xy)


@pytest.mark.skipif(
    not REAL.is_file(), reason="the real recording is not in the repository: exchanges are not found here"
)
def test_exchanges_of_a_real_recording_are_found():
    entries = np.load(REAL)
    skeleton = LAYOUTS["blazepose33"]
    for camera, xy in enumerate(entries["uv"].astype(float)):
        found = exchanged_sides(xy, np.arange(len(xy)), skeleton, 60)[:, skeleton.index("left_shoulder")]
        if camera == 1:
            assert found[47:65].all()
            assert not found[:33].any()
            assert not found[75:].any()
        else:
            assert not found.any()


@pytest.mark.parametrize("fps", [10, 15, 25, 30, 60])
@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.5])
def test_people_who_turn_around_are_not_exchanged(seconds, fps):
    clip = next(clip for clip in walkers() if clip.action == "wave")
    poses = clip.poses_cam[np.arange(round(3 * fps)) * 60 // fps].astype(float)
    share = np.clip((np.arange(len(poses)) / fps - 1) / seconds, 0, 1)
    angle = np.pi * share**2 * (3 - 2 * share)
    cos, sin, still = np.cos(angle), np.sin(angle), np.ones_like(angle)
    turn = np.array([[cos, 0 * still, sin], [0 * still, still, 0 * still], [-sin, 0 * still, cos]]).transpose(2, 0, 1)
    root = poses[:, :1]
    xy = clip.camera.project((poses - root) @ turn.transpose(0, 2, 1) + root)
    noise = np.random.default_rng(0).normal(0, 1, xy.shape)
    assert not exchanged_sides(xy + noise, np.arange(len(xy)), H36M_17, fps).any()
