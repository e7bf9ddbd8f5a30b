"""What a model asks of its networks: NumPy arrays in, NumPy arrays out, whatever computes them."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from prpose.camera import Array
from prpose.rng import confidence_sigma


class Drawn(NamedTuple):
    """Samples of poses, and what is known without them; all are float32."""

    samples: Array  # (S, B, T', J, 3) metres
    pose: Array  # (B, T', J, 3), deterministic
    covariance: Array | None  # (B, T', J, 3, 3) in closed form, NaN for poses that have further noise
    noise_sd: Array | None  # (B, T', J, 2) of the noise on the keypoints, where there is a noise net


class Engine(Protocol):
    """A lifter with its noise: :class:`prpose.Sampler`, by PyTorch, or :class:`prpose.onnx.OnnxSampler`."""

    F: int  # the receptive field, frames
    own_frame: int  # index, among its F frames, of the frame whose pose it is
    framed: bool  # whether keypoints are in units of the focal length, not of half the image width
    one_pass: bool  # whether the samples are of a distribution, so that eps_mirrored counts only with extra_sigma
    trained: bool  # whether the samples were trained to be distributed as the truth, so that nothing should widen them
    noise_channels: int  # C, the numbers of noise per joint and frame

    @property
    def device(self) -> Any:
        """The device of the networks."""

    def draw(
        self, keypoints: Array, eps: Array, eps_mirrored: Array, extra_sigma: Array | None = None, first: int = 0
    ) -> Drawn:
        """Samples for normalised keypoints (B, T, J, 2), noise (S, B, T, J, C) and further sigma (B, T, J).

        ``first`` is the number of the first sample, if these are some of many: components of a mixture take turns.
        """


def noisy_poses(extra_sigma: Array, F: int) -> Array:
    """Whether any of the F frames that a pose depends on has further noise, (B, T, J) → (B, T - F + 1) bool."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(extra_sigma.any(-1), F, axis=1).any(-1))


def input_sigma(x: Array, missing: Array, confidence: Array | None, scale: float) -> Array:
    """Further standard deviation of keypoints x (1, T, 17, 2), of missing ones and of low confidence, (1, T, 17).

    That of the missing ones, 0 elsewhere, and the confidences are (T, 17); ``scale`` is the confidence noise's.
    """
    sigma = missing[None].astype(np.float32)
    if confidence is None or not scale:
        return sigma
    return np.hypot(sigma, confidence_sigma(x, confidence[None], scale)).astype(np.float32)
