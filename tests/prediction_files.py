"""Predictions for the tests: random ones, and a person standing in front of the camera."""

import numpy as np
import torch

import prpose
from prpose.camera import Camera
from prpose.noise import AdaptiveNoise
from prpose.prediction import Prediction
from prpose.sampler import Sampler
from prpose.skeleton import H36M_17

CAMERA = Camera(1000, 800, (1100.5, 1101.0), (499.5, 400.25))

STANDING = {
    "pelvis": (0, 0, 0),
    "hip": (0.1, 0.0, 0.0), "knee": (0.11, 0.45, -0.02), "ankle": (0.12, 0.9, 0.03),
    "spine": (0, -0.25, 0.01), "thorax": (0, -0.5, 0), "neck": (0, -0.58, -0.1),
    "head": (0, -0.7, 0),
    "shoulder": (0.18, -0.48, 0.0), "elbow": (0.22, -0.2, 0.03), "wrist": (0.25, 0.05, -0.05),
}  # fmt: skip
"""Camera axes, metres, left side: facing the camera, whose right is the person's left."""


def standing(T=1):
    """(T, 17, 3), the same in all frames."""
    rows = []
    for name in H36M_17.names:
        side, _, part = name.rpartition("_")
        rows.append(np.array(STANDING[part]) * [-1 if side == "right" else 1, 1, 1])
    return np.repeat(np.array(rows, dtype=np.float32)[None], T, axis=0)


def random_walk_of_bones(T=20, seed=0):
    """(T, 17, 3) bones of constant length and any direction, which changes from frame to frame."""
    rng = np.random.default_rng(seed)
    directions = np.cumsum(rng.normal(size=(T, 17, 3)), axis=0)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    lengths = rng.uniform(0.1, 0.5, 17)
    pose = np.zeros((T, 17, 3))
    for joint, parent in enumerate(H36M_17.parents[1:], start=1):
        pose[:, joint] = pose[:, parent] + directions[:, joint] * lengths[joint]
    return pose.astype(np.float32)


def fields(T=4, S=5, seed=0):
    """Arguments of Prediction, all of them."""
    rng = np.random.default_rng(seed)
    samples = standing(T) + rng.normal(0, 0.03, (S, T, 17, 3)).astype(np.float32)
    samples[:, :, 0] = 0
    offsets = samples.astype(float) - samples.mean(0, dtype=float)
    spread = rng.normal(0, 0.2, (T, 3, 3))
    return {
        "pose": samples.mean(0),
        "covariance": np.einsum("stji,stjk->tjik", offsets, offsets) / (S - 1),
        "deterministic": standing(T),
        "num_samples": S,
        "samples": samples,
        "flags": rng.integers(0, 4, (T, 17)).astype(np.uint8),
        "frame_numbers": np.arange(T) + 3,
        "times_s": 7.5 + np.cumsum(rng.uniform(0.03, 0.035, T)),
        "fps": 30.0,
        "root": rng.uniform([-1, -1, 3], [1, 1, 5], (T, 3)).astype(np.float32),
        "root_covariance": (spread @ spread.swapaxes(1, 2)).astype(np.float32),
        "keypoints_px": rng.uniform(0, 800, (T, 17, 2)).astype(np.float32),
        "camera": CAMERA,
        "model": {"name": "mgcn-cmu17", "alpha": 0.0125, "lifter": {"sha256": "24dd"}},
        "warnings": ("interpolated left_wrist in 1 frame",),
        "command": "prpose predict keypoints.npz --out 'poses.npz'",
        "created_by": "prpose 0.1.0",
        "seed": 3,
        "noise_sd_px": rng.uniform(1, 9, (T, 17, 2)).astype(np.float32),
    }


def make_prediction(T=4, S=5, seed=0, **changes):
    """A prediction with all fields; a change of None leaves one out."""
    return Prediction(**(fields(T, S, seed) | changes))


def prediction_of(pose, **known):
    """A prediction of which only the point estimate matters."""
    return Prediction(pose, np.zeros((len(pose), 17, 3, 3)), pose, 2, **known)


def model_of(lifter="mgcn_lw", **kw):
    """A model with random weights."""
    torch.manual_seed(0)
    noise = AdaptiveNoise(prpose.build_variance_net("mgcn_lw"), 0.01)
    return prpose.Model(Sampler(prpose.build_lifter(lifter, **kw).eval(), noise.eval()).eval())
