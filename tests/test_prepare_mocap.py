"""Benchmarks from motion capture: walkers written as npz recordings, and prepared like anyone's."""

import json
from dataclasses import replace

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.data import load_clips, load_motions, prepare_mocap
from prpose.data.mocap.mapping import Source, from_folder
from prpose.data.motion import Cleaning
from prpose.data.prepare_mocap import FPS, build
from prpose.data.synthetic.benchmark_file import path_of, read_card
from prpose.data.synthetic import FixedCameras
from prpose.data.synthetic.detector_noise import Body
from prpose.data.synthetic import Rig
from prpose.data.synthetic.walkers import walker
from prpose.skeleton import H36M_17
from prpose.training.sources import training_data
from tests.mocap_files import bvh_text, write_amc
from tests.test_cli import MGCN

MAPPING = 'metres_per_unit = 0.001\nup = "y"\n[joints]\n' + "\n".join(f'{name} = ["{name}"]' for name in H36M_17.names)


def write_recording(path, subject, action, fps=120.0):
    """A walker as millimetres, y up, like some marker-less systems give."""
    poses = walker(subject, action).poses_world.astype(float)
    slow = np.repeat(poses, 2, axis=0)
    slow[1:-1:2] = (poses[:-1] + poses[1:]) / 2  # 120 fps
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, positions=slow[..., [1, 2, 0]] * 1000, names=np.array(H36M_17.names), fps=fps)


@pytest.fixture
def folder(tmp_path):
    for subject, action in [("W01", "walk"), ("W01", "sit"), ("W02", "run"), ("W03", "reach")]:
        write_recording(tmp_path / "mocap" / f"{subject}_{action}.npz", subject, action)
    (tmp_path / "joints.toml").write_text(MAPPING)
    (tmp_path / "out").mkdir()
    return tmp_path


def sources(folder, **kw):
    return from_folder(folder / "mocap", "npz", folder / "joints.toml", **kw)


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


def test_subjects_actions_and_splits_come_from_names(folder):
    found = sources(folder, val=["W02"], test=["W03"])
    assert [(s.name, s.subject, s.action, s.split) for s in found] == [
        ("W01_sit", "W01", "sit", "train"),
        ("W01_walk", "W01", "walk", "train"),
        ("W02_run", "W02", "run", "val"),
        ("W03_reach", "W03", "reach", "test"),
    ]
    assert {s.split for s in sources(folder)} == {"test"}
    (folder / "mocap" / "W02_run.npz").rename(folder / "mocap" / "W02_ run .npz")
    assert [s.action for s in sources(folder) if s.subject == "W02"] == ["run"]
    (folder / "mocap" / "ann").mkdir()
    (folder / "mocap" / "W01_sit.npz").rename(folder / "mocap" / "ann" / "sit_01.npz")
    assert sources(folder)[-1].subject == "ann"
    assert sources(folder)[-1].name == "ann_sit_01"
    with pytest.raises(ValueError, match="no subject W09; there are W01, W02, W03, ann"):
        sources(folder, test=["W09"])


@pytest.mark.parametrize(("val", "test", "split"), [([], ["W02"], "val"), (["W01", "W02", "W03"], [], "train")])
def test_a_split_of_nobody_is_refused_by_name(folder, val, test, split):
    build("mine", sources(folder, val=val, test=test), folder / "out")
    for refused in (load_clips, load_motions):
        with pytest.raises(ValueError, match=f"mine: expected recordings in its {split} split"):
            refused("mine", folder / "out", split)
    with pytest.raises(ValueError, match=f"mine: expected recordings in its {split} split"):
        training_data("mine", folder / "out", "det")
    run(["data", "inspect", "mine", "--root", str(folder / "out")])  # counts it as nobody


