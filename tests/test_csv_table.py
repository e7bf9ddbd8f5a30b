"""Tables as people have them: names of columns, separators, times, DeepLabCut's header."""

import numpy as np
import pytest

from prpose.io.keypoints import read_people
from prpose.layouts import LAYOUTS
from tests.make_formats import image_size, walker

SIZE = image_size()
NAMES = LAYOUTS["coco17"].names
XY, SCORES = walker("coco17")
T = len(XY)


def table(path, joint_columns, extra=(), separator=",", comma=False, rows=None, more=()):
    """A CSV with the columns ``extra``, {name: cells}, and of each joint."""
    lines = [[*dict(extra), *(column.format(name) for name in NAMES for column in joint_columns), *dict(more)]]
    for t in range(T) if rows is None else rows:
        cells = [str(values[t]) for values in dict(extra).values()]
        cells += [f"{value:g}" for j in range(17) for value in (*XY[t, j], SCORES[t, j])[: len(joint_columns)]]
        lines.append(cells + [str(values[t]) for values in dict(more).values()])
    if comma:
        lines[1:] = [[cell.replace(".", ",") for cell in row] for row in lines[1:]]
    path.write_text("\n".join(separator.join(row) for row in lines) + "\n")
    return path


def read_one(path):
    (person,) = read_people(path, image_size=SIZE)
    assert person.layout == "coco17"
    np.testing.assert_allclose(person.xy, XY[: len(person)], atol=0.01)
    return person


@pytest.mark.parametrize("score", ["score", "confidence", "likelihood", "visibility", "Confidence", "conf", "v"])
@pytest.mark.parametrize("joint", ["{}_", "{}.", "{} "])
def test_scores_have_many_names(joint, score, tmp_path):
    person = read_one(table(tmp_path / "a.csv", [f"{joint}{part}" for part in ("x", "y", score)]))
    np.testing.assert_allclose(person.confidence, SCORES, atol=1e-3)
    assert person.warnings == ()


def test_joints_may_be_in_camel_case(tmp_path):
    path = table(tmp_path / "a.csv", ["{}_x", "{}_y"])
    header, *rows = path.read_text().split("\n")
    camel = ["".join(word.capitalize() for word in name[:-2].split("_")) + name[-2:] for name in header.split(",")]
    assert "LeftShoulder_x" in camel
    path.write_text("\n".join([",".join(camel), *rows]))
    read_one(path)


@pytest.mark.parametrize("name", ["frame", "Frame", "frame_idx", "frame_number", "image_id", "frame_id"])
def test_frame_numbers_have_many_names(name, tmp_path):
    numbers = [0, 1, 2, 40, 41, 42, 43, 44]
    person = read_one(table(tmp_path / "a.csv", ["{}_x", "{}_y"], {name: numbers}))
    assert person.frame_numbers.tolist() == numbers


def test_frames_may_be_names_of_images(tmp_path):
    images = [f"walk_{5 * t:04d}_720p.png" for t in range(T)]
    person = read_one(table(tmp_path / "a.csv", ["{}_x", "{}_y"], {"file_name": images}))
    assert person.frame_numbers.tolist() == [5 * t for t in range(T)]
    assert person.frame_names == tuple(images)


@pytest.mark.parametrize(("name", "unit"), [("time_s", 1), ("timestamp", 1), ("time", 1), ("time_ms", 1000)])
def test_times_are_those_of_the_frames(name, unit, tmp_path):
    times = np.array([0, 0.12, 0.16, 0.2, 0.32, 0.36, 0.4, 0.52])
    person = read_one(table(tmp_path / "a.csv", ["{}_x", "{}_y"], {name: times * unit}))
    np.testing.assert_allclose(person.times_s, times)


def test_milliseconds_that_are_not_called_so_are_an_error(tmp_path):
    path = table(tmp_path / "a.csv", ["{}_x", "{}_y"], {"timestamp": [33 * t for t in range(T)]})
    with pytest.raises(ValueError, match="expected seconds, got steps of 33; name milliseconds time_ms"):
        read_people(path, image_size=SIZE)


