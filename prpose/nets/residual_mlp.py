"""Residual MLP over a whole pose: the variance net of the light Modulated GCN."""

from torch import Tensor, nn


class ResidualMLP(nn.Module):
    """Flattened pose through residual linear stages, (*, J, 2) → (*, J, out).

    The defaults are the published variance net.

    Args:
        joints: J.
        hidden: width.
        stages: number of residual stages of two layers each.
        out_channels: 1 for a variance net, 3 for a lifter.
        dropout: rate after every hidden layer.

    Reference:
        Martinez et al., A simple yet effective baseline for 3D human pose estimation, ICCV 2017.
        Parameter names are the published state-dict keys.
    """

    def __init__(
        self,
        joints: int = 17,
        hidden: int = 64,
        stages: int = 1,
        out_channels: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.w1 = nn.Linear(joints * 2, hidden)
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
