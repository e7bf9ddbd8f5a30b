"""The command line: commands, errors, signals, and ``prpose evaluate``."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from prpose.cli import COMMANDS, STOPPED, guarded, main, run
from tests.golden_numbers import table

MGCN = [
    *("--lifter", "mgcn_lw", "--lifter-weights", "ckpt/shhpe_model_mgcn_lw.pth"),
    *("--noise-weights", "ckpt/avg_model_mgcn_lw.pth"),
]


def command(*args):
    return guarded(lambda: run(list(args)))


def test_evaluate_h36m_prints_a_table_and_writes_everything(release, capsys):
    argv = ["evaluate", "h36m", *MGCN, "-n", "4", "--stride", "5", "--json", "out.json"]
    assert command(*argv) == 0
    out = capsys.readouterr().out
    for word in ("Directions", "SittingDown", "Walking", "average", "deterministic", "mean", "best"):
        assert word in out
    assert command(*argv) == 1
    assert "exists already" in capsys.readouterr().err
    report = json.loads((release / "out.json").read_text())
    settings = report["settings"]
    expected = {"alpha": 0.005, "keypoints": "cpn_ft_h36m_dbb", "num_samples": 4, "seed": 0, "stride": 5}
    assert {name: settings[name] for name in expected} == expected
    assert report["command"] == "prpose " + " ".join(argv)
    assert report["versions"]["torch"] == torch.__version__
    assert set(report["sha256"]) == {"lifter", "noise"}
    average = report["average"]
    assert average["frames"] == 208
    for metric in ("P1", "P2"):
        by_choice = {choice: average["values"][choice][metric] for choice in report["choices"]}
        assert by_choice["best"] < by_choice["any"]
        rows = [row["values"]["best"][metric] for row in report["rows"]]
        assert by_choice["best"] == pytest.approx(sum(rows) / len(rows))
        assert f"{by_choice['deterministic']:.1f}" in out
    assert report["curve"]["num_samples"] == [1, 4]
    assert report["curve"]["best"]["P1"][-1] == average["values"]["best"]["P1"]
    assert report["curve"]["mean"]["P1"][-1] == average["values"]["mean"]["P1"]
    error = sum(report["joints"]["average"]["error"]) / 17
    assert error == pytest.approx(average["values"]["deterministic"]["P1"], rel=1e-5)
    assert [len(example["samples"]) for example in report["frames"]["worst"]] == [4, 4, 4]
    assert "calibration" not in report


@pytest.mark.slow
def test_evaluate_deterministic_is_the_golden_average_per_frame(release, capsys):
    """Where main.py prints the release's averages of batches."""
    argv = [arg.replace("mgcn_lw", "htnet") for arg in MGCN]
    assert command("evaluate", "h36m", *argv, "-n", "1", "--json", "out.json") == 0
    report = json.loads((release / "out.json").read_text())
    golden = table("runs/runs.json")["runs"]["h36m_htnet_single_b64"]["per_item_mean_by_action"]
    assert [row["name"] for row in report["rows"]] == sorted(golden)
    for row in report["rows"]:
        for name in ("P1", "P2"):
            expected = golden[row["name"]][name.lower()] * 1000
            assert row["values"]["deterministic"][name] == pytest.approx(expected, abs=1e-3)


