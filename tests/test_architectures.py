import json

import pytest

from prpose.cli import guarded, run
from prpose.cli.models import VARIANTS, flops
from prpose.lifter import LIFTERS, build_lifter
from tests.golden_numbers import GOLDEN


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
