"""Training data that never repeats: motions rendered anew for every batch.

Each window gets its own camera, slightly other body proportions, and new detector noise, all of them from
the seed of the epoch: the same seed gives the same batches.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from prpose.camera import Array, distort, look_at
from prpose.data.human36m import cameras
from prpose.data.motion import Motion
from prpose.data.synthetic import KEYPOINTS, STEEPEST, Rig
from prpose.data.windows import Batch, Items, shuffled
from prpose.skeleton import H36M_17
from prpose.tables import look_up


class Views(NamedTuple):
    """Windows of N persons, each in front of its own camera."""

    poses_cam: Array  # (N, F, J, 3) metres, camera axes
    keypoints_px: Array  # (N, F, J, 2)
    size: Array  # (N, 2) of the image, pixels
    focal_px: Array  # (N, 2) as a user would know it
    center_px: Array  # (N, 2)


@dataclass(frozen=True)
class RandomCameras:
    """A camera per window, like Human3.6M's but anywhere around the person; and some of any kind (``wide``).

    Ranges are uniform, that of the wide distance in its logarithm.
    """

    distance_m: tuple[float, float] = (3.5, 9.0)
    height_m: tuple[float, float] = (1.0, 2.2)  # above the ground
    offset: float = 0.45  # largest distance of the pelvis from the middle of the image, in half its width and height
    roll_deg: float = 1.0  # standard deviation
    zoom: float = 0.02  # standard deviation of the logarithm of the focal length's change
    wide: float = 0.0  # share of the windows with cameras as follows, without distortion
    wide_distance_m: tuple[float, float] = (2.0, 12.0)
    wide_pitch_deg: tuple[float, float] = (-30.0, 45.0)  # of the ray to the pelvis, below the horizon
    wide_roll_deg: float = 10.0  # standard deviation
    wide_fov_deg: tuple[float, float] = (35.0, 90.0)  # horizontal field of view
    wide_sizes: tuple[tuple[int, int], ...] = ((1920, 1080), (1080, 1920), (1000, 1000))
    wide_zoom: float = 0.1  # standard deviation of the logarithm of the focal length that the user assumes

    def render(self, poses_world: Array, rng: np.random.Generator) -> Views:
        """Windows (N, F, J, 3) in the world, each from a new camera."""
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
        known = focal
        if self.wide > 0:
            wide = np.asarray(rng.random(N) < self.wide)
            near, far = self.wide_distance_m
            distance[wide] = np.exp(rng.uniform(math.log(near), math.log(far), size=(N, 1)))[wide]
            pitch = np.deg2rad(rng.uniform(*self.wide_pitch_deg, size=N))
            away = np.stack([np.cos(pitch) * np.cos(angle), np.cos(pitch) * np.sin(angle), np.sin(pitch)], axis=-1)
            position[wide] = (pelvis + distance * away)[wide]
            roll = np.where(wide, np.deg2rad(self.wide_roll_deg) * rng.standard_normal(N), roll)
            size[wide] = np.array(self.wide_sizes)[rng.integers(len(self.wide_sizes), size=N)][wide]
            fov = np.deg2rad(rng.uniform(*self.wide_fov_deg, size=N))
            focal = np.where(wide[:, None], (size[:, 0] / 2 / np.tan(fov / 2))[:, None], focal)
            center[wide], radial[wide], tangential[wide] = size[wide] / 2, 0, 0
            known = np.where(wide[:, None], focal * np.exp(self.wide_zoom * rng.standard_normal((N, 1))), focal)
        rotation = look_at(position, pelvis, roll)
        # The pelvis leaves the optical axis by turning the camera, not by shifting the image.
        aside = rng.uniform(-self.offset, self.offset, (N, 2)) * size / 2 / focal
        target = pelvis + distance * np.einsum("nij,nj->ni", rotation[..., :2], aside)
        rotation = look_at(position, target, roll)
        poses_cam = np.einsum("nftk,nkj->nftj", poses_world - position[:, None, None], rotation)
        xy = poses_cam[..., :2] / np.maximum(poses_cam[..., 2:], 0.1)
        along = (slice(None), None, None)
        distorted = distort(np.clip(xy, -STEEPEST, STEEPEST), radial[along], tangential[along])
        return Views(poses_cam, distorted * focal[along] + center[along], size, known, center)


@dataclass(frozen=True)
class Proportions:
    """Random changes of the body: of its size, and of each pair of bones, left as right; and some larger (``wide``)."""

    size: float = 0.05  # standard deviation of the logarithm of the factor
    bone: float = 0.05
    wide: float = 0.0  # share of the windows with bodies as follows
    wide_size: float = 0.08
    wide_bone: float = 0.15  # where two data sets place a joint differs by as much, as the elbow of cmu17 and walkers
    exchanged: float = 0.0  # share of the windows whose arms move as another's, and likewise of those for the legs

    def change(self, poses_world: Array, rng: np.random.Generator) -> Array:
        """Windows (N, F, 17, 3), each with its own body; the height of the lower foot stays."""
        N, J = len(poses_world), len(H36M_17)
        mirror = np.array(H36M_17.mirror)
        own = rng.standard_normal((N, J))
        own[:, mirror] = np.where(np.arange(J) < mirror, own, own[:, mirror])
        wide = rng.random((N, 1)) < self.wide if self.wide > 0 else False
        size, bone = np.where(wide, self.wide_size, self.size), np.where(wide, self.wide_bone, self.bone)
        factor = np.exp(size * rng.standard_normal((N, 1)) + bone * own)
        bones = poses_world - poses_world[:, :, H36M_17.parents]
        for moved, along, across in EXCHANGED if self.exchanged > 0 else ():
            other = np.where(rng.random(N) < self.exchanged, rng.permutation(N), np.arange(N))
            axes = _axes(_between(poses_world, *along), _between(poses_world, *across))  # of the trunk, in columns
            turn = axes @ axes[other].swapaxes(-1, -2)  # from the other's trunk to one's own
            joints = H36M_17.subset(moved)
            turned = np.einsum("nfik,nfjk->nfji", turn, bones[other][:, :, joints])
            length = np.linalg.norm(bones[:, :, joints], axis=-1, keepdims=True)
            bones[:, :, joints] = turned / np.linalg.norm(turned, axis=-1, keepdims=True) * length
        changed = poses_world.copy()  # the root stays where it is
        for joint, parent in enumerate(H36M_17.parents):
            if parent >= 0:
                changed[:, :, joint] = changed[:, :, parent] + factor[:, None, joint, None] * bones[:, :, joint]
        ankles = H36M_17.subset(("left_ankle", "right_ankle"))
        before, after = (each[:, :, ankles, 2].min(axis=(1, 2)) for each in (poses_world, changed))
        changed[..., 2] += (before - after)[:, None, None]
        return changed


EXCHANGED = (  # joints that move, and the trunk's axes: along it, and from right to left
    (
        ("left_elbow", "left_wrist", "right_elbow", "right_wrist"),
        ("thorax", "spine"),
        ("left_shoulder", "right_shoulder"),
    ),
    (("left_knee", "left_ankle", "right_knee", "right_ankle"), ("spine", "pelvis"), ("left_hip", "right_hip")),
)


def _between(poses: Array, end: str, start: str) -> Array:
    return poses[:, :, H36M_17.index(end)] - poses[:, :, H36M_17.index(start)]


def _axes(along: Array, across: Array) -> Array:
    """Orthonormal axes in columns, (*, 3, 3), the first of them ``along``."""
    first = along / np.linalg.norm(along, axis=-1, keepdims=True)
    second = np.cross(first, across)
    second /= np.linalg.norm(second, axis=-1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


class RandomViews:
    """F-frame windows of motions, each in front of a new random camera in every epoch.

    Used in training as :class:`prpose.data.windows.Windows` is, through :meth:`batches`.

    Args:
        motions, F, every, causal, framed: at least one, and as of :class:`prpose.data.windows.Windows`.
        keypoints: ``"det"`` or ``"gt"``.
        cameras, proportions: random cameras and bodies.
        step: distance of the frames that the network uses; those between them are copies.
        balance: a recording of N items gets a share of the draws proportional to N^balance; 1 draws every item once in
            an epoch, and 0 all recordings equally often, so that long ones do not dominate.
        repeated: share of the windows that repeat their own frame, half of them in place of all others, as in a photo,
            and half in place of later ones, as in a live stream, which a causal window has none of.
        workers: number of processes that render.
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
        framed: bool = False,
        step: int = 1,
        balance: float = 1.0,
        repeated: float = 0.0,
        workers: int = 0,
    ) -> None:
        look_up(keypoints, dict.fromkeys(KEYPOINTS), "2D")
        self.motions, self.keypoints, self.framed, self.step, self.workers = motions, keypoints, framed, step, workers
        self.cameras, self.proportions, self.repeated, self.rig = cameras, proportions, repeated, Rig()
        self.items = Items([len(motion) for motion in motions], F, every, causal)
        self.poses = np.concatenate([motion.poses_world for motion in motions])
        recording = np.array([motion.name.partition("#")[0] for motion in motions])[self.items.clip_of.numpy()]
        _, recording_of, counts = np.unique(recording, return_inverse=True, return_counts=True)
        self.share = None if balance == 1 else np.cumsum(counts[recording_of] ** (balance - 1.0))

    def __len__(self) -> int:
        return len(self.items.clip_of)

    def batches(
        self, batch_size: int, seed: tuple[int, ...] | None = None, start: int = 0
    ) -> Iterator[tuple[Tensor, Batch]]:
        """As many items as there are as (indices, batch), without the first ``start``; half of them as mirror images.

        ``seed`` fixes the order and, batch by batch, cameras, bodies and detector noise.
        """
        assert seed is not None, "random views have no order of their own"
        numbers = range(start, -(-len(self) // batch_size))
        rendered = RenderedBatches(self, self._order(seed).split(batch_size), seed)
        yield from DataLoader(rendered, batch_size=None, sampler=numbers, num_workers=self.workers)

    def _order(self, seed: tuple[int, ...]) -> Tensor:
        if self.share is None:
            return shuffled(len(self), seed)
        drawn = np.random.default_rng(seed).random(len(self)) * self.share[-1]
        return torch.from_numpy(np.searchsorted(self.share, drawn, side="right"))

    def render(self, index: Tensor, rng: np.random.Generator) -> Batch:
        """The items ``index``, (B,), each in front of a new camera; ``rng`` is the source of all randomness."""
        clip, frame = self.items.clip_of[index], self.items.frame_of[index]
        mirrored = torch.from_numpy(rng.random(len(index)) < 0.5)
        window = self.items.window(index).numpy()[:, :: self.step]
        poses_world = self.poses[window].astype(np.float64)
        views = self.cameras.render(self.proportions.change(poses_world, rng), rng)
        keypoints_px, confidence = views.keypoints_px, np.ones(views.keypoints_px.shape[:-1])
        if self.keypoints == "det":
            hidden, fps = self.rig.body.hidden(views.poses_cam), self.motions[int(clip[0])].fps / self.step
            keypoints_px, confidence = self.rig.detector.detect(keypoints_px, hidden, fps, rng)
        if self.framed:
            xy = (keypoints_px - views.center_px[:, None, None]) / views.focal_px[:, None, None]
        else:
            width = views.size[:, None, None, :1]
            xy = keypoints_px / width * 2 - views.size[:, None, None] / width
        own = self.items.middle // self.step
        if self.repeated > 0:
            chance = rng.random(len(index))
            photo, live = chance < self.repeated / 2, chance < self.repeated
            for each in (xy, confidence):
                each[photo] = each[photo, own : own + 1]
                each[live, own:] = each[live, own : own + 1]
        if self.step > 1:  # F frames of every so many-th
            F = len(self.items.offsets)
            xy, confidence = (each.repeat(self.step, axis=1)[:, :F] for each in (xy, confidence))
        keypoints, confidences = torch.from_numpy(xy).float(), torch.from_numpy(confidence).float()
        poses = torch.from_numpy(views.poses_cam[:, own]).float()
        target, root = (poses - poses[:, :1])[:, None], poses[:, 0]
        batch = Batch(keypoints, target, root, clip, frame, mirrored, confidences)
        return batch.mirror(H36M_17.mirror)


@dataclass
class RenderedBatches(Dataset[tuple[Tensor, Batch]]):
    """The batches of an epoch, by number."""

    views: RandomViews
    order: Sequence[Tensor]
    seed: tuple[int, ...]

    def __getitem__(self, number: int) -> tuple[Tensor, Batch]:
        indices = self.order[number]
        # The first batch has the stream of the order; another seed would change every training.
        return indices, self.views.render(indices, np.random.default_rng((*self.seed, number)))
