"""The blocks of code in README and docs, and how the tests run them.

Blocks of a page run in order, Python in one namespace, commands in the same folder. A block whose first line begins
with one of :data:`MARKS` says why it is run only by ``make test-all``, or not at all.
"""

import contextlib
import functools
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import main
import prpose.cli
from prpose.cli import guarded, run

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = ("python", "sh", "toml", "json", "js", "text")
MARKS = {"# Needs ": "needs", "# Takes ": "slow"}  # why a block is not run: ever, or but by make test-all
NUMBER = re.compile(r"\d+(?:\.\d+)?")
EXTRA = re.compile(r"^[\w.-]*\[([\w,-]+)\]$")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    follows: bool = False  # another block, with nothing in between

    @property
    def place(self):
        return f"{self.page.name}, line {self.line}"

    @property
    def mark(self):
        """needs, slow or nothing."""
        return next((mark for begin, mark in MARKS.items() if self.text.startswith(begin)), "")

    def commands(self):
        """The words of every command of a shell block, without comments, continued lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page):
    """All blocks between fences of a page."""
    text, found, end = page.read_text(), [], 0
    for match in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.M | re.S):
        follows = bool(found) and not text[end : match.start()].strip()
        found.append(Block(page, text[: match.start()].count("\n") + 1, match[1], match[2], follows))
        end = match.end()
    return found


def run_page(page, slow=False):
    """Runs a page's blocks but those that are not for this kind of run; of these, the arguments are checked.

    A block of text right after one that has run is what that prints.
    """
    names, printed = {"__name__": "__main__"}, None
    for block in blocks(page):
        wanted = block.mark == "" or (slow and block.mark == "slow")
        if block.language == "text":
            assert printed is None or not block.follows or is_like(block.text, printed), f"{block.place}:\n{printed}"
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with contextlib.redirect_stdout(out):
            run_block(block, names, wanted)
        out.seek(0)
        printed = out.read() if wanted else None


def run_block(block, names, wanted):
    if block.language == "python":
        code = compile("\n" * block.line + block.text, block.page.name, "exec")
        if wanted:
            exec(code, names)
    elif block.language == "sh":
        with contextlib.nullcontext() if wanted else arguments_only():
            for words in block.commands():
                run_command(words, f"{block.place}: {shlex.join(words)}", wanted)


def is_like(expected, printed):
    """Whether two texts agree, numbers within two of their last digits or 2 %, times and sizes of files not at all."""
    texts = [re.sub(r"in [\d.]+ s|\([\d.]+ MB\)", "#", text).strip() for text in (expected, printed)]
    words, others = (NUMBER.split(text) for text in texts)
    pairs = zip(*(NUMBER.findall(text) for text in texts), strict=False)
    return words == others and all(
        abs(float(a) - float(b)) <= 2.1 * last_digit(a) + 0.02 * abs(float(a)) for a, b in pairs
    )


def last_digit(number):
    return 10.0 ** -len(number.partition(".")[2])


def run_command(words, where, wanted):
    program, *rest = words
    if program == "prpose":
        assert guarded(lambda: run(rest)) == 0, where
    elif program == "export":
        assert all("=" in word for word in rest), where
    elif program == "pip":
        check_pip(rest, where)
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert {*rest} <= {*targets}, where
    elif wanted:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
        print(subprocess.run(words, check=True, env=env, capture_output=True, text=True).stdout, end="")
    elif program == "python":
        check_python(rest, where)


def check_pip(words, where):
    """The extras and files of ``pip install`` exist."""
    named = re.findall(r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(), re.M)
    for word in words:
        if match := EXTRA.match(word):
            assert {*match[1].split(",")} <= {*named}, where
        assert not word.endswith(".txt") or (ROOT / word).exists(), where


def check_python(words, where):
    """A script or module exists, and the published command line has its flags."""
    if words[0] == "main.py":
        main.parse(words[1:])
    script = words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0]
    assert (ROOT / script).exists(), where


@contextlib.contextmanager
def arguments_only():
    """Commands do nothing: their arguments are checked alone."""
    before = prpose.cli.COMMANDS
    prpose.cli.COMMANDS = parsed_only(before)
    try:
        yield
    finally:
        prpose.cli.COMMANDS = before


def parsed_only(tree):
    return {
        name: parsed_only(node)
        if isinstance(node, dict)
        else functools.wraps(prpose.cli.imported(node))(lambda *args, **kwargs: None)
        for name, node in tree.items()
    }
