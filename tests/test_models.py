"""The networks that come with prpose, by their cards."""

import json
import shutil
import sys
import types

import numpy as np
import pytest
import torch

from prpose import build_lifter, build_variance_net
from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.evaluation import PROTOCOLS, score, seeded_draw, tabulate
from prpose.hub import SHIPPED, Card, Network, bundled_models, find_model_folder, write_model_folder
from prpose.lifter import receptive_field
from prpose.model import Model
from prpose.noise import noise_rho

NAMES = sorted(bundled_models())


def test_there_is_a_model_and_all_are_small():
    assert NAMES
    assert sum(model.size for model in bundled_models().values()) < 20e6
    for name in NAMES:
        files = {path.name for path in (SHIPPED / name).iterdir()}
        assert files == {"card.json", "lifter.safetensors", "noise.safetensors"}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_worth_something_on_people_it_has_never_seen(name):
    """Not the card's scores, which need the benchmark: that it was trained, and on what."""
    net = find_model_folder(name).sampler()
    clips = load_clips("walkers", ".", "val")
    windows = Windows(clips, receptive_field(net.lifter), every=30)
    draw = seeded_draw(0, 20, noise_rho("ar1", fps=60))
    scores = score(net, windows, ("P1", "P2"), draw, cloud=True)
    values = tabulate(scores, windows, PROTOCOLS["walkers"])[1].values
    assert values["single"]["P1"] < 120
    assert values["best"]["P1"] < 0.9 * values["single"]["P1"]
    assert values["mean"]["P1"] < values["any"]["P1"]
    assert values["cloud"]["ECE"] < 0.45


@pytest.mark.parametrize("name", NAMES)
def test_predictions_repeat_and_are_those_of_the_clip(name):
    clip = load_clips("walkers", ".", "test", actions=("squat",), stride=40)[0]
    predictor = Model.load(name)
    size = clip.camera.width, clip.camera.height
    a, b, c = (predictor.predict(clip.keypoints_px, size, hypotheses=6, seed=s) for s in (1, 1, 2))
    assert a.samples.shape == (6, 6, 17, 3)
    assert np.array_equal(a.samples, b.samples)
    assert not np.array_equal(a.samples, c.samples)
    assert np.array_equal(a.deterministic, c.deterministic)
    assert np.array_equal(a.pose, a.deterministic)
    truth = clip.poses_cam - clip.poses_cam[:, :1]
    assert np.linalg.norm(a.deterministic - truth, axis=-1).mean() < 0.15
    with pytest.raises(ValueError, match=r"track: expected 2D of shape \(T, 17, 2\)"):
        predictor.predict(clip.keypoints_px[:, :16], size)
    with pytest.raises(ValueError, match="positive image size, got 0 x 5"):
        predictor.predict(clip.keypoints_px, (0, 5))


def test_unknown_models_and_other_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown model 'mgcn'; did you mean mgcn-cmu17"):
        Model.load("mgcn")
    with pytest.raises(ValueError, match=r"expected a model's folder, with card\.json in it"):
        Model.load(tmp_path)
    folder = tmp_path / "mine"
    shutil.copytree(SHIPPED / NAMES[0], folder)
    assert Model.load(folder).net.noise.alpha == find_model_folder(NAMES[0]).card.alpha
    state = bytearray((folder / "noise.safetensors").read_bytes())
    state[-1] ^= 1
    (folder / "noise.safetensors").write_bytes(state)
    sha256 = find_model_folder(NAMES[0]).card.noise.sha256
    with pytest.raises(ValueError, match=rf"noise\.safetensors: expected SHA-256 {sha256}"):
        Model.load(folder)
    (folder / "noise.safetensors").unlink()
    with pytest.raises(ValueError, match="got no file"):
        Model.load(str(folder))


@pytest.mark.parametrize(
    "damage",
    [
        lambda card: "",
        lambda card: "[]",
        lambda card: json.dumps(card | {"alpha": -1.0}),
        lambda card: json.dumps(card | {"alpha": "wide"}),
        lambda card: json.dumps(card | {"beta": 1}),
        lambda card: json.dumps(card | {"lifter": {}}),
        lambda card: json.dumps({k: v for k, v in card.items() if k != "noise"}),
    ],
)
def test_damaged_cards_are_named(damage, tmp_path):
    card = json.loads((SHIPPED / NAMES[0] / "card.json").read_text())
    (tmp_path / "card.json").write_text(damage(card))
    with pytest.raises(ValueError, match=r"card\.json: not a model's card"):
        find_model_folder(tmp_path)


