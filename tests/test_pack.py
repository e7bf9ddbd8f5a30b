"""prpose pack: from two trainings to a model, and its scores."""

import json

import pytest

from prpose.cli import guarded, run
from prpose.hub import find_model_folder
from prpose.model import Model
from prpose.skeleton import H36M_17

SMALL = ["--data", "walkers", "--epochs", "1", "--every", "40"]
ARGUMENTS = ["--lifter-args", '{"hidden": 32, "blocks": 1}']


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    assert prpose("train", "lifter", "--out", root / "lifter", *SMALL, *ARGUMENTS) == 0
    weights = root / "lifter" / "best.safetensors"
    argv = ["train", "variance", "--out", root / "noise", *SMALL, "--lifter-weights", weights]
    assert prpose(*argv, *ARGUMENTS) == 0
    assert prpose("train", "lifter", "--out", root / "other", *SMALL, *ARGUMENTS, "--seed", "7") == 0
    part = {"settings": {"alpha": 0.5, "floor": 1.0}, "sha256": {"lifter": "", "noise": ""}}
    (root / "part.json").write_text(json.dumps(part))
    return root


def pack(runs, out, *more):
    return prpose("pack", out, "--lifter-run", runs / "lifter", "--noise-run", runs / "noise",
                  "--alpha", "0.01", *more)  # fmt: skip


def test_a_model_is_packed_scored_and_loaded(runs, tmp_path, capsys):
    out, report = tmp_path / "mine", tmp_path / "report.json"
    assert pack(runs, out, "--half", "--training", "a minute") == 0
    whole = tmp_path / "whole"
    assert pack(runs, whole, "--fps", "60") == 0
    assert (find_model_folder(out).card.fps, find_model_folder(whole).card.fps) == (None, 60)
    assert pack(runs, tmp_path / "still", "--fps", "0") == 1
    assert "expected fps to be a finite number > 0, got 0.0" in capsys.readouterr().err
    assert find_model_folder(out).size < 0.6 * find_model_folder(whole).size
    evaluate = ["evaluate", "walkers", "-n", "4", "--split", "val", "--json"]
    assert prpose(*evaluate, report, "--model", out) == 0
    assert pack(runs, out, "--half", "--scores", report) == 1
    assert "exists already; name another folder or pass --overwrite" in capsys.readouterr().err
    assert pack(runs, out, "--half", "--scores", report, "--overwrite") == 0
    card = find_model_folder(out).card
    scores = json.loads(report.read_text())["average"]["values"]
    assert card.scores["walkers val det"]["P1"] == pytest.approx(scores["single"]["P1"], abs=0.01)
    assert card.scores["walkers val det"]["P1_best_of_4"] < card.scores["walkers val det"]["P1"]
    assert card.name == "mine"
    assert not card.limits_95
    assert card.scores["walkers val det"]["held_95"] < 95  # before calibration

    regions = tmp_path / "regions.json"
    assert pack(runs, out, "--half", "--regions", report, "--overwrite") == 1
    assert "expected limits_95 of confidence_noise 0.03, got 0" in capsys.readouterr().err
    evaluate = ["evaluate", "walkers", "-n", "4", "--split", "val", "--confidence-noise", "0.03"]
    assert prpose(*evaluate, "--model", out, "--json", regions) == 0
    assert pack(runs, out, "--half", "--regions", regions, "--overwrite") == 0
    assert set(find_model_folder(out).card.limits_95) == set(H36M_17.names[1:])
    for option, value, said in (("alpha", 0.2, 0.01), ("floor", 0.5, 1.0), ("actions", "w", "*")):
        of_other = tmp_path / f"{option}.json"
        found = json.loads(regions.read_text())
        found["settings"][option] = value
        of_other.write_text(json.dumps(found))
        assert pack(runs, out, "--half", "--regions", of_other, "--overwrite") == 1
        assert f"expected limits_95 of {option} {said}, got {value}" in capsys.readouterr().err
    assert prpose(*evaluate, "--model", out, "--json", regions, "--overwrite") == 0
    again = json.loads(regions.read_text())
    assert again["settings"]["calibrated"]
    assert again["average"]["values"]["cloud"]["held_95"] == pytest.approx(95, abs=0.2)
    assert card.lifter.arguments == {"hidden": 32, "blocks": 1}
    assert card.lifter.command.startswith(
        """prpose train lifter --lifter mgcn_lw --lifter-args '{"hidden": 32, "blocks": 1}' """
        "--data walkers --keypoints det"
    )
    assert card.noise.network == "avg_mgcn_lw"
    assert " --lifter-weights sha256:" in card.noise.command
    assert Model.load(out).net.noise.alpha == 0.01
    before = sorted(path.read_bytes() for path in whole.iterdir())
    assert pack(runs, whole, "--fps", "60", "--scores", report, "--overwrite") == 1
    assert "expected scores of these weights, got some of others" in capsys.readouterr().err
    assert sorted(path.read_bytes() for path in whole.iterdir()) == before


def test_mistakes_are_one_line_and_leave_nothing(runs, tmp_path, capsys):
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "worse.json").write_text("{")
    swapped = ["--lifter-run", runs / "noise", "--noise-run", runs / "lifter"]
    for argv, message in [
        ([tmp_path / "bad.json" / "x"], "expected a file name"),
        ([tmp_path / "x", "--alpha", "-1"], "expected alpha to be a finite number >= 0"),
        ([tmp_path / "x", "--scores", tmp_path / "bad.json"], "a report of prpose evaluate"),
        ([tmp_path / "x", "--scores", tmp_path / "worse.json"], "not a JSON file"),
        ([tmp_path / "x", "--scores", tmp_path / "none.json"], "no such file"),
        ([tmp_path / "x", *swapped], "expected the training of a lifter"),
        ([tmp_path / "x", "--lifter-run", tmp_path], "config.json: no such file"),
        ([tmp_path / "x" / ".."], "expected a folder whose name can be the model's"),
        ([tmp_path / "x", "--lifter-run", runs / "other"], "expected the lifter of SHA-256"),
        ([tmp_path / "x", "--scores", runs / "part.json"], "expected scores of alpha 0.01, got"),
    ]:
        assert pack(runs, *argv) == 1
        error = capsys.readouterr().err.strip()
        assert message in error
        assert "\n" not in error
    assert not (tmp_path / "x").exists()
