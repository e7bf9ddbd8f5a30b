"""The pages in a real browser, headless Chromium: they draw, answer every control, and are accessible."""

import io
import shutil
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prpose.view.live import running
from prpose.view.page import create_page, live_page
from tests.prediction_files import make_prediction, standing

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[1] / "viewer/node_modules/axe-core/axe.min.js"
SOFTWARE = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # WebGL without a GPU
T, S = 12, 40


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium: the pages are not checked in a browser here")
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: the pages are not checked here")
    with playwright.sync_playwright() as runner:
        yield runner.chromium.launch(executable_path=path, args=SOFTWARE)


@pytest.fixture
def show(browser, tmp_path):
    """Shows a page; its console and errors must stay empty."""
    said, opened = [], []

    def shown(page, width=1100, height=800, scheme="light"):
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        opened.append(tab)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: said.append(request.url) if "http" in request.url[:5] else None)
        page.save(tmp_path / f"{len(opened)}.html")
        tab.goto((tmp_path / f"{len(opened)}.html").as_uri())
        tab.wait_for_selector("html[data-ready]", timeout=60_000)
        return tab

    yield shown
    for tab in opened:
        tab.close()
    assert said == []


def moving(seed=0, **changes):
    """A person who lifts the arms."""
    rng, pose = np.random.default_rng(seed), standing(T)
    for t in range(T):
        pose[t, [12, 13, 15, 16], 1] -= 0.06 * t
    samples = pose + rng.normal(0, 0.04, (S, T, 17, 3)).astype(np.float32)
    samples[:, :, 0] = 0
    keypoints = 200 * pose[..., :2] + [500, 400]
    root = np.tile(np.float32([0, 0, 4]), (T, 1)) + np.float32([0.02, 0, 0]) * np.arange(T, dtype=np.float32)[:, None]
    known = {"pose": pose, "samples": samples, "deterministic": pose, "keypoints_px": keypoints, "root": root}
    known |= {"times_s": None, "flags": None, "frame_numbers": np.arange(T) * 2 + 10}
    return make_prediction(T, S, **known | changes)


def pixels(tab, selector):
    """What an element looks like, after what was asked of the page has been painted."""
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return np.asarray(Image.open(io.BytesIO(tab.locator(selector).screenshot())).convert("RGB")).astype(int)


def changed(one, other):
    """Share of pixels that differ; 1 if the sizes do."""
    return 1.0 if one.shape != other.shape else float((np.abs(one - other).max(axis=-1) > 8).mean())


def state(tab, name):
    return tab.locator("#scene").get_attribute(f"data-{name}")


def test_both_pictures_are_drawn_and_follow_the_slider(show):
    tab = show(moving().view())
    before = [pixels(tab, f"#{name}") for name in ("scene", "picture")]
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) > 50 for image in before)
    tab.locator("#time").fill(str(T - 1))
    after = [pixels(tab, f"#{name}") for name in ("scene", "picture")]
    assert all(changed(one, other) > 0.005 for one, other in zip(before, after, strict=True))
    assert tab.locator("#frame").inner_text() == f"{2 * T + 8}, {(2 * T - 2) / 30:.2f} s"


def test_the_slider_of_samples_changes_the_strands(show):
    tab = show(moving().view())
    many, shares = pixels(tab, "#scene"), []
    assert state(tab, "strands") == str(S)
    for count in (1, 20):
        tab.locator("#samples").fill(str(count))
        assert state(tab, "strands") == str(count)
        shares.append(changed(many, pixels(tab, "#scene")))
    assert shares[0] > shares[1] > 0
    assert "20 of 40 drawn" in tab.locator("fieldset", has_text="Uncertainty").inner_text()


def test_every_check_box_changes_the_view(show):
    tab = show(moving().view(truth=standing(T) * np.float32(1.05)))
    for box in tab.locator("[id^=show-]").all():
        name = box.get_attribute("id")
        selector = "#picture" if name == "show-zoom" else "#scene"
        before = pixels(tab, selector)
        box.click()
        assert changed(before, pixels(tab, selector)) > 0.001, name
    before = pixels(tab, "#scene")
    tab.get_by_label("left wrist").uncheck()
    assert changed(before, pixels(tab, "#scene")) > 0.001


