"""The data pipeline against golden/digest, and the errors of broken files."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from prpose.camera import Camera
from prpose.data import Clip, load_clips
from prpose.data.clip import confidence_rank_correlation, count, detector_errors
from prpose.data.release_files import _fraction
from prpose.data.windows import Windows
from prpose.skeleton import H36M_17, mirror_pose
from tests.golden_numbers import GOLDEN, arrays, table

DIGESTS = [name for name in table("digest/digest.json") if name != "deterministic_random"]
MIRRORED_CAMERA = np.array([1, 1, -1, 1, 1, 1, 1, -1, 1])
"""How the release mirrors a camera: centre x, and the coefficient its projection pairs with x."""


@pytest.mark.parametrize("name", DIGESTS)
def test_digest(name):
    golden, case = arrays(f"digest/{name}.npz"), table("digest/digest.json")[name]
    options = case["options"]
    keypoints = options.get("k") or ("gt" if name.endswith("gt") else "hrnet_coco")
    part = {
        "actions": (options.get("a", "*"),),
        "stride": int(options.get("downsample", 1)),
        "subset": float(options.get("subset", 1)),
    }
    clips = load_clips(name.split("_")[0], GOLDEN / "data", case["split"], keypoints, **part)
    assert len(clips) == case["sequences"]
    windows = Windows(clips, mirrored=case["split"] == "train")
    assert len(windows) == case["items"]
    items = windows[torch.arange(len(windows))]
    of_item = [clips[i] for i in items.clip]
    for field, key in (("subject", "item_subject"), ("action", "item_action"), ("camera_index", "item_camera")):
        assert [getattr(clip, field) for clip in of_item] == golden[key].tolist()
    assert items.frame.tolist() == golden["item_frame"].tolist()
    assert items.mirrored.tolist() == golden["item_flip"].tolist()

    some = windows[torch.from_numpy(golden["index"])]
    poses = some.target.clone()
    poses[:, :, 0] = some.root[:, None]
    assert np.abs(poses.numpy() - golden["gt_3D"]).max() < 3e-6
    expected = golden["input_2D"]
    expected = expected[:, 0] if expected.ndim == 5 else expected
    assert np.abs(some.keypoints.numpy() - expected).max() < 3e-6
    cameras = np.stack([clips[i].camera.intrinsics() for i in some.clip])
    cameras[some.mirrored.numpy()] *= MIRRORED_CAMERA
    assert np.abs(cameras - golden["camera"]).max() < 3e-6


def test_mirrored_test_inputs_are_the_golden_ones():
    golden = arrays("digest/h36m_test_cpn.npz")["input_2D"]
    mirrored = mirror_pose(torch.from_numpy(golden[:, 0]), H36M_17.mirror)
    assert np.abs(mirrored.numpy() - golden[:, 1]).max() < 1e-7


def test_clips_do_not_keep_the_whole_file_in_memory():
    for clip in (*load_clips("h36m", GOLDEN / "data", "test", "gt"), *load_clips("walkers", ".", "val", stride=7)):
        arrays = (clip.keypoints_px, clip.poses_cam, clip.confidence, clip.hidden)
        assert all(array.flags.owndata and array.flags.writeable for array in arrays if array is not None)


def test_subset_starts_where_the_release_starts():
    for most, value, length in table("digest/digest.json")["deterministic_random"]["rows"]:
        assert int(_fraction(length) * (most + 1)) == value


def test_windows_repeat_the_ends_of_clips():
    clips = load_clips("h36m", GOLDEN / "data", "test", keypoints="gt", actions=("Walking",))
    one, five = Windows(clips), Windows(clips, F=5)
    T = len(clips[0])
    for t in (0, 1, T - 1, T):  # T is the next clip's first frame
        first, last = (0, T - 1) if t < T else (T, T + len(clips[1]) - 1)
        rows = [min(max(t + offset, first), last) for offset in range(-2, 3)]
        expected = one[torch.tensor(rows)].keypoints[:, 0]
        assert torch.equal(five[t].keypoints[0], expected)
        assert torch.equal(five[t].target, one[t].target)


def test_batches_visit_every_item_once():
    clips = load_clips("3dhp", GOLDEN / "data", "test")
    windows = Windows(clips, mirrored=True)
    in_order = torch.cat([indices for indices, _ in windows.batches(50)])
    assert in_order.tolist() == list(range(len(windows)))
    shuffled = [indices for indices, _ in windows.batches(50, (0, 1))]
    assert torch.cat(shuffled).tolist() != in_order.tolist()
    assert sorted(torch.cat(shuffled).tolist()) == in_order.tolist()
    for start in (1, 3):
        rest = [indices for indices, _ in windows.batches(50, (0, 1), start)]
        assert torch.equal(torch.cat(rest), torch.cat(shuffled[start:]))


def plain(name):
    with np.load(GOLDEN / "data" / f"{name}.npz", allow_pickle=True) as file:  # our own file
        return {key: file[key].item() for key in file.files}


NAMES = {"h36m": ("data_3d_h36m", "data_2d_h36m_cpn_ft_h36m_dbb"), "3dhp": ("data_3d_3dhp", "data_2d_3dhp_hrnet_coco")}


def set_camera(which, value):
    """Damage to camera 0 of the first action of the 3D (0) or 2D (1), or to all of the action's only array."""

    def damage(*contents, s, a):
        actions = contents[which][s]
        old = actions[a][0] if isinstance(actions[a], list) else actions[a]
        new = value(old.copy()) if callable(value) else value
        actions[a] = [new, *actions[a][1:]] if isinstance(actions[a], list) else new

    return damage


