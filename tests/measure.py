"""Peak memory of a piece of Python, measured in a process of its own (Linux)."""

import os
import subprocess
import sys
from pathlib import Path

REPORT = """
from pathlib import Path
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**20)
"""


def peak_gib(code: str) -> float:
    """The peak memory of ``code``, in GiB."""
    environment, root = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}, Path(__file__).parent.parent
    command = [sys.executable, "-c", code + REPORT]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return float(run.stdout)
