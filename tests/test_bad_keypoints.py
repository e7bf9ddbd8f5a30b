"""Invalid files are a ValueError that names the file, the place and what was expected."""

import io
import json

import numpy as np
import pytest

from prpose.io.keypoints import read_keypoints
from prpose.preprocess import preprocess
from tests.make_formats import HERE, image_size

SIZE = image_size()
COCO = {"image_id": 0, "keypoints": [1.0, 2.0, 0.5] * 17}
INSTANCE = {"keypoints": [[1, 2]] * 17, "keypoint_scores": [0.5] * 17}
MARK = {"x": 0.5, "y": 0.5, "visibility": 0.9}
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}
NOTE = {"image_id": 1, "keypoints": [1, 2, 2] * 17, "num_keypoints": 17, "category_id": 1}
LANDMARKS = {"image_size": [640, 480], "frames": [{"pose_landmarks": [[MARK] * 33]}]}


def annotated(**change):
    return {"images": [IMAGE], "annotations": [NOTE]} | change


JSON = {
    "empty list": ([], "expected at least one person, got an empty list"),
    "other dict": ({"a": 1, "b": 2}, "of a known format, got a, b; --config.format: one of prpose models"),
    "list of numbers": ([1, 2], "expected JSON of a known format, got list"),
    "two numbers a joint": ([COCO | {"keypoints": [1, 2] * 17}], "expected x, y, confidence of each joint, got 34"),
    "text": ([COCO | {"keypoints": ["1"] * 51}], "[0].keypoints[0]: expected a number, got text"),
    "true": ([COCO | {"keypoints": [True] * 51}], "[0].keypoints[0]: expected a number, got bool"),
    "infinite": ([COCO | {"keypoints": [1e999, 0, 1] * 17}], "[0].keypoints[0]: expected a number <= 10000000.0"),
    "huge": ([COCO | {"keypoints": [10**400, 0, 1] * 17}], "expected a number in range, got a larger one"),
    "nested": ([COCO | {"keypoints": [[1, 2, 1]] * 17}], "[0].keypoints[0]: expected a number, got a list"),
    "no keypoints": ([{"image_id": 1, "bbox": [0]}], "[0]: expected the field keypoints, got none"),
    "not a result": ([COCO, 7], "[1]: expected an object, got a whole number"),
    "image_id of 1.5": ([COCO | {"image_id": 1.5}], "[0].image_id: expected a whole number"),
    "14 joints": ([COCO | {"keypoints": [1, 2, 1] * 14}], "expected --layout (of 14 joints: none)"),
    "mixed joints": ([COCO, COCO | {"image_id": 1, "keypoints": [1, 2, 1] * 14}], "got [14, 17]"),
    "no keypoint": ([COCO | {"keypoints": [0, 0, 0] * 17}], "expected at least one keypoint, got none"),
    "twice in a frame": ([COCO | {"track_id": 4}] * 2, "expected one person, or --person; there are 2"),
    "alphapose id": ([{"image_id": "0.jpg", "keypoints": [1, 2, 1] * 17}, {"image_id": None}],
                     "[1].image_id: expected a number or text, got null"),
    "alphapose 135": ([{"image_id": "0.jpg", "keypoints": [1, 2, 1] * 135}], "expected --layout (of 135 joints: none)"),
    "no images": (annotated(images=[]), "annotations[0].image_id: expected the id of an image, got 1"),
    "images of two sizes": (annotated(images=[IMAGE, IMAGE | {"id": 2, "width": 320}]),
                            "images of one size, as of a video, got 320 x 480 and 640 x 480"),
    "one id twice": (annotated(images=[IMAGE, IMAGE]), "images: expected ids that differ, got one twice"),
    "width of text": (annotated(images=[IMAGE | {"width": "640"}]), "images[0].width: expected a number, got text"),
    "v of 3": (annotated(annotations=[NOTE | {"keypoints": [1, 2, 3] * 17}]), "v of 0, 1 or 2"),
    "crowd only": (annotated(annotations=[NOTE | {"iscrowd": 1}]), "at least one person, got none in any frame"),
    "foreign names": (annotated(categories=[{"id": 1, "keypoints": ["a", "b"] * 8 + ["c"]}]),
                      "the file with the joints a, b, a, b ... does not give its layout"),
    "openpose old": ({"people": [{"pose_keypoints": [1]}]}, "expected the field pose_keypoints_2d, got none"),
    "openpose frame": ([{"people": [{"pose_keypoints_2d": [1, 2]}]}], "[0].people[0].pose_keypoints_2d: expected x, y"),
    "openpose canvas": ([{"people": [], "canvas_width": n, "canvas_height": 9} for n in (8, 9)], "of one canvas"),
    "ultralytics": ([{"class": 0, "box": {}, "keypoints": {"x": [1], "y": [1, 2]}}], "x, y and visible, got 1, 2"),
    "openpifpaf": ([{"frame": 1, "predictions": [{"keypoints": ["a"]}]}], "[0].predictions[0].keypoints[0]: expected"),
    "mmpose frames": ([[{"keypoint_scores": [1], "keypoints": [[1, 2]]}], 3], "[1]: expected a list, got a whole"),
    "alphapose bodies": ({"a.jpg": {"bodies": [3]}}, "a.jpg.people[0]: expected an object, got a whole number"),
    "openpose people": ({"people": {"0": 1}}, "people: expected a list, got an object"),
    "mmpose scores": ([INSTANCE | {"keypoint_scores": [1]}], "[0]: expected a score of each joint, got 1 of 17"),
    "mmpose 3D": ([INSTANCE | {"keypoints": [[1, 2, 3]] * 17}], "[0].keypoints[0]: expected a list of length 2, got 3"),
    "mmpose frame": ([{"frame_id": "a", "instances": [INSTANCE]}], "[0].frame_id: expected a number, got text"),
    "mmpose meta only": ({"instance_info": None}, "instance_info: expected a list, got null"),
    "mmpose no layout": ([INSTANCE], "expected --layout (of 17 joints: h36m17, coco17)"),
    "mediapipe 32": ({"frames": [{"pose_landmarks": [[MARK] * 32]}]}, "pose_landmarks: expected 33 landmarks"),
    "mediapipe size": (LANDMARKS | {"image_size": [640]}, "image_size: expected a list of length 2, got 1"),
    "mediapipe logits": ({"frames": [{"pose_landmarks": [[MARK | {"visibility": 7.5}] * 33]}]},
                         "visibility from 0 to 1, got 7.5 to 7.5; apply the sigmoid"),
    "mediapipe fps": (LANDMARKS | {"fps": "30"}, "fps: expected a number, got text"),
    "mediapipe huge fps": (LANDMARKS | {"fps": 10**400}, "fps: expected a number in range, got a larger one"),
    "mediapipe infinite fps": (LANDMARKS | {"fps": 1e999}, "expected fps > 0, got inf"),
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


COCO_CSV = (HERE / "walk_coco17.csv").read_text().splitlines()
CUSTOM = {"metadata": {"layout_name": "coco", "video_metadata": {"v": {"w": 640, "h": 480}}}}
POSES = {"v": {"custom": [np.ones((3, 17, 2), np.float32)]}}

FILES = {
    "video.mp4": (b"0000ftyp", "got .mp4"),
    "poses.xls": (b"0000", "as .json, .npz, .npy, .h5, .slp, .csv or a folder, got .xls"),
    "none": (b"", "or keypoints, as .json, .npz, .npy, .h5, .slp, .csv or a folder, got no ending"),
    "cut.json": (b'[{"image_id": 1, "keypo', "expected JSON, got invalid JSON: Unterminated string"),
    "empty.json": (b"", "got invalid JSON: Expecting value: line 1 column 1"),
    "bytes.json": (b"\xff\xfe\x00", "expected JSON in UTF-8, got another encoding"),
    "deep.json": (b"[" * 200_000, "nested too deeply"),
    "cut.npz": (b"PK\x03\x04", "truncated or not an npz file"),
    "other.npz": (npz(a=np.ones(3)), "no entry 'keypoints_px'; the file holds 'a'"),
    "evil.npz": (npz(positions_2d=Evil(), metadata=Evil()), "nothing of it was run"),
    "mpii.npz": (npz(positions_2d=POSES, metadata={"layout_name": "mpii"}), "with the joints mpii ..."),
    "sides.npz": (npz(positions_2d=POSES, metadata={"layout_name": "coco", "keypoints_symmetry":
                  [[4, 5, 6], [1, 2, 3]]}), "keypoints_symmetry as of coco17, its layout_name"),
    "flat.npz": (npz(positions_2d={"v": {"custom": [np.ones((3, 34))]}}, **CUSTOM), "(3, 34)"),
    "boxes.npz": (npz(boxes=np.ones(2), keypoints=np.ones((2, 3)), metadata={"w": 9, "h": 9}),
                  "frame 0: expected keypoints of two classes"),
    "bare.npy": (npy(np.ones((2, 17, 2))), "expected --layout (of 17 joints: h36m17, coco17)"),
    "flat.npy": (npy(np.ones((2, 34))), "expected an array (T, J, 2), or (T, J, 3) with the confidence"),
    "objects.npy": (npy(np.array([{}]), allow_pickle=True), "plain numbers, got objects"),
    "infinite.npy": (npy(np.full((2, 17, 2), np.inf)), "got larger or infinite ones"),
    "text.npy": (npy(np.array(["a"])), "expected an array of numbers, got <U1"),
    "word.txt": (b"0 0.5 x\n", "line 1: expected numbers, got '0 0.5 x'"),
    "box.txt": (b"0 0.5 0.5 0.1 0.1\n", "line 1: expected class, box and 17 joints, got 5 numbers"),
    "large.txt": (b" ".join([b"1e300"] * 56), "expected numbers within 1e+07"),
    "hdf.h5": (b"\x89HDF\r\n\x1a\n", "expected an HDF5 file, got one that cannot be read"),
    "empty.csv": (b"", "expected columns NAME_x and NAME_y of every joint of one layout"),
    "ragged.csv": (b"scorer,a\nbodyparts\ncoords,x\n", "line 2: expected 2 cells, got 1"),
    "header.csv": (b"x,y\n1,2\n", "of one layout (h36m17, coco17,"),
    "bare.csv": (b"1,2,3\n4,5,6\n", "expected columns NAME_x and NAME_y"),
    "no_y.csv": ("\n".join(COCO_CSV).replace("nose_y", "nose_z").encode(), "got none for nose_y"),
    "short.csv": ("\n".join([*COCO_CSV[:2], "1,2"]).encode(), "line 3: expected 52 cells, got 2"),
    "word.csv": ("\n".join(COCO_CSV).replace(",0.9", ",good").encode(), "a number, got 'good'"),
    "frame.csv": ("\n".join([COCO_CSV[0], "x" + COCO_CSV[1][1:]]).encode(), "line 2, frame: "),
}  # fmt: skip


def error_of(path, max_gap=5, **options):
    """The error of reading and preprocessing a file."""
    with pytest.raises(ValueError) as raised:
        preprocess(read_keypoints(path, **options), max_gap)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("what", JSON)
def test_invalid_json(what, tmp_path):
    content, message = JSON[what]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    declared = isinstance(content, dict) and ("images" in content or "image_size" in content)
    assert message in error_of(path, image_size=None if declared else SIZE)


@pytest.mark.parametrize("name", FILES)
def test_invalid_files(name, tmp_path, capsys):
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    error = error_of(tmp_path / name, image_size=SIZE)
    assert error.startswith(f"{tmp_path / name}: ")
    assert message in error
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nowhere.json", {}, "no such file or folder"),
        ("coco_results.json", {"image_size": None}, "does not give its image size: expected --image-size"),
        ("coco_results.json", {"layout": "coco18"}, "the 18 joints of coco18, got 17"),
        ("coco_results.json", {"layout": "coco71"}, "unknown layout 'coco71'; did you mean coco1"),
        ("coco_results.json", {"layout": "h36m17"}, "the layout h36m17: "),
        ("coco_results.json", {"format": "openpos"}, "unknown format 'openpos'; did you mean openpose?"),
        ("coco_results.json", {"format": "openpose"}, "top level: expected an object, got a list"),
        ("coco_results.json", {"person": "5"}, "the id of a person, got '5'; there are 1: 0"),
        ("coco_results.json", {"fps": 0}, "expected fps > 0, got 0"),
        ("coco_results.json", {"image_size": (0, 5)}, "width and height >= 1, got (0, 5)"),
        ("coco_results.json", {"image_size": (90, 90)}, "100% outside, x from"),
        ("openpose_body25", {}, "expected one person, or --person; there are 2: 0 (8 frames"),
        ("openpose_body25", {"format": "coco"}, "expected a file or folder of the given format, got another folder"),
        ("walk_coco17.csv", {"format": "npy"}, "expected an npy file of plain numbers"),
        ("walk_coco17.csv", {"format": "mmpose"}, "expected JSON, got invalid JSON"),
    ],
)
def test_invalid_options(name, options, message):
    assert message in error_of(HERE / name, **({"image_size": SIZE} | options))


def test_folders_without_keypoints(tmp_path):
    message = "expected JSON of OpenPose or MMPose with a frame in each, or images, in the folder, got none"
    assert message in error_of(tmp_path, image_size=SIZE)
    (tmp_path / "a_0_keypoints.json").write_text('{"people": [{"pose_keypoints_2d": [1, 2, "3"]}]}')
    message = "a_0_keypoints.json: people[0].pose_keypoints_2d[2]: expected a number, got text"
    assert message in error_of(tmp_path, image_size=SIZE)
