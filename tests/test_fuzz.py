"""Every reader returns or refuses a damaged file, and does nothing else (tests/fuzz)."""

import importlib.util
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import engine
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.outcome import Watched
from tests.fuzz.targets import targets

TARGETS = targets()
APART = [name for name, target in TARGETS.items() if target.apart]
FOUND = {f"{path.parent.name}-{path.name}": path for path in sorted(CORPUS.glob("*/*"))}
SLOW = [pytest.mark.slow]  # seconds, until the process that tries the file is ended
DAMAGED = settings(
    derandomize=True, database=None, deadline=None, max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)  # fmt: skip
NO_ATHERIS = "atheris is not installed: there is no release of it for this Python or system"


def damaged(target):
    """Valid files of a reader's format with up to three changes as the format has them."""
    return st.builds(target.damaged, st.sampled_from(target.seeds()), st.randoms(use_true_random=False))


@pytest.mark.parametrize("name", TARGETS)
def test_valid_files_are_read(name, tmp_path):
    target = TARGETS[name]
    with Watched(tmp_path) as watched:
        for data in target.seeds():
            watched.call(target, data)  # loads libraries, which takes memory
            outcome = watched.call(target, data)
            assert outcome.was_read, outcome


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in APART])
def test_damaged_files_are_read_or_refused(name, tmp_path):
    target = TARGETS[name]

    @DAMAGED
    @given(damaged(target))
    def reads_or_refuses(data):
        outcome = watched.call(target, data)
        assert not outcome.fault, outcome

    with Watched(tmp_path) as watched:
        watched.call(target, target.seeds()[0])
        reads_or_refuses()


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=name, marks=SLOW * ("hang" in name)) for name, path in FOUND.items()]
)
def test_files_that_were_found_are_read_or_refused(path, tmp_path):
    target = TARGETS[path.parent.name]
    with Watched(tmp_path) as watched:
        watched.call(target, target.seeds()[0])
        outcome = watched.call(target, path.read_bytes())
    assert not outcome.fault, outcome


def test_the_outcome_tells_what_a_reader_may_not_do(tmp_path):
    def refuses(message, error=ValueError):
        def read(path):
            raise error(message)

        return read

    def shows(path):
        print("a")

    def leaves(path):
        (path.parent / "b").write_text("b")

    def hoards(path):
        assert len(bytearray(200 * 2**20)) > 1

    def uses(path):
        __import__("warnings").warn("a", UserWarning, stacklevel=1)

    target = TARGETS["csv"]
    for read, fault in {
        (lambda path: None): "", refuses("expected a, got b"): "", refuses("a\nb\x1b[31m"): "",
        refuses("a", KeyError): "KeyError", refuses("a", UnicodeError): "UnicodeError",
        refuses("a", OSError): "OSError", shows: "printed", hoards: "memory", uses: "warning", leaves: "written",
    }.items():  # fmt: skip
        with Watched(tmp_path) as watched:
            outcome = watched.call(replace(target, read=read), b"a")
        assert outcome.fault.partition(" ")[0] == fault


def test_changes_depend_on_the_seed_alone():
    for name, target in TARGETS.items():
        if name != "matlab-train":  # a MATLAB file states the time at which it was written
            first, again = (target.damaged(target.seeds()[0], random.Random(3)) for _ in range(2))
            assert first == again, name


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_no_fault_is_found_by_chance(name):
    result = engine.run(name, seconds=8, inputs=3000, seed=1)
    assert result.inputs == result.read + result.refused > 0
    assert not result.finds, result.details


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_no_fault_is_found_by_coverage(name):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip(NO_ATHERIS)
    result = engine.run(name, seconds=10, inputs=10**6, engine="atheris", corpus=CORPUS)
    assert result.inputs == result.read + result.refused > 0
    assert not result.finds, result.details
