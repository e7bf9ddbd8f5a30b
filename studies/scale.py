"""Time and memory of data of the size of Human3.6M: reading them, windows and batches; and the speed of P2.

    python -m studies.scale                                     # 3.1 million 2D poses, in 1.4 GB of files
    python -m studies.scale --poses 100000 --folder synthetic   # smaller, in a folder that is kept
    python -m studies.scale --p2                                # P2 beside NumPy's batched SVD

Makes the tables of docs/speed.md. The files hold walkers who drift about, under the names and before the cameras of
Human3.6M, with noise on the 2D. Each row is measured in a process of its own; peak memory includes Python and PyTorch.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import tyro

from prpose import metrics
from prpose.camera import Array
from prpose.cli import guarded
from prpose.cli.console import print_table
from prpose.data import human36m, load_clips, load_motions
from prpose.data.motion import Motion
from prpose.data.release_files import SYMMETRY, paths_of
from prpose.data.synthetic import Rendering
from prpose.data.synthetic.benchmark_file import path_of, write_benchmark
from prpose.data.windows import Windows
from prpose.skeleton import H36M_17
from studies.rates import timed
from studies.speed import peak_mb

POSES = 3_100_000
"""2D poses of all cameras."""
FPS = 50.0
CAMERAS = 4
NAME = "large"
"""Of the benchmark file of the same size."""
SPLITS = {"h36m": ("train", "test"), NAME: ("train", "val", "test")}
HELD_OUT = {"S8": "val", "S9": "test", "S11": "test"}
"""Splits of the benchmark file; all other subjects are in train."""
ROWS = ("h36m", NAME, "h36m train", "h36m test", f"{NAME} train", f"{NAME} test")
BATCHES, BATCH_SIZE, FRAMES = 200, 1024, 27


def main(
    poses: int = POSES, folder: Path | None = None, row: str | None = None, p2: bool = False
) -> dict[str, dict[str, float]]:
    """Print seconds and peak memory of each reader, and of the windows of training and of evaluation.

    Args:
        poses: Number of 2D poses, of all cameras together.
        folder: Folder for the files; those that exist are kept. Default: a temporary one.
        row: Measure only this one, in this process, and print it as JSON.
        p2: Compare P2 with NumPy's batched SVD instead.
    """
    if p2:
        return time_p2()
    if row is not None:
        assert folder is not None, "a row is of a folder"
        found = {row: read(row, folder)}
        print(json.dumps(found))
        return found
    found = {}
    with TemporaryDirectory() if folder is None else nullcontext(folder) as where:
        write(Path(where), poses)
        for each in ROWS:
            command = [sys.executable, "-m", "studies.scale", "--row", each, "--folder", str(where)]
            line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found |= json.loads(line)
    columns = ["clips", "poses", "read, s", "windows, s", "batches, poses/s", "peak memory, MB"]
    rows = {
        name: [f"{values[c]:{'.1f' if c.endswith(', s') else ',.0f'}}" if c in values else "" for c in columns]
        for name, values in found.items()
    }
    print_table(f"{poses:,} 2D poses", columns, rows)
    return found


def read(row: str, folder: Path) -> dict[str, float]:
    """Seconds of reading a data set, or a split with its windows and some batches, and the peak memory, 10⁶ bytes."""
    name, _, split = row.partition(" ")
    start = time.perf_counter()
    clips = [clip for each in ([split] if split else SPLITS[name]) for clip in load_clips(name, folder, each)]
    found = {"read, s": time.perf_counter() - start, "clips": len(clips), "poses": sum(map(len, clips))}
    if split:
        start = time.perf_counter()
        windows = Windows(clips, FRAMES, mirrored=split == "train")
        found["windows, s"] = time.perf_counter() - start
        start, items = time.perf_counter(), 0
        for number, (indices, _) in enumerate(windows.batches(BATCH_SIZE, (0,) if split == "train" else None)):
            items += len(indices)
            if number + 1 == BATCHES:
                break
        found["batches, poses/s"] = items / (time.perf_counter() - start)
    return found | {"peak memory, MB": peak_mb(torch.device("cpu"))}


def write(folder: Path, poses: int) -> None:
    """Writes the pair of files of Human3.6M and the benchmark of the same size, where they are missing."""
    paths = paths_of(folder, "h36m", human36m.DEFAULT_KEYPOINTS)
    path = path_of(folder, NAME)
    if all(each.is_file() for each in (*paths, path)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    positions_3d: dict[str, dict[str, Array]] = {}
    positions_2d: dict[str, dict[str, list[Array]]] = {}
    renderings: dict[str, list[Rendering]] = {"train": [], "val": [], "test": []}
    for subject, action, world, seen in recordings(poses // CAMERAS):
        raw = np.repeat(world[:, :1], human36m.RAW_JOINTS, axis=1)
        raw[:, human36m.KEPT_JOINTS] = world
        positions_3d.setdefault(subject, {})[action] = raw
        positions_2d.setdefault(subject, {})[action] = list(seen)
        motion = Motion(f"{subject} {action}", subject, action, world, FPS)
        shape = seen.shape[:-1]
        rendering = Rendering(motion, human36m.cameras(subject), seen, np.full(shape, 0.9, "f4"), np.zeros(shape, bool))
        renderings[HELD_OUT.get(subject, "train")].append(rendering)
    metadata = {"layout_name": "h36m", "num_joints": len(H36M_17), "keypoints_symmetry": SYMMETRY}
    np.savez_compressed(paths[0], positions_3d=np.array(positions_3d, dtype=object))
    np.savez_compressed(paths[1], positions_2d=np.array(positions_2d, dtype=object), metadata=np.array(metadata))
    write_benchmark(path, renderings, {"inputs_sha256": "", "note": "synthetic data to measure speed"})


def recordings(frames: int) -> Iterator[tuple[str, str, Array, Array]]:
    """Subject, action, poses (T, 17, 3) world metres and keypoints (4, T, 17, 2) pixels, float32, of so many frames.

    Each subject repeats each action; recordings are 0.4 to 2.4 times as long as the average, as Human3.6M's.
    """
    rng = np.random.default_rng(0)
    walkers = [
        motion.poses_world for split in ("train", "val", "test") for motion in load_motions("walkers", ".", split)
    ]
    names = [(s, f"{a} {take}".strip()) for s in human36m.SUBJECTS for a in human36m.ACTIONS for take in ("", 1)]
    shares = rng.beta(1.5, 3.5, len(names)) * 2 + 0.4
    ends = np.round(np.cumsum(shares) / shares.sum() * frames).astype(int)
    for (subject, action), T in zip(names, np.diff(ends, prepend=0), strict=True):
        walker = walkers[rng.integers(len(walkers))]
        turns = np.arange(T) % (2 * len(walker) - 2)  # there and back, so that the motion is smooth
        poses = walker[np.where(turns < len(walker), turns, 2 * len(walker) - 2 - turns)].astype(np.float64)
        drift = np.sin(np.arange(T)[:, None] * rng.uniform(0.002, 0.01, 2) + rng.uniform(0, 6, 2))
        poses[..., :2] += drift[:, None] - poses[:, :1, :2]
        world = (poses + rng.normal(0, 0.0005, poses.shape)).astype(np.float32)
        pixels = [
            camera.project(camera.world_to_camera(world.astype(np.float64))) for camera in human36m.cameras(subject)
        ]
        yield subject, action, world, (np.stack(pixels) + rng.normal(0, 3, (CAMERAS, T, 17, 2))).astype(np.float32)


def numpy_p2(poses: Array, target: Array) -> Array:
    """P2 by NumPy's batched SVD, as in VideoPose3D's evaluation, (N, J, 3) and (N, J, 3) → (N,), in their precision."""
    mean = target.mean(-2, keepdims=True)
    y, x = target - mean, poses - poses.mean(-2, keepdims=True)
    u, sigma, vt = np.linalg.svd(x.swapaxes(-1, -2) @ y)
    sign = np.ones_like(sigma)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    scale = (sigma * sign).sum(-1) / np.square(x).sum((-2, -1))
    aligned = scale[:, None, None] * (x @ ((u * sign[:, None]) @ vt))
    return np.asarray(np.linalg.norm(aligned - y, axis=-1).mean(-1))


def time_p2(S: int = 200, B: int = 256, repeats: int = 7) -> dict[str, dict[str, float]]:
    """Milliseconds of P2 of (S x B, 17, 3) float32 poses, medians of interleaved turns, with one and two threads."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(B, 17, 3, generator=generator) * torch.tensor([0.2, 0.5, 0.1])
    poses = target + 0.05 * torch.randn(S, B, 17, 3, generator=generator)
    flat, wide = poses.flatten(0, 1).numpy(), target.expand(S, -1, -1, -1).flatten(0, 1).numpy()
    ways: dict[str, Callable[[], Any]] = {
        "NumPy, SVD": lambda: numpy_p2(flat, wide),
        "prpose": lambda: metrics.p_mpjpe(poses, target),
    }
    off = np.abs(ways["prpose"]().flatten().numpy() - ways["NumPy, SVD"]()).max()
    found, before = {}, torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        medians = {f"{name}, ms": 1000 * median(seconds) for name, seconds in timed(repeats, ways).items()}
        found[f"{threads} thread{'s' * (threads > 1)}"] = medians
    torch.set_num_threads(before)
    for row in found.values():
        row |= {"ratio": row["NumPy, SVD, ms"] / row["prpose, ms"], "largest difference, m": float(off)}
    columns = list(found["1 thread"])
    rows = {name: [f"{value:.3g}" for value in row.values()] for name, row in found.items()}
    print_table(f"P2 of {S} x {B} poses", columns, rows)
    return found


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
