"""Import, prediction, evaluation and export with local weights need no network: they make no socket."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prpose.hub import bundled_models

ROOT = Path(__file__).parents[1]
GIVEN = [str(ROOT / "examples/walk_openpose"), "--image-size", "1000", "1002", "--fps", "30", "-n", "2", "--out"]
GUARD = """
import json, sys
from pathlib import Path

attempts = []

def refuse(event, arguments):
    if event.startswith(("socket.", "urllib.", "http.client.")):
        attempts.append(event)
        raise OSError(f"the network is disabled: {event}")

sys.addaudithook(refuse)
"""
"""Every attempt is noted, so that one that is caught and passed over is found, too."""
RUN = """
from prpose.cli import guarded, run

codes = [guarded(lambda words=words: run(words)) for words in json.loads(sys.argv[1])]
Path("report.json").write_text(json.dumps([codes, attempts]))
"""


def without_network():
    """Begins a command that has no network, where the system allows that; sockets are refused everywhere."""
    words = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0
    return words if allowed else []


def run_guarded(folder, commands):
    """The commands' exit codes, their attempts to use the network, and what they printed on stderr."""
    words = [*without_network(), sys.executable, "-c", GUARD + RUN, json.dumps(commands)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return *json.loads((folder / "report.json").read_text()), done.stderr


def test_prediction_and_evaluation_with_local_weights_need_no_network(tmp_path):
    names = list(bundled_models())
    commands = [
        ["models"],
        *(["predict", *GIVEN, f"{name}.npz", "--model", name] for name in names),
        ["evaluate", "walkers", "--split", "val", "--stride", "60", "--model", names[0], "-n", "2"],
        ["view", f"{names[0]}.npz", "--out", "page.html"],
        ["view", "--help"],
    ]
    codes, attempts, errors = run_guarded(tmp_path, commands)
    assert codes == [0] * len(commands), errors
    assert attempts == []
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.json",
        "page.html",
        *(f"{name}.npz" for name in names),
    }


@pytest.mark.slow
def test_export_needs_no_network(tmp_path):
    commands = [["export", "gaussian-cmu17", "a.onnx"], ["predict", *GIVEN, "a.npz", "--model", "a.onnx"]]
    codes, attempts, errors = run_guarded(tmp_path, commands)
    assert codes == [0, 0], errors
    assert attempts == []
    assert (tmp_path / "a.npz").exists()


def test_the_guard_notes_an_attempt_that_is_caught():
    code = GUARD + "import socket\ntry: socket.socket()\nexcept OSError: print(attempts)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['socket.__new__']\n"
