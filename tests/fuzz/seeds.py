"""Small valid files of the formats of which tests/data has none, or too large ones."""

import io
import json
import pickle
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.mocap_files import ASF, amc_text, bvh_text

FRAMES = 3


def shortened(name, data):
    """JSON with at most three items of each list of objects, so that many files a second can be read."""
    if not name.endswith(".json") or "coco_annotations" in name:
        return data
    lines = data.splitlines()[:FRAMES] if name == "openpifpaf.json" else [data]
    return b"\n".join(json.dumps(_shortened(json.loads(line))).encode() for line in lines)


def _shortened(content):
    if isinstance(content, dict):
        first = list(content.items())
        return (
            {key: _shortened(item) for key, item in (first[:FRAMES] if "." in first[0][0] else first)} if first else {}
        )
    if isinstance(content, list):
        deep = content and isinstance(content[0], dict) and "x" not in content[0]
        return [_shortened(item) for item in (content[:FRAMES] if deep else content)]
    return content


def pickles():
    """DeepLabCut's columns, and the kinds of data that npz files hold, in several protocols."""
    columns = [("scorer", name, c) for name in ("nose", "left_hip") for c in ("x", "y", "likelihood")]
    arrays = {"S9": {"Walking 1": [np.zeros((2, 3, 2), np.float32), np.arange(4)]}, "num_joints": np.int64(17)}
    mixed = {"a": [1, 2.5, None, True, "text", b"bytes", (1, (2,))], "b": np.array("text"), "c": np.float64(1)}
    return [pickle.dumps(each, protocol=p) for each in (columns, arrays, mixed) for p in (0, 2, 4)]


@cache
def release():
    """A 3D and a 2D file of one recording of Human3.6M's layout."""
    rng = np.random.default_rng(0)
    world = rng.uniform(-1, 1, (2, 32, 3)).astype(np.float32)
    pixels = [rng.uniform(0, 1000, (2, 17, 2)).astype(np.float32) for _ in range(4)]
    sides = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": sides}
    poses, keypoints = {"S9": {"Walking": world}}, {"S9": {"Walking": pixels}}
    boxed = [np.array(content, dtype=object) for content in (poses, keypoints, metadata)]
    return _npz(positions_3d=boxed[0]), _npz(positions_2d=boxed[1], metadata=boxed[2])


def _npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@cache
def benchmarks():
    from prpose.data.synthetic import Rig
    from prpose.data.synthetic.benchmark_file import write_benchmark
    from prpose.data.synthetic.walkers import walker

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data_own.npz"
        motion = walker("W03", "sit")
        short = type(motion)(motion.name, "W03", "sit", motion.poses_world[:4], motion.fps)
        write_benchmark(path, {"test": [Rig().render(short, "x")]}, {"note": "made up"})
        return [path.read_bytes()]


def bvh():
    return [bvh_text().encode()]


def asf():
    return [ASF.encode()]


def amc():
    return amc_text().encode()


@cache
def c3d():
    import ezc3d

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for names in (("LASI", "RASI", "C7"), ("A",)):
            file, path = ezc3d.c3d(), Path(folder) / "a.c3d"
            file["parameters"]["POINT"]["RATE"]["value"] = [100.0]
            file["parameters"]["POINT"]["LABELS"]["value"] = list(names)
            file["data"]["points"] = np.random.default_rng(0).uniform(-1000, 1000, (4, len(names), FRAMES))
            file.write(str(path))
            found.append(path.read_bytes())
    return found


def points():
    numbers = np.random.default_rng(0).uniform(-1, 1, (FRAMES, 3, 3))
    return [_npz(positions=numbers, names=np.array(["a", "b", "c"]), fps=30.0)]


def mappings():
    from prpose.data.mocap.mapping import SHIPPED

    return [(SHIPPED / f"{name}.toml").read_bytes() for name in ("cmu_asf", "cmu_bvh")]


def clips():
    return [b"file,subject,action,split\na.bvh,S1,walk,train\nb.bvh,S2,run,test\n"]


def beside_clips():
    return {"joints.toml": mappings()[1], "a.bvh": bvh()[0], "b.bvh": bvh()[0]}


@cache
def cdf():
    import cdflib.cdfwrite

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for compress in (0, 6):
            path = Path(folder) / f"a{compress}.cdf"
            pose = np.random.default_rng(0).uniform(-1000, 1000, (1, FRAMES, 96)).astype(np.float32)
            writer = cdflib.cdfwrite.CDF(path, cdf_spec={"Majority": "row_major"})
            spec = {"Variable": "Pose", "Data_Type": writer.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True}
            writer.write_var({**spec, "Compress": compress, "Dim_Sizes": [FRAMES, 96]}, var_data=pose)
            writer.close()
            found.append(path.read_bytes())
    return found


