"""What npz and JSON files of predictions contain: version 2 of the format. Version 1 is converted while reading."""

from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from prpose.camera import Array, Camera
from prpose.prediction import ARRAYS, FLAGS, Prediction
from prpose.regions import LEVEL, is_calibrated, region_quantiles
from prpose.skeleton import H36M_17

FORMAT: Literal["prpose-prediction"] = "prpose-prediction"
FORMAT_1 = "prpose-poses"  # of version 1
AXES = "camera: x right, y down, z forward; right-handed"
ORIGIN = "poses: the pelvis, joint 0, at 0; root: the camera's centre"
UNITS = {"poses, roots, semi-axes": "m", "covariances": "m^2", "times": "s", "keypoints, focal lengths, centres": "px"}
UNCALIBRATED = (
    "Over-confident: covariance and regions describe the spread of the samples; the true pose lies outside the regions "
    "more often than the level states."
)
CALIBRATED = (
    "The covariance is that of the samples and over-confident; the regions are conformal: they contain the true pose "
    "at the stated level on the model's validation data, and less often in motions unlike its training data."
)
FEW = 20  # with fewer samples the covariance itself is inaccurate

J = Meta(min_length=17, max_length=17)
Point = tuple[float, float, float]
Matrix = tuple[Point, Point, Point]
Pose = Annotated[list[Point], J]
Clip = Annotated[list[Pose], Meta(min_length=1)]
Matrices = Annotated[list[Matrix], J]
Pixels = Annotated[list[tuple[float, float]], J]
Flag = Annotated[int, Meta(ge=0, lt=len(FLAGS))]


class Region(Struct):
    """The confidence regions: level, whether conformal, squared Mahalanobis distance per joint, and a note."""

    level: float
    calibrated: bool
    quantiles: Annotated[list[float], J]
    note: str


class Header(Struct, kw_only=True):
    """All but the arrays: the ``info`` text of an npz file, and the first keys of a JSON file."""

    format: Literal["prpose-prediction"]
    version: Literal[2]
    created_by: Annotated[str, Meta(description="program and version")]
    command: Annotated[str, Meta(description="command line that wrote the file")]
    warnings: Annotated[list[str], Meta(description="what preprocessing changed or found implausible")]
    seed: Annotated[int, Meta(ge=0, description="of the noise")] | None
    model: Annotated[dict[str, Any], Meta(description="the model's card")]
    axes: str
    origin: str
    units: dict[str, str]
    joints: Annotated[list[str], J]
    parents: Annotated[list[int], J, Meta(description="index of each joint's parent, -1 for the root")]
    frames: Annotated[int, Meta(ge=1, description="T")]
    fps: Annotated[float, Meta(gt=0, description="nominal frames per second")] | None
    num_samples: Annotated[int, Meta(ge=1, description="S, of point estimate and covariance")]
    saved_samples: Annotated[int, Meta(ge=0, description="K, of these in the file")]
    point_estimate: str
    flag_names: list[str]
    region: Region
    camera: Camera | None


class Document(Header, kw_only=True, forbid_unknown_fields=True):
    """A JSON file: the header's keys, then the arrays as nested lists."""

    frame_numbers: Annotated[list[int], Meta(min_length=1, description="(T), in the video or folder, increasing")]
    times_s: Annotated[list[float] | None, Meta(description="(T) seconds, increasing")] = None
    pose: Annotated[Clip, Meta(description="(T, 17, 3) m, the point estimate")]
    covariance: Annotated[list[Matrices], Meta(description="(T, 17, 3, 3) m^2, per joint, over all samples")]
    deterministic: Annotated[Clip, Meta(description="(T, 17, 3) m, the lifter's pose without noise")]
    flags: Annotated[list[Annotated[list[Flag], J]], Meta(description="(T, 17), indices of flag_names")]
    root: Annotated[list[Point] | None, Meta(description="(T, 3) m, the pelvis in camera space")] = None
    root_covariance: Annotated[list[Matrix] | None, Meta(description="(T, 3, 3) m^2")] = None
    keypoints_px: Annotated[list[Pixels] | None, Meta(description="(T, 17, 2) px, the input as Human3.6M-17")] = None
    region_semi_axes_m: Annotated[Clip, Meta(description="(T, 17, 3) m, of each joint's ellipsoid, longest first")]
    region_directions: Annotated[list[Matrices], Meta(description="(T, 17, 3, 3), unit vectors of these axes, in rows")]
    samples: Annotated[list[Clip] | None, Meta(description="(K, T, 17, 3) m, the first K samples")] = None


