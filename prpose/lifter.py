"""The lifter contract, the table of known lifters, and flip averaging.

A lifter is any ``nn.Module`` that maps normalised keypoints (B, T, J, 2) to poses
(B, T - F + 1, J, 3): camera axes, metres, relative to the pelvis. F is its receptive field;
single-frame networks have F = 1.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from prpose.nets.graph import body_adjacency
from prpose.nets.htnet import HTNet
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.skeleton import H36M_17, mirror_pose
from prpose.tables import look_up


def _htnet(**kw: Any) -> HTNet:
    return HTNet(body_adjacency(H36M_17.parents), **kw)


def _light_modulated_gcn(**kw: Any) -> ModulatedGCN:
    settings = {"hidden": 128, "blocks": 4, "out_channels": 3, "split": False} | kw
    return ModulatedGCN(body_adjacency(H36M_17.parents), **settings)


LIFTERS: dict[str, Callable[..., nn.Module]] = {
    "htnet": _htnet,
    "mgcn_lw": _light_modulated_gcn,
}
"""Published lifters by name; keyword arguments go to the network's constructor."""


def build_lifter(name: str, **kw: Any) -> nn.Module:
    """A lifter with random weights, in training mode; the defaults are the published network.

    Args:
        name: a key of :data:`LIFTERS`.
        kw: constructor arguments that differ from the published ones.

    Raises:
        ValueError: for an unknown name; the message names the nearest known one. Or for
            arguments that the network does not take.

    Example:
        >>> import torch
        >>> build_lifter("mgcn_lw").eval()(torch.zeros(4, 1, 17, 2)).shape
        torch.Size([4, 1, 17, 3])
    """
    build = look_up(name, LIFTERS, "lifter")
    try:
        return build(**kw)
    except TypeError as error:
        raise ValueError(f"{name} cannot be built with {kw}: {error}") from None


def average_flipped(poses: Tensor, poses_mirrored: Tensor, mirror: Sequence[int]) -> Tensor:
    """Mean of poses and the un-mirrored lift of the mirror image, (*, J, 3), pelvis at 0.

    Test-time flip averaging of VideoPose3D (arXiv 1811.11742, §5). The pelvis is set to zero
    afterwards, not subtracted: lifters are trained with it at the origin.
    """
    poses = (poses + mirror_pose(poses_mirrored, mirror)) / 2
    poses[..., 0, :] = 0
    return poses
