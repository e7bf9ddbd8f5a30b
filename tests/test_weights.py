import argparse
import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from prpose import build_lifter, load, load_published
from prpose.cli import guarded, run
from prpose.hub import find_model_folder
from prpose.lifter import LIFTERS
from prpose.nets.htnet import rename_published
from prpose.weights import read_state_dict
from tests.golden_numbers import LIFTER_CASES, OURS, rule_state


def saved(state, path):
    torch.save(state, path) if path.suffix == ".pth" else save_file(state, path)
    return path


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_published_files_load(name, suffix, tmp_path):
    state = rule_state(name)
    loaded = load_published(OURS[name], saved(state, tmp_path / f"weights.{suffix}")).state_dict()
    assert len(loaded) == len(state)
    for key, value in state.items():
        assert torch.equal(loaded[rename_published(key) if name == "htnet" else key], value), key


def wrapped(state, way):
    """A checkpoint as trainings write it."""
    prefixed = {f"{'module' if 'module' in way else 'model'}.{key}": value for key, value in state.items()}
    options = argparse.Namespace(epochs=80, root=None)
    return {
        "module": prefixed,
        "model_pos": {"epoch": 80, "lr": 1e-4, "random_state": None, "optimizer": {}, "model_pos": state},
        "state_dict": {"epoch": 3, "state_dict": state, "args": options},
        "lightning": {"pytorch-lightning_version": "2.4", "hyper_parameters": {"lr": 1e-3}, "state_dict": prefixed},
        "compiled module": {"_orig_mod." + key: value for key, value in prefixed.items()},
        "nested": {"model": {"state_dict": state}, "ema": {"decay": 0.99}},
    }[way]


@pytest.mark.parametrize("way", ["module", "model_pos", "state_dict", "lightning", "compiled module", "nested"])
@pytest.mark.parametrize("name", LIFTERS)
def test_checkpoints_of_trainings_load(name, way, tmp_path):
    state = build_lifter(name).state_dict()
    torch.save(wrapped(state, way), tmp_path / "c.pth")
    loaded = load_published(name, tmp_path / "c.pth").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert loaded.keys() == state.keys()


def test_a_training_without_weights_is_named(tmp_path):
    torch.save({"epoch": 3, "model_pos": {"a": 1}}, tmp_path / "c.pth")
    with pytest.raises(ValueError, match=r"c\.pth, 'model_pos': expected a state dict of tensors, got int under 'a'"):
        read_state_dict(tmp_path / "c.pth")


def test_another_networks_checkpoint_is_named(tmp_path):
    path = saved(rule_state("avg_modulated_gcn"), tmp_path / "avg_model_htnet.pth")
    with pytest.raises(ValueError, match=r"avg_model_htnet.pth is not a checkpoint of htnet.*missing.*unexpected"):
        load_published("htnet", path)


def test_missing_and_extra_keys_are_named():
    state = rule_state("mgcn_lw")
    with pytest.raises(ValueError, match=r"unexpected surplus$"):
        load_published("mgcn_lw", state | {"surplus": torch.zeros(1)})
    del state["gconv_output.bias"]
    with pytest.raises(ValueError, match=r"missing gconv_output.bias$"):
        load_published("mgcn_lw", state)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), "gconv_output.bias is of torch.int64, expected"),
        (torch.zeros(3, dtype=torch.complex64), "real numbers, got .* as torch.complex64"),
        (torch.zeros(3, dtype=torch.bool), "real numbers, got .* as torch.bool"),
        (torch.zeros(3).to(torch.float8_e4m3fn), "real numbers, got .* as torch.float8_e4m3fn"),
        (torch.full((3,), 1e300, dtype=torch.float64), "gconv_output.bias has NaN or infinity"),
        (torch.zeros(3, device="meta"), "with data, got gconv_output.bias on meta"),
        (torch.tensor([0, 1, float("nan")]), "gconv_output.bias has NaN or infinity"),
        (torch.zeros(3).to_sparse(), "expected dense tensors with data, got gconv_output.bias"),
        (torch.zeros(3).numpy(), "got ndarray under 'gconv_output.bias'"),
        (None, "got NoneType under 'gconv_output.bias'"),
        (torch.zeros(4), r"gconv_output.bias has shape \(4,\), expected \(3,\)"),
    ],
)
def test_values_that_are_no_weights_are_named(value, message):
    with pytest.raises(ValueError, match=message):
        load_published("mgcn_lw", rule_state("mgcn_lw") | {"gconv_output.bias": value})


