"""Every dependency has a licence that is known, and permissive or accepted for a reason, and a pinned version."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from studies.dependencies import ACCEPTED, LIBRARIES, is_permissive, lowest, project, rows

ROOT = Path(__file__).parents[1]


def listed():
    """The first table of docs/licences.md: of each package its licence and the copyleft libraries in its wheel."""
    table = (
        (ROOT / "docs/licences.md").read_text(encoding="utf-8").partition("|---|---|---|---|\n")[2].partition("\n\n")[0]
    )
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {name: (licence, libraries) for name, licence, libraries, _ in cells}


def test_installed_dependencies_have_the_licences_that_are_listed():
    found, table = rows(), listed()
    assert {"torch", "numpy", "safetensors", "certifi"} <= set(found)
    assert set(found) - set(table) == set(), "run make licences"
    for name, (licence, libraries, _) in found.items():
        assert (name, licence) == (name, table[name][0])
        assert set(libraries) <= set(filter(None, table[name][1].split(", "))), (
            f"{name} has other libraries in its wheel"
        )


def test_licences_that_are_not_permissive_are_accepted_for_a_reason():
    for name, (licence, libraries) in listed().items():
        assert licence != "unknown", name
        assert (is_permissive(licence) and not libraries) or len(ACCEPTED.get(name, "")) > 20, (
            name,
            licence,
            libraries,
        )


def test_every_direct_dependency_is_listed():
    names = {canonicalize_name(Requirement(text).name) for texts in project().values() for text in texts}
    assert names - {"prpose", "tomli"} - set(listed()) == set(), "run make licences"


def test_every_dependency_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert len(pinned) == len(lines)
    assert set(listed()) - pinned == set()


def test_every_requirement_has_a_lower_bound():
    names = {Requirement(text).name for texts in project().values() for text in texts} - {"prpose"}
    assert {line.partition("==")[0] for line in lowest()} == names


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 WITH LLVM-exception AND (BSD-2-Clause OR MIT)", True),
        ("MPL-2.0 AND MIT", False),
        *((licence, False) for licence in sorted(set(LIBRARIES.values()))),
        ("unknown", False),
    ],
)
def test_permissive_licences_are_told_from_others(expression, permissive):
    assert is_permissive(expression) == permissive
