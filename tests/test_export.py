"""Files of predictions: what is written is read back, complete or not at all; errors are one line."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
from scipy.stats import chi2

from prpose.camera import Camera
from prpose.io.export import FORMATS, read_prediction, save_prediction
from prpose.io.export.npz_json import FEW, Document, header
from prpose.prediction import ARRAYS
from prpose.skeleton import H36M_17
from tests.prediction_files import make_prediction, prediction_of, standing

DATA = Path(__file__).parent / "data"
SCHEMA = json.loads((Path(__file__).parents[1] / "docs/prediction.schema.json").read_text(encoding="utf-8"))
OTHERS = ("num_samples", "point_estimate", "fps", "camera", "model", "warnings", "command", "created_by", "seed")
NOTHING = dict.fromkeys(
    ("times_s", "fps", "root", "root_covariance", "keypoints_px", "noise_sd_px", "camera", "seed", "samples")
)


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
def test_saved_predictions_are_read_back(format, changes, tmp_path):
    prediction = make_prediction(**changes)
    prediction.save(tmp_path / f"a.{format}")
    assert_same(read_prediction(tmp_path / f"a.{format}"), prediction)


def test_version_1_is_read():
    one, other = (read_prediction(DATA / f"poses_v1.{format}") for format in ("npz", "json"))
    assert_same(one, other)
    with np.load(DATA / "poses_v1.npz") as file:
        old, head = dict(file), json.loads(str(file["info"]))
    assert (head["format"], head["version"]) == ("prpose-poses", 1)
    names = {"aggregate": "pose", "single": "deterministic", "hypotheses": "samples", "root_cam": "root"}
    for name in {"covariance", "flags", "frame_numbers", "times_s", "root_covariance", "keypoints_px"} | set(names):
        assert np.array_equal(getattr(one, names.get(name, name)), old[name]), name
    assert (one.num_samples, one.fps, one.seed, one.model) == (head["S"], head["fps"], head["seed"], head["model"])
    assert (one.command, one.created_by) == (head["command"], head["made_by"])
    assert (one.point_estimate, list(one.warnings)) == ("deterministic", head["notes"])
    assert one.camera.focal_px == tuple(head["camera"]["focal_px"])
    assert np.allclose(one.regions()[0], old["region_semi_axes_m"], rtol=1e-5)


def test_json_schema_is_current_and_describes_the_files(tmp_path):
    current = json.loads(json.dumps(msgspec.json.schema(Document)))
    del current["$defs"]["Camera"]["description"]  # its docstring
    assert current == SCHEMA
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for changes in ({}, NOTHING, {"T": 1, "S": 2}):
        save_prediction(make_prediction(**changes), tmp_path / "a.json", overwrite=True)
        found = json.loads((tmp_path / "a.json").read_text(encoding="ascii"))
        validator.validate(found)
        for damage in ({"version": 3}, {"flags": [[7] * 17]}, {"pose": []}, {"more": 1}):
            assert not validator.is_valid(found | damage)
        for name in ("pose", "num_samples", "region", "axes"):
            assert not validator.is_valid({k: v for k, v in found.items() if k != name})


def test_info_of_npz_is_the_header_of_json(tmp_path):
    prediction = make_prediction()
    for format in ("npz", "json"):
        save_prediction(prediction, tmp_path / f"a.{format}")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        arrays = dict(file)
    info = json.loads(str(arrays["info"]))
    found = json.loads((tmp_path / "a.json").read_bytes())
    assert (info["format"], info["version"]) == ("prpose-prediction", 2)
    assert info == {name: found[name] for name in info}
    assert tuple(arrays["joints"]) == H36M_17.names
    assert tuple(arrays["parents"]) == H36M_17.parents
    assert arrays["fps"] == 30
    for name in set(found) - set(info):
        values = np.asarray(found[name])
        assert np.array_equal(values.astype(arrays[name].dtype), arrays[name]), name
    assert "y down" in info["axes"]
    assert "Over-confident" in info["region"]["note"]


def test_region_states_whether_it_is_calibrated():
    stored = {name: 100.0 + j for j, name in enumerate(H36M_17.names[1:])}
    for model, quantile in (({}, chi2.ppf(0.95, 3)), ({"limits_95": stored}, 102)):
        for S, inaccurate in ((FEW, False), (FEW - 1, True)):
            region = header(replace(make_prediction(model=model), num_samples=S)).region
            assert (f"With {S} samples the covariance itself is inaccurate" in region.note) == inaccurate
            assert (region.calibrated, region.quantiles[3]) == (bool(model), pytest.approx(quantile))
    one_pass = header(replace(make_prediction(model={"noise": None}), num_samples=FEW - 1)).region
    assert "inaccurate" not in one_pass.note, "a covariance in closed form needs no samples"


def csv_rows(prediction, path):
    save_prediction(prediction, path)
    with path.open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def test_csv_has_the_columns_of_the_prediction(tmp_path):
    prediction = make_prediction()
    rows = csv_rows(prediction, tmp_path / "a.csv")
    for name, values in prediction.to_columns().items():
        cells = [row[name] for row in rows]
        if values.dtype.kind == "f":
            assert np.abs(np.array(cells, float) - values).max() < 1e-6
        else:
            assert cells == [str(value) for value in values]
    rows = csv_rows(make_prediction(**NOTHING), tmp_path / "b.csv")
    assert {row["time_s"] for row in rows} == {""}
    assert list(rows[0])[-1] == "flag"


@pytest.mark.parametrize("format", FORMATS)
def test_equal_predictions_give_equal_bytes_and_files_are_not_overwritten(format, tmp_path):
    path = tmp_path / "new" / f"a.{format}"
    save_prediction(make_prediction(), path)
    first = path.read_bytes()
    with pytest.raises(ValueError, match=r"exists already"):
        save_prediction(make_prediction(seed=9), path)
    assert path.read_bytes() == first
    save_prediction(make_prediction(), path, overwrite=True)
    assert path.read_bytes() == first
    save_prediction(make_prediction(), tmp_path / "new" / "a.other", format=format)
    assert (tmp_path / "new" / "a.other").read_bytes().replace(b"a.other", path.name.encode()) == first


@pytest.mark.parametrize(
    ("path", "changes", "message"),
    [
        ("a.txt", {}, "unknown export format 'txt'"),
        ("poses", {}, r"expected a file name that ends in .npz, .json"),
        ("folder.npz", {}, "folder.npz: "),
        ("file/a.npz", {}, "file/a.npz: "),
        ("a.trc", NOTHING, "expected fps, or times of two frames or more, for trc, got neither"),
        ("a.bvh", {"times_s": np.array([0, 1, 2, 9.0]), "fps": None}, "every 3 s for bvh, got one 1.33 frames off"),
        ("a.bvh", {"times_s": np.arange(4.0)}, "expected frames every 0.0333"),
        ("a.bvh", {"times_s": None, "frame_numbers": np.array([0, 1, 2, 4])}, "got one 1 frames off"),
    ],
)
def test_invalid_requests_are_one_line_and_leave_nothing(path, changes, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=message) as caught:
        make_prediction(**changes).save(path)
    assert "\n" not in str(caught.value)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder.npz"]


def edited(**changes):
    def damage(path):
        found = json.loads(path.read_bytes()) | changes
        path.write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))

    return damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("format", "damage", "message"),
    [
        ("json", Path.unlink, "no such file"),
        ("json", truncate, "not a JSON file"),
        ("json", lambda path: path.write_bytes(b"\xff\xfe\x00"), "not a JSON file"),
        ("json", lambda path: path.write_text("[" * 100_000), "expected a file of format"),
        ("json", lambda path: path.write_text("[1, 2]"), "expected a file of format prpose-prediction"),
        ("json", edited(version=3), "expected version 1 or 2, got 3"),
        ("json", edited(joints=["pelvis"] * 17), "expected the 17 joints of Human3.6M, got others"),
        ("json", edited(pose=...), "expected the field pose, got none"),
        ("json", edited(num_samples="5"), "num_samples: expected a whole number, got text"),
        ("json", edited(frames=9), "expected 5 samples of 9 frames, got 5 of 4"),
        ("json", edited(pose=[[[0, 0, 0]] * 17, [[0, 0]] * 17]), r"pose\[1\]\[0\]: expected a list of length 3"),
        ("json", edited(times_s=["1", "2", "3", "4"]), r"times_s\[0\]: expected a number, got text"),
        ("json", edited(camera={"width": 0, "height": 1}), "expected camera of width and height >= 1, got 0 x 1"),
        ("json", edited(model=None), "model: expected an object, got null"),
        ("npz", truncate, "truncated or not an npz file"),
        ("npz", lambda path: np.savez(path, a=1), "no entry 'info'; the file holds 'a'"),
        ("npz", lambda path: np.savez(path, info="{}"), "expected a file of format prpose-prediction"),
    ],
)
def test_damaged_files_are_named_in_one_line(format, damage, message, tmp_path):
    path = tmp_path / f"poses.{format}"
    save_prediction(make_prediction(), path)
    damage(path)
    with pytest.raises(ValueError, match=rf"^\S+poses\.{format}: .*{message}") as caught:
        read_prediction(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count(path.name) == 1


TRC_KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame"]


def parse_trc(path):
    """As OpenSim and Pose2Sim do: header by key, marker names, frame numbers, times, and (T, markers, 3)."""
    lines = path.read_text(encoding="ascii").split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert lines[1].split("\t") == [*TRC_KEYS, "OrigNumFrames"]
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names, labels, J = lines[3].split("\t"), lines[4].split("\t"), int(head["NumMarkers"])
    assert names[:2] == ["Frame#", "Time"]
    assert labels == ["", ""] + [f"{axis}{j + 1}" for j in range(J) for axis in "XYZ"]
    assert [name for i, name in enumerate(names[2:]) if i % 3] == [""] * (2 * J)
    assert lines[5] == lines[-1] == ""
    rows = np.array([[float(cell) for cell in line.split("\t")] for line in lines[6:-1]])
    return head, names[2::3], rows[:, 0], rows[:, 1], rows[:, 2:].reshape(len(rows), J, 3)


def test_trc_markers_are_the_joints_in_space(tmp_path):
    prediction = make_prediction()
    save_prediction(prediction, tmp_path / "take 1.trc")
    head, names, frames, times, points = parse_trc(tmp_path / "take 1.trc")
    assert head["DataRate"] == head["CameraRate"] == head["OrigDataRate"] == "30"
    assert (head["NumFrames"], head["OrigNumFrames"], head["Units"]) == ("4", "4", "m")
    assert tuple(names) == H36M_17.names
    assert frames.tolist() == [1, 2, 3, 4]
    assert np.abs(times - prediction.times_s).max() < 1e-6
    expected = (prediction.pose + prediction.root[:, None]) * [1, -1, -1]
    assert np.abs(points - expected).max() < 1e-6
    assert (tmp_path / "take 1.trc").read_text().split("\n")[0].endswith("\ttake_1.trc")


@pytest.mark.parametrize("rate", [29.97, 59.94005994, 240])
def test_trc_rate_is_nominal_or_that_of_the_times(rate, tmp_path):
    save_prediction(prediction_of(standing(5), fps=rate), tmp_path / "a.trc")
    head, _, _, times, _ = parse_trc(tmp_path / "a.trc")
    assert float(head["DataRate"]) == pytest.approx(rate, rel=1e-9)
    assert np.abs(times - np.arange(5) / rate).max() < 1e-6
    save_prediction(prediction_of(standing(5), times_s=times), tmp_path / "b.trc")
    assert float(parse_trc(tmp_path / "b.trc")[0]["DataRate"]) == pytest.approx(rate, rel=1e-4)
    save_prediction(prediction_of(standing(5), fps=rate, frame_numbers=np.arange(7, 32, 5)), tmp_path / "c.trc")
    head, _, _, times, _ = parse_trc(tmp_path / "c.trc")
    assert float(head["DataRate"]) == pytest.approx(rate / 5, rel=1e-9)
    assert np.abs(times - 5 * np.arange(5) / rate).max() < 1e-6
