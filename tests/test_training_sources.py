import pytest

from prpose.data import inputs_sha256
from prpose.data.synthetic.random_views import RandomViews
from prpose.data.windows import Windows
from prpose.training.sources import training_data
from tests.golden_numbers import GOLDEN

H36M = ("h36m", GOLDEN / "data", "cpn_ft_h36m_dbb")


def subjects(windows):
    return {clip.subject for clip in windows.clips}


def test_motion_capture_is_filmed_anew_and_has_a_split_for_validation(tmp_path):
    views, val = training_data("walkers", tmp_path, "det", every=10, val_every=6)
    assert isinstance(views, RandomViews)
    assert subjects(val) == {"W13", "W14"}
    with pytest.raises(ValueError, match="expected no subjects held out: walkers has a split"):
        training_data("walkers", tmp_path, "det", held_out=["W13"])


def test_recordings_hold_training_subjects_out():
    train, val = training_data(*H36M, every=2, val_every=3)
    assert isinstance(train, Windows)
    assert (subjects(train), subjects(val)) == ({"S1", "S5", "S6", "S7"}, {"S8"})
    assert train.is_mirrored.double().mean() == 0.5
    assert not val.is_mirrored.any()
    assert len(val) == 4 * sum(-(-frames // 3) for frames in (20, 26, 30))
    train, val = training_data(*H36M, held_out=["S1", "S6"])
    assert (subjects(train), subjects(val)) == ({"S5", "S7", "S8"}, {"S1", "S6"})


@pytest.mark.parametrize("held_out", [["S9"], ["S1", "S5", "S6", "S7", "S8"]])
def test_test_subjects_and_all_subjects_cannot_be_held_out(held_out):
    with pytest.raises(ValueError, match=r"expected some of S1, S5, S6, S7, S8 to be held out"):
        training_data(*H36M, held_out=held_out)


def test_the_hash_of_recordings_is_of_both_files(tmp_path):
    for name in ("data_3d_h36m.npz", "data_2d_h36m_cpn_ft_h36m_dbb.npz"):
        (tmp_path / name).write_bytes(b"one")
    first = inputs_sha256("h36m", tmp_path, "cpn_ft_h36m_dbb")
    (tmp_path / "data_3d_h36m.npz").write_bytes(b"two")
    assert inputs_sha256("h36m", tmp_path, "cpn_ft_h36m_dbb") != first
    with pytest.raises(ValueError, match=r"data_2d_h36m_gt\.npz: no such file"):
        inputs_sha256("h36m", tmp_path, "gt")
