"""A motion without its tremble: filters over time for one pose per frame."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def gaussian(poses: Tensor, fps: float, sigma_s: float = 0.05) -> Tensor:
    """A Gaussian mean over time, (T, J, 3) → (T, J, 3); ends are repeated. It sees the future.

    Args:
        fps: frames per second.
        sigma_s: standard deviation of the filter, seconds.

    Raises:
        ValueError: if fps or sigma_s is not > 0.
    """
    _positive(fps=fps, sigma_s=sigma_s)
    radius = max(1, math.ceil(3 * sigma_s * fps - 1e-6))
    offsets = torch.arange(-radius, radius + 1, dtype=poses.dtype, device=poses.device)
    weights = torch.exp(-((offsets / (sigma_s * fps)) ** 2) / 2)
    rows = poses.flatten(1).T[:, None]  # (J·3, 1, T)
    rows = functional.pad(rows, (radius, radius), mode="replicate")
    smooth = functional.conv1d(rows, (weights / weights.sum())[None, None])
    return smooth[:, 0].T.reshape(poses.shape)


def one_euro(poses: Tensor, fps: float, min_cutoff_hz: float = 1.5, beta: float = 3.0) -> Tensor:
    """The One-Euro filter, coordinate by coordinate, (T, J, 3) → (T, J, 3). It lags, but causally.

    A low-pass filter whose cutoff rises with speed: little tremble at rest, little lag in motion
    (Casiez et al., 1€ Filter, CHI 2012; its derivative's cutoff is 1 Hz, as there).

    Args:
        fps: frames per second.
        min_cutoff_hz: cutoff at rest.
        beta: how fast it rises, Hz per m/s.

    Raises:
        ValueError: if fps or min_cutoff_hz is not > 0, or beta < 0.
    """
    _positive(fps=fps, min_cutoff_hz=min_cutoff_hz)
    if not 0 <= beta < math.inf:
        raise ValueError(f"expected beta >= 0, got {beta}")
    out, speed = [poses[0]], torch.zeros_like(poses[0])
    for t in range(1, len(poses)):
        change = (poses[t] - out[-1]) * fps
        speed = speed + _share(torch.ones_like(speed), fps) * (change - speed)
        out.append(out[-1] + _share(min_cutoff_hz + beta * speed.abs(), fps) * (poses[t] - out[-1]))
    return torch.stack(out)


def _share(cutoff_hz: Tensor, fps: float) -> Tensor:
    """Of the new value in a first-order low-pass filter."""
    turn = 2 * math.pi * cutoff_hz / fps
    return turn / (turn + 1)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"expected {name} > 0, got {value}")


def _as_is(poses: Tensor, fps: float) -> Tensor:
    return poses


SMOOTHERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "none": _as_is,
    "gaussian": gaussian,
    "one-euro": one_euro,
}
"""By name, (T, J, 3) and frames per second → (T, J, 3)."""
