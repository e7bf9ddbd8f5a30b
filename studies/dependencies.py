"""What prpose depends on: licences (docs/licences.md, by ``make licences``) and lowest versions (``make test-lowest``).

python -m studies.dependencies licences     # in an environment with every extra; checked by tests/test_licences.py
python -m studies.dependencies extras       # their names
python -m studies.dependencies lowest       # constraints: of every direct dependency the lowest version
"""

import re
import sys
from collections.abc import Iterator
from email.message import Message
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PERMISSIVE = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "HPND",
        "ISC",
        "LLVM-exception",
    ),
    *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"),
}
"""SPDX identifiers, exceptions, and BSD where a package does not say which."""
NAMES = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
READ = {"ezc3d": "MIT"}
"""Licences read in the package's licence file, because its metadata state none."""
LIBRARIES = {
    "libx264": "GPL-2.0-or-later",
    "libx265": "GPL-2.0-or-later",
    "libavcodec": "LGPL-2.1-or-later or LGPL-3.0-or-later, as its build states",
    "libmp3lame": "LGPL-2.0-or-later",
    "libasound": "LGPL-2.1-or-later",
    "libgnutls": "LGPL-2.1-or-later",
    "libgmp": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "libhogweed": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "libnettle": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "libunistring": "LGPL-3.0-or-later or GPL-2.0-or-later",
    "libheif": "LGPL-3.0-or-later",
    "libde265": "LGPL-3.0-or-later",
    "libQt5": "LGPL-3.0-only",
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libquadmath": "LGPL-2.1-or-later",
}
"""Copyleft libraries in wheels, by the beginning of their file's name; the wheel's own licence does not name them."""
FFMPEG = "its wheel has FFmpeg in it (LGPL), for OpenCV's own reading of videos, which prpose does not call"
RUNTIME = "the run-time libraries of GCC's Fortran, under the exception that lets any program use them"
ACCEPTED = {
    "av": "extra `video`: PyAV's wheel has FFmpeg in it, which states LGPL-3.0-or-later, and x264 and x265 (GPL). "
    "prpose imports PyAV when a video is read or written, and ships none of it. Who passes on this wheel, inside an "
    "application for example, keeps to these licences, or builds PyAV with an FFmpeg without them",
    "pillow-heif": "extra `heic`: libheif and libde265 (LGPL) and x265 (GPL), as for `av`",
    "opencv-python-headless": f"tests only: {FFMPEG}",
    "opencv-python": f"asked for by rtmlib: {FFMPEG}, and Qt (LGPL)",
    "opencv-contrib-python": f"asked for by MediaPipe and rtmlib: {FFMPEG}, and Qt (LGPL)",
    "numpy": RUNTIME,
    "scipy": RUNTIME,
    "torch": "the run-time library of GCC's OpenMP, under the same exception",
    "certifi": "MPL-2.0: copyleft for its own files only, which are used unchanged; pooch downloads with it",
    "hypothesis": "MPL-2.0, as certifi; tests only",
    "docutils": "documentation only: public domain and BSD, but for an Emacs mode under the GPL in its sources",
    "pathspec": "MPL-2.0, as certifi; builds and checks types, never imported by prpose",
    "tqdm": "MPL-2.0 for some of its files, as certifi; asked for by rtmlib and huggingface_hub",
}
"""Why each dependency that is not wholly permissive is accepted."""


def project() -> dict[str, list[str]]:
    """The requirements of pyproject.toml by extra; those of prpose itself under ``prpose``."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"prpose": found["dependencies"], **found["optional-dependencies"]}


def licence(metadata: Message) -> str:
    """What a package's metadata state: the SPDX expression, else the licence's name, else the classifiers."""
    if metadata["License-Expression"]:
        return str(metadata["License-Expression"])
    first = (metadata["License"] or "").strip().split("\n")[0].strip()
    if first in NAMES or (first and len(first) <= 20):
        return NAMES.get(first, first)
    classes = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", []) if text.startswith("License")]
    return " OR ".join(NAMES.get(text, text) for text in classes) or READ.get(metadata["Name"], "unknown")


def is_permissive(expression: str) -> bool:
    """Whether an SPDX expression names permissive licences only."""
    return set(re.split(r"[\s()]+|\bAND\b|\bOR\b|\bWITH\b", expression)) - {""} <= PERMISSIVE


def bundled(package: Distribution) -> list[str]:
    """The copyleft libraries in a package's wheel."""
    names = [path.name for path in package.files or ()]
    return [library for library in LIBRARIES if any(re.match(rf"{library}[\w-]*\.so", name) for name in names)]


def needed(requirements: list[str]) -> Iterator[Distribution]:
    """The installed packages that these requirements ask for, directly or not, each once."""
    stack, seen = [(Requirement(text), "") for text in requirements], set()
    while stack:
        requirement, extra = stack.pop()
        key = (canonicalize_name(requirement.name), *sorted(requirement.extras))
        if (requirement.marker and not requirement.marker.evaluate({"extra": extra})) or key in seen:
            continue
        seen.add(key)
        if key[0] == "prpose":
            stack += [(Requirement(text), "") for name in requirement.extras for text in project()[name]]
            continue
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        yield package
        stack += [(Requirement(text), name) for name in ("", *requirement.extras) for text in package.requires or ()]


@cache
def rows() -> dict[str, tuple[str, list[str], list[str]]]:
    """Of every installed dependency its licence, the copyleft libraries in it, and the extras that ask for it."""
    found: dict[str, tuple[str, list[str], list[str]]] = {}
    for extra, requirements in project().items():
        for package in needed(requirements):
            name = canonicalize_name(package.name)
            if name not in found:
                found[name] = licence(package.metadata), bundled(package), []
            if extra not in found[name][2]:
                found[name][2].append(extra)
    return dict(sorted(found.items()))


def lowest() -> list[str]:
    """Constraints: the lower bound of each requirement, the higher one where two extras differ in it."""
    texts = [text for requirements in project().values() for text in requirements]
    found = [(r.name, s.version) for r in map(Requirement, texts) for s in r.specifier if s.operator == ">="]
    return [f"{name}=={version}" for name, version in dict(found).items()]


HEAD = """# Licences

prpose's own code and weights are MIT (`LICENSE`); `NOTICE` names what they were made of and what they contain. `make
licences` writes these tables of what prpose depends on, in the versions of `constraints.txt` on Linux: the licence that
each package's metadata state, and copyleft libraries in its wheel that they do not state. `tests/test_licences.py`
compares them with what is installed, and with the licences that need no reason.

PyTorch's wheels for CUDA ask for NVIDIA's libraries, too, which are proprietary; its builds for the CPU do not. Without
extras, nothing here is copyleft but `certifi` and the run-time libraries of GCC.
"""


def page() -> str:
    """docs/licences.md."""
    lines = [HEAD, "| package | licence | copyleft in its wheel | asked for by |", "|---|---|---|---|"]
    for name, (text, libraries, extras) in rows().items():
        lines.append(f"| {name} | {text} | {', '.join(libraries)} | {', '.join(extras)} |")
    lines += ["", "| not wholly permissive | why it is accepted |", "|---|---|"]
    lines += [f"| {name} | {reason} |" for name, reason in sorted(ACCEPTED.items()) if name in rows()]
    lines += ["", "| library in wheels | licence |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in LIBRARIES.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    extras = ",".join(name for name in project() if name != "prpose")
    print({"extras": extras, "lowest": "\n".join(lowest()), "licences": page()}[sys.argv[1]])
