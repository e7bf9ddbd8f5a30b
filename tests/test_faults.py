"""The studies of killed commands and of memory, with few moments and short clips."""

import subprocess
import sys
from pathlib import Path

import pytest

from studies import memory

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="no /proc: the studies need Linux"),
]


@pytest.mark.parametrize("command", ["predict, json", "train"])
def test_killed_commands_leave_whole_files_or_none(command):
    """In a process of its own, whose forks run the commands."""
    words = [sys.executable, "-m", "studies.faults", "--kills", "6", "--only", command]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    (row,) = (line for line in run.stdout.splitlines() if line.startswith(f"| {command}"))
    name, killed, *_, others, left, violations = row.strip("| ").split(" | ")
    assert name.startswith(command)
    assert (killed, others, left, violations) == ("6", "6", "0", "0"), run.stderr[-2000:]


def test_memory_of_a_process_hardly_grows_with_the_frames(tmp_path):
    rows = memory.main((2_000, 22_000), num_samples=2, model="mgcn-cmu17", picture=tmp_path / "memory.png")
    own = [row["own"] for row in rows.values()]
    assert own[1] - own[0] < 20_000 * 6e-3  # MB: less than 6 kB a frame, of which 8 MB an array may be in memory
    assert (tmp_path / "memory.png").stat().st_size > 5_000
