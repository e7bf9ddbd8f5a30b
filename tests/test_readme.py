"""The README's Python runs as it stands there."""

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


def test_public_names_are_the_documented_ones():
    import prpose

    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\bprpose\.(\w+)", text))
    assert {"LIFTERS", "HypothesisLifter", "build_lifter", "load_published", "metrics"} <= named
    assert named <= {*prpose.__all__, "data", "predictor", "regions"}
    for name in prpose.__all__:
        assert getattr(prpose, name) is not None
