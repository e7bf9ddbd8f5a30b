"""Builds the documentation site: python docs/build.py [--out site]

The pages in docs/ are also read on a code host, where README.md is the first one and links lead to files of the
repository. A copy of them is made for Sphinx: with README.md as its first page, the ``--help`` of every command as
``commands.md``, links replaced, and the files to which they lead. The site needs no network, which is checked.
"""

import argparse
import contextlib
import io
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FIRST = "index.md"
PAGES = {"README.md": FIRST, "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages outside docs/, and their names on the site."""
NAVIGATION = {
    "Start": ("quickstart", "tutorial", "concepts", "faq"),
    "Files": ("formats", "video", "output", "view"),
    "Reference": ("api", "commands", "data", "lifters"),
    "Measured": ("results", "robustness", "reliability", "speed", "reproduce"),
    "Project": ("migration", "architecture", "fuzzing", "licences", "contributing", "changelog"),
}
WIDTH = 96  # columns of the help texts

LINK = re.compile(r"(!?\[[^\]]*\]\()(?!\w+:|#|/)([^)#\s]+)")
LOADING = re.compile(r"<(?:script|img|iframe|source|video|audio|embed|object|link)\b[^>]*>", re.I)
ADDRESS = re.compile(r"""\b(?:src|href|data|srcset)\s*=\s*["']?([^"'\s>]+)""")
CSS_ADDRESS = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
ELSEWHERE = re.compile(r"(?:https?:)?//", re.I)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="folder of the site; it is replaced")
    site = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder, "source"), Path(folder, "site")
        write_source(source)
        code = subprocess.run(
            [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", source, built], check=False
        ).returncode
        if code:
            sys.exit(code)
        if wrong := [f"{path.relative_to(built)}: {url}" for path in pages(built) for url in loaded(path.read_text())]:
            sys.exit("error: expected pages that load nothing from elsewhere, got\n" + "\n".join(wrong))
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(built, site, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo"))
    print(f"Wrote {site}. Open {(site / 'index.html').resolve().as_uri()}")


def write_source(folder: Path) -> None:
    """Writes the pages as Sphinx reads them, and the files that they link to."""
    shutil.copytree(DOCS, folder, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    for path in [*PAGES, *(f"docs/{page.name}" for page in sorted(DOCS.glob("*.md")))]:
        text = (ROOT / path).read_text(encoding="utf-8")
        for link in linked(path, text):
            if not link.startswith("docs/") and link not in PAGES:
                (folder / link).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / link, folder / link)
        name = PAGES.get(path, Path(path).name)
        text = LINK.sub(lambda match, path=path: match[1] + on_site(in_repository(path, match[2])), text)
        (folder / name).write_text(text + (navigation() if name == FIRST else ""), encoding="utf-8")
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")


def in_repository(page: str, link: str) -> str:
    """The file in the repository that a page's link leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def on_site(path: str) -> str:
    """A file of the repository, as the pages of the site link to it."""
    return PAGES.get(path, path.removeprefix("docs/"))


def linked(page: str, text: str) -> list[str]:
    return sorted({in_repository(page, match[2]) for match in LINK.finditer(text)})


def navigation() -> str:
    trees = (
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```"
        for caption, names in NAVIGATION.items()
    )
    return "\n" + "\n\n".join(trees) + "\n"


def commands_page() -> str:
    """What ``--help`` prints, for every command."""
    from prpose.cli import COMMANDS

    parts = ["# Command line", "What `prpose COMMAND --help` prints.", block(help_text())]
    for words in commands(COMMANDS):
        usage, _, rest = help_text(*words).partition("\n\n")
        description, corner, options = rest.partition("╭")
        parts += [f"## prpose {' '.join(words)}", block(usage), description.strip(), block(corner + options)]
    return "\n\n".join(parts) + "\n"


def commands(tree: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The words of every command, as ``("train", "lifter")``."""
    for name, node in tree.items():
        yield from ((name, *rest) for rest in commands(node)) if isinstance(node, dict) else [(name,)]


def help_text(*words: str) -> str:
    from prpose.cli import run

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    width = mock.patch.dict(os.environ, COLUMNS=str(WIDTH))
    with width, contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        run([*words, "--help"])
    out.seek(0)
    return out.read()


def block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def pages(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*") if path.suffix in (".html", ".css", ".svg"))


def loaded(text: str) -> Iterator[str]:
    """Addresses on other hosts of scripts, styles, fonts and images in HTML or CSS; links to follow are none."""
    inside = [address for tag in LOADING.findall(text) for address in ADDRESS.findall(tag)]
    inside += [one or other for one, other in CSS_ADDRESS.findall(text)]
    yield from (address for address in inside if ELSEWHERE.match(address))


if __name__ == "__main__":
    main()
