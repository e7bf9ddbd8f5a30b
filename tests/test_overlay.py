"""Overlays: what is drawn lies where it should, in the colours of its side, at the video's times."""

import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageColor

import prpose
from prpose.data import load_clips
from prpose.io.detector import run_detector
from prpose.io.keypoints import people_from
from prpose.io.overlay import BONE_CHAINS, JOINT_COLOURS, SIDE_COLOURS, Canvas, Scene, check_overlay, write_overlay
from prpose.io.video import open_video, read_photo
from prpose.skeleton import H36M_17
from prpose.view import draw_columns, draw_samples
from tests.golden_numbers import GOLDEN
from tests.videos import BODY, Finder, picture, write_png, write_video

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of the implausible body, and assumed intrinsics


def predict(path, num_samples=5):
    (keypoints,) = people_from(run_detector(open_video(path), Finder()))
    return prpose.load("mgcn-cmu17")(keypoints, num_samples=num_samples)


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A video at uneven times, without a person in its last frame, and its prediction."""
    times = np.cumsum(np.tile([0.03, 0.05, 0.04], 4)) - 0.03
    images = [picture(140 + 3 * t, colour=None if t == 11 else "white") for t in range(12)]
    path = write_video(tmp_path_factory.mktemp("walk") / "walk.mp4", images, times)
    return path, predict(path), times


def near(image, place, side):
    """Share of the 25 pixels around a place that have the colour of a side rather than grey."""
    x, y = np.round(place).astype(int)
    part = np.asarray(image)[y - 2 : y + 3, x - 2 : x + 3].astype(int)
    return (np.abs(part - ImageColor.getrgb(SIDE_COLOURS[side])).max(axis=-1) < 90).mean()


@pytest.fixture
def canvas():
    return Canvas(Image.new("RGB", (80, 60)))


def drawn(canvas):
    return np.asarray(canvas.image.reduce(2)).astype(int)


def bone(start, end):
    """A pose of which one bone, from hip to knee, is visible."""
    return np.array([[np.nan] * 2, start, end, *[[np.nan] * 2] * 14])


@pytest.mark.parametrize("width", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("way", [(40, 0), (0, 30), (30, 20), (-30, 20)])
def test_a_bone_covers_the_pixels_near_its_segment(width, way, canvas):
    """Against the distance of every pixel's centre from the segment."""
    start = np.array([20.0 if way[0] > 30 else 40.0, 15.0])
    canvas.bones(bone(start, start + way), width, colour="#ffffff")
    image = drawn(canvas)[..., 0]
    points = np.stack(np.mgrid[:60, :80][::-1], axis=-1) + 0.5 - start
    along = np.clip((points @ way) / np.dot(way, way), 0, 1)
    away = np.linalg.norm(points - along[..., None] * np.array(way), axis=-1)
    assert not image[away > width / 2 + 1.5].any()
    assert (image[(away < width / 2 - 1) & (along > 0.05) & (along < 0.95)] == 255).all()
    assert len(np.unique(image)) > 2 or 0 in way  # smooth edges


def test_limbs_are_the_bones_in_their_colours():
    bones = {(joint, parent): limb[0] for limb in BONE_CHAINS for joint, parent in pairwise(limb)}
    assert sorted(bones) == sorted(H36M_17.bones)
    assert all(JOINT_COLOURS[end] == JOINT_COLOURS[joint] for (joint, _), end in bones.items())


def test_only_the_part_with_the_person_is_drawn_finely(walk, monkeypatch):
    _, prediction, _ = walk
    scene, moved = Scene(prediction, 320, 240), []
    for shift in (0, -150, 150, 10_000):  # inside the image, across its edges, and far away
        scene.prediction = replace(prediction, samples=None, keypoints_px=prediction.keypoints_px + np.float32(shift))
        moved.append((scene.prediction, np.asarray(scene.draw(picture(), 3))))
    monkeypatch.setattr("prpose.io.overlay._box", lambda xy, margin, width, height: (0, 0, width, height))
    for scene.prediction, image in moved:
        assert np.array_equal(np.asarray(scene.draw(picture(), 3)), image)
    assert not np.array_equal(moved[0][1], moved[-1][1])


@pytest.mark.parametrize("far", [1e6, 1e12, np.nan, np.inf, -np.inf])
def test_points_far_outside_are_left_out(far, canvas):
    canvas.bones(bone((40.0, 30.0), (far, 30.0)), 2.0)
    canvas.joint(np.array([far, 30.0]), 3, "white", False)
    assert not drawn(canvas).any()
    canvas.bones(bone((40.0, 30.0), (1000.0, 30.0)), 2.0, colour="#ffffff")
    assert drawn(canvas)[29:31, 45:].min() > 120


