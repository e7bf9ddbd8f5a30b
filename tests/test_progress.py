"""Progress bars on a terminal, and the last lines of commands."""

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from prpose.cli import guarded, run
from prpose.cli.console import NO_BAR, duration, print_result, print_table, progress, recorded
from tests.mocap_files import write_folder

WALK = ["examples/walk_openpose", "--image-size", "1000", "1002", "--fps", "30", "-n", "4", "--model", "mgcn-cmu17"]
WALKERS = ["evaluate", "walkers", "--model", "mgcn-cmu17", "-n", "2", "--stride", "60"]
PACE = r"[\d.,]+ {}/s · \d+ s left"
RESULT = re.compile(r"(.+) in \d+\.\d s\.(?: ([^:]+): prpose (.+))?")


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@contextmanager
def terminal():
    """Standard error as a terminal of 100 columns; yields a list that gets what was shown there, without colours."""
    ours, theirs = pty.openpty()
    parts, shown = list[bytes](), list[str]()

    def read():
        while True:
            try:
                parts.append(os.read(ours, 4096))
            except OSError:  # the other end is closed
                return

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w") as stream, pytest.MonkeyPatch.context() as patch:
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "100")
        patch.setattr(sys, "stderr", stream)
        yield shown
    reader.join()
    os.close(ours)
    shown.append(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(parts).decode()))


def result(printed):
    """What the last line says was done, and the hint and the arguments of the command that it names."""
    done, hint, then = RESULT.fullmatch(printed.splitlines()[-1]).groups()
    return done, hint, shlex.split(then or "")


def test_predict_shows_rate_and_time_left_on_a_terminal(tmp_path, capsys):
    out = tmp_path / "my walk.npz"
    with terminal() as shown:
        assert prpose("predict", *WALK, "--out", out) == 0
    printed = capsys.readouterr().out
    assert re.search("read .*30/30 · " + PACE.format("files"), shown[0])
    assert re.search("predict .*30/30 · " + PACE.format("frames"), shown[0])
    assert "write npz" in shown[0]
    assert "\x1b" not in printed  # the bars are on standard error alone
    assert result(printed) == (f"Wrote {out}", "Look at it", ["view", str(out)])


def test_every_format_and_person_has_its_last_line(tmp_path, capsys):
    for ending, hint in (("json", "Look at it"), ("csv", None), ("trc", None), ("bvh", None)):
        out = tmp_path / f"walk.{ending}"
        assert prpose("predict", *WALK, "--out", out) == 0
        assert result(capsys.readouterr().out) == (f"Wrote {out}", hint, ["view", str(out)] if hint else [])
    assert prpose("predict", *WALK, "--out", tmp_path / "walk.npz", "--person", "all") == 0
    person = tmp_path / "walk.0.npz"
    assert result(capsys.readouterr().out) == (f"Wrote {person}", "Look at it", ["view", str(person)])


