"""From 2D keypoints to many 3D poses, with what the repository ships: python examples/demo.py [FOLDER]

A walker (a procedural person in front of a virtual camera) waves; a simulated detector gives 2D keypoints. A bundled
model, trained on cmu17 and not on walkers, predicts 100 samples per frame. The script compares them with the ground
truth and writes files and an interactive page. It takes about ten seconds and needs no network.
"""

import sys
from pathlib import Path

import numpy as np

import prpose
from prpose.data import Clip, load_clips
from prpose.keypoints import save_keypoints
from prpose.view import draw_columns

MODEL = "gaussian-wide"
FRAMES = [5, 20, 35, 50]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clip = load_clips("walkers", ".", "test", actions=("wave",), stride=4)[0]
    size = (clip.camera.width, clip.camera.height)
    keypoints = prpose.Keypoints(clip.keypoints_px, size, layout="h36m17", fps=clip.fps)
    save_keypoints(folder / "wave_2d.npz", keypoints)

    model = prpose.load(MODEL)
    print(model)
    prediction = model(keypoints, num_samples=100, seed=0)
    print(prediction)
    prediction.save(folder / "wave_3d.npz", overwrite=True)
    prediction.save(folder / "wave_3d.bvh", overwrite=True)

    truth = clip.poses_cam - clip.poses_cam[:, :1]
    error = (truth - prediction.pose)[:, 1:]  # (T, 16, 3) metres, without the pelvis, which is at 0
    nearest = np.linalg.norm(truth - prediction.samples, axis=-1).mean(-1).min(0)  # (T,) metres
    semi_axes, directions = (part[:, 1:] for part in prediction.regions(0.95))
    inside = ((np.einsum("tjki,tji->tjk", directions, error) / semi_axes) ** 2).sum(-1) < 1
    print(f"Mean error of the pose: {1000 * np.linalg.norm(error, axis=-1).mean():.0f} mm per joint.")
    print(f"Mean error of the best of {prediction.num_samples} samples: {1000 * nearest.mean():.0f} mm per joint.")
    print(f"The 95 % regions contain {100 * inside.mean():.0f} % of the joints.")

    prediction.view(truth).save(folder / "wave.html", overwrite=True)
    written = {
        "wave_2d.npz": "2D keypoints, the input",
        "wave_3d.npz": "samples, pose, covariance; read it with prpose.read_prediction",
        "wave_3d.bvh": "the pose as a skeleton for Blender",
    }
    try:
        draw(clip, prediction, folder / "wave.png")
        written["wave.png"] = "input, samples and ground truth of four frames"
    except ValueError as error_of_extra:  # matplotlib is an extra
        print(f"No picture: {error_of_extra}")
    for name, content in written.items():
        print(f"Wrote {folder / name}: {content}.")
    print(f"Wrote {folder / 'wave.html'}: all frames, to turn and to play. Open it in a browser, it needs no network:")
    print((folder / "wave.html").resolve().as_uri())


def draw(clip: Clip, prediction: prpose.Prediction, path: Path) -> None:
    """A column per frame: the 2D input; below, the samples and the truth."""
    columns = []
    for t in FRAMES:
        poses = [(pose, {"linewidth": 0.6, "alpha": 0.12}) for pose in prediction.samples[:, t]]
        poses += [(clip.poses_cam[t], {"color": "black", "linewidth": 1.6})]
        poses += [(prediction.deterministic[t], {"color": "red", "linewidth": 1.0, "linestyle": "--"})]
        columns.append((clip, t, poses))
    title = f": {len(prediction.samples)} samples\nblack: ground truth, red: deterministic"
    draw_columns(columns, path, title)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
