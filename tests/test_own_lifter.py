"""A lifter of one's own, by its import path: trained, packed, evaluated."""

import json

import pytest
import torch
from torch import nn

from prpose import build_lifter, load, load_published
from prpose.cli import guarded, run
from prpose.hub import find_model_folder

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
        ("tests.test_own_lifter:Shapeless", r"return poses of shape \(2, 2, 17, 3\) for keypoints of shape "
         r"\(2, 2, 17, 2\) \(F = 1\), got \(2, 2, 17, 2\)"),
        ("tests.test_own_lifter:Blind", r"cannot lift .* \(2, 4, 17, 2\) \(F = 3\): no eyes"),
    ],
)  # fmt: skip
def test_a_class_that_is_not_a_lifter_raises(name, message):
    with pytest.raises(ValueError, match=message):
        build_lifter(name)
