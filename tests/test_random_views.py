import numpy as np
import pytest
import torch

from prpose.data import inputs_sha256, load_clips, load_motions
from prpose.data.synthetic import Rig
from prpose.data.synthetic.benchmark_file import ARRAYS, path_of, read_card, read_renderings, write_benchmark
from prpose.data.synthetic.random_views import Proportions, RandomCameras, RandomViews
from prpose.data.synthetic.walkers import walker
from prpose.skeleton import H36M_17


@pytest.fixture(scope="module")
def motions():
    return load_motions("walkers", ".", "val")


def batches(views, seed, size=100):
    return list(views.batches(size, (seed, 0)))


def test_seed_fixes_the_batches_and_epochs_differ(motions):
    views = RandomViews(motions, every=10)
    first, again, other = batches(views, 0), batches(views, 0), batches(views, 1)
    for (i, a), (j, b) in zip(first, again, strict=True):
        assert torch.equal(i, j)
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x, y)
    second = list(views.batches(100, (0, 1)))
    rest = list(views.batches(100, (0, 0), start=2))
    assert torch.equal(rest[0][1].keypoints, first[2][1].keypoints)
    assert len(rest) == len(first) - 2
    for one in (other, second):
        assert not torch.equal(first[0][0], one[0][0])
    # Every item once, each time from another side.
    for epoch in (first, second):
        assert torch.cat([i for i, _ in epoch]).sort().values.tolist() == list(range(len(views)))
    by_item = [
        {int(i): x for ids, b in epoch for i, x in zip(ids, b.keypoints, strict=True)} for epoch in (first, second)
    ]
    difference = [float((by_item[0][i] - by_item[1][i]).abs().max()) for i in range(len(views))]
    assert min(difference) > 1e-3


