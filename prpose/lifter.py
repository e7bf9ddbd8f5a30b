"""The lifter contract, the lifters by name, their refinements, and flip averaging.

A lifter is any ``nn.Module`` that maps normalised keypoints (B, T, J, 2) to poses (B, T - F + 1, J, 3): camera axes,
metres, relative to the pelvis. On a CPU, several threads may call it at once in eval mode. Its receptive field of F
frames is an attribute of that name; without one, F = 1. The pose is that of the middle frame, or of the last one if the
attribute ``causal`` is true. If the attribute ``framed`` is true, keypoints are in units of the focal length.
"""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from prpose.nets.framed import Framed
from prpose.nets.gaussian import GaussianLifter, GaussianMixture, channels
from prpose.nets.graphmlp import GraphMLP
from prpose.nets.htnet import HTNet
from prpose.nets.layers import body_adjacency, body_partitions, construct
from prpose.nets.mlp import Refinement, ResidualMLP
from prpose.nets.modulated_gcn import ModulatedGCN
from prpose.nets.temporal import TemporalModel
from prpose.skeleton import H36M_16, H36M_17, Skeleton, mirror_pose
from prpose.tables import import_object, is_import_path, look_up, unknown

_PAIRS = (
    "right_knee-right_ankle left_knee-left_ankle right_hip-left_hip pelvis-spine thorax-head right_elbow-right_wrist "
    "left_elbow-left_wrist left_shoulder-right_shoulder"
)
PAIRS_16 = tuple(H36M_16.subset(pair.split("-")) for pair in _PAIRS.split())
"""Pairs of joints that the non-local blocks of the 16-joint Modulated GCN pool (behaviour of its release)."""

NECK = {"neck": {"thorax": 0.5, "head": 0.5}}  # weights of the joint that 16-joint networks lack


def _modulated_gcn(joints: int = 17, nonlocal_blocks: bool = False, **kw: Any) -> nn.Module:
    """The published network for detected keypoints; with 16 joints, the one for ground-truth keypoints."""
    if not isinstance(nonlocal_blocks, bool):
        raise ValueError(f"expected nonlocal_blocks to be true or false, got {nonlocal_blocks!r}")
    if joints == 16:
        kw = {"out_channels": 3, "hidden": 128, "unit_modulation": True, **kw}
        pairs = PAIRS_16 if nonlocal_blocks else ()
        return RemappedLifter(ModulatedGCN(body_adjacency(H36M_16.parents), pairs=pairs, **kw), H36M_16, H36M_17, NECK)
    if joints != 17:
        raise ValueError(f"expected joints to be 16 or 17, got {joints!r:.80}")
    if nonlocal_blocks:
        raise ValueError("expected nonlocal_blocks with joints=16 only; the network of 17 joints always has one")
    kw = {"out_channels": 3, "hidden": 384, "dropout": 0.2, "non_local": True, **kw}
    return ModulatedGCN(body_adjacency(H36M_17.parents), **kw)


MEMBERS = ({"name": "gaussian_gcn"}, {"name": "gaussian_mlp"})


def _gaussian_gcn(
    frames: int = 1, step: int = 1, causal: bool = False, hidden: int = 128, blocks: int = 4, dropout: float = 0.0
) -> nn.Module:
    adjacency, J = body_adjacency(H36M_17.parents), len(H36M_17)
    net = ModulatedGCN(adjacency, hidden, blocks, channels(J), False, dropout, in_channels=2 * frames)
    return GaussianLifter(net, frames, step, causal)


def _gaussian_mlp(
    frames: int = 1, step: int = 1, causal: bool = False, hidden: int = 1024, blocks: int = 2, dropout: float = 0.1
) -> nn.Module:
    J = len(H36M_17)
    net = ResidualMLP(J, hidden, blocks, channels(J), dropout, in_channels=2 * frames)
    return GaussianLifter(net, frames, step, causal)


def _gaussian_mixture(members: Sequence[Mapping[str, Any]] = MEMBERS) -> nn.Module:
    """Members are arguments of :func:`build_lifter`."""
    if not members or not all(isinstance(each, Mapping) and isinstance(each.get("name"), str) for each in members):
        raise ValueError(f'expected members, such as [{{"name": "gaussian_gcn"}}], got {members!r:.80}')
    return GaussianMixture([build_lifter(**each) for each in members])


