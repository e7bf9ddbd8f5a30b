"""The lifter contract, the table of known lifters, their refinements, and flip averaging.

A lifter is any ``nn.Module`` that maps normalised keypoints (B, T, J, 2) to poses
(B, T - F + 1, J, 3): camera axes, metres, relative to the pelvis. F is its receptive field in
frames, an attribute of that name; networks without one are of single frames, F = 1. The pose is
that of the middle one of F frames, or of the last one if an attribute ``causal`` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prpose.imports import is_path, named_module_class
from prpose.nets.graph import body_adjacency, body_partitions
from prpose.nets.graphmlp import GraphMLP
from prpose.nets.htnet import HTNet
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.nets.refinement import Refinement
from prpose.nets.temporal import TemporalModel
from prpose.skeleton import H36M_16, H36M_17, Skeleton, mirror_pose
from prpose.tables import look_up

PAIRS_16 = tuple(
    H36M_16.subset(pair)
    for pair in (
        *(("right_knee", "right_ankle"), ("left_knee", "left_ankle"), ("right_hip", "left_hip")),
        *(("pelvis", "spine"), ("thorax", "head")),
        *(("right_elbow", "right_wrist"), ("left_elbow", "left_wrist")),
        ("left_shoulder", "right_shoulder"),
    )
)
"""What the 16-joint Modulated GCN's non-local blocks pool (behaviour of its release)."""

NECK = {"neck": {"thorax": 0.5, "head": 0.5}}
"""The joint that 16-joint networks lack: Human3.6M's neck/nose point lies between these two."""


def _htnet(**kw: Any) -> HTNet:
    return HTNet(body_adjacency(H36M_17.parents), **kw)


def _light_modulated_gcn(**kw: Any) -> ModulatedGCN:
    settings = {"hidden": 128, "blocks": 4, "out_channels": 3, "split": False} | kw
    return ModulatedGCN(body_adjacency(H36M_17.parents), **settings)


def _modulated_gcn(joints: int = 17, nonlocal_blocks: bool = False, **kw: Any) -> nn.Module:
    """The published network for detected keypoints; with 16 joints, the one for true ones."""
    if not isinstance(nonlocal_blocks, bool):
        raise ValueError(f"expected nonlocal_blocks to be true or false, got {nonlocal_blocks!r}")
    settings: dict[str, Any] = {"out_channels": 3}
    if joints == 16:
        pairs = PAIRS_16 if nonlocal_blocks else ()
        settings |= {"hidden": 128, "pairs": pairs, "unit_modulation": True} | kw
        net = ModulatedGCN(body_adjacency(H36M_16.parents), **settings)
        return Remapped(net, H36M_16, H36M_17, NECK)
    if joints != 17:
        raise ValueError(f"expected joints to be 16 or 17, got {joints!r:.80}")
    if nonlocal_blocks:
        raise ValueError("expected nonlocal_blocks with joints=16 only; of 17, one is always on")
    settings |= {"hidden": 384, "dropout": 0.2, "non_local": True} | kw
    return ModulatedGCN(body_adjacency(H36M_17.parents), **settings)


def _graphmlp(**kw: Any) -> GraphMLP:
    centre = H36M_17.index("spine")
    return GraphMLP(body_partitions(H36M_17.parents, H36M_17.mirror, centre), **kw)


def _temporal(**kw: Any) -> TemporalModel:
    return TemporalModel(len(H36M_17), **kw)


LIFTERS: dict[str, Callable[..., nn.Module]] = {
    "htnet": _htnet,
    "mgcn_lw": _light_modulated_gcn,
    "modulated_gcn": _modulated_gcn,
    "graphmlp": _graphmlp,
    "temporal": _temporal,
}
"""Published lifters by name; keyword arguments go to the network's constructor."""

REFINEMENTS: dict[str, Callable[..., nn.Module]] = {
    "modulated_gcn": Refinement,
    "graphmlp": lambda **kw: Refinement(**({"hidden": 1536} | kw)),
}
"""The published refinement of a lifter's poses, by the lifter's name."""


def build_lifter(name: str, **kw: Any) -> nn.Module:
    """A lifter with random weights, in training mode; the defaults are the published network.

    Args:
        name: a key of :data:`LIFTERS`, or ``package.module:Class`` for a network of your own.
        kw: constructor arguments that differ from the published ones. Some choose another
            published network: ``frames`` of graphmlp, ``filter_widths`` and ``causal`` of
            temporal, ``joints`` (17 or 16; either way it lifts 17) and with 16 of them
            ``nonlocal_blocks`` of modulated_gcn.

    Raises:
        ValueError: for an unknown name; the message names the nearest known one. Or for
            arguments that the network does not take, or one that does not keep the contract.

    Example:
        >>> import torch
        >>> build_lifter("mgcn_lw").eval()(torch.zeros(4, 1, 17, 2)).shape
        torch.Size([4, 1, 17, 3])
        >>> build_lifter("temporal", channels=8).eval()(torch.zeros(4, 30, 17, 2)).shape
        torch.Size([4, 4, 17, 3])
    """
    if not is_path(name):
        return _built(name, LIFTERS, "lifter", kw)
    lifter = _built(name, {name: named_module_class(name)}, "lifter", kw)
    check_contract(lifter, name)
    return lifter


