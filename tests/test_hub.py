"""Models by name, folder and hub, and their cards."""

import json
import shutil
import sys
import types

import pytest
import torch

from prpose import build_lifter, build_variance_net, metrics
from prpose.card import Card, Network
from prpose.data import load_clips
from prpose.data.windows import Windows
from prpose.hub import SHIPPED, bundled_models, find_model_folder, write_model_folder
from prpose.lifter import is_framed, receptive_field

NAMES = sorted(bundled_models())
FILES = ["card.json", "lifter.safetensors", "noise.safetensors"]


def copied(tmp_path, **change):
    """A copy of a bundled model's folder with changes to its card."""
    folder = tmp_path / "model"
    shutil.copytree(SHIPPED / "mgcn-cmu17", folder)
    card = json.loads((folder / "card.json").read_text())
    card |= {key: card[key] | value for key, value in change.items()}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_bundled_models_are_complete_and_small():
    assert NAMES
    assert sum(model.size for model in bundled_models().values()) < 20e6
    for name, model in bundled_models().items():
        expected = [file for file in FILES if file.removesuffix(".safetensors") in (*model.card.roles, "card.json")]
        assert sorted(path.name for path in (SHIPPED / name).iterdir()) == expected


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_bundled_models_lift_people_they_were_not_trained_on(name):
    net = find_model_folder(name).sampler()
    assert not any(part.training for part in net.modules())
    kw = {"framed": is_framed(net.lifter), "every": 30}
    windows = Windows(load_clips("walkers", ".", "val"), receptive_field(net.lifter), **kw)
    batch = windows[torch.arange(0, len(windows), 32)]
    deterministic = metrics.mpjpe(net.deterministic(batch.keypoints), batch.target)
    poses = net.sample(batch.keypoints, 50, torch.Generator().manual_seed(0), rho=0.935)
    assert deterministic.mean() < 0.12
    assert metrics.best_of_s(metrics.mpjpe(poses, batch.target)).mean() < 0.9 * deterministic.mean()


def test_unknown_names_and_folders_without_a_card_are_refused(tmp_path):
    for wrong, message in [
        ("mgcn", "unknown model 'mgcn'; did you mean mgcn-cmu17"),
        (tmp_path, r"expected a model's folder, with card\.json in it"),
        *((name, "unknown model") for name in ("a/b/c", "./x", "/x", "x/")),
        *((x, "expected the name of a model, or a folder, got") for x in (None, 3, b"mgcn-cmu17", "x" * 5000)),
    ]:
        with pytest.raises(ValueError, match=message):
            find_model_folder(wrong)


def test_weights_of_another_checksum_are_refused(tmp_path):
    folder = copied(tmp_path)
    path = folder / "noise.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    sha256 = find_model_folder("mgcn-cmu17").card.noise.sha256
    with pytest.raises(ValueError, match=rf"noise\.safetensors: expected SHA-256 {sha256}"):
        find_model_folder(folder).networks()
    path.unlink()
    with pytest.raises(ValueError, match="got no file"):
        find_model_folder(str(folder)).networks()


CARD = json.loads((SHIPPED / "mgcn-cmu17" / "card.json").read_text())
WRONG = [{"alpha": -1.0}, {"alpha": "wide"}, {"alpha": 10**400}, {"floor": 1e308}, {"fps": 10**400}, {"beta": 1},
         {"lifter": {}}, {"limits_95": {"spine": 1.0}},
         {"limits_95": dict.fromkeys(CARD["limits_95"], 10**400)}]  # fmt: skip
DAMAGED = [*(CARD | wrong for wrong in WRONG), {key: CARD[key] for key in CARD if key != "noise"}]


@pytest.mark.parametrize("text", ["", "[]", *(json.dumps(card) for card in DAMAGED)])
def test_damaged_cards_are_refused_by_name(text, tmp_path):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(ValueError, match=r"card\.json: not a (JSON file|model's card)"):
        find_model_folder(tmp_path)


def test_models_of_the_hub_are_downloaded_by_name(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(name, allow_patterns):
        asked.append((name, sorted(allow_patterns)))
        if name != "owner/mgcn":
            raise OSError("404 Client Error\nfor a page of text")
        return str(SHIPPED / "mgcn-cmu17")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert find_model_folder("owner/mgcn").card.name == "mgcn-cmu17"
    assert asked == [("owner/mgcn", FILES)]
    with pytest.raises(ValueError, match=r"\A.*no model 'owner/else' on the Hugging Face hub.*\Z"):  # one line
        find_model_folder("owner/else")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"prpose\[hub\]"):
        find_model_folder("owner/mgcn")


