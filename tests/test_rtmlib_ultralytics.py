"""rtmlib's and Ultralytics' detectors, with stand-ins for the libraries; and with rtmlib itself on tiny networks."""

import re
import shlex
import sys
import warnings
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

import prpose
from prpose.cli import run
from prpose.io.detector import create_detector
from prpose.io.rtmlib_ultralytics import YOLO
from tests.videos import BODY, Finder, picture, with_square, write_png

FEET = BODY[[15, 16, 15, 16, 15, 16]] + [(10, 6), (-10, 6), (14, 6), (-14, 6), (0, 6), (0, 6)]
HALPE = np.concatenate([BODY, [(0, -88), (0, -50), (0, 0)], FEET])  # head, neck, hip
WIDTH, HEIGHT = 48, 64  # of the network's input


class Boxes:
    """As rtmlib's YOLOX: boxes of the people around red squares of a BGR image, or those given."""

    def __init__(self, boxes=None):
        self.boxes = boxes

    def __call__(self, image):
        assert image.flags.c_contiguous
        centres = [xy[11:13].mean(axis=0) for xy, _ in Finder()(np.ascontiguousarray(image[..., ::-1]), None)]
        boxes = [np.concatenate([xy - 80, xy + 80]) for xy in centres] if self.boxes is None else self.boxes
        return np.array(boxes, dtype=np.float32)


