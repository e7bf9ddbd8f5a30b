"""Files that are wrong: one line says what was expected and what came, and nothing is written."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from prpose.cli import guarded, run
from tests.make_formats import HERE, found

SIZE = ["--image-size", "1000", "1002"]
COCO = {"image_id": 0, "keypoints": [1.0, 2.0, 0.5] * 17}
INSTANCE = {"keypoints": [[1, 2]] * 17, "keypoint_scores": [0.5] * 17}
MARK = {"x": 0.5, "y": 0.5, "visibility": 0.9}
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}
NOTE = {"image_id": 1, "keypoints": [1, 2, 2] * 17, "num_keypoints": 17, "category_id": 1}
LANDMARKS = {"image_size": [640, 480], "frames": [{"pose_landmarks": [[MARK] * 33]}]}


def annotated(**change):
    return {"images": [IMAGE], "annotations": [NOTE]} | change


def posed(*people):
    return {"people": [{"pose_keypoints_2d": keypoints} for keypoints in people]}


WALK = [[round(float(v), 1) for v in row.ravel()] for row in np.dstack(
    [*np.moveaxis(found("coco17")[0], -1, 0), found("coco17")[1]])]  # fmt: skip


def walk(change=lambda t, k: k, **more):
    """COCO results of the walker, each frame's (17, 3) changed."""
    rows = [change(t, np.array(k).reshape(17, 3)) for t, k in enumerate(WALK)]
    return [{"image_id": t, "keypoints": r.ravel().tolist(), **more} for t, r in enumerate(rows)]


def without(joint, frames=range(8)):
    def change(t, k):
        k[joint] = 0 if t in frames else k[joint]
        return k

    return walk(change)


