"""Training by the energy score: the loss, the command, and models of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import prpose
from prpose.cli import guarded, run
from prpose.data.motion import Motion
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.data.synthetic.walkers import walker
from prpose.hub import find_model_folder
from prpose.metrics import energy_score
from prpose.training.energy import energy_loss
from prpose.weights import read_state_dict

SMALL = ["--data", "walkers", "--epochs", "2", "--config.every", "60", "--config.save-every", "0", "--batch-size", "16"]
ONE_PASS = ["--lifter", "gaussian_mlp", "--lifter-args", '{"framed": true, "hidden": 32, "blocks": 1}']


def cli(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


def test_the_loss_is_the_unbiased_energy_score():
    generator = torch.Generator().manual_seed(0)
    poses, target = torch.randn(2, 5, 1, 17, 3, generator=generator), torch.randn(5, 1, 17, 3, generator=generator)
    # The metric's S² pairs include each sample with itself; of two draws, half of them are.
    a, b = poses[..., 1:, :]
    whole = energy_score(poses[..., 1:, :], target[..., 1:, :]) - (a - b).flatten(-2).norm(dim=-1) / 4
    joints = [energy_score(poses[..., j : j + 1, :], target[..., j : j + 1, :]) for j in range(1, 17)]
    joints = torch.stack(joints, -1) - (a - b).norm(dim=-1) / 4
    expected = joints.mean() + 0.3 * whole.mean()
    assert (energy_loss(poses, target, 0.3) - expected).abs() < 1e-4
    with pytest.raises(ValueError, match="expected at least two draws, got 1"):
        energy_loss(poses[:1], target, 0.3)


def test_the_loss_is_least_for_the_true_distribution():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(4000, 1, 2, 3, generator=generator)
    losses = {}
    for scale in (0.5, 0.8, 1.0, 1.25, 2.0):
        draws = scale * torch.randn(8, 4000, 1, 2, 3, generator=generator)
        losses[scale] = float(energy_loss(draws, target, 0.125))
    assert min(losses, key=losses.get) == 1.0


def test_long_recordings_do_not_dominate():
    poses = walker("W01", "walk").poses_world
    motions = [
        Motion(name, "W01", "walk", poses[:n], 60.0) for name, n in (("a", 20), ("b", 90), ("b#2", 90), ("c", 20))
    ]
    views = RandomViews(motions, balance=0.0)
    clips = np.concatenate([views._order((0, epoch)).numpy() for epoch in range(40)])
    counts = np.bincount(views.items.clip_of[clips].numpy(), minlength=4) / len(clips)
    assert np.abs(counts - [1 / 3, 1 / 6, 1 / 6, 1 / 3]).max() < 0.02, "b and b#2 are one recording"
    every = RandomViews(motions)._order((0, 0))
    assert every.sort().values.tolist() == list(range(220))


@pytest.mark.parametrize("kw", [{"workers": 2}, {"workers": 2, "F": 5, "step": 2, "framed": True}])
def test_worker_processes_render_the_same_batches(kw):
    motions = [walker("W01", "walk"), walker("W01", "wave")]
    shape = {key: value for key, value in kw.items() if key != "workers"}
    for start in (0, 1):
        pairs = zip(
            RandomViews(motions, every=20, **shape).batches(16, (3, 0), start),
            RandomViews(motions, every=20, **kw).batches(16, (3, 0), start),
            strict=True,
        )
        for (indices, batch), (others, other) in pairs:
            assert torch.equal(indices, others)
            assert all(torch.equal(a, b) for a, b in zip(batch, other, strict=True))


def test_stepped_views_render_the_frames_that_are_used():
    motions = [walker("W01", "walk")]
    batch = RandomViews(motions, F=9, step=4, every=30, keypoints="gt", framed=True).render(
        torch.arange(4), np.random.default_rng(0)
    )
    assert batch.keypoints.shape == (4, 9, 17, 2)
    assert torch.equal(batch.keypoints[:, 0], batch.keypoints[:, 3])
    points = batch.target[:, 0] + batch.root[:, None]
    seen = points[..., :2] / points[..., 2:]
    assert (batch.keypoints[:, 4] - seen).abs().median() < 0.01, "the middle frame's, but for the lens"


def test_windows_repeat_their_own_frame_as_photos_and_streams_do():
    clips, all_, some = (
        RandomViews([walker("W01", "walk")], F=9, step=4, every=3, framed=True, repeated=share).render(
            torch.arange(60), np.random.default_rng(0)
        )
        for share in (0.0, 1.0, 0.5)
    )
    for batch, photos, streams in ((clips, 0, 0), (all_, 30, 60), (some, 15, 30)):
        for name in ("keypoints", "confidence"):
            same = getattr(batch, name) == getattr(batch, name)[:, 4:5]
            live, photo = (part.flatten(1).all(1) for part in (same[:, 4:], same))
            assert abs(photo.sum() - photos) <= 8
            assert abs(live.sum() - streams) <= 8
        assert torch.equal(batch.keypoints[:, 4], clips.keypoints[:, 4])
        assert torch.equal(batch.target, clips.target)
        assert torch.equal(batch.keypoints[live & ~photo, :4], clips.keypoints[live & ~photo, :4])


def test_wide_cameras_have_any_pitch_and_distance():
    poses = np.repeat(walker("W01", "walk").poses_world[:1].astype(float), 2000, axis=0)[:, None]
    plain, wide = (
        RandomCameras(wide=share).render(poses, np.random.default_rng(0)).poses_cam[:, 0] for share in (0, 1)
    )
    depths = [views[:, 0, 2] for views in (plain, wide)]
    assert depths[0].min() > 3 > 2.3 > depths[1].min()
    assert depths[1].max() > 10
    up = [(views[:, 8] - views[:, 0]) for views in (plain, wide)]
    tilt = [np.degrees(np.arctan2(u[:, 2], -u[:, 1])) for u in up]
    assert np.abs(tilt[0]).max() < 40 < np.percentile(np.abs(tilt[1]), 95)
    assert (wide[..., 2] > 0.3).all()


def test_a_share_of_the_bodies_has_unusual_bones():
    poses = np.repeat(walker("W01", "walk").poses_world[:1].astype(float), 4000, axis=0)[:, None]
    for share in (0.0, 0.3, 1.0):
        changed = Proportions(size=0, bone=0.05, wide=share, wide_size=0).change(poses, np.random.default_rng(0))[:, 0]
        shin, usual = (np.linalg.norm(each[:, 3] - each[:, 2], axis=-1) for each in (changed, poses[:, 0]))
        logarithm = np.log(shin / usual)
        assert logarithm.std() == pytest.approx((0.05**2 + share * (0.15**2 - 0.05**2)) ** 0.5, rel=0.05)
        bones = np.linalg.norm(changed[:, [3, 6]] - changed[:, [2, 5]], axis=-1) / np.linalg.norm(
            poses[:, 0, [3, 6]] - poses[:, 0, [2, 5]], axis=-1
        )
        np.testing.assert_allclose(bones[:, 0], bones[:, 1])


@pytest.mark.parametrize(
    "lifter", [ONE_PASS, ["--lifter", "mgcn_lw", "--lifter-args", '{"hidden": 8, "blocks": 1}', "--config.draws", "3"]]
)
def test_resume_matches_an_uninterrupted_training(lifter, tmp_path, monkeypatch):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    options = [*SMALL, *lifter, "--config.weight-decay", "0.01", "--config.balance", "0.5"]
    assert cli("train", "sampler", "--out", whole, *options) == 0

    class Stopped(Exception):
        pass

    steps = []

    def stop(state):
        steps.append(state)
        if len(steps) == 7:
            raise Stopped

    with monkeypatch.context() as patched:
        update = torch.optim.swa_utils.AveragedModel.update_parameters
        patched.setattr(
            torch.optim.swa_utils.AveragedModel, "update_parameters", lambda net, m: (update(net, m), stop(m))[0]
        )
        with pytest.raises(Stopped):
            run([str(x) for x in ("train", "sampler", "--out", halves, *options)])
    assert cli("train", "sampler", "--out", halves, *options, "--resume") == 0
    first, second = (read_state_dict(folder / "best.safetensors") for folder in (whole, halves))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_sampler_is_trained_packed_evaluated_and_loaded(tmp_path, capsys):
    run_folder, out, report = tmp_path / "run", tmp_path / "mine", tmp_path / "report.json"
    assert cli("train", "sampler", "--out", run_folder, *SMALL, *ONE_PASS, "--config.wide-cameras", "0.3") == 0
    assert "val_ES" in capsys.readouterr().out
    assert cli("pack", out, "--sampler-run", run_folder, "--alpha", "-1") == 1
    assert "expected alpha to be a finite number >= 0" in capsys.readouterr().err
    assert cli("pack", out, "--sampler-run", run_folder, "--alpha", "0.5") == 0
    argv = ["evaluate", "walkers", "-n", "8", "--split", "val", "--stride", "1", "--model", out, "--json", report]
    assert cli(*argv) == 0
    packed = ["pack", out, "--sampler-run", run_folder, "--reports", report, "--overwrite"]
    assert cli(*packed) == 1
    assert "expected a report with alpha 1.0, got 0.5" in capsys.readouterr().err
    assert cli(*packed, "--alpha", "0.5") == 0
    card = find_model_folder(out).card
    assert (card.noise, card.lifter.network, card.lifter.arguments["framed"]) == (None, "gaussian_mlp", True)
    assert card.scores["walkers val det"]["ES"] == pytest.approx(
        json.loads(report.read_text())["average"]["values"]["cloud"]["ES"], abs=1e-3
    )
    assert cli(*argv, "--overwrite", "--alpha", "1") == 0
    wider = json.loads(report.read_text())["average"]["values"]["cloud"]
    assert wider["spread"] > card.scores["walkers val det"]["spread"]
    keypoints = prpose.read_keypoints("examples/walk_openpose", image_size=(1000, 1002), fps=30)
    model = prpose.load(out)
    small, large = (model(keypoints, num_samples=S) for S in (4, 60))
    assert np.array_equal(small.covariance, large.covariance), "in closed form, whatever the number of samples"
    assert cli("pack", tmp_path / "two", "--alpha", "0.5", "--sampler-run", run_folder, run_folder) == 0
    assert cli("pack", tmp_path / "no", "--sampler-run", run_folder, tmp_path) == 1
    two = prpose.load(tmp_path / "two")
    assert two.card.lifter.arguments == {"members": [{"name": "gaussian_mlp", **card.lifter.arguments}] * 2}
    assert np.allclose(two(keypoints, num_samples=4).covariance, small.covariance, atol=1e-6), "of equal members"
    stream = model.stream((1000, 1002), "body25", num_samples=4, fps=30)
    frame = stream(keypoints.xy[0], keypoints.confidence[0])
    assert np.allclose(frame.samples, small.samples[:, :1], atol=1e-5)


def test_the_noise_of_a_fixed_lifter_is_trained_alone(tmp_path, capsys):
    arguments = ["--lifter", "mgcn_lw", "--lifter-args", '{"hidden": 8, "blocks": 1}']
    assert cli("train", "lifter", "--out", tmp_path / "lifter", *SMALL, *arguments) == 0
    weights = tmp_path / "lifter" / "best.safetensors"
    options = [*SMALL, *arguments, "--init", weights, "--config.no-train-lifter"]
    assert cli("train", "sampler", "--out", tmp_path / "run", *options) == 0, capsys.readouterr().err
    trained = read_state_dict(tmp_path / "run" / "best.safetensors")
    for key, value in read_state_dict(weights).items():
        assert torch.equal(trained[f"lifter.{key}"], value), key
    assert float(trained["noise.log_alpha"]) != pytest.approx(np.log(0.02), abs=1e-6)
    assert cli("train", "sampler", "--out", tmp_path / "no", *SMALL, *ONE_PASS, "--config.no-train-lifter") == 1
    assert "gaussian_mlp predicts a distribution and has no noise to train" in capsys.readouterr().err


def test_a_training_starts_from_an_earlier_one(tmp_path, capsys):
    arguments = ["--lifter", "mgcn_lw", "--lifter-args", '{"framed": true, "hidden": 8, "blocks": 1}']
    assert cli("train", "sampler", "--out", tmp_path / "first", *SMALL, *arguments) == 0
    weights = tmp_path / "first" / "best.safetensors"
    still = [*SMALL, *arguments, "--init", weights, "--lr", "1e-12", "--config.ema", "None"]
    assert cli("train", "sampler", "--out", tmp_path / "second", *still) == 0
    first, second = (read_state_dict(tmp_path / run / "best.safetensors") for run in ("first", "second"))
    for key in ("lifter.lifter.gconv_output.W", "noise.log_alpha", "noise.variance_net.w2.weight"):
        assert torch.allclose(first[key], second[key], atol=1e-6), key
    assert cli("train", "sampler", "--out", tmp_path / "third", *SMALL, *ONE_PASS, "--init", weights) == 1
    assert "not a checkpoint of gaussian_mlp" in capsys.readouterr().err


def test_a_packed_lifter_of_several_frames_knows_its_frame_rate(tmp_path, capsys):
    lifter = ["--lifter", "gaussian_mlp", "--lifter-args", '{"hidden": 8, "blocks": 1, "frames": 3}']
    assert cli("train", "sampler", "--out", tmp_path / "run", *SMALL, *lifter) == 0
    assert cli("pack", tmp_path / "mine", "--sampler-run", tmp_path / "run") == 1
    assert "expected fps, the frame rate of the training, of a lifter of several frames" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    assert cli("pack", tmp_path / "mine", "--sampler-run", tmp_path / "run", "--fps", "60") == 0
    assert find_model_folder(tmp_path / "mine").card.fps == 60


@pytest.mark.filterwarnings("ignore")
def test_low_confidences_are_flagged_but_do_not_widen_trained_samples():
    keypoints = prpose.read_keypoints("examples/walk_openpose", image_size=(1000, 1002), fps=30)
    stated = []
    for lowest in (0.1, 0.9):
        confidence = np.full(keypoints.xy.shape[:2], lowest)
        prediction = prpose.load("gaussian-cmu17")(replace(keypoints, confidence=confidence), num_samples=2)
        stated.append([text for text in prediction.warnings if "do not widen the samples" in text])
    assert [len(found) for found in stated] == [1, 0]


def test_learnt_noise_is_packed_with_its_lifter(tmp_path):
    lifter = ["--lifter", "mgcn_lw", "--lifter-args", '{"framed": true, "hidden": 8, "blocks": 1}']
    assert cli("train", "sampler", "--out", tmp_path / "run", *SMALL, *lifter) == 0
    assert cli("pack", tmp_path / "mine", "--sampler-run", tmp_path / "run") == 0
    model = prpose.load(tmp_path / "mine")
    assert (model.card.noise.network, model.card.alpha, model.sampler.flip) == ("learnt_mgcn_lw", 1.0, "mixture")
    keypoints = prpose.read_keypoints("examples/walk_openpose", image_size=(1000, 1002), fps=30)
    assert model(keypoints, num_samples=4).samples.shape == (4, 30, 17, 3)
