"""Two processes with gloo, started by torchrun: the same scores as one, and the same gradients."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from prpose import processes

ROOT = Path(__file__).parent.parent
ENV = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def start(count, *command, cwd):
    """A command's processes, all on this machine."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    return subprocess.run(
        [*torchrun, str(count), *map(str, command)],
        env=ENV,
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def prpose(*args, cwd):
    return subprocess.run(
        [sys.executable, "-m", "prpose", *map(str, args)],
        env=ENV, cwd=cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_two_processes_score_what_one_does(command, tmp_path):
    args = [command, "walkers", "--model", "mgcn-cmu17", "-n", "5", "--stride", "9", "--json"]
    one = prpose(*args, "one.json", cwd=tmp_path)
    two = start(2, "-m", "prpose", *args, "two.json", cwd=tmp_path)
    assert two.returncode == 0, two.stderr
    assert two.stdout.replace("two.json", "one.json") == one.stdout  # printed once, by the first
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("one", "two"))
    for content in (first, second):
        del content["settings"]["json"]
    assert first == second


def test_two_processes_train_what_one_does(tmp_path):
    """Without batch statistics the weights are those of one process, but for rounding."""
    for count in (1, 2, 3):
        done = start(count, ROOT / "tests" / "train_toy.py", tmp_path / f"{count}.pt", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    one, two, three = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2, 3))
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-5)
    for key, value in one["weights"].items():
        assert torch.allclose(value, two["weights"][key], atol=1e-6), key
        assert torch.allclose(value, three["weights"][key], atol=1e-6), key


def test_two_processes_train_and_resume_by_command(tmp_path):
    args = ["-m", "prpose", "train", "lifter", "--data", "walkers", "--every", "20",
            "--epochs", "2", "--out", "run"]  # fmt: skip
    done = start(2, *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2 ") == 2  # the epoch's line and the best one's
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2]
    before = (tmp_path / "run/best.safetensors").read_bytes()
    again = start(2, *args, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run/best.safetensors").read_bytes() == before
    refused = start(2, *args, cwd=tmp_path)
    assert refused.returncode != 0
    assert "error: run: exists already" in refused.stderr


def test_one_process_is_alone(monkeypatch):
    assert (processes.count(), processes.rank()) == (1, 0)
    assert processes.gathered("a") == ["a"]
    assert processes.total(2.5, torch.device("cpu")) == 2.5
    with pytest.raises(ValueError, match="no"):
        processes.once(lambda: (_ for _ in ()).throw(ValueError("no")))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined():
        assert processes.count() == 1
