"""The interactive page: its data are the prediction's, it is small, and needs nothing from outside."""

import hashlib
import html
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chi2

import prpose
from prpose.camera import Camera
from prpose.cli import guarded, run
from prpose.io.video import open_video
from prpose.view import page
from prpose.view.page import create_page, packed, thumbnails
from tests.page_files import data_of, unpacked
from tests.prediction_files import make_prediction, standing
from tests.videos import picture, write_png, write_video

ROOT = Path(__file__).parents[1]
FLIP = np.array([1, -1, -1])  # camera axes → the viewer's


def command(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


@pytest.fixture
def no_browser(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    return opened


def test_the_page_is_built_of_the_sources():
    names = [
        "package-lock.json",
        *(f"src/{path.name}" for path in sorted((ROOT / "viewer/src").iterdir())),
        "build.mjs",
    ]
    digest = hashlib.sha256(b"".join((ROOT / "viewer" / name).read_bytes() for name in names)).hexdigest()
    built = (ROOT / "prpose/view/page.html").read_text(encoding="utf-8")
    assert f"sources {digest}" in built, "run make viewer"


def test_the_page_states_the_licences_of_what_it_bundles():
    bundled = json.loads((ROOT / "viewer/package.json").read_text())["dependencies"]
    page = make_prediction().view().html
    for name in bundled:
        text = page.partition(f"Contains {name}:")[2].partition("-->")[0]
        assert "Copyright" in text
        assert re.search("The above copyright notice .* included in\\s+all copies", text), name


def test_a_missing_page_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="make viewer"):
        make_prediction().view()


def test_the_page_needs_nothing_from_outside_and_is_well_formed():
    text, found = make_prediction().view().html, []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, dict(attributes)))

    Reader().feed(text)
    assert not [a for _, a in found if {"src", "href", "action"} & set(a)]
    policies = [a["content"] for tag, a in found if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policies[0]
    assert not re.findall(r"@import|url\(\s*['\"]?https?:", text)
    ids = [a["id"] for _, a in found if "id" in a]
    assert len(ids) == len(set(ids))


def test_numbers_are_those_of_the_prediction():
    prediction = make_prediction(T=6, S=9)
    data = data_of(prediction.view().html)
    (person,) = data["people"]
    assert np.abs(unpacked(person["pose"]) - prediction.pose * FLIP).max() < 6e-5
    away = unpacked(person["samples"]).transpose(1, 0, 2, 3)
    assert np.abs(away + prediction.pose * FLIP - prediction.samples * FLIP).max() < 6e-4
    assert np.abs(unpacked(person["root"]) - prediction.root * FLIP).max() < 1e-3
    assert np.abs(unpacked(person["keypoints"]) - prediction.keypoints_px).max() < 0.032
    assert (unpacked(person["flagged"]) == prediction.flags).all()
    assert data["numbers"] == prediction.frame_numbers.tolist()
    assert np.allclose(data["seconds"], prediction.times_s - prediction.times_s[0], atol=1e-6)
    ellipses = unpacked(person["ellipses"])
    assert np.abs(ellipses[..., [0, 1], [0, 1]] - prediction.noise_sd_px).max() < 0.03
    assert person["ellipses_of"] == "noise on the keypoints"
    assert data["views"] == [[0]]


def test_ellipsoids_have_the_regions_of_every_level():
    prediction = make_prediction()
    data = data_of(prediction.view().html)
    axes = unpacked(data["people"][0]["axes"])
    for level, scale in zip(data["levels"], data["axes"], strict=True):
        semi_axes, directions = prediction.regions(level)
        assert np.abs(axes * scale - semi_axes[..., None] * directions * FLIP).max() < 2e-4
    assert np.allclose(data["ellipses"], np.sqrt(chi2(2).ppf(data["levels"])))


def test_ellipses_without_noise_are_the_projected_samples():
    """Against the covariance of many samples, projected one by one."""
    rng, camera = np.random.default_rng(0), Camera(1000, 800, (1100.0, 900.0), (480.0, 420.0))
    pose, root = standing(), np.array([[0.4, -0.2, 4.0]], np.float32)
    samples = pose + rng.normal(0, [0.01, 0.02, 0.03], (4000, 1, 17, 3)).astype(np.float32)
    samples[:, :, 0] = 0
    covariance = np.einsum("stji,stjk->tjik", samples - pose, samples - pose) / 4000
    known = {"samples": samples[:10], "num_samples": 4000, "pose": pose, "covariance": covariance, "root": root}
    prediction = make_prediction(T=1, **known, camera=camera, noise_sd_px=None)
    person = data_of(prediction.view().html)["people"][0]
    assert person["ellipses_of"] == "samples, projected"
    matrices = unpacked(person["ellipses"])[0]
    pixels = camera.project((samples + root[:, None]).astype(float))[:, 0]
    for joint in range(1, 17):
        expected = np.cov(pixels[:, joint].T)
        assert np.abs(matrices[joint] @ matrices[joint].T - expected).max() < 0.08 * expected.max()


def test_poses_are_levelled_where_up_is_known():
    up = np.array([0.0, -np.cos(0.3), -np.sin(0.3)])  # a camera that looks down
    data = data_of(make_prediction(up=up).view().html)
    pose = unpacked(data["people"][0]["pose"])
    expected = make_prediction().pose @ up  # heights
    assert np.abs(pose[..., 1] - expected).max() < 1e-4


def test_sixty_frames_of_200_samples_are_below_4_mb():
    assert len(make_prediction(T=60, S=200).view().html) < 4e6


def test_long_clips_have_fewer_samples():
    prediction = make_prediction(T=1500, S=60)
    assert data_of(prediction.view().html)["people"][0]["samples"]["shape"][:2] == [1500, 40]
    assert data_of(prediction.view(num_samples=7).html)["people"][0]["samples"]["shape"][:2] == [1500, 7]
    assert data_of(make_prediction().view().html)["people"][0]["drawn"] == 5


def test_people_share_the_time_line_and_models_have_a_view_each():
    one, other = make_prediction(T=4), make_prediction(T=3, frame_numbers=np.array([4, 6, 20]), times_s=None)
    data = data_of(create_page([one, other], ["a", "b"]).html)
    assert data["numbers"] == [3, 4, 5, 6, 20]
    assert [person["start"] for person in data["people"]] == [[0, 1, 2, 3], [1, 3, 4]]
    assert data["views"] == [[0, 1]]
    assert (np.diff(data["seconds"]) > 0).all()
    assert data_of(create_page([one, other], compare=True).html)["views"] == [[0], [1]]


def test_optional_fields_may_be_missing():
    nothing = dict.fromkeys(("times_s", "fps", "root", "root_covariance", "keypoints_px", "noise_sd_px", "samples"))
    data = data_of(make_prediction(**nothing).view().html)
    assert data["seconds"] is None
    assert not {"samples", "root", "keypoints"} & set(data["people"][0])


def test_truth_is_about_its_pelvis():
    prediction = make_prediction()
    person = data_of(prediction.view(truth=standing(4) + np.array([1, 2, 3])).html)["people"][0]
    assert np.abs(unpacked(person["truth"]) - standing(4) * FLIP).max() < 1e-4


@pytest.mark.parametrize(
    ("predictions", "changes", "message"),
    [
        (0, {}, "at least one prediction"),
        (1, {"compare": True}, "expected two predictions to compare, got 1"),
        (1, {"truth": np.zeros((3, 17, 3))}, r"shape \(4, 17, 3\), got float64 of shape \(3, 17, 3\)"),
        (1, {"truth": np.full((4, 17, 3), np.nan)}, "finite truth, got NaN"),
        (1, {"truth": np.zeros((4, 17, 3), complex)}, "truth as numbers"),
        (1, {"num_samples": 0}, "num_samples >= 1, got 0"),
    ],
)
def test_invalid_arguments_are_named(predictions, changes, message):
    with pytest.raises(ValueError, match=message):
        create_page([make_prediction()] * predictions, **changes)


def test_names_cannot_end_the_data():
    name = "</script><script>alert(1)</script>"
    text = create_page([make_prediction(model={"name": name}, warnings=("<b>",))]).html
    assert name not in text
    assert data_of(text)["people"][0]["name"] == name


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.array([0.0]), np.linspace(-40, 40, 999), np.array([1e5, 3])])
def test_packed_numbers_are_as_exact_as_16_bits_allow(values):
    block = packed(values, 1e-3)
    assert np.abs(unpacked(block) - values).max(initial=0) <= block["unit"] / 2 * 1.001
    assert block["unit"] == max(1e-3, np.abs(values).max(initial=0) / 32767)


