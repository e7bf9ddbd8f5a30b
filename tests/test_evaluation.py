"""Scores and averages, ours and the release's, against golden/runs and by hand."""

import numpy as np
import pytest
import torch

from main import RELEASED_ACTIONS, average_as_released
from prpose import evaluation, metrics
from prpose.camera import Camera
from prpose.data import Clip, load_clips
from prpose.data.windows import Windows
from prpose.evaluation import details, score, seeded_draw
from prpose.evaluation.protocols import (
    METRICS,
    PROTOCOLS,
    Protocol,
    action_of,
    calibration_error,
    conformal_quantiles,
    tabulate,
)
from tests.golden_numbers import GOLDEN, arrays, golden_draw, sampler, table
from tests.measure import peak_gib

RUNS = table("runs/runs.json")["runs"]


SLOW = [run for run in RUNS if "htnet" in run or "s40" in run]


@pytest.mark.parametrize("run", [pytest.param(run, marks=pytest.mark.slow if run in SLOW else ()) for run in RUNS])
def test_scores_match_the_golden_run(run):
    golden, case = arrays(f"runs/{run}.npz"), RUNS[run]
    options = case["options"]
    net = sampler(options["lifter"], float(options["alpha"]))
    keypoints, actions = options.get("keypoints", "cpn_ft_h36m_dbb"), (options.get("action", "*"),)
    stride = int(options.get("downsample", 1))
    windows = Windows(load_clips(options["dataset"], GOLDEN / "data", "test", keypoints, actions, stride))
    assert len(windows) == case["items"]
    draw = golden_draw(int(options["hypotheses"])) if options["multi_hypothesis"] else None
    batch_size = int(options["batch_size"])
    scores = score(net, windows, ("P1", "P2", "PCK17"), draw, batch_size)
    best = scores["best" if draw else "deterministic"]
    for name in ("P1", "P2"):
        assert np.abs(best[name].numpy() - golden[name.lower()]).max() < 1e-5
    off = np.abs(best["PCK17"].numpy() - golden["pck"])
    assert off.max() < 1 / 17 + 1e-6
    assert (off > 1e-6).mean() <= 0.01

    rows, _ = tabulate(scores, windows, Protocol(("P1", "P2"), action_of, "groups", alpha=0))
    for row in rows:
        for name, key in (("P1", "p1"), ("P2", "p2")):
            expected = case["per_item_mean_by_action"][row.name][key] * 1000
            ours = row.values["best" if draw else "deterministic"][name]
            assert ours == pytest.approx(expected, abs=0.01)
    listed = RELEASED_ACTIONS[options["dataset"]] if "action" not in options else ("Walking",)
    for key, expected in case["average_as_published"].items():
        name = {"p1": "P1", "p2": "P2", "pck": "PCK17"}[key]
        ours = average_as_released(best[name], windows, batch_size, listed, name == "P2")
        assert ours * METRICS[name].scale == pytest.approx(expected, abs=0.01)


def test_released_average_matches_the_golden_accumulation():
    values = torch.from_numpy(arrays("metrics/metrics.npz")["mixed_quality/p2_best"])
    cases = table("metrics/accumulation.json")["accumulation"]
    for case in cases.values():
        windows = fake_windows(case["actions"])
        for action, published in case["published"].items():
            ours = average_as_released(values, windows, 8, (action,), batch_mean=True)
            assert ours == pytest.approx(published["p2"]["avg"], abs=1e-6)
        rows, _ = tabulate({"best": {"P2": values}}, windows, Protocol(("P2",), action_of, "groups", alpha=0))
        for row in rows:
            expected = case["per_sample_p2_by_action"][row.name] * 1000
            assert row.values["best"]["P2"] == pytest.approx(expected, abs=1e-3)


def fake_windows(actions):
    keypoints, poses = np.zeros((1, 17, 2), np.float32), np.zeros((1, 17, 3), np.float32)
    return Windows([Clip(keypoints, poses, Camera(10, 10), "S9", action, 0) for action in actions])


