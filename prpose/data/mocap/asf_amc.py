"""Acclaim ASF/AMC files: a skeleton of bones with local axes, and joint angles per frame."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.data.mocap import (
    Recording,
    check_size,
    euler,
    forward_kinematics,
    line_error,
    lines_of,
    numbers,
    recording_of,
)

FPS = 120.0  # frame rate of the CMU database; AMC files do not hold it
KEYS = {"name", "direction", "length", "position", "orientation", "axis", "dof", "order"}  # others are ignored


@dataclass
class Bone:
    """A bone; the root is one of length 0. ``given`` are the keys of its description read so far."""

    name: str
    parent: str = ""
    direction: Array = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axis: Array = field(default_factory=lambda: np.zeros(3))  # degrees
    axis_order: str = "xyz"
    dof: tuple[str, ...] = ()
    given: set[str] = field(default_factory=set)


def read_amc(path: Path, asf: Path | None = None) -> Recording:
    """Positions of the root and of the *end* of each bone, in the file's unit, 120 fps.

    The skeleton ``asf`` is by default the only .asf in the folder, or the one whose name the motion's begins with
    (``02.asf`` for ``02_01.amc``; of two, the longer). ``ValueError``, naming file and line, for anything that is not
    ASF/AMC, does not fit together or is truncated.
    """
    path = Path(path)
    skeleton = asf or skeleton_beside(path)
    bones = _read_asf(skeleton)
    values = _read_values(path, bones)
    check_size(path, len(values["root"]), len(bones), path.stat().st_size + skeleton.stat().st_size)
    return recording_of(path, list(bones), _positions(bones, values), FPS)


def skeleton_beside(path: Path) -> Path:
    """The .asf that :func:`read_amc` takes for a motion; ``ValueError`` if none fits."""
    found = sorted(asf for asf in path.parent.glob("[!.]*") if asf.suffix.lower() == ".asf")
    named = [asf for asf in found if re.match(re.escape(asf.stem) + r"(?![a-zA-Z0-9])", path.stem)]
    if not named and len(found) != 1:
        raise ValueError(f"{path}: expected its .asf in the same folder, got {len(found)} of them")
    return max(named or found, key=lambda asf: len(asf.stem))


def _positions(bones: Mapping[str, Bone], values: Mapping[str, Array]) -> Array:
    """Positions (T, P, 3) of root and bone ends from values (T, len(dof)).

    With C the rotation of a bone's axes and R that of its angles (x first, then y, z), a bone turns by C·R·C⁻¹
    against its parent; its end lies at length · direction, turned, from its parent's.
    """
    T = len(values["root"])
    turns: dict[str, Rotation] = {}
    offsets = [bone.direction * bone.length for bone in bones.values()]
    for name, bone in bones.items():
        degrees, place = np.zeros((T, 3)), np.zeros((T, 3))
        for i, dof in enumerate(bone.dof):
            (degrees if dof[0] == "r" else place)[:, "xyz".index(dof[1])] = values[name][:, i]
        order = bone.axis_order[::-1]  # "XYZ" is about x first, so that the product on columns is Rz·Ry·Rx
        indices = ["xyz".index(axis) for axis in order]
        axes, own = euler(order, bone.axis[indices]), euler(order, degrees[:, indices])
        if bone.parent:
            turns[name] = turns[bone.parent] * axes * own * axes.inv()
        else:
            turns[name], offsets[0] = own, place
    index = {"": -1} | {name: i for i, name in enumerate(bones)}
    parents = [index[bone.parent] for bone in bones.values()]
    return forward_kinematics(parents, [Rotation.identity(), *list(turns.values())[1:]], offsets)


def _read_asf(path: Path) -> dict[str, Bone]:
    """Bones by name, parents first; sections that do not describe the skeleton are ignored."""
    bones, order = {"root": Bone("root")}, {"root": None}
    section, unit, bone = "", ["deg"], None
    for number, words in lines_of(path, "latin1", comment="#"):
        if bone is not None and (words[0].startswith(":") or words == ["begin"]):
            raise line_error(path, number, f"bone {bone.name or '?'} has no end")
        match section, words:
            case _, [word, *_] if word.startswith(":"):
                section = word
            case ":units", ["angle", *unit] if unit not in (["deg"], ["rad"]):
                raise line_error(path, number, f"expected angle deg or rad, got {unit}")
            case ":root", _:
                _describe(path, number, bones["root"], words)
            case ":bonedata", ["begin"]:
                bone = Bone("")
            case ":bonedata", ["end"] if bone is not None:
                missing = sorted({"name", "direction", "length", "axis"} - bone.given)
                if missing or bone.name in bones:
                    fault = f"has no {', '.join(missing)}" if missing else "is there already"
                    raise line_error(path, number, f"bone {bone.name or '?'} {fault}")
                bones[bone.name], bone = bone, None
            case ":bonedata", _ if bone is not None:
                _describe(path, number, bone, words)
            case ":hierarchy", [parent, *children] if words not in (["begin"], ["end"]):
                new = all(child in bones and child not in order for child in children)
                if parent not in order or not new or len({*children}) < len(children):
                    raise line_error(path, number, f"expected new children of a known bone, got {words}")
                for child in children:
                    bones[child].parent = parent
                order |= dict.fromkeys(children)
    if len(bones) == 1 or len(order) != len(bones):
        missing = sorted(set(bones) - set(order)) or ["all bones"]
        raise ValueError(f"{path}: expected a hierarchy with every bone; {', '.join(missing[:8])} missing")
    if not bones["root"].dof:
        raise ValueError(f"{path}: expected :root with an order such as TX TY TZ RX RY RZ")
    for each in bones.values():
        each.axis = np.rad2deg(each.axis) if unit == ["rad"] else each.axis
    return {name: bones[name] for name in order}


def _describe(path: Path, number: int, bone: Bone, words: list[str]) -> None:
    """Reads one line of a bone's or the root's description."""
    key, *values = words
    if key in bone.given:
        raise line_error(path, number, f"{key} twice in a bone, or in the root")
    bone.given |= {key} & KEYS
    wrong = ""
    match key:
        case "name":
            bone.name = " ".join(values)
        case "direction":
            bone.direction = np.array(numbers(path, number, values, 3))
            wrong = "a direction of length 1" if abs(math.hypot(*bone.direction) - 1) > 0.01 else ""
        case "length":
            (bone.length,) = numbers(path, number, values, 1)
            wrong = "a length >= 0" if bone.length < 0 else ""
        case "position" | "orientation":
            wrong = f"a root without {key} of its own" if any(numbers(path, number, values, 3)) else ""
        case "axis":
            bone.axis_order = values[-1].lower() if values else ""
            wrong = "an order of axes such as XYZ" if sorted(bone.axis_order) != ["x", "y", "z"] else ""
            if not wrong and bone.name != "root":  # the root's axes do not turn
                bone.axis = np.array(numbers(path, number, values[:-1], 3))
        case "dof" | "order":
            bone.dof = tuple(value.lower() for value in values)
            admitted = ("rx", "ry", "rz") + (("tx", "ty", "tz") if key == "order" else ())
            different = len(set(bone.dof)) == len(bone.dof)
            wrong = "" if different and set(bone.dof) <= set(admitted) else f"{key} of {', '.join(admitted)}"
    if wrong:
        raise line_error(path, number, f"expected {wrong}, got {' '.join(values)}")


def _read_values(path: Path, bones: Mapping[str, Bone]) -> dict[str, Array]:
    """Values of every bone that has degrees of freedom, (T, len(dof)), angles in degrees."""
    rows: dict[str, list[list[float]]] = {name: [] for name, bone in bones.items() if bone.dof}
    scale, frames, first, number = 1.0, 0, 0, 0

    def check_frame() -> None:
        missing = [name for name, row in rows.items() if len(row) < frames]
        if missing:
            raise line_error(path, number, f"frame {frames} ends without {', '.join(missing)}")

    for number, (name, *words) in lines_of(path, "latin1", comment="#"):
        if name.startswith(":"):
            if frames or name.upper() not in (":FULLY-SPECIFIED", ":DEGREES", ":RADIANS"):
                raise line_error(path, number, f"expected :DEGREES or :RADIANS, before the first frame, got {name}")
            scale = float(np.rad2deg(1)) if name.upper() == ":RADIANS" else scale
        elif not words and name.isascii() and name.isdigit():
            check_frame()
            first = first if frames else int(name[:9])
            if len(name) > 9 or int(name) != first + frames:
                raise line_error(path, number, f"expected frame {first + frames}, got {name[:60]}")
            frames += 1
        elif name not in rows:
            raise line_error(path, number, f"unknown bone {name!r}, or one without degrees of freedom")
        elif len(rows[name]) != frames - 1:
            raise line_error(path, number, f"{name} twice in a frame, or outside of one")
        else:
            rows[name].append(numbers(path, number, words, len(bones[name].dof)))
    check_frame()
    if not frames:
        raise ValueError(f"{path}: expected at least one frame, got none")
    scales = {name: [scale if dof[0] == "r" else 1.0 for dof in bones[name].dof] for name in rows}
    return {name: np.array(row) * scales[name] for name, row in rows.items()}