JSON = {
    "empty list": ([], "expected somebody in the file, got an empty list"),
    "number": (3, "expected JSON of a known format, got int"),
    "other dict": ({"a": 1, "b": 2}, "of a known format, got a, b; --format is one of"),
    "list of numbers": ([1, 2], "expected JSON of a known format, got list"),
    "two numbers a joint": ([COCO | {"keypoints": [1, 2] * 17}], "0, keypoints: expected x, y"),
    "text": ([COCO | {"keypoints": ["1"] * 51}], "result 0, keypoints: expected numbers, got '1'"),
    "true": ([COCO | {"keypoints": [True] * 51}], "0, keypoints: expected numbers, got True"),
    "infinite": ([COCO | {"keypoints": [1e999, 0, 1] * 17}], "expected numbers within 1e+07"),
    "huge": ([COCO | {"keypoints": [10**400, 0, 1] * 17}], "beyond all measure"),
    "nested": ([COCO | {"keypoints": [[1, 2, 1]] * 17}], "expected numbers, got [1, 2, 1]"),
    "no keypoints": ([{"image_id": 1, "bbox": [0]}], "0: expected keypoints in it, got image_id"),
    "not a result": ([COCO, 7], "result 1: expected a dict with image_id and keypoints, got int"),
    "image_id of 1.5": ([COCO | {"image_id": 1.5}], "image_id as a whole number, got 1.5"),
    "14 joints": ([COCO | {"keypoints": [1, 2, 1] * 14}], "(of 14 joints: none is known)"),
    "mixed joints": ([COCO, COCO | {"image_id": 1, "keypoints": [1, 2, 1] * 14}], "got [14, 17]"),
    "nobody seen": ([COCO | {"keypoints": [0, 0, 0] * 17}], "finite 2D of some joint, got none"),
    "twice in a frame": ([COCO | {"track_id": 4}] * 2, "once in a frame, got '4' twice in frame 0"),
    "alphapose id": ([{"image_id": "0.jpg", "keypoints": [1, 2, 1] * 17}, {"image_id": None}],
                     "result 1: expected image_id as a name or number, got NoneType"),
    "alphapose 136": ([{"image_id": "0.jpg", "keypoints": [1, 2, 1] * 136}], "or --layout"),
    "no images": (annotated(images=[]), "expected the id of an image as image_id, got 1"),
    "images of two sizes": (annotated(images=[IMAGE, IMAGE | {"id": 2, "width": 320}]),
                            "images of one size, as of a video, got 320 x 480 and 640 x 480"),
    "one id twice": (annotated(images=[IMAGE, IMAGE]), "image 1: expected ids that differ"),
    "width of text": (annotated(images=[IMAGE | {"width": "640"}]), "width as a whole number"),
    "v of 3": (annotated(annotations=[NOTE | {"keypoints": [1, 2, 3] * 17}]), "v of 0, 1 or 2"),
    "crowd only": (annotated(annotations=[NOTE | {"iscrowd": 1}]), "got nobody in any frame"),
    "foreign names": (annotated(categories=[{"id": 1, "keypoints": ["a", "b"] * 8 + ["c"]}]),
                      "its joints are a, b, a, b ...; expected the file to say its layout"),
    "openpose nobody": (posed(), "expected somebody in the file, got nobody"),
    "openpose 15": (posed([1, 2, 1] * 15), "25 body parts (BODY_25) or 18 (COCO) in every frame"),
    "openpose mixed": (posed([1, 2, 1] * 18, [1, 2, 1] * 25), "in every frame, got [18, 25]"),
    "openpose old": ({"people": [{"pose_keypoints": [1]}]}, "pose_keypoints_2d in it, got pose_k"),
    "openpose people": ({"people": {"0": 1}}, "people: expected a list, got dict"),
    "mmpose scores": ([INSTANCE | {"keypoint_scores": [1]}], "got 17 keypoints and 1 scores"),
    "mmpose 3D": ([INSTANCE | {"keypoints": [[1, 2, 3]] * 17}], "expected [x, y] and a score"),
    "mmpose frame": ([{"frame_id": "a", "instances": [INSTANCE]}], "frame_id as a whole number"),
    "mmpose meta only": ({"instance_info": None}, "a list of frames or instances, got NoneType"),
    "mmpose no layout": ([INSTANCE], "or --layout (of 17 joints: h36m17, coco17)"),
    "mediapipe 32": ({"frames": [{"pose_landmarks": [[MARK] * 32]}]}, "33 landmarks, got 32"),
    "mediapipe size": (LANDMARKS | {"image_size": [640]}, "[width, height], got 1 numbers"),
    "mediapipe logits": ({"frames": [{"pose_landmarks": [[MARK | {"visibility": 7.5}] * 33]}]},
                         "visibility within [0, 1], got 7.5 to 7.5; take the sigmoid"),
    "mediapipe fps": (LANDMARKS | {"fps": "30"}, "fps: expected fps as a number, got '30'"),
    "mediapipe still": (LANDMARKS, "expected a body, got all joints in one point"),
    "normalised": (walk(lambda t, k: k / [1000, 1000, 1]), "they look normalised"),
    "axes exchanged": (walk(lambda t, k: k[:, [1, 0, 2]]), "are x and y exchanged?"),
    "upside-down": (walk(lambda t, k: k * [1, -1, 1] + [0, 1002, 0]), "does y count upwards?"),
    "other size": (walk(lambda t, k: k * [3, 3, 1]), "outside, x from"),
    "no left hip": (without(11), "neither seen nor made: pelvis in frames 0-7, left_hip in frames"),
    "late ankle": (without(16, (6, 7)), "right_ankle in frames 6-7; --max-gap fills longer gaps"),
    "one joint": (walk(lambda t, k: k * (np.arange(17) == 0)[:, None]), "neither seen nor made"),
}  # fmt: skip


def npz(**content):
    stream = io.BytesIO()
    np.savez(stream, **content)
    return stream.getvalue()


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def evil_npz():
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("positions_2d", "metadata"):
            data = b"\x93NUMPY\x01\x00" + header.getvalue()[8:] + pickle.dumps(Evil())
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


