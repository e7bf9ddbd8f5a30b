"""cmu17 from CMU's files, where there are any; nothing of them is in this repository."""

from collections import Counter

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.data import load_clips, load_motions
from prpose.data.prepare_mocap import ACKNOWLEDGEMENT, cmu17_clips, from_cmu
from prpose.data.synthetic.benchmark_file import read_card
from prpose.data.windows import Windows
from prpose.evaluation import PROTOCOLS
from prpose.hub import find_model_folder
from tests.mocap_files import CMU, needs_cmu


def test_the_table_is_subject_disjoint():
    rows = cmu17_clips()
    assert len(rows) == len({row["clip"] for row in rows}) == 125
    assert Counter(row["split"] for row in rows) == {"train": 94, "val": 10, "test": 21}
    sides = {row["subject"]: row["split"] for row in rows}
    assert all(row["split"] == sides[row["subject"]] for row in rows)
    assert {s for s, side in sides.items() if side == "test"} == {"02", "06", "14", "131", "135"}
    assert {s for s, side in sides.items() if side == "val"} == {"07", "09", "32", "49"}
    assert not {"walking_1", "basketball_signal_3", "basketball_signal_4"} & {row["clip"] for row in rows}


@needs_cmu
def test_the_table_is_the_datas_own_split():
    import json

    split = json.loads((CMU / "split.json").read_text())
    for side in ("train", "val", "test"):
        expected = {path.split("/")[-1].rpartition(".")[0] for path in split[side]}
        assert {row["clip"] for row in cmu17_clips() if row["split"] == side} == expected


def test_a_folder_without_clips_is_refused(tmp_path, capsys):
    argv = ["data", "prepare", "cmu", "--from", str(tmp_path), "--root", str(tmp_path)]
    assert guarded(lambda: run(argv)) == 1
    error = capsys.readouterr().err.strip()
    assert "no clip of test or train or val found; expected files such as 02/02_01.amc" in error
    assert "\n" not in error
    with pytest.raises(ValueError, match="no such folder"):
        from_cmu(tmp_path / "none", tmp_path)


@needs_cmu
def test_a_few_clips_in_cmus_own_layout(tmp_path, capsys):
    """Train, val and test, one of them a BVH clip by its CMU trial's name."""
    for subject, files in [("03", ["03_02"]), ("07", ["07_05"]), ("02", ["02_03", "02_01"])]:
        folder = tmp_path / "subjects" / subject
        folder.mkdir(parents=True)
        (folder / f"{subject}.asf").symlink_to(CMU / f"asfamc/{subject}/{subject}.asf")
        for name in files:
            (folder / f"{name}.amc").symlink_to(CMU / f"asfamc/{subject}/{name}.amc")
    folder = tmp_path / "subjects" / "16"
    folder.mkdir()
    (folder / "running_2.bvh").symlink_to(CMU / "bvh/running_2.bvh")
    (tmp_path / "dataset").mkdir()
    argv = ["data", "prepare", "cmu", "--from", str(tmp_path / "subjects"), "--root"]
    assert guarded(lambda: run([*argv, str(tmp_path / "dataset")])) == 0
    out = capsys.readouterr().out
    assert ACKNOWLEDGEMENT in out
    assert "INCOMPLETE: 120 clips of the benchmark were not found" in out
    assert "03_02 56" in out  # dropped: it hangs, and jumps twice
    card = read_card(tmp_path / "dataset/data_cmu17.npz")
    assert len(card["missing_clips"]) == 120
    assert card["note"] == ACKNOWLEDGEMENT
    motions = {m.name: m for m in load_motions("cmu17", tmp_path / "dataset", "test")}
    assert set(motions) == {"02_03", "02_01"}
    walk = motions["02_01"].poses_world.astype(float)
    assert len(walk) == 172  # 343 frames at 120 fps
    # Against the data's own description, metres.
    for a, b, expected in [
        *((1, 2, 0.43), (2, 3, 0.41), (0, 7, 0.22), (7, 8, 0.23), (8, 9, 0.13)),
        *((9, 10, 0.14), (8, 11, 0.21), (11, 12, 0.28), (12, 13, 0.28)),
    ]:
        length = np.linalg.norm(walk[:, a] - walk[:, b], axis=-1).mean()
        assert length == pytest.approx(expected, abs=0.015)
    assert 0.0 < walk[:, [3, 6], 2].min() < 0.15  # ankles near the ground
    speed = np.linalg.norm(np.diff(walk[:, 0, :2], axis=0), axis=-1).mean() * 60
    assert 0.8 < speed < 2.0  # somebody walks
    clips_ = load_clips("cmu17", tmp_path / "dataset", "test")
    windows = Windows(clips_, every=PROTOCOLS["cmu17"].every)
    assert len(windows) == 4 * (29 + 15)


@needs_cmu
def test_two_files_of_one_clip_are_named(tmp_path):
    """A shorter copy somewhere else is refused; a conversion under a trial's name is not taken."""
    for file in ("asfamc/02/02.asf", "asfamc/02/02_03.amc", "asfamc/07/07.asf",
                 "asfamc/07/07_05.amc", "bvh/running_2.bvh"):  # fmt: skip
        path = tmp_path / "cmu" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((CMU / file).read_bytes())
    walk = tmp_path / "cmu/asfamc/02/02_03.amc"
    (walk.parent / "02_03.bvh").write_bytes((CMU / "bvh/running_1.bvh").read_bytes())
    (tmp_path / "cmu/02_03.AMC").write_bytes(walk.read_bytes())  # the same once more
    report = from_cmu(tmp_path / "cmu", tmp_path)
    assert report.frames["test"] == len(load_motions("cmu17", tmp_path, "test")[0])
    assert load_motions("cmu17", tmp_path, "test")[0].name == "02_03"
    (tmp_path / "cmu/02_03.AMC").write_bytes(walk.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"expected one 02_03\.amc, got .*amc and .*AMC, another"):
        from_cmu(tmp_path / "cmu", tmp_path, overwrite=True)


@pytest.mark.slow
@needs_cmu
def test_all_of_it_twice_gives_the_same_bytes(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        report = from_cmu(CMU, tmp_path / name)
        contents.append(report.path.read_bytes())
        assert not report.missing
        assert report.frames == {"train": 53_462, "val": 4851, "test": 13_524}
    assert contents[0] == contents[1]
    assert report.inputs_sha256 == find_model_folder("mgcn-cmu17").card.data_sha256
    test = load_clips("cmu17", tmp_path / "a", "test")
    assert len(Windows(test, every=6)) == 9052
    for clip in test:
        for channel, size in enumerate((clip.camera.width, clip.camera.height)):
            seen = clip.camera.project(clip.poses_cam.astype(float))[..., channel]
            assert 0 < seen.min() < seen.max() < size  # person in frame