def test_bars_of_many_files_are_those_of_files(tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a", "b"):
        shutil.copytree(WALK[0], folder / name)
    with terminal() as shown:
        assert prpose("predict", folder, *WALK[1:], "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert re.search("predict .*2/2 · " + PACE.format("files"), shown[0])
    assert "frames/s" not in shown[0]
    first = ["view", str(tmp_path / "out" / "a.npz")]
    assert result(printed) == (f"Wrote 2 files in {tmp_path / 'out'}", "Look at the first", first)


def test_evaluate_shows_rate_and_time_left_on_a_terminal(tmp_path, capsys):
    out = tmp_path / "r.json"
    with terminal() as shown:
        assert prpose(*WALKERS, "--baselines", "--json", out) == 0
    printed = capsys.readouterr().out
    assert "load data" in shown[0]
    for phase in ("fit", "evaluate", "correlate"):
        assert re.search(f"{phase} .*" + PACE.format("frames"), shown[0])
    page = str(out.with_suffix(".html"))
    assert result(printed) == (f"Wrote {out}", "See it as a page", ["report", str(out), "--out", page])


def test_evaluate_says_how_to_keep_the_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert prpose(*WALKERS) == 0
    done, hint, again = result(capsys.readouterr().out)
    assert (done, hint, again) == ("Evaluated", "Keep all numbers", [*WALKERS, "--json", "walkers.json"])
    assert prpose(*again) == 0
    assert (tmp_path / "walkers.json").is_file()


def test_preparing_a_benchmark_shows_its_pace_and_the_commands_to_go_on_with_work(tmp_path, capsys):
    folder = write_folder(tmp_path)
    argv = ["data", "prepare", "mocap", folder / "mocap", "--format", "npz", "--joints", folder / "joints.toml"]
    with terminal() as shown:
        assert prpose(*argv, "--name", "mine", "--root", folder / "out") == 0
    assert re.search("prepare .*4/4 · " + PACE.format("clips"), shown[0])
    done, _, then = result(capsys.readouterr().out)
    assert (done, then[:3]) == (f"Wrote {folder / 'out' / 'data_mine.npz'}", ["data", "inspect", "mine"])
    assert prpose(*then) == 0
    done, _, then = result(capsys.readouterr().out)
    assert (done, then[:2]) == ("Inspected", ["evaluate", "mine"])  # it has no training split
    assert prpose(*then, "-n", "2", "--stride", "40") == 0


def test_training_leads_to_a_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--epochs", "1", "--config.every", "60"]
    first = ["train", "lifter", "--data", "walkers", "--out", "mine", "--lifter-args", '{"hidden": 16, "blocks": 1}']
    assert prpose(*first, *small) == 0
    done, _, noise = result(capsys.readouterr().out)
    assert done == "Wrote mine/best.safetensors"
    assert prpose(*noise, *small) == 0
    _, _, evaluate = result(capsys.readouterr().out)
    assert prpose(*evaluate, "-n", "2", "--stride", "60") == 0
    one_pass = ["train", "sampler", "--data", "walkers", "--out", "one pass", "--lifter", "gaussian_gcn"]
    assert prpose(*one_pass, *small) == 0
    _, _, pack = result(capsys.readouterr().out)
    assert prpose(*pack) == 0
    done, _, evaluate = result(capsys.readouterr().out)
    assert done.startswith("Wrote one pass_model, ")
    assert prpose(*evaluate, "-n", "2", "--stride", "60") == 0


def test_pipes_get_no_control_characters(tmp_path):
    env = os.environ | {"FORCE_COLOR": "1", "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-m", "prpose", "predict", *WALK, "--out", str(tmp_path / "walk.npz")]
    done = subprocess.run(argv, env=env, capture_output=True, check=True)
    assert b"\x1b" not in done.stdout + done.stderr
    lines = done.stderr.decode().splitlines()
    assert lines
    assert all(line.startswith("warning: ") for line in lines)
    assert result(done.stdout.decode())[0] == f"Wrote {tmp_path / 'walk.npz'}"


def test_lines_printed_beside_a_bar_keep_their_place(capsys):
    """Standard output that is no terminal gets them, not standard error, on which rich would show them."""
    with terminal() as shown, progress("work", 2, "steps") as advance:
        print("epoch 1")
        print("warning: x", file=sys.stderr)
        advance(1)
        advance(1, 4)
    assert capsys.readouterr().out == "epoch 1\n"
    assert "epoch 1" not in shown[0]
    assert "\nwarning: x" in shown[0].replace("\r", "\n")
    assert "work" in shown[0]
    assert re.search("2/4 · " + PACE.format("steps"), shown[0])


def test_only_the_first_process_shows_bars(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with terminal() as shown, progress("work", 2) as advance:
        advance(2)
    assert shown == [""]


def test_results_are_one_line_with_quoted_words(capsys):
    with recorded(["predict"]):
        print_result("Wrote a b.npz", "Look at it", "view", "a b.npz")
        print_result("Wrote c.csv")
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Wrote a b\.npz in 0\.\d s\. Look at it: prpose view 'a b\.npz'", first)
    assert re.fullmatch(r"Wrote c\.csv in 0\.\d s\.", second)
    with NO_BAR("work", 2) as advance:
        advance(1, 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3600, "1 h 00 min"),
        (9e5, "250 h 00 min"),
    ],
)
def test_durations_are_whole(seconds, text):
    assert duration(seconds) == text


def test_tables_keep_all_numbers_where_lines_are_short(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    print_table("a title", [f"P{n}" for n in range(9)], {"a recording's name": ["123.4"] * 9})
    printed = capsys.readouterr().out
    assert printed.count("123.4") == 9
    assert "…" not in printed


def test_a_reader_that_ends_early_is_no_error():
    command = f"{sys.executable} -m prpose predict --help | head -1"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert run.stdout.startswith("usage: prpose predict")
    assert run.stderr == ""
