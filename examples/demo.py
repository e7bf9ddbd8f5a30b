"""The main job, on nothing but what the repository ships.

Evaluates a shipped model on walkers (procedural people before virtual cameras and a simulated
detector), lifts a short clip to many hypotheses, and draws them beside the truth.
"""

import sys
from pathlib import Path

import numpy as np

from prpose.atomic import replacing
from prpose.cli import guarded, run
from prpose.data import load_clips
from prpose.draw import draw_hypotheses
from prpose.predictor import Predictor

MODEL = "mgcn-cmu17"
PICTURE = Path("demo_hypotheses.png")


def main() -> None:
    print(f"{MODEL}, trained on cmu17, on walkers, whom it has never seen:\n")
    command = ["evaluate", "walkers", "--model", MODEL, "-n", "50", "--stride", "2"]
    print("$ prpose", *command, "\n", flush=True)
    run(command)
    clip = load_clips("walkers", ".", "test", actions=("wave",))[0]
    predictor = Predictor.load(MODEL)
    prediction = predictor.predict(
        clip.keypoints_px, clip.camera.width, clip.camera.height, S=100, seed=0
    )
    frames = [20, 80, 140, 200]
    with replacing(PICTURE) as temporary:
        draw_hypotheses(
            clip, frames, prediction.hypotheses[:, frames], prediction.single[frames], temporary
        )
    truth = clip.poses_cam - clip.poses_cam[:, :1]
    error = np.linalg.norm(prediction.mean - truth, axis=-1).mean() * 1000
    print(f"\n{len(clip)} frames of somebody waving, 100 hypotheses each: the mean pose is off")
    print(f"by {error:.0f} mm on average; the hypotheses spread by", end=" ")
    print(f"{prediction.spread[:, 1:].mean() * 1000:.0f} mm per axis.")
    print(f"written: {PICTURE.resolve()}")


if __name__ == "__main__":
    sys.exit(guarded(main))
