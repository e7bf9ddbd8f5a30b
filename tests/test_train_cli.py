"""prpose train: runs, errors, and resuming after a kill."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from prpose import load_published
from prpose.cli import guarded, run

SMALL = ["--data", "walkers", "--lifter", "mgcn_lw", "--epochs", "2", "--config.every", "20"]


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "lifter"
    assert prpose("train", "lifter", "--out", folder, *SMALL) == 0
    return folder


@pytest.fixture
def trained(run_folder, tmp_path):
    return shutil.copytree(run_folder, tmp_path / "lifter")


def test_a_lifter_and_its_variance_net_are_trained(trained, capsys):
    config = json.loads((trained / "config.json").read_text())
    assert config["training"]["data"] == "walkers"
    assert config["versions"]["torch"] == torch.__version__
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2]
    assert log[1]["loss"] < log[0]["loss"]
    assert load_published("mgcn_lw", trained / "best.safetensors")
    assert config["command"].startswith("prpose train lifter --out ")
    out, weights = trained.parent / "noise", trained / "best.safetensors"
    assert prpose("train", "noise", "--out", out, *SMALL, "--lifter-weights", weights) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("val_mse", "val_negative_rank"))
    content = json.loads((out / "config.json").read_text())
    assert len(content["training"]["lifter_sha256"]) == 64
    assert 0.05 < content["measured"]["mean_error_m"] < 5
    assert load_published("avg_mgcn_lw", out / "best.safetensors")


def test_settings_are_read_from_a_file_and_overridden_by_flags(trained):
    path, out = trained.parent / "train.toml", trained.parent / "noise"
    path.write_text('epochs = 7\nevery = 200\ntarget = "response"\nnetwork = "htnet"\n')
    weights = trained / "best.safetensors"
    argv = ["--config", path, "--epochs", "1", "--data", "walkers", "--lifter-weights", weights]
    assert prpose("train", "noise", "--out", out, *argv) == 0
    assert load_published("avg_htnet", out / "best.safetensors")
    config = json.loads((out / "config.json").read_text())["training"]
    assert [config[key] for key in ("epochs", "every", "target", "network")] == [1, 200, "response", "htnet"]


@pytest.mark.parametrize("kind", ["lifter", "noise", "sampler"])
def test_each_training_has_only_config_options_that_act(kind, capsys):
    assert prpose("train", kind, "--help") == 0
    options = set(re.findall(r"--config\.([\w-]+)", capsys.readouterr().out))
    own = {"lifter": set(), "noise": {"target", "network"}, "sampler": {"network", "draws", "pose-weight"}}
    assert options & {"target", "network", "draws", "pose-weight"} == own[kind]


@pytest.mark.slow
def test_resume_after_a_kill_matches_uninterrupted_run(tmp_path):
    command = [sys.executable, "-m", "prpose", "train", "lifter", *SMALL, "--epochs", "4",
               "--config.every", "10", "--batch-size", "64"]  # fmt: skip
    env = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
    whole = subprocess.run([*command, "--out", tmp_path / "whole"], env=env, capture_output=True)
    assert whole.returncode == 0, whole.stderr
    part = [*command, "--config.save-every", "0", "--out", str(tmp_path / "part")]
    process = subprocess.Popen(part, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint, deadline = tmp_path / "part" / "checkpoint.pt", time.time() + 100
    while time.time() < deadline:
        time.sleep(0.05)
        if checkpoint.is_file():
            state = torch.load(checkpoint, weights_only=True)["state"]
            if state["epoch"] >= 1 and state["batch"] >= 2:
                break
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(checkpoint, weights_only=True)["state"]
    assert 1 <= state["epoch"] < 4
    rest = subprocess.run([*command, "--out", tmp_path / "part", "--resume"], env=env, capture_output=True)
    assert rest.returncode == 0, rest.stderr
    a, b = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["state"] for name in ("whole", "part"))
    for part in ("net", "average"):
        assert all(torch.equal(value, b[part][key]) for key, value in a[part].items())
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "part")]
    assert logs[0] == logs[1]


def test_a_training_out_of_patience_is_not_resumed(tmp_path, capsys):
    argv = ["train", "lifter", "--out", tmp_path / "run", *SMALL, "--epochs", "9", "--config.ema", "0.1",
            "--lr", "3", "--config.patience", "1", "--batch-size", "64"]  # fmt: skip
    assert prpose(*argv) == 0
    log = (tmp_path / "run/log.jsonl").read_text()
    assert len(log.splitlines()) < 9
    before = (tmp_path / "run/checkpoint.pt").read_bytes()
    assert prpose(*argv, "--resume") == 0
    assert (tmp_path / "run/log.jsonl").read_text() == log
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == before


def test_a_damaged_run_raises_and_names_the_file(trained, capsys):
    argv = ["train", "lifter", "--out", trained, *SMALL, "--resume"]
    config, checkpoint = trained / "config.json", trained / "checkpoint.pt"
    whole = config.read_text()
    for text, message in (("{", "not a JSON file"), ('{"training": []}', "expected the config")):
        config.write_text(text)
        assert prpose(*argv) == 1
        assert f"config.json: {message}" in capsys.readouterr().err
    config.write_text(whole)
    content = torch.load(checkpoint, weights_only=True)
    state = content["state"]
    for change in ({"log": []}, {"log": [{"epoch": 1}, {"epoch": 2}]}, {"state": state | {"net": {}}}):
        torch.save(content | change, checkpoint)
        assert prpose(*argv) == 1
        error = capsys.readouterr().err.strip()
        assert "checkpoint.pt: not a checkpoint of this training" in error
        assert "\n" not in error


def test_a_training_starts_from_given_weights(trained, capsys):
    weights, out = trained / "best.safetensors", trained.parent / "second"
    argv = ["train", "lifter", "--out", out, *SMALL, "--epochs", "1", "--init", weights]
    assert prpose(*argv) == 0
    first, second = (json.loads((folder / "log.jsonl").read_text().splitlines()[0]) for folder in (trained, out))
    assert second["loss"] < 0.8 * first["loss"]
    config = json.loads((out / "config.json").read_text())["training"]
    assert len(config["init_sha256"]) == 64
    assert prpose(*argv[:-2], "--resume") == 1
    assert "init_sha256 was" in capsys.readouterr().err
    argv[3] = trained.parent / "third"
    assert prpose(*argv[:-1], trained / "none.pth") == 1
    assert "none.pth: no such file" in capsys.readouterr().err
    assert not argv[3].exists()


def test_the_published_schedule_trains_on_recorded_data(release, capsys):
    out, weights = release / "run", "ckpt/shhpe_model_mgcn_lw.pth"
    argv = [
        *("train", "noise", "--data", "h36m", "--lifter-weights", weights, "--out", out),
        *("--config.schedule", "published", "--lr", "5e-4", "--epochs", "2", "--config.held-out", "S5", "S7"),
    ]
    assert prpose(*argv) == 0
    config = json.loads((out / "config.json").read_text())["training"]
    assert (config["keypoints"], config["held_out"]) == ("cpn_ft_h36m_dbb", ["S5", "S7"])
    assert len(config["data_sha256"]) == 64
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert log[1]["loss"] < log[0]["loss"]
    state = torch.load(out / "checkpoint.pt", weights_only=True)["state"]["optimiser"]
    assert state["param_groups"][0]["amsgrad"]
    assert state["param_groups"][0]["lr"] == 5e-4 * 0.95
    files = ["--lifter-weights", weights, "--noise-weights", out / "best.safetensors"]
    assert prpose("evaluate", "h36m", "-n", "2", "--stride", "9", "--lifter", "mgcn_lw", *files) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--lifter", "mgcn"], "unknown lifter 'mgcn'; did you mean mgcn_lw?"),
        (["--data", "h36m", "--root", "no"], "data_3d_h36m.npz: no such file"),
        (["--config.held-out", "W01"], "expected no held_out subjects, got W01: walkers has a validation split"),
        (["--data", "cmu17", "--root", "no"], "data_cmu17.npz: no such file"),
        (["--lifter-args", "[1]"], 'expected a JSON object such as {"dropout": 0}, got'),
        (["--lifter-args", '{"wide": 1}'], "mgcn_lw cannot be built with {'wide': 1}"),
        (["--lifter-args", '{"blocks": 100000}'], "mgcn_lw cannot be built with {'blocks': 100000}: it is too large"),
        (["--lifter-args", '{"hidden": 1, "blocks": 99999}'], "it is too large"),
        (["--lifter-args", '{"out_channels": 2}'], "to return poses of shape (2, 2, 17, 3)"),
        (["--resume"], "nothing to resume; expected config.json in it"),
        (["--device", "abacus"], "expected an available device"),
    ],
)
def test_errors_are_one_line_and_write_nothing(change, message, tmp_path, capsys):
    assert prpose("train", "lifter", "--out", tmp_path / "run", *SMALL, *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_a_run_is_neither_overwritten_nor_resumed_by_another_training(trained, capsys):
    before = (trained / "checkpoint.pt").read_bytes()
    for more, message in (
        ([], "exists already; name another folder or pass --resume"),
        (["--seed", "1", "--resume"], "seed was 0, is 1"),
        (["--lifter-args", '{"blocks": 2}', "--resume"], "lifter_args was {}, is {'blocks': 2}"),
    ):
        assert prpose("train", "lifter", "--out", trained, *SMALL, *more) == 1
        assert message in capsys.readouterr().err
    assert (trained / "checkpoint.pt").read_bytes() == before


def test_a_run_without_a_setting_that_is_new_resumes_with_its_default(trained, capsys):
    path = trained / "config.json"
    text = path.read_text()
    run = json.loads(text)
    assert run["training"].pop("balance") == 1.0
    path.write_text(json.dumps(run))
    try:
        assert prpose("train", "lifter", "--out", trained, *SMALL, "--resume") == 0
        assert prpose("train", "lifter", "--out", trained, *SMALL, "--config.balance", "0.5", "--resume") == 1
        assert "balance was 1.0, is 0.5" in capsys.readouterr().err
    finally:
        path.write_text(text)
