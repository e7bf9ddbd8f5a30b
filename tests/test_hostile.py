"""A small file takes little memory and time, whatever it is made to look like (tests/hostile_files.py)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile_files import CROWDS, KEYPOINTS, MOCAP, PREDICTIONS, RESULTS

TABLES = {"KEYPOINTS": KEYPOINTS, "MOCAP": MOCAP, "PREDICTIONS": PREDICTIONS, "RESULTS": RESULTS}
SPARE_MB, RATIO, SECONDS = 150, 20, 10


def run(*tables):
    command, environment = [sys.executable, "-m", "tests.hostile_files", *tables], os.environ | {"OMP_NUM_THREADS": "1"}
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    return {found["what"]: found for found in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def results():
    return run(*TABLES)


def check(found, seconds=SECONDS):
    assert found["outcome"].startswith(("read", "error: ")), found["outcome"]
    assert found["seconds"] < seconds, found
    assert found["MB"] < RATIO * found["size"] + SPARE_MB, found


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a fork is measured by Linux's rules")
@pytest.mark.parametrize("what", [f"{name}: {what}" for name, table in TABLES.items() for what in table])
def test_a_small_file_takes_little_memory_and_time(what, results):
    check(results[what])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a fork is measured by Linux's rules")
def test_a_thousand_people_are_told_apart_in_seconds():
    for found in run("CROWDS").values():  # files of 30 MB
        check(found, seconds=30)
        assert found["outcome"] == "read"
    assert len(CROWDS) == 2
