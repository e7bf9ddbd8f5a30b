import numpy as np
import pytest

from prpose.data import inputs_sha256, load_clips, load_motions
from prpose.data.synthetic import Rig
from prpose.data.synthetic.benchmark_file import ARRAYS, path_of, read_card, read_renderings, write_benchmark
from prpose.data.synthetic.walkers import walker


@pytest.fixture(scope="module")
def renderings():
    render = Rig().render
    return {
        "train": [render(walker("W01", "wave"), "x"), render(walker("W02", "run"), "x")],
        "test": [render(walker("W03", "sit"), "x")],
    }


@pytest.fixture
def root(tmp_path, renderings):
    write_benchmark(path_of(tmp_path, "mine"), renderings, {"note": "made up", "list": [1, 2]})
    return tmp_path


def test_round_trip(root, renderings):
    path = path_of(root, "mine")
    assert read_card(path) == {"note": "made up", "list": [1, 2]}
    for split in ("train", "val", "test"):
        read = read_renderings(path, split)
        assert len(read) == len(renderings.get(split, []))
        for ours, original in zip(read, renderings.get(split, []), strict=True):
            for name in ("name", "subject", "action", "fps"):
                assert getattr(ours.motion, name) == getattr(original.motion, name)
            assert np.array_equal(ours.motion.poses_world, original.motion.poses_world)
            assert ours.cameras == original.cameras
            for name in ("detected_px", "confidence", "hidden"):
                assert np.array_equal(getattr(ours, name), getattr(original, name))


def test_the_same_content_gives_the_same_bytes(root, renderings):
    write_benchmark(path_of(root, "again"), renderings, {"list": [1, 2], "note": "made up"})
    assert path_of(root, "again").read_bytes() == path_of(root, "mine").read_bytes()


def test_file_has_no_pickle(root):
    with np.load(path_of(root, "mine"), allow_pickle=False) as file:
        assert {"format", "card", *ARRAYS} == set(file.files)
        for key in file.files:
            assert not file[key].dtype.hasobject


def test_benchmark_loads_by_its_name(root):
    clips = load_clips("mine", root, "train", actions=("run",), stride=3)
    assert [(clip.subject, clip.camera_index, len(clip)) for clip in clips] == [("W02", i, 80) for i in range(4)]
    assert [motion.name for motion in load_motions("mine", root, "test")] == ["W03_sit"]
    for kw, message in [
        ({"name": "yours"}, "unknown data set 'yours'"),
        ({"split": "tests"}, "unknown split of mine 'tests'; did you mean test"),
        ({"keypoints": "cpn"}, "unknown 2D of data_mine.npz 'cpn'"),
        ({"actions": ("fly",)}, "train: no action 'fly'; there are wave, run"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_clips(**({"name": "mine", "root": root, "split": "train"} | kw))
    with pytest.raises(ValueError, match=r"data_cmu17\.npz: no such file"):
        load_clips("cmu17", root, "test")


def spoil_position(cameras):
    return np.where(np.arange(18) < 15, cameras, -9e5 * (np.arange(18) == 17))


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("format", lambda x: x + 1, "expected format 1, got 2; prepare it again"),
        ("clip_length", lambda x: x[:1], r"expected "),
        ("clip_length", lambda x: x + 1, r"expected poses_world .* \(723, 17, 3\)"),
        ("poses_world", lambda x: x[:, :16], r"expected poses_world of kind f"),
        ("score", lambda x: x[:, :9], r"expected score of kind f and shape \(4, 720, 17\)"),
        ("hidden", lambda x: x.astype(int), "expected hidden of kind b"),
        ("clip_cameras", lambda x: x[..., :17], "expected clip_cameras"),
        ("poses_world", lambda x: x * np.nan, r"mine\.npz: clip W01_wave: expected finite 3D"),
        ("clip_fps", lambda x: x * 0, r"mine\.npz: clip W01_wave: expected a frame rate > 0"),
        ("clip_name", lambda x: None, "no entry 'clip_name'"),
        ("clip_length", lambda x: x.astype("U"), "expected clip_length of kind i"),
        ("clip_length", lambda x: x[0], "expected clip_length of kind i"),
        ("clip_length", lambda x: x + np.array([-x[0], 0, x[0]]), "at least one frame in each clip"),
        ("clip_split", lambda x: np.array(["train", "exam", "test"]), "val, test, got 'exam'"),
        ("clip_cameras", lambda x: x * np.inf, "expected finite cameras"),
        ("clip_cameras", lambda x: x * 1e300, "expected finite cameras"),
        ("poses_world", lambda x: x + np.float32(1e38), "expected 3D within 100000 metres, got 1e"),
        ("clip_cameras", spoil_position, "expected all joints 0.1 m in front of camera 0, got one at -"),
        ("clip_cameras", lambda x: x * (np.arange(18) > 1), "expected image sizes >= 1"),
        ("clip_cameras", lambda x: x[:, :0], r"expected detected_px of kind f and shape \(0, 720"),
        ("detected_px", lambda x: x + np.inf, "expected finite detected_px"),
        ("detected_px", lambda x: x + np.float32(1e9), "expected finite detected_px"),
        ("score", lambda x: x * np.nan, "expected scores from 0 to 1"),
        ("score", lambda x: x + 1, "expected scores from 0 to 1"),
        ("detected_px", lambda x: x.astype(float) + 1e300, "expected finite detected_px"),
        ("clip_cameras", lambda x: x * (np.arange(18) != 3), "expected focal lengths > 0"),
        ("clip_cameras", lambda x: x * np.r_[[1.0] * 11, [10.0] * 4, [1.0] * 3], "unit quaternion"),
        ("clip_subject", lambda x: x[[0, 1, 0]], "expected each subject in one split"),
    ],
)
def test_damaged_files_raise(key, change, message, root):
    path = path_of(root, "mine")
    with np.load(path) as file:
        content = dict(file)
    content[key] = change(content[key])
    np.savez(path, **{k: v for k, v in content.items() if v is not None})
    with pytest.raises(ValueError, match=message):
        load_clips("mine", root, "train")


@pytest.mark.parametrize(
    ("card", "message"),
    [("[1, 2]", "a JSON object, got list"), ("{", "expected JSON"), ("[" * 5000, "expected JSON"),
     ("{}", "expected inputs_sha256 in it, got None")],
)  # fmt: skip
def test_damaged_cards_raise(card, message, root):
    path = path_of(root, "mine")
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **(content | {"card": np.array(card)}))
    with pytest.raises(ValueError, match=rf"mine\.npz: card: .*{message}"):
        inputs_sha256("mine", root, "det")
    assert inputs_sha256("walkers", root, "det") == ""


def test_failed_write_leaves_nothing(tmp_path, renderings):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_benchmark(path_of(tmp_path, "mine"), renderings, {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []
