"""What networks over several frames expect of their settings and of their input."""

from typing import Any

from torch import Tensor


def odd(name: str, value: Any) -> int:
    """``value``, a number of frames with one in the middle.

    Raises:
        ValueError: unless it is an odd whole number >= 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise ValueError(f"expected {name} to be an odd whole number >= 1, got {value!r:.80}")
    return value


def check_clip(keypoints: Tensor, F: int) -> None:
    """That there are frames enough for one pose.

    Raises:
        ValueError: unless keypoints are (*, T, J, 2) with T >= F.
    """
    if keypoints.ndim < 3 or keypoints.shape[-3] < F:
        raise ValueError(f"expected keypoints of shape (*, T, J, 2) with T >= {F}, got {tuple(keypoints.shape)}")