OLD = {
    "created_by": "made_by", "warnings": "notes", "num_samples": "S", "saved_samples": "hypotheses_kept",
    "point_estimate": "aggregated_by", "pose": "aggregate", "deterministic": "single", "root": "root_cam",
    "samples": "hypotheses", "quantiles": "limits",
}  # fmt: skip
"""Names that version 1 had, by those of version 2."""
COPIED = ("created_by", "command", "seed", "model", "fps", "num_samples", "point_estimate", "camera")


def header(prediction: Prediction) -> Header:
    """The header of a prediction's file."""
    calibrated, S = is_calibrated(prediction.model), prediction.num_samples
    note = CALIBRATED if calibrated else UNCALIBRATED
    note += f" With {S} samples the covariance itself is inaccurate." if S < FEW else ""
    copied: dict[str, Any] = {name: getattr(prediction, name) for name in COPIED}
    return Header(
        format=FORMAT,
        version=2,
        axes=AXES,
        origin=ORIGIN,
        units=UNITS,
        warnings=list(prediction.warnings),
        joints=list(prediction.joint_names),
        parents=list(H36M_17.parents),
        frames=len(prediction),
        saved_samples=0 if prediction.samples is None else len(prediction.samples),
        flag_names=list(FLAGS),
        region=Region(LEVEL, calibrated, region_quantiles(prediction.model).tolist(), note),
        **copied | {"model": dict(prediction.model)},
    )


def arrays(prediction: Prediction) -> dict[str, Array]:
    """Fields of the prediction that are arrays and not None, and its regions; samples last."""
    semi_axes, directions = (part.astype(np.float32) for part in prediction.regions())
    found = {name: getattr(prediction, name) for name in ARRAYS if name != "samples"}
    found |= {"region_semi_axes_m": semi_axes, "region_directions": directions, "samples": prediction.samples}
    return {name: value for name, value in found.items() if value is not None}


def upgraded(old: dict[str, Any]) -> dict[str, Any]:
    """Header and, for JSON, arrays of version 1 as those of version 2."""
    names = {name: new for new, name in OLD.items()}
    content = {names.get(name, name): value for name, value in old.items()} | {"format": FORMAT, "version": 2}
    if isinstance(region := content.get("region"), dict):
        content["region"] = {names.get(name, name): value for name, value in region.items()}
    estimate = str(content.get("point_estimate")).replace("single", "deterministic").replace("-", "_")
    return content | {"point_estimate": estimate}


def to_prediction(head: Header, found: dict[str, Array]) -> Prediction:
    """The prediction of a header and its arrays; ``ValueError`` for other joints, or where the two contradict."""
    if tuple(head.joints) != H36M_17.names:
        raise ValueError("expected the 17 joints of Human3.6M, got others")
    if head.camera is not None and min(head.camera.width, head.camera.height) < 1:
        raise ValueError(f"expected camera of width and height >= 1, got {head.camera.width} x {head.camera.height}")
    for name in ("frame_numbers", "covariance", "deterministic", "flags", "pose"):
        if name not in found:
            raise ValueError(f"expected {name} in the file, got none")
    known: dict[str, Any] = found | {name: getattr(head, name) for name in COPIED}
    prediction = Prediction(**known, warnings=tuple(head.warnings))
    K = 0 if prediction.samples is None else len(prediction.samples)
    if (head.frames, head.saved_samples) != (len(prediction), K):
        raise ValueError(f"expected {head.saved_samples} samples of {head.frames} frames, got {K} of {len(prediction)}")
    return prediction
