import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from prpose.postprocess import gaussian, one_euro


def test_the_gaussian_is_scipys():
    poses = torch.randn(50, 17, 3, dtype=torch.float64)
    expected = gaussian_filter1d(poses.numpy(), 0.05 * 60, axis=0, mode="nearest", radius=9)
    assert np.allclose(gaussian(poses, 60.0, 0.05).numpy(), expected)


def test_one_euro_by_hand():
    """One coordinate, the paper's recipe step by step."""
    x = [0.0, 0.1, 0.05, 0.3, 0.2]

    def alpha(cutoff, fps):
        return 1 / (1 + fps / (2 * math.pi * cutoff))

    out, speed = x[0], 0.0
    expected = [out]
    for value in x[1:]:
        speed += alpha(1.0, 30) * ((value - out) * 30 - speed)
        out += alpha(0.7 + 2.0 * abs(speed), 30) * (value - out)
        expected.append(out)
    poses = torch.tensor(x, dtype=torch.float64)[:, None, None].expand(-1, 2, 3)
    found = one_euro(poses, 30.0, 0.7, 2.0)
    assert np.allclose(found[:, 1, 2].numpy(), expected)


@pytest.mark.parametrize("smooth", [gaussian, one_euro])
def test_still_poses_stay_and_tremble_goes(smooth):
    still = torch.randn(1, 17, 3).expand(40, 17, 3)
    assert torch.allclose(smooth(still, 60.0), still, atol=1e-6)
    tremble = still + 0.01 * torch.randn(40, 17, 3, generator=torch.Generator().manual_seed(0))
    assert (smooth(tremble, 60.0) - still)[10:].std() < 0.6 * 0.01
    assert smooth(tremble[:1], 60.0).shape == (1, 17, 3)


def test_one_euro_does_not_see_the_future():
    poses = torch.randn(20, 17, 3)
    assert torch.equal(one_euro(poses, 60.0)[:10], one_euro(poses[:10], 60.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: gaussian(x, 0.0), "expected fps > 0, got 0.0"),
        (lambda x: gaussian(x, 60.0, -1.0), "expected sigma_s > 0"),
        (lambda x: one_euro(x, 60.0, float("nan")), "expected min_cutoff_hz > 0, got nan"),
        (lambda x: one_euro(x, 60.0, 1.0, -1.0), "expected beta >= 0"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(4, 17, 3))
