"""Layouts: the orders in which detectors and data sets list the joints of a body.

Each is a :class:`prpose.skeleton.Skeleton` with the names of its definition, so that one name can mean different
points: ``neck`` is the base of the neck in OpenPose and Halpe, and the neck/nose point in Human3.6M.
:mod:`prpose.remap` converts between them.
"""

import difflib

import numpy as np

from prpose.camera import Array
from prpose.skeleton import H36M_17, Skeleton


def _tree(names: tuple[str, ...], parents: dict[str, str]) -> Skeleton:
    """A skeleton from each joint's parent by name; joints without one are roots."""
    index = {name: j for j, name in enumerate(names)}
    return Skeleton(names, tuple(index[parents[n]] if n in parents else -1 for n in names))


def _sided(*names: str) -> tuple[str, ...]:
    """Left before right, joint by joint."""
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


def _both(links: dict[str, str], middle: tuple[str, ...] = ()) -> dict[str, str]:
    """The same links on both sides; those in ``middle`` have no side."""
    return {
        f"{side}_{child}": parent if parent in middle else f"{side}_{parent}"
        for side in ("left", "right")
        for child, parent in links.items()
    }


_LIMBS = {
    "elbow": "shoulder",
    "wrist": "elbow",
    "knee": "hip",
    "ankle": "knee",
}
_FACE = {"eye": "nose", "ear": "eye"}
_FEET = {"big_toe": "ankle", "small_toe": "big_toe", "heel": "ankle"}

