"""One pose per frame from the samples: errors, bones and jitter of each point estimate and smoothing.

    python studies/point_estimates.py cmu17 --model mgcn-cmu17 -n 50 --stride 5

Makes the table "Point estimates" of docs/results.md, from all frames of every stride-th clip. The detector's
confidences are left out.
"""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor

import prpose
from prpose import metrics
from prpose.cli import guarded
from prpose.cli.console import named_device, print_table, progress
from prpose.data import Clip, load_clips
from prpose.placement import place, plane_of, reprojection_errors
from prpose.postprocess import geometric_median, mean, medoid, reprojection_weights
from prpose.skeleton import H36M_17
from prpose.smoothing import gaussian, one_euro

UNITS = {"P1": "mm", "P2": "mm", "bone asymmetry": "mm", "bone-length deviation": "mm", "acceleration error": "m/s²"}


def main(
    dataset: tyro.conf.Positional[str],
    model: str = "mgcn-cmu17",
    num_samples: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50,
    stride: int = 5,
    root: Path = Path("dataset"),
    split: str = "test",
    seed: int = 0,
    device: str = "auto",
) -> dict[str, dict[str, float]]:
    """Print a row per point estimate.

    Args:
        dataset: Data set with camera calibration and frame rate: cmu17, walkers, or a prepared benchmark.
        model: Bundled model, model folder, or owner/name on the Hugging Face hub.
        num_samples: Number of samples.
        stride: Use every n-th clip.
        root: Folder with the npz files of the data set.
        split: Split of the data set.
        seed: Random seed of the noise.
        device: Device: auto, cpu, cuda, cuda:1, and so on.
    """
    loaded, clips = prpose.load(model, named_device(device)), load_clips(dataset, root, split)[::stride]
    parts = []
    with progress("evaluate", len(clips), "clips") as advance:
        for number, clip in enumerate(clips):
            poses = point_estimates(loaded, clip, num_samples, seed + number)
            parts.append({name: values(pose, clip) for name, pose in poses.items()})
            advance(1)
    rows = {name: {value: mean_of(parts, name, value) for value in UNITS} for name in parts[0]}
    heads = ["\n".join([*name.split(" "), unit]) for name, unit in UNITS.items()]
    cells = {name: [f"{value:.1f}" for value in row.values()] for name, row in rows.items()}
    print_table(f"{model}, S = {num_samples}, mean over frames", heads, cells)
    return rows


def point_estimates(model: prpose.Model, clip: Clip, S: int, seed: int) -> dict[str, Tensor]:
    """(T, J, 3) by name."""
    size, fps = (clip.camera.width, clip.camera.height), float(clip.fps or 0)
    config = prpose.InferenceConfig(allow_implausible=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of implausible poses, such as handstands
        found = model(clip.keypoints_px, S, seed, layout="h36m17", image_size=size, fps=fps, config=config)
    samples, plane = found.samples, plane_of(clip.keypoints_px, clip.camera)
    errors = np.sqrt((reprojection_errors(samples, plane, place(samples, plane)) ** 2).mean(-1))
    poses = {
        "deterministic": found.deterministic,
        "a sample": samples[0],
        "mean": mean(samples),
        "medoid": medoid(samples),
        "geometric median": geometric_median(samples),
        "reprojection-weighted": mean(samples, reprojection_weights(errors)),
    }
    for name in ("deterministic", "mean"):
        poses[f"{name}, Gaussian"] = gaussian(poses[name], fps)
        poses[f"{name}, One-Euro"] = one_euro(poses[name], fps)
    return {name: torch.from_numpy(pose) for name, pose in poses.items()}


def mean_of(parts: list[dict[str, dict[str, Tensor]]], name: str, value: str) -> float:
    """Mean over all frames, in the unit that is reported."""
    frames = torch.cat([part[name][value] for part in parts])
    return float(frames.double().mean()) * (1000 if UNITS[value] == "mm" else 1)


def values(poses: Tensor, clip: Clip) -> dict[str, Tensor]:
    """Values of (T, J, 3) by frame, metres or m/s²; accelerations lack the first and last frame."""
    truth = torch.from_numpy(clip.poses_cam - clip.poses_cam[:, :1])
    found = (
        metrics.mpjpe(poses, truth),
        metrics.p_mpjpe(poses, truth),
        metrics.bone_asymmetry(poses, H36M_17.parents, H36M_17.mirror),
        metrics.bone_length_deviation(poses, H36M_17.parents).expand(len(poses)),
        metrics.acceleration_error(poses, truth, float(clip.fps or 0)),
    )
    return dict(zip(UNITS, found, strict=True))


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