def test_models_of_the_hub_are_fetched_by_their_name(tmp_path, monkeypatch):
    """The hub's client is not installed here, or it is: neither is asked."""
    asked = []

    def snapshot_download(name, allow_patterns):
        asked.append((name, sorted(allow_patterns)))
        if name != "somebody/mgcn":
            raise OSError("404 Client Error\nfor a page of text")
        return str(SHIPPED / NAMES[0])

    client = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    assert find_model_folder("somebody/mgcn").card.name == NAMES[0]
    assert asked == [("somebody/mgcn", ["card.json", "lifter.safetensors", "noise.safetensors"])]
    with pytest.raises(ValueError, match="no model 'somebody/else' on the Hugging Face hub") as e:
        find_model_folder("somebody/else")
    assert "\n" not in str(e.value)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"prpose\[hub\]"):
        find_model_folder("somebody/mgcn")
    for name in ("a/b/c", "./x", "/x", "x/"):
        with pytest.raises(ValueError, match="unknown model"):
            find_model_folder(name)


def test_cards_are_listed(capsys):
    assert guarded(lambda: run(["models"])) == 0
    printed = capsys.readouterr().out
    for name in NAMES:
        assert name in printed
        assert find_model_folder(name).card.noise.command.split(" --")[0] in printed


def test_evaluate_takes_a_model_by_name(capsys):
    argv = ["evaluate", "walkers", "--model", NAMES[0], "-n", "2", "--stride", "9"]
    assert guarded(lambda: run(argv)) == 0
    assert "energy score" in capsys.readouterr().out


def test_networks_come_in_eval_mode():
    for net in find_model_folder(NAMES[0]).networks():
        assert not any(module.training for module in net.modules())
        assert all(torch.isfinite(parameter).all() for parameter in net.parameters())


@pytest.mark.parametrize("half", [False, True])
def test_checkpoints_with_one_tensor_under_two_names_are_packed(half, tmp_path):
    arguments = {"channels": 8}
    lifter = build_lifter("graphmlp", **arguments)
    graph = lifter.blocks[0].conv1.partitions
    state = lifter.state_dict() | {"A": graph, "mlp_gcn.blocks.0.adj": graph}
    weights = {"lifter": tmp_path / "lifter.pth", "noise": tmp_path / "noise.pth"}
    torch.save(state, weights["lifter"])
    torch.save(build_variance_net("mgcn_lw").state_dict(), weights["noise"])
    networks = Network("graphmlp", "", "", arguments), Network("avg_mgcn_lw", "", "")
    card = Card("mine", *networks, alpha=0.01, data="", data_sha256="", date="")
    packed, _ = write_model_folder(tmp_path / "mine", card, weights, half=half).networks()
    for key, value in packed.state_dict().items():
        assert torch.allclose(value, state[key], rtol=1e-3, atol=1e-6 + half * 1e-3), key


def test_a_strangers_card_does_not_choose_what_is_imported(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    card = json.loads((SHIPPED / "mgcn-cmu17/card.json").read_text())
    card["lifter"]["network"] = "examples.own_lifter:ResidualLifter"
    (folder / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr("prpose.hub._downloaded", lambda name: folder)
    with pytest.raises(ValueError, match="expected networks of prpose, got examples"):
        find_model_folder("somebody/model")
    assert find_model_folder(folder).card.lifter.network.startswith("examples")


@pytest.mark.parametrize("name", [None, 3, b"mgcn-cmu17", ["mgcn-cmu17"], "x" * 5000])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="expected the name of a model, or a folder, got"):
        Model.load(name)


@pytest.mark.parametrize(
    ("role", "change", "message"),
    [
        ("lifter", {"network": "avg_htnet"}, "expected a network that can be the lifter"),
        ("noise", {"network": "mgcn_lw"}, "expected a network that can be the noise"),
        ("noise", {"network": "avg_"}, "expected a network that can be the noise"),
        ("lifter", {"arguments": [1]}, "expected constructor arguments of mgcn_lw, got"),
        ("lifter", {"arguments": None}, "expected constructor arguments of mgcn_lw, got None"),
        ("lifter", {"arguments": {"source": "x"}}, "expected constructor arguments"),
        ("lifter", {"arguments": {"hidden": 0}}, "mgcn_lw cannot be built with"),
        ("noise", {"arguments": {"hidden": "a"}}, "htnet cannot be built with"),
    ],
)
def test_cards_that_name_what_cannot_be_are_refused(role, change, message, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED / "mgcn-cmu17", folder)
    card = json.loads((folder / "card.json").read_text())
    card[role] |= change
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=message):
        find_model_folder(folder).networks()


def test_a_folder_with_a_shipped_models_name_is_not_mistaken(tmp_path, monkeypatch):
    shutil.copytree(SHIPPED / "mgcn-cmu17", tmp_path / "mgcn-cmu17")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"a model of prpose's, and a folder here: \./mgcn-cmu17"):
        find_model_folder("mgcn-cmu17")
    assert find_model_folder("./mgcn-cmu17").folder.resolve() == tmp_path / "mgcn-cmu17"
