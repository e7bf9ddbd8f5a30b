"""Benchmarks from motion capture: walkers written as npz recordings, and cmu17 from CMU's files."""

import json
import tarfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from prpose.data import load_clips, load_motions, prepare_mocap
from prpose.data.mocap.mapping import SHIPPED, Source, from_folder, read_mapping
from prpose.data.motion import Cleaning
from prpose.data.prepare_mocap import ACKNOWLEDGEMENT, FPS, build, cmu17_clips, from_cmu
from prpose.data.synthetic import FixedCameras, Rig
from prpose.data.synthetic.benchmark_file import read_card
from prpose.data.synthetic.detector_noise import Body
from prpose.data.synthetic.walkers import walker
from prpose.data.windows import Windows
from prpose.skeleton import H36M_17
from tests.mocap_files import CMU, MAPPING, bvh_text, needs_cmu, write_amc, write_folder, write_recording

EVALUATION_SHA256 = "28852048e7d91434d63cd1f4f37fbdb17ebb70229ff3886cb846157c5e1d216f"
HEAD, ROW = "file,subject,action,split", "W02_run.npz,bob,sprint,val"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path)


def sources(folder, **kw):
    return from_folder(folder / "mocap", "npz", folder / "joints.toml", **kw)


def built(folder, found=None, name="mine", **kw):
    return build(name, sources(folder) if found is None else found, folder / "out", overwrite=True, **kw)


def test_file_names_give_subjects_actions_and_splits(folder):
    found = sources(folder, val=["W02"], test=["W03"])
    assert [(s.name, s.subject, s.action, s.split) for s in found] == [
        ("W01_sit", "W01", "sit", "train"),
        ("W01_walk", "W01", "walk", "train"),
        ("W02_run", "W02", "run", "val"),
        ("W03_reach", "W03", "reach", "test"),
    ]
    assert {s.split for s in sources(folder)} == {"test"}
    mocap = folder / "mocap"
    (mocap / "W02_run.npz").rename(mocap / "W02_ run .npz")
    (mocap / "ann").mkdir()
    (mocap / "W01_sit.npz").rename(mocap / "ann" / "SIT_01.NPZ")
    (mocap / "W03_reach.npz").rename(mocap / "_run.npz")
    found = {source.name: (source.subject, source.action) for source in sources(folder)}
    assert found == {
        "W01_walk": ("W01", "walk"),
        "W02_ run ": ("W02", "run"),
        "_run": ("_run", "run"),
        "ann_SIT_01": ("ann", "SIT_01"),
    }
    for wrong, message in [
        ({"test": ["W09"]}, "no subject W09"),
        ({"val": ["ann"], "test": ["ann"]}, "ann in val and"),
    ]:
        with pytest.raises(ValueError, match=rf"each subject in one split, got {message}.*'W01', 'W02', '_run', 'ann'"):
            sources(folder, **wrong)
    (mocap / "W01_walk.npz").rename(mocap / "W01_\udcff.npz")
    with pytest.raises(ValueError, match=r"a name that can be written as text, got 'W01_\\udcff'"):
        built(folder)


