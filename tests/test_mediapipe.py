"""MediaPipe Pose itself, on a real photograph of half a person.

The model is put together from the two networks that the older ``mediapipe==0.10.21`` brings, and
the photograph is scikit-image's astronaut (NASA, public domain). Both wheels come from PyPI, into a
temporary folder.
"""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.io.export import read_prediction
from prpose.io.mediapipe_pose import MediaPipePose
from prpose.io.video import open_video
from prpose.layouts import LAYOUTS
from prpose.prediction import FLAGS
from prpose.skeleton import H36M_17
from tests.films import write_png, write_video

pytestmark = pytest.mark.slow
pytest.importorskip("mediapipe", reason="mediapipe is not installed; make test-all does it")

NETWORKS = {  # of the older wheel; mean and standard deviation of the pixels that they take
    "pose_detector.tflite": ("pose_detection/pose_detection.tflite", 127.5, 127.5),
    "pose_landmarks_detector.tflite": ("pose_landmark/pose_landmark_full.tflite", 0.0, 255.0),
}


def prpose(*args):
    return guarded(lambda: run([str(arg) for arg in args]))


def from_pypi(folder, requirement):
    """A wheel, opened; the test is skipped, and says so, where there is no connection."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
               "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64",
               "--dest", str(folder), requirement]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{requirement} cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob(f"{requirement.partition('==')[0].replace('-', '_')}*.whl")
    return zipfile.ZipFile(wheel)


def normalising(model, mean, deviation):
    """A TFLite model with the metadata that the Tasks API asks for: how to normalise pixels."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
    from mediapipe.tasks.metadata import schema_py_generated as schema

    options = metadata.NormalizationOptionsT()
    options.mean, options.std = [mean], [deviation]
    unit, tensor = metadata.ProcessUnitT(), metadata.TensorMetadataT()
    unit.optionsType = metadata.ProcessUnitOptions.NormalizationOptions
    unit.options = options
    tensor.name, tensor.processUnits = "image", [unit]
    graph, whole = metadata.SubGraphMetadataT(), metadata.ModelMetadataT()
    graph.inputTensorMetadata = [tensor]
    whole.subgraphMetadata = [graph]
    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    graph.outputTensorMetadata = [metadata.TensorMetadataT() for _ in made.subgraphs[0].outputs]
    builder = flatbuffers.Builder()
    builder.Finish(whole.Pack(builder), b"M001")
    content, entry = schema.BufferT(), schema.MetadataT()
    content.data = list(builder.Output())
    entry.name, entry.buffer = "TFLITE_METADATA", len(made.buffers)
    made.buffers.append(content)
    made.metadata = [entry]
    builder = flatbuffers.Builder()
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    with (
        from_pypi(folder, "mediapipe==0.10.21") as wheel,
        zipfile.ZipFile(folder / "pose.task", "w", zipfile.ZIP_STORED) as bundle,
    ):
        for name, (path, mean, deviation) in NETWORKS.items():
            network = wheel.read(f"mediapipe/modules/{path}")
            bundle.writestr(name, normalising(network, mean, deviation))
    return folder / "pose.task"


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photo")
    with from_pypi(folder, "scikit-image==0.26.0") as wheel:
        (folder / "astronaut.png").write_bytes(wheel.read("skimage/data/astronaut.png"))
    return folder / "astronaut.png"


def spread_mm(poses, part):
    """Standard deviation per axis of left and right, over all frames."""
    joints = [H36M_17.index(f"{side}_{part}") for side in ("left", "right")]
    variance = poses.covariance[:, joints].trace(axis1=-2, axis2=-1) / 3
    return 1000 * np.sqrt(variance.mean(axis=0))


