"""GraphMLP: MLPs over joints and channels, parallel to graph convolutions (arXiv 2206.06420)."""

import re
from collections.abc import Sequence

from torch import Tensor, nn

from prpose.nets.layers import MLP, DropPath, PartitionedGraphConv, check_clip, odd


class GraphMLP(nn.Module):
    """Lifter from F frames to their middle one, (*, T, J, 2) → (*, T - F + 1, J, 3).

    A joint is a token with its x in each of the F frames, then its y, as features. Defaults: the published network
    for one frame (Li et al., GraphMLP, arXiv 2206.06420).

    Args:
        partitions: fixed graph, (4, J, J); see :func:`prpose.nets.layers.body_partitions`.
        joint_hidden, mlp_hidden: widths of the MLPs over joints and over channels.
        drop_path: stochastic-depth rate of each block.
    """

    def __init__(
        self,
        partitions: Tensor,
        frames: int = 1,
        channels: int = 512,
        blocks: int = 3,
        joint_hidden: int = 256,
        mlp_hidden: int = 1024,
        dropout: float = 0.1,
        drop_path: Sequence[float] = (0.0, 0.1, 0.2),
    ) -> None:
        super().__init__()
        if len(drop_path) != blocks:
            raise ValueError(f"expected {blocks} drop_path rates, got {len(drop_path)}")
        self.F = odd("frames", frames)
        self.embedding = nn.Linear(2 * self.F, channels)
        self.blocks = nn.ModuleList(
            Block(partitions, channels, joint_hidden, mlp_hidden, dropout, rate, self.F > 1) for rate in drop_path
        )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, 3)

    def forward(self, keypoints: Tensor) -> Tensor:
        check_clip(keypoints, self.F)
        windows = keypoints.unfold(-3, self.F, 1).flatten(-2)  # (*, T', J, 2·F)
        x = self.embedding(windows[None].flatten(0, -3))  # (N, J, C)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).reshape(*windows.shape[:-1], 3)


class Block(nn.Module):
    """Mixes joints, then channels, each by the sum of an MLP and a graph convolution, (N, J, C) → the same."""

    def __init__(
        self, graph: Tensor, channels: int, joint_hidden: int, mlp_hidden: int, dropout: float, rate: float, norms: bool
    ) -> None:
        super().__init__()
        J = graph.shape[-1]
        self.norm1 = nn.LayerNorm(J, eps=1e-6)
        self.mlp1 = MLP(J, joint_hidden, dropout, norms)
        self.conv1 = PartitionedGraphConv(graph, channels, channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp2 = MLP(channels, mlp_hidden, dropout)
        self.conv2 = PartitionedGraphConv(graph, channels, channels)
        self.drop_path = DropPath(rate)

    def forward(self, x: Tensor) -> Tensor:
        u = self.norm1(x.mT)  # (N, C, J)
        x = x + self.drop_path(self.mlp1(u).mT + self.conv1(u.mT))
        u = self.norm2(x)
        return x + self.drop_path(self.mlp2(u) + self.conv2(u))


# Published state-dict key parts → ours.
PUBLISHED_KEYS = {
    "mlp_gcn.": "",
    ".gcn_1.conv.": ".conv1.linear.",
    ".gcn_2.conv.": ".conv2.linear.",
    ".mlp_1.fc1.0.": ".mlp1.fc1.",
    ".mlp_1.fc1.1.": ".mlp1.norm1.",
    ".mlp_1.fc2.0.": ".mlp1.fc2.",
    ".mlp_1.fc2.1.": ".mlp1.norm2.",
    ".mlp_1.": ".mlp1.",
    ".mlp_2.": ".mlp2.",
}
GRAPHS = re.compile(r"A|mlp_gcn\.blocks\.\d+\.(gcn_[12]\.)?adj")  # keys that repeat the fixed graph


def rename_published(key: str) -> str:
    """Our name of a published GraphMLP parameter; of any copy of the fixed graph, that of the first block's."""
    if GRAPHS.fullmatch(key):
        return "blocks.0.conv1.partitions"
    for published, ours in PUBLISHED_KEYS.items():
        key = key.replace(published, ours)
    return key
