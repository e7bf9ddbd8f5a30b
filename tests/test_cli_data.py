"""prpose data prepare, as typed."""

import numpy as np

from prpose.cli import guarded, run
from prpose.data import load_clips
from tests import test_prepare_human36m as human36m
from tests import test_prepare_mpi_inf_3dhp as mpi_inf_3dhp


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


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


def test_mistakes_are_one_line(tmp_path, capsys):
    for command in (
        ["h36m", "--from-cdf", tmp_path / "none"],
        ["3dhp", "--from-original", tmp_path / "none"],
        ["h36m", "--from-cdf", tmp_path],
    ):
        assert prpose("data", "prepare", *command, "--root", tmp_path) == 1
        error = capsys.readouterr().err.strip()
        assert error.startswith("error: ")
        assert "\n" not in error
    assert not list(tmp_path.iterdir())