LIFTERS: dict[str, Callable[..., nn.Module]] = {
    "htnet": partial(HTNet, body_adjacency(H36M_17.parents)),
    "mgcn_lw": partial(
        ModulatedGCN, body_adjacency(H36M_17.parents), hidden=128, blocks=4, out_channels=3, split=False
    ),
    "modulated_gcn": _modulated_gcn,
    "graphmlp": partial(GraphMLP, body_partitions(H36M_17.parents, H36M_17.mirror, H36M_17.index("spine"))),
    "temporal": partial(TemporalModel, len(H36M_17)),
    "gaussian_gcn": _gaussian_gcn,
    "gaussian_mlp": _gaussian_mlp,
    "gaussian_mixture": _gaussian_mixture,
}
"""Lifters by name, all but the last three published; keyword arguments go to the network's constructor."""

MOST_FRAMES = 10_000  # largest receptive field
ENTRY_POINTS = "prpose.lifters"  # group of entry points in which an installed package may name lifters of its own
_OF_GRAPHMLP = partial(Refinement, hidden=1536)
REFINEMENTS: dict[str, Callable[..., nn.Module]] = {"modulated_gcn": Refinement, "graphmlp": _OF_GRAPHMLP}
"""The published refinement of a lifter's poses, by the lifter's name."""


def installed_lifters() -> dict[str, str]:
    """Import paths of the lifters that installed packages name in :data:`ENTRY_POINTS`, by name."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def is_lifter(name: str) -> bool:
    """Whether a name is of the table, an installed lifter's, or an import path."""
    return name in LIFTERS or is_import_path(name) or name in installed_lifters()


def build_lifter(name: str, **kw: Any) -> nn.Module:
    """A lifter with random weights, in training mode; the defaults are the published network.

    Args:
        name: a key of :data:`LIFTERS`, an installed lifter (:data:`ENTRY_POINTS`), or ``package.module:Class``.
        kw: constructor arguments that differ from the published ones. Some select another published network:
            ``frames`` of graphmlp, ``filter_widths`` and ``causal`` of temporal, ``joints`` (17 or 16; the poses
            always have 17) and, with 16, ``nonlocal_blocks`` of modulated_gcn. With ``framed=True``, any lifter gets
            framed keypoints (:class:`prpose.nets.framed.Framed`).

    ``ValueError`` for an unknown name, arguments that the network does not accept, or a class that is not a lifter.

    Example:
        >>> import torch
        >>> build_lifter("temporal", channels=8).eval()(torch.zeros(4, 30, 17, 2)).shape
        torch.Size([4, 4, 17, 3])
    """
    if "framed" in kw:
        framed, others = kw["framed"], {key: value for key, value in kw.items() if key != "framed"}
        if not isinstance(framed, bool):
            raise ValueError(f"expected framed to be true or false, got {framed!r:.80}")
        return Framed(build_lifter(name, **others)) if framed else build_lifter(name, **others)
    if name in LIFTERS:
        lifter = construct(name, LIFTERS[name], kw)
        if not 1 <= receptive_field(lifter) <= MOST_FRAMES:
            raise ValueError(f"expected a lifter of 1 to {MOST_FRAMES:,} frames, got {receptive_field(lifter)}")
        return lifter
    path = name if is_import_path(name) else installed_lifters().get(name)
    if path is None:
        raise ValueError(unknown(name, [*LIFTERS, *installed_lifters()], "lifter"))
    found = import_object(path)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"expected {path} to be a subclass of nn.Module, got {type(found).__name__}")
    check_contract(lifter := construct(name, found, kw), name)
    return lifter


def build_refinement(name: str, **kw: Any) -> nn.Module:
    """The refinement of a lifter's poses (:class:`prpose.nets.mlp.Refinement`); arguments as :func:`build_lifter`."""
    return construct(name, look_up(name, REFINEMENTS, "refinement"), kw)