def spoil(place, value):
    return lambda array: (array.__setitem__(place, value), array)[1]


ODD_ARRAYS = [
    (["left"], "expected 2D as an array of numbers, got list"),
    (None, "got NoneType"),
    (lambda x: x.tolist(), "got list"),
    (lambda x: x.astype(complex), "got complex"),
    (lambda x: x > 0, "got bool"),
    (lambda x: x.astype(str), "got <U"),
    (lambda x: x[:0], "T > 0, got (0, 17, 2)"),
    (lambda x: np.asarray(3.0), "T > 0, got ()"),
    (lambda x: np.full(x.shape, 1e39), "NaN or infinity in frame 0"),
    (lambda x: x[:, :16], "(T, 17, 2), T > 0, got ("),
    (lambda x: x[:20], "expected at least"),
    (spoil((7, 3), np.nan), "NaN or infinity in frame 7"),
]


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda p, k, s, a: p.pop(s), ("data_3d_", "no subject", "the file has")),
        (lambda p, k, s, a: k[s].pop(a), ("data_2d_", "no action", "subject")),
        (lambda p, k, s, a: k[s][a].pop(), ("data_2d_", "subject", "action", "expected", "cameras", "got")),
        *((set_camera(1, value), ("data_2d_", "action", "camera 0", part)) for value, part in ODD_ARRAYS),
        *((set_camera(0, value), ("data_3d_", "action")) for value, _ in ODD_ARRAYS[:9]),
        (set_camera(0, lambda x: x[:, :5]), ("data_3d_", "action", "expected 3D of shape (T, ", "5, 3)")),
        (set_camera(0, spoil((7, 0), np.inf)), ("data_3d_", "action", "expected finite 3D", "infinity in frame 7")),
        (lambda p, k, s, a: p.update({s: [1]}), ("data_3d_", "expected positions_3d = {subject: {action: ...}}")),
        (lambda p, k, s, a: k[s].update({a: {"camera": 1}}), ("data_2d_", "an array per camera, got dict")),
        (lambda p, k, s, a: k[s].update({a: 3}), ("data_2d_", "an array per camera, got int")),
        (lambda p, k, s, a: [c[s].update({7: c[s].pop(a)}) for c in (p, k)], ("data_3d_", "names as text")),
        (lambda p, k, s, a: [c[s].clear() for c in (p, k)], ("data_3d_", "no action '*'", "there are none")),
    ],
)
def test_broken_files_raise_with_file_action_and_camera(dataset, damage, parts, tmp_path):
    name_3d, name_2d = NAMES[dataset]
    content_3d, content_2d = plain(name_3d), plain(name_2d)
    poses, keypoints = content_3d["positions_3d"], content_2d["positions_2d"]
    subject = "S9" if dataset == "h36m" else "TS3"
    damage(poses, keypoints, s=subject, a=next(iter(keypoints[subject])))
    np.savez(tmp_path / f"{name_3d}.npz", **content_3d)
    np.savez(tmp_path / f"{name_2d}.npz", **content_2d)
    with pytest.raises(ValueError) as error:
        load_clips(dataset, tmp_path, "test")
    assert [part for part in parts if part not in str(error.value)] == []


