"""Figures: what is drawn, where, at which size, and that the same input gives the same file."""

import json
import re
import sys
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from prpose.cli import guarded, run
from prpose.cli.figure import FIGURES, Kind
from prpose.io.overlay import BONE_CHAINS, SIDE_COLOURS
from prpose.io.video import open_video
from prpose.skeleton import H36M_17
from prpose.view.animation import write_animation
from prpose.view.figures import cloud_figure, common_frame, compare_figure, save_figure
from prpose.view.report_file import Report
from tests.prediction_files import make_prediction, standing

SVG = "{http://www.w3.org/2000/svg}"
WIDTHS = {"column": 85, "page": 170}


@pytest.fixture
def saved(tmp_path):
    """A prediction of frames 3 to 6 and its file."""
    prediction = make_prediction(up=np.array([0.0, -np.cos(0.3), -np.sin(0.3)]))
    prediction.save(tmp_path / "a.npz")
    return prediction, tmp_path / "a.npz", tmp_path


def command(*words):
    return guarded(lambda: run(["figure", *map(str, words)]))


def collections_of(figure, ending):
    return [c for axes in figure.axes for c in axes.collections if str(c.get_gid()).endswith(ending)]


def test_an_svg_has_a_strand_per_limb_of_every_sample_and_its_text(saved):
    prediction, path, folder = saved
    assert command("cloud", path, "--out", folder / "a.svg") == 0
    root = ElementTree.parse(folder / "a.svg").getroot()
    groups = {group.get("id"): group for group in root.iter(f"{SVG}g")}
    for panel in (1, 2, 3):  # behind the keypoints
        strands = list(groups[f"panel-{panel}-samples"].iter(f"{SVG}path"))
        assert len(strands) == len(prediction.samples) * len(BONE_CHAINS)
        assert len(list(groups[f"panel-{panel}-pose"].iter(f"{SVG}path"))) == len(BONE_CHAINS)
    assert "panel-0-samples" not in groups
    text = {element.text for element in root.iter(f"{SVG}text")}
    assert text >= {"2D keypoints", "Camera view", "Side view", "From above", "0.5 m", "5 samples", "left", "right"}
    assert all(re.search(r"font(-size)?: 7px", element.get("style")) for element in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("kind", ["cloud", "compare"])
def test_sizes_are_those_of_publications_and_bytes_repeat(kind, size, saved):
    _, path, folder = saved
    inputs = [path] * (1 if kind == "cloud" else 2)
    for ending in ("png", "pdf", "svg"):
        for name in "bc":
            assert command(kind, *inputs, "--size", size, "--out", folder / f"{name}.{ending}") == 0
        assert (folder / f"b.{ending}").read_bytes() == (folder / f"c.{ending}").read_bytes()
    with Image.open(folder / "b.png") as image:
        grey, dpi = np.asarray(image.convert("L")), image.info["dpi"]
    assert grey.shape[1] == pytest.approx(WIDTHS[size] / 25.4 * 300, abs=2)
    assert dpi == pytest.approx((300, 300), abs=0.1)
    assert min(grey[[0, -1]].min(), grey[:, [0, -1]].min()) > 250  # nothing is cut
    pdf = (folder / "b.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    width = float(pdf.split(b"/MediaBox [ 0 0 ")[1].split()[0])
    assert width / 72 * 25.4 == pytest.approx(WIDTHS[size], abs=0.1)
    assert b"/FontFile2" in pdf or b"/Type42" in pdf or b"/CIDFontType2" in pdf  # TrueType: text, not outlines
    assert b"CreationDate" not in pdf
    assert float(ElementTree.parse(folder / "b.svg").getroot().get("width")[:-2]) == pytest.approx(width, abs=0.1)


def test_no_text_overlaps_or_leaves_the_figure(saved):
    prediction = replace(saved[0], model={"name": "a-model_with_a_long$name"})
    truth, sizes = standing()[0], ((2, "column"), (3, "column"), (2, "page"), (6, "page"))
    comparisons = (compare_figure([prediction] * n, size=size) for n, size in sizes)
    for figure in (cloud_figure(prediction, 0, truth), *comparisons):
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
        assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
        for n, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:n]), texts[n]


def test_views_are_the_projected_joints_at_one_scale(saved):
    """By hand: the side view is turned so that up is up; above, far is up. Nobody is upside down."""
    prediction = saved[0]
    figure = cloud_figure(prediction, 2)
    poses = [np.concatenate(c.get_segments()) for c in collections_of(figure, "-pose")]
    order = np.concatenate(BONE_CHAINS)
    pose = prediction.pose[2].astype(float)
    right = np.cross(prediction.up, [0, 0, 1]) / -np.linalg.norm(np.cross(prediction.up, [0, 0, 1]))
    right = right if right[0] > 0 else -right
    far = np.cross(right, -prediction.up)
    assert np.allclose(poses[1], pose[order][:, :2], atol=1e-6)
    assert np.allclose(poses[2], np.stack([pose @ far, -pose @ prediction.up], -1)[order], atol=1e-6)
    assert np.allclose(poses[3], np.stack([pose @ right, -pose @ far], -1)[order], atol=1e-6)
    scales = [axes.bbox.width / np.diff(axes.get_xlim())[0] for axes in figure.axes[1:]]
    scales += [axes.bbox.height / -np.diff(axes.get_ylim())[0] for axes in figure.axes[1:]]
    assert np.allclose(scales, scales[0], rtol=1e-3)
    (bar,) = [artist for artist in figure.artists if artist.get_gid() == "scale"]
    assert np.ptp(bar.get_xdata()) * figure.bbox.width == pytest.approx(0.5 * scales[0], rel=2e-3)
    for axes in figure.axes:
        for collection in axes.collections:
            for segment in collection.get_segments():
                assert axes.viewLim.count_contains(segment) == len(segment)


def test_colours_are_those_of_the_sides_and_differ_without_colour(saved):
    figure = cloud_figure(saved[0], 0, standing()[0])
    (_, pose, *_), (samples, *_), (truth, *_) = (collections_of(figure, f"-{k}") for k in ("pose", "samples", "truth"))
    expected = [to_rgb(SIDE_COLOURS[H36M_17.sides[limb[0]]]) for limb in BONE_CHAINS]
    assert np.allclose(pose.get_colors()[:, :3], expected)
    assert np.allclose(samples.get_colors()[:, :3], expected * 5)
    assert np.allclose(truth.get_colors()[:, :3], 0)
    assert pose.get_linewidths()[0] > 2 * truth.get_linewidths()[0] > samples.get_linewidths()[0]
    assert (samples.get_colors()[:, 3] <= 0.4).all()
    grey = {side: np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) for side, colour in SIDE_COLOURS.items()}
    assert grey["right"] - grey["left"] > 0.15
    faces = {line.get_markerfacecolor() for line in figure.axes[1].lines}
    assert faces == {SIDE_COLOURS["left"], "white"}


