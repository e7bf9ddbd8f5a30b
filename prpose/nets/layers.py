"""Layers that several networks share, non-local blocks, and checks of clips."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MLP(nn.Module):
    """Linear → GELU → dropout → linear → dropout, (*, C) → (*, C).

    Args:
        channels: C.
        hidden: hidden width.
        dropout: rate.
        normalised: apply a layer norm after each linear map.
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
    """Stochastic depth: in training mode, zeroes whole items at ``rate`` and rescales the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        mask = torch.rand(len(x), 1, 1, device=x.device, dtype=x.dtype) >= self.rate
        return x * mask / (1 - self.rate)


class ChannelNorm(nn.BatchNorm1d):
    """Batch norm over the last axis, (*, C) → (*, C); all other axes are batch axes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)


class NonLocalBlock(nn.Module):
    r"""Attention over all joints, residual, (\*, J, C) → (\*, J, C).

    .. math:: x + BN(W \, softmax(q k^T) \, v), \quad q, k, v = W_q x, W_k x, W_v x

    with C/2 channels and unscaled products. It starts as the identity: the batch norm's scale and offset are 0.

    Args:
        channels: C.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018 (embedded Gaussian), as in the 17-joint network of
        Zou & Tang, ICCV 2021.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels // 2)
        self.key = nn.Linear(channels, channels // 2)
        self.value = nn.Linear(channels, channels // 2)
        self.out = nn.Linear(channels // 2, channels)
        self.norm = ChannelNorm(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        key, value = self.pool(self.key(x)), self.pool(self.value(x))
        mixed = self.weights(self.query(x), key) @ value
        return x + self.norm(self.out(mixed))

    def pool(self, x: Tensor) -> Tensor:
        """Features to attend to, (*, J, C/2) → (*, K, C/2): here every joint's."""
        return x

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Attention weights, (*, J, C/2) and (*, K, C/2) → (*, J, K)."""
        return (query @ key.mT).softmax(-1)


class PairNonLocalBlock(NonLocalBlock):
    r"""A non-local block that attends to pairs of joints, residual, (\*, J, C) → (\*, J, C).

    Keys and values are the channel-wise maximum over a pair, and the weights
    :math:`\max(0, w \cdot [q_i, k_j])` divided by the number of pairs, with w learnt.

    Args:
        channels: C.
        pairs: two joints each.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018 (concatenation), as in the 16-joint network of
        Zou & Tang, ICCV 2021.
    """

    def __init__(self, channels: int, pairs: Sequence[Sequence[int]]) -> None:
        super().__init__(channels)
        self.pairwise = nn.Linear(channels // 2 * 2, 1, bias=False)
        self.pairs: Tensor
        self.register_buffer("pairs", torch.tensor(pairs), persistent=False)

    def pool(self, x: Tensor) -> Tensor:
        return x[..., self.pairs, :].amax(-2)

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        # A linear form of a concatenation is the sum of two linear forms.
        of_query, of_key = self.pairwise.weight[0].chunk(2)
        both = (query @ of_query)[..., :, None] + (key @ of_key)[..., None, :]
        return both.relu() / len(self.pairs)


def odd(name: str, value: Any) -> int:
    """``value``, a number of frames with one in the middle; ``ValueError`` unless it is an odd integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise ValueError(f"expected {name} to be an odd integer >= 1, got {value!r:.80}")
    return value


def check_clip(keypoints: Tensor, F: int) -> None:
    """Raises ``ValueError`` unless the keypoints are (*, T, J, 2) with T >= F."""
    if keypoints.ndim < 3 or keypoints.shape[-3] < F:
        raise ValueError(f"expected keypoints of shape (*, T, J, 2) with T >= {F}, got {tuple(keypoints.shape)}")
