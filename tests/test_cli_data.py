"""``prpose data`` on the command line."""

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.data import load_clips
from tests import test_prepare_human36m as human36m
from tests import test_prepare_mpi_inf_3dhp as mpi_inf_3dhp
from tests.mocap_files import write_folder, write_recording
from tests.test_cli import MGCN


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def prepare_mocap(folder, root="out"):
    return ["data", "prepare", "mocap", folder / "mocap", "--format", "npz", "--joints", folder / "joints.toml",
            "--name", "mine", "--root", folder / root]  # fmt: skip


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.mark.usefixtures("any_points")
def test_3dhp_from_originals(tmp_path, capsys):
    source, root = tmp_path / "original", tmp_path / "dataset"
    root.mkdir()
    mpi_inf_3dhp.write_original(source)
    command = ["data", "prepare", "3dhp", "--from-original", source, "--root", root]
    assert prpose(*command) == 0
    assert "subjects" in capsys.readouterr().out
    assert len(load_clips("3dhp", root, "test", keypoints="gt")) == 6
    assert prpose(*command) == 1
    assert "exists already" in capsys.readouterr().err
    assert prpose(*command, "--overwrite", "--annotation", "annot3") == 0


@pytest.mark.usefixtures("any_points")
def test_h36m_from_cdf(tmp_path, capsys):
    source, root = tmp_path / "original", tmp_path / "dataset"
    root.mkdir()
    for subject in human36m.SUBJECTS:
        folder = source / subject / "MyPoseFeatures/D3_Positions"
        folder.mkdir(parents=True)
        for stem in ("Walking 1", "TakingPhoto"):
            human36m.write_cdf(folder / f"{stem}.cdf", human36m.world_mm(subject, stem))
    command = ["data", "prepare", "h36m", "--from-cdf", source, "--root", root]
    assert prpose(*command) == 0
    published = load_clips("h36m", root, "test", keypoints="gt")
    assert {clip.action for clip in published} == {"Walking 1", "Photo"}
    assert prpose(*command, "--projection", "opencv", "--overwrite") == 0
    right = load_clips("h36m", root, "test", keypoints="gt")
    difference = [np.abs(a.keypoints_px - b.keypoints_px).max() for a, b in zip(published, right, strict=True)]
    assert 0 < max(difference) < 5


@pytest.mark.parametrize("words", ["h36m --from-cdf none", "3dhp --from-original none", "h36m --from-cdf ."])
def test_errors_of_originals_are_one_line(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert prpose("data", "prepare", *words.split(), "--root", tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_mocap_is_prepared_inspected_and_evaluated(folder, release, capsys):
    assert prpose(*prepare_mocap(folder, "new")) == 0  # in a folder that it makes
    assert "test     4 clips     960 frames" in capsys.readouterr().out
    assert prpose(*prepare_mocap(folder, "new")) == 1
    assert "exists already" in capsys.readouterr().err
    picture = folder / "picture.png"
    inspect = ["data", "inspect", "mine", "--root", folder / "new"]
    assert prpose(*inspect, "--picture", picture) == 0
    out = capsys.readouterr().out
    for words in ("mine train: 0 clips", "mine test: 16 clips, 3,840 frames", "reach", "error of the 2D"):
        assert words in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert prpose(*inspect, "--keypoints", "gt") == 0
    out = capsys.readouterr().out
    assert "mine test: 16 clips" in out
    assert "error of the 2D" not in out  # the ground truth has none
    assert prpose("evaluate", "mine", "--root", folder / "new", *MGCN, "-n", "2", "--stride", "8") == 0
    out = capsys.readouterr().out
    for word in ("reach", "sit", "all frames", "AUC14"):
        assert word in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--format", "bvh"], "no .bvh files in it"),
        (["--joints", "none.toml"], "none.toml: no such file"),
        (["--name", "cmu17"], "expected a --name of letters and digits"),
        (["--name", "../x"], "expected a --name of letters and digits"),
        (["--test", "nobody"], "no subject nobody; there are"),
    ],
)
def test_errors_of_mocap_are_one_line(change, message, folder, capsys):
    assert prpose(*prepare_mocap(folder), *change) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert list((folder / "out").iterdir()) == []
    assert prpose("data", "inspect", "mine", "--root", folder / "no\nsuch") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_implausible_clips_are_reported(folder, capsys):
    write_recording(folder / "mocap/W03_reach.npz", "W03", "reach", change=lambda x: x * [1.0, -1.0, -1.0])
    assert prpose(*prepare_mocap(folder)) == 0
    assert "W03_reach: head down on the whole" in capsys.readouterr().out


def test_names_are_printed_literally(folder, capsys):
    rows = "W02_run.npz,[/b],[red]run,test\nW03_reach.npz,:smile:,[/],val\n"
    (folder / "mocap" / "clips.csv").write_text("file,subject,action,split\n" + rows)
    assert prpose(*prepare_mocap(folder)) == 0
    capsys.readouterr()
    assert prpose("data", "inspect", "mine", "--root", folder / "out") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("[/b]", "[red]run", ":smile:", "[/]"))
    argv = ["evaluate", "mine", "--root", folder / "out", "--model", "mgcn-cmu17", "-n", "2", "--stride", "20"]
    assert prpose(*argv) == 0
    assert "[red]run" in capsys.readouterr().out
