"""Training in several gloo processes, started by torchrun: the same weights as in one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from prpose.training import processes

ROOT = Path(__file__).parent.parent
ENV = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def start(count, *command, cwd):
    """A command in several processes on this machine."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    return subprocess.run([*torchrun, str(count), *map(str, command)], env=ENV, cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_several_processes_train_what_one_does(tmp_path):
    """Without batch statistics the weights are those of one process, up to rounding."""
    for count in (1, 2, 3):
        done = start(count, ROOT / "tests" / "train_toy.py", tmp_path / f"{count}.pt", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two, three = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2, 3))
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-5)
    for key, value in one["weights"].items():
        assert torch.allclose(value, two["weights"][key], atol=1e-6), key
        assert torch.allclose(value, three["weights"][key], atol=1e-6), key


@pytest.mark.slow
def test_two_processes_train_and_resume(tmp_path):
    args = ["-m", "prpose", "train", "lifter", "--data", "walkers", "--config.every", "20", "--epochs", "2",
            "--out", "run"]  # fmt: skip
    done = start(2, *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2 ") == 2  # the epoch's line and the best one's
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2]
    before = (tmp_path / "run/best.safetensors").read_bytes()
    again = start(2, *args, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run/best.safetensors").read_bytes() == before
    failed = start(2, *args, cwd=tmp_path)
    assert failed.returncode != 0
    assert "error: run: exists already" in failed.stderr


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined():
        assert (processes.count(), processes.rank()) == (1, 0)
        assert processes.total(2.5, torch.device("cpu")) == 2.5
        with pytest.raises(ValueError, match="no"):
            processes.once(lambda: (_ for _ in ()).throw(ValueError("no")))
