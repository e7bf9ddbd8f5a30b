"""MLPs over whole poses: the variance net of the light Modulated GCN, and the refinement of a lifter's poses."""

import torch
from torch import Tensor, nn


class ResidualMLP(nn.Module):
    """Flattened pose through residual linear stages, (*, J, 2) → (*, J, out); defaults: the published variance net.

    Martinez et al., A simple yet effective baseline for 3D human pose estimation, ICCV 2017; published parameter names.
    """

    def __init__(
        self,
        joints: int = 17,
        hidden: int = 64,
        stages: int = 1,
        out_channels: int = 1,
        dropout: float = 0.5,
        in_channels: int = 2,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.w1 = nn.Linear(joints * in_channels, hidden)
        self.batch_norm1 = nn.BatchNorm1d(hidden)
        self.linear_stages = nn.ModuleList(ResidualStage(hidden, dropout) for _ in range(stages))
        self.w2 = nn.Linear(hidden, joints * out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = keypoints[None].flatten(-2).flatten(0, -2)  # (N, J·2)
        x = self.dropout(self.batch_norm1(self.w1(x)).relu())
        for stage in self.linear_stages:
            x = stage(x)
        return self.w2(x).reshape(*keypoints.shape[:-1], self.out_channels)


class ResidualStage(nn.Module):
    """x + two of (linear → batch norm → ReLU → dropout), (N, hidden) → the same."""

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(hidden, hidden)
        self.batch_norm1 = nn.BatchNorm1d(hidden)
        self.w2 = nn.Linear(hidden, hidden)
        self.batch_norm2 = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.batch_norm1(self.w1(x)).relu())
        return x + self.dropout(self.batch_norm2(self.w2(y)).relu())


class Refinement(nn.Module):
    """Blends x and y of two poses, joint by joint, (*, J, 3) and (*, J, 3) → (*, J, 3).

    The poses are the lifter's and its keypoints at its depths (:func:`back_project`). An MLP gives the weights of the
    lifter's x and y, between 0 and 1; z stays the lifter's (Cai et al., ICCV 2019). Defaults: the module published with
    the Modulated GCN, whose release leaves dropout on in evaluation. Parameter names are the published ones.
    """

    def __init__(self, joints: int = 17, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        self.post_refine = nn.Sequential(
            nn.Linear(joints * 6, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, joints * 2), nn.Sigmoid()
        )

    def forward(self, poses: Tensor, back_projected: Tensor) -> Tensor:
        both = torch.cat([poses, back_projected], dim=-1)  # (*, J, 6)
        score = self.post_refine(both.flatten(-2)).unflatten(-1, (-1, 2))  # (*, J, 2)
        xy = score * poses[..., :2] + (1 - score) * back_projected[..., :2]
        return torch.cat([xy, poses[..., 2:]], dim=-1)


def back_project(poses: Tensor, keypoints: Tensor, pelvis_depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Keypoints in camera space, each at its joint's depth, by a pinhole camera: (*, J, 3) metres, pelvis at 0.

    Args:
        poses: (*, J, 3) metres, camera axes, relative to the pelvis (joint 0); only z is used.
        pelvis_depth: (*) z of the pelvis in camera space, metres.
        intrinsics: (*, 4 or more) as of :meth:`prpose.camera.Camera.intrinsics`; ``ValueError`` if not calibrated.
    """
    focal, centre = intrinsics[..., None, :2], intrinsics[..., None, 2:4]  # (*, 1, 2)
    if not focal.all():
        raise ValueError("expected calibrated cameras, got a focal length of 0")
    depth = poses[..., 2:] + pelvis_depth[..., None, None]  # (*, J, 1)
    depth = torch.cat([pelvis_depth[..., None, None], depth[..., 1:, :]], dim=-2)
    xyz = torch.cat([(keypoints - centre) * depth / focal, depth], dim=-1)
    return xyz - xyz[..., :1, :]