def test_tables_average_over_groups_or_frames():
    windows = fake_windows(["Walking 1", "Walking", "Sitting", "Walking"])
    scores = {"deterministic": {"P1": torch.tensor([0.010, 0.020, 0.050, 0.030])}}
    rows, average = tabulate(scores, windows, PROTOCOLS["h36m"])
    assert [(r.name, r.frames) for r in rows] == [("Sitting", 1), ("Walking", 3)]
    assert [r.values["deterministic"]["P1"] for r in rows] == pytest.approx([50, 20])
    assert average.values["deterministic"]["P1"] == pytest.approx(35)
    _, frames = tabulate(scores, windows, PROTOCOLS["3dhp"])
    assert frames.values["deterministic"]["P1"] == pytest.approx(27.5)


@pytest.fixture(scope="module")
def windows():
    return Windows(load_clips("3dhp", GOLDEN / "data", "test", stride=20))


@pytest.fixture(scope="module")
def net():
    return sampler("mgcn_lw", alpha=0.02)


NAMES = PROTOCOLS["3dhp"].metrics


def test_scores_of_more_samples_are_not_worse(net, windows):
    few, many, other = (score(net, windows, NAMES, seeded_draw(*n), batch_size=8) for n in ((0, 3), (0, 12), (1, 12)))
    assert torch.equal(few["deterministic"]["P1"], many["deterministic"]["P1"])
    for name in NAMES:
        sign = 1 if METRICS[name].higher_is_better else -1
        assert (sign * (many["best"][name] - few["best"][name]) >= -1e-6).all()
        assert (sign * (many["best"][name] - many["any"][name]) >= -1e-6).all()
    assert not torch.equal(many["best"]["P2"], other["best"]["P2"])


def test_scores_equal_those_of_sampled_poses(net, windows):
    draw = seeded_draw(3, 4)
    scores = score(net, windows, ("P1",), draw, batch_size=100)
    batch = windows[torch.arange(len(windows))]
    with torch.no_grad():
        (noise,) = draw(range(len(windows)), batch.keypoints.shape)
        poses = net(batch.keypoints, *noise)
    p1 = metrics.mpjpe(poses, batch.target)[..., 0]
    error = (net.deterministic(batch.keypoints) - batch.target).norm(dim=-1)[:, 0].detach()
    assert torch.allclose(scores["joints"]["error"], error)
    assert torch.allclose(scores["joints"]["spread"], poses.std(0)[:, 0].mean(-1), atol=1e-6)
    assert torch.allclose(scores["best"]["P1"], p1.amin(0))
    assert torch.allclose(scores["any"]["P1"], p1.mean(0))
    assert torch.allclose(scores["mean"]["P1"], metrics.mpjpe(poses.mean(0), batch.target)[:, 0])


def test_infinite_poses_raise_and_name_the_frames(windows):
    with pytest.raises(ValueError, match=r"expected finite poses.*in frames 0 to 3 of the data set"):
        score(sampler("mgcn_lw", alpha=1e38), windows, ("P2",), seeded_draw(0, 2), batch_size=4)


PEAK = """
import numpy as np, torch
from prpose import AdaptiveNoise, Sampler, build_lifter, build_variance_net
from prpose.camera import Camera
from prpose.data import Clip
from prpose.data.windows import Windows
from prpose.evaluation import score, seeded_draw
from prpose.evaluation.details import example_frames
noise = AdaptiveNoise(build_variance_net("mgcn_lw"))
net = Sampler(build_lifter("mgcn_lw"), noise).eval()
x = np.random.default_rng(0).random((512, 17, 3), dtype=np.float32)
windows = Windows([Clip(x[..., :2], x, Camera(10, 10), "S", "a", 0)])
scores = score(net, windows, ("P1", "P2", "AUC14"), seeded_draw(0, {S}), batch_size=512, curve=(1, 5, {S}))
example_frames(net, windows, scores, seeded_draw(0, {S}), batch_size=512)
"""


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_the_number_of_samples():
    small, large = (peak_gib(PEAK.format(S=S)) for S in (16, 128))
    assert large < 1
    assert large - small < 0.1


def test_scores_on_a_device_equal_those_on_the_cpu(device, windows):
    names = ("P1", "P2")
    expected = score(sampler("mgcn_lw", 0.02), windows, names, seeded_draw(0, 3), 8)
    ours = score(sampler("mgcn_lw", 0.02).to(device), windows, names, seeded_draw(0, 3), 8, device)
    for choice, by in expected.items():
        for name, values in by.items():
            assert (ours[choice][name] - values).abs().max() < 1e-5


