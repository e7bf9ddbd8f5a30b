"""What both trainings have in common: on what, how long, how fast, and where to."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from prpose.cli.arguments import constructor_arguments
from prpose.cli.console import named_device
from prpose.data import data_set, inputs_sha256
from prpose.data.windows import Windows
from prpose.evaluation import MOCAP, PROTOCOLS
from prpose.lifter import is_causal, receptive_field
from prpose.training import Recipe, Source, published_rates
from prpose.training.run import SAVE_EVERY_MINUTES
from prpose.training.sources import training_data


@dataclass(frozen=True)
class Options:
    """Options of a training.

    Args:
        out: folder of the run: config, log, checkpoint, best weights.
        lifter: htnet, mgcn_lw, modulated_gcn, graphmlp, temporal, or package.module:Class.
        lifter_args: arguments of its constructor that differ from the published ones, as JSON.
        data: cmu17, walkers, the name of a benchmark of your own, h36m or 3dhp.
        root: folder with the npz files; walkers need none.
        keypoints: which 2D: det for the simulated detector, gt for the truth, or as in the file's
            name; the data set's usual one if not given.
        every: every so many-th frame is the middle of a window.
        held_out: training subjects to validate on where the data have no validation split, with
            commas between; the last one if not given.
        epochs: passes over the data.
        batch_size: windows at once.
        schedule: cosine, or PRPose's steps: x 0.95 an epoch, x 0.5 every fifth, with AMSGrad.
        lr: largest learning rate.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights.
        precision: of the forward pass; auto is bfloat16 on GPUs that have it.
        seed: of weights, order, cameras, bodies, detector errors and dropout.
        patience: epochs without a better validation score after which to stop.
        save_every: minutes between checkpoints; there is one after every epoch, too.
        device: auto, cpu, cuda, cuda:1 ...
        resume: go on with the run in the folder.
    """

    out: Path
    lifter: str = "mgcn_lw"
    lifter_args: str | None = None
    data: str = "cmu17"
    root: Path = Path("dataset")
    keypoints: str | None = None
    every: int = 2
    held_out: str = ""
    epochs: int = 120
    batch_size: int = 256
    schedule: Literal["cosine", "published"] = "cosine"
    lr: float = 1e-3
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0
    patience: int | None = None
    save_every: float = SAVE_EVERY_MINUTES
    device: str = "auto"
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    @property
    def on(self) -> torch.device:
        """The device; ``ValueError`` if there is no such one."""
        return named_device(self.device)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the lifter's constructor."""
        return constructor_arguments(self.lifter_args)

    @property
    def recipe(self) -> Recipe:
        """How to train; ``ValueError`` for numbers that train nothing."""
        if not self.save_every >= 0:
            raise ValueError(f"expected --save-every >= 0 minutes, got {self.save_every}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"expected --patience >= 1, got {self.patience}")
        published = self.schedule == "published"
        return Recipe(
            self.epochs,
            self.batch_size,
            rates=published_rates(self.epochs, self.lr) if published else (),
            lr=self.lr,
            amsgrad=published,
            clip=self.clip,
            ema=self.ema,
            precision=self._precision,
            seed=self.seed,
        )

    def sources(self, lifter: torch.nn.Module) -> tuple[Source, Windows]:
        """Training data and validation windows, as long as the lifter wants them."""
        held_out = [word for word in self.held_out.split(",") if word]
        val_every = PROTOCOLS.get(self.data, MOCAP).every
        where = (self.data, self.root, self._keypoints)
        F, causal = receptive_field(lifter), is_causal(lifter)
        return training_data(*where, self.every, val_every, held_out, F, causal)

    def config(self, kind: str) -> dict[str, Any]:
        """What may not change when a training is resumed."""
        _ = self.recipe  # refuses what trains nothing, before there is a folder
        kept = asdict(self)
        for name in ("out", "root", "device", "resume", "save_every"):
            del kept[name]
        sha256 = inputs_sha256(self.data, self.root, self._keypoints)
        resolved = {
            "keypoints": self._keypoints,
            "precision": self._precision,
            "lifter_args": self.arguments,
        }
        return {"kind": kind, "data_sha256": sha256} | kept | resolved

    @property
    def _keypoints(self) -> str:
        return self.keypoints or data_set(self.data, self.root).default_keypoints

    @property
    def _precision(self) -> Literal["float32", "bfloat16"]:
        if self.precision != "auto":
            return self.precision
        able = self.on.type == "cuda" and torch.cuda.is_bf16_supported()
        return "bfloat16" if able else "float32"