def test_unknown_columns_are_named_in_a_warning(tmp_path):
    person = read_one(table(tmp_path / "a.csv", ["{}_x", "{}_y"], {"comment": "abcdefgh"}, more={"nose_z": [0] * T}))
    assert person.warnings == ("columns that are not known are not used: comment, nose_z",)


@pytest.mark.parametrize(("separator", "comma"), [(";", False), (";", True), ("\t", False), ("\t", True)])
def test_other_separators_and_decimal_commas(separator, comma, tmp_path):
    read_one(table(tmp_path / "a.csv", ["{}_x", "{}_y", "{}_score"], {"frame": range(T)}, separator, comma))


@pytest.mark.parametrize("name", ["person", "track_id", "track", "person_id"])
def test_people_have_ids_and_some_are_missing(name, tmp_path):
    path = table(tmp_path / "a.csv", ["{}_x", "{}_y"], {"frame": range(T), name: [7, 7, 7, -1, 7, 7, "", 7]})
    person = read_one(path)
    assert person.person == "7"
    assert len(person) == T


@pytest.mark.parametrize("index", ["numbers", "images"])
def test_deeplabcut(index, tmp_path):
    first = [3 * t if index == "numbers" else f"labeled-data/walk/img{3 * t:03d}.png" for t in range(T)]
    header = ["scorer" + ",DLC_resnet50" * 51, "bodyparts", "coords"]
    header[1] += "".join(f",{name}" * 3 for name in NAMES)
    header[2] += ",x,y,likelihood" * 17
    rows = [",".join(map(str, (first[t], *np.c_[XY[t], SCORES[t]].ravel()))) for t in range(T)]
    (tmp_path / "a.csv").write_text("\n".join([*header, *rows]))
    person = read_one(tmp_path / "a.csv")
    assert person.frame_numbers.tolist() == [3 * t for t in range(T)]
    np.testing.assert_allclose(person.confidence, SCORES, atol=1e-3)


def test_deeplabcut_of_several_animals(tmp_path):
    header = ["scorer" + ",DLC" * 102, "individuals" + ",ann" * 51 + ",bob" * 51, "bodyparts", "coords"]
    header[2] += "".join(f",{name}" * 3 for name in NAMES) * 2
    header[3] += ",x,y,likelihood" * 34
    both = [np.c_[XY[t] + shift, SCORES[t]].ravel() for t in range(T) for shift in (0, 200)]
    rows = [",".join(map(str, (t, *both[2 * t], *("" if t == 3 else v for v in both[2 * t + 1])))) for t in range(T)]
    (tmp_path / "a.csv").write_text("\n".join([*header, *rows]))
    ann, bob = read_people(tmp_path / "a.csv", image_size=SIZE)
    assert (ann.person, len(ann), bob.person, len(bob)) == ("ann", T, "bob", T - 1)
    np.testing.assert_allclose(bob.xy[0], XY[0] + 200, atol=0.01)


def test_bodyparts_of_no_layout_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("scorer,a,a\nbodyparts,tail,tail\ncoords,x,y\n0,1,2\n")
    with pytest.raises(ValueError, match=r"expected DeepLabCut's bodyparts of every joint of one layout .*got tail_x"):
        read_people(tmp_path / "a.csv", image_size=SIZE)


def test_sleap(tmp_path):
    extra = {"track": ["track_0"] * T, "frame_idx": range(T), "instance.score": [0.9] * T}
    person = read_one(table(tmp_path / "a.csv", ["{}.x", "{}.y", "{}.score"], extra))
    assert person.person == "track_0"


def test_joints_without_a_score_count_as_present(tmp_path):
    path = table(tmp_path / "a.csv", ["{}_x", "{}_y"], more={"nose_score": [0.5] * T})
    person = read_one(path)
    assert person.confidence[0].tolist() == [0.5] + [1.0] * 16


