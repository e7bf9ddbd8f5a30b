import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from prpose import load_published
from prpose.weights import read_state_dict
from tests.golden_numbers import OURS, rule_state


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_published_files_load(name, suffix, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    state = rule_state(name)
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    net = load_published(OURS[name], path)
    assert not net.training
    loaded = list(net.state_dict().values())
    assert sum(float(v.double().sum()) for v in loaded) == pytest.approx(
        sum(float(v.double().sum()) for v in state.values())
    )


def test_another_networks_checkpoint_is_named(tmp_path):
    path = tmp_path / "avg_model_htnet.pth"
    torch.save(rule_state("avg_modulated_gcn"), path)
    with pytest.raises(ValueError, match=r"avg_model_htnet.pth is not a checkpoint of htnet") as e:
        load_published("htnet", path)
    assert "missing" in str(e.value)
    assert "unexpected" in str(e.value)


def test_missing_extra_and_misshapen_keys_are_named():
    state = rule_state("mgcn_lw")
    without = {k: v for k, v in state.items() if k != "gconv_output.bias"}
    with pytest.raises(ValueError, match=r"missing gconv_output.bias$"):
        load_published("mgcn_lw", without)
    with pytest.raises(ValueError, match=r"unexpected surplus$"):
        load_published("mgcn_lw", state | {"surplus": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"gconv_output.bias has shape \(4,\), expected \(3,\)"):
        load_published("mgcn_lw", state | {"gconv_output.bias": torch.zeros(4)})


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [0, 10, 1000, -1000])
def test_truncated_files_are_named(suffix, keep, tmp_path):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    state = rule_state("mgcn_lw")
    torch.save(state, whole) if suffix == "pth" else save_file(state, whole)
    path.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"cut\.{suffix}: "):
        read_state_dict(path)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("dump", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x))])
def test_code_in_a_checkpoint_is_not_run(dump, tmp_path):
    path, trace = tmp_path / "hostile.pth", tmp_path / "trace"
    dump({"W": Payload(trace)}, path)
    with pytest.raises(ValueError, match=r"hostile\.pth: .*nothing of it was run"):
        read_state_dict(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content", [b"root:x:0:0\n" * 50, b"\x80\x02}q\x00.", b"\x00" * 999, b"PK"]
)
def test_other_files_are_named(suffix, content, tmp_path):
    path = tmp_path / f"other.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"other\.{suffix}"):
        load_published("mgcn_lw", path)


def test_missing_files_and_other_contents_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pth: no such file"):
        read_state_dict(tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="expected a state dict of tensors, got list"):
        read_state_dict(tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"unknown network 'avg_htnt'; did you mean avg_htnet\?"):
        load_published("avg_htnt", {})
