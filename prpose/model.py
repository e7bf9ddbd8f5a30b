"""Model: from a person's 2D keypoints in pixels to 3D poses in metres. The whole chain on one screen."""

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
from prpose.noise import NoiseProcess, confidence_sigma
from prpose.placement import plane_of
from prpose.postprocess import SMOOTHERS, flags_of, summarise
from prpose.prediction import Prediction
from prpose.preprocess import Preprocessed, preprocess
from prpose.sampler import Sampler
from prpose.stream import Stream, check_draws
from prpose.timing import Schedule, actual_rate, interpolate, is_uneven, schedule, seconds, to_even

FRAMES_AT_ONCE = 256
"""Frames of a clip lifted at once; bounds the memory but for the samples that are kept."""


def load(name: str | Path, device: torch.device | str = "cpu") -> "Model":
    """A trained model.

    Args:
        name: a bundled model (``prpose models`` lists them); a folder that ``prpose pack`` made; or ``owner/name`` on
            the Hugging Face hub (extra ``hub``). Bundled models and folders need no connection.
        device: to compute on.

    Raises:
        ValueError: for an unknown name, or weights that do not match the card.

    Example:
        >>> load("mgcn-cmu17")
        Model('mgcn-cmu17', lifter='mgcn_lw', F=1, device='cpu')
    """
    folder = find_model_folder(name)
    return Model(folder.sampler().to(device), folder.card)


