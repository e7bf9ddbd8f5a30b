"""What ``evaluate`` and ``compare`` have in common: which networks, on what, from which seed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import tyro
from torch import nn

from prpose.atomic import check_output
from prpose.cli.device import named_device
from prpose.models import ROLES, find_model
from prpose.weights import VARIANCE_PREFIX, load_published


class Networks(NamedTuple):
    """What is scored."""

    lifter: nn.Module
    noise: nn.Module
    alpha: float
    sha256: dict[str, str]


@dataclass(frozen=True)
class Scored:
    """Options of a scoring.

    Args:
        model: one that prpose brings ("prpose models" lists them), a folder that "prpose pack"
            made, or owner/name on the Hugging Face hub; or instead of it:
        lifter: htnet or mgcn_lw, with
        lifter_weights: the lifter's checkpoint (.pth or .safetensors), and
        noise_weights: its variance net's checkpoint.
        root: folder with the npz files; walkers need none.
        split: test, val or train.
        alpha: scale of the noise; if not given, the model's, or the data set's published one.
        seed: of the noise.
        stride: every stride-th of the frames that are usually scored.
        batch_size: frames at once; noise is drawn per batch, so it is part of the seed.
        device: auto, cpu, cuda, cuda:1 ...
        json: file for every number and setting.
        overwrite: replace the json file if it exists.
    """

    model: str | None = None
    lifter: str | None = None
    lifter_weights: Path | None = None
    noise_weights: Path | None = None
    root: Path = Path("dataset")
    split: str = "test"
    alpha: float | None = None
    seed: int = 0
    stride: int = 1
    batch_size: int = 64
    device: str = "auto"
    json: Path | None = None
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    def check(self) -> None:
        """``ValueError`` for what can be seen to fail before any work is done."""
        for flag, value in (("stride", self.stride), ("batch-size", self.batch_size)):
            if not 1 <= value < 2**31:
                raise ValueError(f"expected --{flag} from 1 to 2^31 - 1, got {value}")
        if self.json is not None:
            check_output(self.json, self.overwrite)

    @property
    def on(self) -> torch.device:
        """The device; ``ValueError`` if there is no such one."""
        return named_device(self.device)

    def networks(self, published_alpha: float) -> Networks:
        """Networks of a card, or of two files.

        Args:
            published_alpha: of the data set, if neither the user nor a card says.

        Raises:
            ValueError: if neither a card nor two files are named, or both.
        """
        if self.model is not None and (
            (self.lifter, self.lifter_weights, self.noise_weights) == (None,) * 3
        ):
            model = find_model(self.model)
            alpha = model.card.alpha if self.alpha is None else self.alpha
            sha256 = {role: getattr(model.card, role).sha256 for role in ROLES}
            return Networks(*model.networks(), alpha, sha256)
        if self.model or self.lifter is None or not (self.lifter_weights and self.noise_weights):
            raise ValueError(
                "expected --model, or else all of --lifter, --lifter-weights and --noise-weights"
            )
        files = {"lifter": self.lifter_weights, "noise": self.noise_weights}
        return Networks(
            load_published(self.lifter, self.lifter_weights),
            load_published(VARIANCE_PREFIX + self.lifter, self.noise_weights),
            published_alpha if self.alpha is None else self.alpha,
            {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
        )
