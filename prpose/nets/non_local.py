"""Non-local blocks: every joint sees all the others, whatever the graph says."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prpose.nets.layers import ChannelNorm


class NonLocalBlock(nn.Module):
    r"""Attention over all joints, residual, (\*, J, C) → (\*, J, C).

    .. math:: x + BN(W \, softmax(q k^T) \, v), \quad q, k, v = W_q x, W_k x, W_v x

    with C/2 channels and products that are not scaled. It begins as the identity: the batch
    norm's scale and offset start at 0.

    Args:
        channels: C.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, embedded Gaussian; as in the 17-joint
        network of Zou & Tang, ICCV 2021.
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
        """What is looked at, (*, J, C/2) → (*, K, C/2): here every joint."""
        return x

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """How much each joint takes from where, (*, J, C/2) and (*, K, C/2) → (*, J, K)."""
        return (query @ key.mT).softmax(-1)


class PairNonLocalBlock(NonLocalBlock):
    r"""A non-local block that looks at pairs of joints, residual, (\*, J, C) → (\*, J, C).

    Keys and values are the larger of a pair's two, channel by channel, and the weights are
    :math:`\max(0, w \cdot [q_i, k_j])` over the number of pairs, w learnt.

    Args:
        channels: C.
        pairs: two joints each.

    Reference:
        Wang et al., Non-local Neural Networks, CVPR 2018, concatenation; as in the 16-joint
        network of Zou & Tang, ICCV 2021.
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
