"""Two processes with gloo, started by torchrun: the same scores as one, and the same gradients."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from prpose import processes
from prpose.io.export import read_prediction
from tests.make_formats import HERE

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


@pytest.fixture
def clips(tmp_path):
    """Five files in a folder, the second of which is bad."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "c", "d", "e"):
        shutil.copy(HERE / "walk_h36m17.npz", folder / f"{name}.npz")
    (folder / "b.json").write_text("[")
    return folder


def test_two_processes_lift_each_file_once_and_a_bad_one_stops_none(clips, tmp_path):
    args = ["-m", "prpose", "predict", "clips", "--out", "poses", "-n", "3", "--seed", "4"]
    one = subprocess.run([sys.executable, *args], env=ENV, cwd=tmp_path, capture_output=True)
    first = {path.name: path.read_bytes() for path in (tmp_path / "poses").iterdir()}
    shutil.rmtree(tmp_path / "poses")
    two = start(2, *args, cwd=tmp_path)
    second = {path.name: path.read_bytes() for path in (tmp_path / "poses").iterdir()}
    assert (one.returncode, two.returncode) == (1, 1)
    assert sorted(first) == ["a.npz", "c.npz", "d.npz", "e.npz"]
    assert second == first
    assert two.stdout == one.stdout.decode()  # printed once, by the first
    assert "4 of 5 files, 4 people, 32 frames, 3 hypotheses each" in two.stdout
    for said in (one.stderr.decode(), two.stderr):
        assert said.count("error: clips/b.json: ") == 1
        assert said.count("error: 1 of 5 files could not be lifted: b.json") == 1
        assert said.count("note: a.npz, c.npz, d.npz, e.npz: no intrinsics") == 1
    again = start(2, *args, cwd=tmp_path)
    assert again.returncode == 1
    assert "error: poses/a.npz: exists already, and 3 more" in again.stderr


def test_the_command_in_a_file_makes_the_file_again(clips, tmp_path):
    """Alone, in one process, with the same bytes."""
    (clips / "b.json").unlink()
    args = ["-m", "prpose", "predict", "clips", "--out", "poses", "-n", "3", "--seed", "4"]
    done = start(3, *args, "--out-format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "poses" / "c.json"
    content = made.read_bytes()
    command = read_prediction(made).command
    assert command == "prpose predict clips/c.npz --out poses/c.json -n 3 --seed 4"
    made.unlink()
    prpose(*shlex.split(command)[1:], cwd=tmp_path)
    assert made.read_bytes() == content


def test_one_file_is_lifted_by_one_of_two_processes(clips, tmp_path):
    args = ["-m", "prpose", "predict", "clips/a.npz", "--out", "a.npz", "-n", "3"]
    done = start(2, *args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("written: a.npz") == 1


def test_one_process_is_alone(monkeypatch):
    assert (processes.count(), processes.rank()) == (1, 0)
    assert processes.gathered("a") == ["a"]
    assert processes.in_turn("ab", lambda n, item: (n, item)) == [(0, "a"), (1, "b")]
    assert processes.total(2.5, torch.device("cpu")) == 2.5
    with pytest.raises(ValueError, match="no"):
        processes.once(lambda: (_ for _ in ()).throw(ValueError("no")))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined():
        assert processes.count() == 1