def test_the_truth_is_drawn_relative_to_its_pelvis(saved):
    truth = standing()[0].astype(float)
    drawn = collections_of(cloud_figure(saved[0], 0, truth + np.arange(3.0)), "-truth")[0]
    assert np.allclose(np.concatenate(drawn.get_segments()), truth[np.concatenate(BONE_CHAINS), :2])


def test_flagged_keypoints_have_a_cross(saved):
    prediction = saved[0]
    cross = cloud_figure(prediction, 1).axes[0].lines[-1]
    assert np.array_equal(cross.get_xydata(), prediction.keypoints_px[1][prediction.flags[1] > 0])


def test_without_samples_and_keypoints_the_point_estimate_is_drawn(saved, capsys):
    prediction, _, folder = saved
    alone = replace(prediction, samples=None, keypoints_px=None)
    figure = cloud_figure(alone, 0)
    assert len(figure.axes) == 3
    assert not collections_of(figure, "-samples")
    alone.save(folder / "alone.npz")
    assert command("cloud", folder / "alone.npz", "--out", folder / "a.png") == 0
    assert "no samples are stored, only the point estimate is drawn" in capsys.readouterr().err


def test_at_most_200_samples_are_drawn():
    (samples, *_) = collections_of(cloud_figure(make_prediction(T=1, S=230), 0), "-samples")
    assert len(samples.get_segments()) == 200 * len(BONE_CHAINS)


def pyplot_figures():
    pyplot = sys.modules.get("matplotlib.pyplot")
    return [] if pyplot is None else pyplot.get_fignums()


def test_plot_draws_on_the_axes_given_and_nowhere_else(saved):
    prediction, before = saved[0], pyplot_figures()
    figure = Figure()
    mine, other = figure.subplots(1, 2)
    assert prediction.plot(1, mine, truth=standing()[0]) is figure
    assert not other.has_data()
    assert len(figure.axes) == 2
    samples, *_ = [c for c in mine.collections if isinstance(c, LineCollection)]
    assert len(samples.get_segments()) == 5 * len(BONE_CHAINS)
    assert mine.yaxis_inverted()
    assert mine.get_aspect() == 1
    (left, right), (bottom, top) = mine.get_xlim(), mine.get_ylim()
    x, y = prediction.samples[:, 1, :, :2].reshape(-1, 2).T
    assert left < x.min() < x.max() < right
    assert top < y.min() < y.max() < bottom
    assert pyplot_figures() == before


