"""How the noise of neighbouring frames hangs together: from flicker to a motion.

Noise that is drawn anew for every frame makes hypotheses that tremble. Noise that a clip shares
moves with the body, but errs in one direction for ever. Between the two, noise that is forgotten
slowly (AR(1)) errs as detectors do.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from prpose.tables import look_up

KINDS = {
    "independent": "drawn anew for every frame",
    "shared": "one draw for all frames of a clip (common random numbers)",
    "ar1": "forgotten over a time constant: AR(1)",
}
"""By name; each has the same distribution in any one frame."""


def kept(kind: str, fps: float = 60.0, time_constant_s: float = 0.25) -> float:
    """How much of a frame's noise the next one keeps: its correlation, from 0 to 1.

    Args:
        kind: a key of :data:`KINDS`.
        fps: frames per second, of ``ar1``.
        time_constant_s: of ``ar1``: seconds after which a correlation of 1/e is left.

    Raises:
        ValueError: for an unknown kind, or if ``fps`` or ``time_constant_s`` is not > 0.

    Example:
        >>> kept("independent"), kept("shared"), round(kept("ar1", fps=50, time_constant_s=0.2), 4)
        (0.0, 1.0, 0.9048)
    """
    look_up(kind, KINDS, "kind of noise in time")
    for name, value in (("fps", fps), ("time_constant_s", time_constant_s)):
        if not 0 < value < math.inf:
            raise ValueError(f"expected {name} > 0, got {value}")
    ends = {"independent": 0.0, "shared": 1.0}
    return ends.get(kind, math.exp(-1 / (fps * time_constant_s)))


class NoiseProcess:
    """Noise of hypotheses, as many frames at a time as are wanted; any pieces make one whole.

    Args:
        shape: of one frame's noise, (*, J, 2).
        keep: as of :func:`kept`; or one for each step from a frame to the next, after which the
            last goes on.
        generator: source of the noise, on its device.
    """

    def __init__(self, shape: tuple[int, ...], keep: float | Sequence[float], generator: torch.Generator) -> None:
        self.shape = shape
        self.keep = [keep] if isinstance(keep, float | int) else list(keep)
        self.step = 0
        self.generator = generator
        self.last: Tensor | None = None

    def next(self, frames: int) -> Tensor:
        """The noise of so many frames more, (*, frames, J, 2)."""
        drawn = []
        for _ in range(frames):
            fresh = torch.randn(self.shape, generator=self.generator, device=self.generator.device)
            if self.last is None:
                self.last = fresh
            else:
                keep = self.keep[min(self.step, len(self.keep) - 1)]
                self.last = keep * self.last + math.sqrt(1 - keep**2) * fresh
                self.step += 1
            drawn.append(self.last)
        return torch.stack(drawn, dim=-3)


def correlated(eps: Tensor, keep: float) -> Tensor:
    r"""Noise that remembers, from noise that does not, (*, T, J, C) → the same.

    .. math:: e_0 = ε_0, \quad e_t = k e_{t-1} + \sqrt{1 - k²} ε_t

    Each frame's noise is standard normal as before; that of frames n apart correlates by kⁿ.

    Args:
        eps: standard normal.
        keep: k, as of :func:`kept`; 0 leaves the noise as it is, 1 gives all frames the first's.

    Raises:
        ValueError: if keep is not in [0, 1].
    """
    if not 0 <= keep <= 1:
        raise ValueError(f"expected keep from 0 to 1, got {keep}")
    if keep == 0:
        return eps
    frames = list(eps.unbind(-3))
    fresh = math.sqrt(1 - keep**2)
    for t in range(1, len(frames)):
        frames[t] = keep * frames[t - 1] + fresh * frames[t]
    return torch.stack(frames, dim=-3)