@pytest.mark.parametrize("name", [name for name in LIFTER_CASES if not name.startswith(("temporal", "graphmlp_f27"))])
@pytest.mark.parametrize("half", [False, True])
def test_published_and_own_keys_of_lifters_load_alike(name, half):
    (network, arguments), state = LIFTER_CASES[name], rule_state(name)
    state = {k: v.half() if half and v.is_floating_point() else v for k, v in state.items()}
    net = load_published(network, state, **arguments)
    again = load_published(network, net.state_dict(), **arguments)
    assert not net.training
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())
    for key, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


@pytest.mark.parametrize("key", ["A", "mlp_gcn.blocks.2.gcn_2.adj"])
def test_another_graph_than_ours_is_refused(key):
    graph = (state := rule_state("graphmlp_f1"))[key]
    weight, link = graph + 1e-4 * (graph == graph.max()), graph + 1e-4 * (graph == 0)
    for other in (weight, link, graph.mT, graph[:3], graph * float("nan"), (graph * 12).long()):
        with pytest.raises(ValueError, match=rf"graphmlp: {key} is not this network's own graph"):
            load_published("graphmlp", state | {key: other.contiguous()})
    without = {k: v for k, v in state.items() if v.shape != (4, 17, 17)}  # the graph is not needed
    assert load_published("graphmlp", without).blocks[2].conv2.partitions.sum() == pytest.approx(17)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_our_graph_is_known_in_every_precision(dtype):
    graph = (state := rule_state("graphmlp_f1"))["A"].double()
    thirds = torch.where((graph - 1 / 3).abs() < 1e-6, 1 / 3, graph)  # as float64 has them
    net = load_published("graphmlp", state | {"A": thirds.to(dtype)})
    assert torch.equal(net.blocks[0].conv1.partitions, state["A"])


def test_a_matrix_is_no_convolution_over_more_than_one_place():
    state = rule_state("modulated_gcn_17")
    wider = state["non_local.theta.weight"].expand(-1, -1, 3, 1).contiguous()
    with pytest.raises(ValueError, match=r"non_local.query.weight has shape \(192, 384, 3, 1\)"):
        load_published("modulated_gcn", state | {"non_local.theta.weight": wider})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("graphmlp_f1", {"frames": 27}),
        ("modulated_gcn_16", {"joints": 17}),
        ("modulated_gcn_16", {"joints": 16, "nonlocal_blocks": True}),
        ("modulated_gcn_16_nonlocal", {"joints": 16}),
        ("modulated_gcn_17", {"joints": 16}),
    ],
)
def test_another_variants_checkpoint_is_refused(name, arguments):
    with pytest.raises(ValueError, match="the state dict is not a checkpoint of"):
        load_published(LIFTER_CASES[name][0], rule_state(name), **arguments)


@pytest.mark.parametrize(("name", "rename"), [("htnet", rename_published), ("modulated_gcn_16", "net.{}".format)])
def test_two_parameters_with_one_name_are_refused(name, rename):
    (network, arguments), state = LIFTER_CASES.get(name, (name, {})), rule_state(name)
    both = state | {rename(key): value + 1 for key, value in state.items()}
    with pytest.raises(ValueError, match="two parameters are called"):
        load_published(network, both, **arguments)


@pytest.mark.parametrize("source", [None, 3, [torch.zeros(1)], {3: torch.zeros(1)}])
def test_what_is_neither_path_nor_state_dict_is_refused(source):
    with pytest.raises(ValueError, match=r"expected a (path or a )?state dict"):
        load_published("mgcn_lw", source)
    with pytest.raises(ValueError, match="expected the name of a network, got int"):
        load_published(3, rule_state("mgcn_lw"))