def test_people_without_frames_are_an_error(tmp_path):
    path = table(tmp_path / "a.csv", ["{}_x", "{}_y"], {"person": [0, 1] * 4})
    with pytest.raises(ValueError, match="expected a column of frames, times or images beside that of people"):
        read_people(path, image_size=SIZE)


def test_milliseconds_with_decimals_are_an_error(tmp_path):
    path = table(tmp_path / "a.csv", ["{}_x", "{}_y"], {"time": [33.333 * t for t in range(T)]})
    with pytest.raises(ValueError, match="expected seconds, got steps of"):
        read_people(path, image_size=SIZE)


def test_deeplabcuts_index_of_three_columns(tmp_path):
    header = ["scorer,," + ",DLC" * 34, "bodyparts,,", "coords,,"]
    header[1] += "".join(f",{name}" * 2 for name in NAMES)
    header[2] += ",x,y" * 17
    rows = [",".join(map(str, ("labeled-data", "walk", f"img{3 * t:03d}.png", *XY[t].ravel()))) for t in range(T)]
    (tmp_path / "a.csv").write_text("\n".join([*header, *rows]))
    assert read_one(tmp_path / "a.csv").frame_numbers.tolist() == [3 * t for t in range(T)]


def with_numbers(path, columns, points=33, first=1, rest=0.0):
    """A CSV with numbered columns of MediaPipe's fractions, and of further points."""
    xy, scores = walker("blazepose33")
    values = np.full((T, points, 4), rest)
    values[:, :33] = np.concatenate([xy / SIZE, 0 * xy[..., :1], scores[..., None]], axis=-1)
    names = [column.format(first + j) for j in range(points) for column in columns]
    rows = [",".join(map(str, row)) for row in values[..., : len(columns)].reshape(T, -1).tolist()]
    path.write_text("\n".join([",".join(["class", *names]), *(f"walk,{row}" for row in rows)]))
    return path


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "columns",
    [
        ["x{}", "y{}", "z{}", "v{}"],
        ["x_{}", "y_{}", "z_{}", "visibility_{}"],
        ["landmark_{}_x", "landmark_{}_y", "landmark_{}_z", "landmark_{}_visibility"],
        ["lmk{}_x", "lmk{}_y", "lmk{}_z", "lmk{}_vis"],
        ["{}_x", "{}_y"],
    ],
)
def test_numbered_points_are_those_of_mediapipe_if_there_are_33(columns, first, tmp_path):
    path = with_numbers(tmp_path / "a.csv", columns, first=first)
    (person,) = read_people(path, image_size=SIZE)
    xy, scores = walker("blazepose33")
    assert person.layout == "blazepose33"
    np.testing.assert_allclose(person.xy, xy, atol=0.01)
    if len(columns) == 4:
        np.testing.assert_allclose(person.confidence, scores, atol=1e-3)
    with pytest.raises(ValueError, match="the file does not give its image size: expected --image-size"):
        read_people(path)


@pytest.mark.parametrize("points", [501, 543])
def test_body_is_the_first_33_points_of_mediapipe_holistic(points, tmp_path):
    path = with_numbers(tmp_path / "a.csv", ["x{}", "y{}", "z{}", "v{}"], points, rest=0.3)
    (person,) = read_people(path, image_size=SIZE)
    np.testing.assert_allclose(person.xy, walker("blazepose33")[0], atol=0.01)
    assert "points after the first 33, MediaPipe's body" in person.warnings[0]


def test_other_numbers_of_points_need_a_layout(tmp_path):
    rows = [",".join(map(str, XY[t].ravel())) for t in range(T)]
    (tmp_path / "a.csv").write_text("\n".join([",".join(f"x{j},y{j}" for j in range(17)), *rows]))
    with pytest.raises(ValueError, match=r"expected --layout \(of 17 joints: h36m17, coco17\)"):
        read_people(tmp_path / "a.csv", image_size=SIZE)
    (person,) = read_people(tmp_path / "a.csv", image_size=SIZE, layout="coco17")
    np.testing.assert_allclose(person.xy, XY, atol=0.01)


