"""What a file, its name or an option may not do: choose memory, leave its folder, or write to the terminal."""

import json
import os
import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from prpose.cli import run
from prpose.cli.console import print_table
from prpose.data.mocap.mapping import SHIPPED as MAPPINGS
from prpose.data.mocap.mapping import files_in, from_folder
from prpose.hub import SHIPPED, find_model_folder
from prpose.io.keypoints import read_keypoints, read_people
from prpose.io.video import input_kind, read_photo
from prpose.training import TrainConfig
from prpose.weights import read_state_dict

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
    "setting", [{"batch_size": 2**40}, {"lr": 1e300}, {"lr_decay_large": np.nan}, {"epochs": 10**400}, {"ema": np.inf}]
)
def test_numbers_of_a_training_are_bounded(setting):
    with pytest.raises(ValueError, match=f"expected {next(iter(setting))} >"):
        TrainConfig(**setting)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_file_whose_name_is_no_text_is_predicted(tmp_path):
    xy = np.random.default_rng(0).uniform(100, 900, (3, 17, 2))
    path = os.fsencode(tmp_path) + b"/\xff.npz"
    np.savez(os.fsdecode(path), keypoints_px=xy, layout=np.array("h36m17"), image_size=np.array([1000, 1000]))
    out = tmp_path / "o.npz"
    options = ["--out", str(out), "-n", "2", "--config.allow-implausible", "--model", "mgcn-cmu17"]
    run(["predict", os.fsdecode(path), *options])
    assert "?.npz" in json.loads(str(np.load(out)["info"]))["command"]