class Joints:
    """As rtmlib's RTMPose: a body in the middle of each box, or of the image if there are none."""

    def __init__(self, J=17, scores=0.9, outputs=None):
        self.J, self.scores, self.outputs, self.model_input_size = J, scores, outputs, (192, 256)
        inputs = [SimpleNamespace(shape=["batch", 3, HEIGHT, WIDTH])]
        self.session = SimpleNamespace(get_inputs=lambda: inputs)

    def inference(self, image):
        assert image.shape[1::-1] == self.model_input_size == (WIDTH, HEIGHT)
        shapes = self.outputs or [(1, self.J, 2 * WIDTH), (1, self.J, 2 * HEIGHT)]
        return [np.zeros(shape) for shape in shapes]

    def __call__(self, image, bboxes=()):
        boxes = np.array(bboxes if len(bboxes) else [[0, 0, *image.shape[1::-1]]])
        bodies = np.resize(HALPE, (self.J, 2)) + (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        return bodies, np.broadcast_to(self.scores, (len(boxes), self.J)).astype(float)


@pytest.fixture
def rtmlib(monkeypatch):
    """The library with two solutions; tests replace their parts."""
    module = ModuleType("rtmlib")
    module.loaded = []

    def solution(J):
        def create(pose=None):
            print("load model with onnxruntime backend")
            module.loaded.append((J, pose))
            return SimpleNamespace(det_model=module.boxes, pose_model=module.joints or Joints(J))

        return create

    module.boxes, module.joints, module.Body, module.BodyWithFeet = Boxes(), None, solution(17), solution(26)
    monkeypatch.setitem(sys.modules, "rtmlib", module)
    return module


class Results:
    """As Ultralytics' Results of one image: tensors, or arrays after ``numpy()``."""

    def __init__(self, boxes, xy, conf):
        self.boxes, self.keypoints = SimpleNamespace(xyxy=boxes), SimpleNamespace(xy=xy, conf=conf)

    def cpu(self):
        return self

    def numpy(self):
        conf = self.keypoints.conf
        return Results(self.boxes.xyxy.numpy(), self.keypoints.xy.numpy(), None if conf is None else conf.numpy())


@pytest.fixture
def ultralytics(monkeypatch):
    """The library, with a model that finds bodies as rtmlib's stand-in does, or ``results``."""
    module = ModuleType("ultralytics")
    module.results, module.task, module.loaded = None, "pose", []

    class Model:
        def __init__(self, path, task):
            assert task == "pose"
            if "damaged" in path:
                raise RuntimeError("unpickling\n failed")
            module.loaded.append(path)
            self.task = module.task

        def __call__(self, image, verbose):
            assert not verbose
            boxes = Boxes()(image).reshape(-1, 4)
            xy = [BODY + (box[:2] + box[2:]) / 2 for box in boxes]
            found = [boxes, np.reshape(xy, (-1, 17, 2)), np.full((len(xy), 17), 0.9)]
            return [module.results or Results(*map(torch.from_numpy, found))]

    module.YOLO = Model
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    return module


@pytest.mark.parametrize("name", ["rtmlib", "rtmlib-feet", "ultralytics"])
def test_a_photo_becomes_a_prediction(name, rtmlib, ultralytics, tmp_path, capsys):
    photo, out = write_png(tmp_path / "photo.png", picture(150, 110, "red")), tmp_path / "poses.npz"
    over = tmp_path / "over.png"
    run(["predict", str(photo), "--detector", name, "--out", str(out), "--overlay", str(over), "-n", "3"])
    prediction = prpose.read_prediction(out)
    assert prediction.samples.shape == (3, 1, 17, 3)
    assert np.allclose(prediction.keypoints_px[0, 0], (149.5, 109.5), atol=1)
    shins = [prediction.keypoints_px[0, [2, 3, 5, 6]] - (149.5, 109.5)]
    assert np.allclose(shins, BODY[[14, 16, 13, 15]], atol=1)
    assert over.stat().st_size > 1000
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert re.fullmatch(rf"Wrote {re.escape(str(out))} in [\d.]+ s\.", first)
    view = re.escape(f"Look at it: prpose view {shlex.quote(str(out))}")
    assert re.fullmatch(rf"Wrote {re.escape(str(over))} in [\d.]+ s\. {view}", second)
    assert (rtmlib.loaded, ultralytics.loaded) == {
        "rtmlib": ([(17, None)], []), "rtmlib-feet": ([(26, None)], []), "ultralytics": ([], [YOLO])
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", ["rtmlib", "rtmlib-feet", "ultralytics"])
def test_the_largest_people_are_found_and_nobody_is_nobody(name, rtmlib, ultralytics):
    two = with_square(picture(100, 110, "red"), 220, 130, "white")
    for max_people, expected in ((1, 1), (2, 2), (5, 2)):
        with create_detector(name, max_people=max_people) as detector:
            people = detector(two, None)
            assert len(people) == expected
            assert all(xy.shape == (26 if name == "rtmlib-feet" else 17, 2) for xy, _ in people)
            assert detector(picture(colour=None), 0.5) == []
    assert detector.layout == {"rtmlib-feet": "halpe26"}.get(name, "coco17")
    rtmlib.boxes = Boxes([[0, 0, 30, 30], [100, 50, 140, 150], [10, 10, 30, 210]])
    if name != "ultralytics":
        with create_detector(name, max_people=2) as detector:
            assert [xy[11:13].mean(axis=0).tolist() for xy, _ in detector(two, None)] == [[120, 100], [20, 110]]


def test_scores_are_confidences_and_joints_without_any_are_missing(rtmlib):
    rtmlib.joints = Joints(scores=np.array([1.3, 0.0, -0.2, np.nan, *[0.4] * 13]))
    with create_detector("rtmlib") as detector:
        ((xy, confidence),) = detector(picture(100, 110, "red"), None)
    assert confidence.tolist() == [1.0, 0.0, 0.0, 0.0, *[0.4] * 13]
    assert np.isnan(xy).all(axis=1).tolist() == [False, True, True, True, *[False] * 13]
    rtmlib.joints = Joints(scores=0.0)
    with create_detector("rtmlib") as detector:
        assert detector(picture(100, 110, "red"), None) == []


def test_ultralytics_missing_joints_lie_at_the_origin(ultralytics):
    """Earlier versions wrote (0, 0) for scores below 0.5; models may have no scores."""
    xy = torch.from_numpy(BODY + 100).repeat(2, 1, 1)
    xy[:, 3] = 0
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 90.0, 20.0]])
    scores = torch.tensor([0.2, 0.7])[:, None].expand(2, 17)
    with create_detector("ultralytics") as detector:
        for conf, expected in ((scores, 0.7), (None, 1.0)):
            ultralytics.results = Results(boxes, xy, conf)
            ((points, confidence),) = detector(picture(), None)
            assert np.isnan(points).all(axis=1).nonzero()[0].tolist() == [3]
            assert np.allclose(confidence, [*[expected] * 3, 0, *[expected] * 13])
        ultralytics.results = Results(torch.zeros(0, 4), torch.zeros(1, 0, 2), None)  # nobody, in old versions
        assert detector(picture(), None) == []


@pytest.mark.parametrize(("J", "layout"), [(17, "coco17"), (26, "halpe26"), (133, "wholebody133")])
def test_a_model_of_ones_own_has_the_layout_of_its_joints(J, layout, rtmlib, ultralytics, tmp_path):
    path = tmp_path / "rtmo.onnx"  # Body would replace it by another
    path.touch()
    rtmlib.joints = Joints(J)
    with create_detector("rtmlib", path) as detector:
        assert detector.layout == layout
        assert detector(picture(100, 110, "red"), None)[0][0].shape == (J, 2)
    assert rtmlib.loaded == [(26, str(path))]
    with create_detector("ultralytics", path):
        assert ultralytics.loaded == [str(path)]