def test_scores_do_not_depend_on_the_number_of_poses_at_once(net, windows, monkeypatch):
    whole = score(net, windows, NAMES, seeded_draw(0, 7), batch_size=5)
    monkeypatch.setattr(evaluation, "POSES_AT_ONCE", 12)
    assert [len(eps) for eps, _ in seeded_draw(0, 7)(range(5), torch.Size((5, 1, 17, 2)))] == [2, 2, 2, 1]
    parts = score(net, windows, NAMES, seeded_draw(0, 7), batch_size=5)
    assert set(whole) == {"deterministic", "mean", "best", "any", "joints"}
    for choice, by in whole.items():
        for name, values in by.items():
            assert (parts[choice][name] - values).abs().max() < 1e-6, (choice, name)


def test_distribution_scores_equal_those_of_the_metrics(net, windows):
    scores = score(net, windows, ("P1",), seeded_draw(3, 6), batch_size=100, cloud=True)["cloud"]
    batch = windows[torch.arange(len(windows))]
    (noise,) = seeded_draw(3, 6)(range(len(windows)), batch.keypoints.shape)
    with torch.no_grad():
        poses, truth = net(batch.keypoints, *noise)[:, :, 0], batch.target[:, 0]
    assert torch.allclose(scores["ES"], metrics.energy_score(poses, truth))
    assert torch.allclose(scores["spread"], poses.std(0)[:, 1:].mean((1, 2)))
    assert torch.equal(scores["covered"], metrics.covered(poses, truth)[:, 1:])
    _, average = tabulate({"cloud": scores}, windows, Protocol(("P1",), action_of, "frames", alpha=0))
    assert average.values["cloud"]["ES"] == pytest.approx(float(scores["ES"].mean()) * 1000)
    share = np.median(scores["covered"].double().mean(0).numpy(), axis=0)
    expected = np.abs(share - np.array(metrics.LEVELS))
    assert average.values["cloud"]["ECE"] == pytest.approx(expected.mean(), abs=0.02)
    distances = scores["mahalanobis"]
    centre = net.deterministic(batch.keypoints)[:, 0].detach()
    assert torch.allclose(distances, metrics.mahalanobis(poses, truth, centre)[:, 1:])
    perfect = torch.rand(20_000, 5, 1, generator=torch.Generator().manual_seed(0))
    assert calibration_error(perfect < torch.tensor(metrics.LEVELS)) < 0.005
    assert calibration_error(torch.zeros(9, 5, 21, dtype=torch.bool)) == pytest.approx(0.5)


def test_conformal_quantiles_cover_95_percent():
    distances = torch.arange(1.0, 100.0)[:, None].expand(-1, 16)  # 99 frames: the 95th of 100
    assert set(conformal_quantiles(distances).values()) == {95.0}
    assert set(conformal_quantiles(distances[:10]).values()) == {10.0}  # too few: the largest


def test_one_sample_is_not_scored_as_a_distribution(net, windows):
    assert "cloud" not in score(net, windows, ("P1",), seeded_draw(0, 1), cloud=True)


@pytest.mark.parametrize("at_once", [4096, 21])
def test_curves_are_the_best_of_the_first_samples(at_once, net, windows, monkeypatch):
    monkeypatch.setattr(evaluation, "POSES_AT_ONCE", at_once)
    names = ("P1", "PCK14")
    curve = score(net, windows, names, seeded_draw(0, 9), batch_size=5, curve=(1, 4, 9, 20))
    assert "best_of_20" not in curve
    for S in (1, 4, 9):
        few = score(net, windows, names, seeded_draw(0, S), batch_size=5)
        for name in names:
            assert (curve[f"best_of_{S}"][name] - few["best"][name]).abs().max() < 1e-6
            assert (curve[f"mean_of_{S}"][name] - few["mean"][name]).abs().max() < 1e-6


def test_calibration_of_some_poses_only():
    levels = len(metrics.LEVELS)
    covered = torch.zeros(200, 3, levels, dtype=torch.bool)
    covered[:100] = torch.arange(levels) < torch.arange(100)[:, None, None] % 20 + 1e-9  # more at low levels
    counted = torch.zeros(200, 3, dtype=torch.bool)
    counted[:100, :2] = True
    counted[:10, 2] = True  # too few to count
    assert calibration_error(covered, counted) == pytest.approx(calibration_error(covered[:100, :2]))
    assert calibration_error(covered, counted) != pytest.approx(calibration_error(covered))