def test_a_table_says_it_better(folder):
    table = folder / "mocap" / "clips.csv"
    table.write_text("file,subject,action,split\nW02_run.npz,bob,sprint,val\n")
    (source,) = sources(folder)
    assert (source.name, source.subject, source.action, source.split) == (
        "W02_run", "bob", "sprint", "val",
    )  # fmt: skip
    head, row = "file,subject,action,split", "W02_run.npz,bob,sprint,val"
    for text, message in [
        ("file,subject\nW02_run.npz,bob\n", ": expected the columns file, subject, action, split"),
        (
            f"{head},split\n{row},test\n",
            ": expected the columns file, subject, action, split, once",
        ),
        (f"{head}\nW02_run.npz,bob\n", ", line 2: expected a cell for each column, got no action"),
        (
            f"{head}\n{row}\n,bob,sit,val\n",
            ", line 3: expected a cell for each column, got no file",
        ),
        (f"{head}\n{row},fast\n", ", line 2: .* got more cells than columns"),
        (f"{head}\n.,bob,sit,val\n", ", line 2: no such file"),
        (f"{head}\n/,bob,sit,val\n", ", line 2: expected a file in the folder, got /"),
        (f"{head}\nsit.npz,bob,sit,val\n", ", line 2: no such file: .*sit.npz"),
        (f"{head}\n", ": expected at least one row"),
        ("", ": expected the columns"),
    ]:
        table.write_text(text)
        with pytest.raises(ValueError, match=rf"clips\.csv{message}"):
            sources(folder)
    table.write_text(f"{head}\n{row}\n")
    with pytest.raises(ValueError, match=r"clips\.csv says the splits; leave out --val and --test"):
        sources(folder, test=["bob"])
    table.write_text(f"{head}\n{row}\n./x/../W02_run.npz,bob ,run,val\n")
    (folder / "mocap" / "x").mkdir()
    with pytest.raises(ValueError, match="each file once, got one as W02_run and as x_"):
        build("mine", sources(folder), folder / "out")
    assert {source.subject for source in sources(folder)} == {"bob"}  # without the blank
    table.write_bytes(b"\xff\xfe,subject\n")
    with pytest.raises(ValueError, match=r"clips\.csv: not a table"):
        sources(folder)
    table.write_text("file,subject,action,split\nW02_run.npz,bob,sprint,exam\n")
    with pytest.raises(ValueError, match="unknown split of W02_run 'exam'"):
        build("mine", sources(folder), folder / "out")
    table.write_text("\ufefffile,subject,action,split\nW02_run.npz,bob,sprint,val\n", "utf-8")
    assert sources(folder)[0].subject == "bob"  # as Excel writes it


def test_a_subject_is_in_one_split(folder):
    with pytest.raises(ValueError, match="each subject in one split, got W01 in val and test"):
        sources(folder, val=["W01", "W02"], test=["W01"])
    table = "file,subject,action,split\nW02_run.npz,bob,run,val\nW01_sit.npz,bob,sit,test\n"
    (folder / "mocap" / "clips.csv").write_text(table)
    with pytest.raises(ValueError, match="each subject in one split, got bob in val and test"):
        build("mine", sources(folder), folder / "out")
    assert not list((folder / "out").iterdir())


def test_the_order_of_the_recordings_does_not_matter(folder):
    found = sources(folder)
    reports = [build(n, s, folder / "out") for n, s in (("mine", found), ("other", found[::-1]))]
    build("mine", found[::-1], folder / "out", overwrite=True)
    backwards = path_of(folder / "out", "mine").read_bytes()
    again = build("mine", found, folder / "out", overwrite=True)
    assert path_of(folder / "out", "mine").read_bytes() == backwards
    assert again.inputs_sha256 == reports[0].inputs_sha256


def test_a_handstand_is_kept_and_mentioned(folder, capsys):
    path = folder / "mocap" / "W03_reach.npz"
    with np.load(path) as file:
        content = dict(file)
    content["positions"] = content["positions"] * [1.0, -1.0, -1.0]
    np.savez(path, **content)
    report = build("mine", sources(folder), folder / "out")
    assert report.implausible == ["W03_reach: head down on the whole"]
    assert report.clips["test"] == 4
    argv = ["data", "prepare", "mocap", folder / "mocap", "--format", "npz", "--joints",
            folder / "joints.toml", "--name", "mine", "--root", folder / "out"]  # fmt: skip
    assert prpose(*argv, "--overwrite") == 0
    assert "doubtful, and kept: W03_reach: head down on the whole" in capsys.readouterr().out
    apart = [source for read in (sources(folder), sources(folder)) for source in read]
    assert build("mine", apart[:2] + apart[6:], folder / "out", overwrite=True).implausible


def test_names_of_files(folder):
    mocap = folder / "mocap"
    (mocap / "W01_sit.npz").rename(mocap / "W01_SIT.NPZ")
    (mocap / "W02_run.npz").rename(mocap / "_run.npz")
    found = {source.name: source.subject for source in sources(folder)}
    assert found == {"W01_SIT": "W01", "W01_walk": "W01", "W03_reach": "W03", "_run": "_run"}
    (mocap / "W01_walk.npz").rename(mocap / "W01_\udcff.npz")
    with pytest.raises(ValueError, match=r"a name that can be written as text, got 'W01_\\udcff'"):
        build("mine", sources(folder), folder / "out")


def test_pieces_and_files_may_not_have_one_name(folder):
    path = folder / "mocap" / "W03_reach.npz"
    with np.load(path) as file:
        content = dict(file)
    content["positions"] = content["positions"].copy()
    content["positions"][200:220] = content["positions"][200]  # two pieces
    np.savez(path, **content)
    (folder / "mocap" / "W01_walk.npz").rename(folder / "mocap" / "W03_reach#2.npz")
    with pytest.raises(ValueError, match="expected each clip once, got W03_reach#2 more than once"):
        build("mine", sources(folder), folder / "out")