def test_pages_are_saved_whole_and_not_over_others(tmp_path, no_browser):
    shown = make_prediction().view()
    shown.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == shown.html
    with pytest.raises(ValueError, match="exists"):
        shown.save(tmp_path / "a.html")
    with pytest.raises(ValueError, match=r"ends in \.html"):
        shown.save(tmp_path / "a.pdf")
    path = shown.open()
    assert no_browser == [path.as_uri()]
    shutil.rmtree(path.parent)


def test_notebooks_show_the_page_in_a_frame():
    prediction = make_prediction(T=2, S=60)
    (source,) = re.fullmatch(r'<iframe .* srcdoc="([^"]*)"></iframe>', prediction._repr_html_(), re.DOTALL).groups()
    assert data_of(html.unescape(source))["people"][0]["samples"]["shape"][:2] == [2, 50]


def test_thumbnails_are_of_the_frames_asked_for(tmp_path):
    write_video(tmp_path / "a.mp4", [picture(100 + 5 * n) for n in range(8)])
    images = thumbnails(open_video(tmp_path / "a.mp4"), np.array([1, 2, 5]), (640, 480))
    assert sorted(images) == [1, 2, 5]
    assert Image.open(BytesIO(images[5])).size == (320, 240)


def test_numbers_that_do_not_fit_are_clipped_where_others_would_suffer():
    far = make_prediction(T=2, S=3)
    keypoints, samples = far.keypoints_px.copy(), far.samples.copy()
    keypoints[0, 3], samples[0, 0, 4] = 1e6, 900
    person = data_of(replace(far, keypoints_px=keypoints, samples=samples).view().html)["people"][0]
    assert np.abs(unpacked(person["keypoints"])[1] - keypoints[1]).max() < 0.04
    assert unpacked(person["keypoints"])[0, 3].min() > 2000
    assert np.abs(unpacked(person["samples"])[1, 2] - ((samples - far.pose) * FLIP)[2, 1]).max() < 6e-4


