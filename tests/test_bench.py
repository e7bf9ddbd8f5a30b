"""prpose bench: what is measured is what is done, and nothing is left behind."""

import json
from itertools import count

import numpy as np
import pytest
import torch

import prpose.model
from prpose.bench import clip, live
from prpose.bench.clock import Clock
from prpose.cli import guarded, run
from prpose.config import InferenceConfig
from prpose.io.export import read_prediction
from prpose.model import Model


def test_a_clock_takes_inner_phases_off_outer_ones():
    ticks = count()
    clock = Clock(lambda: float(next(ticks)))
    inner = clock.wrapped("inner", lambda: None)
    whole = clock.wrapped("whole", inner, whole=True)
    outer = clock.wrapped("outer", lambda: (inner(), whole(), inner()))
    outer()
    assert clock.seconds == {"inner": 2.0, "whole": 1.0, "outer": 4.0}
    assert sum(clock.seconds.values()) == 7.0  # eight readings, of which the last is at 7


def test_a_clock_goes_on_after_an_error_and_leaves_nothing():
    class Thing:
        def work(self):
            raise ValueError("no")

    thing, clock = Thing(), Clock()
    with clock.on(("work!", thing, "work")):
        assert "work" in vars(thing)
        with pytest.raises(ValueError, match="no"):
            thing.work()
    assert "work" not in vars(thing)
    assert list(clock.seconds) == ["work"]
    with clock.on(("work", Thing, "work")), pytest.raises(ValueError, match="no"):
        thing.work()
    with pytest.raises(ValueError, match="no"):
        thing.work()


def test_a_run_meets_every_phase_and_makes_the_same_poses(tmp_path):
    predictor, before = Model.load("mgcn-cmu17"), prpose.model.prepare
    clip.write_walkers(tmp_path / "k.npz", 5)
    found = clip.run(predictor, tmp_path / "k.npz", tmp_path / "p.npz", S=3, seed=2)
    assert found.phases.keys() == clip.PHASES.keys()
    assert sum(found.phases.values()) <= found.seconds
    assert all(seconds > 0 for seconds in found.phases.values())
    assert prpose.model.prepare is before
    assert "forward" not in vars(predictor.net)
    poses = read_prediction(tmp_path / "p.npz")
    expected = predictor.predict(
        poses.keypoints_px,
        clip.SIZE,
        hypotheses=3,
        seed=2,
        fps=clip.FPS,
        config=InferenceConfig(allow_implausible=True),
    )
    assert np.array_equal(poses.samples, expected.samples)


def test_clips_longer_than_the_walkers_begin_again(tmp_path):
    from prpose.keypoints import read_npz_keypoints

    clip.write_walkers(tmp_path / "k.npz", 25_000)
    assert len(read_npz_keypoints(tmp_path / "k.npz")) == 25_000


def test_frames_of_a_stream_are_timed_after_the_warm_up():
    found = live.watch(Model.load("mgcn-cmu17"), 2, frames=3, warm_up=1)
    assert found.ms.shape == (3,)
    assert (found.ms > 0).all()
    assert found.cpu_ms > 0
    turns = [live.Frames(np.arange(50.0), 3.0), live.Frames(np.arange(50.0, 101.0), 5.0)]
    assert live.percentiles(turns) == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "cpu": 4.0}


def test_memory_is_that_of_now():
    if clip.peak_mb(torch.device("cpu")) is None:
        pytest.skip("this system does not say what memory a process has had")
    clip.reset_peak(torch.device("cpu"))
    low = clip.peak_mb(torch.device("cpu"))
    large = np.ones(25_000_000)
    high = clip.peak_mb(torch.device("cpu"))
    del large
    clip.reset_peak(torch.device("cpu"))
    assert high > low + 150
    assert clip.peak_mb(torch.device("cpu")) < high - 150


def prpose_(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


def test_bench_prints_a_table_and_writes_every_number(tmp_path, capsys):
    argv = ["bench", "--frames", "4", "-n", "2", "--repeats", "2", "--live-hypotheses", "2", "3",
            "--live-frames", "2", "--json", tmp_path / "b.json"]  # fmt: skip
    assert prpose_(*argv) == 0
    printed = capsys.readouterr().out
    for word in ("temporal-cmu17", "lifter, %", "live, S = 3: 99 % within, ms", "÷ first"):
        assert word in printed
    report = json.loads((tmp_path / "b.json").read_text())
    assert report["settings"]["frames"] == 4
    for name in ("mgcn-cmu17", "temporal-cmu17"):
        one, runs = report["models"][name], report["runs"][name]
        assert len(runs) == 2
        assert one["cpu_seconds"] == pytest.approx(sum(r["cpu_seconds"] for r in runs) / 2)
        assert one["seconds"] == pytest.approx(sum(r["seconds"] for r in runs) / 2)
        assert one["frames_per_s"] == pytest.approx(4 / one["seconds"])
        assert 0 < sum(one["percent"].values()) <= 100
        assert list(one["live_ms"]) == ["2", "3"]
    assert prpose_(*argv) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["-n", "1"], "expected --hypotheses >= 2, got 1"),
        (["--frames", "0"], "expected --frames >= 1, got 0"),
        (["--repeats", "0"], "expected --repeats >= 1, got 0"),
        (["--live-frames", "-1"], "expected --live-frames >= 0, got -1"),
        (["--live-hypotheses", "50", "1"], "expected --live-hypotheses >= 2, got 1"),
        (["--model", "gpt"], "unknown model 'gpt'"),
        (["--model", "mgcn-cmu17", "mgcn-cmu17"], "expected models, each once"),
        (["--device", "abacus"], "available device"),
    ],
)
def test_mistakes_are_one_line(change, message, capsys):
    assert prpose_("bench", *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
