"""What ``evaluate`` and ``compare`` have in common: which networks, on what, from which seed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
import tyro
from torch import nn

from prpose.atomic import check_output
from prpose.camera import Array
from prpose.cli.arguments import constructor_arguments
from prpose.cli.console import named_device
from prpose.data import Clip
from prpose.data.windows import Windows
from prpose.evaluation import Draw, seeded_draw
from prpose.hub import ROLES, find_model_folder
from prpose.lifter import is_causal, receptive_field
from prpose.noise import AdaptiveNoise, noise_rho, variance_net_of
from prpose.regions import limits_of
from prpose.weights import VARIANCE_PREFIX, load_published

DEFAULT_FPS = 50.0
"""Of clips that do not say: Human3.6M's."""


class Networks(NamedTuple):
    """What is scored."""

    lifter: nn.Module
    noise: AdaptiveNoise
    sha256: dict[str, str]
    limits: Array | None = None
    """Of the 95 % regions, as of :func:`prpose.regions.limits_of`, if they are known."""


@dataclass(frozen=True)
class Scored:
    """Options of a scoring.

    Args:
        model: one that prpose brings ("prpose models" lists them), a folder that "prpose pack"
            made, or owner/name on the Hugging Face hub; or instead of it:
        lifter: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, or package.module:Class, with
        lifter_weights: the lifter's checkpoint (.pth or .safetensors), and
        noise_weights: its variance net's checkpoint.
        noise: the lifter whose variance net that is, if another one's.
        lifter_args: arguments of the lifter's constructor that differ from the published ones, as
            JSON.
        root: folder with the npz files; walkers need none.
        split: test, val or train.
        alpha: scale of the noise; if not given, the model's, or the data set's published one.
        floor: least relative width of the noise; if not given, the model's, or the published 1.
        confidence_noise: how much low confidences of the keypoints widen the noise; 0 is not at
            all.
        noise_correlation: within the frames that a pose is made of: noise drawn anew for each
            (independent), once for all of them (shared), or forgotten slowly (ar1).
        time_constant: of ar1, seconds.
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
    noise: str | None = None
    lifter_args: str | None = None
    root: Path = Path("dataset")
    split: str = "test"
    alpha: float | None = None
    floor: float | None = None
    confidence_noise: float = 0.0
    noise_correlation: Literal["iid", "shared", "ar1"] = "ar1"
    time_constant: float = 0.25
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
        if not 0 <= self.confidence_noise < float("inf"):
            raise ValueError(f"expected --confidence-noise >= 0, got {self.confidence_noise}")
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
            (self.lifter, self.lifter_weights, self.noise_weights, self.noise, self.lifter_args) == (None,) * 5
        ):
            model = find_model_folder(self.model)
            sha256 = {role: getattr(model.card, role).sha256 for role in ROLES}
            lifter, variance_net = model.networks()
            noise = self._noise(variance_net, model.card.alpha, model.card.floor)
            own = (noise.alpha, noise.floor) == (model.card.alpha, model.card.floor)
            limits = limits_of({"limits_95": model.card.limits_95}) if own else None
            return Networks(lifter, noise, sha256, limits)
        if self.model or self.lifter is None or not (self.lifter_weights and self.noise_weights):
            raise ValueError("expected --model, or else all of --lifter, --lifter-weights and --noise-weights")
        files = {"lifter": self.lifter_weights, "noise": self.noise_weights}
        kw = constructor_arguments(self.lifter_args)
        lifter = load_published(self.lifter, self.lifter_weights, **kw)
        net = load_published(VARIANCE_PREFIX + (self.noise or variance_net_of(self.lifter)), self.noise_weights)
        sha256 = {k: hashlib.sha256(path.read_bytes()).hexdigest() for k, path in files.items()}
        return Networks(lifter, self._noise(net, published_alpha, 1.0), sha256)

    def windows(self, clips: Sequence[Clip], lifter: nn.Module, every: int) -> Windows:
        """Of the frames that are scored, as long as the lifter wants them."""
        F, causal = receptive_field(lifter), is_causal(lifter)
        return Windows(clips, F, every=self.stride * every, causal=causal)

    def draw(self, clips: Sequence[Clip], S: int) -> Draw:
        """The noise of S hypotheses; ``ValueError`` as of :func:`prpose.noise.noise_rho`."""
        fps = clips[0].fps or DEFAULT_FPS
        return seeded_draw(self.seed, S, noise_rho(self.noise_correlation, fps, self.time_constant))

    def _noise(self, net: nn.Module, alpha: float, floor: float) -> AdaptiveNoise:
        """The user's numbers, or else these."""
        return AdaptiveNoise(
            net,
            alpha if self.alpha is None else self.alpha,
            floor if self.floor is None else self.floor,
        )