def test_plot_in_3d_has_y_up(saved):
    prediction = saved[0]
    axes = Figure().add_subplot(projection="3d")
    assert prediction.plot(0, axes) is axes.figure
    axes.figure.draw_without_rendering()
    head, ankle, left, right = ([0, 0.7, 0], [0, -0.9, 0], [-0.3, 0, 0], [0.3, 0, 0])  # y is up, x is right
    from mpl_toolkits.mplot3d import proj3d

    def place(point):
        x, y, _ = proj3d.proj_transform(*point, axes.get_proj())
        return x, y

    assert place(head)[1] > place(ankle)[1] + 0.05
    assert abs(place(head)[0] - place(ankle)[0]) < 0.01
    assert place(left)[0] < place(right)[0]
    lows, highs = np.array([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()]).T
    up_down = -prediction.pose[0] @ -prediction.up  # levelled heights, in metres
    assert lows[1] < up_down.min() < up_down.max() < highs[1]
    assert np.allclose(highs - lows, highs[0] - lows[0])
    assert 1 < highs[0] - lows[0] < 3  # of the pose, not of the empty axes
    make_prediction(T=1, pose=3 * standing()).plot(0, axes)  # the same axes hold both
    axes.figure.draw_without_rendering()
    assert axes.get_ylim()[1] > 2


def test_plot_without_axes_is_the_cloud(saved):
    assert len(saved[0].plot(2).axes) == 4
    with pytest.raises(ValueError, match="expected a frame from 0 to 3, got 4"):
        saved[0].plot(4)
    with pytest.raises(ValueError, match="expected a frame from 0 to 3, got -1"):
        saved[0].plot(-1, Figure().subplots())
    with pytest.raises(ValueError, match=r"expected a finite truth of shape \(17, 3\), metres, got shape \(16, 3\)"):
        saved[0].plot(0, truth=np.zeros((16, 3)))


def test_compare_draws_the_frame_that_all_have(saved):
    first = saved[0]  # frames 3 to 6
    second = make_prediction(T=6, S=3, seed=1, frame_numbers=np.array([1, 4, 5, 6, 7, 9]), model={"name": "other"})
    assert common_frame([first, second]) == 5
    figure = compare_figure([first, second], frame=6)
    assert [axes.get_title() for axes in figure.axes] == ["Camera view", "Side view"] * 2
    names = {text.get_text(): text.get_position()[0] for text in figure.texts}
    assert 0.2 < names["mgcn-cmu17"] < 0.3
    assert 0.7 < names["other"] < 0.8
    order = np.concatenate(BONE_CHAINS)
    for prediction, t, collection in zip((first, second), (3, 3), collections_of(figure, "-pose")[::2], strict=True):
        assert np.allclose(np.concatenate(collection.get_segments()), prediction.pose[t, order, :2])
    limits = [[*axes.get_xlim(), *axes.get_ylim()] for axes in figure.axes]
    assert np.allclose(limits[:2], limits[2:])
    with pytest.raises(ValueError, match="expected one of the 3 frame numbers 4 to 6, got 3"):
        compare_figure([first, second], frame=3)
    apart = replace(second, frame_numbers=np.arange(6) + 100)
    with pytest.raises(ValueError, match="that all predictions have, got 3 to 6 and 100 to 105"):
        compare_figure([first, apart])
    with pytest.raises(ValueError, match="expected 2 to 6 predictions at the width of a page, got 7"):
        compare_figure([first] * 7, size="page")


def durations_of(path):
    frames = []
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for n in range(image.n_frames):
            image.seek(n)
            frames.append((image.info["duration"], np.asarray(image.convert("RGB"))))
    return [duration for duration, _ in frames], [frame for _, frame in frames]


def test_a_gif_has_every_frame_at_its_time(saved):
    prediction, path, folder = saved
    assert command("animation", path, "--out", folder / "a.gif") == 0
    durations, images = durations_of(folder / "a.gif")
    starts = np.cumsum([0, *durations[:-1]]) / 1000
    assert np.allclose(starts, prediction.times_s - prediction.times_s[0], atol=0.0051)
    assert durations[-1] == 30
    assert all((image[0] == 255).all() for image in images)  # white stays white
    assert images[0].shape[1] == pytest.approx(85 / 25.4 * 150, abs=1)
    assert all((before != after).any() for before, after in pairwise(images))
    for image in images:
        assert (np.abs(image.astype(int) - (31, 119, 180)).max(-1) < 12).sum() > 100


def test_a_gif_of_a_fast_clip_keeps_its_duration(tmp_path):
    steps = []
    write_animation(make_prediction(T=13, times_s=None, fps=120.0), tmp_path / "a.gif", on_frame=steps.append)
    durations, _ = durations_of(tmp_path / "a.gif")
    assert min(durations) >= 20
    assert sum(durations) == pytest.approx(1000 * 13 / 120, abs=20)
    assert len(durations) < 13
    assert 12 <= sum(steps) <= 13


