"""HDF5 of SLEAP and DeepLabCut beside the examples of tests/data/formats."""

import pickle

import h5py
import numpy as np
import pytest

from prpose.io.keypoints import read_people
from prpose.layouts import LAYOUTS
from tests.make_formats import HERE, image_size, slp, walker

SIZE = image_size()
NAMES = LAYOUTS["coco17"].names
XY, SCORES = walker("coco17")
T, J = SCORES.shape


def skeleton(order, names=NAMES, **more):
    nodes = {"nodes": [{"id": j} for j in order], "links": []}
    return {"skeletons": [nodes], "nodes": [{"name": name} for name in names]} | more


def predicted(t, track=0, start=None):
    start = J * t if start is None else start
    return (t, 1, t, 0, track, -1, 0.9, start, start + J, 0.0)


def test_what_sleap_tells_of_the_video_is_read(tmp_path):
    (person,) = read_people(HERE / "sleap_labels.slp")
    assert (person.image_size, person.fps, person.person) == (SIZE, 10.0, "walker")
    (person,) = read_people(
        slp(tmp_path / "a.slp", "coco17", SIZE, videos_json=[{"filename": "a.mp4"}]), image_size=SIZE
    )
    assert person.fps is None


def test_corrected_people_of_sleap_replace_their_predictions(tmp_path):
    by_hand = [(*point, j != 5, True) for j, point in enumerate(XY[2] + 3)]
    instances = [predicted(t) for t in range(T)] + [(T, 0, 2, 0, 0, -1, 0.0, 0, J, 0.0)]
    frames = [(t, 0, t, t, t + 1) for t in range(T)]
    instances[3:3], frames[2:] = [instances.pop()], [(2, 0, 2, 2, 4), *((t, 0, t, t + 1, t + 2) for t in range(3, T))]
    more = {"points": by_hand, "frames": frames, "instances": instances}
    for track, replaced in ((0, -1), (-1, 2)):  # told by the track, or by the prediction's number
        instances[3] = (T, 0, 2, 0, track, replaced, 0.0, 0, J, 0.0)
        people = read_people(slp(tmp_path / "a.slp", "coco17", SIZE, **more), tracking="position")
        assert [len(person) for person in people] == [T]
        expected = XY.copy()
        expected[2] = XY[2] + 3
        expected[2, 5] = np.nan
        np.testing.assert_allclose(people[0].xy, expected, atol=1e-3)
        assert people[0].confidence[2].tolist() == [1.0] * 5 + [0.0] + [1.0] * 11


