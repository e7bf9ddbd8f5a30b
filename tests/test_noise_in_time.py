import math

import pytest
import torch

from prpose.noise import correlated, noise_rho


@pytest.mark.parametrize("kind", KINDS)
def test_each_frame_stays_standard_normal_and_neighbours_correlate_as_said(kind):
    keep = noise_rho(kind, fps=60, time_constant_s=0.1)
    eps = torch.randn(20_000, 12, 1, 2, generator=torch.Generator().manual_seed(0))
    noise = correlated(eps, keep)
    assert noise.shape == eps.shape
    assert noise.mean((0, 2, 3)).abs().max() < 0.03
    assert (noise.std((0, 2, 3)) - 1).abs().max() < 0.02
    for apart in (1, 5):
        product = (noise[:, apart:] * noise[:, :-apart]).mean()
        assert float(product) == pytest.approx(keep**apart, abs=0.01)


def test_the_kinds_are_the_ends_and_what_lies_between():
    eps = torch.randn(3, 2, 5, 17, 2)
    assert torch.equal(correlated(eps, noise_rho("iid")), eps)
    shared = correlated(eps, noise_rho("shared"))
    assert torch.equal(shared, eps[:, :, :1].expand_as(eps))
    assert noise_rho("ar1", fps=25, time_constant_s=0.5) == pytest.approx(math.exp(-1 / 12.5))


def test_hypotheses_do_not_mix():
    eps = torch.randn(4, 6, 17, 2)
    together = correlated(eps, 0.7)
    assert all(torch.equal(together[s], correlated(eps[s], 0.7)) for s in range(4))


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"kind": "white"}, "unknown kind of noise in time 'white'"),
        ({"kind": "ar1", "fps": 0}, "expected fps > 0, got 0"),
        ({"kind": "ar1", "time_constant_s": float("nan")}, "expected time_constant_s > 0, got nan"),
    ],
)
def test_mistakes_are_named(kw, message):
    with pytest.raises(ValueError, match=message):
        kept(**kw)
    with pytest.raises(ValueError, match=r"expected keep from 0 to 1, got 1\.5"):
        correlated(torch.zeros(1, 2, 1, 2), 1.5)
