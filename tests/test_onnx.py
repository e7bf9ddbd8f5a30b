"""Models as ONNX files: the samples of PyTorch, without PyTorch."""

import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import prpose
from prpose import build_lifter
from prpose.card import Card, Network
from prpose.cli import guarded, run
from prpose.engine import noisy_poses
from prpose.export import export_onnx
from prpose.hub import bundled_models, write_model_folder
from prpose.lifter import LIFTERS
from prpose.noise import LearntNoise, build_variance_net
from prpose.onnx import METADATA, OnnxSampler

pytest.importorskip("onnxscript")
ROOT = Path(__file__).parent.parent
MEMBERS = [{"name": "gaussian_gcn", "frames": 3, "framed": True, "hidden": 8, "blocks": 1},
           {"name": "gaussian_mlp", "frames": 3, "framed": True, "hidden": 16}]  # fmt: skip
SMALL = {
    "htnet": {"channels": 48, "blocks": 1, "graph_hidden": 16, "mlp_hidden": 16, "drop_path": [0.1]},
    "mgcn_lw": {"hidden": 8, "blocks": 1},
    "modulated_gcn": {"hidden": 16, "blocks": 1},
    "graphmlp": {"frames": 3, "channels": 16, "blocks": 1, "joint_hidden": 8, "mlp_hidden": 16, "drop_path": [0.0]},
    "temporal": {"channels": 8, "filter_widths": [3]},
    "gaussian_gcn": {"hidden": 8, "blocks": 1, "frames": 3, "causal": True},
    "gaussian_mlp": {"hidden": 16},
    "gaussian_mixture": {"members": MEMBERS},
}
"""Arguments of small networks, by the lifter's name."""


WITHOUT_PYTORCH = """
import sys
class Hidden:
    def find_spec(self, name, *_):
        if name in ("torch", "safetensors", "onnx", "onnxscript"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hidden())
from prpose.cli import main
main(sys.argv[1:])
"""


def folder_of(folder, name, learnt=False, **kw):
    """A model's folder with random weights."""
    torch.manual_seed(0)
    lifter, noise = build_lifter(name, **kw), None
    weights = {"lifter": lifter.state_dict()}
    if not name.startswith("gaussian"):
        net = build_variance_net("mgcn_lw", hidden=16)
        noise = Network("learnt_mgcn_lw" if learnt else "avg_mgcn_lw", "", "", {"hidden": 16})
        weights["noise"] = (LearntNoise(net) if learnt else net).state_dict()
    card = Card("small", Network(name, "", "", kw), noise, 0.01, "none", "0", "2026-11-29", fps=30.0)
    write_model_folder(folder, card, weights)
    return folder


def exported(folder, name, **kw):
    """A small model by PyTorch and by ONNX Runtime."""
    path = folder_of(folder / "model", name, **kw)
    assert export_onnx(path, folder / "model.onnx") < 1e-5
    return prpose.load(path), prpose.load(folder / "model.onnx")


