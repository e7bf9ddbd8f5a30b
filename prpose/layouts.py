"""Layouts: the orders in which detectors and data sets list the joints of a body.

Names are those of the definitions, so that one can mean different points: ``neck`` is the base of the neck in OpenPose
and Halpe, and the neck/nose point in Human3.6M. :mod:`prpose.remap` converts between them.
"""

import difflib
from typing import Any

import numpy as np

from prpose.camera import Array
from prpose.skeleton import H36M_17, Skeleton

_SIDES = ("left", "right")


def _tree(names: str, both: str, middle: str = "") -> Skeleton:
    """A skeleton from names and ``joint:parent`` links: on both sides, and of single joints; others are roots."""
    index = {name: j for j, name in enumerate(names.split())}
    parents = dict(link.split(":") for link in middle.split())
    for link in both.split():
        joint, parent = link.split(":")
        for side in _SIDES:
            sided = f"{side}_{parent}"
            parents[f"{side}_{joint}"] = sided if sided in index else parent
    return Skeleton(tuple(index), tuple(index[parents[name]] if name in parents else -1 for name in index))


def _sided(names: str) -> str:  # left before right, joint by joint
    return " ".join(f"{side}_{name}" for name in names.split() for side in _SIDES)


_LIMBS = "elbow:shoulder wrist:elbow knee:hip ankle:knee"
_FACE = "eye:nose ear:eye"
_FEET = "big_toe:ankle small_toe:big_toe heel:ankle"

_COCO = "nose " + _sided("eye ear shoulder elbow wrist hip knee ankle")
COCO_17 = _tree(_COCO, f"{_LIMBS} {_FACE} shoulder:nose hip:shoulder")
"""COCO: ``categories[0].keypoints`` of person_keypoints_*.json (cocodataset.org/#format-data)."""

_OPENPOSE_ARMS = "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"
_OPENPOSE_LEGS = "right_hip right_knee right_ankle left_hip left_knee left_ankle"
_OPENPOSE_FACE = "right_eye left_eye right_ear left_ear"
COCO_18 = _tree(
    f"{_OPENPOSE_ARMS} {_OPENPOSE_LEGS} {_OPENPOSE_FACE}", f"{_LIMBS} {_FACE} shoulder:neck hip:neck", "nose:neck"
)
"""OpenPose's COCO model: POSE_COCO_BODY_PARTS (poseParameters.cpp). ``neck`` is the middle of the shoulders. The names
differ in order from :data:`COCO_17`: right comes first."""

BODY_25 = _tree(
    f"{_OPENPOSE_ARMS} mid_hip {_OPENPOSE_LEGS} {_OPENPOSE_FACE} "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    f"{_LIMBS} {_FACE} {_FEET} shoulder:neck hip:mid_hip",
    "nose:neck mid_hip:neck",
)
"""OpenPose's BODY_25: POSE_BODY_25_BODY_PARTS (its doc/02_output.md)."""

BODY_25B = _tree(
    f"{_COCO} upper_neck head {' '.join(f'{s}_{j}' for s in _SIDES for j in ('big_toe', 'small_toe', 'heel'))}",
    f"{_LIMBS} {_FACE} {_FEET} shoulder:upper_neck hip:shoulder",
    "nose:upper_neck head:nose",
)
"""OpenPose's BODY_25B (openpose_train's README): COCO's 17, ``upper_neck`` at the height of the chin, top of the head,
and feet."""

HALPE_26 = _tree(
    f"{_COCO} head neck hip {_sided('big_toe small_toe heel')}",
    f"{_LIMBS} {_FACE} {_FEET} shoulder:neck",
    "left_hip:hip right_hip:hip nose:head head:neck neck:hip",
)
"""Halpe-FullBody's 26 (its README), as AlphaPose and RTMPose write them: ``head`` is the top of the head, ``neck`` the
base of the neck, ``hip`` the middle of the hips."""

# The right point of the 68 of a face → the left one: jaw, brows, nostrils and eyes, mouth.
_FACE_PAIRS = {
    **{i: 16 - i for i in range(8)},
    **{i: 43 - i for i in range(17, 22)},
    **dict(zip((31, 32, 36, 37, 38, 39, 40, 41), (35, 34, 45, 44, 43, 42, 47, 46), strict=True)),
    **dict(zip((48, 49, 50, 58, 59, 60, 61, 67), (54, 53, 52, 56, 55, 64, 63, 65), strict=True)),
}
_FACE_NAMES = {
    **{i: f"face_{i}" for i in range(68)},
    **{right: f"right_face_{right}" for right in _FACE_PAIRS},
    **{left: f"left_face_{right}" for right, left in _FACE_PAIRS.items()},
}
WHOLEBODY_133 = _tree(
    " ".join(
        [
            f"{_COCO} left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
            *_FACE_NAMES.values(),
            *(f"{side}_hand_{i}" for side in _SIDES for i in range(21)),
        ]
    ),
    f"{_LIMBS} {_FACE} {_FEET} shoulder:nose hip:shoulder " + " ".join(f"hand_{i}:wrist" for i in range(21)),
    " ".join(f"{name}:nose" for name in _FACE_NAMES.values()),
)
"""COCO-WholeBody's 133 (its data_format.md): COCO's 17, 6 of the feet, 68 of the face, 21 of each hand. Points of face
and hands are numbered; a left point of the face has the number of its right one."""