@pytest.mark.parametrize("half", [False, True])
def test_checkpoints_with_one_tensor_under_two_names_are_packed(half, tmp_path):
    lifter = build_lifter("graphmlp", channels=8)
    graph = lifter.blocks[0].conv1.partitions
    state = lifter.state_dict() | {"A": graph, "mlp_gcn.blocks.0.adj": graph}
    weights = {"lifter": tmp_path / "lifter.pth", "noise": tmp_path / "noise.pth"}
    torch.save(state, weights["lifter"])
    torch.save(build_variance_net("mgcn_lw").state_dict(), weights["noise"])
    networks = Network("graphmlp", "", "", {"channels": 8}), Network("avg_mgcn_lw", "", "")
    card = Card("mine", *networks, alpha=0.01, data="", data_sha256="", date="")
    packed, _ = write_model_folder(tmp_path / "mine", card, weights, half=half).networks()
    for key, value in packed.state_dict().items():
        assert torch.allclose(value, state[key], rtol=1e-3, atol=1e-6 + half * 1e-3), key


def test_a_card_of_the_hub_does_not_choose_what_is_imported(tmp_path, monkeypatch):
    own = "examples.own_lifter:ResidualLifter"
    members = {"network": "gaussian_mixture", "arguments": {"members": [{"name": own}, {"name": "gaussian_gcn"}]}}
    for number, change in enumerate(({"network": own}, members)):
        folder = copied(tmp_path / str(number), lifter=change)
        with monkeypatch.context() as patch:
            patch.setattr("prpose.hub._downloaded", lambda name, folder=folder: folder)
            with pytest.raises(ValueError, match="expected networks of prpose, got examples"):
                find_model_folder("owner/model")
        assert own in find_model_folder(folder).card.lifter.names


@pytest.mark.parametrize("below", [0, 1, 2, 3])
def test_a_card_does_not_choose_what_is_run_unless_the_user_names_it_too(below, tmp_path, monkeypatch):
    """Neither of its own folder nor of the working folder, which may be of the same archive."""
    name = ".".join(["a", "model", f"evil{below}"][2 - min(below, 2) :]) if below < 3 else "evil3"
    folder = copied(tmp_path / "a", lifter={"network": f"{name}:Net"})
    for place in (folder, tmp_path):
        (place / f"evil{below}.py").write_text("import pathlib; pathlib.Path('ran').touch()")
    monkeypatch.chdir([folder, tmp_path / "a", tmp_path, tmp_path][below])  # the folder itself, or one above it
    with pytest.raises(ValueError, match=r"expected networks of prpose, got .*evil.*PRPOSE_LIFTERS"):
        find_model_folder(folder).networks()
    assert not list(tmp_path.rglob("ran"))
    monkeypatch.setenv("PRPOSE_LIFTERS", f"other:Net,{name}:Net")
    with pytest.raises(ValueError, match=r"cannot import .*has no attribute 'Net'"):
        find_model_folder(folder).networks()
    assert list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    ("role", "change", "message"),
    [
        ("lifter", {"network": "avg_htnet"}, "expected a network that can be the lifter"),
        ("noise", {"network": "mgcn_lw"}, "expected a network that can be the noise"),
        ("noise", {"network": "avg_"}, "expected a network that can be the noise"),
        ("lifter", {"arguments": [1]}, r"Expected `object`, got `array` - at `\$\.lifter\.arguments`"),
        ("lifter", {"arguments": None}, r"Expected `object`, got `null` - at `\$\.lifter\.arguments`"),
        ("lifter", {"arguments": {"source": "x"}}, "expected constructor arguments"),
        ("lifter", {"arguments": {"hidden": 0}}, "mgcn_lw cannot be built with"),
        ("lifter", {"arguments": {"dropout": float("nan")}}, "mgcn_lw cannot be built with .* finite numbers"),
        ("noise", {"arguments": {"hidden": "a"}}, "htnet cannot be built with"),
    ],
)
def test_cards_of_networks_that_cannot_be_built_are_refused(role, change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        find_model_folder(copied(tmp_path, **{role: change})).networks()


def test_a_folder_with_the_name_of_a_bundled_model_is_ambiguous(tmp_path, monkeypatch):
    shutil.copytree(SHIPPED / "mgcn-cmu17", tmp_path / "mgcn-cmu17")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"a bundled model, and a folder here: .* \./mgcn-cmu17"):
        find_model_folder("mgcn-cmu17")
    assert find_model_folder("./mgcn-cmu17").folder.resolve() == tmp_path / "mgcn-cmu17"