@pytest.fixture(scope="module")
def one_pass(tmp_path_factory):
    kw = {"hidden": 16, "frames": 3, "framed": True}
    return exported(tmp_path_factory.mktemp("one_pass"), "gaussian_mlp", **kw)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small model, as a folder and as an ONNX file."""
    folder = tmp_path_factory.mktemp("adaptive")
    exported(folder, "mgcn_lw", **SMALL["mgcn_lw"])
    return folder


@pytest.fixture(scope="module")
def adaptive(folder):
    return prpose.load(folder / "model"), prpose.load(folder / "model.onnx")


@pytest.fixture
def walk():
    return prpose.read_keypoints(ROOT / "examples/walk_openpose", image_size=(1000, 1002), fps=30)


def renamed(graph):
    graph.graph.input[1].name = "noise"
    for node in graph.graph.node:
        node.input[:] = ["noise" if name == "eps" else name for name in node.input]


def fewer_outputs(graph):
    del graph.graph.output[2]


def outside(graph):
    """Weights in another file, of the working directory."""
    weights = next(each for each in graph.graph.initializer if len(each.raw_data) > 100)
    Path("secret.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = 1
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "secret.bin"


@pytest.mark.parametrize("which", ["one_pass", "adaptive"])
@pytest.mark.parametrize(("S", "B", "T"), [(1, 1, 3), (2, 3, 4), (7, 1, 20), (70, 2, 5)])
def test_samples_are_those_of_pytorch(which, S, B, T, request):
    ours, theirs = (model.sampler for model in request.getfixturevalue(which))
    rng = np.random.default_rng(S)
    x = rng.uniform(-0.4, 0.4, (B, T, 17, 2)).astype(np.float32)
    eps, mirrored = rng.standard_normal((2, S, B, T, 17, ours.noise_channels)).astype(np.float32)
    sigma = np.zeros((B, T, 17), np.float32)
    sigma[0, 1, 4] = 0.05
    for extra in (None, sigma):
        wanted, found = (each.draw(x, eps, mirrored, extra) for each in (ours, theirs))
        assert found.samples.shape == (S, B, T - ours.F + 1, 17, 3)
        for a, b in zip(wanted, found, strict=True):
            assert (a is None) == (b is None)
            assert a is None or np.allclose(a, b, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("which", ["one_pass", "adaptive"])
def test_a_model_predicts_and_streams_as_by_pytorch(which, walk, request):
    ours, theirs = request.getfixturevalue(which)
    assert repr(ours) == repr(theirs)
    assert asdict(ours.card) == asdict(theirs.card)
    walk.xy[3:20, 13] = np.nan  # missing, so that further noise is added
    with pytest.warns(UserWarning, match="left_knee in frames 3-19"):
        a, b = (model(walk, 6, seed=3) for model in (ours, theirs))
    assert np.allclose(a.samples, b.samples, atol=1e-5)
    assert np.allclose(a.covariance, b.covariance, atol=1e-5)
    assert a.flags.tolist() == b.flags.tolist()
    streams = [model.stream((1000, 1002), "body25", 4, fps=30) for model in (ours, theirs)]
    for xy in walk.xy[:3]:
        a, b = (stream(xy) for stream in streams)
        assert np.allclose(a.samples, b.samples, atol=1e-5)
        assert np.allclose(a.root, b.root, atol=1e-3)


def test_prediction_needs_no_pytorch(folder, tmp_path, walk):
    """In a process that cannot import it."""
    out = tmp_path / "walk.npz"
    program, walk_files = [sys.executable, "-c", WITHOUT_PYTORCH], str(ROOT / "examples/walk_openpose")
    command = [*program, "predict", walk_files, "--out", str(out), "-n", "5"]
    command += ["--image-size", "1000", "1002", "--fps", "30"]
    done = subprocess.run([*command, "--model", str(folder / "model.onnx")], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = prpose.read_prediction(out)
    assert np.allclose(found.samples, prpose.load(folder / "model")(walk, 5).samples, atol=1e-5)
    page = tmp_path / "walk.html"
    viewed = subprocess.run([*program, "view", str(out), "--out", str(page)], capture_output=True, text=True, cwd=ROOT)
    assert viewed.returncode == 0, viewed.stderr
    assert page.stat().st_size > 100_000
    without = subprocess.run([*command, "--overwrite"], capture_output=True, text=True, cwd=ROOT)
    assert without.returncode == 1
    assert without.stderr.splitlines()[-1].startswith("error: this command needs PyTorch, which is not installed")


def test_files_that_are_no_models_are_refused(folder, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match=r"model\.onnx: no such file"):
        prpose.load(path)
    whole = (folder / "model.onnx").read_bytes()
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="expected a device of ONNX Runtime here"):
        prpose.load(path, "cuda")
    graph = onnx.load(path)
    (entry,) = (each for each in graph.metadata_props if each.key == METADATA)
    facts = ('"F": "1"', '"F": 0', '"F": 1000000', f'"F": {10**30}', '"F": true')
    swaps = [('"F": 1', fact) for fact in facts]
    swaps += [('"own_frame": 0', '"own_frame": 7'), ('"noise_channels": 2', '"noise_channels": 4')]
    swaps += [('"components": 1', '"components": 0'), ('"one_pass": false', '"one_pass": true')]
    swaps += [('"alpha": 0.01', f'"alpha": {alpha}') for alpha in ("-1", '"x"')]
    swaps += [('"name": "small"', f'"name": {name}') for name in ("5", '["a"]')]
    texts = ["", "[]", "{}", *(entry.value.replace(*swap) for swap in swaps)]
    assert entry.value not in texts
    damaged = [b"", b"not a model", whole[: len(whole) // 2]]
    for text in texts:
        graph = onnx.load_from_string(whole)
        next(each for each in graph.metadata_props if each.key == METADATA).value = text
        damaged.append(graph.SerializeToString())
    for change in (renamed, fewer_outputs, outside):
        graph = onnx.load_from_string(whole)
        change(graph)
        damaged.append(graph.SerializeToString())
    del graph.metadata_props[:]
    for content in [*damaged, graph.SerializeToString()]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(f"{path}: not an ONNX file of prpose")):
            prpose.load(path)


def test_a_name_that_ends_in_onnx(folder, tmp_path, capsys):
    upper = tmp_path / "UPPER.ONNX"
    upper.write_bytes((folder / "model.onnx").read_bytes())
    model = prpose.load(upper)
    again = pickle.loads(pickle.dumps(model))
    x, eps = np.ones((1, 1, 17, 2), np.float32) / 9, np.ones((3, 1, 1, 17, 2), np.float32)
    assert np.array_equal(again.sampler.draw(x, eps, eps).samples, model.sampler.draw(x, eps, eps).samples)
    shutil.copytree(folder / "model", tmp_path / "folder.onnx")
    assert isinstance(prpose.load(tmp_path / "folder.onnx").sampler, prpose.Sampler)
    for words in (["evaluate", "walkers", "--model", str(upper)], ["export", str(upper), str(tmp_path / "o.onnx")]):
        assert guarded(lambda words=words: run(words)) == 1
        assert "an ONNX file can only predict" in capsys.readouterr().err
    for device in ("cpu:3", "cuda:x"):
        with pytest.raises(ValueError, match="expected a device of ONNX Runtime here"):
            prpose.load(upper, device)


def test_a_wrong_export_is_not_written(tmp_path, monkeypatch):
    class Wrong(OnnxSampler):
        def draw(self, *args, **kw):
            return super().draw(*args, **kw)._replace(pose=np.full(1, self.wrong, np.float32))

    for wrong in (np.nan, 1.0):
        monkeypatch.setattr(Wrong, "wrong", wrong, raising=False)
        monkeypatch.setattr("prpose.export.OnnxSampler", Wrong)
        with pytest.raises(ValueError, match="expected the poses of PyTorch, got others by up to"):
            export_onnx(folder_of(tmp_path / f"{wrong}", "gaussian_mlp", **SMALL["gaussian_mlp"]), tmp_path / "a.onnx")
        assert not (tmp_path / "a.onnx").exists()


def test_export_writes_nothing_it_should_not(tmp_path, capsys):
    folder = folder_of(tmp_path / "model", "gaussian_mlp", **SMALL["gaussian_mlp"])
    with pytest.raises(ValueError, match=r"expected a name that ends in \.onnx"):
        export_onnx(folder, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="unknown model 'mgcn'"):
        export_onnx("mgcn", tmp_path / "a.onnx")
    out = tmp_path / "out.onnx"
    out.write_text("mine")
    assert guarded(lambda: run(["export", str(folder), str(out)])) == 1
    assert "exists already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert guarded(lambda: run(["export", str(folder), str(out), "--overwrite"])) == 0
    assert re.search(r"poses within \d\.\d micrometres of PyTorch's", capsys.readouterr().out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.onnx"]
    assert OnnxSampler(out).F == 1


def test_noisy_poses(one_pass):
    F = one_pass[0].sampler.F
    sigma = np.zeros((2, 6, 17))
    sigma[1, 2, 5] = 1
    assert noisy_poses(sigma, F).tolist() == [[False] * 4, [True, True, True, False]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "learnt"),
    [(name, learnt) for name in sorted(LIFTERS) for learnt in (False, True) if not (learnt and "gaussian" in name)],
)
def test_every_lifter_is_exported(name, learnt, tmp_path):
    ours, theirs = exported(tmp_path, name, learnt=learnt, **SMALL[name])
    assert theirs.sampler.trained == (learnt or name.startswith("gaussian")) == ours.sampler.trained


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(bundled_models()))
def test_bundled_models_are_exported(name, tmp_path):
    assert export_onnx(name, tmp_path / "model.onnx") < 1e-5
