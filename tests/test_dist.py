"""The wheel and the sdist: the same bytes from any folder, and in them what should be."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.metadata import Metadata

import prpose

ROOT = Path(__file__).parents[1]
NAME = f"prpose-{prpose.__version__}"
BUILD = "import os, sys; os.umask(int(sys.argv[1], 8)); from hatchling.build import build_sdist, build_wheel;"
pytestmark = pytest.mark.slow


def tracked():
    """The files of the repository; where there is none, those of the sdist that this is."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if (ROOT / ".git").exists():
        return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]
    kept = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file() and path.name != "PKG-INFO"]
    return [str(path) for path in kept if not {"__pycache__", "node_modules"} & set(path.parts)]


def built(folder, umask):
    """The bytes of the wheel and of the sdist of a copy in this folder, whose files are made with this umask."""
    previous = os.umask(umask)
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    os.umask(previous)
    (folder / "prpose/__pycache__").mkdir()
    (folder / "prpose/__pycache__/left.pyc").write_bytes(b"left")
    code = BUILD + "build_sdist('dist'); build_wheel('dist')"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([sys.executable, "-c", code, f"{umask:o}"], cwd=folder, env=environment, check=True)
    return {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}


@pytest.fixture(scope="module")
def built_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return folder, built(folder, 0o022)


def test_builds_in_different_folders_and_umasks_are_the_same_bytes(built_once, tmp_path):
    again = built(tmp_path, 0o077)
    assert set(again) == {f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"}
    assert again == built_once[1]


def test_the_sdist_builds_the_same_wheel(built_once, tmp_path):
    folder, files = built_once
    with tarfile.open(folder / f"dist/{NAME}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    words = [sys.executable, "-c", BUILD + "build_wheel('dist')", "22"]
    subprocess.run(words, cwd=tmp_path / NAME, env=environment, check=True)
    wheel = f"{NAME}-py3-none-any.whl"
    assert (tmp_path / NAME / "dist" / wheel).read_bytes() == files[wheel]


def test_the_wheel_has_the_package_and_nothing_else(built_once):
    with ZipFile(built_once[0] / f"dist/{NAME}-py3-none-any.whl") as wheel:
        sizes = {entry.filename: entry.file_size for entry in wheel.infolist()}
        metadata = Metadata.from_email(wheel.read(f"{NAME}.dist-info/METADATA"), validate=True)
        assert (
            wheel.read(f"{NAME}.dist-info/entry_points.txt").split()
            == b"[console_scripts] prpose = prpose.cli:main".split()
        )
    about = {name for name in sizes if name.startswith(f"{NAME}.dist-info/")}
    assert set(sizes) - about == {name for name in tracked() if name.startswith("prpose/")}
    assert {name.partition("/")[2] for name in about} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")
    }
    assert "prpose/py.typed" in sizes
    assert sum(sizes.values()) < 20e6
    assert max(sizes.values()) < 5e6
    assert (metadata.license_expression, metadata.license_files) == ("MIT", ["LICENSE", "NOTICE"])
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_sdist_has_the_repository(built_once):
    with tarfile.open(built_once[0] / f"dist/{NAME}.tar.gz") as archive:
        found = {member.name.removeprefix(f"{NAME}/") for member in archive.getmembers()}
    assert found - {"PKG-INFO"} == set(tracked())
