"""Stream: one frame in, one frame out."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from prpose.camera import Array, Camera
from prpose.config import InferenceConfig
from prpose.engine import Engine, input_sigma
from prpose.keypoints import Keypoints
from prpose.out_of_distribution import is_outside, warnings_of
from prpose.postprocess import flags_of, summarise
from prpose.prediction import Prediction
from prpose.preprocess import Preprocessed, preprocess
from prpose.rng import NoiseProcess
from prpose.skeleton import H36M_17

MOST_RATE = 10  # largest ratio of a stream's frame rate to that of the training data; above, windows cover less time


@dataclass(eq=False)
class Stream:
    """Predictions of one person, frame by frame; the noise is correlated over time as in :class:`prpose.Model`.

    A lifter with a receptive field of several frames gets the current frame in place of future ones, so that no frame
    waits, and the first frame in place of those before it. At another frame rate than that of its training data, as its
    card states it, it gets the frames nearest to those times. Gaps are not interpolated, and nothing is smoothed.
    :meth:`prpose.Model.stream` creates one, with an example.
    """

    sampler: Engine = field(repr=False)
    image_size: tuple[int, int]
    layout: str
    num_samples: int = 50
    seed: int = 0
    fps: float | None = None
    config: InferenceConfig = field(default_factory=InferenceConfig, repr=False)
    card: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_draws(self.num_samples, self.seed)
        shape = self.num_samples, 1, len(H36M_17), self.sampler.noise_channels
        self._noise = [NoiseProcess(shape, self.config.rho(self.fps), self.seed, image) for image in range(2)]
        trained, own = self.card.get("fps"), self.sampler.own_frame
        rate = min(self.fps / trained, MOST_RATE) if self.fps and trained else 1.0
        self._frames_ago = [round((own - frame) * rate) for frame in range(own)]  # of the window's frames
        # Frames of windows: keypoints (1, 1, 17, 2), noise (S, 1, 1, 17, C) for both images, extra sigma (1, 1, 17)
        self._window = deque[tuple[Array, Array, Array, Array]](maxlen=max([0, *self._frames_ago]) + 1)
        self._other_units = False  # whether any confidence lay outside [0, 1]; then none widens the noise by default

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
        x = camera.lifter_input(ready.xy, self.sampler.framed).astype(np.float32)[None]
        outside = is_outside(x[0], self.sampler.framed, self.card)
        own_eps, mirrored = (noise.next(1) for noise in self._noise)
        *window, extra_sigma = self._windows((x, own_eps, mirrored, self._extra_sigma(x, ready, camera)))
        found = self.sampler.draw(window[0], window[1], window[2], extra_sigma if extra_sigma.any() else None)
        noise_sd, unit = found.noise_sd, np.float32(camera.lifter_unit(self.sampler.framed))
        own = None if found.covariance is None else found.covariance[0]
        described = ready.xy, camera, self.config, own, self.config.camera_sd(), ~ready.missing
        fields: dict[str, Any] = summarise(found.samples[:, 0], found.pose[0], *described)
        up, tilt = self.config.up(fields["pose"])
        return Prediction(
            **fields, deterministic=found.pose[0],
            point_estimate=self.config.point_estimate, fps=self.fps, num_samples=self.num_samples, seed=self.seed,
            flags=flags_of(ready, self.config.min_confidence, outside), keypoints_px=ready.xy, camera=camera,
            noise_sd_px=None if noise_sd is None else noise_sd[0] * unit,
            warnings=(*ready.warnings, *warnings_of(outside, ready.frame_numbers, self.sampler.framed), *tilt),
            model=self.card, up=up,
        )  # fmt: skip

    def _extra_sigma(self, x: Array, ready: Preprocessed, camera: Camera) -> Array:
        confidence, unit = ready.confidence, camera.lifter_unit(self.sampler.framed)
        if confidence is not None and self.config.confidence_noise is None:
            self._other_units |= bool(confidence.min() < 0 or confidence.max() > 1)
        scale = 0.0 if self._other_units else self.config.confidence_scale(confidence, self.sampler.trained)
        known = None if confidence is None else np.where(ready.missing, 1, confidence)
        return input_sigma(x, ready.sigma_px / unit, known, scale)

    def _windows(self, now: tuple[Array, Array, Array, Array]) -> list[Array]:
        """Keypoints, noise and extra sigma of the F frames around the current one."""
        self._window.extend([now] if self._window else [now] * (self._window.maxlen or 1))
        before, later = self._frames_ago, self.sampler.F - len(self._frames_ago)
        parts = zip(*(self._window[-1 - n] for n in before), *([now] * later), strict=True)
        return [np.concatenate(part, axis=axis) for part, axis in zip(parts, (1, 2, 2, 1), strict=True)]


def check_draws(num_samples: int, seed: int) -> None:
    """``ValueError`` for a number of samples or a seed that cannot be drawn from."""
    for name, value, lowest, end in (("num_samples", num_samples, 2, 2**31), ("seed", seed, 0, 2**63)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not lowest <= value < end:
            raise ValueError(f"expected {name} as an integer from {lowest} to {end - 1:,}, got {value!r:.80}")
