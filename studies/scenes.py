"""People in front of cameras, and changes of both that the models were not trained on (studies/robustness.py)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from prpose.camera import Array
from prpose.data import load_clips
from prpose.skeleton import H36M_17

F, STEP, OWN, FPS = 9, 4, 4, 15.0  # frames of a window, every fourth of 60 per second; index of its own
ANKLES, KNEES = (list(H36M_17.subset((f"left_{name}", f"right_{name}"))) for name in ("ankle", "knee"))


@dataclass(frozen=True)
class Scene:
    """Windows of N people, each before a camera, and how they are detected."""

    poses: Array  # (N, F, 17, 3) metres, camera axes
    up: Array  # (N, 3) unit vectors, camera axes
    focal: Array  # (N, 2) pixels
    centre: Array  # (N, 2)
    size: Array  # (N, 2)
    noise: float = 1.0  # factor on the detector's errors
    known: float = 1.0  # the focal length that the user states, over the true one
    lost: int = 0  # joints that are missing
    cropped: bool = False  # whether joints outside the image are missing

    @property
    def pelvis(self) -> Array:
        return self.poses[:, OWN, 0]

    def subset(self, which: Array | slice) -> "Scene":
        """Some of the windows."""
        arrays = {name: getattr(self, name)[which] for name in ("poses", "up", "focal", "centre", "size")}
        return replace(self, **arrays)

    def turned(self, turn: Rotation, camera: bool = True) -> "Scene":
        """The people turned about the own frame's pelvis, (N,) rotations, as before a ``camera`` that moves around."""
        middle = self.pelvis[:, None, None]
        poses = middle + np.einsum("nij,nftj->nfti", turn.as_matrix(), self.poses - middle)
        return replace(self, poses=poses, up=turn.apply(self.up) if camera else self.up)

    def panned(self, turn: Rotation) -> "Scene":
        """All turned about the camera, which pans or rolls."""
        return replace(self, poses=np.einsum("nij,nftj->nfti", turn.as_matrix(), self.poses), up=turn.apply(self.up))