def test_flagged_joints_are_rings(canvas):
    for x, is_flagged in ((20.0, False), (50.0, True)):
        canvas.joint(np.array([x, 30.0]), 4, "#ff0000", is_flagged)
    assert drawn(canvas)[30, [20, 50, 57]].tolist() == [[255, 0, 0], [255, 255, 255], [255, 0, 0]]


def test_the_skeleton_lies_on_the_person_and_left_is_left(walk, tmp_path):
    path, prediction, times = walk
    write_overlay(open_video(path), prediction, tmp_path / "over.mp4")
    frames = list(open_video(tmp_path / "over.mp4").frames())
    assert len(frames) == 12
    assert np.allclose([frame.time_s for frame in frames], times - times[0], atol=1e-3)
    assert frames[0].image.shape == (480, 640 + 240, 3)
    for t in (0, 5, 10):
        centre = np.array([139.5 + 3 * t, 119.5])
        for side, knee, ankle in (("left", 13, 15), ("right", 14, 16)):
            shin = (BODY[knee] + BODY[ankle]) / 2 + centre
            assert near(frames[t].image, shin * 2, side) > 0.3, (t, side)
    absent = frames[11].image[20:440, :640]  # but for the time, which is written below
    assert np.abs(absent.astype(int) - 80).max() < 40


def test_views_show_the_pose_of_the_prediction(walk):
    """A place on both shins, in both views, by hand."""
    _, prediction, _ = walk
    scene = Scene(prediction, 320, 240)
    image = scene.draw(picture(), 3)
    assert (scene.scale, image.size) == (2, (640 + 240, 480))
    for row, axes in enumerate([(0, 1), (2, 1)]):
        for side in ("left", "right"):
            knee, ankle = (prediction.pose[3, H36M_17.index(f"{side}_{part}")] for part in ("knee", "ankle"))
            place = np.array([640, 240 * row]) + 120 + (0.6 * knee + 0.4 * ankle)[list(axes)] * scene.per_metre
            assert near(image, place, side) > 0.2 or (row, side) == (1, "right"), (axes, side)  # behind the left leg
    assert scene.per_metre * np.abs(prediction.pose).max() < 120


def test_a_photo_has_a_png_overlay_and_a_failed_one_leaves_the_old_file(tmp_path):
    path, over = write_png(tmp_path / "photo.png", picture()), tmp_path / "over.png"
    prediction = predict(path)
    write_overlay(open_video(path), prediction, over)
    image = read_photo(over)[0]
    assert image.shape == (480, 880, 3)
    assert near(image, ((BODY[13] + BODY[15]) / 2 + (159.5, 119.5)) * 2, "left") > 0.3
    before = over.read_bytes()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="expected a photo"):
        write_overlay(open_video(path), prediction, over, overwrite=True)
    assert over.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"over.png", "photo.png"}


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (None, "o.mp4", "expected a photo or video to draw the overlay on, got keypoints"),
        ("camera", "o.mp4", "got a camera, which cannot be read twice"),
        ("photo", "o.mp4", r"expected \.png for the overlay of a photo, got '\.mp4'"),
        ("folder", "o.png", r"expected \.mp4 or \.mov or \.mkv for the overlay of a folder, got '\.png'"),
        ("video", "there.mp4", "exists already"),
    ],
)
def test_overlays_that_cannot_be_written_are_errors(kind, name, message, tmp_path):
    (tmp_path / "there.mp4").touch()
    with pytest.raises(ValueError, match=message):
        check_overlay(kind, tmp_path / name, overwrite=False)


def check_drawn(path):
    """Something is drawn, not everything, and both sides have their colour."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert 0.005 < (picture < 128).any(axis=2).mean() < 0.5
    for colour in ((31, 119, 180), (255, 127, 14)):  # left and right
        assert (abs(picture - colour) < 12).all(axis=2).sum() > 100


@pytest.mark.parametrize("name", ["h36m", "3dhp"])
def test_samples_of_a_data_set_are_drawn(name, tmp_path):
    draw_samples(load_clips(name, GOLDEN / "data", "test"), tmp_path / "a.png", samples=1)
    check_drawn(tmp_path / "a.png")


def test_a_prediction_and_its_clip_are_drawn(tmp_path):
    clip = load_clips("h36m", GOLDEN / "data", "test")[0]
    clip = replace(clip, hidden=np.arange(len(clip) * 17).reshape(-1, 17) % 2 == 0)
    poses = clip.poses_cam[[1]] - clip.poses_cam[[1], :1]
    samples = poses[0] + np.random.default_rng(0).normal(0, 0.02, (3, 17, 3))
    draw_columns([(clip, 1, [(pose, {"alpha": 0.1}) for pose in [*samples, clip.poses_cam[1]]])], tmp_path / "a.png")
    check_drawn(tmp_path / "a.png")


def test_figures_need_clips_and_matplotlib(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="at least one clip to draw"):
        draw_samples([], tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r'pip install "prpose\[plot\]"'):
        draw_samples(load_clips("h36m", GOLDEN / "data", "test"), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
