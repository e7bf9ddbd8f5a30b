"""The JSON file of ``prpose evaluate``, as far as pages, figures and ``prpose pack`` read it."""

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any

import msgspec

from prpose.atomic import existing_file

Metres = Annotated[float, msgspec.Meta(ge=-1e3, le=1e3)]
Point = Annotated[list[Metres], msgspec.Meta(min_length=3, max_length=3)]
Pixel = Annotated[list[Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]], msgspec.Meta(min_length=2, max_length=2)]
Pose = Annotated[list[Point], msgspec.Meta(min_length=17, max_length=17)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
PerJoint = Annotated[list[float], msgspec.Meta(min_length=16, max_length=16)]  # without the pelvis


class Row(msgspec.Struct):
    name: str
    frames: Count
    values: dict[str, dict[str, float]]


class ByJoint(msgspec.Struct):
    error: PerJoint
    spread: PerJoint | None = None


class Joints(msgspec.Struct):
    average: ByJoint
    rank_correlation: Annotated[list[float | None], msgspec.Meta(min_length=16, max_length=16)]


class Calibration(msgspec.Struct):
    levels: list[float]
    overall: list[float]
    hidden: list[float] = []


class Curve(msgspec.Struct):
    num_samples: list[Annotated[int, msgspec.Meta(ge=1, le=2**53)]]
    best: dict[str, list[float]]
    mean: dict[str, list[float]]


class Frame(msgspec.Struct):
    subject: str
    action: str
    camera: Count
    frame: Count
    P1: float
    truth: Pose
    pose: Pose
    samples: list[Pose]
    keypoints_px: Annotated[list[Pixel], msgspec.Meta(min_length=17, max_length=17)]
    ES: float | None = None


class Report(msgspec.Struct):
    """A JSON file of ``prpose evaluate``, as far as it is read; older files have only the first fields."""

    settings: dict[str, Any]
    command: str
    versions: dict[str, str]
    sha256: dict[str, str]
    units: dict[str, str]
    rows: list[Row]
    average: Row
    joints: Joints | None = None
    calibration: Calibration | None = None
    curve: Curve | None = None
    frames: dict[str, list[Frame]] | None = None
    calibrated: bool = False  # whether the model's regions had conformal quantiles
    limits_95: dict[str, float] = {}


def read_report(path: Path) -> Report:
    """The content of a JSON file of ``prpose evaluate``; ``ValueError`` naming the file and what it lacks."""
    existing_file(path)
    try:
        report = msgspec.json.decode(path.read_bytes().removeprefix(BOM_UTF8), type=Report)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a JSON file of prpose evaluate: {error}") from None
    lacking = [f"settings.{key}" for key in ("dataset", "split") if not isinstance(report.settings.get(key), str)]
    lacking += [] if isinstance(report.settings.get("num_samples"), int) else ["a whole number settings.num_samples"]
    lacking += [] if report.average.values.get("deterministic") else ["average.values.deterministic"]
    for choice in ("best", "mean") if report.curve else ():
        lacking += [] if "P1" in getattr(report.curve, choice) else [f"curve.{choice}.P1"]
    if found := report.calibration:
        lacking += [] if len(found.levels) == len(found.overall) else ["a share per level in calibration"]
        lacking += [] if len(found.hidden) in (0, len(found.levels)) else ["a share per level in calibration.hidden"]
    if report.curve:
        values = [*report.curve.best.values(), *report.curve.mean.values()]
        lacking += [] if {*map(len, values)} == {len(report.curve.num_samples)} else ["a value per number in curve"]
    if lacking:
        raise ValueError(f"{path}: expected a JSON file of prpose evaluate, got one without {', '.join(lacking)}")
    return report