def check_contract(lifter: nn.Module, name: str = "the lifter") -> None:
    """Raises ``ValueError`` unless the network lifts a clip of F + 1 frames to two poses."""
    F, J, training = receptive_field(lifter), len(H36M_17), lifter.training
    keypoints = torch.zeros(2, F + 1, J, 2)
    expected, given = (2, 2, J, 3), f"keypoints of shape {tuple(keypoints.shape)} (F = {F})"
    try:
        with torch.no_grad():
            poses = lifter.eval()(keypoints)
    except Exception as error:  # the network is the user's and can raise anything
        raise ValueError(f"{name} cannot lift {given}: {error}") from None
    finally:
        lifter.train(training)
    if not isinstance(poses, Tensor) or poses.shape != expected:
        got = tuple(poses.shape) if isinstance(poses, Tensor) else type(poses).__name__
        raise ValueError(f"expected {name} to return poses of shape {expected} for {given}, got {got}")


def receptive_field(lifter: nn.Module) -> int:
    """F, the number of frames of keypoints that a pose depends on; 1 without an attribute ``F``."""
    return int(getattr(lifter, "F", 1))


def is_causal(lifter: nn.Module) -> bool:
    """Whether a pose is that of the last of its F frames, not of the middle one."""
    return bool(getattr(lifter, "causal", False))


def is_framed(lifter: nn.Module) -> bool:
    """Whether keypoints are in units of the focal length, not of half the image width (:class:`Framed`)."""
    return bool(getattr(lifter, "framed", False))


def is_one_pass(lifter: nn.Module) -> bool:
    """Whether the lifter predicts a distribution (:mod:`prpose.nets.gaussian`) and needs no noise."""
    return bool(getattr(lifter, "one_pass", False))


def frame_step(lifter: nn.Module) -> int:
    """Distance of the frames that the lifter uses, of those in its receptive field; 1 without the attribute."""
    return int(getattr(lifter, "frame_step", 1))


def own_frame(lifter: nn.Module) -> int:
    """Index, among its F frames, of the frame whose pose it is."""
    return receptive_field(lifter) - 1 if is_causal(lifter) else receptive_field(lifter) // 2


def poses_at_once(lifter: nn.Module, device: torch.device) -> int:
    """The fastest batch size of a network, in poses, each with its mirror image (measured in docs/speed.md)."""
    if device.type != "cpu":
        return 4096
    return 128 if receptive_field(lifter) == 1 else 512  # features that fit the cache, some 2 MB


class RemappedLifter(nn.Module):
    """A lifter of fewer joints as one of more, (B, T, J, 2) → (B, T - F + 1, J, 3).

    The network gets its own joints only, those of the skeleton ``inner``; each further one of ``outer`` is ``derived``,
    a sum of the network's joints, by name, with weights that sum to 1.
    """

    rows: Tensor

    def __init__(
        self, net: nn.Module, inner: Skeleton, outer: Skeleton, derived: Mapping[str, Mapping[str, float]]
    ) -> None:
        super().__init__()
        rows = torch.zeros(len(outer), len(inner))
        weights = {**derived, **{name: {name: 1.0} for name in inner.names}}
        for row, joint in zip(rows, outer.names, strict=True):
            for name, weight in weights[joint].items():
                row[inner.index(name)] = weight
        assert torch.allclose(rows.sum(1), torch.ones(len(outer))), "other sums would move the pose with its origin"
        assert rows[list(outer.mirror)][:, list(inner.mirror)].equal(rows), "sides differ: not mirror-equivariant"
        self.net, self.F, self.causal = net, receptive_field(net), is_causal(net)
        self.inner_joints = list(outer.subset(inner.names))
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.rows @ self.net(keypoints[..., self.inner_joints, :])


def average_flipped(poses: Tensor, poses_mirrored: Tensor, mirror: Sequence[int]) -> Tensor:
    """Mean of poses and of the un-mirrored poses of the mirror image, (*, J, 3), pelvis at 0.

    Test-time flip averaging of VideoPose3D (arXiv 1811.11742, §5). The pelvis is set to zero, not subtracted.
    """
    poses = (poses + mirror_pose(poses_mirrored, mirror)) / 2
    return torch.cat([torch.zeros_like(poses[..., :1, :]), poses[..., 1:, :]], dim=-2)


def unmirror(poses: Tensor, mirrored: Tensor, mirror: Sequence[int]) -> Tensor:
    """Poses (N, T, J, 3) of which some, (N,) bool, are mirror images, as they are; the pelvis is subtracted."""
    poses = torch.where(mirrored[:, None, None, None], mirror_pose(poses, mirror), poses)
    return poses - poses[..., :1, :]
