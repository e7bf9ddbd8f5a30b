"""Errors, calibration and warnings before cameras and of bodies that the models were not trained on.

    python studies/robustness.py --root dataset --model gaussian-wide mgcn-cmu17

Windows of cmu17's or the walkers' recordings before the benchmark's cameras, without lens distortion; in each condition
cameras, bodies or the simulated detector are changed in 3D, and the detector runs anew. Columns: P1 of the pose without
noise, of the best of S and the energy score, mm; ECE; joints in 95 % regions, %; spread, mm; Spearman's correlation of
spread and P1 over the frames; frames unlike the training data (prpose/out_of_distribution.py), %. Rows with missing
joints are of every third window for one-pass networks, which take long there.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from scipy.spatial.transform import Rotation
from tyro.conf import arg

import prpose
from prpose import metrics
from prpose.camera import Array
from prpose.cli import guarded
from prpose.cli.console import print_line, print_table, progress
from prpose.config import CONFIDENCE_NOISE
from prpose.data import load_clips
from prpose.data.synthetic.detector_noise import Body, DetectorNoise
from prpose.engine import input_sigma
from prpose.evaluation.protocols import calibration_error
from prpose.missing import FEWEST, fill_missing
from prpose.out_of_distribution import is_outside
from prpose.regions import region_quantiles
from prpose.rng import NoiseProcess, noise_rho
from prpose.skeleton import H36M_17

F, STEP, OWN, FPS = 9, 4, 4, 15.0  # frames of a window, every fourth of 60 per second; index of its own
WIDE = (F - 1) * STEP + 1
ANKLES, KNEES = (list(H36M_17.subset((f"left_{name}", f"right_{name}"))) for name in ("ankle", "knee"))
FLOOR_M = 0.08  # of the ankles above the ground
HEADS = ("P1", "best", "ES", "ECE", "95 %", "spread", "rank", "outside")


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

    def turned(self, turn: Rotation, camera: bool = True) -> "Scene":
        """The people turned about the own frame's pelvis, (N,) rotations, as before a ``camera`` that moves around."""
        middle = self.pelvis[:, None, None]
        poses = middle + np.einsum("nij,nftj->nfti", turn.as_matrix(), self.poses - middle)
        return replace(self, poses=poses, up=turn.apply(self.up) if camera else self.up)

    def panned(self, turn: Rotation) -> "Scene":
        """All turned about the camera, which pans or rolls."""
        return replace(self, poses=np.einsum("nij,nftj->nfti", turn.as_matrix(), self.poses), up=turn.apply(self.up))


