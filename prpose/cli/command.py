"""The command line that is kept with the poses, so that they can be made again."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

FOLDER_ONLY = {"--each": 1, "--out-format": 2}
"""Options that say something of many files alone, with the words that they take up."""


class InputAndOutput(Protocol):
    """A file of keypoints, and the file that its poses go to."""

    @property
    def file(self) -> Path: ...

    @property
    def out(self) -> Path: ...


def typed(argv: Sequence[str]) -> str:
    """As it was typed."""
    return shlex.join(["prpose", *argv])


def made_alone(argv: Sequence[str], whole: Path, job: InputAndOutput) -> str:
    """The command that makes one file of those that a command makes.

    Args:
        argv: of the command for a folder, or for everybody in a file.
        whole: the folder, or that file.
        job: the file alone.

    Example:
        >>> from prpose.cli.many_files import Job
        >>> argv = ["predict", "clips", "--out", "poses", "--each", "-n", "9"]
        >>> made_alone(argv, Path("clips"), Job(Path("clips/a.json"), Path("poses/a.npz")))
        'prpose predict clips/a.json --out poses/a.npz -n 9'
    """
    if job.file == whole:
        return typed(argv)
    words, rest, named = list[str](), list(argv), False
    while rest:
        word, *rest = rest
        option, equals, _ = word.partition("=")
        option = option.replace("_", "-")
        if option in FOLDER_ONLY:
            rest = rest[0 if equals else FOLDER_ONLY[option] - 1 :]
        elif option == "--out":
            words += [f"--out={job.out}"] if equals else ["--out", str(job.out)]
            rest = rest[0 if equals else 1 :]
        elif not named and not word.startswith("-") and Path(word) == whole:
            words.append(str(job.file))
            named = True
        else:
            words.append(word)
    return typed(words)
