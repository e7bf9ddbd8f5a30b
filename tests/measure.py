"""What a piece of Python costs, measured in a process of its own."""

import os
import subprocess
import sys


def peak_gib(code: str) -> float:
    """The number that ``code`` prints: its peak memory, in GiB."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)