def scene_of(data: str, root: Path, split: str, every: int) -> Scene:
    """Windows of every n-th frame of a data set's clips, of 60 frames per second."""
    parts = []
    for clip in load_clips(data, root, split, "gt"):
        own = np.arange(every // 2, len(clip), every)
        frames = np.clip(own[:, None] + STEP * (np.arange(F) - OWN), 0, len(clip) - 1)
        up = clip.camera.world_to_camera(np.array([[0.0, 0, 0], [0, 0, 1]]))
        camera = clip.camera.calibrated()
        fixed = up[1] - up[0], camera.focal_px, camera.center_px, (camera.width, camera.height)
        parts.append((clip.poses_cam[frames].astype(np.float64), *(np.tile(each, (len(own), 1)) for each in fixed)))
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


@dataclass(frozen=True)
class Detected:
    """Keypoints of windows, complete, as preprocessing makes them."""

    px: Array  # (N, F, 17, 2)
    sigma_px: Array  # (N, F, 17), 0 where detected
    confidence: Array  # (N, F, 17), 1 where missing
    scene: Scene

    def every(self, n: int) -> "Detected":
        """Every n-th window."""
        arrays = {name: getattr(self.scene, name)[::n] for name in ("poses", "up", "focal", "centre", "size")}
        return Detected(self.px[::n], self.sigma_px[::n], self.confidence[::n], replace(self.scene, **arrays))

    def input(self, framed: bool) -> tuple[Array, Array]:
        """The input of a lifter, (N, F, 17, 2), and pixels in its unit, (N,)."""
        size = self.scene.size[:, None, None]
        if not framed:
            return self.px / size[..., :1] * 2 - size / size[..., :1], self.scene.size[:, 0] / 2
        focal = self.scene.focal * self.scene.known
        return (self.px - self.scene.centre[:, None, None]) / focal[:, None, None], focal.mean(1)


def detect(scene: Scene, seed: int) -> Detected:
    """The simulated detector's keypoints, with missing ones estimated."""
    rng, usual, k = np.random.default_rng(seed), DetectorNoise(), scene.noise
    detector = replace(
        usual, jitter=k * usual.jitter, inversion=k * usual.inversion, grab=k * usual.grab,
        grab_hidden=k * usual.grab_hidden,
    )  # fmt: skip
    plane = scene.poses[..., :2] / np.maximum(scene.poses[..., 2:], 0.1)
    true_px = plane * scene.focal[:, None, None] + scene.centre[:, None, None]
    px, confidence = detector.detect(true_px, Body().hidden(scene.poses), FPS, rng)
    lost = np.zeros(px.shape[:-1], dtype=bool)
    if scene.cropped:
        lost |= ((true_px < 0) | (true_px > scene.size[:, None, None])).any(-1)
    if scene.lost:
        order = rng.random((len(px), 1, 16)).argsort(-1).argsort(-1)
        lost[..., 1:] |= order < scene.lost
    enough = ((~lost).sum(-1) >= FEWEST).all(-1)
    px, confidence, lost = px[enough], np.where(lost, 1.0, confidence)[enough], lost[enough]
    arrays = {name: getattr(scene, name)[enough] for name in ("poses", "up", "focal", "centre", "size")}
    sigma = np.zeros(lost.shape)
    if lost.any():  # windows are so far apart in time that they tell nothing of each other
        number = (np.arange(len(px))[:, None] * 10**6 + np.arange(F)).ravel()
        filled, deviation = fill_missing(np.where(lost[..., None], np.nan, px).reshape(-1, 17, 2), number, FPS)
        px, sigma = filled.reshape(px.shape), deviation.reshape(lost.shape)
    return Detected(px, sigma, confidence, replace(scene, **arrays))


def measures(model: prpose.Model, found: Detected, S: int, batch: int = 128) -> dict[str, Array]:
    """Of each window's own frame: errors in mm, and what is covered."""
    net, card = model.sampler, model.card
    assert card is not None, "bundled models and model folders have a card"
    if net.one_pass and found.sigma_px.any():  # lifted once per sample, which takes long
        found = found.every(3)
    x, unit = found.input(net.framed)
    scale = 0.0 if net.trained else CONFIDENCE_NOISE
    sigma = np.concatenate(
        [
            input_sigma(x[i : i + 1], s / u, c, scale)
            for i, (s, u, c) in enumerate(zip(found.sigma_px, unit, found.confidence, strict=True))
        ]
    )
    outside = is_outside(x[:, OWN], net.framed, asdict(card))
    assert net.F in (1, WIDE), f"expected a network of one frame, or of every fourth of {WIDE}"
    frames = [OWN] if net.F == 1 else (np.arange(WIDE) // STEP).tolist()
    x, sigma = x[:, frames].astype(np.float32), sigma[:, frames].astype(np.float32)
    truth = torch.from_numpy(found.scene.poses[:, OWN] - found.scene.pelvis[:, None]).float()
    quantiles, parts = torch.from_numpy(region_quantiles({"limits_95": card.limits_95})), []
    rho = noise_rho("ar1", FPS)
    for start in range(0, len(x), batch):
        few = slice(start, start + batch)
        shape, noisy = (S, len(x[few]), len(H36M_17), net.noise_channels), bool(sigma[few].any())
        images = 2 if noisy or not net.one_pass else 1
        eps = [NoiseProcess(shape, rho, start, image).next(F)[:, :, frames] for image in range(images)]
        drawn = net.draw(x[few], eps[0], eps[-1], sigma[few] if noisy else None)
        samples, pose, target = torch.from_numpy(drawn.samples[:, :, 0]), torch.from_numpy(drawn.pose[:, 0]), truth[few]
        closed = metrics.covariance(samples)
        if drawn.covariance is not None:
            known = torch.from_numpy(drawn.covariance[:, 0]).double()
            closed = torch.where(known.isnan(), closed, known)
        distance = metrics.mahalanobis(samples, target, pose, closed)
        parts.append(
            {
                "P1": 1000 * metrics.mpjpe(pose, target),
                "best": 1000 * metrics.mpjpe(samples, target).amin(0),
                "ES": 1000 * metrics.energy_score(samples, target),
                "spread": 1000 * metrics.spread(samples)[:, 1:].mean((-2, -1)),
                "covered": metrics.covered(samples, target)[:, 1:],
                "inside": (distance <= quantiles)[:, 1:],
            }
        )
    rows = {key: torch.cat([part[key] for part in parts]).numpy() for key in parts[0]}
    return rows | {"outside": outside}


def row_of(values: Mapping[str, Array]) -> list[float]:
    """The columns of the table."""
    P1, best, ES, spread, *shares = (
        float(values[key].mean()) for key in ("P1", "best", "ES", "spread", "inside", "outside")
    )
    ece = calibration_error(torch.from_numpy(values["covered"]))
    rank = metrics.rank_correlation(values["spread"], values["P1"]) or 0.0
    return [P1, best, ES, ece, 100 * shares[0], spread, rank, 100 * shares[1]]


def main(
    root: Path = Path("dataset"),
    model: Annotated[tuple[str, ...], arg(name="model")] = ("gaussian-wide", "mgcn-cmu17"),
    data: str = "cmu17",
    split: str = "test",
    every: int = 240,
    num_samples: int = 200,
    conditions: tuple[str, ...] = tuple(CONDITIONS),
    seed: int = 0,
) -> dict[str, dict[str, list[float]]]:
    """Print a table for each model.

    Args:
        root: Folder with the data set.
        model: Bundled models or model folders, of single frames or of every fourth of 33.
        data: cmu17, walkers, or a benchmark of 60 frames per second of one's own.
        split: Split.
        every: Take every n-th frame.
        num_samples: Number of samples.
        conditions: Rows.
        seed: Of the detector, and of what conditions choose at random.
    """
    scene, tables = scene_of(data, root, split, every), {}
    for name in model:
        loaded, found = prpose.load(name), {}
        with progress(Path(name).name, len(conditions), "conditions") as advance:
            for key in conditions:
                changed = CONDITIONS[key](scene, np.random.default_rng(seed))
                found[key] = measures(loaded, detect(changed, seed), num_samples)
                advance(1)
        rows = {key: row_of(values) for key, values in found.items()}
        P1, spread = (np.array([row[HEADS.index(head)] for row in rows.values()]) for head in ("P1", "spread"))
        every_frame = {key: np.concatenate([values[key] for values in found.values()]) for key in found[conditions[0]]}
        for label, which in (("inside", ~every_frame["outside"]), ("outside", every_frame["outside"])):
            if which.any():
                rows[f"all frames {label}"] = row_of({key: values[which] for key, values in every_frame.items()})
        print_table(
            f"{data} {split}, {Path(name).name}, {len(scene.up)} frames",
            HEADS,
            {key: _formatted(row) for key, row in rows.items()},
        )
        if len(rows) > 2:
            print_line(
                f"rank correlation of spread and P1 over the conditions: {metrics.rank_correlation(spread, P1):.2f}"
            )
        tables[name] = rows
    return tables


def _formatted(row: list[float]) -> list[str]:
    return [f"{value:.{2 if head in ('ECE', 'rank') else 1}f}" for head, value in zip(HEADS, row, strict=True)]


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
