"""The studies of studies/ run on walkers; the tables of docs/ are made by them on the benchmarks."""

import json
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from prpose import build_lifter, build_variance_net, load, metrics
from prpose.data import load_clips
from prpose.evaluation import seeded_draw
from prpose.postprocess import medoid
from prpose.skeleton import H36M_17, mirror_pose
from studies import (
    ablations,
    baselines,
    confidences,
    flip,
    flow,
    motion,
    noise,
    peers,
    point_estimates,
    published,
    rates,
    scale,
    speed,
)
from tests.videos import picture, write_video


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "val", actions=("wave",), stride=2)[0]


def test_shared_noise_has_the_least_jitter(capsys):
    columns = motion.main("walkers", "temporal-cmu17", num_samples=3, stride=70, split="val")
    errors = {kind: column["acceleration error of a sample"] for kind, column in columns.items()}
    assert errors["shared"] < errors["ar1"] < errors["iid"]
    assert len({column["P1, deterministic"] for column in columns.values()}) == 1
    for column in columns.values():
        assert column["P1 of the best sample of a clip"] <= column["P1 of a sample"]
        assert column["energy score"] > 0
    printed = capsys.readouterr().out
    for kind, column in columns.items():
        assert kind in printed
        assert f"{column['energy score']:.1f}" in printed


def test_smoothing_reduces_the_jitter_of_every_point_estimate(capsys):
    rows = point_estimates.main("walkers", num_samples=5, stride=40, split="val")
    jitter = {name: row["acceleration error"] for name, row in rows.items()}
    assert len(rows) == 10
    assert jitter["mean"] < jitter["a sample"]
    for name in ("deterministic", "mean"):
        assert jitter[f"{name}, Gaussian"] < 0.5 * jitter[name]
        assert jitter[f"{name}, One-Euro"] < 0.8 * jitter[name]
    assert rows["mean"]["P1"] < rows["a sample"]["P1"]
    printed = capsys.readouterr().out
    assert all(name in printed for name in rows)


def test_point_estimates_are_scored_by_the_metrics(clip):
    poses = point_estimates.point_estimates(load("mgcn-cmu17"), clip, 3, seed=7)
    found = load("mgcn-cmu17")(
        clip.keypoints_px, 3, 7, layout="h36m17", image_size=(clip.camera.width, clip.camera.height), fps=clip.fps
    )
    assert np.array_equal(poses["deterministic"].numpy(), found.deterministic)
    pose = torch.from_numpy(medoid(found.samples))
    values, truth = point_estimates.values(pose, clip), torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])
    assert torch.equal(values["P1"], metrics.mpjpe(pose, truth))
    expected = metrics.bone_asymmetry(poses["medoid"], H36M_17.parents, H36M_17.mirror)
    assert torch.allclose(values["bone asymmetry"], expected, atol=1e-6)


def test_the_noise_study_prints_both_tables(tmp_path, capsys):
    torch.manual_seed(0)
    files = {}
    for name, net in {
        "lifter_weights": build_lifter("mgcn_lw"),
        "published": build_variance_net("mgcn_lw"),
        "response": build_variance_net("htnet", hidden=256),
    }.items():
        files[name] = tmp_path / f"{name}.safetensors"
        save_file(net.state_dict(), files[name])
    noise.main(**files, data="walkers", num_samples=3, stride=20)
    out = capsys.readouterr().out
    assert "error / spread" in out
    for kind in ("constant", "published net", "response net", "true error / joint / response"):
        assert kind in out
    assert "nan" not in out


