"""The code of README and docs runs as printed, links lead to files, and the site's pages are made of what there is."""

import importlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import prpose
from docs import build
from prpose.atomic import read_toml
from prpose.cli import COMMANDS
from tests.documents import LANGUAGES, PAGES, ROOT, blocks, is_like, run_page

TUTORIAL = ROOT / "docs/tutorial.md"
NEEDS = {
    "README.md": 1, "data.md": 3, "formats.md": 1, "lifters.md": 3, "migration.md": 2, "reproduce.md": 2,
    "results.md": 2, "robustness.md": 1, "speed.md": 2, "video.md": 2, "view.md": 3,
}  # fmt: skip
"""Number of blocks of a page that are never run, as they need what is not shipped; their first line says what."""


def by_name(page):
    return page.name


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The working directory, as a clone of the repository has it, but no data set; no browser is opened."""
    for folder in ("examples", "tests/data/formats", "studies"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if page != TUTORIAL], ids=by_name)
def test_blocks_run_in_order(page, clone):
    run_page(page)


def test_the_blocks_of_the_tutorial_run_in_order_and_make_its_pictures(clone):
    run_page(TUTORIAL)
    names = re.findall(r"!\[[^]]*\]\((\S+)\)", TUTORIAL.read_text())
    assert len(names) >= 4
    for name in names:
        drawn, shown = (Image.open(path).convert("L") for path in (clone / name, TUTORIAL.parent / name))
        assert drawn.size == shown.size, name
        # Another version of Matplotlib may draw text and lines elsewhere by some pixels.
        drawn, shown = (np.asarray(image.reduce(8), float) for image in (drawn, shown))
        assert np.abs(drawn - shown).mean() < 4, name  # of 255


def test_text_is_like_what_is_printed_but_for_rounding_and_times():
    assert is_like("Wrote a.npz in 1.4 s. 44 mm", "Wrote a.npz in 12.0 s. 45 mm")
    assert not is_like("Wrote a.npz in 1.4 s. 44 mm", "Wrote b.npz in 1.4 s. 44 mm")
    assert not is_like("44 mm", "48 mm")
    assert not is_like("4.02 m", "4.15 m")
    assert not is_like("4.02 m", "4.02 m, 3 frames")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.mark == "slow" for block in blocks(page))], ids=by_name
)
def test_slow_blocks_run_too(page, clone):
    run_page(page, slow=True)


def test_blocks_that_never_run_are_counted():
    counts = {page.name: sum(block.mark == "needs" for block in blocks(page)) for page in PAGES}
    assert {name: count for name, count in counts.items() if count} == NEEDS


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_blocks_name_their_language_and_files_in_them_parse(page, tmp_path):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}, line {block.line}"
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            (tmp_path / "block.toml").write_text(block.text)
            read_toml(tmp_path / "block.toml")


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page):
    for link, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", page.read_text()):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def anchors(page):
    """Those that code hosts give to headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_python_blocks_import_and_name_what_exists(page):
    for block in (block for block in blocks(page) if block.language == "python"):
        for module, names in re.findall(r"^from (prpose\S*) import ([\w, ]+)$", block.text, re.M):
            for name in names.split(", "):
                assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
        for name in re.findall(r"\bprpose\.(\w+)", block.text):
            assert hasattr(prpose, name), f"prpose.{name}"


def test_the_page_of_the_command_line_has_the_help_of_every_command():
    page = build.commands_page()
    words = [" ".join(words) for words in build.commands(COMMANDS)]
    assert {"predict", "train lifter", "data prepare mocap"} <= {*words}
    assert re.findall("^## prpose (.*)$", page, re.M) == words
    assert all(f"usage: prpose {command} [-h]" in page for command in words)
    assert "--intrinsics" in page
    assert max(len(line) for line in page.splitlines() if line[:1] in "╭│╰") <= build.WIDTH + 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script async src="https://cdn.org/a.js"></script>', ["https://cdn.org/a.js"]),
        ("<link rel=stylesheet href=//fonts.org/a.css>", ["//fonts.org/a.css"]),
        ('<img alt="a" src="HTTPS://a.org/a.png">', ["HTTPS://a.org/a.png"]),
        ("@import 'http://a.org/a.css'; a { content: url(//b.org/b.png) }", ["//b.org/b.png", "http://a.org/a.css"]),
        ('<a href="https://arxiv.org">paper</a> <script src="_static/a.js"></script> <img src="data:,">', []),
    ],
)  # fmt: skip
def test_what_a_page_loads_from_elsewhere_is_found(text, found):
    assert sorted(build.loaded(text)) == found


def test_links_on_the_site_lead_to_its_pages_and_copies(tmp_path):
    build.write_source(tmp_path / "source")
    first = (tmp_path / "source/index.md").read_text()
    assert "(formats.md)" in first
    assert "(contributing.md)" in first
    for page in (tmp_path / "source").glob("*.md"):
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.slow
def test_the_site_is_built_without_warnings(tmp_path):
    pytest.importorskip("furo", reason="the extra docs is not installed; make test-all does it")
    subprocess.run([sys.executable, ROOT / "docs/build.py", "--out", tmp_path / "site"], check=True)
    assert "stream" in (tmp_path / "site/api.html").read_text()
