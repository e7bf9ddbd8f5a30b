"""Pixels to metres: the whole chain on one screen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from prpose.camera import Array, normalise
from prpose.data.arrays import coordinates
from prpose.hypotheses import HypothesisLifter
from prpose.lifter import padded
from prpose.models import find_model
from prpose.skeleton import H36M_17


@dataclass(frozen=True, eq=False)
class Prediction:
    """Many 3D poses for each frame of a track: camera axes, metres, pelvis at 0.

    Args:
        hypotheses: (S, T, 17, 3) float32.
        single: (T, 17, 3) float32, the lifter's own answer, without noise.
    """

    hypotheses: Array
    single: Array

    @property
    def mean(self) -> Array:
        """(T, 17, 3) mean of the hypotheses, joint by joint."""
        return np.asarray(self.hypotheses.mean(axis=0))

    @property
    def spread(self) -> Array:
        """(T, 17, 3) standard deviation over the hypotheses."""
        return np.asarray(self.hypotheses.std(axis=0))

    @property
    def covariance(self) -> Array:
        """(T, 17, 3, 3) covariance of each joint over the hypotheses, square metres; S >= 2."""
        away = self.hypotheses - self.mean
        products = np.einsum("stji,stjk->tjik", away, away)
        return np.asarray(products / max(1, len(self.hypotheses) - 1))


class Predictor:
    """A lifter and its noise, for tracks in pixels.

    Args:
        net: in eval mode.

    Example:
        >>> import numpy as np
        >>> from prpose.data.walkers import load
        >>> from prpose.data.release_files import Selection
        >>> clip = load(".", "test", Selection(("wave",), stride=60))[0]
        >>> predictor = Predictor.load("mgcn-cmu17")
        >>> prediction = predictor.predict(clip.keypoints_px, 1000, 1002, S=5)
        >>> prediction.hypotheses.shape, prediction.single.shape
        ((5, 4, 17, 3), (4, 17, 3))
    """

    def __init__(self, net: HypothesisLifter) -> None:
        self.net = net

    @classmethod
    def load(cls, name: str | Path, device: torch.device | str = "cpu") -> "Predictor":
        """A trained model; those that come with prpose need no connection.

        Args:
            name: of such a model ("prpose models" lists them); a folder that "prpose pack" made;
                or ``owner/name`` on the Hugging Face hub (extra ``hub``).
            device: to compute on.

        Raises:
            ValueError: for an unknown name, or weights that are not those of the card.
        """
        return cls(find_model(name).hypothesis_lifter().to(device))

    @torch.no_grad()
    def predict(
        self, keypoints_px: Array, width: int, height: int, S: int = 50, seed: int = 0
    ) -> Prediction:
        """S hypotheses for each frame of one person's track.

        Args:
            keypoints_px: (T, 17, 2) pixels, Human3.6M-17.
            width, height: of the image.
            S: number of hypotheses.
            seed: of the noise.

        Raises:
            ValueError: for another shape, values that are not finite, or S < 1.
        """
        pixels = coordinates(keypoints_px, len(H36M_17), 2, "track", "2D")
        device = next(self.net.parameters()).device
        keypoints = torch.from_numpy(normalise(pixels, width, height)).float()[None].to(device)
        keypoints = padded(keypoints, self.net.lifter)
        generator = torch.Generator().manual_seed(seed)
        poses = self.net.sample(keypoints, S, generator)
        single = self.net.single(keypoints)
        return Prediction(poses[:, 0].cpu().numpy(), single[0].cpu().numpy())
