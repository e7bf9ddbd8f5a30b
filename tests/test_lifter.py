import importlib.metadata
import json

import pytest
import torch

from prpose import H36M_17, build_lifter, build_variance_net
from prpose.cli import guarded, run
from prpose.cli.models import VARIANTS, flops
from prpose.lifter import LIFTERS, NECK, RemappedLifter, receptive_field
from prpose.skeleton import H36M_16, mirror_pose
from tests.golden_numbers import GOLDEN


@pytest.mark.parametrize("build", [build_lifter, build_variance_net])
def test_unknown_names_get_the_nearest_and_all(build):
    with pytest.raises(ValueError, match=r"did you mean htnet\? \(known: .*graphmlp, htnet, mgcn_lw, "):
        build("htent")


def test_keyword_arguments_reach_the_constructor():
    assert build_lifter("htnet", blocks=1, drop_path=(0.0,)).blocks[0].drop_path.rate == 0
    assert build_lifter("mgcn_lw", hidden=32).gconv_output.W.shape == (1, 32, 3)


@pytest.mark.parametrize(
    ("name", "kw", "F"),
    [
        ("htnet", {}, 1),
        ("mgcn_lw", {}, 1),
        ("modulated_gcn", {"joints": 16}, 1),
        ("graphmlp", {"frames": 9}, 9),
        ("temporal", {"channels": 8}, 27),
        ("temporal", {"channels": 8, "filter_widths": [3, 5]}, 15),
    ],
)
def test_receptive_field(name, kw, F):
    lifter = build_lifter(name, **kw)
    assert receptive_field(lifter) == lifter.F == F
    assert receptive_field(torch.nn.Identity()) == 1


class Still(torch.nn.Module):
    """Keypoints as they are, at depth 0, of the middle of three frames."""

    F = 3

    def forward(self, keypoints):
        return torch.nn.functional.pad(keypoints[:, 1:-1], (0, 1))


def test_remapping_keeps_joints_by_name_and_is_mirror_equivariant():
    net = RemappedLifter(Still(), H36M_16, H36M_17, NECK)
    x = torch.randn(2, 5, 17, 2, generator=torch.Generator().manual_seed(0))
    y = net(x)
    assert receptive_field(net) == 3
    assert y.shape == (2, 3, 17, 3)
    for name in H36M_16.names:
        joint = H36M_17.index(name)
        assert torch.equal(y[..., joint, :2], x[:, 1:-1, joint]), name
    # Still is equivariant itself, so that all is if the remapping is.
    mirrored = net(mirror_pose(x, H36M_17.mirror))
    assert torch.equal(mirrored, mirror_pose(y, H36M_17.mirror))


def test_installed_packages_add_lifters_by_entry_point(monkeypatch):
    point = importlib.metadata.EntryPoint("residual", "examples.own_lifter:ResidualLifter", "prpose.lifters")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] if group == point.group else [])
    assert type(build_lifter("residual", width=8)).__name__ == "ResidualLifter"
    with pytest.raises(ValueError, match=r"unknown lifter 'residul'; did you mean residual\?"):
        build_lifter("residul")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 10**400])
def test_arguments_must_be_finite(bad):
    with pytest.raises(ValueError, match=r"mgcn_lw cannot be built with|dropout probability"):
        build_lifter("mgcn_lw", dropout=bad)


@pytest.mark.parametrize(
    ("golden", "name", "kw"),
    [
        ("graphmlp_f1", "graphmlp", {}),
        ("graphmlp_f27", "graphmlp", {"frames": 27}),
        ("modulated_gcn_16", "modulated_gcn", {"joints": 16}),
        ("modulated_gcn_16_nonlocal", "modulated_gcn", {"joints": 16, "nonlocal_blocks": True}),
        ("modulated_gcn_17", "modulated_gcn", {}),
        ("temporal_27", "temporal", {}),
    ],
)
def test_flops_match_those_of_the_published_networks(golden, name, kw):
    """Up to diagonal products there that are elementwise here, 7 % at most."""
    cost = json.loads((GOLDEN / f"lifters/{golden}.json").read_text())["cost"]
    expected = cost.get("flops_per_pose", cost.get("flops_per_pose_strided_model_one_window"))
    assert 0.93 * expected < flops(build_lifter(name, **kw).eval()) <= expected


def test_the_table_lists_every_architecture(capsys):
    assert guarded(lambda: run(["models", "--architectures"])) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in LIFTERS)
    assert set(VARIANTS) < set(LIFTERS)
    assert "355 M" in out
