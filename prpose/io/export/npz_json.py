"""Predictions as npz (arrays by name, and the header as JSON text ``info``) or as one JSON object; read back.

Files are of version 2 of the format; those of version 1 are converted while reading.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeVar
from zipfile import ZipFile

import msgspec
import numpy as np
from msgspec import Meta, Struct

from prpose.atomic import large_array, pieces, release
from prpose.camera import Array, Camera
from prpose.io.keypoints.detections import check
from prpose.prediction import ARRAYS, FLAGS, Prediction
from prpose.regions import LEVEL, is_calibrated, is_trained, region_quantiles
from prpose.skeleton import H36M_17
from prpose.unpickle import entry_names, read_npz

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
TRAINED = (
    "Trained by the energy score: the true pose lies inside the regions about as often as the level states in motions "
    "like those of the training data, and less often in others."
)
FEW = 20  # with fewer samples the covariance itself is inaccurate

H = TypeVar("H", bound="Header")
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
    noise_sd_px: Annotated[list[Pixels] | None, Meta(description="(T, 17, 2) px, of the noise on the input")] = None
    up: Annotated[Point | None, Meta(description="(3), unit vector, up in camera axes")] = None
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


class _Version(Struct):
    format: str = ""
    version: int = 0


def header(prediction: Prediction) -> Header:
    calibrated, S = is_calibrated(prediction.model), prediction.num_samples
    note = CALIBRATED if calibrated else TRAINED if is_trained(prediction.model) else UNCALIBRATED
    if S < FEW and prediction.model.get("noise", "") is not None:  # else the covariance needs no samples
        note += f" With {S} samples the covariance itself is inaccurate."
    copied: dict[str, Any] = {name: getattr(prediction, name) for name in COPIED}
    return Header(
        format=FORMAT, version=2, axes=AXES, origin=ORIGIN, units=UNITS, flag_names=list(FLAGS),
        joints=list(H36M_17.names), parents=list(H36M_17.parents), warnings=list(prediction.warnings),
        frames=len(prediction), saved_samples=0 if prediction.samples is None else len(prediction.samples),
        region=Region(LEVEL, calibrated, region_quantiles(prediction.model).tolist(), note),
        **copied | {"model": dict(prediction.model), "command": copied["command"].encode(errors="replace").decode()},
    )  # fmt: skip


def arrays(prediction: Prediction) -> dict[str, Array]:
    """Fields of the prediction that are arrays and not None, and its regions; samples last."""
    semi_axes, directions = (large_array(x.shape, x.dtype) for x in (prediction.pose, prediction.covariance))
    for frames, lengths, ways in prediction.region_pieces():
        semi_axes[frames], directions[frames] = lengths, ways
        release(semi_axes, directions)
    found = {name: getattr(prediction, name) for name in ARRAYS if name != "samples"}
    found |= {"region_semi_axes_m": semi_axes, "region_directions": directions, "samples": prediction.samples}
    return {name: value for name, value in found.items() if value is not None}


def upgraded(old: dict[str, Any]) -> dict[str, Any]:
    """Version 1's header, or document, as that of version 2."""
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


def _text(head: Header) -> bytes:
    return msgspec.json.format(msgspec.json.encode(head), indent=1)


def write_npz(prediction: Prediction, stream: BinaryIO, name: str, *_: object) -> None:
    """Plain arrays without pickles; not compressed, as float noise hardly compresses."""
    head, content = header(prediction), arrays(prediction)
    content |= {"joints": np.array(head.joints), "parents": np.array(head.parents)}
    content |= {} if head.fps is None else {"fps": np.array(head.fps)}
    with ZipFile(stream, "w") as entries:  # as np.savez, with one array in memory at a time
        for entry, array in (content | {"info": np.array(_text(head).decode())}).items():
            with entries.open(f"{entry}.npy", "w", force_zip64=True) as file:
                about = np.lib.format.header_data_from_array_1_0(array) | {"fortran_order": False}
                np.lib.format.write_array_header_1_0(file, about)
                for part in pieces(np.atleast_1d(array)):
                    file.write(part.tobytes())


def write_json(prediction: Prediction, stream: BinaryIO, name: str, on_share: Callable[[float], None]) -> None:
    """The header's lines, then the arrays, a line for each frame (or each sample)."""
    content = arrays(prediction)
    stream.write(_text(header(prediction)).removesuffix(b"\n}"))
    for array_name, values in content.items():
        stream.write(f',\n "{array_name}": [\n'.encode())
        for i, row in enumerate(values):
            release(values)
            row = shortest(row) if row.dtype == np.float32 else row
            stream.write((b"," if i else b"") + msgspec.json.encode(row.tolist()) + b"\n")
            on_share(row.size / sum(array.size for array in content.values()))
        stream.write(b" ]")
    stream.write(b"\n}\n")


def read_npz_prediction(path: Path) -> Prediction:
    """The prediction of an npz file, also of version 1."""
    names, head = entry_names(path), _decode(str(read_npz(path, "info")).encode(), Header)
    entries = {name: name if name in names else OLD.get(name, "") for name in ARRAYS}
    return to_prediction(head, {k: read_npz(path, name) for k, name in entries.items() if name in names})


def read_json_prediction(path: Path) -> Prediction:
    """The prediction of a JSON file, also of version 1."""
    document = _decode(path.read_bytes(), Document)
    rows = {name: getattr(document, name) for name in ARRAYS}
    return to_prediction(document, {name: np.asarray(row) for name, row in rows.items() if row is not None})


def _decode(text: bytes, kind: type[H]) -> H:
    try:
        found = msgspec.json.decode(text, type=_Version)
        if found.format not in (FORMAT, FORMAT_1):
            raise ValueError(f"expected a file of format {FORMAT}, got {found.format!r:.40}")
        if found.version != (1 if found.format == FORMAT_1 else 2):
            raise ValueError(f"expected version 1 or 2, got {found.version}")
        if found.version == 2:
            with suppress(msgspec.ValidationError):  # once more below, for a message with the place
                return msgspec.json.decode(text, type=kind)
        content = msgspec.json.decode(text)
        return check(upgraded(content) if found.version == 1 else content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"expected a file of format {FORMAT}: {error}") from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a JSON file ({error})") from None


def shortest(values: Array) -> Array:
    """Float32 as the float64 with the fewest digits, 7 to 9, that is the same float32: 0.1, not 0.10000000149011612."""
    wide = values.astype(np.float64)
    size = np.abs(wide)
    exponent = np.floor(np.log10(size, where=size > 0, out=np.zeros_like(size)))
    for digits in (9, 8, 7):
        scale = 10.0 ** (digits - 1 - exponent)
        rounded = np.round(values * scale) / scale
        wide = np.where(rounded.astype(np.float32) == values, rounded, wide)
    return wide