def test_people_are_levelled_together():
    ups = [np.array([0.0, -np.cos(a), -np.sin(a)]) for a in (0.1, 0.3)]
    people = data_of(create_page([make_prediction(up=up) for up in ups], ["a", "b"]).html)["people"]
    assert np.abs(unpacked(people[0]["root"]) - unpacked(people[1]["root"])).max() < 1e-6
    heights = unpacked(people[0]["pose"])[..., 1]
    assert np.abs(heights - make_prediction().pose @ [0, -np.cos(0.2), -np.sin(0.2)]).max() < 1e-3


def test_a_page_without_a_browser_is_named(monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    with pytest.raises(ValueError, match="found none that starts") as error:
        make_prediction().view().open()
    path = Path(re.search(r"open (\S+),", str(error.value))[1])
    assert path.is_file()
    shutil.rmtree(path.parent)


def test_command_writes_a_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, seed in (("a", 0), ("b", 1)):
        make_prediction(seed=seed, model={"name": "m"}).save(f"{name}.npz")
    make_prediction().save("truth.json")
    np.save("truth.npy", standing(4))
    make_prediction(T=9, frame_numbers=np.arange(9)).save("longer.npz")
    make_prediction(T=2).save("shorter.npz")
    assert command("view", "a.npz", "--out", "c.html", "--truth", "shorter.npz") == 1
    assert "got none of frame 5" in capsys.readouterr().err
    assert command("view", "a.npz", "--out", "c.html", "--truth", "longer.npz") == 0
    truth = unpacked(data_of(Path("c.html").read_text())["people"][0]["truth"])
    assert np.abs(truth - make_prediction(T=9).pose[3:7] * FLIP).max() < 1e-4
    capsys.readouterr()
    assert command("view", "a.npz", "--out", "a.html", "--truth", "truth.json") == 0
    assert capsys.readouterr().out.startswith("Wrote a.html (0.6 MB)")
    assert np.abs(unpacked(data_of(Path("a.html").read_text())["people"][0]["truth"])[0, 3, 1]) > 0.5
    assert command("view", "a.npz", "b.npz", "--compare", "--truth", "truth.npy", "--out", "b.html", "-n", "2") == 0
    data = data_of(Path("b.html").read_text())
    assert (data["title"], data["views"]) == ("a and b", [[0], [1]])
    assert data["people"][1]["samples"]["shape"][1] == 2


def test_command_opens_the_browser(tmp_path, capsys, no_browser):
    make_prediction().save(tmp_path / "a.npz")
    assert command("view", tmp_path / "a.npz") == 0
    assert len(no_browser) == 1
    shutil.rmtree(Path(no_browser[0].removeprefix("file://")).parent)


def test_command_shows_the_frames_of_the_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a b.mp4", [picture(100)] * 9)
    make_prediction(camera=Camera(320, 240), command="prpose predict 'a b.mp4' --out a.npz").save("a.npz")
    make_prediction(camera=Camera(320, 240), command="prpose predict missing.mp4 --out b.npz").save("b.npz")
    make_prediction(camera=Camera(320, 240), command="").save("c.npz")
    make_prediction(camera=Camera(320, 240), command="prpose 'open quote").save("d.npz")
    first = "prpose predict --detector rtmlib --out a.npz --overlay a.html 'a b.mp4' -n 9"
    make_prediction(camera=Camera(320, 240), command=first).save("f.npz")
    Path("damaged.mp4").write_text("no video")
    make_prediction(camera=Camera(320, 240), command="prpose predict damaged.mp4 --out g.npz").save("g.npz")
    for name, count in (("a", 4), ("b", 0), ("c", 0), ("d", 0), ("f", 4), ("g", 0)):
        assert command("view", f"{name}.npz", "--out", f"{name}.html") == 0
        assert len(data_of(Path(f"{name}.html").read_text())["images"]) == count
    assert command("view", "b.npz", "--video", "a b.mp4", "--out", "e.html") == 0
    assert sorted(data_of(Path("e.html").read_text())["images"]) == ["0", "1", "2", "3"]
    assert capsys.readouterr().err.startswith("warning: no frames are shown: damaged.mp4")
    assert command("view", "b.npz", "--video", "damaged.mp4", "--out", "h.html") == 1
    write_png(tmp_path / "wide.png", np.zeros((200, 640, 3), np.uint8))
    assert command("view", "b.npz", "--video", "wide.png", "--out", "h.html") == 1
    assert "expected frames of the shape 320 x 240, got 640 x 200" in capsys.readouterr().err


def test_images_are_read_with_the_prefix_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("two").mkdir()
    for camera in "AB":
        for n in range(3, 7):
            write_png(tmp_path / f"two/cam{camera}_{n}.png", np.full((80, 100, 3), 99, np.uint8))
    make_prediction(command="prpose predict two --prefix camB_ --out a.npz").save("a.npz")
    assert command("view", "a.npz", "--out", "a.html") == 0
    assert len(data_of(Path("a.html").read_text())["images"]) == 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "expected a prediction to show"),
        (("a.npz", "--serve", "--out", "b.html"), "--out, or --serve or --camera, got both"),
        (("a.npz", "--serve", "--port", "99999"), "port from 0 to 65535, got 99999"),
        ((".",), "expected a file, got a folder"),
        (("missing.npz", "--serve"), "no such file"),
        (("walk.json", "--serve"), "expected --layout"),
        (("missing.npz",), "no such file"),
        (("a.npz", "--out", "b.txt"), "ends in .html"),
        (("a.npz", "--out", "old.html"), "exists"),
        (("a.npz", "--truth", "a.txt"), "expected poses"),
        (("a.npz", "-n", "0"), "num_samples >= 1"),
        (("a.txt", "--serve", "--compare"), "one input to predict live"),
    ],
)
def test_command_names_what_is_wrong(args, message, tmp_path, capsys, monkeypatch, no_browser):
    monkeypatch.chdir(tmp_path)
    make_prediction().save("a.npz")
    Path("a.txt").write_text("no poses")
    shutil.copy(ROOT / "tests/data/formats/mmpose_frames.json", "walk.json")
    Path("old.html").write_text("old")
    assert command("view", *args) == 1
    assert message in capsys.readouterr().err
    assert (no_browser, Path("old.html").read_text()) == ([], "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "a.txt", "old.html", "walk.json"]


def test_noise_of_the_keypoints_is_in_the_prediction():
    """Against alpha · max(g, 1), half image widths, at the model's own rate."""
    keypoints = prpose.read_keypoints("examples/walk_openpose", image_size=(1000, 1002))
    model = prpose.load("mgcn-cmu17")
    prediction = model(keypoints, num_samples=2, config=prpose.InferenceConfig(confidence_noise=0))
    net, x = model.sampler.noise, prediction.camera.lifter_input(prediction.keypoints_px, framed=False)
    g = net.variance_net(torch.from_numpy(x).float()).detach().numpy()
    expected = np.broadcast_to(net.alpha * np.maximum(g, net.floor) * 500, (30, 17, 2))
    assert np.abs(prediction.noise_sd_px - expected).max() < 1e-3
    assert prpose.load("gaussian-wide")(keypoints, num_samples=2).noise_sd_px is None
