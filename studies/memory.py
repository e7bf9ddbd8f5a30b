"""Memory of ``prpose predict`` against the length of the clip.

    python -m studies.memory --model mgcn-cmu17 --num-samples 2 --picture docs/memory.png --overwrite

Makes the picture and the table of docs/reliability.md, on Linux. Each row is a process of its own. *Peak* is the most
memory that it had; *its own* is without what is in files, such as libraries and the results of long clips, which the
system can write out. Clips are a person who walks to and fro, in the layout of OpenPose, with noise of a pixel.
"""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro

from prpose.atomic import check_output, replacing
from prpose.cli import guarded
from prpose.io.keypoints import read_keypoints

CLIP = Path(__file__).parent.parent / "examples" / "walk_openpose"
SIZE = (1000, 1002)


def write_clip(path: Path, frames: int) -> None:
    """Keypoints of so many frames, as an npz."""
    keypoints = read_keypoints(CLIP, image_size=SIZE, fps=30)
    loop = np.concatenate([keypoints.xy, keypoints.xy[::-1]])
    xy = loop[np.arange(frames) % len(loop)]
    xy += np.random.default_rng(0).standard_normal(xy.shape, dtype=np.float32)
    confidence = np.full(xy.shape[:2], 0.9, np.float32)
    np.savez(path, keypoints_px=xy, confidence=confidence, layout="body25", image_size=np.array(SIZE), fps=30.0)


def memory_of(pid: int) -> dict[str, float]:
    """Megabytes: the peak so far, and now what is the process's own; nothing after its end."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    values = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    return {
        name: int(values[key][0]) * 1024 / 1e6 for name, key in (("peak", "VmHWM"), ("own", "RssAnon")) if key in values
    }


def measured(command: list[str]) -> dict[str, float]:
    """Peak memory of a command, the peak of its own, megabytes, and its seconds; ``ValueError`` if it fails."""
    start, found = time.monotonic(), {"peak": 0.0, "own": 0.0}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            found = {name: max(found[name], value) for name, value in ({**found} | memory_of(process.pid)).items()}
            time.sleep(0.01)
        assert process.stderr is not None, "it is a pipe"
        text = process.stderr.read()
    if process.returncode != 0:
        raise ValueError(f"{' '.join(command)} ended with {process.returncode}: {text[-500:]}")
    return found | {"seconds": time.monotonic() - start}


def draw(rows: dict[str, dict[str, float]], path: Path) -> None:
    """Memory against the number of frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    lines = (("peak", "peak", "-o", "#1f77b4", 8), ("own", "without what is in files", "--s", "#ff7f0e", -36))
    for name, label, style, colour, below in lines:
        axes.plot([row["frames"] for row in rows.values()], [row[name] for row in rows.values()], style, color=colour)
        last = list(rows.values())[-1]
        point, offset = (last["frames"], last[name]), (0, below)
        axes.annotate(label, point, offset, textcoords="offset points", ha="right", color=colour)
    axes.set_xscale("log")
    axes.set_ylim(0)
    axes.set_xlabel("frames")
    axes.set_ylabel("memory, MB")
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png", metadata={"Software": None})


def main(
    frames: tuple[int, ...] = (1_000, 10_000, 30_000, 100_000),
    num_samples: int = 10,
    model: str = "gaussian-cmu17",
    picture: Path | None = None,
    overwrite: bool = False,
) -> dict[str, dict[str, Any]]:
    """Print a row per length.

    Args:
        frames: Lengths of the clips.
        num_samples: Number of samples of each frame, which are not saved.
        model: Bundled model.
        picture: PNG file to draw.
        overwrite: Replace an existing picture.
    """
    if picture is not None:
        check_output(picture, overwrite)
    rows: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as folder:
        clip, out = Path(folder) / "clip.npz", Path(folder) / "out.npz"
        for T in frames:
            write_clip(clip, T)
            options = ["--model", model, "-n", str(num_samples), "--config.save-samples", "0", "--overwrite"]
            command = [sys.executable, "-m", "prpose", "predict", str(clip), "--out", str(out), *options]
            rows[f"{T:,}"] = measured(command) | {"frames": T}
            print(f"| {T:,} | {rows[f'{T:,}']['peak']:.0f} | {rows[f'{T:,}']['own']:.0f} |", flush=True)
    if picture is not None:
        draw(rows, picture)
    return rows


if __name__ == "__main__":
    sys.exit(guarded(lambda: tyro.cli(main)))