@pytest.mark.parametrize("scale", ["1", "0.01", "0.0001", "1e-300", "1e8"])
def test_another_unit_is_found_out(scale, folder):
    (folder / "joints.toml").write_text(MAPPING.replace("0.001", scale))
    message = r"W01_sit\.npz: expected legs of 0\.3 to 1\.4 m, got .* is metres_per_unit what"
    with pytest.raises(ValueError, match=message):
        build("mine", sources(folder), folder / "out")


@pytest.mark.parametrize("fps", [0.12, 1.0, 1e300])
def test_rates_at_which_nothing_is_captured(fps, folder):
    write_recording(folder / "mocap" / "W01_sit.npz", "W01", "sit", fps=fps)
    with pytest.raises(ValueError, match=r"W01_sit\.npz: expected 5 to 5000 frames per second, got"):
        build("mine", sources(folder), folder / "out")


def test_poses_survive_the_way_and_bytes_repeat(folder):
    found = sources(folder, val=["W02"], test=["W03"])
    reports = [build(name, found, folder / "out") for name in ("mine", "other")]
    assert reports[0].clips == {"train": 2, "val": 1, "test": 1}
    assert reports[0].frames == {"train": 480, "val": 240, "test": 240}
    assert not reports[0].dropped
    first = path_of(folder / "out", "mine").read_bytes()
    build("mine", found, folder / "out", overwrite=True)
    assert path_of(folder / "out", "mine").read_bytes() == first
    assert reports[0].inputs_sha256 != reports[1].inputs_sha256  # the name seeds the cameras
    clips = load_clips("mine", folder / "out", "test", "gt")
    original = walker("W03", "reach").poses_world.astype(float)
    for clip in clips:
        assert clip.fps == FPS
        world = clip.camera.camera_to_world(clip.poses_cam.astype(float))
        moved = world - world[:, :1]
        assert np.abs(moved - (original - original[:, :1])).max() < 1e-4


def test_the_hash_covers_every_input(folder):
    def inputs():
        found = sources(folder)
        return build("mine", found, folder / "out", overwrite=True).inputs_sha256

    before = inputs()
    assert inputs() == before
    (folder / "joints.toml").write_text(MAPPING.replace("0.001", "0.00101"))
    other_mapping = inputs()
    write_recording(folder / "mocap" / "W02_run.npz", "W02", "walk")
    other_file = inputs()
    seen = {before, other_mapping, other_file}
    (folder / "joints.toml").write_text(MAPPING)
    weights = ("{ thorax = 0.9, neck = 0.1 }", "{ neck = 0.1, thorax = 0.9 }")
    for order in weights:  # floating-point sums depend on it
        (folder / "joints.toml").write_text(MAPPING.replace('["thorax"]', order))
        seen.add(inputs())
    for field in ("subject", "action", "split"):
        found = [replace(s, **{field: "val" if field == "split" else "x"}) for s in sources(folder)]
        seen.add(build("mine", found, folder / "out", overwrite=True).inputs_sha256)
    note = build("mine", sources(folder), folder / "out", overwrite=True, note="mine")
    assert len(seen | {note.inputs_sha256}) == 9


@pytest.mark.parametrize(
    ("where", "value"),
    [("Cleaning", Cleaning(jump_m_s=23.0)), ("FPS", 50.0), ("LIMBS", ()), ("AMC_FPS", 100.0),
     ("Rig", Rig(cameras=FixedCameras(frame=0.9))),
     ("Rig", Rig(body=Body(clearance_m=0.1)))],
)  # fmt: skip
def test_the_hash_covers_every_parameter(where, value, folder, monkeypatch):
    before = build("mine", sources(folder), folder / "out").inputs_sha256
    changed = value if where.isupper() else lambda: value
    monkeypatch.setattr(prepare_mocap, where, changed)
    after = build("mine", sources(folder), folder / "out", overwrite=True).inputs_sha256
    assert after != before


def test_the_hash_covers_the_skeleton_of_an_amc(tmp_path):
    source = Source(write_amc(tmp_path), "asf", None, "07_01", "07", "x", "test")
    assert [path.name for path in prepare_mocap._files(source)] == ["07_01.amc", "07.asf"]


def test_the_card_says_what_went_in(folder):
    build("mine", sources(folder), folder / "out")
    card = read_card(path_of(folder / "out", "mine"))
    assert card["inputs"]["studio"]["detector"]["jitter"] == 0.3
    assert card["inputs"]["studio"]["cameras"]["frame"] == 0.95
    assert set(card["inputs"]["clips"]) == {"W01_sit", "W01_walk", "W02_run", "W03_reach"}
    assert json.dumps(card)


