"""The main job, on nothing but what the repository ships.

Evaluates a shipped model on walkers (procedural people before virtual cameras and a simulated
detector), lifts a short clip to many hypotheses with ``prpose predict``, and draws them beside the
truth.
"""

import shlex
import sys
from pathlib import Path

import numpy as np

from prpose.atomic import replacing
from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.io.export import read_prediction
from prpose.keypoints import Keypoints, write_keypoints
from prpose.regions import regions_of
from prpose.view import draw_prediction

MODEL = "mgcn-cmu17"
OUT = Path("demo")
FRAMES = [20, 80, 140, 200]


def main() -> None:
    OUT.mkdir(exist_ok=True)
    track, poses, picture = OUT / "wave_2d.npz", OUT / "wave_3d.npz", OUT / "wave.png"
    print(f"{MODEL}, trained on cmu17, on walkers, whom it has never seen:\n")
    prpose("evaluate", "walkers", "--model", MODEL, "-n", "50", "--stride", "2")

    clip = load_clips("walkers", ".", "test", actions=("wave",))[0]
    size = clip.camera.width, clip.camera.height
    write_keypoints(track, Keypoints(clip.keypoints_px, *size, layout="h36m17", fps=clip.fps))
    print("\nSomebody waves for four seconds; a detector's 2D keypoints become 3D:\n")
    prpose("predict", track, "--model", MODEL, "-n", "100", "--out", poses, "--overwrite")

    found = read_prediction(poses)
    assert found.samples is not None, "all were written"
    with replacing(picture) as temporary:
        draw_prediction(clip, FRAMES, found.samples[:, FRAMES], found.deterministic[FRAMES], temporary)
    error = (clip.poses_cam - clip.poses_cam[:, :1] - found.pose)[:, 1:]
    semi_axes, directions = (part[:, 1:] for part in regions_of(found.covariance, found.model))
    held = ((np.einsum("tjki,tji->tjk", directions, error) / semi_axes) ** 2).sum(-1) < 1
    print(
        f"\nThe pose is {np.linalg.norm(error, axis=-1).mean() * 1000:.0f} mm from the truth on "
        f"average, over joints and frames; 95 % regions hold {100 * held.mean():.0f} % of them. "
        "Files:"
    )
    for path, what in (
        (track, "2D keypoints"),
        (poses, "hypotheses, one pose, covariances, 95 % regions"),
        (picture, "2D input, cloud of hypotheses, truth"),
    ):
        print(f"  {path.resolve()}  {what}")


def prpose(*args: str | Path) -> None:
    """Runs a command as if typed, and shows it."""
    words = [str(arg) for arg in args]
    print("$ prpose", shlex.join(words), "\n", flush=True)
    run(words)


if __name__ == "__main__":
    sys.exit(guarded(main))
