"""The networks that come with prpose, by their cards."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from prpose import models
from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import PROTOCOLS, score, seeded_draw, tabulate
from prpose.hypotheses import HypothesisLifter
from prpose.models import CARDS, cards, find_card
from prpose.noise import AdaptiveNoise
from prpose.predictor import Predictor

NAMES = sorted(cards())


def test_there_is_a_model_and_all_are_small():
    assert NAMES
    files = {
        CARDS / file for card in cards().values() for file in (card.lifter_file, card.noise_file)
    }
    assert sum(path.stat().st_size for path in files) < 20e6
    assert {path.name for path in CARDS.iterdir()} == {"cards.toml", *(p.name for p in files)}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_worth_something_on_people_it_has_never_seen(name):
    """Not the card's scores, which need the benchmark: that it was trained, and on what."""
    card = find_card(name)
    lifter, variance_net = card.networks()
    net = HypothesisLifter(lifter, AdaptiveNoise(variance_net, card.alpha))
    windows = Windows(load_clips("walkers", ".", "val"), every=30)
    scores = score(net, windows, ("P1", "P2"), seeded_draw(0, 20), cloud=True)
    values = tabulate(scores, windows, PROTOCOLS["walkers"])[1].values
    assert values["single"]["P1"] < 120
    assert values["best"]["P1"] < 0.9 * values["single"]["P1"]
    assert values["mean"]["P1"] < values["any"]["P1"]
    assert values["cloud"]["ECE"] < 0.45


@pytest.mark.parametrize("name", NAMES)
def test_predictions_repeat_and_are_those_of_the_clip(name):
    clip = load_clips("walkers", ".", "test", actions=("squat",), stride=40)[0]
    predictor = Predictor.load(name)
    size = clip.camera.width, clip.camera.height
    a, b, c = (predictor.predict(clip.keypoints_px, *size, S=6, seed=s) for s in (1, 1, 2))
    assert a.hypotheses.shape == (6, 6, 17, 3)
    assert np.array_equal(a.hypotheses, b.hypotheses)
    assert not np.array_equal(a.hypotheses, c.hypotheses)
    assert np.array_equal(a.single, c.single)
    assert np.allclose(a.mean, a.hypotheses.mean(0))
    truth = clip.poses_cam - clip.poses_cam[:, :1]
    assert np.linalg.norm(a.single - truth, axis=-1).mean() < 0.15
    with pytest.raises(ValueError, match=r"track: expected 2D of shape \(T, 17, 2\)"):
        predictor.predict(clip.keypoints_px[:, :16], *size)
    with pytest.raises(ValueError, match="positive image size, got 0 x 5"):
        predictor.predict(clip.keypoints_px, 0, 5)


def test_unknown_models_and_other_weights_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"unknown model 'mgcn'; did you mean {NAMES[-1]}"):
        Predictor.load("mgcn")
    card = find_card(NAMES[0])
    shutil.copytree(CARDS, tmp_path / "cards")
    state = bytearray((tmp_path / "cards" / card.noise_file).read_bytes())
    state[-1] ^= 1
    (tmp_path / "cards" / card.noise_file).write_bytes(state)
    monkeypatch.setattr(models, "CARDS", tmp_path / "cards")
    with pytest.raises(
        ValueError, match=rf"{card.noise_file}: expected SHA-256 {card.noise_sha256}"
    ):
        card.networks()


def test_cards_are_listed(capsys):
    assert guarded(lambda: run(["models"])) == 0
    printed = capsys.readouterr().out
    for name in NAMES:
        assert name in printed
    assert {f.name for f in dataclasses.fields(models.Card)} >= {"alpha", "data_sha256", "scores"}


def test_evaluate_takes_a_model_by_name(capsys):
    argv = ["evaluate", "walkers", "--model", NAMES[0], "-n", "2", "--stride", "9"]
    assert guarded(lambda: run(argv)) == 0
    assert "energy score" in capsys.readouterr().out


def test_networks_come_in_eval_mode():
    for net in find_card(NAMES[0]).networks():
        assert not any(module.training for module in net.modules())
        assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
