"""Training data that never repeats: motions rendered anew for every batch.

Each window gets its own camera, slightly other body proportions, and new detector noise, all of them from
the seed of the epoch: the same seed gives the same batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prpose.camera import Array, distort, look_at
from prpose.data.human36m import cameras
from prpose.data.motion import Motion
from prpose.data.synthetic import KEYPOINTS, STEEPEST, Rig
from prpose.data.windows import Batch, Items, shuffled
from prpose.skeleton import H36M_17
from prpose.tables import look_up


@dataclass(frozen=True)
class RandomCameras:
    """A camera per window, like Human3.6M's but anywhere around the person."""

    distance_m: tuple[float, float] = (3.5, 9.0)  # range, uniform
    height_m: tuple[float, float] = (1.0, 2.2)  # range above the ground, uniform
    offset: float = 0.45  # largest distance of the pelvis from the middle of the image, in half image widths
    roll_deg: float = 1.0  # standard deviation
    zoom: float = 0.02  # standard deviation of the logarithm of the focal length's change

    def render(self, poses_world: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Windows (N, F, J, 3) in the world, each from a new camera: poses_cam, keypoints_px and image sizes (N, 2)."""
        N, F = poses_world.shape[:2]
        pelvis = poses_world[:, F // 2, 0]
        angle = rng.uniform(0, 2 * np.pi, N)
        distance = rng.uniform(*self.distance_m, size=(N, 1))
        position = pelvis + distance * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
        position[:, 2] = rng.uniform(*self.height_m, size=N)
        chosen = [cameras("S1")[index] for index in np.asarray(rng.integers(4, size=N))]
        lenses = [(c.focal_px, c.center_px, c.radial, c.tangential, (c.width, c.height)) for c in chosen]
        focal, center, radial, tangential, size = map(np.array, zip(*lenses, strict=True))
        focal = focal * np.exp(self.zoom * rng.standard_normal((N, 1)))
        roll = np.deg2rad(self.roll_deg) * rng.standard_normal(N)
        rotation = look_at(position, pelvis, roll)
        # The pelvis leaves the optical axis by turning the camera, not by shifting the image.
        aside = rng.uniform(-self.offset, self.offset, (N, 2)) * size / 2 / focal
        target = pelvis + distance * np.einsum("nij,nj->ni", rotation[..., :2], aside)
        rotation = look_at(position, target, roll)
        poses_cam = np.einsum("nftk,nkj->nftj", poses_world - position[:, None, None], rotation)
        xy = poses_cam[..., :2] / np.maximum(poses_cam[..., 2:], 0.1)
        along = (slice(None), None, None)
        distorted = distort(np.clip(xy, -STEEPEST, STEEPEST), radial[along], tangential[along])
        return poses_cam, distorted * focal[along] + center[along], size


@dataclass(frozen=True)
class Proportions:
    """Random changes of the body: of its size, and of each pair of bones, left as right."""

    size: float = 0.05  # standard deviation of the logarithm of the factor
    bone: float = 0.05

    def change(self, poses_world: Array, rng: np.random.Generator) -> Array:
        """Windows (N, F, 17, 3), each with its own body; the height of the lower foot stays."""
        N, J = len(poses_world), len(H36M_17)
        mirror = np.array(H36M_17.mirror)
        own = rng.standard_normal((N, J))
        own[:, mirror] = np.where(np.arange(J) < mirror, own, own[:, mirror])
        factor = np.exp(self.size * rng.standard_normal((N, 1)) + self.bone * own)
        changed = poses_world.copy()  # the root stays where it is
        for joint, parent in enumerate(H36M_17.parents):
            if parent >= 0:
                bone = poses_world[:, :, joint] - poses_world[:, :, parent]
                changed[:, :, joint] = changed[:, :, parent] + factor[:, None, joint, None] * bone
        ankles = H36M_17.subset(("left_ankle", "right_ankle"))
        before, after = (each[:, :, ankles, 2].min(axis=(1, 2)) for each in (poses_world, changed))
        changed[..., 2] += (before - after)[:, None, None]
        return changed


class RandomViews:
    """F-frame windows of motions, each in front of a new random camera in every epoch.

    Used in training as :class:`prpose.data.windows.Windows` is, through :meth:`batches`.

    Args:
        motions, F, every, causal: at least one, and as of :class:`prpose.data.windows.Windows`.
        keypoints: ``"det"`` or ``"gt"``.
        cameras, proportions: random cameras and bodies.
    """

    def __init__(
        self,
        motions: Sequence[Motion],
        F: int = 1,
        every: int = 1,
        keypoints: str = "det",
        causal: bool = False,
        cameras: RandomCameras = RandomCameras(),
        proportions: Proportions = Proportions(),
    ) -> None:
        look_up(keypoints, dict.fromkeys(KEYPOINTS), "2D")
        self.motions, self.keypoints = motions, keypoints
        self.cameras, self.proportions, self.rig = cameras, proportions, Rig()
        self.items = Items([len(motion) for motion in motions], F, every, causal)
        self.poses = np.concatenate([motion.poses_world for motion in motions])

    def __len__(self) -> int:
        return len(self.items.clip_of)

    def batches(
        self, batch_size: int, seed: tuple[int, ...] | None = None, start: int = 0
    ) -> Iterator[tuple[Tensor, Batch]]:
        """All items once as (indices, batch), without the first ``start``; half of them, at random, as mirror images.

        ``seed`` fixes the order and, batch by batch, cameras, bodies and detector noise.
        """
        assert seed is not None, "random views have no order of their own"
        for number, indices in enumerate(shuffled(len(self), seed).split(batch_size)):
            if number >= start:
                yield indices, self.render(indices, np.random.default_rng((*seed, number)))

    def render(self, index: Tensor, rng: np.random.Generator) -> Batch:
        """The items ``index``, (B,), each in front of a new camera; ``rng`` is the source of all randomness."""
        clip, frame = self.items.clip_of[index], self.items.frame_of[index]
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        poses_world = self.poses[self.items.window(index).numpy()].astype(np.float64)
        poses_cam, keypoints_px, size = self.cameras.render(self.proportions.change(poses_world, rng), rng)
        confidence = np.ones(keypoints_px.shape[:-1])
        if self.keypoints == "det":
            hidden, fps = self.rig.body.hidden(poses_cam), self.motions[int(clip[0])].fps
            keypoints_px, confidence = self.rig.detector.detect(keypoints_px, hidden, fps, rng)
        width, height = size[:, None, None, 0], size[:, None, None, 1]
        x, y = keypoints_px[..., 0] / width * 2 - 1, keypoints_px[..., 1] / width * 2 - height / width
        keypoints = torch.from_numpy(np.stack([x, y], axis=-1)).float()
        poses = torch.from_numpy(poses_cam[:, self.items.middle]).float()
        target, root = (poses - poses[:, :1])[:, None], poses[:, 0]
        batch = Batch(keypoints, target, root, clip, frame, mirrored, torch.from_numpy(confidence).float())
        return batch.mirror(H36M_17.mirror)
