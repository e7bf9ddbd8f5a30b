"""Samples that are motions: errors and jitter for each correlation of the noise over time.

    python studies/motion.py cmu17 --model temporal-cmu17 -n 10 --stride 13

Makes the table "Noise over time" of docs/results.md, from all frames of every stride-th clip. The detector's
confidences are left out, so that only the correlation differs.
"""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import torch
import tyro

import prpose
from prpose import metrics
from prpose.cli import guarded
from prpose.cli.console import named_device, print_table, progress
from prpose.data import Clip, load_clips
from prpose.rng import NOISE_CORRELATIONS, NoiseCorrelation

UNITS = {
    "P1, deterministic": "mm",
    "P1 of a sample": "mm",
    "P1 of the mean": "mm",
    "P1 of the best sample of a clip": "mm",
    "energy score": "mm",
    "acceleration error, deterministic": "m/s²",
    "acceleration error of a sample": "m/s²",
    "acceleration error of the mean": "m/s²",
}
FRAMES_AT_ONCE = 64


def main(
    dataset: tyro.conf.Positional[str],
    model: str = "mgcn-cmu17",
    num_samples: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 10,
    stride: int = 13,
    root: Path = Path("dataset"),
    split: str = "test",
    seed: int = 0,
    device: str = "auto",
) -> dict[str, dict[str, float]]:
    """Print a column per noise correlation.

    Args:
        dataset: Data set with camera calibration and frame rate: cmu17, walkers, or a prepared benchmark.
        model: Bundled model, model folder, or owner/name on the Hugging Face hub.
        num_samples: Number of samples, each of which is one motion.
        stride: Use every n-th clip.
        root: Folder with the npz files of the data set.
        split: Split of the data set.
        seed: Random seed of the noise.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
    """
    loaded, clips = prpose.load(model, named_device(device)), load_clips(dataset, root, split)[::stride]
    columns = {}
    with progress("evaluate", len(NOISE_CORRELATIONS) * len(clips), "clips") as advance:
        for kind in NOISE_CORRELATIONS:
            parts = []
            for number, clip in enumerate(clips):
                parts.append(scores(loaded, clip, num_samples, seed + number, kind))
                advance(1)
            columns[kind] = {name: mean([part[name] for part in parts], unit) for name, unit in UNITS.items()}
    rows = {f"{name}, {u}": [f"{column[name]:.1f}" for column in columns.values()] for name, u in UNITS.items()}
    print_table(f"{model}, S = {num_samples}, mean over frames", list(columns), rows)
    return columns


def scores(model: prpose.Model, clip: Clip, S: int, seed: int, kind: NoiseCorrelation) -> dict[str, torch.Tensor]:
    """Values of a clip's frames, metres or m/s²; accelerations lack the first and last frame."""
    config = prpose.InferenceConfig(noise_correlation=kind, allow_implausible=True)
    size, fps = (clip.camera.width, clip.camera.height), float(clip.fps or 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of implausible poses, such as handstands
        found = model(clip.keypoints_px, S, seed, layout="h36m17", image_size=size, fps=fps, config=config)
    samples, deterministic = torch.from_numpy(found.samples), torch.from_numpy(found.deterministic)
    truth = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])
    errors, average = metrics.mpjpe(samples, truth), samples.mean(0)
    pieces = zip(samples.split(FRAMES_AT_ONCE, dim=1), truth.split(FRAMES_AT_ONCE), strict=True)
    values = (
        metrics.mpjpe(deterministic, truth),
        errors.mean(0),
        metrics.mpjpe(average, truth),
        errors[errors.mean(1).argmin()],
        torch.cat([metrics.energy_score(*piece) for piece in pieces]),
        metrics.acceleration_error(deterministic, truth, fps),
        metrics.acceleration_error(samples, truth, fps).mean(0),
        metrics.acceleration_error(average, truth, fps),
    )
    return dict(zip(UNITS, values, strict=True))


def mean(parts: list[torch.Tensor], unit: str) -> float:
    """Mean over all frames, in the unit that is reported."""
    return float(torch.cat(parts).double().mean()) * (1000 if unit == "mm" else 1)


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
