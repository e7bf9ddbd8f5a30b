"""npy arrays of numbers, and npz files of such."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prpose.camera import Array
from prpose.io.keypoints.detections import Detection, Detections, without_missing
from prpose.keypoints import LARGEST_PX
from prpose.layouts import LAYOUTS
from prpose.unpickle import read_array, read_npz

BODY = 33  # first points of FreeMoCap's arrays: MediaPipe's body; hands and face follow


def read_npy(path: Path) -> Detections:
    """One person: (T, J, 2) pixels, or (T, J, 3) with the confidence.

    Or FreeMoCap's 2D: (cameras, T, 33 or more, 2 or 3) pixels; a camera is a person called ``camera0`` ...
    """
    array = load_npy(path)
    if array.ndim == 4 and array.shape[2] >= BODY and array.shape[3] in (2, 3):
        cameras = {f"camera{n}": clip for n, clip in enumerate(array[:, :, :BODY, :2])}
        return Detections(_detections(cameras), default_layouts={BODY: "blazepose33"})
    if array.ndim != 3 or array.shape[2] not in (2, 3):
        raise ValueError(f"expected an array (T, J, 2), or (T, J, 3) with the confidence, got {array.shape}")
    return Detections(_detections({None: array}))


def read_reconstruction(path: Path) -> Detections:
    """``keypoints.npz`` of the demos of MHFormer, StridedTransformer, MotionAGFormer and others: Human3.6M's order."""
    return Detections(_people(path, "reconstruction"), default_layouts={17: "h36m17"})


def read_keypoints(path: Path) -> Detections:
    """An npz's entry ``keypoints``, of the only layout with that many joints, or of one that is given."""
    counts = Counter(len(layout) for layout in LAYOUTS.values())
    only = {len(layout): name for name, layout in LAYOUTS.items() if counts[len(layout)] == 1}
    return Detections(_people(path, "keypoints"), default_layouts=only)


def _people(path: Path, name: str) -> list[Detection]:
    """Of an npz's entry (people, T, J, 2 or 3) or (T, J, 2 or 3), in pixels, with the confidence if there are 3."""
    array = np.asarray(read_npz(path, name))
    if array.dtype.kind not in "fiu" or array.ndim not in (3, 4) or array.shape[-1] not in (2, 3):
        raise ValueError(f"expected {name} (people, T, J, 2 or 3), got {array.dtype} {array.shape}")
    people = within_range(array).reshape(-1, *array.shape[-3:])
    return _detections({str(person): clip for person, clip in enumerate(people)})


def _detections(people: Mapping[str, Array] | Mapping[None, Array]) -> list[Detection]:
    """Of clips (T, J, 2 or 3), by the person's id; their arrays are parts of the clips'."""
    detections = list[Detection]()
    for person, clip in people.items():
        check_joints(clip.shape[1])
        scored = clip.shape[2] == 3
        xy, confidence = without_missing(clip[..., :2], clip[..., 2]) if scored else (clip, [None] * len(clip))
        detections += [Detection(t, xy[t], confidence[t], person) for t in range(len(clip))]
    return detections


def check_joints(J: int) -> None:
    """``ValueError`` for a number of joints that no layout has, before a file's frames become objects."""
    if J not in {len(layout) for layout in LAYOUTS.values()}:
        raise ValueError(f"expected as many joints as a layout has, got {J} (--layout: {', '.join(LAYOUTS)})")


def load_npy(path: Path) -> Array:
    """The numbers of an npy as float64; ``ValueError`` for anything else, pickles included, which are not run."""
    array = read_array(path)
    if not isinstance(array, np.ndarray) or array.dtype == object:
        raise ValueError("expected an npy file of plain numbers, got objects")
    if array.dtype.kind not in "fiu":
        raise ValueError(f"expected an array of numbers, got {array.dtype}")
    return within_range(array)


def within_range(numbers: Array) -> Array:
    """A float64 copy of numbers; ``ValueError`` if any is infinite or too large for pixels. NaN is missing."""
    with np.errstate(all="ignore"):  # numbers beyond float64 become infinite
        numbers = numbers.astype(np.float64)
    if (np.abs(numbers) > LARGEST_PX).any():
        raise ValueError(f"expected numbers within {LARGEST_PX:g}, got larger or infinite ones")
    return numbers
