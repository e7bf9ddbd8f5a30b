"""Every reader, how to call it, and small valid files of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.fuzz import damage, damage_arrays, damage_models, seeds

Change = Callable[[bytes, Any], bytes]
HERE = Path(__file__).parent.parent / "data"
SIZE = (1000, 1002)
LARGEST = 2**24  # bytes of a file


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        read: of a path.
        seeds: bytes of valid files.
        change: that changes a valid file as its format has it.
        file: its name, in folders of its own where there are some.
        beside: files that lie beside it, by name.
        apart: whether a library in C reads the file, which may crash, so that it is read in a process of its own.
    """

    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]
    change: Change
    file: str
    beside: Callable[[], dict[str, bytes]] = dict
    apart: bool = False

    def write(self, folder, data):
        path = folder / self.file
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        for name, content in {**self.beside(), self.file: data}.items():
            if name == self.file or not (path.parent / name).exists():
                (path.parent / name).write_bytes(content)
        return path

    def damaged(self, data, rng):
        """The bytes with one to three changes, of which the last may be of any kind."""
        for _ in range(rng.choice((1, 1, 2, 3))):
            try:
                data = self.change(data, rng)
            except Exception:  # of a library that writes the format, which refuses a file that was changed before
                data = damage.raw(data, rng)
        data = data if rng.randrange(32) else damage.raw(data, rng)
        return data[:LARGEST]


def _keypoints(path, format=None, layout=None, fps=None):
    from prpose.io.keypoints import read_people

    try:
        return read_people(path, format=format, layout=layout, image_size=SIZE, fps=fps)
    except ValueError as error:
        if "image size" not in str(error):
            raise
    return read_people(path, format=format, layout=layout, fps=fps)


KEYPOINTS: dict[
    str, tuple[str, Change, str | None]
] = {  # a valid file of each format, how to change it, and its layout
    "coco-annotations": ("coco_annotations.json", damage.as_json, None),
    "openpose": ("openpose_body25/walk_000000000003_keypoints.json", damage.as_json, None),
    "openpose-frames": ("openpose_frames.json", damage.as_json, None),
    "alphapose-by-image": ("alphapose_by_image.json", damage.as_json, None),
    "mediapipe": ("mediapipe.json", damage.as_json, None),
    "mmpose": ("mmpose_demo.json", damage.as_json, None),
    "mmpose-images": ("mmpose_images/walk_3.json", damage.as_json, "coco17"),
    "mmpose-frames": ("mmpose_frames.json", damage.as_json, "coco17"),
    "ultralytics-images": ("ultralytics_images/walk_3.json", damage.as_json, None),
    "ultralytics": ("ultralytics.json", damage.as_json, None),
    "ultralytics-labels": ("ultralytics_labels/walk_3.txt", damage.words, None),
    "alphapose": ("alphapose_halpe26.json", damage.as_json, None),
    "coco": ("coco_results.json", damage.as_json, None),
    "openpifpaf": ("openpifpaf.json", damage.as_json, None),
    "openpifpaf-images": ("openpifpaf_images/walk_3.jpg.predictions.json", damage.as_json, None),
    "videopose3d": ("videopose3d.npz", damage_arrays.as_npz, None),
    "detectron2": ("detectron2.npz", damage_arrays.as_npz, None),
    "reconstruction": ("reconstruction.npz", damage_arrays.as_npz, None),
    "3dhp": ("3dhp.npz", damage_arrays.as_npz, None),
    "keypoints": ("keypoints.npz", damage_arrays.as_npz, None),
    "npz": ("walk_h36m17.npz", damage_arrays.as_npz, None),
    "npy": ("walk_h36m17.npy", damage_arrays.as_npy, "h36m17"),
    "deeplabcut": ("deeplabcut.h5", damage_models.as_hdf5, None),
    "sleap": ("sleap.h5", damage_models.as_hdf5, None),
    "sleap-labels": ("sleap_labels.slp", damage_models.as_hdf5, None),
    "csv": ("walk_coco17.csv mediapipe_long.csv mediapipe_wide.csv", damage.as_csv, None),
}


def _of_files(names, folder="formats"):
    return [seeds.shortened(name, (HERE / folder / name).read_bytes()) for name in names.split()]


def _keypoint_target(format):
    names, change, layout = KEYPOINTS[format]
    file = "walk_1" + Path(names.split()[0]).suffix
    apart = file.endswith((".h5", ".slp"))
    return Target(
        partial(_keypoints, format=format, layout=layout), partial(_of_files, names), change, file, apart=apart
    )


def _recognised(ending, change, *formats):
    """The reader that has to find a file's format."""

    def found():
        return [data for format in formats for data in _of_files(KEYPOINTS[format][0])]

    return Target(partial(_keypoints, layout=None), found, change, f"walk_1{ending}")


def _prediction(path):
    from prpose.io.export import is_prediction, read_prediction

    is_prediction(path)
    return read_prediction(path)


def _pickle(path):
    from prpose.unpickle import read_pickle

    return read_pickle(path.read_bytes())


def _release(path):
    from prpose.data import human36m
    from prpose.data.release_files import Selection, load_release

    other = path.parent / ("data_3d_h36m.npz" if "2d" in path.name else "data_2d_h36m_gt.npz")
    paths = (other, path) if "2d" in path.name else (path, other)
    return load_release(human36m.views, paths, ("S9",), Selection())


def _benchmark(path):
    from prpose.data.release_files import Selection
    from prpose.data.synthetic.benchmark_file import load_benchmark, read_card

    read_card(path)
    return load_benchmark(path, "test", Selection(), "det")


def _mapping(path):
    from prpose.data.mocap.mapping import read_mapping

    return read_mapping(path)