def test_evaluate_3dhp_reports_by_setting_and_repeats_to_the_byte(release, capsys):
    (release / "b.json").write_text("to be replaced")
    for name in ("a.json", "b.json"):
        assert command("evaluate", "3dhp", *MGCN, "-n", "2", "--stride", "4", "--json", name, "--overwrite") == 0
    out = capsys.readouterr().out
    for word in ("outdoor", "green screen", "all frames", "PCK14", "AUC14", "PCK17"):
        assert word in out
    a, b = ((release / name).read_text().replace(name, "") for name in ("a.json", "b.json"))
    assert a == b


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["h36n", *MGCN], "unknown data set 'h36n'; did you mean h36m?"),
        (["h36m", *MGCN, "-n", "0"], "got 0"),
        (["h36m", *MGCN, "--alpha", "-1"], "expected alpha"),
        (["h36m", *MGCN, "--alpha", "nan"], "expected alpha"),
        (["h36m", *MGCN, "--alpha", "1e38"], "expected finite poses"),
        (["h36m", *MGCN, "--seed", "-1"], "seed >= 0"),
        (["h36m", *MGCN, "--stride", "0"], "expected --stride >= 1"),
        (["h36m", *MGCN, "--root", "no"], "data_3d_h36m.npz: no such file"),
        (["h36m", *MGCN, "--root", ""], "expected a value for --root, got an empty one"),
        (["h36m", *MGCN, "--device", "meta"], "expected an available device, got 'meta' (available: cpu"),
        (["h36m"], "expected --model, or else all of --lifter"),
        (["h36m", *MGCN, "--model", "x"], "expected --model, or else"),
        (["h36m", "--model", "mgcn"], "unknown model 'mgcn'"),
        (["h36m", *MGCN, "--json", "/dev/null/x"], "expected a file name"),
        (["h36m", *MGCN, "--json", "/dev/null", "--overwrite"], "a device"),
        (["h36m", *MGCN, "--actions", "Walking,Flying"], "'Flying'"),
        (["h36m", *MGCN[:3], "ckpt/avg_model_mgcn_lw.pth", *MGCN[4:]], "is not a checkpoint of mgcn_lw"),
        (["h36m", "--lifter", "htnett", *MGCN[2:]], "did you mean htnet?"),
    ],
)
def test_mistake_is_one_line_and_exit_code_1(argv, message, release, capsys):
    n = [] if "-n" in argv else ["-n", "1"]
    assert command("evaluate", *argv, *n) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_config_file_is_read_by_evaluate_too(release, capsys):
    (release / "evaluate.toml").write_text('noise_correlation = "iid"\nconfidence_noise = 0\n')
    argv = ["evaluate", "3dhp", *MGCN, "-n", "1", "--stride", "20", "--json", "out.json", "--config", "evaluate.toml"]
    assert command(*argv, "--config.noise-time-constant-s", "0.5") == 0
    config = json.loads((release / "out.json").read_text())["settings"]["config"]
    assert config == {"noise_correlation": "iid", "noise_time_constant_s": 0.5, "confidence_noise": 0}


def test_evaluate_has_only_config_options_that_act(release, capsys):
    assert command("evaluate", "--help") == 0
    options = set(re.findall(r"--config\.([\w-]+)", capsys.readouterr().out))
    assert options == {"noise-correlation", "noise-time-constant-s", "confidence-noise"}
    (release / "predict.toml").write_text('smooth = "none"')
    assert command("evaluate", "3dhp", *MGCN, "--config", "predict.toml") == 1
    assert "unknown field of NoiseConfig 'smooth'" in capsys.readouterr().err


def test_exit_codes_and_messages(capsys):
    assert guarded(lambda: sys.exit("no disk space\x1b[1m")) == 1
    assert capsys.readouterr().err == "no disk space\\x1b[1m\n"
    for code, expected in {0: 0, None: 0, 2: 1, 129: 129, 143: 143}.items():
        assert guarded(lambda code=code: sys.exit(code)) == expected


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("prpose 0.")


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["evaluate"], ["data", "prepare", "x"], ["evaluate", "x", "--y"]])
def test_usage_error_has_no_traceback(argv, capsys):
    assert command(*argv) == 1
    error = capsys.readouterr().err
    assert error.strip()
    assert "Traceback" not in error


def leaves(tree, words=()):
    for name, node in tree.items():
        yield from leaves(node, (*words, name)) if isinstance(node, dict) else [(*words, name)]


@pytest.mark.parametrize("words", [(), ("data",), ("train",), *leaves(COMMANDS)], ids=" ".join)
def test_help_lists_every_command_and_option_with_a_sentence(words, capsys):
    assert command(*words, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: {' '.join(['prpose', *words])}")
    assert "None}" not in out
    for name, node in COMMANDS.items() if not words else ():
        assert f"• {name} " in out or isinstance(node, dict)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predct", "walk.json"], "unknown command 'predct'; did you mean predict? (known: data, evaluate, "),
        (["data", "prepar"], "unknown command 'prepar'; did you mean prepare? (known: inspect, prepare)"),
        (["data", "prepare", "cmu17"], "unknown command 'cmu17'; did you mean cmu? (known: 3dhp, cmu, h36m, mocap)"),
    ],
    ids=" ".join,
)
def test_unknown_commands_name_the_nearest(words, message, capsys):
    assert command(*words) == 1
    assert f"error: {message}" in capsys.readouterr().err


SIGNALS = [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]


@pytest.mark.parametrize("number", SIGNALS, ids=str)
def test_signal_removes_temporary_files(number, tmp_path):
    """A process that is stopped while it writes."""
    code = (
        "import signal, sys, time; import prpose.cli; from prpose.atomic import replacing\n"
        "def slow():\n"
        f"    with replacing({str(tmp_path / 'out.npz')!r}): print('ready', flush=True); time.sleep(60)\n"
        "prpose.cli.COMMANDS['models'] = slow\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell ignore it
        "prpose.cli.main(['models'])\n"
    )
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130}.get(number, 128 + number)
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []
    assert set(STOPPED.values()) == {"SIGTERM", "SIGHUP"}
