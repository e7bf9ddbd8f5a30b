"""The README's Python runs as it stands there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_python_imports_is_there(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        for module, names in re.findall(r"^from (prpose\S*) import ([\w, ]+)$", block, re.M):
            for name in names.split(", "):
                assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_public_names_are_the_documented_ones():
    import prpose

    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\bprpose\.(\w+)", text))
    assert {"LIFTERS", "Sampler", "build_lifter", "load_published", "metrics"} <= named
    assert named <= {*prpose.__all__, "data", "predictor", "regions"}
    for name in prpose.__all__:
        assert getattr(prpose, name) is not None
