"""Files of poses: what is written is read, nothing is half written, mistakes are one line."""

import csv
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import prpose.io.export
from prpose.camera import Camera
from prpose.io.export import FORMATS, format_of, read_prediction, write_prediction
from prpose.io.export.schema import ARRAYS, FEW, header, short
from prpose.prediction import FLAGS
from prpose.regions import CHI_SQUARE, confidence_regions
from prpose.skeleton import H36M_17
from tests.pose_files import made

SCHEMA = json.loads((Path(prpose.io.export.__file__).parent / "poses.schema.json").read_text(encoding="utf-8"))
OTHERS = ("S", "aggregated_by", "fps", "camera", "model", "command", "made_by", "seed")
NOTHING = dict.fromkeys(("times_s", "fps", "root_cam", "root_covariance", "keypoints_px", "camera", "seed"))


def assert_same(found, expected):
    for name in ARRAYS:
        one, other = getattr(found, name), getattr(expected, name)
        if other is None:
            assert one is None, name
        else:
            assert one.dtype == other.dtype, name
            assert np.array_equal(one, other), name
    for name in OTHERS:
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("format", ["npz", "json"])
@pytest.mark.parametrize("changes", [{}, NOTHING, {"camera": Camera(640, 480)}])
@pytest.mark.parametrize("kept", ["all", "none", 2])
def test_what_is_written_is_read(format, changes, kept, tmp_path):
    poses = made(**changes)
    write_prediction(poses, tmp_path / f"a.{format}", save_samples=kept)
    assert_same(read_prediction(tmp_path / f"a.{format}"), poses.keeping(kept))


@pytest.mark.parametrize("changes", [{}, NOTHING, {"T": 1, "S": 2}])
def test_json_is_as_its_schema_says(changes, tmp_path):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    write_prediction(made(**changes), tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text(encoding="ascii"))
    validator.validate(found)
    for damage in ({"version": 2}, {"flags": [[7] * 17]}, {"aggregate": []}, {"more": 1}):
        assert not validator.is_valid(found | damage)
    for name in ("aggregate", "S", "region", "axes"):
        assert not validator.is_valid({k: v for k, v in found.items() if k != name})


def test_the_info_of_an_npz_is_the_header_of_the_json(tmp_path):
    poses = made()
    for format in ("npz", "json"):
        write_prediction(poses, tmp_path / f"a.{format}")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        arrays = dict(file)
    info = json.loads(str(arrays["info"]))
    jsonschema.validate(info, {"$ref": "#/$defs/header", "$defs": SCHEMA["$defs"]})
    found = json.loads((tmp_path / "a.json").read_bytes())
    assert info == {name: found[name] for name in info}
    assert tuple(arrays["joints"]) == H36M_17.names
    assert tuple(arrays["parents"]) == H36M_17.parents
    assert arrays["fps"] == 30
    for name in set(found) - set(info):
        values = np.asarray(found[name])
        assert np.array_equal(values.astype(arrays[name].dtype), arrays[name]), name
    assert "y down" in info["axes"]
    assert "Over-confident" in info["region"]["note"]


def test_regions_are_calibrated_where_the_model_is(tmp_path):
    said = {name: 100.0 + j for j, name in enumerate(H36M_17.names[1:])}
    for model, factor in (({}, 1.0), ({"limits_95": said}, 102 / CHI_SQUARE)):
        poses = replace(made(), model=model)
        for S, unsure in ((FEW, False), (FEW - 1, True)):
            note = header(replace(poses, S=S))["region"]["note"]
            assert (f"Of {S} hypotheses the covariance is itself unsure" in note) == unsure
        write_prediction(poses, tmp_path / "a.json", overwrite=True)
        found = json.loads((tmp_path / "a.json").read_bytes())
        jsonschema.validate(found, SCHEMA)
        assert found["region"]["calibrated"] == bool(model)
        assert found["region"]["limits"][3] == pytest.approx(CHI_SQUARE * factor)
        longest = np.array(found["region_semi_axes_m"])[:, 3, 0]
        expected, _ = confidence_regions(poses.covariance[:, 3])
        assert np.allclose(longest, expected[:, 0] * factor**0.5, rtol=1e-5)
        assert read_prediction(tmp_path / "a.json").model == model


def test_short_floats_are_the_same_floats():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=1000), 10.0 ** rng.uniform(-30, 5, 1000), [0, -0.5]])
    values = values.astype(np.float32)
    assert np.array_equal(short(values).astype(np.float32), values)
    digits = [len(f"{abs(value)}".lstrip("0.")) for value in short(values[:1000]).tolist()]
    assert max(digits) <= 10  # nine and a point, of 17 that a double has


