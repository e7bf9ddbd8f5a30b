"""What a file, its name or an option may not do: choose memory, leave its folder, or write to the terminal."""

import json
import os
import shutil
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from prpose.cli import guarded, run
from prpose.cli.console import print_table
from prpose.config import InferenceConfig
from prpose.data.mocap.mapping import SHIPPED as MAPPINGS
from prpose.data.mocap.mapping import files_in, from_folder
from prpose.data.release_files import Selection
from prpose.evaluation import seeded_draw
from prpose.hub import SHIPPED, find_model_folder
from prpose.io.detector import check_model
from prpose.io.export import read_prediction
from prpose.io.keypoints import read_keypoints, read_people
from prpose.io.video import input_kind, read_photo
from prpose.keypoints import Keypoints, load_keypoints, save_keypoints
from prpose.training import State, TrainConfig
from prpose.view.animation import write_animation
from prpose.view.report_file import read_report
from prpose.weights import read_state_dict
from tests.hostile_files import REPORT
from tests.make_formats import HERE as FORMATS

POSES = Path(__file__).parent / "data/poses_v1.npz"
ESCAPE = "\x1b]0;title\x07\x1b[31m"


@pytest.mark.parametrize(("name", "argument"), [("hidden", 200_000), ("blocks", 10_000_000), ("hidden", 10**400)])
def test_a_card_cannot_ask_for_more_parameters_than_its_weights_have(name, argument, tmp_path):
    shutil.copytree(SHIPPED / "mgcn-cmu17", tmp_path / "m")
    card = json.loads((tmp_path / "m/card.json").read_text())
    card["lifter"]["arguments"][name] = argument
    (tmp_path / "m/card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"more parameters than bytes|cannot be built|not a model's card"):
        find_model_folder(tmp_path / "m").networks()


def test_weights_that_unpack_to_more_than_their_file_are_refused(tmp_path):
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "a.pth", "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert read_state_dict(tmp_path / "plain.pth")["weight"].shape == (100_000,)
    with pytest.raises(ValueError, match="expected tensors that are not compressed"):
        read_state_dict(tmp_path / "a.pth")


def test_photos_of_many_pixels_in_few_bytes_are_refused_before_they_are_decoded(tmp_path):
    Image.new("1", (6000, 5000)).save(tmp_path / "flat.png")
    with pytest.raises(ValueError, match=r"6000 x 5000 pixels, of at most 25,000,000 in a file of its size"):
        read_photo(tmp_path / "flat.png")
    Image.new("RGB", (400, 300)).save(tmp_path / "small.png")
    assert read_photo(tmp_path / "small.png")[0].shape == (300, 400, 3)


def test_only_photos_are_decoded_whatever_their_name(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="expected a photo, got a file that cannot be decoded"):
        read_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("file", ["../secret.bvh", "link.bvh"])
def test_a_table_of_clips_names_files_in_its_folder_only(file, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bvh").write_text("x")
    (tmp_path / "in/link.bvh").symlink_to(tmp_path / "secret.bvh")
    (tmp_path / "in/clips.csv").write_text(f"file,subject,action,split\n{file},s,a,test\n")
    with pytest.raises(ValueError, match="line 2: expected a file in the folder"):
        from_folder(tmp_path / "in", "bvh", MAPPINGS / "cmu_bvh.toml")


def test_hidden_files_of_other_systems_are_no_input(tmp_path):
    for name in ("a.bvh", "._a.bvh", "photo.png", "._film.mp4"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in files_in(tmp_path, ".bvh")] == ["a.bvh"]
    assert input_kind(tmp_path) == "folder"


def test_errors_and_warnings_of_a_file_have_no_control_characters(tmp_path):
    row = {"image_id": 0, "keypoints": [float(x) for x in range(51)]}
    path = tmp_path / f"{ESCAPE}.json"
    path.write_text(json.dumps([row | {"track_id": f"{ESCAPE}{n}"} for n in range(2)]))
    with pytest.raises(ValueError, match="expected one person") as raised:
        read_keypoints(path, image_size=(100, 100))
    assert str(raised.value).isprintable()
    warnings = [text for person in read_people(path, image_size=(100, 100)) for text in person.warnings]
    assert warnings
    assert all(text.isprintable() for text in warnings)


def test_tables_have_no_control_characters(capsys):
    print_table("title", ["of\ntwo lines"], {ESCAPE: [ESCAPE]})
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07"} & {*printed}
    assert "two lines" in printed


def test_arguments_with_control_characters_are_refused_but_for_the_input(tmp_path):
    path = tmp_path / f"{ESCAPE}.json"
    path.write_text("[]")
    with pytest.raises(ValueError, match="expected arguments without control characters") as raised:
        run(["predict", "a.json", str(path), "--out", "o.npz"])
    assert "\x1b" not in str(raised.value)
    with pytest.raises(ValueError, match="empty list"):
        run(["predict", str(path), "--out", str(tmp_path / "o.npz")])


@pytest.mark.parametrize(
    "setting",
    [
        {"batch_size": 2**40},
        {"lr": 1e300},
        {"lr_decay_large": np.nan},
        {"epochs": 10**400},
        {"ema": np.inf},
        {"workers": 10**5},
    ],
)
def test_numbers_of_a_training_are_bounded(setting):
    with pytest.raises(ValueError, match=f"expected {next(iter(setting))} [<>]"):
        TrainConfig(**setting)


def test_a_file_of_settings_names_no_code(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    (tmp_path / "c.toml").write_text('detector = "evil:Net"')
    with pytest.raises(ValueError, match="expected a detector of prpose; classes are named by --detector only"):
        run(["predict", "a.png", "--out", str(tmp_path / "o.npz"), "--config", str(tmp_path / "c.toml")])


@pytest.mark.parametrize("value", [None, "a", True, [1], b"", {}, 10**400, np.nan, -1, np.array([1.0])])
@pytest.mark.parametrize("field", list(InferenceConfig.__dataclass_fields__))
def test_settings_of_any_type_are_kept_or_refused(field, value):
    with suppress(ValueError):
        assert getattr(InferenceConfig(**{field: value}), field) is value


@pytest.mark.parametrize(
    "value", ["a", True, [1], b"", {}, 10**400, np.nan, -1, 1e-300, 1e300, np.array([1.0])], ids=str
)
@pytest.mark.parametrize("field", ["fps", "focal_px", "image_size", "layout", "frame_names", "times_s"])
def test_keypoints_of_any_type_are_kept_or_refused(field, value):
    values = {"xy": np.ones((2, 17, 2)), "image_size": (9, 9), "layout": "coco17", field: value}
    with suppress(ValueError):
        assert np.array_equal(getattr(Keypoints(**values), field), value)


def test_numbers_of_numpy_are_numbers():
    keypoints = Keypoints(np.ones((2, 17, 2)), (np.int64(9), np.float32(9)), "coco17", fps=np.array(30.0))
    assert keypoints.fps == 30
    assert Selection(stride=np.int64(2)).stride == 2


@pytest.mark.parametrize("value", [None, "a", [1], 10**400, np.nan, -1, 0, 2**63])
def test_counts_and_shares_of_a_wrong_type_or_size_are_refused_in_one_line(value):
    for call in (
        lambda: read_prediction(POSES).regions(value),
        lambda: replace(read_prediction(POSES), num_samples=value, samples=None),
        lambda: Selection(stride=value),
        lambda: Selection(subset=value),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()

    with pytest.raises(ValueError, match="expected num_samples >= 1, at most 1,000,000"):
        seeded_draw(0, 2**40)


@pytest.mark.parametrize("ending", ["gif", "mp4"])
@pytest.mark.parametrize(("fps", "steps"), [(1e-6, 2**50), (1e-6, 1), (1e6, 1), (30.0, 2**50)])
def test_animations_of_any_times_are_written_or_refused(ending, fps, steps, tmp_path):
    prediction = replace(read_prediction(POSES), times_s=None, fps=fps, frame_numbers=np.arange(2) * steps)
    path = tmp_path / f"a.{ending}"
    with suppress(ValueError):
        write_animation(prediction, path)
        assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    "change",
    [{"betas": ("a", "a")}, {"eps": None}, {"weight_decay": np.nan}, {"amsgrad": True}, {"exp_avg": None},
     {"exp_avg": torch.zeros(1, 1, 1)}, {"exp_avg_sq": "a"}],
)  # fmt: skip
def test_a_checkpoint_is_of_this_optimiser(change):
    def trained():
        state = State(torch.nn.Linear(2, 1), TrainConfig(ema=None))
        state.net(torch.ones(3, 2)).sum().backward()
        state.optimiser.step()
        return state

    saved = trained().state_dict()
    trained().load_state_dict(saved)
    optimiser = saved["optimiser"]
    place = optimiser["state"][0] if {*change} & {*optimiser["state"][0]} else optimiser["param_groups"][0]
    place |= change
    with pytest.raises(ValueError, match="another optimiser"):
        trained().load_state_dict(saved)


@pytest.mark.parametrize("place", ["frames", "num_samples"])
@pytest.mark.parametrize("number", [2**64, 10**400, -1])
def test_whole_numbers_of_an_evaluation_are_bounded(place, number, tmp_path):
    curve = {"num_samples": [number if place == "num_samples" else 1], "best": {"P1": [1.0]}, "mean": {"P1": [1.0]}}
    average = REPORT["average"] | {"frames": number if place == "frames" else 1}
    (tmp_path / "a.json").write_text(json.dumps(REPORT | {"average": average, "curve": curve}))
    with pytest.raises(ValueError, match=f"a JSON file of prpose evaluate: .*{place}"):
        read_report(tmp_path / "a.json")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_pages_and_figures_have_no_control_characters(tmp_path):
    evil = f"{ESCAPE}<img>\u202e"
    settings = REPORT["settings"] | {"dataset": evil, evil: {evil: [evil]}}
    names = {"command": evil, "versions": {evil: evil}, "rows": [REPORT["average"] | {"name": evil}]}
    curve = {"num_samples": [1], "best": {"P1": [1.0], evil: [1.0]}, "mean": {"P1": [1.0]}}
    (tmp_path / f"{evil}.json").write_text(json.dumps(REPORT | names | {"settings": settings, "curve": curve}))
    run(["report", str(tmp_path / f"{evil}.json"), "--out", str(tmp_path / "o.html")])
    os.rename(tmp_path / f"{evil}.json", os.fsencode(tmp_path) + b"/\xff.json")
    run(["figure", "samples", str(tmp_path / "\udcff.json"), "--out", str(tmp_path / "o.svg")])
    for name in ("o.html", "o.svg"):
        page = (tmp_path / name).read_text()
        assert "<img>" not in page
        assert not {"\x1b", "\x07", "\u202e"} & {*page}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_file_whose_name_is_no_text_is_predicted(tmp_path):
    xy = np.random.default_rng(0).uniform(100, 900, (3, 17, 2))
    path = os.fsencode(tmp_path) + b"/\xff.npz"
    np.savez(os.fsdecode(path), keypoints_px=xy, layout=np.array("h36m17"), image_size=np.array([1000, 1000]))
    out = tmp_path / "o.npz"
    options = ["--out", str(out), "-n", "2", "--config.allow-implausible", "--model", "mgcn-cmu17"]
    run(["predict", os.fsdecode(path), *options])
    assert "?.npz" in json.loads(str(np.load(out)["info"]))["command"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("name", ["a.json", "a.npz", "a.csv", "a.png", "a.mp4", "in/a.json", "in/side/a.json"])
def test_a_pipe_as_an_input_or_in_its_folder_is_an_error_at_once(name, tmp_path):
    (pipe := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    path = tmp_path / name.partition("/")[0]
    with pytest.raises(ValueError, match="expected a file, got a device, pipe or socket"):
        run(["predict", str(path), "--out", str(tmp_path / "o.npz")])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_pipes_as_other_files_are_errors_at_once(tmp_path):
    names = "p", "p.onnx", "p.pth", "p.png", "p.task", "p.toml", "p.bvh", "m/card.json", "w/lifter.safetensors"
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        os.mkfifo(tmp_path / name)
    shutil.copy(SHIPPED / "mgcn-cmu17/card.json", tmp_path / "w/card.json")
    with pytest.raises(ValueError, match="got a device, pipe or socket"):
        read_photo(tmp_path / "p.png")
    with pytest.raises(ValueError, match="got a device, pipe or socket"):
        read_state_dict(tmp_path / "p.pth")
    with pytest.raises(ValueError, match=r"p\.task"):
        check_model(tmp_path / "p.task")
    clip = str(FORMATS / "walk_h36m17.npz")
    for words in (
        ["predict", clip, "--out", "o.npz", "--config", str(tmp_path / "p.toml")],
        *(["predict", clip, "--out", "o.npz", "--model", str(tmp_path / model)] for model in ("p.onnx", "m", "w", "p")),
        ["view", str(tmp_path / "p")],
        ["report", str(tmp_path / "p"), "--out", "o.html"],
        [
            "data",
            "prepare",
            "mocap",
            str(tmp_path),
            "--format",
            "bvh",
            "--name",
            "x",
            "--joints",
            str(tmp_path / "p.toml"),
        ],
    ):
        with pytest.raises(ValueError, match=str(tmp_path)):
            run(words)


@pytest.mark.skipif(os.name == "nt", reason="other limits of names")
def test_names_longer_than_the_file_system_allows_are_errors(tmp_path, capsys):
    keypoints = load_keypoints(FORMATS / "walk_h36m17.npz")
    save_keypoints(tmp_path / "w.npz", replace(keypoints, person="a" * 400))
    long, model = "b" * 300, ["--model", "mgcn-cmu17", "-n", "2"]
    for words in (
        ["predict", "w.npz", "--person", "all", "--out", "o.npz"],
        ["predict", "w.npz", "--person", long, "--out", "o.npz"],
        ["predict", "w.npz", "--out", f"{long}.npz"],
        ["predict", f"{long}.npz", "--out", "o.npz"],
        ["predict", "w.npz", "--out", f"{long}/o.npz"],
    ):
        words = [str(tmp_path / word) if word.endswith(".npz") else word for word in words]
        assert guarded(lambda words=words: run([*words, *model])) == 1
        assert "error: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]
