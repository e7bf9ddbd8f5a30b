"""Errors, calibration and warnings before cameras and of bodies that the models were not trained on.

    python -m studies.robustness --root dataset --model gaussian-wide mgcn-cmu17

Windows of cmu17's or the walkers' recordings before the benchmark's cameras, without lens distortion; in each condition
cameras, bodies or the simulated detector are changed in 3D, and the detector runs anew. Columns: P1 of the pose without
noise, of the best of S and the energy score, mm; ECE; joints in 95 % regions, %; spread, mm; Spearman's correlation of
spread and P1 over the frames; frames unlike the training data (prpose/out_of_distribution.py), %. Rows with missing
joints are of every third window for one-pass networks, which take long there.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from tyro.conf import arg

import prpose
from prpose import metrics
from prpose.camera import Array
from prpose.cli import guarded
from prpose.cli.console import print_line, print_table, progress
from prpose.config import CONFIDENCE_NOISE
from prpose.data.synthetic.detector_noise import Body, DetectorNoise
from prpose.engine import input_sigma
from prpose.evaluation.protocols import calibration_error
from prpose.missing import FEWEST, fill_missing
from prpose.out_of_distribution import is_outside
from prpose.regions import region_quantiles
from prpose.rng import NoiseProcess, noise_rho
from prpose.skeleton import H36M_17
from studies.scenes import CONDITIONS, FPS, OWN, STEP, F, Scene, scene_of

WIDE = (F - 1) * STEP + 1
HEADS = ("P1", "best", "ES", "ECE", "95 %", "spread", "rank", "outside")


@dataclass(frozen=True)
class Detected:
    """Keypoints of windows, complete, as preprocessing makes them."""

    px: Array  # (N, F, 17, 2)
    sigma_px: Array  # (N, F, 17), 0 where detected
    confidence: Array  # (N, F, 17), 1 where missing
    scene: Scene

    def every(self, n: int) -> "Detected":
        """Every n-th window."""
        return Detected(self.px[::n], self.sigma_px[::n], self.confidence[::n], self.scene.subset(slice(None, None, n)))

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
    sigma = np.zeros(lost.shape)
    if lost.any():  # windows are so far apart in time that they tell nothing of each other
        number = (np.arange(len(px))[:, None] * 10**6 + np.arange(F)).ravel()
        filled, deviation = fill_missing(np.where(lost[..., None], np.nan, px).reshape(-1, 17, 2), number, FPS)
        px, sigma = filled.reshape(px.shape), deviation.reshape(lost.shape)
    return Detected(px, sigma, confidence, scene.subset(enough))


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
