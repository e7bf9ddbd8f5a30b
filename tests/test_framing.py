"""The same person in other framings of the same view: the default model's pose stays the same."""

import numpy as np
import pytest

import prpose
from prpose.cli.many_files import Request
from prpose.data import load_clips

SIZE = (1000, 1002)


def pose_of(model, xy, size, intrinsics):
    return model(xy, 2, layout="h36m17", image_size=size, fps=60, intrinsics=intrinsics).deterministic


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("action", ["walk", "wave", "sit"])
def test_framings_change_the_pose_by_less_than_5_mm(action):
    model = prpose.load(Request.model)
    clip = load_clips("walkers", ".", "test", "gt", actions=(action,))[0]
    xy = clip.keypoints_px[:60].astype(np.float64)
    (fx, fy), (cx, cy) = clip.camera.focal_px, clip.camera.center_px
    whole = pose_of(model, xy, SIZE, (fx, fy, cx, cy))
    left = xy[..., 0].mean() - 200
    rays = np.concatenate([(xy - (cx, cy)) / (fx, fy), np.ones((*xy.shape[:2], 1))], axis=-1)
    angle = np.deg2rad(12)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    aside = rays @ turn.T
    framings = {
        "portrait crop": (xy - (left, 0), (400, 1002), (fx, fy, cx - left, cy), np.eye(3)),
        "small": ((xy - (cx, cy)) / 4 + (cx, cy), SIZE, (fx / 4, fy / 4, cx, cy), np.eye(3)),
        "large": (3 * xy, (3000, 3006), (3 * fx, 3 * fy, 3 * cx, 3 * cy), np.eye(3)),
        "off centre": (aside[..., :2] / aside[..., 2:] * (fx, fy) + (cx, cy), SIZE, (fx, fy, cx, cy), turn),
    }
    for name, (moved, size, intrinsics, rotation) in framings.items():
        poses = pose_of(model, moved, size, intrinsics) @ rotation
        assert np.linalg.norm(poses - whole, axis=-1).mean() < 0.005, name
