"""What a detector of any layout would find of a walker: points of the body, projected.

Limbs are the clip's own. Face, feet and hands, which walkers lack, are placed rigidly on head, shins and forearms.
"""

import numpy as np

from prpose.layouts import LAYOUTS
from prpose.skeleton import H36M_17

HEAD = {  # metres to the left, up and forward of the point between the ears
    "nose": (0, -0.02, 0.10),
    "left_eye": (0.032, 0.03, 0.08),
    "left_eye_inner": (0.02, 0.03, 0.08),
    "left_eye_outer": (0.045, 0.03, 0.07),
    "left_ear": (0.075, 0, 0),
    "left_mouth": (0.025, -0.06, 0.08),
}
FEET = {  # metres down the shin, and forward
    "heel": (0.06, -0.05),
    "big_toe": (0.06, 0.16),
    "small_toe": (0.06, 0.13),
    "foot_index": (0.06, 0.16),
}
OTHER_NAMES = {  # the layout's name → Human3.6M's, of joints that the walker has
    "coco18": {"neck": "thorax"},
    "body25": {"neck": "thorax", "mid_hip": "pelvis"},
    "body25b": {"upper_neck": "neck", "head": "head"},
    "halpe26": {"neck": "thorax", "hip": "pelvis", "head": "head"},
    "mpi28": {"neck": "thorax", "head": "neck", "head_top": "head"},
}


def detect(clip, layout, ear=0.9):
    """(T, J, 2) pixels and (T, J) confidences; that of ears is ``ear``."""
    names = LAYOUTS[layout].names
    confidence = np.full((len(clip), len(names)), 0.9)
    if layout == "h36m17":
        return clip.keypoints_px.astype(float), confidence
    joints = {name: clip.poses_cam[:, j].astype(float) for j, name in enumerate(H36M_17.names)}
    axes = _axes(joints)
    forward = axes[2]
    points = {**joints, **_face(joints, *axes), **_feet(joints, forward)}
    points |= {name: joints[ours] for name, ours in OTHER_NAMES.get(layout, {}).items()}
    for name in {"nose", "left_eye", "right_eye"} & set(names):
        confidence[:, names.index(name)] = np.where(forward[:, 2] < 0, 0.9, 0.2)
    for name in {"left_ear", "right_ear"} & set(names):
        confidence[:, names.index(name)] = ear
    return clip.camera.project(np.stack([_point(points, joints, name) for name in names], axis=1)), confidence


def _unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _axes(joints):
    """Left, up and forward of the head."""
    up = _unit(joints["head"] - joints["thorax"])
    left = joints["left_shoulder"] - joints["right_shoulder"]
    left = _unit(left - (left * up).sum(-1, keepdims=True) * up)
    return left, up, np.cross(left, up)


def _face(joints, left, up, forward):
    centre = joints["thorax"] + (joints["head"] - joints["thorax"]) / 1.72
    points = {}
    for name, (x, y, z) in HEAD.items():
        points[name.replace("left_", "right_")] = centre - x * left + y * up + z * forward
        points[name] = centre + x * left + y * up + z * forward
    return points


def _feet(joints, forward):
    points = {}
    for side in ("left", "right"):
        down = _unit(joints[f"{side}_ankle"] - joints[f"{side}_knee"])
        ahead = _unit(forward - (forward * down).sum(-1, keepdims=True) * down)
        for name, (y, z) in FEET.items():
            points[f"{side}_{name}"] = joints[f"{side}_ankle"] + y * down + z * ahead
    return points


def _point(points, joints, name):
    if name in points:
        return points[name]
    if "face" in name:  # somewhere between the eyes and the mouth
        return (points["left_eye"] + points["right_mouth"]) / 2
    if name.startswith("spine"):
        return (joints["spine"] + joints["thorax"]) / 2
    side, part = name.split("_")[:2]
    if part in ("hand", "pinky", "index", "thumb"):
        return joints[f"{side}_wrist"] + 0.3 * (joints[f"{side}_wrist"] - joints[f"{side}_elbow"])
    near = {"clavicle": "thorax", "foot": "heel", "toe": "big_toe"}[part]
    return points.get(near, points.get(f"{side}_{near}"))
