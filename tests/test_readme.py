"""The README's code runs as printed, and links lead to files."""

import functools
import importlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

import prpose
import prpose.cli
from prpose.cli import guarded, run

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, *languages):
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.M | re.S)
    return [block for language, block in found if language in languages]


def commands():
    """Every ``prpose`` command in a shell block, without comments, continued lines joined."""
    lines = "".join(blocks(README, "", "sh", "bash", "shell", "console")).replace("\\\n", " ").splitlines()
    lines = [line.removeprefix("$ ") for line in lines]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("prpose ")]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The working directory, as a clone of the repository has it: examples/ in it, but no data set."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", blocks(README, "python"))
def test_python_block_runs(block, clone):
    exec(compile(block, "README.md", "exec"), {})


def parsed_only(tree):
    """The commands, doing nothing: their arguments are checked alone."""
    return {
        name: parsed_only(node)
        if isinstance(node, dict)
        else functools.wraps(prpose.cli.imported(node))(lambda *args, **kwargs: None)
        for name, node in tree.items()
    }


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_parses_and_runs_or_lacks_a_file_that_is_not_shipped(words, clone, monkeypatch, capsys):
    """Training and evaluation take longer: only their arguments are checked."""
    if words[0] != "predict":
        monkeypatch.setattr(prpose.cli, "COMMANDS", parsed_only(prpose.cli.COMMANDS))
    code, error = guarded(lambda: run(words)), capsys.readouterr().err
    if "examples/" in " ".join(words) or words[0] != "predict":
        assert code == 0, error
    else:
        assert re.fullmatch(rf"error: {words[1]}: .*no such file.*\n", error)


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
