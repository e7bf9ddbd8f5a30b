"""Clips as a torch data set: F-frame windows of normalised keypoints, and their mirror images.

A window belongs to its middle frame or, if causal, to its last.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from prpose.data.clip import Clip
from prpose.skeleton import H36M_17, mirror_pose


class Batch(NamedTuple):
    """Windows, with the pose of the frame that each belongs to."""

    keypoints: Tensor  # (B, F, J, 2) normalised, or in units of the focal length
    target: Tensor  # (B, 1, J, 3) metres, camera axes, relative to the pelvis
    root: Tensor  # (B, 3) metres, camera axes: position of the pelvis
    clip: Tensor  # (B,) index into the clips
    frame: Tensor  # (B,) index into the clip
    mirrored: Tensor  # (B,) bool: whether the item is a mirror image
    confidence: Tensor  # (B, F, J) of the keypoints, in [0, 1]; 1 where it is not known

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device."""
        return Batch(*(value.to(device) for value in self))

    def mirror(self, mirror: Sequence[int]) -> "Batch":
        """The batch with the mirror images of the items that are ``mirrored``; ``mirror`` is the skeleton's."""
        rows = self.mirrored.nonzero()[:, 0]
        if not len(rows):
            return self
        keypoints, target = (mirror_pose(value[rows], mirror) for value in (self.keypoints, self.target))
        return self._replace(
            keypoints=self.keypoints.index_copy(0, rows, keypoints),
            target=self.target.index_copy(0, rows, target),
            root=self.root.index_copy(0, rows, self.root[rows] * self.root.new_tensor([-1, 1, 1])),
            confidence=self.confidence.index_copy(0, rows, self.confidence[rows][..., list(mirror)]),
        )


class Items:
    """One item for every so many-th frame of each clip, with the F frames of its window; clips are repeated."""

    def __init__(self, lengths: Sequence[int], F: int, every: int, causal: bool, copies: int = 1) -> None:
        if not lengths or every < 1:
            raise ValueError(f"expected at least one clip and every >= 1, got {len(lengths)} clips and every = {every}")
        if F < 1 or F % 2 == 0:
            raise ValueError(f"expected an odd window length, got {F}")
        self.middle = F - 1 if causal else F // 2
        self.offsets = torch.arange(F) - self.middle
        T = torch.tensor(lengths)
        self.starts, self.ends = T.cumsum(0) - T, T.cumsum(0)
        items = (T + every - 1) // every
        firsts = (items.cumsum(0) - items) * copies
        self.clip_of = torch.arange(len(T)).repeat_interleave(items * copies)
        within = torch.arange(len(self.clip_of)) - firsts[self.clip_of]
        self.copy_of = within // items[self.clip_of]
        self.frame_of = within % items[self.clip_of] * every

    def window(self, index: Tensor) -> Tensor:
        """Frames of items (B,), counted over all clips, (B, F)."""
        clip = self.clip_of[index]
        frames = (self.starts[clip] + self.frame_of[index])[:, None] + self.offsets
        return frames.clamp(self.starts[clip][:, None], self.ends[clip][:, None] - 1)


class Windows(Dataset[Batch]):
    """All F-frame windows of some clips, one for each frame; the ends of clips are repeated.

    Items are in the order of the clips and their frames; with ``mirrored``, each clip is followed by its mirror
    image. Indexing with a tensor gives a batch.

    Args:
        clips: at least one.
        F: odd window length.
        mirrored: whether mirror images are items as well (for training).
        every: windows belong to every so many-th frame of each clip; their frames stay neighbours.
        causal: whether a window belongs to its last frame instead of its middle one.
        framed: whether keypoints are in units of the focal length (:meth:`prpose.camera.Camera.plane`), not normalised.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        F: int = 1,
        mirrored: bool = False,
        every: int = 1,
        causal: bool = False,
        framed: bool = False,
    ) -> None:
        self.items = Items([len(clip) for clip in clips], F, every, causal, copies=2 if mirrored else 1)
        self.clips, self.mirror = tuple(clips), H36M_17.mirror
        self.clip_of, self.frame_of = self.items.clip_of, self.items.frame_of
        self.is_mirrored = self.items.copy_of == 1
        poses = torch.from_numpy(np.concatenate([clip.poses_cam for clip in clips]))
        self.roots = poses[:, 0].clone()
        self.targets = poses.sub_(self.roots[:, None])
        keypoints = [torch.from_numpy(clip.camera.lifter_input(clip.keypoints_px, framed)).to(poses) for clip in clips]
        self.keypoints = torch.cat(keypoints)
        one = np.ones(1, np.float32)
        known = [
            np.broadcast_to(one, c.keypoints_px.shape[:2]) if c.confidence is None else c.confidence for c in clips
        ]
        self.confidence = torch.from_numpy(np.concatenate(known)).to(poses)

    def __len__(self) -> int:
        return len(self.clip_of)

    @property
    def hidden(self) -> Tensor | None:
        """(N, J) bool, joints that the person's own body occludes in each item's own frame, if all clips know it."""
        parts = [clip.hidden for clip in self.clips if clip.hidden is not None]
        if len(parts) < len(self.clips):
            return None
        hidden = torch.from_numpy(np.concatenate(parts))[self.items.starts[self.clip_of] + self.frame_of]
        return torch.where(self.is_mirrored[:, None], hidden[:, list(self.mirror)], hidden)

    def __getitem__(self, index: int | Tensor) -> Batch:
        items = torch.atleast_1d(torch.as_tensor(index))
        clip, frame, mirrored = self.clip_of[items], self.frame_of[items], self.is_mirrored[items]
        window, row = self.items.window(items), self.items.starts[clip] + frame
        target, root = self.targets[row][:, None], self.roots[row]
        batch = Batch(self.keypoints[window], target, root, clip, frame, mirrored, self.confidence[window])
        return batch.mirror(self.mirror)

    def batches(
        self, batch_size: int, seed: tuple[int, ...] | None = None, start: int = 0
    ) -> Iterator[tuple[Tensor, Batch]]:
        """All items once as (indices, batch), shuffled by ``seed`` if there is one, without the first ``start``."""
        order = torch.arange(len(self)) if seed is None else shuffled(len(self), seed)
        for indices in order.split(batch_size)[start:]:
            yield indices, self[indices]

    @torch.no_grad()
    def values(
        self,
        function: Callable[[Batch], Tensor],
        device: torch.device | str = "cpu",
        batch_size: int = 512,
        on_batch: Callable[[int], None] = lambda items: None,
    ) -> Tensor:
        """Values of all items, (N, ...) on the CPU, by a function of batches on the device, (B, ...)."""
        parts = []
        for indices, batch in self.batches(batch_size):
            parts.append(function(batch.to(device)).cpu())
            on_batch(len(indices))
        return torch.cat(parts)


def shuffled(N: int, seed: tuple[int, ...]) -> Tensor:
    """A permutation of N items that depends on the seed alone, (N,)."""
    return torch.from_numpy(np.random.default_rng(seed).permutation(N))
