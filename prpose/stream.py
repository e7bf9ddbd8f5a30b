"""Stream: one frame in, one frame out."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array, normalise
from prpose.config import InferenceConfig
from prpose.keypoints import Keypoints
from prpose.lifter import own_frame, receptive_field
from prpose.noise import NoiseProcess, confidence_sigma
from prpose.placement import plane_of
from prpose.postprocess import flags_of, summarise
from prpose.prediction import Prediction
from prpose.preprocess import preprocess
from prpose.sampler import Sampler
from prpose.skeleton import mirror_pose


class Stream:
    """Predictions of one person, frame by frame; the noise is correlated over time as in :class:`prpose.Model`.

    A lifter with a receptive field of several frames gets the current frame in place of future ones, so that no frame
    waits, and the first frame in place of those before it, at whatever frame rate they come. Gaps cannot be
    interpolated, and nothing is smoothed.

    Args:
        sampler: in eval mode.
        image_size: width and height, pixels.
        layout: order of the joints, a key of :data:`prpose.layouts.LAYOUTS`.
        num_samples: S >= 2.
        seed: of the noise.
        fps: frames per second, for noise that is correlated over time.
        config: further settings.
        card: the model's card, for the predictions.

    Raises:
        ValueError: for fewer than two samples, or a negative seed.
    """

    def __init__(
        self,
        sampler: Sampler,
        image_size: tuple[int, int],
        layout: str,
        num_samples: int = 50,
        seed: int = 0,
        fps: float | None = None,
        config: InferenceConfig | None = None,
        card: dict[str, Any] | None = None,
    ) -> None:
        check_draws(num_samples, seed)
        self.sampler = sampler
        self.image_size = image_size
        self.layout = layout
        self.num_samples = num_samples
        self.seed = seed
        self.fps = fps
        self.config = config or InferenceConfig()
        self.card = card or {}
        generator = torch.Generator().manual_seed(seed)
        self.noise = NoiseProcess((num_samples, 2, 1, len(sampler.mirror), 2), self.config.rho(fps), generator)
        self.window: list[tuple[Tensor, Tensor]] = []
        """Past frames in the receptive field: keypoints without noise first, then the S noisy ones; and the same of
        the mirror image, (S + 1, 1, 17, 2)."""
        self.other_units = False
        """Whether a confidence outside [0, 1] was seen; then no confidence widens the noise."""

    @torch.no_grad()
    def __call__(self, xy: Array, confidence: Array | None = None) -> Prediction:
        """The prediction of the next frame.

        Args:
            xy: (J, 2) pixels, NaN where a keypoint is missing.
            confidence: (J,) of the detector.

        Returns:
            A prediction of one frame, T = 1.

        Raises:
            ValueError: as of :meth:`prpose.Model.__call__`.
        """
        scores = None if confidence is None else np.asarray(confidence)[None]
        frame = Keypoints(np.asarray(xy)[None], self.image_size, self.layout, scores, self.fps)
        ready = preprocess(frame, max_gap=0, allow_implausible=self.config.allow_implausible)
        device = next(self.sampler.parameters()).device
        keypoints = torch.from_numpy(normalise(ready.xy, *self.image_size)).float()
        extra_sigma, scale = None, self._confidence_scale(ready.confidence)
        if scale:
            known = torch.from_numpy(np.asarray(ready.confidence))
            extra_sigma = confidence_sigma(keypoints, known, scale)[None].to(device)
        x, eps = keypoints[None].to(device), self.noise.next(1).to(device)
        noisy, noisy_mirrored = self.sampler.noisy(x, eps[:, 0], eps[:, 1], extra_sigma)
        now = (
            torch.cat([x, noisy[:, 0]]),
            torch.cat([mirror_pose(x, self.sampler.mirror), noisy_mirrored[:, 0]]),
        )
        lifted = self.sampler.lift(*self._windows(now)).cpu()
        deterministic, samples = lifted[0], lifted[1:]
        camera = self.config.camera(*self.image_size)
        summary = summarise(samples, deterministic, plane_of(ready.xy, camera), self.config)
        fields: dict[str, Any] = {name: value.numpy() for name, value in summary.items()}
        return Prediction(
            deterministic=deterministic.numpy(),
            num_samples=self.num_samples,
            point_estimate=self.config.point_estimate,
            flags=flags_of(ready, self.config.min_confidence),
            fps=self.fps,
            keypoints_px=ready.xy,
            camera=camera,
            model=self.card,
            warnings=ready.warnings,
            seed=self.seed,
            **fields,
        )

    def _confidence_scale(self, confidence: Array | None) -> float:
        if confidence is not None and self.config.confidence_noise is None:
            self.other_units |= bool(confidence.min() < 0 or confidence.max() > 1)
        return 0.0 if self.other_units else self.config.confidence_scale(confidence)

    def _windows(self, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The F frames around the current one, (S + 1, F, 17, 2), and their mirror images."""
        F, own = receptive_field(self.sampler.lifter), own_frame(self.sampler.lifter)
        self.window = [*(self.window or [now] * own), now][-(own + 1) :]
        keypoints, mirrored = zip(*self.window, *([now] * (F - 1 - own)), strict=True)
        return torch.cat(keypoints, dim=1), torch.cat(mirrored, dim=1)


def check_draws(num_samples: int, seed: int) -> None:
    """``ValueError`` for a number of samples or a seed that cannot be drawn from."""
    if not 2 <= num_samples < 2**31:
        raise ValueError(f"expected num_samples >= 2, a distribution, got {num_samples}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"expected a seed from 0 to 2^63 - 1, got {seed}")
