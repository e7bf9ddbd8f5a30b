"""The README's code runs as printed, and links lead to files."""

import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

import prpose
from prpose.cli import guarded, run

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def commands():
    """Every ``prpose`` command in a shell block, its comment and continued lines removed."""
    lines = "".join(blocks(README, "(?:sh|bash|shell|console)?")).replace("\\\n", " ").splitlines()
    words = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
    return [line[1:] for line in words if line[:1] == ["prpose"]]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The working directory, as a clone of the repository has it: examples/ in it, but no data set."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", blocks(README, "python"))
def test_python_block_runs(block, clone):
    exec(compile(block, "README.md", "exec"), {})


def test_commands_run_or_need_files_that_the_repository_lacks(clone, capsys):
    """In order, because one may read what another wrote; each of the others is refused for a missing file alone."""
    ran = 0
    assert commands()
    for words in commands():
        if words[0] == "train" or "h36m" in words or "cmu" in words:  # hours, or data with a licence
            assert guarded(lambda words=words: run([*words[:2], "--help"])) == 0
            continue
        code = guarded(lambda words=words: run(words))
        error = capsys.readouterr().err
        lacks = re.search(r"no such file|not installed|does not exist|no such folder", error)
        assert code == 0 or lacks, f"{shlex.join(words)}: {error}"
        ran += code == 0
    assert ran


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_import_and_name_what_exists(page):
    for block in blocks(page, "python"):
        for module, names in re.findall(r"^from (prpose\S*) import ([\w, ]+)$", block, re.M):
            for name in names.split(", "):
                assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
        for name in re.findall(r"\bprpose\.(\w+)", block):
            assert hasattr(prpose, name), f"prpose.{name}"