OTHER = [b"root:x:0:0\n" * 50, b"\x80\x02}q\x00.", b"\x00" * 999, b"PK"]


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [0, 10, 1000, -1000, *OTHER])
def test_truncated_and_other_files_are_named(suffix, content, tmp_path):
    path, cut = saved(rule_state("mgcn_lw"), tmp_path / f"other.{suffix}"), isinstance(content, int)
    path.write_bytes(path.read_bytes()[:content] if cut else content)
    with pytest.raises(ValueError, match=rf"other\.{suffix}" + ": " * cut):
        load_published("mgcn_lw", path)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("trace",)


@pytest.mark.parametrize("dump", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))])
def test_code_in_a_checkpoint_is_not_run(dump, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dump({"W": Payload()}, tmp_path / "hostile.pth")
    with pytest.raises(ValueError, match=r"hostile\.pth: .*nothing of it was run"):
        read_state_dict(tmp_path / "hostile.pth")
    assert not (tmp_path / "trace").exists()


def test_missing_files_and_other_contents_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pth: no such file"):
        read_state_dict(tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="expected a state dict of tensors, got list"):
        read_state_dict(tmp_path / "list.pth")
    for name, near in (("avg_htnt", "avg_htnet"), ("refine_graph", "refine_g")):
        with pytest.raises(ValueError, match=rf"unknown network '{name}'; did you mean {near}"):
            load_published(name, {})


OWN = "examples.own_lifter:ResidualLifter"
SMALL = ["--lifter", OWN, "--lifter-args", '{"width": 32}', "--data", "walkers", "--epochs", "1",
         "--config.every", "200"]  # fmt: skip


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


class Shapeless(nn.Module):
    def forward(self, keypoints):
        return keypoints


class Blind(nn.Module):
    F = 3

    def forward(self, keypoints):
        raise RuntimeError("no eyes")


def test_own_lifter_is_trained_packed_evaluated_and_loaded(tmp_path, capsys):
    lifter, noise, model = tmp_path / "lifter", tmp_path / "noise", tmp_path / "mlp"
    assert prpose("train", "lifter", *SMALL, "--out", lifter) == 0
    weights = lifter / "best.safetensors"
    assert prpose("train", "noise", *SMALL, "--out", noise, "--lifter-weights", weights) == 0
    assert json.loads((noise / "config.json").read_text())["training"]["network"] == "htnet"
    runs = ["--lifter-run", lifter, "--noise-run", noise]
    assert prpose("pack", model, *runs, "--alpha", "0.01") == 0
    assert prpose("evaluate", "walkers", "--model", model, "-n", "2", "--stride", "20") == 0
    assert "all frames" in capsys.readouterr().out
    card = find_model_folder(model).card
    assert (card.lifter.network, card.noise.network) == (OWN, "avg_htnet")
    found = load(model).sampler.lifter
    same = load_published(OWN, weights, width=32)
    keypoints = torch.rand(3, 1, 17, 2)
    assert torch.equal(found(keypoints), same(keypoints))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:system", "expected os:system to be a subclass of nn.Module, got builtin_function"),
        ("prpose.lifter:Lifter", "cannot import .*has no attribute 'Lifter'"),
        ("no_such_module:Net", "cannot import .*No module named 'no_such_module'"),
        ("prpose.lifter:", "expected prpose.lifter: to be a subclass of nn.Module, got module"),
        ("tests.mocap_files:CMU", "to be a subclass of nn.Module, got PosixPath"),
        ("../evil:Net", r"expected package\.module:Class"),
        ("torch.nn:Linear", "torch.nn:Linear cannot be built with {}"),
        ("tests.test_weights:Shapeless", r"return poses of shape \(2, 2, 17, 3\) for keypoints of shape "
         r"\(2, 2, 17, 2\) \(F = 1\), got \(2, 2, 17, 2\)"),
        ("tests.test_weights:Blind", r"cannot lift .* \(2, 4, 17, 2\) \(F = 3\): no eyes"),
    ],
)  # fmt: skip
def test_a_class_that_is_not_a_lifter_raises(name, message):
    with pytest.raises(ValueError, match=message):
        build_lifter(name)


def test_a_checkpoint_within_itself_is_refused(tmp_path):
    endless = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "c.pth")
    with pytest.raises(ValueError, match="expected a state dict of tensors, got dict under 'model'"):
        read_state_dict(tmp_path / "c.pth")