COCO_CSV = (HERE / "walk_coco17.csv").read_text().splitlines()
CUSTOM = {"metadata": {"layout_name": "coco", "video_metadata": {"v": {"w": 640, "h": 480}}}}
POSES = {"v": {"custom": [np.ones((3, 17, 2), np.float32)]}}

FILES = {
    "video.mp4": (b"0000ftyp", "video.mp4: expected a picture or video, got none (Invalid data"),
    "poses.xls": (b"0000", "as .json, .npz, .npy, .csv or a folder, got .xls"),
    "none": (b"", "or keypoints, as .json, .npz, .npy, .csv or a folder, got no ending"),
    "cut.json": (b'[{"image_id": 1, "keypo', "expected JSON, got something else at line 1"),
    "empty.json": (b"", "expected JSON, got something else at line 1, column 1"),
    "bytes.json": (b"\xff\xfe\x00", "expected JSON in UTF-8, got other bytes"),
    "deep.json": (b"[" * 200_000, "too deep a nesting"),
    "cut.npz": (b"PK\x03\x04", "truncated or not an npz file"),
    "other.npz": (npz(a=np.ones(3)), "no entry 'keypoints_px'; the file holds 'a'"),
    "evil.npz": (evil_npz(), "nothing of it was run"),
    "mpii.npz": (npz(positions_2d=POSES, metadata={"layout_name": "mpii"}), "joints are mpii ..."),
    "sides.npz": (npz(positions_2d=POSES, metadata={"layout_name": "coco", "keypoints_symmetry":
                  [[4, 5, 6], [1, 2, 3]]}), "keypoints_symmetry as of coco17, its layout_name"),
    "flat.npz": (npz(positions_2d={"v": {"custom": [np.ones((3, 34))]}}, **CUSTOM), "(3, 34)"),
    "boxes.npz": (npz(boxes=np.ones(2), keypoints=np.ones((2, 3)), metadata={"w": 9, "h": 9}),
                  "frame 0: expected keypoints of two classes"),
    "score.npz": (npz(keypoints_px=np.ones((2, 17, 2)), score=np.ones((2, 16)), layout="coco17",
                  image_size=[1000, 1002]), "expected score of shape (2, 17), got (2, 16)"),
    "half.npz": (npz(keypoints_px=np.full((2, 17, 2), (1, np.nan)), layout="coco17",
                 image_size=[1000, 1002]), "both coordinates or none, got NaN in one of joint 0"),
    "order.npz": (npz(keypoints_px=np.ones((2, 17, 2)), frames=[3, 3], layout="coco17",
                  image_size=[1000, 1002]), "expected frames in increasing order"),
    "bare.npy": (npy(np.ones((2, 17, 2))), "or --layout (of 17 joints: h36m17, coco17)"),
    "flat.npy": (npy(np.ones((2, 34))), "expected (frames, joints, 2), or 3 with a score"),
    "objects.npy": (npy(np.array([{}]), allow_pickle=True), "plain numbers, got objects"),
    "infinite.npy": (npy(np.full((2, 17, 2), np.inf)), "got larger or infinite ones"),
    "text.npy": (npy(np.array(["a"])), "expected an array of numbers, got <U1"),
    "empty.csv": (b"", "expected a header with NAME_x and NAME_y of every joint of one layout"),
    "header.csv": (b"x,y\n1,2\n", "of one layout (h36m17, coco17,"),
    "bare.csv": (b"1,2,3\n4,5,6\n", "expected a header with NAME_x and NAME_y"),
    "no_y.csv": ("\n".join(COCO_CSV).replace("nose_y", "nose_z").encode(), "got none for nose_y"),
    "short.csv": ("\n".join([*COCO_CSV[:2], "1,2"]).encode(), "line 3: expected 52 cells, got 2"),
    "word.csv": ("\n".join(COCO_CSV).replace(",0.9", ",good").encode(), "a number, got 'good'"),
    "frame.csv": ("\n".join([COCO_CSV[0], "x" + COCO_CSV[1][1:]]).encode(), "line 2, frame: "),
}  # fmt: skip