def test_level_colour_and_views(show):
    tab = show(moving().view())
    tab.locator("#show-ellipsoids").check()
    cells, seen = tab.locator("#rows tr:nth-child(4) td").first, [pixels(tab, "#scene")]
    at_95 = int(cells.inner_text())
    tab.locator("#level").select_option(label="50 %")
    assert abs(int(cells.inner_text()) - at_95 * np.sqrt(2.366 / 7.815)) <= 1
    assert "50 %" in tab.locator("#caption").inner_text()
    seen.append(pixels(tab, "#scene"))
    tab.locator("#colour").select_option("uncertainty")
    assert "mm" in tab.locator("#legend").inner_text()
    seen.append(pixels(tab, "#scene"))
    for name in ("Side", "Above", "Camera"):
        tab.get_by_role("button", name=name).click()
        seen.append(pixels(tab, "#scene"))
    for one, other in pairwise(seen):
        assert changed(one, other) > 0.002
    assert changed(seen[2], seen[-1]) < 0.001


def test_playback_advances_and_stops(show):
    tab = show(moving().view())
    tab.locator("#speed").select_option("2")
    tab.get_by_role("button", name="Play").click()
    tab.wait_for_selector("#scene:is([data-frame='5'], [data-frame='6'], [data-frame='7'])")
    tab.get_by_role("button", name="Pause").click()
    stopped = state(tab, "frame")
    tab.wait_for_timeout(300)
    assert state(tab, "frame") == stopped


def test_the_keyboard_does_everything(show):
    tab = show(moving().view())
    tab.locator("#scene").focus()
    for keys in (["ArrowLeft"] * 3, ["ArrowUp"] * 2, ["Shift+ArrowRight"] * 2, ["+"] * 2, ["-"] * 3):
        before = pixels(tab, "#scene")
        for key in keys:
            tab.keyboard.press(key)
        assert changed(before, pixels(tab, "#scene")) > 0.005, keys
    tab.keyboard.press(".")
    tab.keyboard.press(".")
    tab.keyboard.press(",")
    assert state(tab, "frame") == "1"
    tab.keyboard.press(" ")
    tab.get_by_role("button", name="Pause").wait_for()
    tab.keyboard.press(" ")
    reached, tabs = set(), 0
    tab.evaluate("document.activeElement.blur()")
    while tabs < 60:
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.textContent"))
        tabs += 1
    every = tab.evaluate(
        "[...document.querySelectorAll('button, select, input, canvas[tabindex]')].filter(e => e.offsetParent"
        " && e.closest('#rows') === null).map(e => e.id || e.textContent)"
    )
    assert set(every) <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_do_not_scroll_sideways(show, scheme):
    long = "a_very_long_name_of_a_model_that_somebody_has_chosen"
    pages = [moving(model={"name": long}).view(), create_page([moving(), moving(1)], [long, f"{long}_2"], compare=True)]
    for page in pages:
        tab = show(page, width=360, height=740, scheme=scheme)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_and_light_follow_the_system_and_the_control(show):
    def is_dark(tab):
        return bool(pixels(tab, "#scene")[3, 3].max() < 80 and pixels(tab, "body")[1, 1].max() < 80)

    tab = show(moving().view(), scheme="dark")
    assert is_dark(tab)
    tab.locator("#theme").select_option("light")
    assert not is_dark(tab)
    tab.locator("#theme").select_option("")
    assert is_dark(tab)
    tab.emulate_media(color_scheme="light")
    assert not is_dark(tab)