def test_shares_covered_have_the_calibration_error_that_is_stated():
    generator = torch.Generator().manual_seed(0)
    covered = torch.rand(120, 16, len(metrics.LEVELS), generator=generator) < torch.rand(16, 1, generator=generator)
    hidden = torch.rand(120, 17, generator=generator) < 0.6
    hidden[:, 3] = False  # too few of this joint
    found = details.calibration(covered, hidden)
    for name, counted in (("overall", None), ("hidden", hidden[:, 1:])):
        distances = [abs(share - level) for share, level in zip(found[name], found["levels"], strict=True)]
        assert sum(distances) / len(distances) == pytest.approx(calibration_error(covered, counted), rel=1e-12)
    assert found["joints"]["left_wrist"] == covered[:, 12].double().mean(0).tolist()
    assert "hidden" not in details.calibration(covered, torch.zeros_like(hidden))


@pytest.mark.parametrize("protocol", ["h36m", "3dhp"])
def test_errors_by_joint_add_up_to_those_of_the_table(protocol, net, windows):
    scores = score(net, windows, ("P1",), seeded_draw(0, 4), batch_size=16)
    rows, average = tabulate(scores, windows, PROTOCOLS[protocol])
    found = details.joint_table(scores, windows, PROTOCOLS[protocol])
    assert list(found["rows"]) == [row.name for row in rows]
    for joints, row in zip([*found["rows"].values(), found["average"]], [*rows, average], strict=True):
        assert sum(joints["error"]) / 17 == pytest.approx(row.values["deterministic"]["P1"], rel=1e-5)
    spread, error = (scores["joints"][name][:, 13].numpy() for name in ("spread", "error"))
    expected = metrics.rank_correlation(spread, error) if len(windows) >= 50 else None
    assert found["rank_correlation"][12] == pytest.approx(expected)


@pytest.mark.parametrize("batch_size", [5, 64])
def test_examples_are_the_best_and_worst_frames_and_have_the_scored_samples(batch_size, net, windows):
    draw = seeded_draw(2, 7, 0.5)
    scores = score(net, windows, ("P1",), draw, batch_size, cloud=True, confidence_noise=0.02)
    found = details.example_frames(net, windows, scores, draw, batch_size, confidence_noise=0.02)
    everything = []  # all poses of all frames, kept for once
    for indices, batch in windows.batches(batch_size):
        (noise,) = draw(range(int(indices[0]), int(indices[-1]) + 1), batch.keypoints.shape)
        with torch.no_grad():
            poses = net(batch.keypoints, *noise, evaluation.extra_sigma(batch, 0.02))
            pose = net.deterministic(batch.keypoints)
        everything += zip(batch.clip.tolist(), batch.frame.tolist(), batch.target, pose, poses.unbind(1), strict=True)
    errors = [float(np.linalg.norm((pose - truth)[0], axis=-1).mean()) for _, _, truth, pose, _ in everything]
    by_clip = {clip: [n for n, item in enumerate(everything) if item[0] == clip] for clip in range(len(windows.clips))}
    assert len(by_clip) > details.EXAMPLES
    for name, sign in (("best", 1), ("worst", -1)):
        own = [min(items, key=lambda n: sign * errors[n]) for items in by_clip.values()]
        expected = sorted(own, key=lambda n: sign * errors[n])[: details.EXAMPLES]
        for example, n in zip(found[name], expected, strict=True):
            index, frame, truth, pose, samples = everything[n]
            clip = windows.clips[index]
            place = [example[key] for key in ("subject", "action", "camera", "frame")]
            assert place == [clip.subject, clip.action, clip.camera_index, frame]
            assert example["P1"] == pytest.approx(1000 * errors[n], rel=1e-5)
            energy = metrics.energy_score(samples, truth)
            assert example["ES"] == pytest.approx(1000 * float(energy), rel=1e-4)
            stored = {"samples": samples[:, 0], "pose": pose[0], "truth": truth[0]}
            for key, value in stored.items():
                assert np.abs(np.array(example[key]) - value.numpy()).max() < 6e-5
            assert np.abs(np.array(example["keypoints_px"]) - clip.keypoints_px[frame]).max() < 6e-3


def test_examples_of_few_clips_are_at_most_one_frame_of_each():
    values, clips = torch.tensor([3.0, 1.0, 2.0, 5.0, 6.0]), torch.tensor([0, 0, 0, 1, 1])
    assert details.extremes(values, clips) == {"best": [1, 3], "worst": [4, 0]}
