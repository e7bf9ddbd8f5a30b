"""One person's track to one file of poses, as the user wants it."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import prpose
from prpose.cli.device import named_device
from prpose.poses import Poses
from prpose.prediction.how import How
from prpose.predictor import Predictor
from prpose.tracks import Track
from prpose.write_poses import write_poses


@dataclass(frozen=True)
class Lifting:
    """What "prpose predict" does with every track.

    Args:
        how, model, hypotheses, seed, device, format, overwrite: as of the command.
    """

    how: How
    model: str
    hypotheses: int
    seed: int
    device: str
    format: str | None
    overwrite: bool

    @cached_property
    def predictor(self) -> Predictor:
        """Loaded once, when it is first needed."""
        return Predictor.load(self.model, named_device(self.device))

    def lift(self, track: Track, out: Path, command: str) -> tuple[Poses, tuple[str, ...]]:
        """Writes the poses of a track; returns them, and what there is to say of them.

        Raises:
            ValueError: as of predicting and of writing.
        """
        poses, messages = self.predictor.predict_track(track, self.hypotheses, self.seed, self.how)
        poses = replace(poses, command=command, made_by=f"prpose {prpose.__version__}")
        write_poses(poses, out, self.format, overwrite=self.overwrite)
        return poses, (*messages, *self.how.notes(poses.camera))