def test_two_predictions_are_side_by_side_and_people_together(show):
    other = moving(1, root=moving().root + np.float32([1.5, 0, 0]))
    tab = show(create_page([moving(), other], ["one model", "another"], compare=True))
    image = pixels(tab, "#scene")
    assert (np.ptp(image[:, : image.shape[1] // 2], axis=(0, 1)) > 100).all()
    assert (np.ptp(image[:, image.shape[1] // 2 :], axis=(0, 1)) > 100).all()
    assert tab.locator("#names").inner_text().split("\n") == ["one model", "another"]
    assert state(tab, "strands") == str(2 * S)
    tab = show(create_page([moving(), other], ["a", "b"]))
    assert tab.locator("#show-place").is_checked()
    assert tab.locator("#heads th").all_inner_texts() == ["Joint", "a", "b", "Keypoint"]


def test_frames_of_the_video_lie_behind_the_keypoints(show):
    stream = io.BytesIO()
    Image.new("RGB", (100, 80), (10, 200, 30)).save(stream, "webp")
    tab = show(create_page([moving()], images={10: stream.getvalue()}))
    tab.locator("#show-zoom").uncheck()
    tab.wait_for_timeout(300)
    corner = pixels(tab, "#picture")[6, 6]
    assert np.abs(corner - [10, 200, 30]).max() < 20


def test_a_single_pose_without_samples_or_image(show):
    known = dict.fromkeys(("samples", "keypoints_px", "root", "root_covariance", "noise_sd_px", "times_s", "fps"))
    tab = show(make_prediction(T=1, **known).view())
    assert not tab.locator("#transport").is_visible()
    assert not tab.locator("#picture").is_visible()
    assert len(np.unique(pixels(tab, "#scene").reshape(-1, 3), axis=0)) > 50


def test_a_live_stream_is_shown_as_it_comes(browser):
    from prpose.cli.view import _message

    prediction = moving()
    frames = [
        replace(make_prediction(1, S), pose=prediction.pose[t : t + 1], frame_numbers=np.array([t])) for t in range(T)
    ]
    with running(live_page("a clip")) as server:
        tab = browser.new_page()
        said = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(server.address)
        assert server.connected.wait(20)
        for t, frame in enumerate(frames):
            server.send(_message(frame, t / 10, None))
        tab.wait_for_selector(f"#scene[data-frame='{T - 1}']")
        server.close()
        tab.get_by_role("heading", name="a clip (ended)").wait_for()
        assert state(tab, "strands") == str(S)
        tab.close()
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_axe_finds_no_serious_fault(show, scheme, width):
    if not AXE.is_file():
        pytest.skip("no axe-core: run npm ci in viewer/ to check accessibility")
    tab = show(create_page([moving(), moving(1)], ["a", "b"], truth=standing(T)), width=width, scheme=scheme)
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run()")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_fast_stream_never_shows_half_a_frame_and_keeps_the_last_ones(browser):
    from prpose.cli.view import _message

    prediction, said, drawn = moving(), [], set()
    with running(live_page("a clip")) as server:
        tab = browser.new_page()
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(server.address)
        assert server.connected.wait(20)
        frame = replace(make_prediction(1, S), pose=prediction.pose[:1])
        for t in range(340):
            server.send(_message(replace(frame, frame_numbers=np.array([t])), t / 30, None))
            while server.clients[0].messages:
                time.sleep(0.001)  # so that none is dropped
            if t == 20:
                tab.wait_for_selector("html[data-ready]")
            if t > 20 and t % 10 == 0:
                drawn.add(state(tab, "strands"))
            if t == 30:
                tab.get_by_role("button", name="Pause").click()
                paused = int(state(tab, "frame"))
        tab.wait_for_selector("#time[max='339'][min='40']")
        oldest = 40
        assert oldest > paused
        assert state(tab, "frame") == str(oldest)
        tab.locator("#scene").focus()
        tab.keyboard.press(",")
        assert (state(tab, "frame"), state(tab, "strands")) == (str(oldest), str(S))
        tab.close()
    assert said == []
    assert drawn == {str(S)}


def test_counts_and_kinds_are_those_of_each_prediction(show):
    few = moving(1, samples=moving().samples[:7], num_samples=7, noise_sd_px=None)
    tab = show(create_page([moving(), few], ["a", "b"], compare=True))
    assert tab.locator("#count").inner_text() == "40 of 40 and 7 of 7 drawn"
    assert "noise on the keypoints, dashed: of the samples, projected" in tab.locator("#caption").inner_text()
    tab = show(moving(samples=None).view())
    assert not tab.locator("#samples").is_visible()
