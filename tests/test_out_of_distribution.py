"""Frames unlike a model's training data: what they are judged by, and where it shows."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import prpose
from prpose.atomic import read_json
from prpose.card import card_of
from prpose.data import load_clips
from prpose.hub import SHIPPED
from prpose.nets.framed import SIZE, frame_person
from prpose.out_of_distribution import centred, input_measures, is_outside
from prpose.prediction import FLAGS
from prpose.skeleton import H36M_17, mirror_pose
from studies import input_limits, robustness, scenes

WALK = Path(__file__).parents[1] / "examples/walk_openpose"
OUTSIDE, LOW = FLAGS.index("out_of_distribution"), FLAGS.index("low_confidence")
ANYWAY = prpose.InferenceConfig(allow_implausible=True)
UNLIKE = "is unlike the model's training data in frames"


@pytest.fixture(scope="module")
def clip():
    return load_clips("walkers", ".", "test", "gt", actions=("walk",), stride=2)[0]


@pytest.fixture(scope="module")
def model():
    return prpose.load("gaussian-wide")


def turned(clip, degrees):
    """Keypoints of the person turned about the pelvis, in the plane of the image."""
    angle, poses = np.deg2rad(degrees), clip.poses_cam.astype(float)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return clip.camera.project(poses[:, :1] + (poses - poses[:, :1]) @ turn.T)


def described(clip):
    return {"layout": "h36m17", "image_size": (clip.camera.width, clip.camera.height)}


def sentences(prediction):
    return [text for text in prediction.warnings if UNLIKE in text]


@pytest.mark.parametrize("framed", [True, False])
def test_frames_are_judged_as_their_mirror_images(clip, framed):
    x = clip.camera.lifter_input(clip.keypoints_px, framed)
    mirrored = mirror_pose(torch.from_numpy(x), H36M_17.mirror).numpy()
    measures, others = input_measures(x, framed), input_measures(mirrored, framed)
    assert measures.keys() == others.keys() == ({"pose"} if framed else {"pose", "size", "place"})
    for name, values in measures.items():
        assert np.allclose(values, others[name], rtol=1e-6), name


def test_framed_networks_see_the_poses_that_are_judged(clip):
    rays = clip.camera.plane(clip.keypoints_px.astype(float)) + np.array([0.3, -0.2])
    framed, _, _ = frame_person(torch.from_numpy(rays)[:, None])
    off = centred(rays) - centred(rays)[:, :1]
    size = np.linalg.norm(off[:, 1:], axis=-1).mean(1)[:, None, None]
    assert np.allclose(framed[:, 0].numpy(), SIZE * off / size, atol=1e-9)


@pytest.mark.parametrize("name", ["gaussian-wide", "gaussian-cmu17", "mgcn-cmu17", "temporal-cmu17", "graphmlp-cmu17"])
@pytest.mark.filterwarnings("ignore")
def test_a_usual_walk_is_inside_and_a_person_on_the_head_is_not(name, clip):
    model = prpose.load(name)
    usual = model(prpose.read_keypoints(WALK, image_size=(1000, 1002), fps=30), 2)
    assert not sentences(usual)
    assert not (usual.flags == OUTSIDE).any()
    for degrees in (90, 180):
        found = model(turned(clip, degrees)[:8], 2, config=ANYWAY, fps=30, **described(clip))
        (text,) = sentences(found)
        assert f"{UNLIKE} 0-7; expect larger errors, which the spread may not show" in text
        assert (found.flags == OUTSIDE).all()


def test_only_detected_joints_of_frames_outside_are_flagged(clip, model):
    xy, confidence = clip.keypoints_px[:12].copy(), np.ones((12, 17))
    xy[4:9] = turned(clip, 180)[4:9]
    confidence[6, 13] = 0.1
    with pytest.warns(UserWarning, match=f"^the pose {UNLIKE} 4-8; expect larger errors"):
        found = model(xy, 2, confidence=confidence, config=replace(ANYWAY, keep_sides=True), **described(clip))
    expected = np.zeros((12, 17))
    expected[4:9], expected[6, 13] = OUTSIDE, LOW
    assert (found.flags == expected).all()
    assert found.to_columns()["flag"][4 * 17] == "out_of_distribution"


@pytest.mark.filterwarnings("ignore")
def test_cards_without_limits_judge_nothing(clip, model):
    content = read_json(SHIPPED / "gaussian-wide" / "card.json")
    del content["input_limits"]
    old = replace(model, card=card_of(content))
    found = old(
        turned(clip, 90)[:4], 2, config=prpose.InferenceConfig(allow_implausible=True, fov_deg=50), **described(clip)
    )
    assert not sentences(found)
    assert not found.flags.any()
    assert not is_outside(clip.camera.plane(turned(clip, 90)), True, content).any()


@pytest.mark.parametrize("limits", [{"largest_pose": -1.0}, {"largest_pose": np.nan}, {"largest_hand": 1.0}])
def test_limits_out_of_range_are_refused(limits):
    content = read_json(SHIPPED / "gaussian-wide" / "card.json")
    with pytest.raises(ValueError, match="expected input_limits > 0 of largest_pose, smallest_size"):
        card_of(content | {"input_limits": limits})


def test_size_and_place_count_where_the_whole_image_is_seen(clip):
    card = read_json(SHIPPED / "mgcn-cmu17" / "card.json")
    x = clip.camera.lifter_input(clip.keypoints_px, False)
    assert not is_outside(x, False, card).any()
    for other in (3 * x, x / 4, x + np.array([1.5, 0])):
        assert is_outside(other, False, card).all()


def test_a_stream_tells_of_each_frame_without_python_warnings(clip, model):
    stream = model.stream(num_samples=2, config=replace(ANYWAY, keep_sides=True), **described(clip))
    found = [stream(xy) for xy in (clip.keypoints_px[0], turned(clip, 180)[1], clip.keypoints_px[2])]
    assert [len(sentences(each)) for each in found] == [0, 1, 0]
    assert [int(each.flags.max()) for each in found] == [0, OUTSIDE, 0]


def test_limits_leave_one_in_200_validation_frames_outside(tmp_path, capsys):
    for name in ("gaussian-wide", "mgcn-cmu17"):
        folder = tmp_path / name
        shutil.copytree(SHIPPED / name, folder)
        limits = input_limits.main((str(folder),), data="walkers", number=1000)[str(folder)]
        card = card_of(read_json(folder / "card.json"))
        assert card.input_limits == limits
        assert str(limits) in capsys.readouterr().out
        framed = name == "gaussian-wide"
        x = input_limits.inputs_of(card, framed, "walkers", Path(), 1000, seed=1)
        assert is_outside(x, framed, {"input_limits": limits}).mean() < 0.012
    assert input_limits.trained_with(prpose.load("gaussian-wide").card) == pytest.approx([0.5, 0.4, 0.5])


def test_a_child_is_more_wrong_than_uncertain_and_a_fall_is_noticed(capsys):
    conditions = "unchanged", "distance × 2", "child", "upside down"
    given = {"data": "walkers", "every": 240, "num_samples": 10, "conditions": conditions}
    rows = robustness.main(Path(), ("gaussian-wide",), **given)["gaussian-wide"]
    values = {name: dict(zip(robustness.HEADS, row, strict=True)) for name, row in rows.items()}
    usual, child, fallen = (values[name] for name in ("unchanged", "child", "upside down"))
    assert values["distance × 2"]["P1"] == pytest.approx(usual["P1"], rel=0.1)
    assert child["P1"] > 1.5 * usual["P1"]
    assert child["95 %"] < 60 < usual["95 %"]
    assert fallen["spread"] > 1.5 * usual["spread"]
    assert (usual["outside"], fallen["outside"]) == (0, 100)
    assert values["all frames outside"]["P1"] > values["all frames inside"]["P1"]
    assert "rank correlation of spread and P1 over the conditions" in capsys.readouterr().out


def test_conditions_change_what_they_say():
    scene = scenes.scene_of("walkers", Path(), "test", 240)
    rng = np.random.default_rng(0)
    changed = {name: change(scene, rng) for name, change in scenes.CONDITIONS.items()}
    for degrees in (-45, -20, 20, 45):
        found = changed[f"pitch {degrees}°"]
        ray = found.pelvis / np.linalg.norm(found.pelvis, axis=-1, keepdims=True)
        assert np.allclose(np.rad2deg(np.arcsin(-(ray * found.up).sum(-1))), degrees)
        assert np.allclose(found.pelvis, scene.pelvis)
    assert np.allclose(changed["distance × 4"].pelvis, 4 * scene.pelvis)
    aside = changed["off-centre"]
    x = aside.pelvis[:, 0] / aside.pelvis[:, 2] * aside.focal[:, 0] + aside.centre[:, 0]
    assert np.allclose(np.abs(x / aside.size[:, 0] * 2 - 1), 0.85)
    bones = [np.linalg.norm(s.poses[:, :, 3] - s.poses[:, :, 2], axis=-1) for s in (scene, changed["child"])]
    assert np.allclose(bones[1] / bones[0], 0.65 * 0.93)
    for name in ("lying on the floor", "upside down", "child", "tall"):
        heights = [np.einsum("nftj,nj->nft", s.poses, s.up).min((1, 2)) for s in (scene, changed[name])]
        assert np.allclose(*heights), name
    head = [np.einsum("nj,nj->n", s.poses[:, 4, 10] - s.pelvis, s.up) for s in (scene, changed["upside down"])]
    assert np.allclose(head[0], -head[1])