def test_the_speed_study_prints_medians_and_writes_every_turn(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "speed.json"
    found = speed.main(num_samples=2, frames=4, repeats=3, stream_samples=(2,), stream_frames=2, json=path)
    printed, report = capsys.readouterr().out, json.loads(path.read_text())
    for word in ("temporal-cmu17", "lifter, %", "stream, S = 2: 99 % within, ms", "÷ first"):
        assert word in printed
    for name in speed.MODELS:
        turns = report["turns"][name]
        assert found[name]["seconds"] == sorted(turn["seconds"] for turn in turns)[1]
        assert all(turn["frames per second"] == pytest.approx(4 / turn["seconds"]) for turn in turns)
        assert 0 < found[name]["lifter, %"] + found[name]["variance net, %"] < 100
    with pytest.raises(ValueError, match="exists already"):
        speed.main(json=path)


def test_the_speed_study_times_the_stages_of_a_video(tmp_path, capsys):
    path, detector = write_video(tmp_path / "walk.mp4", [picture(100 + 2 * t) for t in range(6)]), "tests.videos:Finder"
    (found,) = speed.main(("gaussian-cmu17",), 3, repeats=1, video=path, detector=detector).values()
    assert found["frames"] == 6
    assert found["frames per second"] > 0
    assert "decoding, drawing, encoding, CPU ms" in capsys.readouterr().out
    assert len([name for name in found if name.endswith("CPU ms")]) == 6


def test_timing_adds_the_module_s_time_and_leaves_no_hooks():
    module, ticks, spent = torch.nn.Identity(), iter((1.0, 4.0, 5.0, 7.0)), {"lifter": 0.0}
    with speed.timed(module, "lifter", spent, lambda: next(ticks)):
        module(torch.zeros(1))
        module(torch.zeros(1))
    module(torch.zeros(1))
    assert spent == {"lifter": 5.0}


def test_the_scale_study_reads_as_many_poses_as_it_was_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(scale, "ROWS", ("h36m", "h36m train", "large test"))
    found = scale.main(poses=40_000, folder=tmp_path)
    assert list(found) == ["h36m", "h36m train", "large test"]
    assert (found["h36m"]["clips"], found["h36m"]["poses"]) == (840, 40_000)
    assert found["h36m train"]["poses"] + found["large test"]["poses"] == 40_000
    assert all(row["read, s"] > 0 and row["peak memory, MB"] > 50 for row in found.values())
    assert all(found[row]["batches, poses/s"] > 0 for row in ("h36m train", "large test"))
    assert "large test" in capsys.readouterr().out
    pair, whole = load_clips("h36m", tmp_path, "test"), load_clips("large", tmp_path, "test")
    for one, other in zip(pair, whole, strict=True):
        assert (one.subject, one.action, one.camera_index) == (other.subject, other.action, other.camera_index)
        assert np.array_equal(one.keypoints_px, other.keypoints_px)
        assert np.allclose(one.poses_cam, other.poses_cam, atol=1e-6)
        assert np.abs(one.keypoints_px - one.camera.project(one.poses_cam.astype(float))).mean() < 5


def test_the_scale_study_compares_p2_with_numpy(capsys):
    found = scale.time_p2(S=3, B=5, repeats=1)
    assert list(found) == ["1 thread", "2 threads"]
    assert all(row["largest difference, m"] < 1e-6 < row["ratio"] for row in found.values())
    assert "NumPy" in capsys.readouterr().out


def test_ablations_train_pack_and_score_each_row(tmp_path, capsys):
    settings = {"epochs": 1, "noise_epochs": 1, "every": 200, "num_samples": 4, "stride": 40, "data": "walkers"}
    cells = ablations.main(tmp_path, rows=("2 draws", "less data"), **settings)
    assert list(cells) == ["2 draws"]
    assert cells == ablations.main(tmp_path, rows=("2 draws",), **settings), "not trained again"
    assert "val, S = 4" in capsys.readouterr().out
    with pytest.raises(ValueError, match="expected rows among one pass, graph network, 2 draws"):
        ablations.main(tmp_path, rows=("3 draws",))


@pytest.mark.slow
def test_averaged_flips_narrow_the_spread(tmp_path):
    settings = {"epochs": 1, "noise_epochs": 1, "every": 200, "num_samples": 4, "stride": 40, "data": "walkers"}
    cells = ablations.main(tmp_path, rows=("lifter and noise",), **settings)
    assert list(cells) == ["lifter and noise", "lifter and noise, flips averaged"]
    mixed, averaged = cells.values()
    assert mixed[0] == averaged[0], "the pose without noise"
    assert float(mixed[-1]) > float(averaged[-1]), "spread"


@pytest.mark.slow
def test_every_way_to_make_samples_has_a_row_with_its_time(tmp_path, capsys):
    settings = {"budget": 0.01, "num_samples": 4, "stride": 60, "every": 400, "data": "walkers"}
    cells = baselines.main(tmp_path, **settings)
    ways = ["one pass", "lifter and noise", "flow", "adaptive", "constant", "3D Gaussian"]
    assert [name.partition(",")[0] for name in cells] == ways
    assert all(float(row[-1]) > 0 for row in cells.values())
    assert "energy score on val by alpha: 0.00625 " in capsys.readouterr().out
    again = baselines.main(tmp_path, **settings)
    assert [row[:-1] for row in again.values()] == [row[:-1] for row in cells.values()], "not trained again"


@pytest.mark.slow
def test_confidences_change_the_samples_and_may_be_missing(tmp_path, capsys):
    settings = {"epochs": 1, "every": 200, "num_samples": 4, "stride": 40, "data": "walkers"}
    values = confidences.main(tmp_path, **settings)
    assert list(values) == ["with confidences", "without confidences"]
    scores = [row["cloud"]["ES"] for row in values.values()]
    assert 0 < abs(scores[0] - scores[1]) < 0.2 * scores[0]
    assert values == confidences.main(tmp_path, **settings), "not trained again"
    assert "with confidences" in capsys.readouterr().out


def test_the_flow_is_a_sampler_of_invertible_poses(tmp_path, capsys):
    torch.manual_seed(0)
    net = flow.Flow(context=2, transforms=1, hidden=16).eval()
    keypoints, eps = torch.rand(3, 1, 17, 2) - 0.5, torch.randn(4, 3, 1, 17, 4)
    with torch.no_grad():
        poses = net(keypoints, eps, eps)
        found, rotation = net.conditioned(keypoints)
        back = found.transform((poses[0, :, 0, 1:] @ rotation.mT / flow.SCALE_M).flatten(1))
        assert (back - eps[0, :, 0, 1:, :3].flatten(1)).abs().max() < 1e-4
        mirrored = net(mirror_pose(keypoints, H36M_17.mirror), eps.roll(1, 0), eps.roll(1, 0))
        assert (mirror_pose(mirrored, H36M_17.mirror).roll(-1, 0)[:3:2] - poses[:3:2]).abs().max() < 1e-4
    torch.manual_seed(0)
    assert net.negative_log_likelihood(keypoints, poses[1]).isfinite().all()
    values = flow.main(data="walkers", out=tmp_path, epochs=1, every=200, num_samples=4, stride=60)
    assert values["cloud"]["ES"] > 0
    assert flow.main(tmp_path, data="walkers", epochs=1, every=200, num_samples=4, stride=60) == values


def test_published_methods_draw_as_many_samples_as_asked():
    torch.manual_seed(0)
    keypoints, frames = torch.rand(3, 17, 2) - 0.5, torch.rand(3, 16, 2) - 0.5
    with torch.no_grad():
        for found, joints in (
            (published.D3DP(3, 16, 1, 2).eval().sample(keypoints, 5, 2), 17),
            (published.CouplingFlow(2, 8).eval().sample(torch.randn(3, 78), frames, 5), 16),
            (published.MixtureDensityNetwork(8).eval().sample(frames, 5), 16),
            (published.DiffPose(8, 4, 3).eval().sample(torch.randn(3, 4), 5), 16),
        ):
            assert found.shape == (5, 3, joints, 3)
            assert found.isfinite().all()
            assert (found[0] - found[1]).abs().max() > 1e-3, "samples differ"


def test_denoising_ends_near_an_estimate_that_stays():
    clean, noise = torch.randn(2, 4, 3).unbind()
    found = published.denoised(noise, 10, lambda poses, time: clean)
    assert torch.allclose(found, clean, atol=0.1)


def test_a_mixture_density_network_draws_from_its_kernels():
    torch.manual_seed(0)
    net, keypoints = published.MixtureDensityNetwork(8).eval(), torch.zeros(1, 16, 2)
    net.net.last.weight.detach().zero_()
    bias = net.net.last.bias.detach().view(5, 50)
    bias[:] = torch.arange(5)[:, None]
    bias[:, 48], bias[:, 49] = -20, torch.tensor([0.0, -99, -99, 0, -99])  # narrow; two kernels of weight 1/2
    with torch.no_grad():
        poses = net.sample(keypoints, 400)
    assert (poses - poses.round()).abs().max() < 1e-4
    kernels, counts = poses.round()[:, 0, 0, 0].unique(return_counts=True)
    assert kernels.tolist() == [0, 3]
    assert counts.min() > 150


def test_multiply_adds_are_those_of_the_layers():
    torch.manual_seed(0)
    C, T, J = 16, 5, 17
    net, keypoints = published.D3DP(T, C, 1, 2).eval(), torch.rand(T, J, 2)
    counted = {(H, K): peers.multiply_adds(lambda H=H, K=K: net.sample(keypoints, H, K)) for H, K in ((1, 1), (3, 2))}
    blocks = 2 * 8 * C * C + 2 * C * J + 2 * C * T  # of a token
    assert counted[1, 1] == ((1, T, J, 3), 2 * T * J * (5 * C + blocks + 3 * C) + 4 * C * C)
    assert counted[3, 2] == ((3, T, J, 3), 6 * counted[1, 1][1])
    x, square = torch.rand(4, 4), torch.rand(4, 4)
    assert peers.multiply_adds(lambda: x.clone().addmm_(x, square))[1] == 4**3


def test_peers_are_timed_beside_every_bundled_model(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(peers, "FRAMES", 2)
    monkeypatch.setattr(peers, "CALLS", {"flow": 1, "DiffPose": 1, "graphmlp-cmu17": 1})
    path, threads = tmp_path / "peers.json", torch.get_num_threads()
    rows = peers.main(num_samples=4, turns=3, json=path)
    assert torch.get_num_threads() == threads
    assert next(iter(rows)) == peers.DEFAULT
    assert {*peers.bundled_models()} < {*rows}
    assert [row["S"] for row in rows.values()] == [4] * (len(rows) - 1) + [20]
    few, many = rows["D3DP (Shan 2023), 4 hypotheses"], rows["D3DP (Shan 2023), 20 hypotheses"]
    assert many["multiply-adds"] == 5 * few["multiply-adds"]
    assert rows["gaussian-wide"]["multiply-adds"] == pytest.approx(
        2 * rows["gaussian-cmu17"]["multiply-adds"], rel=0.01
    )
    lines = capsys.readouterr().out.splitlines()[2:]
    for row, line in zip(rows.values(), lines[2:], strict=True):
        assert row["ms"] == sorted(row["turns, ms"])[1]
        assert line.count("|") == lines[0].count("|")
        assert ("not known" in line) == (row["ES"] is None)
    scores = {name: row["ES"] for name, row in rows.items() if row["ES"] is not None}
    assert scores["gaussian-wide"] == pytest.approx(214.37, abs=0.01)
    assert {*scores} == {*peers.bundled_models(), "spline flow (studies/flow.py)"}
    assert json.loads(path.read_text())["rows"] == rows


def test_rates_of_small_networks(monkeypatch, capsys):
    monkeypatch.setattr(rates, "LIFTERS", {"mgcn_lw": (8, 2)})
    monkeypatch.setattr(rates, "ONE_PASS", ("gaussian-cmu17",))
    threads = torch.get_num_threads()
    found = rates.main(threads=(1,), turns=1, onnx=False)
    torch.set_num_threads(threads)
    ((lifts, share, sampled, of_lifter),) = found["lifters, 1 threads"].values()
    numbers = [float(text.partition(" ")[0].replace(",", "")) for text in (lifts, sampled)]
    assert min(*numbers, float(share)) > 0
    assert float(of_lifter) == pytest.approx(numbers[1] / numbers[0], abs=0.01)
    assert [*found["start-up"]] == ["prpose --help", "prpose predict, one frame"]
    assert len(found["one pass"]) == 2
    assert "gaussian-cmu17, PyTorch, ms a frame, 1 at once" in capsys.readouterr().out


def test_the_spread_of_turns_is_half_the_distance_of_their_quartiles():
    assert rates.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == "± 33 %"
    seconds = rates.timed(3, {"a": lambda: time.sleep(0.002), "b": lambda: None})
    assert len(seconds["a"]) == len(seconds["b"]) == 3
    assert min(seconds["a"]) >= 0.002


def test_the_mirror_images_noise_is_shared_mirrored():
    mirror = H36M_17.mirror
    draw = flip.shared(seeded_draw(0, 5, 0.0), mirror)
    for eps, mirrored in draw(range(3), torch.Size((3, 1, 17, 2))):
        assert torch.equal(mirrored[..., 0], -eps[..., list(mirror), 0])
        assert torch.equal(mirrored[..., 1], eps[..., list(mirror), 1])