def test_csv_has_a_row_for_each_frame_and_joint(tmp_path):
    poses = made()
    write_prediction(poses, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    assert [row["joint"] for row in rows] == list(H36M_17.names) * 4
    assert [int(row["frame"]) for row in rows] == sorted([0, 1, 2, 3] * 17)
    assert [row["flag"] for row in rows] == [FLAGS[flag] for flag in poses.flags.ravel()]

    def column(*names):
        return np.array([[float(row[name]) for name in names] for row in rows]).reshape(4, 17, -1)

    assert np.abs(column("time_s")[:, 3, 0] - poses.times_s).max() < 1e-6
    places = column("x_right_m", "y_down_m", "z_forward_m")
    assert np.abs(places - poses.pose).max() < 1e-6
    sd = poses.samples.std(axis=0, ddof=1)
    assert np.abs(column("sd_x_m", "sd_y_m", "sd_z_m") - sd).max() < 2e-6
    roots = column("root_x_m", "root_y_m", "root_z_m")
    assert np.abs(roots - poses.root[:, None]).max() < 1e-6


def test_csv_without_times_and_roots(tmp_path):
    write_prediction(made(**NOTHING), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    assert {row["time_s"] for row in rows} == {""}
    assert list(rows[0])[-1] == "flag"


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_are_the_same_again_and_files_are_not_overwritten(format, tmp_path):
    path = tmp_path / "new" / f"a.{format}"
    write_prediction(made(), path)
    first = path.read_bytes()
    with pytest.raises(ValueError, match=r"exists already; name another file"):
        write_prediction(made(draw=9), path)
    assert path.read_bytes() == first
    write_prediction(made(), path, overwrite=True)
    assert path.read_bytes() == first
    write_prediction(made(), tmp_path / "new" / "a.other", format=format)
    assert (tmp_path / "new" / "a.other").read_bytes().replace(b"a.other", path.name.encode()) == first


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_half_written(format, tmp_path, monkeypatch):
    whole = FORMATS[format]

    def failing(poses, stream, name):
        whole(poses, stream, name)
        raise OSError("no space left")

    path = tmp_path / f"a.{format}"
    path.write_text("before")
    monkeypatch.setitem(FORMATS, format, failing)
    with pytest.raises(OSError, match="no space left"):
        write_prediction(made(), path, overwrite=True)
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a.txt"}, "unknown format of poses 'txt'"),
        ({"path": "a"}, r"a: expected a file name that ends in one of \.npz, \.json"),
        ({"path": "a.npz", "format": "jsno"}, "unknown format of poses 'jsno'; did you mean json"),
        ({"path": "a.npz", "save_samples": 6}, "expected hypotheses all, none or 1 to 5, got 6"),
        ({"path": "a.npz", "save_samples": "first"}, "hypotheses all, none or 1 to 5, got 'fir"),
        ({"path": "."}, "expected a file name"),
        ({"path": "folder.npz"}, "expected a file name, got a folder"),
        ({"path": "file/a.npz"}, "expected a file name, got a folder, or a file in place of one"),
        ({"path": "a.trc", "poses": made(**NOTHING)}, "trc needs a frame rate: expected fps, or"),
        ({"path": "a.bvh", "poses": made(**NOTHING)}, "bvh needs a frame rate: expected fps, or"),
        ({"path": "a.bvh", "poses": made(times_s=np.array([0, 1, 2, 9.0]), fps=None)},
         "bvh needs even times: expected frames every 3 s, got one 1.33 frames off"),
        ({"path": "a.bvh", "poses": made(times_s=np.arange(4.0))}, "expected frames every 0.0333"),
        ({"path": "a.bvh", "poses": made(T=1, fps=None)}, "bvh needs a frame rate"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=message) as caught:
        write_prediction(**({"poses": made()} | arguments))
    assert "\n" not in str(caught.value)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder.npz"]


def test_the_suffix_says_the_format():
    assert [format_of(f"A.{name.upper()}") for name in FORMATS] == list(FORMATS)
    assert format_of("a.txt", "csv") == "csv"


def edited(**changes):
    def damage(path):
        found = json.loads(path.read_bytes()) | changes
        path.write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))

    return damage


def cut(path):
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("format", "damage", "message"),
    [
        ("json", Path.unlink, "no such file"),
        ("json", cut, "not a JSON file of poses"),
        ("json", lambda path: path.write_bytes(b""), "not a JSON file of poses"),
        ("json", lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a JSON file of poses"),
        ("json", lambda path: path.write_text("[" * 100_000), "nested too deep"),
        ("json", lambda path: path.write_text("[1, 2]"), "of format prpose-poses, got something"),
        ("json", lambda path: path.write_text('{"a": NaN}'), "finite numbers, got NaN"),
        ("json", edited(version=2), "expected version 1, got 2"),
        ("json", edited(joints=["pelvis"]), "expected the 17 joints of Human3.6M, got others"),
        ("json", edited(pose=...), "expected aggregate in the file, got none"),
        ("json", edited(S=...), "expected S in the file, got none"),
        ("json", edited(S="5"), "expected S as a whole number >= 1, got '5'"),
        ("json", edited(frames=9), "expected 5 hypotheses of 9 frames, got 5 of 4"),
        ("json", edited(hypotheses=...), "expected 5 hypotheses of 4 frames, got 0 of 4"),
        ("json", edited(times_s=[[1], [2, 3]]), "times_s with rows of equal length, got others"),
        ("json", edited(times_s=["1", "2", "3", "4"]), "times_s as an array of numbers, got <U1"),
        ("json", edited(deterministic={"a": 1}), "single as an array of numbers, got object"),
        ("json", edited(camera=[1]), "expected camera with center_px, focal_px"),
        ("json", edited(model=None), "expected model as a mapping, got NoneType"),
        ("npz", cut, "truncated or not an npz file"),
        ("npz", lambda path: np.savez(path, a=1), "expected an info text in the npz file"),
        ("npz", lambda path: np.savez(path, info="{"), "expected JSON in the info text, got"),
        ("npz", lambda path: np.savez(path, info="{}"), "expected a file of format prpose-poses"),
    ],
)  # fmt: skip
def test_damaged_files_are_named_in_one_line(format, damage, message, tmp_path):
    path = tmp_path / f"poses.{format}"
    write_prediction(made(), path)
    damage(path)
    with pytest.raises(ValueError, match=rf"^\S+poses\.{format}: .*{message}") as caught:
        read_prediction(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(path.name) == 1


def test_an_npz_holds_no_pickles(tmp_path):
    write_prediction(made(), tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        for name in archive.namelist():
            assert b"|O" not in archive.read(name)[:128], name