def test_numbers_of_other_things_are_no_joints(tmp_path):
    person = read_one(table(tmp_path / "a.csv", ["{}_x", "{}_y"], more={"x1": [5] * T, "angle_2_y": [7] * T}))
    assert person.warnings == ("columns that are not known are not used: x1, angle_2_y",)


def test_missing_numbers_are_an_error(tmp_path):
    (tmp_path / "a.csv").write_text("x1,y1,x3,y3\n1,2,3,4\n")
    with pytest.raises(ValueError, match="expected joints that are numbered from 0 or 1 on, got"):
        read_people(tmp_path / "a.csv", image_size=SIZE)


def long_table(path, names, columns="frame,joint,x,y,visibility", extra="", last=()):
    rows = [
        f"{3 * t},{name},{XY[t, j, 0]},{XY[t, j, 1]},{SCORES[t, j]}{extra}"
        for t in range(T)
        for j, name in enumerate(names)
    ]
    path.write_text("\n".join([columns, *rows, *last]))
    return path


@pytest.mark.parametrize("style", ["{}", "PoseLandmark.{}", "numbers"])
@pytest.mark.parametrize("joint", ["joint", "landmark_name", "Landmark", "bodypart", "name", "keypoint_id", "id"])
def test_a_row_may_be_a_joint(joint, style, tmp_path):
    names = range(17) if style == "numbers" else [style.format(name.upper()) for name in NAMES]
    path = long_table(tmp_path / "a.csv", names, f"frame,{joint},x,y,visibility")
    (person,) = read_people(path, image_size=SIZE, layout="coco17")
    assert person.frame_numbers.tolist() == [3 * t for t in range(T)]
    np.testing.assert_allclose(person.xy, XY, atol=0.01)
    np.testing.assert_allclose(person.confidence, SCORES, atol=1e-3)


def test_rows_of_joints_are_sorted_by_person_and_time(tmp_path):
    other = [
        f"{3 * t},{name},{XY[t, j, 0] + 200},{XY[t, j, 1]},0.5,bob,{0.1 * t:.1f}"
        for t in range(1, T)
        for j, name in reversed([*enumerate(NAMES)])
    ]
    columns = "frame,joint,x,y,score,person,time_s"
    rows = [
        f"{row},ann,{0.1 * (n // 17):.1f}"
        for n, row in enumerate(long_table(tmp_path / "a.csv", NAMES).read_text().split("\n")[1:])
    ]
    (tmp_path / "a.csv").write_text("\n".join([columns, *other, *rows]))
    ann, bob = read_people(tmp_path / "a.csv", image_size=SIZE)
    assert (ann.person, len(ann), bob.person, len(bob)) == ("ann", T, "bob", T - 1)
    np.testing.assert_allclose(ann.times_s, 0.1 * np.arange(T))
    np.testing.assert_allclose(bob.xy, XY[1:] + np.array([200, 0]), atol=0.01)


def test_rows_of_joints_that_cannot_be_told_apart_are_an_error(tmp_path):
    path = long_table(tmp_path / "a.csv", NAMES, last=["6,nose,1,2,1"])
    with pytest.raises(ValueError, match=f"line {17 * T + 2}: expected each joint once per frame and person, got nose"):
        read_people(path, image_size=SIZE)
    path.write_text("frame,joint,x,y\n0,nose,1,2\n1,left_eye,1,2\n2,left_ear,1,2\n")
    with pytest.raises(ValueError, match="expected a row for each joint of a frame, got another frame in every row"):
        read_people(path, image_size=SIZE)


def test_errors_name_the_line_of_the_file(tmp_path):
    path = long_table(tmp_path / "a.csv", NAMES, last=["", "30,nose,a,2,1"])
    with pytest.raises(ValueError, match=f"line {17 * T + 3}, x: expected a number, got 'a'"):
        read_people(path, image_size=SIZE)
    path = long_table(tmp_path / "a.csv", NAMES, last=["", "late,nose,1,2,1"])
    with pytest.raises(ValueError, match=f"line {17 * T + 3}, frame: expected a number, got 'late'"):
        read_people(path, image_size=SIZE)