def test_models_that_cannot_be_used_are_errors(rtmlib, ultralytics, tmp_path):
    path = tmp_path / "pose.onnx"
    with pytest.raises(ValueError, match=r"pose.onnx: expected an RTMPose model \(.onnx\), got no such file"):
        create_detector("rtmlib", path).__enter__()
    path.touch()
    for joints in (Joints(21), Joints(outputs=[(1, 9, 5), (1, 9, 17, 3)]), Joints(outputs=[(1, 17, 64, 48)])):
        rtmlib.joints = joints
        with pytest.raises(ValueError, match=r"pose.onnx: expected an RTMPose model of 17, 26 or 133 joints"):
            create_detector("rtmlib", path).__enter__()
    rtmlib.joints.session = None
    with pytest.raises(ValueError, match=r"Body of rtmlib: the model cannot be loaded \(AttributeError"):
        create_detector("rtmlib").__enter__()
    with pytest.raises(ValueError, match=r"damaged.pt: Ultralytics cannot load the model \(unpickling failed\)"):
        create_detector("ultralytics", tmp_path / "damaged.pt").__enter__()
    ultralytics.task = "detect"
    with pytest.raises(ValueError, match="expected a pose model of Ultralytics, got one for the task 'detect'"):
        create_detector("ultralytics").__enter__()


def test_missing_libraries_are_errors_that_say_what_to_install(monkeypatch):
    for name in ("rtmlib", "ultralytics"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r'rtmlib is not installed: pip install "prpose\[rtmlib\]"'):
        create_detector("rtmlib-feet").__enter__()
    with pytest.raises(ValueError, match=r"is not installed: pip install ultralytics \(its licence is AGPL-3.0"):
        create_detector("ultralytics").__enter__()


class TinyPose(torch.nn.Module):
    """Its input's place-independent answer: joint j at the j-th place of x and y, with score 1."""

    def __init__(self, J):
        super().__init__()
        self.register_buffer("x", torch.eye(2 * WIDTH)[None, 2 * torch.arange(J)])
        self.register_buffer("y", torch.eye(2 * HEIGHT)[None, 2 * torch.arange(J)])

    def forward(self, image):
        nothing = 0 * image.mean()
        return self.x + nothing, self.y + nothing


class TinyBoxes(torch.nn.Module):
    """Two boxes, of which one has a low score, whatever the image."""

    def forward(self, image):
        return torch.tensor([[[10.0, 20.0, 90.0, 180.0, 0.9], [0, 0, 300, 300, 0.1]]]) + 0 * image.mean()


def write_onnx(path, net, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's newer exporter needs another package
        torch.onnx.export(net.eval(), (torch.zeros(shape),), str(path), input_names=["input"], dynamo=False)
    return path


@pytest.mark.slow
def test_rtmlib_itself_with_tiny_networks(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="onnx is not installed; make test-all does it")
    rtmlib = pytest.importorskip("rtmlib", reason="rtmlib is not installed; make test-all does it")
    boxes = write_onnx(tmp_path / "boxes.onnx", TinyBoxes(), (1, 3, 640, 640))
    for solution in (rtmlib.Body, rtmlib.BodyWithFeet):
        monkeypatch.setitem(solution.MODE["balanced"], "det", str(boxes))
        monkeypatch.setitem(solution.MODE["balanced"], "det_input_size", (640, 640))
    for J, layout in ((17, "coco17"), (26, "halpe26")):
        pose = write_onnx(tmp_path / f"rtmo_{J}.onnx", TinyPose(J), (1, 3, HEIGHT, WIDTH))
        with create_detector("rtmlib", pose, max_people=3) as detector:
            ((xy, confidence),) = detector(picture(width=640, height=640), None)
        assert (detector.layout, confidence.tolist()) == (layout, [1.0] * J)
        # The box, widened by a quarter and to the network's 3:4, is 150 x 200 around (50, 100).
        assert np.allclose(xy, np.array([50 - 75, 100 - 100]) + np.arange(J)[:, None] * 150 / WIDTH, atol=1e-3)
    with pytest.raises(ValueError, match="expected an RTMPose model of 17, 26 or 133 joints"):
        create_detector("rtmlib", boxes).__enter__()
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ValueError, match=r"text.onnx: the model cannot be loaded \(InvalidProtobuf"):
        create_detector("rtmlib", tmp_path / "text.onnx").__enter__()