def test_legs_outside_of_the_picture_are_far_less_certain_than_shoulders(model, astronaut, tmp_path, capfd):
    argv = ["predict", astronaut, "--detector-model", model, "--out", tmp_path / "a.npz"]
    assert prpose(*argv, "--overlay", tmp_path / "a.png") == 0
    printed = capfd.readouterr()
    assert all(line.startswith("note: ") for line in printed.err.splitlines())
    poses = read_prediction(tmp_path / "a.npz")
    shoulders = spread_mm(poses, "shoulder")
    assert spread_mm(poses, "knee").min() > 1.5 * shoulders.max()
    assert spread_mm(poses, "ankle").min() > 2.5 * shoulders.max()
    flagged = {name for name, flag in zip(H36M_17.names, poses.flags[0], strict=True)
               if FLAGS[flag] == "low_confidence"}  # fmt: skip
    assert {"left_knee", "right_knee", "left_ankle", "right_ankle"} <= flagged
    assert not {"left_shoulder", "right_shoulder", "neck", "thorax"} & flagged


def test_her_face_and_shoulders_are_where_they_are(model, astronaut):
    """By eye, in the picture of 512 x 512: her left is on our right."""
    frame = next(open_video(astronaut).frames())
    detector = MediaPipePose(model)
    ((keypoints, score),) = detector(frame.image, None)
    detector.close()
    seen = dict(zip(LAYOUTS["blazepose33"].names, keypoints, strict=True))
    by_eye = {"nose": (224, 128), "left_eye": (248, 111), "right_eye": (206, 104),
              "left_shoulder": (306, 256), "right_shoulder": (112, 240)}  # fmt: skip
    for name, place in by_eye.items():
        assert np.linalg.norm(seen[name] - place) < 25, name
    assert score[:13].min() > 0.9
    assert score[25:].max() < 0.2


def test_a_video_of_her_moves_as_she_does(model, astronaut, tmp_path):
    """She slides to the left, by an uneven clock; keypoints and overlay follow."""
    photo = next(open_video(astronaut).frames()).image
    shift = np.arange(30)
    images = [np.ascontiguousarray(photo[30:, t : t + 482]) for t in shift]
    times = np.cumsum(np.tile([0.03, 0.05, 0.02], 10)) - 0.03
    path = write_video(tmp_path / "slide.mp4", images, times)
    argv = ["predict", path, "--detector-model", model, "--out", tmp_path / "v.npz", "-n", 20]
    assert prpose(*argv, "--overlay", tmp_path / "o.mp4") == 0
    poses = read_prediction(tmp_path / "v.npz")
    assert poses.frame_numbers.tolist() == list(range(30))
    assert np.allclose(poses.times_s, times, atol=2e-3)
    nose = poses.keypoints_px[:, H36M_17.index("neck"), 0]
    assert np.abs(nose - (224 - shift)).max() < 10
    assert spread_mm(poses, "ankle").min() > 2.5 * spread_mm(poses, "shoulder").max()
    over = list(open_video(tmp_path / "o.mp4").frames())
    assert np.allclose([frame.time_s for frame in over], times - times[0], atol=1e-3)


def test_two_of_her_are_two_people(model, astronaut, tmp_path, capsys):
    photo = next(open_video(astronaut).frames()).image[:, :400]
    wide = np.full((512, 1200, 3), 200, np.uint8)
    wide[:, :400], wide[:, 800:] = photo, photo
    write_png(tmp_path / "two.png", wide)
    argv = ["predict", tmp_path / "two.png", "--detector-model", model, "-n", 2]
    assert prpose(*argv, "--people", 3, "--out", tmp_path / "p.npz") == 1
    assert "expected one person, or --person; there are 2" in capsys.readouterr().err
    for person in "01":
        assert prpose(*argv, "--people", 3, "--person", person, "--out",
                      tmp_path / f"{person}.npz") == 0  # fmt: skip
    places = [read_prediction(tmp_path / f"{n}.npz").keypoints_px[0, 9, 0] for n in "01"]
    assert sorted(round(place / 800) for place in places) == [0, 1]


def test_what_mediapipe_cannot_load_is_said(tmp_path):
    path = tmp_path / "pose.task"
    with zipfile.ZipFile(path, "w") as bundle:
        for name in NETWORKS:
            bundle.writestr(name, b"TFL3 or so")
    with pytest.raises(ValueError, match="MediaPipe cannot load it") as caught:
        MediaPipePose(path)
    assert "\n" not in str(caught.value)