def scene_of(data: str, root: Path, split: str, every: int) -> Scene:
    """Windows of every n-th frame of a data set's clips, of 60 frames per second; ``ValueError`` if there are none."""
    parts = []
    for clip in load_clips(data, root, split, "gt"):
        own = np.arange(every // 2, len(clip), every)
        frames = np.clip(own[:, None] + STEP * (np.arange(F) - OWN), 0, len(clip) - 1)
        up = clip.camera.world_to_camera(np.array([[0.0, 0, 0], [0, 0, 1]]))
        camera = clip.camera.calibrated()
        fixed = up[1] - up[0], camera.focal_px, camera.center_px, (camera.width, camera.height)
        parts.append((clip.poses_cam[frames].astype(np.float64), *(np.tile(each, (len(own), 1)) for each in fixed)))
    if not sum(len(up) for _, up, *_ in parts):
        raise ValueError(f"expected a clip of {data} {split} longer than {every // 2} frames, half of every, got none")
    return Scene(*(np.concatenate(part) for part in zip(*parts, strict=True)))


Change = Callable[[Scene, np.random.Generator], Scene]


def seen_from(pitch_deg: float) -> Change:
    """The camera moves around the person until it looks down by the pitch."""

    def change(scene: Scene, rng: np.random.Generator) -> Scene:
        ray = scene.pelvis / np.linalg.norm(scene.pelvis, axis=-1, keepdims=True)
        pitch = np.arcsin(-(ray * scene.up).sum(-1))
        axis = np.cross(ray, scene.up)
        axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
        return scene.turned(Rotation.from_rotvec(axis * (np.deg2rad(pitch_deg) - pitch)[:, None]))

    return change


def rolled(degrees: float) -> Change:
    return lambda scene, rng: scene.panned(
        Rotation.from_rotvec(np.tile([0, 0, np.deg2rad(degrees)], (len(scene.up), 1)))
    )


def farther(factor: float) -> Change:
    return lambda scene, rng: replace(scene, poses=scene.poses + (factor - 1) * scene.pelvis[:, None, None])


def off_centre(scene: Scene, rng: np.random.Generator) -> Scene:
    """The camera pans until the pelvis is at 85 % of the half width, to either side."""
    side = np.where(np.arange(len(scene.up)) % 2, 1, -1)
    slope = (scene.size[:, 0] / 2 * (1 + 0.85 * side) - scene.centre[:, 0]) / scene.focal[:, 0]
    x, _, z = scene.pelvis.T
    return scene.panned(Rotation.from_rotvec((np.arctan(slope) - np.arctan2(x, z))[:, None] * [0, 1, 0]))


def legs_cropped(scene: Scene, rng: np.random.Generator) -> Scene:
    """The camera tilts until the lower border of the image is between hips and knees."""
    _, y, z = (scene.pelvis / 2 + scene.poses[:, OWN, KNEES].mean(1) / 2).T
    slope = (scene.size[:, 1] - scene.centre[:, 1]) / scene.focal[:, 1]
    tilted = scene.panned(Rotation.from_rotvec((np.arctan2(y, z) - np.arctan(slope))[:, None] * [1, 0, 0]))
    return replace(tilted, cropped=True)


def overthrown(degrees: float) -> Change:
    """The body turned about the pelvis, in any direction, and laid on the ground."""

    def change(scene: Scene, rng: np.random.Generator) -> Scene:
        side = np.cross(scene.up, rng.standard_normal(scene.up.shape))
        side /= np.linalg.norm(side, axis=-1, keepdims=True)
        fallen = scene.turned(Rotation.from_rotvec(np.deg2rad(degrees) * side), camera=False)
        drop = (_heights(scene)[:, :, ANKLES].min((1, 2)) - _heights(fallen).min((1, 2)))[:, None] * scene.up
        return replace(fallen, poses=fallen.poses + drop[:, None, None])

    return change


def _heights(scene: Scene) -> Array:
    return np.asarray(np.einsum("nftj,nj->nft", scene.poses, scene.up))


def shaped(size: float, legs: float, arms: float, head: float) -> Change:
    """Bones scaled; the feet stay on the ground."""
    factor = np.full(len(H36M_17), size)
    for names, share in ((("knee", "ankle"), legs), (("elbow", "wrist"), arms)):
        factor[list(H36M_17.subset([f"{side}_{name}" for side in ("left", "right") for name in names]))] *= share
    factor[list(H36M_17.subset(("neck", "head")))] *= head

    def change(scene: Scene, rng: np.random.Generator) -> Scene:
        poses = scene.poses.copy()
        for joint, parent in enumerate(H36M_17.parents):
            if parent >= 0:
                bone = scene.poses[:, :, joint] - scene.poses[:, :, parent]
                poses[:, :, joint] = poses[:, :, parent] + factor[joint] * bone
        grown = replace(scene, poses=poses)
        before, after = (_heights(each)[:, :, ANKLES].min((1, 2)) for each in (scene, grown))
        drop = (before - after)[:, None] * scene.up
        return replace(grown, poses=poses + drop[:, None, None])

    return change


CONDITIONS: dict[str, Change] = {
    "unchanged": lambda scene, rng: scene,
    **{f"pitch {degrees}°": seen_from(degrees) for degrees in (-45, -20, 20, 45)},
    **{f"roll {degrees}°": rolled(degrees) for degrees in (15, 45, 180)},
    **{f"distance × {factor:g}": farther(factor) for factor in (0.5, 2, 4)},
    "focal length × 0.5": lambda scene, rng: replace(scene, focal=scene.focal * 0.5),
    "focal length × 2": lambda scene, rng: replace(scene, focal=scene.focal * 2),
    "focal length, stated 1.4 × too long": lambda scene, rng: replace(scene, known=1.4),
    "off-centre": off_centre,
    "legs outside the image": legs_cropped,
    **{f"missing joints: {number}": lambda scene, rng, n=number: replace(scene, lost=n) for number in (1, 3, 6)},
    **{f"detector noise × {factor}": lambda scene, rng, k=factor: replace(scene, noise=k) for factor in (2, 4)},
    "child": shaped(0.65, 0.93, 0.95, 1.3),
    "tall": shaped(1.15, 1.06, 1.04, 0.9),
    "lying on the floor": overthrown(90),
    "upside down": overthrown(180),
}