BLAZEPOSE_33 = _tree(
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
    + _sided("ear mouth shoulder elbow wrist pinky index thumb hip knee ankle heel foot_index"),
    f"{_LIMBS} eye:nose eye_inner:eye eye_outer:eye ear:eye_outer mouth:nose shoulder:nose hip:shoulder "
    "pinky:wrist index:wrist thumb:wrist heel:ankle foot_index:ankle",
)
"""MediaPipe's PoseLandmark, of BlazePose (ai.google.dev/edge/mediapipe, pose landmarker). Its MOUTH_LEFT and
MOUTH_RIGHT are ``left_mouth`` and ``right_mouth`` here."""

MPI_28 = _tree(
    "spine3 spine4 spine2 spine pelvis neck head head_top "
    "left_clavicle left_shoulder left_elbow left_wrist left_hand "
    "right_clavicle right_shoulder right_elbow right_wrist right_hand "
    "left_hip left_knee left_ankle left_foot left_toe right_hip right_knee right_ankle right_foot right_toe",
    f"{_LIMBS} clavicle:neck shoulder:clavicle hand:wrist hip:pelvis foot:ankle toe:foot",
    "spine:pelvis spine2:spine spine3:spine2 spine4:spine3 neck:spine4 head:neck head_top:head",
)
"""The 28 joints of MPI-INF-3DHP's ``annot.mat``, in its order (its mpii_get_joint_set.m): ``neck`` is its base,
``head`` a point of the face."""

LAYOUTS: dict[str, Skeleton] = {
    "h36m17": H36M_17,
    "coco17": COCO_17,
    "coco18": COCO_18,
    "body25": BODY_25,
    "body25b": BODY_25B,
    "halpe26": HALPE_26,
    "wholebody133": WHOLEBODY_133,
    "blazepose33": BLAZEPOSE_33,
    "mpi28": MPI_28,
}
"""Orders of joints by name; never guessed from how many there are."""


def sides_of(symmetry: Any) -> list[list[int]]:
    """The two sides' joints by ``keypoints_symmetry`` of VideoPose3D's metadata, sorted; none if it is no such list."""
    try:
        return [sorted(int(joint) for joint in side) for side in symmetry]
    except (TypeError, ValueError, OverflowError):
        return []


def find_layout(name: str) -> Skeleton:
    """The layout of a name; ``ValueError`` that lists the near names first."""
    if isinstance(name, str) and name in LAYOUTS:
        return LAYOUTS[name]
    near = [known for known in LAYOUTS if known.rstrip("0123456789") == str(name).lower().rstrip("0123456789")]
    near = near or difflib.get_close_matches(str(name), LAYOUTS, n=2, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"unknown layout {name!r:.60}{hint} (known: {', '.join(sorted(LAYOUTS))})")


_COCO_SIDED = {"shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089}
COCO_SIGMA = {
    **{f"{side}_{joint}": sigma for joint, sigma in _COCO_SIDED.items() for side in _SIDES},
    "pelvis": 0.107 / 2**0.5,  # the middle of two hips with independent errors
    "thorax": 0.079 / 2**0.5,  # the middle of two shoulders
    "spine": 0.079,  # not in COCO: as a shoulder
    "neck": 0.035,  # Human3.6M's neck/nose point: as COCO's ears
    "head": 0.035,
}
"""Standard deviation of human annotations by joint, in units of the person's size (COCO's keypoint constants,
cocodataset.org/#keypoints-eval)."""

BOX = 1.25
"""Size of a person's box over that of the keypoints: the padding of top-down detectors (Xiao et al., ECCV 2018)."""
BODY_SHARE = 0.53  # share of a person's box that is body, as in COCO-style evaluations without masks (MMPose)
THINNEST = 0.25  # smallest ratio of the sides of a box, for people seen edge-on: our choice


def person_size(keypoints_px: Array) -> Array:
    """COCO's scale s of a person, the square root of the area: (*, J, 2) → (*) pixels."""
    extent = keypoints_px.max(axis=-2) - keypoints_px.min(axis=-2)
    extent = np.maximum(extent, THINNEST * extent.max(axis=-1, keepdims=True))
    return np.asarray(np.sqrt(BODY_SHARE * (BOX * extent).prod(axis=-1)))


def corners(poses: Array) -> Array:
    """The lowest and highest coordinates of the joints present, (*, J, 2) → (*, 2, 2); 0 without any."""
    present = np.isfinite(poses).all(axis=-1, keepdims=True)
    low, high = np.where(present, poses, np.inf).min(axis=-2), np.where(present, poses, -np.inf).max(axis=-2)
    return np.where(np.any(present, axis=-2, keepdims=True), np.stack([low, high], axis=-2), 0)


def oks(one: Array, other: Array, sigma: Array, size: Array | None = None) -> Array:
    """COCO's object keypoint similarity of poses (*, J, 2) → (*), over the joints present in both.

    The mean of exp(-d²/(2 s² k²)), k = 2 sigma, s the square root of the larger person's area
    (cocodataset.org/#keypoints-eval); 0 without a common joint. ``size`` is s, where it is known.
    """
    squared = np.einsum("...c,...c", one - other, one - other)  # NaN where a joint is missing
    size = np.maximum(person_size(corners(one)), person_size(corners(other))) if size is None else size
    scale = 2 * (np.maximum(size, 1e-6)[..., None] * 2 * sigma) ** 2
    both = np.isfinite(squared)
    likeness = np.where(both, np.exp(-np.where(both, squared, 0) / scale), 0)
    return np.asarray(likeness.sum(axis=-1) / np.maximum(both.sum(axis=-1), 1))
