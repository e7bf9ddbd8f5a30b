"""Detectors of other libraries: RTMPose of rtmlib (extra ``rtmlib``) and pose models of Ultralytics.

Ultralytics, whose licence is AGPL-3.0, is neither part of this package nor of its extras: users install it themselves.
"""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import without_missing
from prpose.tables import import_extra

RTMPOSE_LAYOUTS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}  # by the number of joints of its models
YOLO = "yolo11n-pose.pt"  # the default; Ultralytics downloads it


class RTMPose:
    """RTMPose on the people that rtmlib's YOLOX finds, frame by frame.

    Args:
        model: an RTMPose model (.onnx) of 17, 26 or 133 joints. Default: that of the solution, which, as YOLOX's model,
            rtmlib downloads on first use.
        max_people: the largest number of people per frame; those with the largest boxes are chosen.
        solution: ``Body`` (COCO's 17 joints) or ``BodyWithFeet`` (Halpe's 26), rtmlib's classes.

    Raises:
        ValueError: if rtmlib is missing, or the model is missing, cannot be loaded or is no such model.
    """

    def __init__(self, model: Path | None = None, max_people: int = 1, solution: str = "Body") -> None:
        rtmlib, self.max_people = import_extra("rtmlib", "rtmlib"), max_people
        if model is not None and not model.is_file():  # rtmlib would take it for an address
            raise ValueError(f"{model}: expected an RTMPose model (.onnx), got no such file")
        try:
            with redirect_stdout(StringIO()):  # it prints what it loads
                # Body would replace a model with "rtmo" in its path by another
                tools = getattr(rtmlib, solution)() if model is None else rtmlib.BodyWithFeet(pose=str(model))
            self.find_people, self.find_joints = tools.det_model, tools.pose_model
            height, width = self.find_joints.session.get_inputs()[0].shape[2:]
            self.find_joints.model_input_size = width, height
            shapes = [output.shape for output in self.find_joints.inference(np.zeros((height, width, 3), np.float32))]
        except Exception as error:  # rtmlib, onnxruntime and connections raise many types
            what, reason = model or f"{solution} of rtmlib", " ".join(str(error).split())
            raise ValueError(f"{what}: the model cannot be loaded ({type(error).__name__}: {reason:.300})") from None
        J = shapes[0][1]
        if J not in RTMPOSE_LAYOUTS or shapes != [(1, J, 2 * width), (1, J, 2 * height)]:
            expected = "an RTMPose model of 17, 26 or 133 joints, with an output for x and one for y"
            raise ValueError(f"{model}: expected {expected}, got outputs of shapes {shapes}")
        self.layout = RTMPOSE_LAYOUTS[J]

    def __call__(self, image: Array, time_s: float | None) -> list[tuple[Array, Array]]:
        image = np.ascontiguousarray(image[..., ::-1])  # BGR
        boxes = np.asarray(self.find_people(image)).reshape(-1, 4)
        boxes = boxes[_largest(boxes, self.max_people)]
        if not len(boxes):  # rtmlib would take the whole image for a person
            return []
        return _people(*self.find_joints(image, bboxes=boxes))


class UltralyticsPose:
    """A pose model of Ultralytics, COCO's 17 joints, frame by frame.

    Args:
        model: a pose model (.pt, .onnx), or the name of one that Ultralytics downloads. Default: :data:`YOLO`.
        max_people: as of :class:`RTMPose`.

    Raises:
        ValueError: if Ultralytics is missing, or the model cannot be loaded or is no pose model.
    """

    layout = "coco17"

    def __init__(self, model: Path | None = None, max_people: int = 1) -> None:
        try:
            ultralytics = import_extra("ultralytics")
        except ValueError as error:
            raise ValueError(f"{error} (its licence is AGPL-3.0; prpose does not include it)") from None
        path, self.max_people = model or YOLO, max_people
        try:
            self.model: Any = ultralytics.YOLO(str(path), task="pose")  # a .pt file has a task of its own
        except Exception as error:  # Ultralytics, PyTorch and connections raise many types
            reason = " ".join(str(error).split())
            raise ValueError(f"{path}: Ultralytics cannot load the model ({reason:.300})") from None
        if self.model.task != "pose":
            raise ValueError(f"{path}: expected a pose model of Ultralytics, got one for the task {self.model.task!r}")

    def __call__(self, image: Array, time_s: float | None) -> list[tuple[Array, Array]]:
        (result,) = self.model(np.ascontiguousarray(image[..., ::-1]), verbose=False)  # BGR
        result = result.cpu().numpy()
        chosen = _largest(result.boxes.xyxy, self.max_people)
        if not len(chosen):
            return []
        xy, scores = result.keypoints.xy[chosen], result.keypoints.conf
        scores = np.ones(xy.shape[:-1]) if scores is None else scores[chosen]
        return _people(xy, np.where((xy == 0).all(-1), 0, scores))  # some versions set missing keypoints to (0, 0)


def _largest(boxes: Array, most: int) -> Array:
    """Indices of the largest boxes (N, 4), left, top, right and bottom; the largest first."""
    return np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1), kind="stable")[:most]


def _people(xy: Array, scores: Array) -> list[tuple[Array, Array]]:
    """(N, J, 2) pixels and scores (N, J), which may exceed 1, as of each person; who has no keypoint is left out."""
    people = [without_missing(*person) for person in zip(xy, np.nan_to_num(scores).clip(0, 1), strict=True)]
    return [(points, confidence) for points, confidence in people if confidence.any()]
