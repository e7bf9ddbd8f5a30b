"""One person's track to one file of poses, as the user wants it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import prpose
from prpose.cli.device import named_device
from prpose.config import InferenceConfig
from prpose.io.export import write_prediction
from prpose.keypoints import Keypoints
from prpose.model import Model
from prpose.prediction import Prediction


@dataclass(frozen=True)
class Lifting:
    """What "prpose predict" does with every track.

    Args:
        how, model, hypotheses, seed, device, format, overwrite: as of the command.
    """

    how: InferenceConfig
    model: str
    hypotheses: int
    seed: int
    device: str
    format: str | None
    overwrite: bool

    @cached_property
    def predictor(self) -> Model:
        """Loaded once, when it is first needed."""
        return Model.load(self.model, named_device(self.device))

    def lift(self, track: Keypoints, out: Path, command: str) -> tuple[Prediction, tuple[str, ...]]:
        """Writes the poses of a track; returns them, and what there is to say of them.

        Raises:
            ValueError: as of predicting and of writing.
        """
        poses, messages = self.predictor.predict_track(track, self.samples, self.seed, self.how)
        poses = replace(poses, command=command, created_by=f"prpose {prpose.__version__}")
        write_prediction(poses, out, self.format, overwrite=self.overwrite)
        return poses, (*messages, *self.how.warnings(poses.camera))