@pytest.mark.parametrize("F", [1, 5])
def test_shapes_and_geometry(F, motions):
    views = RandomViews(motions, F=F, every=30, keypoints="gt")
    (_, batch), *_ = batches(views, 0)
    B = len(batch.clip)
    assert batch.keypoints.shape == (B, F, 17, 2)
    assert batch.target.shape == (B, 1, 17, 3)
    assert not batch.target[:, :, 0].any()
    assert 0.3 < batch.mirrored.float().mean() < 0.7
    # The middle frame's keypoints are the projection of the target, up to the lens.
    points = batch.target[:, 0] + batch.root[:, None]
    plain = points[..., :2] / points[..., 2:] * (1147 / 500)
    assert (batch.keypoints[:, F // 2] - plain).abs().max() < 0.12
    assert (batch.keypoints[:, F // 2] - plain).abs().median() < 0.03
    # y points down, and the head is above the feet.
    assert (batch.target[:, 0, 10, 1] < batch.target[:, 0, 3, 1]).float().mean() > 0.95


def test_the_pose_is_that_of_the_motion(motions):
    """Without changes of body and mirror images: the same distances between joints."""
    views = RandomViews(motions, every=60, proportions=Proportions(0, 0), keypoints="gt")
    for indices, batch in batches(views, 3):
        for k in range(len(indices)):
            motion = motions[int(batch.clip[k])]
            pose = motion.poses_world[int(batch.frame[k])].astype(float)
            if batch.mirrored[k]:
                pose = pose[list(H36M_17.mirror)]
            expected = np.linalg.norm(pose[:, None] - pose[None], axis=-1)
            ours = torch.cdist(batch.target[k, 0], batch.target[k, 0]).numpy()
            assert np.abs(ours - expected).max() < 1e-3


def test_proportions_change_both_sides_alike_and_leave_the_feet_on_the_ground():
    poses = walker("W01", "squat").poses_world[:40].astype(float)[:, None]
    changed = Proportions(0.05, 0.1).change(poses, np.random.default_rng(0))
    parents = H36M_17.parents[1:]
    old, new = (np.linalg.norm(p[:, 0, 1:] - p[:, 0, parents], axis=-1) for p in (poses, changed))
    factor = new / old
    mirror = np.array(H36M_17.mirror)[1:] - 1
    assert np.allclose(factor, factor[:, mirror])
    assert 0.05 < np.log(factor).std() < 0.2
    for p in (poses, changed):
        directions = p[:, 0, 1:] - p[:, 0, parents]
        directions = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        p[:] = 0
        p[:, 0, 1:] = directions
    assert np.allclose(poses, changed)
    source = walker("W01", "squat").poses_world[:40].astype(float)[:, None]
    again = Proportions(0.05, 0.1).change(source, np.random.default_rng(0))
    lowest = [p[..., (3, 6), 2].min(axis=(1, 2)) for p in (source, again)]
    assert np.allclose(*lowest)


def test_exchanged_limbs_move_as_anothers_on_ones_own_body():
    actions = ["squat", "wave", "reach", "sit"]
    poses = np.stack([walker("W01", action).poses_world[60:63].astype(float) for action in actions])
    same = Proportions(0, 0).change(poses, np.random.default_rng(0))
    assert np.allclose(same, poses)
    changed = Proportions(0, 0, exchanged=1.0).change(poses, np.random.default_rng(0))
    parents = H36M_17.parents[1:]
    old, new = (np.linalg.norm(each[:, :, 1:] - each[:, :, parents], axis=-1) for each in (poses, changed))
    assert np.allclose(old, new)
    trunk = [
        j for j, name in enumerate(H36M_17.names) if name.split("_")[-1] not in ("knee", "ankle", "elbow", "wrist")
    ]
    own, now = (each[:, :, trunk] - each[:, :, :1] for each in (poses, changed))
    assert np.allclose(own, now)
    bent = {name: (_bend(poses, *limb), _bend(changed, *limb)) for name, limb in ARM_AND_LEG.items()}
    for before, after in bent.values():
        others = np.abs(after[:, None] - before[None]).max(axis=-1).argmin(axis=1)
        assert np.allclose(after, before[others], atol=1e-6), "angles are those of one of the others"
        assert sorted(others) == [0, 1, 2, 3]
        assert any(others != np.arange(4))


ARM_AND_LEG = {"arm": ("left_shoulder", "left_elbow", "left_wrist"), "leg": ("left_hip", "left_knee", "left_ankle")}


def _bend(poses, *names):
    """Cosine of the angle at the middle joint, (N, F)."""
    a, b, c = (poses[:, :, H36M_17.index(name)] for name in names)
    lengths = np.linalg.norm(b - a, axis=-1) * np.linalg.norm(c - b, axis=-1)
    return ((b - a) * (c - b)).sum(-1) / lengths


def test_detected_keypoints_err_as_the_detector_does(motions):
    kw = {"every": 20, "proportions": Proportions(0, 0), "cameras": RandomCameras(zoom=0)}
    found = batches(RandomViews(motions, **kw), 5)
    truth = batches(RandomViews(motions, keypoints="gt", **kw), 5)
    a, b = found[0][1], truth[0][1]
    for name in ("clip", "mirrored", "root", "target"):
        assert torch.equal(getattr(a, name), getattr(b, name))
    error = (a.keypoints - b.keypoints).norm(dim=-1) * 500
    assert 1 < error.median() < 8
    assert error.quantile(0.99) > 3 * error.median()


def test_invalid_settings_raise(motions):
    for kw, message in [
        ({"motions": []}, "at least one clip"),
        ({"F": 2}, "odd window length, got 2"),
        ({"every": 0}, "got 14 clips and every = 0"),
        ({"keypoints": "cpn"}, "unknown 2D 'cpn'"),
    ]:
        with pytest.raises(ValueError, match=message):
            RandomViews(**({"motions": motions} | kw))
    with pytest.raises(ValueError, match="made of motion capture, got h36m"):
        load_motions("h36m", ".", "train")


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
