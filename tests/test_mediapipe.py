"""MediaPipe Pose on a real photograph of half a person.

The model is built from the two networks in the older ``mediapipe==0.10.21``, and the photograph is scikit-image's
astronaut (NASA, public domain). Both wheels come from PyPI, into a temporary folder.
"""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

import prpose
from prpose.io.detector import MediaPipePose, create_detector, run_detector
from prpose.io.keypoints import people_from
from prpose.io.video import open_video, read_photo
from prpose.layouts import LAYOUTS
from prpose.prediction import FLAGS
from prpose.skeleton import H36M_17
from tests.videos import write_png, write_video

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
pytest.importorskip("mediapipe", reason="mediapipe is not installed; make test-all does it")

NETWORKS = {  # of the older wheel; mean and standard deviation of the pixels that they take
    "pose_detector.tflite": ("pose_detection/pose_detection.tflite", 127.5, 127.5),
    "pose_landmarks_detector.tflite": ("pose_landmark/pose_landmark_full.tflite", 0.0, 255.0),
}


def from_pypi(folder, requirement):
    """A wheel, opened; the test is skipped where there is no connection."""
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

    def filled(table, **fields):
        vars(table).update(fields)
        return table

    def packed(table, identifier):
        builder = flatbuffers.Builder()
        builder.Finish(table.Pack(builder), identifier)
        return bytes(builder.Output())

    network = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    options = filled(metadata.NormalizationOptionsT(), mean=[mean], std=[deviation])
    kind = metadata.ProcessUnitOptions.NormalizationOptions
    unit = filled(metadata.ProcessUnitT(), optionsType=kind, options=options)
    image = filled(metadata.TensorMetadataT(), name="image", processUnits=[unit])
    outputs = [metadata.TensorMetadataT() for _ in network.subgraphs[0].outputs]
    graph = filled(metadata.SubGraphMetadataT(), inputTensorMetadata=[image], outputTensorMetadata=outputs)
    content = packed(filled(metadata.ModelMetadataT(), subgraphMetadata=[graph]), b"M001")
    network.metadata = [filled(schema.MetadataT(), name="TFLITE_METADATA", buffer=len(network.buffers))]
    network.buffers.append(filled(schema.BufferT(), data=list(content)))
    return packed(network, b"TFL3")


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


def detect(path, model, max_people=1):
    with create_detector("mediapipe", model, max_people) as detector:
        return people_from(run_detector(open_video(path), detector))


def test_legs_outside_the_image_are_less_certain_than_shoulders(model, astronaut, capfd):
    (keypoints,) = detect(astronaut, model)
    assert capfd.readouterr().err == ""
    prediction = prpose.load("mgcn-cmu17")(keypoints)
    deviations = np.sqrt(prediction.covariance[0].trace(axis1=-2, axis2=-1))
    spread = dict(zip(H36M_17.names, deviations, strict=True))
    shoulders = max(spread["left_shoulder"], spread["right_shoulder"])
    assert min(spread["left_knee"], spread["right_knee"]) > 1.5 * shoulders
    assert min(spread["left_ankle"], spread["right_ankle"]) > 2.5 * shoulders
    flags = zip(H36M_17.names, prediction.flags[0], strict=True)
    flagged = {name for name, flag in flags if FLAGS[flag] == "low_confidence"}
    assert {"left_knee", "right_knee", "left_ankle", "right_ankle"} <= flagged
    assert not {"left_shoulder", "right_shoulder", "neck", "thorax"} & flagged


def test_face_and_shoulders_are_where_they_are(model, astronaut):
    """By eye, in the photo of 512 x 512: her left is on our right."""
    detector = MediaPipePose(model)
    ((xy, confidence),) = detector(read_photo(astronaut)[0], None)
    detector.close()
    found = dict(zip(LAYOUTS["blazepose33"].names, xy, strict=True))
    by_eye = {"nose": (224, 128), "left_eye": (248, 111), "right_eye": (206, 104),
              "left_shoulder": (306, 256), "right_shoulder": (112, 240)}  # fmt: skip
    for name, place in by_eye.items():
        assert np.linalg.norm(found[name] - place) < 25, name
    assert confidence[:13].min() > 0.9
    assert confidence[25:].max() < 0.2


def test_a_video_moves_as_the_person_does(model, astronaut, tmp_path):
    """She slides to the left, at uneven times."""
    photo, shift = read_photo(astronaut)[0], np.arange(30)
    times = np.cumsum(np.tile([0.03, 0.05, 0.02], 10)) - 0.03
    images = [np.ascontiguousarray(photo[30:, t : t + 482]) for t in shift]
    (keypoints,) = detect(write_video(tmp_path / "slide.mp4", images, times), model)
    assert keypoints.frame_numbers.tolist() == list(range(30))
    assert np.allclose(keypoints.times_s, times, atol=2e-3)
    nose = keypoints.xy[:, LAYOUTS["blazepose33"].index("nose"), 0]
    assert np.abs(nose - (224 - shift)).max() < 10


def test_two_people_are_found(model, astronaut, tmp_path):
    photo = read_photo(astronaut)[0][:, :400]
    wide = np.full((512, 1200, 3), 200, np.uint8)
    wide[:, :400], wide[:, 800:] = photo, photo
    people = detect(write_png(tmp_path / "two.png", wide), model, max_people=3)
    assert sorted(round(float(person.xy[0, 0, 0]) / 800) for person in people) == [0, 1]


def test_a_model_that_mediapipe_cannot_load_is_an_error(tmp_path):
    path = tmp_path / "pose.task"
    with zipfile.ZipFile(path, "w") as bundle:
        for name in NETWORKS:
            bundle.writestr(name, b"TFL3 or so")
    with pytest.raises(ValueError, match="MediaPipe cannot load the model") as caught:
        MediaPipePose(path)
    assert "\n" not in str(caught.value)
