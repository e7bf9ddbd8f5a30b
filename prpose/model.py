"""Pixels to metres: the whole chain on one screen."""

import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array, normalise
from prpose.config import InferenceConfig
from prpose.hub import Card, find_model_folder
from prpose.keypoints import Keypoints
from prpose.lifter import own_frame, padded, receptive_field
from prpose.noise import doubt
from prpose.noise_in_time import NoiseProcess
from prpose.placement import plane_of
from prpose.prediction import Prediction
from prpose.preprocess import Prepared, prepare
from prpose.sampler import Sampler
from prpose.smooth import SMOOTHERS
from prpose.stream import Stream
from prpose.summary import flags_of, summed_up
from prpose.timing import (
    Timing,
    evened,
    interpolated,
    is_uneven,
    own_rate,
    seconds,
    timing,
)

FRAMES_AT_ONCE = 256
"""Of a track; bounds the memory however long it is, but for the hypotheses that are kept."""


class Model:
    """A lifter and its noise, for people in pixels.

    Args:
        net: in eval mode.
        card: of the model, for the files that are written.

    Example:
        >>> from prpose.data import load_clips
        >>> clip = load_clips("walkers", ".", "test", actions=("wave",), stride=60)[0]
        >>> predictor = Model.load("mgcn-cmu17")
        >>> poses = predictor.predict(clip.keypoints_px, (1000, 1002), hypotheses=5)
        >>> poses.hypotheses.shape, poses.aggregate.shape, poses.root_cam.shape
        ((5, 4, 17, 3), (4, 17, 3), (4, 3))
    """

    def __init__(self, net: Sampler, card: Card | None = None) -> None:
        self.net = net
        self.card = card

    @classmethod
    def load(cls, name: str | Path, device: torch.device | str = "cpu") -> "Model":
        """A trained model; those that come with prpose need no connection.

        Args:
            name: of such a model ("prpose models" lists them); a folder that "prpose pack" made;
                or ``owner/name`` on the Hugging Face hub (extra ``hub``).
            device: to compute on.

        Raises:
            ValueError: for an unknown name, or weights that are not those of the card.
        """
        model = find_model_folder(name)
        return cls(model.sampler().to(device), model.card)

    def predict(
        self,
        keypoints_px: Array,
        image_size: tuple[int, int],
        layout: str = "h36m17",
        hypotheses: int = 50,
        seed: int = 0,
        *,
        score: Array | None = None,
        fps: float | None = None,
        how: InferenceConfig | None = None,
    ) -> Prediction:
        """Many 3D poses for each frame of one person's keypoints.

        What was mended, and what looks wrong, is warned of.

        Args:
            keypoints_px: (T, J, 2) pixels; NaN where a joint was not seen.
            image_size: width and height, pixels.
            layout: order of the joints, a key of :data:`prpose.layouts.LAYOUTS`.
            hypotheses: S >= 2.
            seed: of the noise.
            score: (T, J) confidences.
            fps: frames per second.
            how: the rest.

        Returns:
            Camera axes, metres, relative to the pelvis, whose place is ``root_cam``.

        Raises:
            ValueError: for wrong shapes, layouts and numbers, and as of
                :func:`prpose.preprocess.prepare`.
        """
        pixels = np.asarray(keypoints_px, dtype=np.float32)
        track = Keypoints(pixels, *image_size, layout=layout, fps=fps, score=score)
        poses, messages = self.predict_track(track, hypotheses, seed, how or InferenceConfig())
        for message in messages:
            warnings.warn(message, stacklevel=2)
        return poses

    @torch.no_grad()
    def predict_track(
        self, track: Keypoints, hypotheses: int, seed: int, how: InferenceConfig
    ) -> tuple[Prediction, tuple[str, ...]]:
        """As :meth:`predict`, of a track; with what was mended, and what looks wrong."""
        how.check(hypotheses, seed)
        ready = prepare(track, how.max_gap, how.skip_unseen, how.as_is)
        camera, parts = how.camera(track.width, track.height), list[dict[str, Tensor]]()
        ready = replace(ready, messages=(*ready.messages, *how.said_of_confidences(ready.score)))
        when = timing(ready, track.fps, how, receptive_field(self.net.lifter), self._learnt_fps)
        single = self._single(track, when)
        for frames, poses in when.sampled(self._pieces(track, when, hypotheses, seed, how)):
            plane = plane_of(ready.keypoints_px[frames], camera)
            parts.append(summed_up(poses, single[frames], plane, how))
        whole = {name: torch.cat([p[name] for p in parts], dim=1 if name == "hypotheses" else 0) for name in parts[0]}
        chosen = self._smooth(whole["aggregate"], track, ready, how)
        known: dict[str, Any] = {name: value.numpy() for name, value in whole.items()}
        known |= {"aggregate": chosen.numpy(), "single": single.numpy()}
        poses_of = Prediction(
            S=hypotheses,
            aggregated_by=how.choice if how.smooth == "none" else f"{how.choice}, {how.smooth}",
            flags=flags_of(ready, how.low_confidence),
            frame_numbers=ready.frames,
            notes=ready.messages,
            times_s=seconds(ready, track.fps),
            fps=track.fps,
            keypoints_px=ready.keypoints_px,
            camera=camera,
            model=self._said,
            seed=seed,
            **known,
        )
        return poses_of, ready.messages

    def stream(
        self,
        image_size: tuple[int, int],
        layout: str = "h36m17",
        hypotheses: int = 50,
        seed: int = 0,
        fps: float | None = None,
        how: InferenceConfig | None = None,
    ) -> Stream:
        """A frame in, a frame out, for people who are watched live.

        Args:
            image_size, layout, hypotheses, seed, fps, how: as of :meth:`predict`; gaps cannot be
                filled in, and nothing is smoothed.
        """
        return Stream(
            self.net,
            image_size,
            layout,
            hypotheses,
            seed,
            fps,
            how or InferenceConfig(),
            self._said,
        )

    def _keypoints(self, track: Keypoints, ready: Prepared) -> Tensor:
        pixels = normalise(ready.keypoints_px, track.width, track.height)
        device = next(self.net.parameters()).device
        return padded(torch.from_numpy(pixels).float()[None].to(device), self.net.lifter)

    @property
    def _said(self) -> dict[str, Any]:
        """What the card says."""
        return {} if self.card is None else asdict(self.card)

    @property
    def _learnt_fps(self) -> float | None:
        return None if self.card is None else self.card.fps

    def _smooth(self, poses: Tensor, track: Keypoints, ready: Prepared, how: InferenceConfig) -> Tensor:
        """(T, 17, 3) smoothed; frames at uneven times are evened out for it, and put back."""
        smoother, fps = SMOOTHERS[how.smooth], track.fps
        if how.smooth == "none":
            return poses
        if fps is None:
            raise ValueError("expected frames per second, to smooth by; got none")
        if ready.times_s is None or not is_uneven(ready, fps):
            return smoother(poses, own_rate(ready, fps))
        even, positions = evened(poses, ready.times_s, fps)
        return interpolated(smoother(even, fps), positions)

    def _single(self, track: Keypoints, when: Timing) -> Tensor:
        poses = self.net.single(self._keypoints(track, when.ready))[0].cpu()
        return poses if when.positions is None else interpolated(poses, when.positions)

    def _pieces(
        self, track: Keypoints, when: Timing, S: int, seed: int, how: InferenceConfig
    ) -> Iterator[tuple[slice, Tensor]]:
        """Frames that are lifted, and their hypotheses (S, t, 17, 3), a few after the other."""
        ready = when.ready
        keypoints = self._keypoints(track, ready)
        more = self._doubt(keypoints, ready, how.confidence_noise_of(ready.score))
        F = receptive_field(self.net.lifter)
        generator = torch.Generator().manual_seed(seed)
        before = own_frame(self.net.lifter)  # frames that stand for those before the first
        noise = NoiseProcess((S, 2, 1, *keypoints.shape[2:]), when.keep_after(before), generator)
        eps = noise.next(F - 1) if F > 1 else torch.empty(S, 2, 1, 0, *keypoints.shape[2:])
        T = len(ready.keypoints_px)
        for start in range(0, T, FRAMES_AT_ONCE):
            frames = slice(start, min(start + FRAMES_AT_ONCE, T))
            inputs = slice(start, frames.stop + F - 1)
            eps = torch.cat([eps, noise.next(frames.stop - start)], dim=3)
            own, mirrored = eps.to(keypoints).unbind(1)
            here = None if more is None else more[:, inputs]
            yield frames, self.net(keypoints[:, inputs], own, mirrored, here)[:, 0].cpu()
            eps = eps[:, :, :, frames.stop - start :]

    def _doubt(self, keypoints: Tensor, ready: Prepared, scale: float) -> Tensor | None:
        """(1, T + F - 1, 17), if there are confidences and they count."""
        if ready.score is None or not scale:
            return None
        score = torch.from_numpy(np.asarray(ready.score, dtype=np.float32))[None, :, :, None]
        score = padded(score, self.net.lifter)[..., 0].to(keypoints)
        return doubt(keypoints, score, scale)
