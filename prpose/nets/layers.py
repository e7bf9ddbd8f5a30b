"""Layers that several networks share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Linear → GELU → dropout → linear → dropout, (*, C) → (*, C).

    Args:
        channels: C.
        hidden: width in between.
        dropout: rate.
        normalised: whether a layer norm follows each of the two linear maps.
    """

    def __init__(self, channels: int, hidden: int, dropout: float, normalised: bool = False) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(hidden) if normalised else nn.Identity()
        self.norm2 = nn.LayerNorm(channels) if normalised else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(F.gelu(self.norm1(self.fc1(x))))
        return self.dropout(self.norm2(self.fc2(x)))


class DropPath(nn.Module):
    """Stochastic depth: while training, zeroes whole samples at ``rate`` and rescales the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(len(x), 1, 1, device=x.device, dtype=x.dtype) >= self.rate
        return x * keep / (1 - self.rate)


class ChannelNorm(nn.BatchNorm1d):
    """Batch norm of the last axis, (*, C) → (*, C): everything else counts as samples."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)