class Model:
    """A lifter with its noise: 2D keypoints in pixels → many 3D poses in metres.

    Args:
        sampler: in eval mode.
        card: of the model, for the files that are written.

    Example:
        >>> import numpy as np
        >>> from prpose.data import load_clips
        >>> clip = load_clips("walkers", ".", "test", actions=("wave",), stride=60)[0]
        >>> model = load("mgcn-cmu17")
        >>> prediction = model(clip.keypoints_px, num_samples=5, layout="h36m17", image_size=(1000, 1002))
        >>> prediction.samples.shape, prediction.pose.shape, prediction.root.shape
        ((5, 4, 17, 3), (4, 17, 3), (4, 3))
    """

    def __init__(self, sampler: Sampler, card: Card | None = None) -> None:
        self.sampler = sampler
        self.card = card

    def __repr__(self) -> str:
        name, lifter = ("", "") if self.card is None else (self.card.name, self.card.lifter.network)
        F, device = receptive_field(self.sampler.lifter), next(self.sampler.parameters()).device
        return f"Model({name!r}, lifter={lifter!r}, F={F}, device={str(device)!r})"

    def __call__(
        self,
        keypoints: Keypoints | Array,
        num_samples: int = 50,
        seed: int = 0,
        *,
        layout: str | None = None,
        image_size: tuple[int, int] | None = None,
        fps: float | None = None,
        confidence: Array | None = None,
        intrinsics: tuple[float, float, float, float] | None = None,
        config: InferenceConfig | None = None,
    ) -> Prediction:
        """Many 3D poses for every frame of one person's keypoints.

        What preprocessing changed is warned of, and kept in ``prediction.warnings``.

        Args:
            keypoints: :class:`Keypoints`, as ``prpose.read_keypoints`` gives them; or an array (T, J, 2) or (J, 2),
                pixels, NaN where a keypoint is missing, with:
            layout: order of the joints, a key of :data:`prpose.layouts.LAYOUTS`.
            image_size: width and height, pixels.
            fps: frames per second.
            confidence: (T, J) or (J,), the detector's.
            num_samples: S >= 2.
            seed: of the noise.
            intrinsics: fx, fy, cx, cy, pixels.
            config: further settings.

        Returns:
            Camera axes, metres, relative to the pelvis, whose position is ``root``.

        Raises:
            ValueError: for wrong shapes, layouts and numbers, and for keypoints that cannot be of a person
                (:func:`prpose.preprocess.preprocess`).
        """
        described = {"layout": layout, "image_size": image_size, "fps": fps, "confidence": confidence}
        if isinstance(keypoints, Keypoints):
            given = [name for name, value in described.items() if value is not None]
            if given:
                raise ValueError(f"expected {', '.join(given)} with an array only, got Keypoints, which have their own")
        else:
            xy = np.asarray(keypoints)
            if layout is None or image_size is None:
                missing = "layout" if layout is None else "image_size"
                raise ValueError(f"expected {missing} with an array of keypoints, got none")
            single = xy.ndim == 2
            scores = None if confidence is None else np.asarray(confidence)
            scores = scores[None] if single and scores is not None else scores
            keypoints = Keypoints(xy[None] if single else xy, image_size, layout, scores, fps)
        config = config or InferenceConfig()
        if intrinsics is not None:
            config = replace(config, intrinsics=intrinsics)
        return self._predict(keypoints, num_samples, seed, config)

    @torch.no_grad()
    def _predict(self, keypoints: Keypoints, S: int, seed: int, config: InferenceConfig) -> Prediction:
        check_draws(S, seed)
        ready = preprocess(keypoints, config.max_gap, config.drop_incomplete, config.allow_implausible)
        for message in ready.warnings:
            warnings.warn(message, stacklevel=3)
        camera, parts = config.camera(*keypoints.image_size), list[dict[str, Tensor]]()
        F, trained_fps = receptive_field(self.sampler.lifter), None if self.card is None else self.card.fps
        plan = schedule(ready, keypoints.fps, config, F, trained_fps)
        deterministic = self._deterministic(keypoints, plan)
        for frames, samples in plan.resample(self._pieces(keypoints, plan, S, seed, config)):
            parts.append(summarise(samples, deterministic[frames], plane_of(ready.xy[frames], camera), config))
        whole = {
            name: torch.cat([part[name] for part in parts], dim=1 if name == "samples" else 0) for name in parts[0]
        }
        whole["pose"] = _smooth(whole["pose"], keypoints.fps, ready, config.smooth)
        fields: dict[str, Any] = {name: value.numpy() for name, value in whole.items()}
        return Prediction(
            deterministic=deterministic.numpy(),
            num_samples=S,
            point_estimate=config.point_estimate + ("" if config.smooth == "none" else f", {config.smooth}"),
            flags=flags_of(ready, config.min_confidence),
            frame_numbers=ready.frame_numbers,
            times_s=seconds(ready, keypoints.fps),
            fps=keypoints.fps,
            keypoints_px=ready.xy,
            camera=camera,
            model=self._card,
            warnings=(*ready.warnings, *_assumptions(ready, config)),
            seed=seed,
            **fields,
        )

    def stream(
        self,
        image_size: tuple[int, int],
        layout: str,
        num_samples: int = 50,
        seed: int = 0,
        fps: float | None = None,
        config: InferenceConfig | None = None,
    ) -> Stream:
        """Frame by frame: ``stream = model.stream(...)``, then ``stream(xy)`` gives each frame's prediction.

        Args:
            image_size, layout, num_samples, seed, fps, config: as of :meth:`__call__`.

        Example:
            >>> import numpy as np
            >>> from prpose.data import load_clips
            >>> clip = load_clips("walkers", ".", "test", actions=("wave",), stride=60)[0]
            >>> stream = load("mgcn-cmu17").stream((1000, 1002), "h36m17", num_samples=5, fps=1)
            >>> [stream(xy).samples.shape for xy in clip.keypoints_px[:2]]
            [(5, 1, 17, 3), (5, 1, 17, 3)]
        """
        return Stream(self.sampler, image_size, layout, num_samples, seed, fps, config, self._card)

    @property
    def _card(self) -> dict[str, Any]:
        return {} if self.card is None else asdict(self.card)

    def _normalised(self, keypoints: Keypoints, plan: Schedule) -> Tensor:
        """(1, T + F - 1, 17, 2), ends repeated."""
        xy = torch.from_numpy(normalise(plan.keypoints.xy, *keypoints.image_size)).float()[None]
        return padded(xy.to(next(self.sampler.parameters()).device), self.sampler.lifter)

    def _deterministic(self, keypoints: Keypoints, plan: Schedule) -> Tensor:
        poses = self.sampler.deterministic(self._normalised(keypoints, plan))[0].cpu()
        return poses if plan.positions is None else interpolate(poses, plan.positions)

    def _pieces(
        self, keypoints: Keypoints, plan: Schedule, S: int, seed: int, config: InferenceConfig
    ) -> Iterator[tuple[slice, Tensor]]:
        """Lifted frames and their samples (S, t, 17, 3), a piece after the other."""
        x = self._normalised(keypoints, plan)
        extra_sigma = self._extra_sigma(x, plan.keypoints, config.confidence_scale(plan.keypoints.confidence))
        F = receptive_field(self.sampler.lifter)
        generator = torch.Generator().manual_seed(seed)
        rho = plan.rho_after(own_frame(self.sampler.lifter))
        noise = NoiseProcess((S, 2, 1, *x.shape[2:]), rho, generator)
        eps = noise.next(F - 1) if F > 1 else torch.empty(S, 2, 1, 0, *x.shape[2:])
        T = len(plan.keypoints.xy)
        for start in range(0, T, FRAMES_AT_ONCE):
            frames = slice(start, min(start + FRAMES_AT_ONCE, T))
            inputs = slice(start, frames.stop + F - 1)
            eps = torch.cat([eps, noise.next(frames.stop - start)], dim=3)
            own, mirrored = eps.to(x).unbind(1)
            sigma = None if extra_sigma is None else extra_sigma[:, inputs]
            yield frames, self.sampler(x[:, inputs], own, mirrored, sigma)[:, 0].cpu()
            eps = eps[:, :, :, frames.stop - start :]

    def _extra_sigma(self, x: Tensor, keypoints: Preprocessed, scale: float) -> Tensor | None:
        """(1, T + F - 1, 17) from confidences, if there are any and they count."""
        if keypoints.confidence is None or not scale:
            return None
        confidence = torch.from_numpy(np.asarray(keypoints.confidence))[None, :, :, None]
        return confidence_sigma(x, padded(confidence, self.sampler.lifter)[..., 0].to(x), scale)


def _smooth(poses: Tensor, fps: float | None, ready: Preprocessed, method: str) -> Tensor:
    """(T, 17, 3) smoothed over time; frames at uneven times are resampled to even ones, and back."""
    if method == "none":
        return poses
    if fps is None:
        raise ValueError(f"expected fps, the frame rate, to smooth by {method}, got none")
    if ready.times_s is None or not is_uneven(ready, fps):
        return SMOOTHERS[method](poses, actual_rate(ready, fps))
    even, positions = to_even(poses, ready.times_s, fps)
    return interpolate(SMOOTHERS[method](even, fps), positions)


def _assumptions(ready: Preprocessed, config: InferenceConfig) -> list[str]:
    """Assumptions about camera and confidences that the user could replace."""
    found = []
    confidence = ready.confidence
    if confidence is not None and config.confidence_noise is None and not config.confidence_scale(confidence):
        found.append(
            f"confidences range from {confidence.min():.2f} to {confidence.max():.2f}, not from 0 to 1: "
            "they do not widen the noise"
        )
    if config.fov_deg is None and config.intrinsics is None:
        found.append(
            "no intrinsics: the focal length is assumed to be the image diagonal, and distances from the camera depend "
            "on it (--fov, --intrinsics)"
        )
    return found