def test_names_are_text_whatever_is_in_them(folder, capsys):
    rows = "W02_run.npz,[/b],[red]run,test\nW03_reach.npz,:smile:,[/],val\n"
    table = "file,subject,action,split\n" + rows
    (folder / "mocap" / "clips.csv").write_text(table)
    build("mine", sources(folder), folder / "out")
    assert prpose("data", "inspect", "mine", "--root", folder / "out") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("[/b]", "[red]run", ":smile:", "[/]"))
    assert prpose("evaluate", "mine", "--root", folder / "out", "--model", "mgcn-cmu17",
                  "-n", "2", "--stride", "20") == 0  # fmt: skip
    assert "[red]run" in capsys.readouterr().out


def test_an_error_is_one_line_whatever_the_path(folder, capsys):
    assert prpose("data", "inspect", "mine", "--root", folder / "no\nsuch") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_artefacts_are_dropped_and_counted(folder):
    path = folder / "mocap" / "W03_reach.npz"
    with np.load(path) as file:
        content = dict(file)
    content["positions"] = content["positions"].astype(float).copy()
    content["positions"][200:220] = content["positions"][200]
    np.savez(path, **content)
    report = build("mine", sources(folder, test=["W03"]), folder / "out")
    assert 20 <= report.dropped["W03_reach"] <= 32
    assert report.clips["test"] == 2


def test_the_commands_make_inspect_and_evaluate_it(folder, release, capsys):
    argv = ["data", "prepare", "mocap", folder / "mocap", "--format", "npz", "--joints",
            folder / "joints.toml", "--name", "mine", "--root", folder / "out2"]  # fmt: skip
    assert prpose(*argv) == 0  # in a folder that it makes
    assert "test     4 clips     960 frames" in capsys.readouterr().out
    assert prpose(*argv) == 1
    assert "exists already" in capsys.readouterr().err
    picture = folder / "picture.png"
    argv = ["data", "inspect", "mine", "--root", folder / "out2", "--picture", picture]
    assert prpose(*argv) == 0
    out = capsys.readouterr().out
    assert "mine test: 16 clips, 3,840 frames" in out
    assert "reach" in out
    assert "error of the 2D" in out
    assert prpose("data", "inspect", "mine", "--root", folder / "out2", "--keypoints", "gt") == 0
    out = capsys.readouterr().out
    assert "mine test: 16 clips" in out
    assert "error of the 2D" not in out  # the truth has none
    assert picture.read_bytes().startswith(b"\x89PNG")
    argv = ["evaluate", "mine", "--root", folder / "out2", *MGCN, "-n", "2", "--stride", "8"]
    assert prpose(*argv) == 0
    out = capsys.readouterr().out
    for word in ("reach", "sit", "all frames", "AUC14"):
        assert word in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--format", "bvh"], "no .bvh files in it"),
        (["--joints", "none.toml"], "none.toml: no such file"),
        (["--name", "cmu17"], "expected a --name of letters and digits that is free"),
        (["--name", "../x"], "expected a --name of letters and digits that is free"),
        (["--test", "nobody"], "no subject nobody; there are W01, W02, W03"),
    ],
)
def test_mistakes_are_one_line(change, message, folder, capsys):
    argv = ["data", "prepare", "mocap", folder / "mocap", "--format", "npz", "--joints",
            folder / "joints.toml", "--root", folder / "out", *change]  # fmt: skip
    assert prpose(*argv) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert list((folder / "out").iterdir()) == []


def test_mappings_that_do_not_fit_are_named_with_the_recording(folder, capsys):
    mirrored = MAPPING.replace('= ["left_', '= ["X').replace('= ["right_', '= ["left_')
    for mapping, message in [
        (mirrored.replace('= ["X', '= ["right_'), "the knees bend backwards"),
        (MAPPING.replace('"pelvis"', '"Hips"'), "no point Hips; the recording has pelvis"),
        (MAPPING.replace('up = "y"', 'up = "x"'), "clip W01_sit and 3 more: head down"),
    ]:
        (folder / "joints.toml").write_text(mapping)
        with pytest.raises(ValueError, match=message):
            build("mine", sources(folder), folder / "out")
    (folder / "mocap" / "a.bvh").write_text(bvh_text())
    (folder / "joints.toml").write_text(MAPPING)
    found = from_folder(folder / "mocap", "bvh", folder / "joints.toml")
    with pytest.raises(ValueError, match=r"a\.bvh: no point head, left_ankle.*Hips, Leg"):
        build("mine", found, folder / "out")
    assert list((folder / "out").iterdir()) == []
