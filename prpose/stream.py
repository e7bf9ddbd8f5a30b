"""Stream: one frame in, one frame out."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from prpose.camera import Array, Camera
from prpose.config import InferenceConfig
from prpose.keypoints import Keypoints
from prpose.lifter import is_framed, own_frame, receptive_field
from prpose.noise import NoiseProcess, confidence_sigma
from prpose.one_pass import drawn
from prpose.postprocess import flags_of, summarise
from prpose.prediction import Prediction
from prpose.preprocess import Preprocessed, preprocess
from prpose.sampler import Sampler

MOST_RATE = 10  # largest ratio of a stream's frame rate to that of the training data; above, windows cover less time


@dataclass(eq=False)
class Stream:
    """Predictions of one person, frame by frame; the noise is correlated over time as in :class:`prpose.Model`.

    A lifter with a receptive field of several frames gets the current frame in place of future ones, so that no frame
    waits, and the first frame in place of those before it. At another frame rate than that of its training data, as its
    card states it, it gets the frames nearest to those times. Gaps are not interpolated, and nothing is smoothed.
    :meth:`prpose.Model.stream` creates one, with an example.
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
        shape = self.num_samples, 2, 1, len(self.sampler.mirror), self.sampler.noise_channels
        self._noise = NoiseProcess(shape, self.config.rho(self.fps), torch.Generator().manual_seed(self.seed))
        trained, own = self.card.get("fps"), own_frame(self.sampler.lifter)
        rate = min(self.fps / trained, MOST_RATE) if self.fps and trained else 1.0
        self._frames_ago = [round((own - frame) * rate) for frame in range(own)]  # of the window's frames
        # Frames of windows: keypoints (1, 1, 17, 2), noise (S, 2, 1, 1, 17, C) and extra sigma (1, 1, 17)
        self._window = deque[tuple[Tensor, Tensor, Tensor]](maxlen=max([0, *self._frames_ago]) + 1)
        self._other_units = False  # whether any confidence lay outside [0, 1]; then none widens the noise by default

    @torch.no_grad()
    def __call__(self, xy: ArrayLike, confidence: ArrayLike | None = None) -> Prediction:
        """Predicts the next frame, T = 1, from keypoints (J, 2), pixels, NaN where missing, and confidences (J,).

        Implausible keypoints raise an error in the first frame, which shows a wrong layout or image size; later ones
        are only in the prediction's ``warnings``. After a ``ValueError``, the stream can go on with the next frame.
        """
        scores = None if confidence is None else np.asarray(confidence)[None]
        frame = Keypoints(np.asarray(xy)[None], self.image_size, self.layout, scores, self.fps)
        implausible = self.config.allow_implausible or bool(self._window)
        ready = preprocess(frame, 0, self.config.drop_incomplete, implausible)
        camera = self.config.camera(*self.image_size)
        x = torch.from_numpy(camera.lifter_input(ready.xy, is_framed(self.sampler.lifter))).float()[None]
        x = x.to(self.sampler.device)
        window, eps, extra_sigma = self._windows((x, self._noise.next(1).to(x), self._extra_sigma(x, ready, camera)))
        found = drawn(self.sampler, window, eps[:, 0], eps[:, 1], extra_sigma if extra_sigma.any() else None)
        deterministic, noise_sd = found.pose[0].cpu(), found.noise_sd
        own = None if found.covariance is None else found.covariance[0].cpu()
        described = ready.xy, camera, self.config, own, self.config.camera_sd(), ~ready.missing
        fields: dict[str, Any] = summarise(found.samples[:, 0].cpu(), deterministic, *described)
        up, tilt = self.config.up(fields["pose"].numpy())
        unit = camera.lifter_unit(is_framed(self.sampler.lifter))
        return Prediction(
            **{name: value.numpy() for name, value in fields.items()}, deterministic=deterministic.numpy(),
            point_estimate=self.config.point_estimate, fps=self.fps, num_samples=self.num_samples, seed=self.seed,
            flags=flags_of(ready, self.config.min_confidence), keypoints_px=ready.xy, camera=camera,
            noise_sd_px=None if noise_sd is None else (noise_sd[0].cpu() * unit).numpy(),
            model=self.card, warnings=(*ready.warnings, *tilt), up=up,
        )  # fmt: skip

    def _extra_sigma(self, x: Tensor, ready: Preprocessed, camera: Camera) -> Tensor:
        confidence, unit = ready.confidence, camera.lifter_unit(is_framed(self.sampler.lifter))
        if confidence is not None and self.config.confidence_noise is None:
            self._other_units |= bool(confidence.min() < 0 or confidence.max() > 1)
        scale = 0.0 if self._other_units else self.config.confidence_scale(confidence, self.sampler.trained)
        known = None if confidence is None else np.where(ready.missing, 1, confidence)
        return input_sigma(x, ready.sigma_px / unit, known, scale)

    def _windows(self, now: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Keypoints, noise and extra sigma of the F frames around the current one."""
        self._window.extend([now] if self._window else [now] * (self._window.maxlen or 1))
        before, later = self._frames_ago, receptive_field(self.sampler.lifter) - len(self._frames_ago)
        x, eps, sigma = zip(*(self._window[-1 - n] for n in before), *([now] * later), strict=True)
        return torch.cat(x, dim=1), torch.cat(eps, dim=3), torch.cat(sigma, dim=1)


def input_sigma(x: Tensor, missing: Array, confidence: Array | None, scale: float) -> Tensor:
    """Further standard deviation of keypoints x (1, T, 17, 2), of missing ones and of low confidence, (1, T, 17).

    That of the missing ones, 0 elsewhere, and the confidences are (T, 17); ``scale`` is the confidence noise's.
    """
    sigma = torch.from_numpy(missing)[None].to(x)
    if confidence is None or not scale:
        return sigma
    return torch.hypot(sigma, confidence_sigma(x, torch.from_numpy(confidence)[None].to(x), scale))


def check_draws(num_samples: int, seed: int) -> None:
    """``ValueError`` for a number of samples or a seed that cannot be drawn from."""
    for name, value, lowest, end in (("num_samples", num_samples, 2, 2**31), ("seed", seed, 0, 2**63)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not lowest <= value < end:
            raise ValueError(f"expected {name} as an integer from {lowest} to {end - 1:,}, got {value!r:.80}")
