"""Training data that is never the same twice: motions filmed anew for every batch.

Each window gets a camera of its own, slightly other body proportions, and the detector's errors
anew, all from the seed of the epoch: the same seed gives the same batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array
from prpose.data.motion import Motion
from prpose.data.synthetic.cameras import RandomCameras
from prpose.data.synthetic.rendering import KEYPOINTS, Rig
from prpose.data.windows import Batch, offsets_of, shuffled
from prpose.skeleton import H36M_17, mirror_pose
from prpose.tables import look_up


@dataclass(frozen=True)
class Proportions:
    """Random changes of a body: of all of it, and of each pair of bones alike left and right.

    Args:
        size, bone: standard deviations of the logarithm of the factors.
    """

    size: float = 0.05
    bone: float = 0.05

    def change(self, poses_world: Array, rng: np.random.Generator) -> Array:
        """Windows (N, F, 17, 3) with a body of its own each; feet stay as high as they were."""
        N, J = len(poses_world), len(H36M_17)
        own = rng.standard_normal((N, J))
        own[:, list(H36M_17.mirror)] = np.where(
            np.arange(J) < np.array(H36M_17.mirror), own, own[:, list(H36M_17.mirror)]
        )
        factor = np.exp(self.size * rng.standard_normal((N, 1)) + self.bone * own)
        changed = np.empty_like(poses_world)
        for joint, parent in enumerate(H36M_17.parents):
            if parent < 0:
                changed[:, :, joint] = poses_world[:, :, joint]
                continue
            bone = poses_world[:, :, joint] - poses_world[:, :, parent]
            changed[:, :, joint] = changed[:, :, parent] + factor[:, None, joint, None] * bone
        ankles = H36M_17.subset(("left_ankle", "right_ankle"))
        lowest = [each[:, :, ankles, 2].min(axis=(1, 2)) for each in (poses_world, changed)]
        changed[..., 2] += (lowest[0] - lowest[1])[:, None, None]
        return changed


@dataclass
class RandomViews:
    """F-frame windows of motions, each seen by a new random camera whenever it is asked for.

    Used in training as :class:`prpose.data.windows.Windows` is, through :meth:`batches`.

    Args:
        motions: at least one.
        F: odd window length; clips' ends are repeated.
        every: windows belong to every so many-th frame.
        keypoints: ``"det"`` or ``"gt"``.
        causal: as of :class:`prpose.data.windows.Windows`.
        cameras, proportions, rig: what is drawn from.

    Raises:
        ValueError: if there is no motion, F is even, or every < 1.
    """

    motions: Sequence[Motion]
    F: int = 1
    every: int = 1
    keypoints: str = "det"
    causal: bool = False
    cameras: RandomCameras = field(default_factory=RandomCameras)
    proportions: Proportions = field(default_factory=Proportions)
    rig: Rig = field(default_factory=Rig)

    def __post_init__(self) -> None:
        if not self.motions:
            raise ValueError("expected at least one motion, got none")
        self.offsets = offsets_of(self.F, self.causal)
        if self.every < 1:
            raise ValueError(f"expected every >= 1, got {self.every}")
        look_up(self.keypoints, dict.fromkeys(KEYPOINTS), "2D")
        lengths = np.array([len(motion) for motion in self.motions])
        self.poses = np.concatenate([motion.poses_world for motion in self.motions])
        self.fps = np.array([motion.fps for motion in self.motions])
        self.starts = np.cumsum(lengths) - lengths
        self.ends = self.starts + lengths
        items = -(-lengths // self.every)
        self.clip_of = np.repeat(np.arange(len(lengths)), items)
        self.frame_of = np.concatenate([np.arange(n) * self.every for n in items])

    def __len__(self) -> int:
        return len(self.clip_of)

    def batches(
        self, batch_size: int, seed: tuple[int, ...] | None = None, start: int = 0
    ) -> Iterator[tuple[Tensor, Batch]]:
        """All items once, shuffled, as (indices, batch); half of them, at random, as mirror images.

        Args:
            batch_size: items at once.
            seed: numbers that fix order, cameras, bodies and detector errors, of each batch by
                itself; the recipe's seed and the epoch, say.
            start: batches to leave out.

        Raises:
            ValueError: if batch_size < 1, or there is no seed.
        """
        if batch_size < 1 or seed is None:
            raise ValueError(f"expected batch_size >= 1 and a seed, got {batch_size} and {seed}")
        for number, indices in enumerate(shuffled(len(self), seed).split(batch_size)):
            if number >= start:
                rng = np.random.default_rng((*seed, number))
                yield indices, self.render(indices.numpy(), rng)

    def render(self, index: Array, rng: np.random.Generator) -> Batch:
        """The items, each before a new camera.

        Args:
            index: (B,) items.
            rng: source of all randomness.
        """
        clip, frame = self.clip_of[index], self.frame_of[index]
        row = self.starts[clip] + frame
        window = row[:, None] + self.offsets
        window = np.clip(window, self.starts[clip][:, None], self.ends[clip][:, None] - 1)
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        poses_world = self.proportions.change(self.poses[window].astype(np.float64), rng)
        poses_cam, found, size = self.cameras.render(poses_world, rng)
        confidence = np.ones(found.shape[:-1])
        if self.keypoints == "det":
            hidden = self.rig.body.hidden(poses_cam)
            found, confidence = self.rig.detector.detect(found, hidden, float(self.fps[clip[0]]), rng)
        width, height = size[:, None, None, 0], size[:, None, None, 1]
        keypoints = torch.from_numpy(
            np.stack([found[..., 0] / width * 2 - 1, found[..., 1] / width * 2 - height / width], axis=-1)
        ).float()
        own = torch.from_numpy(poses_cam[:, int(np.flatnonzero(self.offsets == 0)[0])]).float()
        target = (own - own[:, :1])[:, None]
        flip = mirrored[:, None, None, None]
        keypoints = torch.where(flip, mirror_pose(keypoints, H36M_17.mirror), keypoints)
        target = torch.where(flip, mirror_pose(target, H36M_17.mirror), target)
        root = own[:, 0]
        root = torch.where(mirrored[:, None], root * root.new_tensor([-1, 1, 1]), root)
        confidence = torch.from_numpy(confidence).float()
        swapped = confidence[..., list(H36M_17.mirror)]
        confidence = torch.where(mirrored[:, None, None], swapped, confidence)
        item = torch.from_numpy(clip), torch.from_numpy(frame), mirrored
        return Batch(keypoints, target, root, *item, confidence)
