"""The examples run; ``make demo`` is one of them."""

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from prpose import build_lifter, build_variance_net

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_study_of_noise_prints_both_tables(tmp_path, capsys):
    torch.manual_seed(0)
    files = {}
    for name, net in {
        "lifter_weights": build_lifter("mgcn_lw"),
        "published": build_variance_net("mgcn_lw"),
        "response": build_variance_net("htnet", hidden=256),
    }.items():
        files[name] = tmp_path / f"{name}.safetensors"
        save_file(net.state_dict(), files[name])
    example("noise_study").main(**files, data="walkers", S=3, stride=20)
    out = capsys.readouterr().out
    assert "error / spread" in out
    for kind in ("constant", "published net", "response net", "true error / joint / response"):
        assert kind in out
    assert "nan" not in out


@pytest.mark.slow
def test_the_demo_predicts_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example("demo").main()
    assert (tmp_path / "demo/wave.png").read_bytes().startswith(b"\x89PNG")
    assert "all frames" in capsys.readouterr().out