def test_an_mp4_has_every_frame_at_its_time(saved):
    prediction, path, folder = saved
    assert command("animation", path, "--out", folder / "a.mp4", "--size", "page") == 0
    frames = list(open_video(folder / "a.mp4").frames())
    assert np.allclose([f.time_s for f in frames], prediction.times_s - prediction.times_s[0], atol=1e-3)
    assert frames[0].image.shape[1] == 1004
    assert all(side % 2 == 0 for side in frames[0].image.shape[:2])


def test_the_frame_drawn_is_said(saved, capsys):
    _, path, folder = saved
    assert command("cloud", path, "--out", folder / "a.png") == 0
    drawn, written = capsys.readouterr().out.splitlines()
    assert (drawn, written.startswith(f"Wrote {folder / 'a.png'} in ")) == ("Frame 5", True)
    assert command("cloud", path, "--out", folder / "b.png", "--frame", "3") == 0
    assert "Frame 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cloud", "a.npz", "--out", "f.gif"], "expected .png or .svg or .pdf for this figure, got '.gif'"),
        (["animation", "a.npz", "--out", "f.svg"], "expected .gif or .mp4 for this figure, got '.svg'"),
        (["cloud", "a.npz", "--out", "f"], "got ''"),
        (["cloud", "a.npz", "--out", "there.png"], "there.png: exists already"),
        (["clouds", "a.npz", "--out", "f.png"], "unknown figure 'clouds'; did you mean cloud?"),
        (["cloud", "a.npz", "a.npz", "--out", "f.png"], "expected one prediction for the figure cloud, got 2"),
        (["compare", "a.npz", "--out", "f.png"], "expected 2 to 3 predictions at the width of a column, got 1"),
        (["cloud", "a.npz", "--out", "f.png", "--frame", "7"], "expected one of the 4 frame numbers 3 to 6, got 7"),
        (["animation", "a.npz", "--out", "f.gif", "--frame", "3"], "expected no --frame for the figure animation"),
        (["cloud", "no.npz", "--out", "f.png"], "no.npz: no such file"),
        (["cloud", "there.png", "--out", "f.png"], "there.png"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_file(words, message, saved, monkeypatch, capsys):
    monkeypatch.chdir(saved[2])
    (saved[2] / "there.png").touch()
    assert command(*words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert sorted(p.name for p in saved[2].iterdir()) == ["a.npz", "there.png"]


def test_figures_need_matplotlib(saved, monkeypatch, capsys):
    _, path, folder = saved
    for module in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, module, None)
    for kind, name in (("cloud", "a.png"), ("animation", "a.gif")):
        assert command(kind, path, "--out", folder / name) == 1
        assert 'pip install "prpose[plot]"' in capsys.readouterr().err
    assert [p.name for p in folder.iterdir()] == ["a.npz"]


def test_figures_of_evaluations_get_checked_reports_and_the_width(tmp_path, monkeypatch, capsys):
    seen = []

    def draw(reports, names):
        seen.append((reports, names))
        figure = Figure(figsize=(4, 3))
        figure.subplots().set_title("title")
        return figure

    monkeypatch.setitem(FIGURES, "mine", Kind("evaluation", draw))
    row = {"name": "average", "frames": 3, "values": {"deterministic": {"P1": 40.0}}}
    known = {"settings": {"num_samples": 5, "dataset": "cmu17", "split": "val"}, "rows": [row], "average": row}
    known |= {"command": "prpose evaluate", "versions": {}, "sha256": {}, "units": {"P1": "mm"}}
    (tmp_path / "one.json").write_text(json.dumps(known | {"more": 1}))
    files = [tmp_path / "one.json"] * 2
    assert command("mine", *files, "--size", "column", "--out", tmp_path / "f.png") == 0
    assert seen == [([msgspec.convert(known, Report)] * 2, [str(files[0])] * 2)]
    with Image.open(tmp_path / "f.png") as image:
        assert image.size == pytest.approx((1004, 753), abs=2)
    for name, content in (("list", []), ("empty", {}), ("rows", known | {"rows": 3})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        assert command("mine", path, "--out", tmp_path / "g.png") == 1
        assert f"{path}: expected a JSON file of prpose evaluate" in capsys.readouterr().err
    assert not (tmp_path / "g.png").exists()


def test_save_figure_needs_a_known_ending(tmp_path):
    with pytest.raises(ValueError, match=r"expected \.png or \.svg or \.pdf for this figure, got '\.jpg'"):
        save_figure(Figure(), tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"expected \.gif or \.mp4 for this figure, got '\.png'"):
        write_animation(make_prediction(), tmp_path / "a.png")
