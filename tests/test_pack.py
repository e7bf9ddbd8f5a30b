"""prpose pack: from two trainings to a model folder with scores and region sizes."""

import json

import pytest

from prpose import load
from prpose.cli import guarded, run
from prpose.hub import find_model_folder
from prpose.skeleton import H36M_17

SMALL = ["--data", "walkers", "--epochs", "1", "--config.every", "40"]
ARGUMENTS = ["--lifter-args", '{"hidden": 32, "blocks": 1}']


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    assert prpose("train", "lifter", "--out", root / "lifter", *SMALL, *ARGUMENTS) == 0
    weights = root / "lifter" / "best.safetensors"
    assert prpose("train", "noise", "--out", root / "noise", *SMALL, "--lifter-weights", weights, *ARGUMENTS) == 0
    return root


def pack(runs, out, *more):
    return prpose("pack", out, "--lifter-run", runs / "lifter", "--noise-run", runs / "noise", "--alpha", "0.01", *more)


def test_a_model_is_packed_evaluated_and_calibrated(runs, tmp_path, capsys):
    out, report = tmp_path / "mine", tmp_path / "report.json"
    assert pack(runs, out, "--half") == 0
    assert prpose("evaluate", "walkers", "-n", "4", "--split", "val", "--model", out, "--json", report) == 0
    assert pack(runs, out, "--half", "--reports", report) == 1
    assert "exists already; name another folder or pass --overwrite" in capsys.readouterr().err
    assert pack(runs, out, "--half", "--reports", report, "--overwrite") == 0
    card, scores = find_model_folder(out).card, json.loads(report.read_text())["average"]["values"]
    assert card.scores["walkers val det"]["P1"] == pytest.approx(scores["deterministic"]["P1"], abs=0.01)
    assert card.scores["walkers val det"]["P1_best_of_4"] < card.scores["walkers val det"]["P1"]
    assert card.scores["walkers val det"]["coverage_95"] < 95  # before calibration
    assert set(card.limits_95) == set(H36M_17.names[1:])
    assert (card.name, card.floor, load(out).sampler.noise.alpha) == ("mine", 1.0, 0.01)
    assert (card.lifter.network, card.lifter.arguments) == ("mgcn_lw", {"hidden": 32, "blocks": 1})
    assert card.lifter.command.startswith("prpose train lifter --out ")
    assert card.lifter.training == "1 epochs on cpu"
    assert card.noise.network == "avg_mgcn_lw"
    argv = ["evaluate", "walkers", "-n", "4", "--split", "val", "--model", out, "--json", report, "--overwrite"]
    assert prpose(*argv) == 0
    again = json.loads(report.read_text())
    assert again["calibrated"]
    assert again["average"]["values"]["cloud"]["coverage_95"] == pytest.approx(95, abs=0.2)


def test_reports_of_other_settings_or_weights_are_rejected(runs, tmp_path, capsys):
    out, whole, report = tmp_path / "mine", tmp_path / "whole", tmp_path / "report.json"
    assert pack(runs, out, "--half") == pack(runs, whole, "--fps", "60") == 0
    assert (find_model_folder(out).card.fps, find_model_folder(whole).card.fps) == (None, 60)
    assert find_model_folder(out).size < 0.6 * find_model_folder(whole).size
    evaluate = ["evaluate", "walkers", "-n", "2", "--split", "val", "--actions", "wave", "--json", report]
    assert prpose(*evaluate, "--model", out) == 0
    content = json.loads(report.read_text())
    content["settings"]["actions"] = "*"
    for key, value, expected in (("alpha", 0.2, 0.01), ("stride", 2, 1), ("confidence_noise", 0.0, None)):
        settings = content["settings"] | {key: value}
        if key == "confidence_noise":
            settings["config"] = settings["config"] | {key: value}
        report.write_text(json.dumps(content | {"settings": settings}))
        assert pack(runs, out, "--half", "--reports", report, "--overwrite") == 1
        assert f"expected a report with {key} {expected}, got {value}" in capsys.readouterr().err
    report.write_text(json.dumps(content))
    before = sorted(path.read_bytes() for path in whole.iterdir())
    assert pack(runs, whole, "--fps", "60", "--reports", report, "--overwrite") == 1
    assert "expected scores of these weights, got" in capsys.readouterr().err
    assert sorted(path.read_bytes() for path in whole.iterdir()) == before


def test_runs_of_before_version_1_are_packed(runs, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    content = json.loads((runs / "noise/config.json").read_text())
    content["training"]["kind"], content["commit"] = "variance", "abc123"
    (old / "config.json").write_text(json.dumps({k: content[k] for k in ("training", "commit")}))
    (old / "best.safetensors").write_bytes((runs / "noise/best.safetensors").read_bytes())
    assert pack(runs, tmp_path / "mine", "--noise-run", old) == 0
    noise = find_model_folder(tmp_path / "mine").card.noise
    assert (noise.command, noise.commit) == ("prpose train variance --data walkers", "abc123")


def test_damaged_reports_are_errors_of_one_line(runs, tmp_path, capsys):
    sha256 = {"lifter": "a", "noise": "b"}
    row = {"name": "average", "frames": 1, "values": {"deterministic": {"P1": 1.0}}}
    settings = {"dataset": "walkers", "split": "val", "num_samples": 1, "config": {"smooth": "rts", "nonsense": 1}}
    whole = {"settings": settings, "command": "", "versions": {}, "sha256": sha256, "units": {}, "rows": []}
    whole |= {"average": row}
    for damage in (
        *({"settings": None}, {"settings": {}}, {"settings": settings | {"config": 3}}, {"sha256": [1]}),
        *({"sha256": {}}, {"average": {}}, {"average": row | {"values": {"deterministic": 1}}}, {"limits_95": [1]}, {}),
    ):
        (tmp_path / "report.json").write_text(json.dumps(whole | damage))
        assert pack(runs, tmp_path / "x", "--reports", tmp_path / "report.json") == 1
        error = capsys.readouterr().err.strip()
        assert "report.json: expected a" in error
        assert "\n" not in error
    assert not (tmp_path / "x").exists()


def test_errors_are_one_line_and_write_nothing(runs, tmp_path, capsys):
    assert prpose("train", "lifter", "--out", tmp_path / "other", *SMALL, *ARGUMENTS, "--seed", "7") == 0
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "worse.json").write_text("{")
    swapped = ["--lifter-run", runs / "noise", "--noise-run", runs / "lifter"]
    capsys.readouterr()
    for argv, message in [
        ([tmp_path / "bad.json" / "x"], "expected a file name"),
        ([tmp_path / "x", "--alpha", "-1"], "expected alpha"),
        ([tmp_path / "x", "--fps", "0"], "expected fps > 0"),
        ([tmp_path / "x", "--reports", tmp_path / "bad.json"], "expected a JSON file of prpose evaluate"),
        ([tmp_path / "x", "--reports", tmp_path / "worse.json"], "expected a JSON file of prpose evaluate"),
        ([tmp_path / "x", *swapped], "expected the training of a lifter, got noise"),
        ([tmp_path / "x", "--lifter-run", tmp_path], "config.json: no such file"),
        ([tmp_path / "x" / ".."], "expected a folder whose name can be the model's"),
        ([tmp_path / "x", "--lifter-run", tmp_path / "other"], "expected the lifter of SHA-256"),
    ]:
        assert pack(runs, *argv) == 1
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    assert not (tmp_path / "x").exists()
