import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from prpose.cli import guarded, main, run
from tests.golden_numbers import table

MGCN = [
    *("--lifter", "mgcn_lw", "--lifter-weights", "ckpt/shhpe_model_mgcn_lw.pth"),
    *("--noise-weights", "ckpt/avg_model_mgcn_lw.pth"),
]


def prpose(*args):
    return guarded(lambda: run(list(args)))


def test_evaluate_h36m_prints_a_table_and_writes_everything(release, capsys):
    assert prpose("evaluate", "h36m", *MGCN, "-n", "4", "--stride", "5", "--json", "out.json") == 0
    out = capsys.readouterr().out
    for word in ("Directions", "SittingDown", "Walking", "average", "single", "mean", "best"):
        assert word in out
    report = json.loads((release / "out.json").read_text())
    settings = report["settings"]
    assert settings["alpha"] == 0.005
    assert settings["keypoints"] == "cpn_ft_h36m_dbb"
    assert (settings["hypotheses"], settings["seed"], settings["stride"]) == (4, 0, 5)
    assert report["versions"]["torch"] == torch.__version__
    assert set(report["sha256"]) == {"lifter", "noise"}
    average = report["average"]
    assert average["frames"] == 208
    for metric in ("P1", "P2"):
        by_choice = {choice: average["values"][choice][metric] for choice in report["choices"]}
        assert by_choice["best"] < by_choice["any"]
        rows = [row["values"]["best"][metric] for row in report["rows"]]
        assert by_choice["best"] == pytest.approx(sum(rows) / len(rows))
        assert f"{by_choice['single']:.1f}" in out


def test_evaluate_h36m_single_is_the_golden_per_frame_average(release, capsys):
    """Right averages where main.py prints the release's."""
    argv = [arg.replace("mgcn_lw", "htnet") for arg in MGCN]
    assert prpose("evaluate", "h36m", *argv, "-n", "1", "--json", "out.json") == 0
    report = json.loads((release / "out.json").read_text())
    golden = table("runs/runs.json")["runs"]["h36m_htnet_single_b64"]["per_item_mean_by_action"]
    assert [row["name"] for row in report["rows"]] == sorted(golden)
    for row in report["rows"]:
        for name in ("P1", "P2"):
            expected = golden[row["name"]][name.lower()] * 1000
            assert row["values"]["single"][name] == pytest.approx(expected, abs=1e-3)


def test_evaluate_3dhp_reports_by_setting(release, capsys):
    assert prpose("evaluate", "3dhp", *MGCN, "-n", "2", "--stride", "4") == 0
    out = capsys.readouterr().out
    for word in ("outdoor", "green screen", "all frames", "PCK14", "AUC14", "PCK17"):
        assert word in out


def test_the_same_command_gives_the_same_bytes(release, capsys):
    for name in ("a.json", "b.json"):
        argv = ["evaluate", "3dhp", *MGCN, "-n", "3", "--stride", "9", "--json", name]
        assert prpose(*argv) == 0
    a, b = ((release / n).read_text().replace(n, "") for n in ("a.json", "b.json"))
    assert a == b


def test_an_existing_file_is_kept_unless_asked(release, capsys):
    path = release / "out.json"
    path.write_text("precious")
    argv = ["evaluate", "3dhp", *MGCN, "-n", "1", "--stride", "20", "--json", "out.json"]
    assert prpose(*argv) == 1
    assert path.read_text() == "precious"
    assert "exists already" in capsys.readouterr().err
    assert prpose(*argv, "--overwrite") == 0
    assert json.loads(path.read_text())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["evaluate", "h36n", *MGCN, "-n", "1"], "unknown data set 'h36n'; did you mean h36m?"),
        (["evaluate", "h36m", *MGCN, "-n", "0"], "expected S >= 1 hypotheses, got 0"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--alpha", "-1"], "expected alpha"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--alpha", "nan"], "expected alpha"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--seed", "-1"], "expected seed >= 0"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--stride", "0"], "expected --stride from 1"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--root", "no"], "data_3d_h36m.npz: no such file"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--device", "abacus"], "available device"),
        (["evaluate", "h36m", "-n", "1"], "expected --model, or else all of --lifter"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--model", "x"], "expected --model, or else"),
        (["evaluate", "h36m", *MGCN[:4], "-n", "1"], "expected --model, or else all of --lifter"),
        (["evaluate", "h36m", "--model", "mgcn", "-n", "1"], "unknown model 'mgcn'"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--device", "meta"], "here: cpu"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--json", "/dev/null/x"], "expected a file name"),
        (
            ["evaluate", "h36m", *MGCN, "-n", "1", "--batch-size", "0"],
            "--batch-size from 1",
        ),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--actions", "Walking,Flying"], "'Flying'"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--alpha", "1e38"], "expected finite poses"),
        (["evaluate", "h36m", *MGCN, "-n", "1", "--json", "/dev/null", "--overwrite"], "a device"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_1(argv, message, release, capsys):
    assert prpose(*argv) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_swapped_weights_are_named(release, capsys):
    argv = ["evaluate", "h36m", "--lifter", "htnet", "-n", "1",
            "--lifter-weights", "ckpt/avg_model_htnet.pth",
            "--noise-weights", "ckpt/avg_model_htnet.pth"]  # fmt: skip
    assert prpose(*argv) == 1
    assert "ckpt/avg_model_htnet.pth is not a checkpoint of htnet" in capsys.readouterr().err
    assert prpose(*argv[:2], "--lifter", "htnett", *argv[4:]) == 1
    assert "did you mean htnet?" in capsys.readouterr().err


def test_a_reason_to_exit_is_said(capsys):
    assert guarded(lambda: sys.exit("no more paper")) == 1
    assert capsys.readouterr().err == "no more paper\n"


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("prpose 0.")


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["evaluate", "h36m"], ["data", "prepare", "x"]])
def test_usage_errors_say_so_without_a_traceback(argv, capsys):
    assert prpose(*argv) == 1
    error = capsys.readouterr().err
    assert error.strip()
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["evaluate", "--help"], ["data", "--help"], ["data", "prepare", "h36m", "--help"]],
)
def test_help_is_printed(argv, capsys):
    assert prpose(*argv) == 0
    assert "usage: prpose" in capsys.readouterr().out


def test_ctrl_c_leaves_nothing_behind(release):
    """A real process, interrupted in the middle of its work."""
    before = set(release.rglob("*"))
    command = ["evaluate", "h36m", *MGCN, "-n", "200", "--json", "out.json"]
    code = (
        "import signal, sys; from prpose.cli import guarded, run; "
        # A shell's background jobs ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler); print('ready', flush=True); "
        f"sys.exit(guarded(lambda: run({command})))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(3)
    assert process.poll() is None, process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "interrupted; no file is left half-written" in error
    assert set(release.rglob("*")) == before
