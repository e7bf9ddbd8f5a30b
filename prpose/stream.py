"""A frame in, a frame out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array, normalise
from prpose.config import InferenceConfig
from prpose.keypoints import Keypoints
from prpose.lifter import own_frame, receptive_field
from prpose.noise import doubt
from prpose.noise_in_time import NoiseProcess
from prpose.placement import plane_of
from prpose.prediction import Prediction
from prpose.preprocess import prepare
from prpose.sampler import Sampler
from prpose.skeleton import mirror_pose
from prpose.summary import flags_of, summed_up


class Stream:
    """Poses of one person, frame by frame; the noise of a frame remembers that of the one before.

    A lifter that wants frames of the future gets the present one in their place, so that no frame
    waits; one that wants frames of the past gets the first in place of those before it. They are
    taken as they come, whatever rate the lifter learnt.

    Args:
        net: in eval mode.
        image_size: width and height, pixels.
        layout: order of the joints.
        hypotheses: S >= 2.
        seed: of the noise.
        fps: frames per second, of noise that is forgotten over time.
        how: the rest; nothing is smoothed.
        model: what the model's card says, for the poses.

    Raises:
        ValueError: for fewer than two hypotheses, and whatever else cannot be done.
    """

    def __init__(
        self,
        net: Sampler,
        image_size: tuple[int, int],
        layout: str,
        hypotheses: int,
        seed: int,
        fps: float | None,
        how: InferenceConfig,
        model: Mapping[str, Any] | None = None,
    ) -> None:
        how.check(hypotheses, seed)
        self.net = net
        self.image_size = image_size
        self.layout = layout
        self.S = hypotheses
        self.fps = fps
        self.how = how
        self.model = model or {}
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self.noise = NoiseProcess((hypotheses, 2, 1, len(net.mirror), 2), how.keep(fps), generator)
        self.past: list[tuple[Tensor, Tensor]] = []
        """Of the frames that the lifter still wants: keypoints, without noise first, then S times
        with it, and the same of the mirror image, (S + 1, 1, 17, 2)."""
        self.own_units = False
        """Whether a confidence was beyond [0, 1]; then those of other frames say nothing."""

    @torch.no_grad()
    def step(self, keypoints_px: Array, score: Array | None = None) -> Prediction:
        """The poses of one frame.

        Args:
            keypoints_px: (J, 2) pixels, NaN where a joint was not seen.
            score: (J,) confidences.

        Raises:
            ValueError: as of :meth:`prpose.model.Model.predict`.
        """
        pixels = np.asarray(keypoints_px, dtype=np.float32)[None]
        scores = None if score is None else np.asarray(score, dtype=np.float32)[None]
        track = Keypoints(pixels, *self.image_size, layout=self.layout, fps=self.fps, score=scores)
        ready = prepare(track, max_gap=0, as_is=self.how.as_is)
        device = next(self.net.parameters()).device
        keypoints = torch.from_numpy(normalise(ready.keypoints_px, *self.image_size)).float()
        more, scale = None, self._confidence_noise(ready.score)
        if scale:
            worth = torch.from_numpy(np.asarray(ready.score, dtype=np.float32))
            more = doubt(keypoints, worth, scale)[None].to(device)
        x, eps = keypoints[None].to(device), self.noise.next(1).to(device)
        own, mirrored = self.net.noisy(x, eps[:, 0], eps[:, 1], more)
        now = (
            torch.cat([x, own[:, 0]]),
            torch.cat([mirror_pose(x, self.net.mirror), mirrored[:, 0]]),
        )
        lifted = self.net.lift(*self._window(now)).cpu()
        single, poses = lifted[0], lifted[1:]
        camera = self.how.camera(*self.image_size)
        found = summed_up(poses, single, plane_of(ready.keypoints_px, camera), self.how)
        known: dict[str, Any] = {name: value.numpy() for name, value in found.items()}
        return Prediction(
            single=single.numpy(),
            S=self.S,
            aggregated_by=self.how.choice,
            flags=flags_of(ready, self.how.low_confidence),
            fps=self.fps,
            keypoints_px=ready.keypoints_px,
            camera=camera,
            model=self.model,
            seed=self.seed,
            **known,
        )

    def _confidence_noise(self, score: Array | None) -> float:
        if score is not None and self.how.confidence_noise is None:
            self.own_units |= bool(score.min() < 0 or score.max() > 1)
        return 0.0 if self.own_units else self.how.confidence_noise_of(score)

    def _window(self, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Both of the F frames around now, (S + 1, F, 17, 2)."""
        F, own = receptive_field(self.net.lifter), own_frame(self.net.lifter)
        self.past = [*(self.past or [now] * own), now][-(own + 1) :]
        keypoints, mirrored = zip(*self.past, *([now] * (F - 1 - own)), strict=True)
        return torch.cat(keypoints, dim=1), torch.cat(mirrored, dim=1)
