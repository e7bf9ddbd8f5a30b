"""What a piece of Python costs, measured in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPORT = """
import resource, sys
from pathlib import Path
status = Path("/proc/self/status")
if status.is_file():
    peak = next(int(line.split()[1]) for line in status.open() if line.startswith("VmHWM:"))
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / 2**20)
"""
"""The process's own peak. On Linux, what resource says counts the process that started it,
too, whose memory it had until it ran a program of its own."""


def peak_gib(code: str) -> float:
    """The peak memory of ``code``, in GiB."""
    run = subprocess.run(
        [sys.executable, "-c", code + REPORT],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)