def _clips(path):
    from prpose.data.mocap.mapping import from_folder

    return from_folder(path.parent, "bvh", path.parent / "joints.toml")


def _config(name, path):
    from prpose.atomic import read_toml
    from prpose.config import InferenceConfig, config_from
    from prpose.training import TrainConfig

    return config_from({"inference": InferenceConfig, "training": TrainConfig}[name], read_toml(path))


def _card(path):
    from prpose.hub import read_model_folder

    return read_model_folder(path.parent)


def _networks(path):
    from prpose.hub import read_model_folder

    return read_model_folder(path.parent).networks()


def _onnx(path):
    from prpose.onnx import OnnxSampler

    return OnnxSampler(path)


def _weights(path):
    from prpose.weights import read_state_dict

    return read_state_dict(path)


def _annotations(train, path):
    from prpose.data import mpi_inf_3dhp

    names = ["annot2", "univ_annot3", "valid_frame"]
    mpi_inf_3dhp.try_apart(mpi_inf_3dhp._read_mat, "h5py", path, names=names)
    return mpi_inf_3dhp._read_annotations(path, train, "univ_annot3")


def _cdf(path):
    from prpose.data import human36m

    human36m.try_apart(human36m._read_world, "cdflib", path)
    return human36m._read_world(path)


def _mocap(format, path):
    from prpose.data.mocap.mapping import FORMATS

    return FORMATS[format][1](path)


def _asf(path):
    from prpose.data.mocap.asf_amc import read_amc

    return read_amc(path.with_name("07_01.amc"), path)


def _address(path):
    """A name of a video, a file or a stream: what the command line is given."""
    from prpose.io.video import input_kind, stream_address

    named = Path(path.read_bytes().decode("utf-8", "surrogateescape"))
    return stream_address(named), input_kind(named)


def _beside_asf():
    return {"07_01.amc": seeds.amc()}


@cache
def targets():
    """All of them, by name."""
    found = {format: _keypoint_target(format) for format in KEYPOINTS}
    json_formats = [name for name, (file, _, layout) in KEYPOINTS.items() if file.endswith(".json") and not layout]
    npz_formats = [name for name, (file, *_) in KEYPOINTS.items() if file.endswith(".npz")]
    predictions = partial(_of_files, folder=".")
    return found | {
        "any-json": _recognised(".json", damage.as_json, *json_formats),
        "any-npz": _recognised(".npz", damage_arrays.as_npz, *npz_formats),
        "pickle": Target(_pickle, seeds.pickles, damage_arrays.as_pickle, "a.pkl"),
        "prediction-npz": Target(_prediction, partial(predictions, "poses_v1.npz"), damage_arrays.as_npz, "a.npz"),
        "prediction-json": Target(_prediction, partial(predictions, "poses_v1.json"), damage.as_json, "a.json"),
        "release-2d": Target(
            _release, lambda: [seeds.release()[1]], damage_arrays.as_npz, "data_2d_h36m_gt.npz",
            lambda: {"data_3d_h36m.npz": seeds.release()[0]},
        ),
        "release-3d": Target(
            _release, lambda: [seeds.release()[0]], damage_arrays.as_npz, "data_3d_h36m.npz",
            lambda: {"data_2d_h36m_gt.npz": seeds.release()[1]},
        ),
        "benchmark": Target(_benchmark, seeds.benchmarks, damage_arrays.as_npz, "data_own.npz"),
        "bvh": Target(partial(_mocap, "bvh"), seeds.bvh, damage.words, "a.bvh"),
        "asf": Target(_asf, seeds.asf, damage.words, "07.asf", _beside_asf),
        "amc": Target(
            partial(_mocap, "asf"), lambda: [seeds.amc()], damage.words, "07_01.amc", lambda: {"07.asf": seeds.asf()[0]}
        ),
        "c3d": Target(partial(_mocap, "c3d"), seeds.c3d, damage.raw, "a.c3d", apart=True),
        "points-npz": Target(partial(_mocap, "npz"), seeds.points, damage_arrays.as_npz, "a.npz"),
        "joint-mapping": Target(_mapping, seeds.mappings, damage.as_toml, "joints.toml"),
        "clips-csv": Target(_clips, seeds.clips, damage.as_csv, "clips.csv", seeds.beside_clips),
        "cdf": Target(_cdf, seeds.cdf, damage.raw, "a.cdf", apart=True),
        "matlab-train": Target(
            partial(_annotations, True), lambda: seeds.matlab(True), damage_models.as_matlab, "annot.mat", apart=True
        ),
        "matlab-test": Target(
            partial(_annotations, False), lambda: seeds.matlab(False), damage_models.as_matlab, "test.mat", apart=True
        ),
        "config-inference": Target(partial(_config, "inference"), seeds.configs, damage.as_toml, "a.toml"),
        "config-training": Target(partial(_config, "training"), seeds.training, damage.as_toml, "a.toml"),
        "card": Target(_card, seeds.cards, damage.as_json, "card.json"),
        "card-networks": Target(
            _networks, seeds.small_cards, damage_models.as_card, "card.json", seeds.beside_cards, apart=True
        ),
        "onnx": Target(_onnx, seeds.onnx, damage_models.as_onnx, "a.onnx", apart=True),
        "safetensors": Target(
            _weights, lambda: list(seeds.weights().values()), damage_arrays.as_safetensors, "a.safetensors", apart=True
        ),
        "pth": Target(_weights, seeds.pth, damage_arrays.as_npz, "a.pth", apart=True),
        "video-name": Target(_address, seeds.names, damage.text, "name.txt"),
    }  # fmt: skip


def named(text):
    """Targets by name, separated by commas, or all."""
    known = targets()
    names = list(known) if text == "all" else text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"error: unknown reader {unknown[0]!r}; known: all, {', '.join(known)}")
    return {name: known[name] for name in names}
