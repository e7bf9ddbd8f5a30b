"""Stream: one frame in, one frame out."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from prpose.camera import Array, normalise
from prpose.config import InferenceConfig
from prpose.keypoints import Keypoints
from prpose.lifter import own_frame, receptive_field
from prpose.noise import NoiseProcess, confidence_sigma
from prpose.postprocess import flags_of, summarise
from prpose.prediction import Prediction
from prpose.preprocess import preprocess
from prpose.sampler import Sampler
from prpose.skeleton import mirror_pose


@dataclass(eq=False)
class Stream:
    """Predictions of one person, frame by frame; the noise is correlated over time as in :class:`prpose.Model`.

    A lifter with a receptive field of several frames gets the current frame in place of future ones, so that no frame
    waits, and the first frame in place of those before it, at whatever rate the frames come. Gaps are not interpolated,
    and nothing is smoothed. :meth:`prpose.Model.stream` creates one, with an example.
    """

    sampler: Sampler = field(repr=False)
    image_size: tuple[int, int]
    layout: str
    num_samples: int = 50
    seed: int = 0
    fps: float | None = None
    config: InferenceConfig = field(default_factory=InferenceConfig, repr=False)
    card: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_draws(self.num_samples, self.seed)
        shape, generator = (self.num_samples, 2, 1, len(self.sampler.mirror), 2), torch.Generator()
        self._noise = NoiseProcess(shape, self.config.rho(self.fps), generator.manual_seed(self.seed))
        # Frames in the receptive field, without noise and S times with it, (S + 1, 1, 17, 2); and their mirror images
        self._window: list[tuple[Tensor, Tensor]] = []
        self._other_units = False  # whether any confidence lay outside [0, 1]; then none widens the noise by default

    @torch.no_grad()
    def __call__(self, xy: ArrayLike, confidence: ArrayLike | None = None) -> Prediction:
        """Predicts the next frame, T = 1, from keypoints (J, 2), pixels, NaN where missing, and confidences (J,).

        Implausible keypoints raise an error in the first frame, which shows a wrong layout or image size; later ones
        are only in the prediction's ``warnings``. After a ``ValueError``, the stream can go on with the next frame.
        """
        scores = None if confidence is None else np.asarray(confidence)[None]
        frame = Keypoints(np.asarray(xy)[None], self.image_size, self.layout, scores, self.fps)
        ready = preprocess(frame, 0, allow_implausible=self.config.allow_implausible or bool(self._window))
        device = next(self.sampler.parameters(), torch.empty(0)).device
        x = torch.from_numpy(normalise(ready.xy, *self.image_size)).float()[None].to(device)
        eps = self._noise.next(1).to(device)
        noisy, noisy_mirrored = self.sampler.noisy(x, eps[:, 0], eps[:, 1], self._extra_sigma(x, ready.confidence))
        now = torch.cat([x, noisy[:, 0]]), torch.cat([mirror_pose(x, self.sampler.mirror), noisy_mirrored[:, 0]])
        lifted = self.sampler.lift(*self._windows(now)).cpu()
        camera = self.config.camera(*self.image_size)
        fields: dict[str, Any] = summarise(lifted[1:], lifted[0], ready.xy, camera, self.config)
        return Prediction(
            **{name: value.numpy() for name, value in fields.items()}, deterministic=lifted[0].numpy(),
            point_estimate=self.config.point_estimate, fps=self.fps, num_samples=self.num_samples, seed=self.seed,
            flags=flags_of(ready, self.config.min_confidence), keypoints_px=ready.xy, camera=camera,
            model=self.card, warnings=ready.warnings,
        )  # fmt: skip

    def _extra_sigma(self, x: Tensor, confidence: Array | None) -> Tensor | None:
        if confidence is not None and self.config.confidence_noise is None:
            self._other_units |= bool(confidence.min() < 0 or confidence.max() > 1)
        if confidence is None or self._other_units:
            return None
        return confidence_sigma(x, torch.from_numpy(confidence)[None].to(x), self.config.confidence_scale(confidence))

    def _windows(self, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The F frames around the current one, (S + 1, F, 17, 2), and their mirror images."""
        F, own = receptive_field(self.sampler.lifter), own_frame(self.sampler.lifter)
        self._window = [*(self._window or [now] * own), now][-(own + 1) :]
        keypoints, mirrored = zip(*self._window, *([now] * (F - 1 - own)), strict=True)
        return torch.cat(keypoints, dim=1), torch.cat(mirrored, dim=1)


def check_draws(num_samples: int, seed: int) -> None:
    """``ValueError`` for a number of samples or a seed that cannot be drawn from."""
    for name, value, lowest, end in (("num_samples", num_samples, 2, 2**31), ("seed", seed, 0, 2**63)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not lowest <= value < end:
            raise ValueError(f"expected {name} as an integer from {lowest} to {end - 1:,}, got {value!r:.80}")
