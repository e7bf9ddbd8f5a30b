import pytest
import torch

from prpose import build_lifter
from prpose.nets.temporal import TemporalModel


def small(**kw):
    torch.manual_seed(0)
    return TemporalModel(**({"channels": 16} | kw)).double().eval()


def clip(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, 17, 2, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(1,), (3,), (1, 1, 1), (3, 3, 3), (3, 1, 5), [5, 3]])
@torch.no_grad()
def test_strided_and_dilated_forms_agree(widths, causal):
    net = small(filter_widths=widths, causal=causal)
    windows = clip(4, net.F)
    strided = net.strided(windows)
    assert strided.shape == (4, 1, 17, 3)
    assert (strided - net.dilated(windows)).abs().max() < 1e-12
    assert torch.equal(net(windows), strided)  # the form that computes nothing in vain


@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_a_clip_is_lifted_like_its_windows(causal):
    net, x = small(filter_widths=(3, 5), causal=causal), clip(2, 20)
    poses = net(x)
    assert poses.shape == (2, 6, 17, 3)
    for t in range(6):
        assert (poses[:, t : t + 1] - net.strided(x[:, t : t + 15])).abs().max() < 1e-12


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize(("causal", "expected"), [(False, [12, 13, 14]), (True, [24, 25, 26])])
def test_which_frame_the_pose_is_of(causal, expected, strided):
    """Blocks that add nothing leave what the residual picks: the middle frames, or the last."""
    net = small(causal=causal)
    for bn in net.layers_bn:
        torch.nn.init.zeros_(bn.weight)
        torch.nn.init.zeros_(bn.bias)
    x = clip(1, 27).requires_grad_()
    (net.strided if strided else net.dilated)(x).square().sum().backward()
    assert x.grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist() == expected


@torch.no_grad()
def test_training_on_windows_takes_statistics_of_the_frames_that_matter():
    """Frames that no pose depends on must not move the batch norms."""
    net, x = small().train(), clip(3, 27)
    net.dropout.p = 0.0
    expected = net.layers_bn[3].running_mean.clone()
    y = []
    net.layers_conv[3].register_forward_hook(lambda _, __, out: y.append(out))
    net(x)
    assert y[0].shape == (3, 1, 16)
    moved = 0.9 * expected + 0.1 * y[0].mean((0, 1))
    assert torch.allclose(net.layers_bn[3].running_mean, moved)


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"filter_widths": []}, r"expected a list of filter_widths, got \[\]"),
        ({"filter_widths": 3}, "expected a list of filter_widths, got 3"),
        *(({"filter_widths": bad}, "filter_widths to be an odd") for bad in ([3, 2], [3, -1], "333", [3.0])),
        *(({"causal": bad}, "expected causal to be true or false, got") for bad in ("false", 1)),
        ({"dropout": 2}, "dropout probability has to be between 0 and 1"),
        ({"joints": 16}, "temporal cannot be built with .*joints"),
        ({"frames": 27}, "temporal cannot be built with .*frames"),
    ],
)
def test_bad_arguments_are_named(kw, message):
    with pytest.raises(ValueError, match=message):
        build_lifter("temporal", **kw)


def test_windows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="expected windows of 27 frames, got 28"):
        small().strided(clip(1, 28))
    with pytest.raises(ValueError, match=r"T >= 27, got \(17, 2\)"):
        small()(clip())