COCO_17 = _tree(
    ("nose", *_sided("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
    _both({**_LIMBS, **_FACE, "shoulder": "nose", "hip": "shoulder"}, ("nose",)),
)
"""COCO: ``categories[0].keypoints`` of person_keypoints_*.json (cocodataset.org/#format-data)."""

_OPENPOSE_ARMS = (
    "nose",
    "neck",
    *("right_shoulder", "right_elbow", "right_wrist"),
    *("left_shoulder", "left_elbow", "left_wrist"),
)
_OPENPOSE_LINKS = _both({**_LIMBS, **_FACE, "shoulder": "neck"}, ("nose", "neck"))

COCO_18 = _tree(
    (
        *_OPENPOSE_ARMS,
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
    ),
    {**_OPENPOSE_LINKS, "nose": "neck", "left_hip": "neck", "right_hip": "neck"},
)
"""OpenPose's COCO model: POSE_COCO_BODY_PARTS (poseParameters.cpp). ``neck`` is the middle of the
shoulders. The names differ in order from :data:`COCO_17`: right comes first."""

BODY_25 = _tree(
    (
        *_OPENPOSE_ARMS,
        "mid_hip",
        *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
        *("left_big_toe", "left_small_toe", "left_heel"),
        *("right_big_toe", "right_small_toe", "right_heel"),
    ),
    {
        **_OPENPOSE_LINKS,
        **_both({**_FEET, "hip": "mid_hip"}, ("mid_hip",)),
        "nose": "neck",
        "mid_hip": "neck",
    },
)
"""OpenPose's BODY_25: POSE_BODY_25_BODY_PARTS (its doc/02_output.md)."""

HALPE_26 = _tree(
    (*COCO_17.names, "head", "neck", "hip", *_sided("big_toe", "small_toe", "heel")),
    {
        **_both({**_LIMBS, **_FACE, **_FEET, "shoulder": "neck"}, ("nose", "neck")),
        "left_hip": "hip",
        "right_hip": "hip",
        "nose": "head",
        "head": "neck",
        "neck": "hip",
    },
)
"""Halpe-FullBody's 26 (its README), as AlphaPose and RTMPose write them: ``head`` is the top of the
head, ``neck`` the base of the neck, ``hip`` the middle of the hips."""

_FACE_PAIRS = {
    **{i: 16 - i for i in range(8)},  # the jaw
    **{i: 43 - i for i in range(17, 22)},  # brows
    **dict(zip((31, 32, 36, 37, 38, 39, 40, 41), (35, 34, 45, 44, 43, 42, 47, 46), strict=True)),
    **dict(zip((48, 49, 50, 58, 59, 60, 61, 67), (54, 53, 52, 56, 55, 64, 63, 65), strict=True)),
}
"""The right point of the 68 of a face → the left one: jaw, brows, nostrils and eyes, mouth."""


def _face(i: int) -> str:
    if i in _FACE_PAIRS:
        return f"right_face_{i}"
    right = {left: right for right, left in _FACE_PAIRS.items()}
    return f"left_face_{right[i]}" if i in right else f"face_{i}"


WHOLEBODY_133 = _tree(
    (
        *COCO_17.names,
        *("left_big_toe", "left_small_toe", "left_heel"),
        *("right_big_toe", "right_small_toe", "right_heel"),
        *(_face(i) for i in range(68)),
        *(f"{side}_hand_{i}" for side in ("left", "right") for i in range(21)),
    ),
    {
        **_both({**_LIMBS, **_FACE, **_FEET, "shoulder": "nose", "hip": "shoulder"}, ("nose",)),
        **{_face(i): "nose" for i in range(68)},
        **{f"{s}_hand_{i}": f"{s}_wrist" for s in ("left", "right") for i in range(21)},
    },
)
"""COCO-WholeBody's 133 (its data_format.md): COCO's 17, 6 of the feet, 68 of the face, 21 of each
hand. Points of face and hands are numbered; a left point of the face has the number of its right one."""

BLAZEPOSE_33 = _tree(
    (
        "nose",
        *("left_eye_inner", "left_eye", "left_eye_outer"),
        *("right_eye_inner", "right_eye", "right_eye_outer"),
        *_sided("ear"),
        *("left_mouth", "right_mouth"),
        *_sided("shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *_sided("hip", "knee", "ankle", "heel", "foot_index"),
    ),
    _both(
        {
            **_LIMBS,
            "eye": "nose",
            "eye_inner": "eye",
            "eye_outer": "eye",
            "ear": "eye_outer",
            "mouth": "nose",
            "shoulder": "nose",
            "hip": "shoulder",
            "pinky": "wrist",
            "index": "wrist",
            "thumb": "wrist",
            "heel": "ankle",
            "foot_index": "ankle",
        },
        ("nose",),
    ),
)
"""MediaPipe's PoseLandmark, of BlazePose (ai.google.dev/edge/mediapipe, pose landmarker). Its
MOUTH_LEFT and MOUTH_RIGHT are ``left_mouth`` and ``right_mouth`` here."""

MPI_28 = _tree(
    (
        *("spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top"),
        *("left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "left_hand"),
        *("right_clavicle", "right_shoulder", "right_elbow", "right_wrist", "right_hand"),
        *("left_hip", "left_knee", "left_ankle", "left_foot", "left_toe"),
        *("right_hip", "right_knee", "right_ankle", "right_foot", "right_toe"),
    ),
    {
        **_both(
            {
                **_LIMBS,
                "clavicle": "neck",
                "shoulder": "clavicle",
                "hand": "wrist",
                "hip": "pelvis",
                "foot": "ankle",
                "toe": "foot",
            },
            ("neck", "pelvis"),
        ),
        "spine": "pelvis",
        "spine2": "spine",
        "spine3": "spine2",
        "spine4": "spine3",
        "neck": "spine4",
        "head": "neck",
        "head_top": "head",
    },
)
"""The 28 joints of MPI-INF-3DHP's ``annot.mat``, in its order (its mpii_get_joint_set.m):
``neck`` is its base, ``head`` a point of the face."""

LAYOUTS: dict[str, Skeleton] = {
    "h36m17": H36M_17,
    "coco17": COCO_17,
    "coco18": COCO_18,
    "body25": BODY_25,
    "halpe26": HALPE_26,
    "wholebody133": WHOLEBODY_133,
    "blazepose33": BLAZEPOSE_33,
    "mpi28": MPI_28,
}
"""Orders of joints by name; never guessed from how many there are."""


def find_layout(name: str) -> Skeleton:
    """The layout of a name; ``ValueError`` that lists the near names first.

    Example:
        >>> len(find_layout("coco17"))
        17
        >>> find_layout("coco")
        Traceback (most recent call last):
        ValueError: unknown layout 'coco'; did you mean coco17 or coco18? (known: blazepose33, ...)
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    near = [known for known in LAYOUTS if known.rstrip("0123456789") == str(name).lower().rstrip("0123456789")]
    near = near or difflib.get_close_matches(str(name), LAYOUTS, n=2, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"unknown layout {name!r:.60}{hint} (known: {', '.join(sorted(LAYOUTS))})")


COCO_SIGMA = {
    **dict.fromkeys(("left_shoulder", "right_shoulder"), 0.079),
    **dict.fromkeys(("left_elbow", "right_elbow"), 0.072),
    **dict.fromkeys(("left_wrist", "right_wrist"), 0.062),
    **dict.fromkeys(("left_hip", "right_hip"), 0.107),
    **dict.fromkeys(("left_knee", "right_knee"), 0.087),
    **dict.fromkeys(("left_ankle", "right_ankle"), 0.089),
    "pelvis": 0.107 / 2**0.5,  # the middle of two hips with independent errors
    "thorax": 0.079 / 2**0.5,  # the middle of two shoulders
    "spine": 0.079,  # not in COCO: as a shoulder
    "neck": 0.035,  # Human3.6M's neck/nose point: as COCO's ears
    "head": 0.035,
}
"""Standard deviation of human annotations by joint, in units of the person's size (COCO's keypoint constants,
cocodataset.org/#keypoints-eval)."""

BOX = 1.25
"""Size of a person's box over that of the keypoints: the padding of top-down detectors (Xiao et al., Simple Baselines
for Human Pose Estimation and Tracking, ECCV 2018)."""
BODY_SHARE = 0.53
"""Share of a person's box that is body, as COCO-style evaluations take it where there is no mask (MMPose's AP on data
sets without areas)."""
THINNEST = 0.25
"""Smallest ratio of the sides of a box, for people seen edge-on: our choice."""


def person_size(keypoints_px: Array) -> Array:
    """COCO's scale s of a person, the square root of the area: (*, J, 2) → (*) pixels."""
    extent = keypoints_px.max(axis=-2) - keypoints_px.min(axis=-2)
    extent = np.maximum(extent, THINNEST * extent.max(axis=-1, keepdims=True))
    return np.asarray(np.sqrt(BODY_SHARE * (BOX * extent).prod(axis=-1)))