@cache
def matlab(train):
    """Annotations in MATLAB 5 and in MATLAB 7.3, which is HDF5."""
    import h5py
    import scipy.io

    rng, channels, streams = np.random.default_rng(0), {"annot2": 2, "univ_annot3": 3}, (io.BytesIO(), io.BytesIO())
    with h5py.File(streams[1], "w", userblock_size=512) as file:
        content = {}
        for name, n in channels.items():
            if train:
                content[name] = np.empty((14, 1), dtype=object)
                references = file.create_dataset(name, (1, 14), dtype=h5py.ref_dtype)
                for i in range(14):
                    content[name][i, 0] = rng.uniform(-900, 4000, (2, 28 * n))
                    cell = file.create_dataset(f"#refs#/{name}{i}", data=content[name][i, 0].T)
                    references[0, i] = cell.ref
            else:
                content[name] = rng.uniform(0, 2000, (n, 17, 1, 4))
                file.create_dataset(name, data=content[name].T, compression="gzip")
        if not train:
            content["valid_frame"] = np.ones((1, 4))
            file.create_dataset("valid_frame", data=np.ones((4, 1)))
    scipy.io.savemat(streams[0], content, do_compression=True)
    return [stream.getvalue() for stream in streams]


def configs():
    inference = 'point_estimate = "mean"\nsmooth = "rts"\nfov_deg = 60.0\nlevel = [10.0, 0.0]\nmax_gap = 5\n'
    intrinsics = "intrinsics = [1000.0, 1000.0, 500.0, 500.0]\nmin_confidence = 0.2\nsave_samples = 3\n"
    return [inference.encode(), intrinsics.encode()]


def training():
    return [b'epochs = 2\nbatch_size = 16\nlr = 0.001\nema = 0.99\nheld_out = ["S1"]\nschedule = "cosine"\n']


@cache
def cards():
    from prpose.hub import SHIPPED

    return [(SHIPPED / name / "card.json").read_bytes() for name in ("mgcn-cmu17", "gaussian-wide")]


@cache
def weights():
    """A folder of a small model."""
    import torch
    from safetensors.torch import save

    from prpose.lifter import build_lifter

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"lifter.safetensors": save(build_lifter("gaussian_mlp", hidden=4).state_dict())}


def small_cards():
    from prpose.atomic import sha256_of

    network = {"network": "gaussian_mlp", "command": "", "arguments": {"hidden": 4}}
    digest = sha256_of(weights()["lifter.safetensors"])
    card = {"name": "small", "noise": None, "alpha": 1.0, "data": "none", "data_sha256": "", "date": "2026-01-01"}
    return [json.dumps(card | {"lifter": network | {"sha256": digest}}).encode()]


def beside_cards():
    return weights()


@cache
def pth():
    import torch

    stream = io.BytesIO()
    torch.save({"state_dict": {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}, "epoch": 3}, stream)
    return [stream.getvalue()]


@cache
def onnx():
    """The smallest graph with the inputs and outputs of a model, and a card."""
    from onnx import TensorProto, helper, numpy_helper

    from prpose.onnx import METADATA

    facts = {"F": 1, "own_frame": 0, "noise_channels": 2, "components": 1}
    facts |= {"framed": False, "one_pass": False, "trained": False, "card": json.loads(cards()[0])}
    fixed = {
        "samples": np.zeros((2, 1, 1, 17, 3), np.float32), "poses": np.zeros((1, 1, 17, 3), np.float32),
        "noise": np.zeros((1, 1, 17, 2), np.float32),
    }  # fmt: skip
    nodes = [helper.make_node("Identity", [f"w_{name}"], [name]) for name in fixed]
    inputs = {"keypoints": 4, "eps": 5, "eps_mirrored": 5, "extra_sigma": 3}
    graph = helper.make_graph(
        nodes, "model",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * n) for name, n in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in fixed.items()],
        [numpy_helper.from_array(array, f"w_{name}") for name, array in fixed.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA: json.dumps(facts)})
    return [model.SerializeToString()]


def names():
    return [b"walk.mp4", b"rtsp://camera:554/stream?a=1", b"http://example.org/a.m3u8", b"0", b"a/b/walk_%d.jpg"]
