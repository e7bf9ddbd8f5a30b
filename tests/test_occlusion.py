import numpy as np
import pytest
from scipy.optimize import minimize

from prpose.data.synthetic.detector_noise import Body, segment_distance
from prpose.skeleton import H36M_17


@pytest.mark.parametrize("seed", range(20))
def test_segment_distance_against_a_general_minimiser(seed):
    tip, start, end = np.random.default_rng(seed).normal(size=(3, 3))

    def gap(st):
        return np.sum((tip * st[0] - (start + (end - start) * st[1])) ** 2)

    found = min(minimize(gap, guess, bounds=[(0, 1), (0, 1)]).fun for guess in [(0.1, 0.1), (0.9, 0.9)])
    assert float(segment_distance(tip, start, end)) == pytest.approx(np.sqrt(found), abs=1e-4)


def standing(depth=5.0):
    """Upright in front of the camera and facing it, arms hanging; camera axes, metres."""
    pose = np.zeros((17, 3))
    places = {
        "pelvis": (0, 0), "right_hip": (-0.13, 0), "right_knee": (-0.13, 0.45),
        "right_ankle": (-0.13, 0.9), "left_hip": (0.13, 0), "left_knee": (0.13, 0.45),
        "left_ankle": (0.13, 0.9), "spine": (0, -0.25), "thorax": (0, -0.5), "neck": (0, -0.62),
        "head": (0, -0.75), "left_shoulder": (0.2, -0.48), "left_elbow": (0.25, -0.2),
        "left_wrist": (0.28, 0.05), "right_shoulder": (-0.2, -0.48), "right_elbow": (-0.25, -0.2),
        "right_wrist": (-0.28, 0.05),
    }  # fmt: skip
    for name, (x, y) in places.items():
        pose[H36M_17.index(name)] = (x, y, depth)
    return pose


def put(pose, name, place):
    pose = pose.copy()
    pose[H36M_17.index(name)] = place
    return pose


def hidden_names(pose):
    return {H36M_17.names[j] for j in np.flatnonzero(Body().hidden(pose))}


def test_front_view():
    assert hidden_names(standing()) == set()
    behind = put(standing(), "left_wrist", (0, -0.25, 5.3))
    assert hidden_names(behind) == {"left_wrist"}
    before = put(standing(), "left_wrist", (0, -0.25, 4.6))
    assert "left_wrist" not in hidden_names(before)


def test_side_view():
    turned = standing()
    turned[:, 2], turned[:, 0] = 5 + turned[:, 0], 0.0  # the left side away from the camera
    hidden = hidden_names(turned)
    assert {"left_hip", "left_knee", "left_shoulder", "left_elbow"} <= hidden
    # Of the near side only the hip, which the hanging hand is in front of.
    assert {name for name in hidden if name.startswith("right_")} == {"right_hip"}


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_leading_axes_and_mirror_images(shape):
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(*shape, 17, 3)) * 0.4 + [0, 0, 4]
    hidden = Body().hidden(poses)
    assert hidden.shape == (*shape, 17)
    one = [Body().hidden(pose) for pose in poses.reshape(-1, 17, 3)]
    assert np.array_equal(hidden.reshape(-1, 17), np.array(one))
    mirrored = (poses * [-1, 1, 1])[..., H36M_17.mirror, :]
    assert np.array_equal(Body().hidden(mirrored)[..., H36M_17.mirror], hidden)