def check_contract(lifter: nn.Module, name: str = "the lifter") -> None:
    """Whether it is a lifter: lifts a clip of F + 1 frames to two poses.

    Raises:
        ValueError: saying what was expected and what came.
    """
    F, J, training = receptive_field(lifter), len(H36M_17), lifter.training
    keypoints = torch.zeros(2, F + 1, J, 2)
    expected, given = (2, 2, J, 3), f"keypoints of shape {tuple(keypoints.shape)} (F = {F})"
    try:
        with torch.no_grad():
            poses = lifter.eval()(keypoints)
    except Exception as error:  # the network is the user's: anything may happen
        raise ValueError(f"{name} cannot lift {given}: {error}") from None
    finally:
        lifter.train(training)
    if not isinstance(poses, Tensor) or poses.shape != expected:
        got = tuple(poses.shape) if isinstance(poses, Tensor) else type(poses).__name__
        raise ValueError(f"expected {name} to make poses of shape {expected} of {given}, got {got}")


def build_refinement(name: str, **kw: Any) -> nn.Module:
    """A refinement with random weights, in training mode; the defaults are the published one.

    It maps a lifter's poses and its keypoints at the poses' depths
    (:func:`prpose.nets.refinement.back_project`) to refined poses, (*, 17, 3) all of them.

    Args:
        name: the lifter's name, a key of :data:`REFINEMENTS`.
        kw: constructor arguments that differ from the published ones.

    Raises:
        ValueError: as :func:`build_lifter`.
    """
    return _built(name, REFINEMENTS, "refinement", kw)


def _built(name: str, table: Mapping[str, Callable[..., nn.Module]], kind: str, kw: Mapping[str, Any]) -> nn.Module:
    build = look_up(name, table, kind)
    try:
        return build(**kw)
    except (TypeError, RuntimeError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"{name} cannot be built with {kw}: {error}") from None


def receptive_field(lifter: nn.Module) -> int:
    """F: from how many frames of keypoints one pose is made; 1 if the lifter does not say.

    Example:
        >>> receptive_field(build_lifter("temporal", filter_widths=[3, 3], channels=8))
        9
    """
    return int(getattr(lifter, "F", 1))


def is_causal(lifter: nn.Module) -> bool:
    """Whether a pose is that of the last of its F frames, not of the middle one."""
    return bool(getattr(lifter, "causal", False))


def own_frame(lifter: nn.Module) -> int:
    """Which of its F frames a pose is of, from 0.

    Example:
        >>> own_frame(build_lifter("temporal", channels=8))
        13
    """
    F = receptive_field(lifter)
    return F - 1 if is_causal(lifter) else F // 2


def poses_at_once(lifter: nn.Module, device: torch.device) -> int:
    """How many poses a network lifts fastest at once, each with its mirror image.

    A CPU wants features that its cache holds and its allocator keeps, some 2 MB; a GPU wants many
    poses. Networks of single frames have features for every joint, those of several frames mostly
    for every frame. Measured in docs/speed.md.
    """
    if device.type != "cpu":
        return 4096
    return 128 if receptive_field(lifter) == 1 else 512


def padded(keypoints: Tensor, lifter: nn.Module) -> Tensor:
    """A clip with its ends repeated, so that there is a pose for each of its frames.

    (B, T, J, 2) → (B, T + F - 1, J, 2), as VideoPose3D does (arXiv 1811.11742, §5).
    """
    before = own_frame(lifter)
    after = receptive_field(lifter) - 1 - before
    first, last = keypoints[:, :1], keypoints[:, -1:]
    ends = first.expand(-1, before, -1, -1), last.expand(-1, after, -1, -1)
    return torch.cat([ends[0], keypoints, ends[1]], dim=1)


class Remapped(nn.Module):
    """A lifter of fewer joints as one of more, (B, T, J, 2) → (B, T - F + 1, J, 3).

    It sees its own joints only; those it lacks are named weighted sums of the ones that it gives.

    Args:
        net: the lifter of fewer joints.
        inner: its skeleton; the names of its joints are also in ``outer``.
        outer: the skeleton of the J joints.
        made: for each joint that ``inner`` lacks, the weights of joints that it has.

    Raises:
        ValueError: for a joint without weights, weights that do not sum to 1, so that the pose
            would move with its origin, or that differ between the sides, so that the mirror image
            of a pose would not be made of mirrored joints.
    """

    def __init__(
        self,
        net: nn.Module,
        inner: Skeleton,
        outer: Skeleton,
        made: Mapping[str, Mapping[str, float]],
    ) -> None:
        super().__init__()
        rows = torch.zeros(len(outer), len(inner))
        sums = {**made, **{name: {name: 1.0} for name in inner.names}}
        for row, joint in zip(rows, outer.names, strict=True):
            if joint not in sums:
                raise ValueError(f"expected weights for {joint}, which the network lacks")
            for name, weight in sums[joint].items():
                row[inner.index(name)] = weight
        if not torch.allclose(rows.sum(1), torch.ones(len(outer))):
            raise ValueError(f"expected weights that sum to 1, got {made}")
        if not rows[list(outer.mirror)][:, list(inner.mirror)].equal(rows):
            raise ValueError(f"expected the same weights left and right, got {made}")
        self.net = net
        self.F = receptive_field(net)
        self.causal = is_causal(net)
        self.seen = outer.subset(inner.names)
        self.rows: Tensor
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.rows @ self.net(keypoints[..., list(self.seen), :])


def average_flipped(poses: Tensor, poses_mirrored: Tensor, mirror: Sequence[int]) -> Tensor:
    """Mean of poses and the un-mirrored lift of the mirror image, (*, J, 3), pelvis at 0.

    Test-time flip averaging of VideoPose3D (arXiv 1811.11742, §5). The pelvis is set to zero
    afterwards, not subtracted: lifters are trained with it at the origin.
    """
    poses = (poses + mirror_pose(poses_mirrored, mirror)) / 2
    poses[..., 0, :] = 0
    return poses