def test_bad_requests_raise():
    root = GOLDEN / "data"
    for kw, message in [
        ({"name": "h36n"}, r"unknown data set 'h36n'; did you mean h36m\?"),
        ({"split": "tests"}, r"unknown split of h36m 'tests'; did you mean test\?"),
        ({"keypoints": "sh"}, r"data_2d_h36m_sh.npz: no such file"),
        ({"actions": ("Flying",)}, r"subject S9: no action 'Flying'; there are Walking, Directions, SittingDown$"),
        ({"actions": ("Walking", "Flying")}, "subject S9: no action 'Flying'"),
        ({"subset": 1e-6}, "leave a frame of each clip, got 1e-06 and 1, which leave none of"),
        ({"stride": 0}, "expected stride >= 1, got 0"),
        ({"subset": 1.5}, r"expected subset in \(0, 1\], got 1.5"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_clips(**{"name": "h36m", "root": root, "split": "test"} | kw)
    with pytest.raises(ValueError, match="at least one clip"):
        Windows([])
    with pytest.raises(ValueError, match="odd window length, got 4"):
        Windows(load_clips("3dhp", root, "test"), F=4)


def test_wrong_number_of_joints_in_metadata_raises(tmp_path):
    (tmp_path / "data_3d_h36m.npz").symlink_to(GOLDEN / "data/data_3d_h36m.npz")
    content = plain("data_2d_h36m_gt")
    for joints, message in [(16, "num_joints = 17 in its metadata, got 16"), (np.arange(3), "got array")]:
        content["metadata"]["num_joints"] = joints
        np.savez(tmp_path / "data_2d_h36m_gt.npz", **content)
        with pytest.raises(ValueError, match=rf"data_2d_h36m_gt\.npz: .*{message}"):
            load_clips("h36m", tmp_path, "test", "gt")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"layout_name": "coco"}, "expected the layout h36m, got 'coco' in its metadata; pass 2D in Human3.6M's order"),
        ({"keypoints_symmetry": [[1, 3], [2, 4]]}, "expected keypoints_symmetry of Human3.6M's joints"),
        ({"keypoints_symmetry": None}, "expected keypoints_symmetry of Human3.6M's joints"),
    ],
)
def test_2d_in_another_order_is_refused(metadata, message, tmp_path):
    (tmp_path / "data_3d_h36m.npz").symlink_to(GOLDEN / "data/data_3d_h36m.npz")
    content = plain("data_2d_h36m_gt")
    content["metadata"].update(metadata)
    np.savez(tmp_path / "data_2d_h36m_gt.npz", **content)
    with pytest.raises(ValueError, match=rf"data_2d_h36m_gt\.npz: {message}"):
        load_clips("h36m", tmp_path, "test", "gt")