def test_nodes_of_sleap_may_have_any_order_and_style(tmp_path):
    order = np.random.default_rng(0).permutation(J).tolist()
    names = ["".join(word.capitalize() for word in name.split("_")) for name in NAMES]
    points = [(*XY[t, j], True, False, SCORES[t, j]) for t in range(T) for j in order]
    graph = {"skeletons": [{"nx_graph": skeleton(order)["skeletons"][0]}]}
    for content in (skeleton(order, names), skeleton(order, names, **graph)):
        (person,) = read_people(slp(tmp_path / "a.slp", "coco17", SIZE, pred_points=points, json=content))
        np.testing.assert_allclose(person.xy, XY, atol=1e-3)
        np.testing.assert_allclose(person.confidence, SCORES, atol=1e-6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"], file["node_names"] = XY[:, order].transpose(2, 1, 0)[None], [names[j].encode() for j in order]
    (person,) = read_people(tmp_path / "a.h5", image_size=SIZE)
    np.testing.assert_allclose(person.xy, XY, atol=1e-3)


def test_the_first_version_of_sleap_counts_from_the_corner_of_a_pixel(tmp_path):
    (person,) = read_people(slp(tmp_path / "a.slp", "coco17", SIZE, format_id=1.0))
    np.testing.assert_allclose(person.xy, XY - 0.5, atol=1e-3)


def test_people_of_sleap_without_tracks_are_tracked_by_position(tmp_path):
    points = [(*point, True, False, 1.0) for t in range(T) for p in (0, 300) for point in XY[t] + np.array([p, 0])]
    more = {
        "pred_points": points,
        "instances": [predicted(n // 2, -1, J * n) for n in range(2 * T)],
        "frames": [(t, 0, 5 * t, 2 * t, 2 * t + 2) for t in range(T)],
    }
    people = read_people(slp(tmp_path / "a.slp", "coco17", SIZE, **more))
    assert [len(person) for person in people] == [T, T]
    assert people[0].frame_numbers.tolist() == [5 * t for t in range(T)]
    np.testing.assert_allclose(people[1].xy - people[0].xy, np.broadcast_to([300, 0], XY.shape), atol=1e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"format_id": 3.0}, "expected a .slp before version 3 and of one video, got version 3"),
        ({"frames": [(t, t % 2, t, t, t + 1) for t in range(T)]}, "got labels of 2 videos"),
        ({"json": skeleton(range(3))}, "frame 0: expected 3 points, got 17"),
        ({"json": skeleton([90])}, "expected nodes up to number 90, got 17"),
        ({"json": {"skeletons": [], "nodes": []}}, "expected skeletons up to number 0, got 0"),
        ({"json": []}, "expected an object, got a list"),
        ({"instances": [], "frames": []}, "expected people of one skeleton, got 0"),
        ({"json": skeleton(range(17), [f"leg{j}" for j in range(17)])}, "does not give its layout: expected --layout"),
    ],
)
def test_labels_of_sleap_that_cannot_be_read_are_an_error(more, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_people(slp(tmp_path / "a.slp", "coco17", SIZE, **more))


@pytest.mark.parametrize("name", ["frames", "instances", "points", "pred_points", "metadata"])
def test_labels_of_sleap_without_a_table_are_an_error(name, tmp_path):
    path = slp(tmp_path / "a.slp", "coco17", SIZE)
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(ValueError, match="expected JSON in SLEAP's" if name == "metadata" else f"expected {name} of"):
        read_people(path)
    with h5py.File(path, "a") as file:
        file[name] = np.zeros(4)
    with pytest.raises(ValueError, match="expected"):
        read_people(path)


def deeplabcut(path, columns, rows=None, index="<i8", protocol=0, name="table"):
    rows = np.concatenate([XY, SCORES[..., None]], axis=-1).reshape(T, -1) if rows is None else rows
    numbers = [f"labeled-data/walk/img{3 * t:03d}.png" if index[1] == "S" else 3 * t for t in range(T)]
    with h5py.File(path, "w") as file:
        fields = [("index", index), ("values_block_0", "<f8", rows.shape[1:])]
        table = file.create_dataset(
            f"df_with_missing/{name}", data=np.array([*zip(numbers, rows, strict=True)], dtype=fields)
        )
        kind = columns if isinstance(columns, bytes) else pickle.dumps(columns, protocol)
        table.attrs["values_block_0_kind"] = np.void(kind) if protocol else np.bytes_(kind)
    return path


COLUMNS = [("DLC", joint, part) for joint in NAMES for part in ("x", "y", "likelihood")]


@pytest.mark.parametrize("protocol", [0, 4])
@pytest.mark.parametrize("index", ["<i8", "|S40"])
def test_deeplabcut(index, protocol, tmp_path):
    (person,) = read_people(deeplabcut(tmp_path / "a.h5", COLUMNS, None, index, protocol), image_size=SIZE)
    assert person.layout == "coco17"
    assert person.frame_numbers.tolist() == [3 * t for t in range(T)]
    np.testing.assert_allclose(person.xy, XY, atol=1e-3)
    np.testing.assert_allclose(person.confidence, SCORES, atol=1e-6)


def test_deeplabcut_of_several_animals(tmp_path):
    columns = [("DLC", who, *rest) for who in ("ann", "bob") for _, *rest in COLUMNS]
    rows = np.concatenate(
        [np.concatenate([XY + s, SCORES[..., None]], axis=-1).reshape(T, -1) for s in (0, 200)], axis=1
    )
    rows[3, 51:] = np.nan
    ann, bob = read_people(deeplabcut(tmp_path / "a.h5", columns, rows), image_size=SIZE)
    assert (ann.person, len(ann), bob.person, len(bob)) == ("ann", T, "bob", T - 1)
    np.testing.assert_allclose(bob.xy[0], XY[0] + 200, atol=1e-3)


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Evil(), "refused '(__builtin__|builtins).print': expected dict, list, str, numbers and arrays only"),
        (b"(lp0\n", "expected a pickle, got a damaged one"),
        (COLUMNS[:3], "expected columns of scorer, bodyparts and coords, got others"),
        ([("x",)] * 51, "expected columns of scorer, bodyparts and coords, got others"),
        ({"a": 1}, "expected columns of scorer, bodyparts and coords, got others"),
    ],
)
def test_columns_of_deeplabcut_are_plain_data(columns, message, tmp_path, capsys):
    with pytest.raises(ValueError, match=message):
        read_people(deeplabcut(tmp_path / "a.h5", columns), image_size=SIZE)
    assert capsys.readouterr().out == ""


def test_other_tables_of_pandas_are_an_error(tmp_path):
    path = deeplabcut(tmp_path / "a.h5", COLUMNS, name="block0_values")
    with pytest.raises(ValueError, match="expected DeepLabCut's results of a video, got another table of pandas"):
        read_people(path, image_size=SIZE)


@pytest.mark.parametrize("name", ["sleap.h5", "sleap_labels.slp", "deeplabcut.h5"])
def test_truncated_files_are_an_error(name, tmp_path):
    content = (HERE / name).read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 1):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{name}: expected an HDF5 file"):
            read_people(tmp_path / name, image_size=SIZE)


def test_no_module_of_the_working_directory_is_imported(tmp_path, monkeypatch):
    for module in ("h5py", "msgspec", "numpy", "csv"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert len(read_people((HERE / "sleap_labels.slp").absolute())) == 1
    assert not (tmp_path / "ran").exists()