def error_of(path, tmp_path, capsys, *more):
    """What predict prints about a file that it cannot lift."""
    argv = ["predict", path, "--out", tmp_path / "poses.npz", *more]
    assert guarded(lambda: run([str(arg) for arg in argv])) == 1
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, printed.err
    assert lines[0].startswith(f"error: {path}: ")
    assert "Traceback" not in printed.err
    assert "executed" not in printed.out
    assert not (tmp_path / "poses.npz").exists()
    return lines[0]


@pytest.mark.parametrize("what", JSON)
def test_wrong_json(what, tmp_path, capsys):
    content, message = JSON[what]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    said = isinstance(content, dict) and ("images" in content or "image_size" in content)
    assert message in error_of(path, tmp_path, capsys, *([] if said else SIZE))


@pytest.mark.parametrize("name", FILES)
def test_wrong_files(name, tmp_path, capsys):
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert message in error_of(tmp_path / name, tmp_path, capsys, *SIZE)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nowhere.json", [], "no such file or folder"),
        ("coco_results.json", [], "expected the file to say its image size, or --image-size"),
        ("coco_results.json", [*SIZE, "--layout", "coco18"], "the 18 joints of coco18, got 17"),
        ("coco_results.json", [*SIZE, "--format", "openpose"], "a dict with people, got list"),
        ("coco_results.json", [*SIZE, "--person", "5"], "of the people, got '5'; there are 1: 0"),
        ("coco_results.json", [*SIZE, "--max-gap", "-1"], "expected --max-gap >= 0 frames, got -1"),
        ("coco_results.json", [*SIZE, "--fps", "0"], "expected a frame rate > 0, got 0"),
        ("coco_results.json", ["--image-size", "0", "5"], "a positive image size, got 0 x 5"),
        ("coco_results.json", ["--image-size", "90", "90"], "100% outside, x from"),
        ("openpose_coco18", [*SIZE, "--layout", "body25"], "as in the file, coco18, got body25"),
        ("openpose_body25", SIZE, "expected one person, or --person; there are 2: 0 (8 frames"),
        ("openpose_body25", [*SIZE, "--format", "coco"], "expected a file of coco, got a folder"),
        ("walk_h36m17.npz", ["--max-gap", "0"], "right_wrist in frames 2; --max-gap fills"),
        ("walk_coco17.csv", [*SIZE, "--format", "npy"], "expected an npy file of plain numbers"),
        ("walk_coco17.csv", [*SIZE, "--format", "mmpose"], "expected JSON, got something else"),
    ],
)  # fmt: skip
def test_wrong_options(name, options, message, tmp_path, capsys):
    assert message in error_of(HERE / name, tmp_path, capsys, *options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--layout", "coco71"], "unknown layout 'coco71'; did you mean coco1"),
        (["--format", "openpos"], "unknown format 'openpos'; did you mean openpose?"),
    ],
)
def test_unknown_names(option, message, tmp_path, capsys):
    argv = ["predict", HERE / "coco_results.json", "--out", tmp_path / "poses.npz", *SIZE, *option]
    assert guarded(lambda: run([str(arg) for arg in argv])) == 1
    assert message in capsys.readouterr().err


def test_a_folder_without_keypoints(tmp_path, capsys):
    (tmp_path / "frames").mkdir()
    message = "expected pictures, video or files of keypoints in the folder"
    assert message in error_of(tmp_path / "frames", tmp_path, capsys, *SIZE)
    (tmp_path / "frames" / "a_0_keypoints.json").write_text("{")
    assert "a_0_keypoints.json: expected JSON" in error_of(tmp_path / "frames", tmp_path, capsys)