@pytest.mark.parametrize("unit", [0.01, 100, 1000])
def test_3d_in_another_unit_is_refused(unit, tmp_path):
    (tmp_path / "data_2d_h36m_gt.npz").symlink_to(GOLDEN / "data/data_2d_h36m_gt.npz")
    poses = plain("data_3d_h36m")["positions_3d"]
    scaled = {subject: {action: each * unit for action, each in own.items()} for subject, own in poses.items()}
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=scaled)
    with pytest.raises(ValueError, match=r"h36m: subject S9, action .* expected legs of 0.3 to 1.4 m, got .* metres"):
        load_clips("h36m", tmp_path, "test", "gt")


def test_clip_rejects_mismatched_arrays():
    keypoints, poses = np.zeros((4, 17, 2), np.float32), np.zeros((4, 17, 3), np.float32)
    for bad, message in [
        ((keypoints[:3], poses), r"expected 3D poses of \(3, 17\), got \(4, 17\)"),
        ((keypoints[:, :5], poses), r"3D poses of shape \(T, 5, 3\), T > 0, got \(4, 17, 3\)"),
        ((keypoints, poses + np.nan), "finite 3D poses, got NaN or infinity in frame 0"),
        ((keypoints[0], poses), r"2D keypoints of shape"),
    ]:
        with pytest.raises(ValueError, match=rf"subject S, action 'a', camera 2: .*{message}"):
            Clip(*bad, Camera(10, 10), "S", "a", 2)


def test_3dhp_without_cameras_raises(tmp_path):
    (tmp_path / "data_2d_3dhp_gt.npz").symlink_to(GOLDEN / "data/data_2d_3dhp_gt.npz")
    content = plain("data_3d_3dhp")
    actions = content["positions_3d"]["TS3"]
    for value, message in [(actions["Seq1"][0], "frames"), ([], "got none")]:
        actions["Seq1"] = value
        np.savez(tmp_path / "data_3d_3dhp.npz", **content)
        with pytest.raises(ValueError, match=rf"data_3d_3dhp.*TS3.*at least one camera.*{message}"):
            load_clips("3dhp", tmp_path, "test", "gt")


@pytest.fixture(scope="module")
def clips():
    return load_clips("walkers", ".", "test", stride=5)


def test_counts_by_hand(clips):
    counts = count(clips)
    assert len(counts) == 3 * 7
    assert counts["W15", "sit"] == (4, 4 * 48)
    golden = count(load_clips("h36m", GOLDEN / "data", "test"))
    assert sum(frames for _, frames in golden.values()) == 1000
    assert ("S9", "Walking") in golden


def test_errors_of_the_detector(clips):
    truth = load_clips("walkers", ".", "test", "gt", stride=5)
    rows = detector_errors(clips)
    assert [row.joint for row in rows] == [*H36M_17.names, "all"]
    pairs = zip(clips, truth, strict=True)
    error = np.concatenate([np.linalg.norm(a.keypoints_px - b.keypoints_px, axis=-1) for a, b in pairs])
    hidden = np.concatenate([clip.hidden for clip in clips])
    wrist = rows[H36M_17.index("left_wrist")]
    assert wrist.visible == pytest.approx(np.percentile(error[~hidden[:, 13], 13], [50, 90, 99]), 1e-3)
    assert wrist.hidden == pytest.approx(np.percentile(error[hidden[:, 13], 13], [50, 90, 99]), 1e-3)
    assert rows[-1].mean == pytest.approx(error.mean(), 1e-3)
    assert rows[-1].hidden_share == pytest.approx(hidden.mean())
    confidence = np.concatenate([clip.confidence for clip in clips])
    expected = spearmanr(error.ravel(), confidence.ravel()).statistic
    assert confidence_rank_correlation(clips) == pytest.approx(expected, abs=1e-3)
    for row in rows:  # hidden joints are worse, each of them
        assert row.hidden is None or row.hidden[0] > 1.5 * row.visible[0]
    assert max(row.mean for row in detector_errors(truth)) < 1e-2
    assert confidence_rank_correlation(truth) is None


def test_no_errors_without_cameras_or_occlusion():
    assert detector_errors(load_clips("3dhp", GOLDEN / "data", "test")) == []
    assert detector_errors([]) == []