@pytest.mark.parametrize(("val", "test", "split"), [([], ["W02"], "val"), (["W01", "W02", "W03"], [], "train")])
def test_loading_an_empty_split_raises(folder, val, test, split):
    built(folder, sources(folder, val=val, test=test))
    for load in (load_clips, load_motions):
        with pytest.raises(ValueError, match=f"mine: expected recordings in its {split} split"):
            load("mine", folder / "out", split)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,subject\nW02_run.npz,bob\n", ": expected the columns file, subject, action, split"),
        (f"{HEAD},split\n{ROW},test\n", ": expected the columns file, subject, action, split, once each"),
        (f"{HEAD}\n", ": expected the columns .* at least one row"),
        (f"{HEAD}\nW02_run.npz,bob\n", ", line 2: expected a cell for each column"),
        (f"{HEAD}\n{ROW}\n,bob,sit,val\n", ", line 3: expected a cell for each column"),
        (f"{HEAD}\n{ROW},fast\n", ", line 2: expected a cell for each column"),
        (f"{HEAD}\n/,bob,sit,val\n", ", line 2: expected a file in the folder, got /"),
        (f"{HEAD}\nsit.npz,bob,sit,val\n", r", line 2: expected a file in the folder, got .*sit\.npz"),
        (b"\xff\xfe,subject\n", ": not a table"),
    ],
)
def test_broken_tables_raise_with_file_and_line(text, message, folder):
    (folder / "mocap/clips.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=rf"clips\.csv{message}"):
        sources(folder)


def test_table_describes_the_recordings(folder):
    table = folder / "mocap" / "clips.csv"
    table.write_text(f"\ufeff{HEAD}\n{ROW} \n", "utf-8")  # with a byte order mark, as Excel writes it
    (source,) = sources(folder)
    assert (source.name, source.subject, source.action, source.split) == ("W02_run", "bob", "sprint", "val")
    with pytest.raises(ValueError, match=r"clips\.csv defines the splits; leave out --val and --test"):
        sources(folder, test=["bob"])
    (folder / "mocap" / "x").mkdir()
    for rows, message in [
        (f"{ROW}\n./x/../W02_run.npz,bob ,run,val\n", "each file once, got one as W02_run and as x_"),
        ("W02_run.npz,bob,sprint,exam\n", "unknown split of W02_run 'exam'"),
        (f"{ROW}\nW01_sit.npz,bob,sit,test\n", "each subject in one split, got bob in val and test"),
    ]:
        table.write_text(f"{HEAD}\n{rows}")
        with pytest.raises(ValueError, match=message):
            built(folder)
    assert not list((folder / "out").iterdir())


def frozen(positions):
    positions[200:220] = positions[200]
    return positions


def test_artefacts_are_dropped_a_handstand_is_not_and_a_piece_named_like_a_file_raises(folder):
    write_recording(folder / "mocap/W03_reach.npz", "W03", "reach", change=frozen)
    write_recording(folder / "mocap/W02_run.npz", "W02", "run", change=lambda x: x * [1.0, -1.0, -1.0])
    report = built(folder, sources(folder, test=["W03"]))
    assert report.implausible == ["W02_run: head down on the whole"]
    assert report.clips["train"] == 3
    assert 20 <= report.dropped["W03_reach"] <= 32
    assert report.clips["test"] == 2
    (folder / "mocap/W01_walk.npz").rename(folder / "mocap/W03_reach#2.npz")
    with pytest.raises(ValueError, match="expected each clip once, got W03_reach#2 more than once"):
        built(folder)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_recording_of_two_splits_is_refused_whatever_its_name_and_skeleton(folder, mirrored):
    def other(positions):
        turned = positions[30:130, list(H36M_17.mirror)] if mirrored else positions[30:130][..., [2, 1, 0]]
        return 1.1 * turned * [-1, 1, 1] + [3.0, 0.0, 0.0]

    write_recording(folder / "mocap/W03_reach.npz", "W02", "run", change=other)
    with pytest.raises(ValueError, match=r"one split, got W02_run of train with the poses of W03_reach \(0\.\d deg\)"):
        built(folder, sources(folder, val=["W03"]))
    assert not list((folder / "out").iterdir())


LEGS, RATE = r"legs of 0\.3 to 1\.4 m, got .* metres_per_unit", "5 to 5000 frames per second, got"


@pytest.mark.parametrize(
    ("scale", "fps", "message"),
    [
        *((scale, 120.0, LEGS) for scale in ("1", "0.01", "0.0001", "1e-300", "1e8")),
        *(("0.001", fps, RATE) for fps in (0.12, 1.0, 1e5)),
        ("0.001", 1e300, r"a frame rate > 0, got 1e\+300"),
    ],
)
def test_wrong_unit_or_frame_rate_raises(scale, fps, message, folder):
    (folder / "joints.toml").write_text(MAPPING.replace("0.001", scale))
    write_recording(folder / "mocap/W01_sit.npz", "W01", "sit", fps=fps)
    with pytest.raises(ValueError, match=rf"W01_sit\.npz: expected {message}"):
        built(folder)


def test_wrong_mappings_raise_with_the_recording(folder):
    mirrored = MAPPING.replace('= ["left_', '= ["X').replace('= ["right_', '= ["left_')
    for mapping, message in [
        (mirrored.replace('= ["X', '= ["right_'), "the knees bend backwards"),
        (MAPPING.replace('"pelvis"', '"Hips"'), "no point Hips; the recording has pelvis"),
        (MAPPING.replace('up = "y"', 'up = "x"'), "clip W01_sit and 3 more: head down"),
    ]:
        (folder / "joints.toml").write_text(mapping)
        with pytest.raises(ValueError, match=message):
            built(folder)
    (folder / "mocap" / "a.bvh").write_text(bvh_text())
    (folder / "joints.toml").write_text(MAPPING)
    with pytest.raises(ValueError, match=r"a\.bvh: no point head, left_ankle.*Hips, Leg"):
        built(folder, from_folder(folder / "mocap", "bvh", folder / "joints.toml"))
    assert list((folder / "out").iterdir()) == []


def test_poses_survive_bytes_repeat_and_the_card_records_inputs(folder):
    found = sources(folder, val=["W02"], test=["W03"])
    report, other = built(folder, found), built(folder, found, name="other")
    assert report.clips == {"train": 2, "val": 1, "test": 1}
    assert report.frames == {"train": 480, "val": 240, "test": 240}
    assert not report.dropped
    first = report.path.read_bytes()
    assert built(folder, found[::-1]).inputs_sha256 == report.inputs_sha256
    assert report.path.read_bytes() == first  # whatever the order of the recordings
    assert report.inputs_sha256 != other.inputs_sha256  # the name seeds the cameras
    original = walker("W03", "reach").poses_world.astype(float)
    for clip in load_clips("mine", folder / "out", "test", "gt"):
        assert clip.fps == FPS
        world = clip.camera.camera_to_world(clip.poses_cam.astype(float))
        assert np.abs(world - world[:, :1] - (original - original[:, :1])).max() < 1e-4
    inputs = read_card(report.path)["inputs"]
    assert (inputs["studio"]["detector"]["jitter"], inputs["studio"]["cameras"]["frame"]) == (0.3, 0.95)
    assert set(inputs["clips"]) == {"W01_sit", "W01_walk", "W02_run", "W03_reach"}


def test_hash_covers_every_input(folder):
    def inputs(**kw):
        return built(folder, **kw).inputs_sha256

    before = inputs()
    assert inputs() == before
    (folder / "joints.toml").write_text(MAPPING.replace("0.001", "0.00101"))
    hashes = {before, inputs()}
    write_recording(folder / "mocap/W02_run.npz", "W02", "walk")
    hashes.add(inputs())
    for order in ("{ thorax = 0.9, neck = 0.1 }", "{ neck = 0.1, thorax = 0.9 }"):  # sums depend on it
        (folder / "joints.toml").write_text(MAPPING.replace('["thorax"]', order))
        hashes.add(inputs())
    for field in ("subject", "action", "split"):
        changed = [replace(s, **{field: "val" if field == "split" else "x"}) for s in sources(folder)]
        hashes.add(inputs(found=changed))
    assert len(hashes | {inputs(note="mine")}) == 9


def test_hash_covers_every_parameter(folder, monkeypatch):
    before = built(folder).inputs_sha256
    for where, value in [
        *(("Cleaning", Cleaning(jump_m_s=23.0)), ("FPS", 50.0), ("WHOLE_LIMBS", ()), ("AMC_FPS", 100.0)),
        *(("Rig", Rig(cameras=FixedCameras(frame=0.9))), ("Rig", Rig(body=Body(clearance_m=0.1)))),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(prepare_mocap, where, value if where.isupper() else lambda value=value: value)
            assert built(folder).inputs_sha256 != before, where


def test_hash_covers_the_skeleton_of_an_amc(tmp_path):
    mapping = read_mapping(SHIPPED / "cmu_asf.toml")
    source = Source(write_amc(tmp_path), "asf", mapping, "07_01", "07", "x", "test")
    clips = prepare_mocap._inputs("mine", [source], Rig(), Cleaning(), "")["clips"]
    assert set(clips["07_01"]["sha256"]) == {"07_01.amc", "07.asf"}


def test_cmu17_splits_are_subject_disjoint():
    rows = cmu17_clips()
    assert len(rows) == len({row["clip"] for row in rows}) == 334
    assert Counter(row["split"] for row in rows) == {"train": 303, "val": 10, "test": 21}
    for split, subjects in (("test", {"02", "06", "14", "131", "135"}), ("val", {"07", "09", "32", "49"})):
        assert {row["subject"] for row in rows if row["split"] == split} == subjects
        assert not subjects & {row["subject"] for row in rows if row["split"] != split}
    assert not {"walking_1", "basketball_signal_3", "basketball_signal_4"} & {row["clip"] for row in rows}


@needs_cmu
def test_cmu17_splits_are_those_of_the_data():
    split = json.loads((CMU / "split.json").read_text())
    for name in ("train", "val", "test"):
        expected = {path.split("/")[-1].rpartition(".")[0] for path in split[name]}
        found = {row["clip"] for row in cmu17_clips() if row["split"] == name}
        assert found >= expected if name == "train" else found == expected


def test_folder_without_cmu_clips_raises(tmp_path):
    with pytest.raises(ValueError, match="no clip of test or train or val found; expected files such as 02/02_01"):
        from_cmu([tmp_path], tmp_path)


def copy_cmu(folder, *files):
    for file in files:
        path = folder / "cmu" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((CMU / file).read_bytes())


FILES = ("asfamc/02/02.asf", "asfamc/02/02_03.amc", "asfamc/07/07.asf", "asfamc/07/07_05.amc", "bvh/running_2.bvh")


@needs_cmu
def test_some_clips_in_cmus_own_layout(tmp_path):
    """Train, val and test, one of them a BVH clip under the name of its CMU trial."""
    copy_cmu(tmp_path, *FILES, "asfamc/03/03.asf", "asfamc/03/03_02.amc", "asfamc/02/02_01.amc")
    report = from_cmu([tmp_path / "cmu"], tmp_path)
    card = read_card(report.path)
    assert len(card["missing_clips"]) == 329
    assert len(report.incomplete) == 31 - 3
    assert card["note"] == ACKNOWLEDGEMENT
    assert report.dropped["03_02"] == 56  # it freezes, and jumps twice
    motions = {m.name: m for m in load_motions("cmu17", tmp_path, "test")}
    assert set(motions) == {"02_03", "02_01"}
    walk = motions["02_01"].poses_world.astype(float)
    assert len(walk) == 172  # 343 frames at 120 fps
    for a, b, expected in [  # the data's own description, metres
        *((1, 2, 0.43), (2, 3, 0.41), (0, 7, 0.22), (7, 8, 0.23), (8, 9, 0.13)),
        *((9, 10, 0.14), (8, 11, 0.21), (11, 12, 0.28), (12, 13, 0.28)),
    ]:
        assert np.linalg.norm(walk[:, a] - walk[:, b], axis=-1).mean() == pytest.approx(expected, abs=0.015)
    assert 0.0 < walk[:, [3, 6], 2].min() < 0.15  # ankles near the ground
    speed = np.linalg.norm(np.diff(walk[:, 0, :2], axis=0), axis=-1).mean() * 60
    assert 0.8 < speed < 2.0  # of a walk


@needs_cmu
def test_differing_files_of_one_clip_raise(tmp_path):
    copy_cmu(tmp_path, *FILES)
    walk = tmp_path / "cmu/asfamc/02/02_03.amc"
    (walk.parent / "02_03.bvh").write_bytes((CMU / "bvh/running_1.bvh").read_bytes())  # a conversion: not used
    (tmp_path / "cmu/02_03.AMC").write_bytes(walk.read_bytes())  # the same once more
    report = from_cmu([tmp_path / "cmu"], tmp_path)
    (motion,) = load_motions("cmu17", tmp_path, "test")
    assert (motion.name, len(motion)) == ("02_03", report.frames["test"])
    (tmp_path / "cmu/02_03.AMC").write_bytes(walk.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"expected one 02_03\.amc, got .*amc and .*AMC, which differ"):
        from_cmu([tmp_path / "cmu"], tmp_path, overwrite=True)


@pytest.mark.slow
@needs_cmu
def test_cmu17_has_the_published_inputs_and_size(tmp_path):
    more = tmp_path / "more"
    for name in ("cmu_more", "cmu_bvh"):
        with tarfile.open(CMU.parent / "cmu_more" / f"{name}.tar.xz") as archive:
            archive.extractall(more, filter="data")
    report = from_cmu([CMU], tmp_path)
    assert len(report.missing) == 209
    assert not report.incomplete
    assert report.frames == {"train": 53_462, "val": 4851, "test": 13_524}
    assert report.inputs_sha256 == "407b99fd28db49f8dcadd750142325beb17cd2bf1b4197e1bd52b2929969978c"
    assert report.evaluation_sha256 == EVALUATION_SHA256
    whole = from_cmu([CMU, more], tmp_path / "whole")
    assert not whole.missing
    assert whole.frames == {"train": 193_679, "val": 4851, "test": 13_524}
    assert whole.evaluation_sha256 == EVALUATION_SHA256, "the benchmark is the same, however much there is to train on"
    test = load_clips("cmu17", tmp_path, "test")
    assert len(Windows(test, every=6)) == 9052
    for clip in test:
        pixels = clip.camera.project(clip.poses_cam.astype(float))
        assert ((pixels > 0) & (pixels < [clip.camera.width, clip.camera.height])).all()  # person in frame
