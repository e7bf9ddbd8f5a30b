"""HTNet: joints, limbs and the whole body, on a third of the channels each (arXiv 2302.09790)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.nets.layers import MLP, DropPath, ModulatedGraphConv

# Human3.6M-17. Each limb from trunk outwards: right leg, left leg, left arm, right arm.
LIMBS = ((1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16))


class HTNet(nn.Module):
    """Hierarchical lifter for one frame, (*, 17, 2) → (*, 17, 3). Defaults: the published model.

    Cai et al., HTNet: Human Topology Aware Network for 3D Human Pose Estimation, ICASSP 2023.

    Args:
        adjacency: fixed graph, (17, 17); see :func:`prpose.nets.layers.body_adjacency`.
        channels: width, split into three equal chunks.
        graph_hidden, mlp_hidden: widths inside the local-joint graph convolutions and inside every MLP.
        drop_path: stochastic-depth rate of each block.
    """

    F = 1  # receptive field, frames

    def __init__(
        self,
        adjacency: Tensor,
        channels: int = 240,
        blocks: int = 3,
        graph_hidden: int = 384,
        mlp_hidden: int = 1024,
        heads: int = 8,
        dropout: float = 0.1,
        drop_path: tuple[float, ...] = (0.1, 0.2, 0.3),
    ) -> None:
        super().__init__()
        if channels % (3 * heads):
            raise ValueError(f"expected channels divisible by 3 x {heads} heads, got {channels}")
        if len(drop_path) != blocks:
            raise ValueError(f"expected {blocks} drop_path rates, got {len(drop_path)}")
        self.embed = nn.Linear(2, channels)
        self.position = nn.Parameter(torch.zeros(1, len(adjacency), channels))
        self.blocks = nn.ModuleList(
            Block(adjacency, channels, graph_hidden, mlp_hidden, heads, dropout, rate) for rate in drop_path
        )
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, 3)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.embed(keypoints[None].flatten(0, -3)) + self.position  # (N, J, C)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).reshape(*keypoints.shape[:-1], 3)


class Block(nn.Module):
    """Joints → parts → body, each chunk fed by the one before; then an MLP over all channels."""

    def __init__(
        self, graph: Tensor, channels: int, graph_hidden: int, mlp_hidden: int, heads: int, dropout: float, rate: float
    ) -> None:
        super().__init__()
        chunk = channels // 3
        self.joints = LocalJoints(graph, chunk, graph_hidden, rate)
        self.parts = InterPart(chunk, mlp_hidden, dropout, rate)
        self.body = GlobalBody(chunk, heads, dropout, rate)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MLP(channels, mlp_hidden, dropout)
        self.drop_path = DropPath(rate)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = x.chunk(3, dim=-1)
        a = self.joints(a)
        b = self.parts(b + a)
        x = torch.cat([a, b, self.body(c + b)], dim=-1)
        return x + self.drop_path(self.mlp(self.norm(x)))


class LocalJoints(nn.Module):
    """Two graph convolutions between neighbouring joints, residual."""

    def __init__(self, adjacency: Tensor, channels: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.conv1 = ModulatedGraphConv(adjacency, channels, hidden)
        self.conv2 = ModulatedGraphConv(adjacency, hidden, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.drop_path = DropPath(drop_path)

    def forward(self, a: Tensor) -> Tensor:
        hidden = F.gelu(self.conv1(self.norm1(a)))
        return a + self.drop_path(self.norm2(self.conv2(hidden)))


class InterPart(nn.Module):
    """Whole limbs and limb ends, each pooled to a token; p + limbs + limb ends."""

    def __init__(self, channels: int, mlp_hidden: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.limbs = PartPool(LIMBS, channels, mlp_hidden, dropout, drop_path)
        self.ends = PartPool([limb[1:] for limb in LIMBS], channels, mlp_hidden, dropout, drop_path)

    def forward(self, p: Tensor) -> Tensor:
        return self.limbs(p) + self.ends(p) + p


class PartPool(nn.Module):
    """Pools each part's joints into a token, which replaces all but the part's first joint."""

    members: Tensor
    followers: Tensor

    def __init__(
        self, parts: Sequence[tuple[int, ...]], channels: int, mlp_hidden: int, dropout: float, drop_path: float
    ) -> None:
        super().__init__()
        members, size = torch.tensor(parts), len(parts[0])
        self.register_buffer("members", members.flatten(), persistent=False)
        self.register_buffer("followers", members[:, 1:].flatten(), persistent=False)
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, channels, kernel_size=size, stride=size)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = MLP(channels, mlp_hidden, dropout)
        self.drop_path = DropPath(drop_path)
        self.copies = size - 1

    def forward(self, p: Tensor) -> Tensor:
        u = self.norm(p)  # (N, J, C)
        # Stride and kernel are equal: as a linear map it is computed in full float32 on CUDA; cuDNN rounds to TF32.
        parts = u[:, self.members].unflatten(1, (-1, self.copies + 1)).transpose(2, 3).flatten(2)  # (N, parts, C·size)
        tokens = self.drop_path(F.gelu(F.linear(parts, self.conv.weight.flatten(1), self.conv.bias)))  # (N, parts, C)
        tokens = tokens + self.drop_path(self.mlp(self.norm_mlp(tokens)))
        return u.index_copy(1, self.followers, tokens.repeat_interleave(self.copies, dim=1))


class GlobalBody(nn.Module):
    """Multi-head self-attention over all joints, residual."""

    def __init__(self, channels: int, heads: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, c: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(c)).unflatten(-1, (3, self.heads, -1))  # (N, J, 3, H, C/H)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        rate = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=rate)  # (N, H, J, C/H)
        mixed = self.dropout(self.proj(mixed.transpose(1, 2).flatten(2)))
        return c + self.drop_path(mixed)


# Published state-dict key parts → ours, longest first where one contains another.
PUBLISHED_KEYS = {
    "Hiremixer.blocks.": "blocks.",
    "Hiremixer.Temporal_norm.": "norm.",
    "patch_embed.": "embed.",
    "pos_embed": "position",
    "fcn.": "head.",
    ".lgc.norm_gcn": ".joints.norm",
    ".lgc.gcn": ".joints.conv",
    ".ipc.norm_conv1_mlp.": ".parts.limbs.norm_mlp.",
    ".ipc.norm_conv2_mlp.": ".parts.ends.norm_mlp.",
    ".ipc.norm_conv1.": ".parts.limbs.norm.",
    ".ipc.norm_conv2.": ".parts.ends.norm.",
    ".ipc.conv1.": ".parts.limbs.conv.",
    ".ipc.conv2.": ".parts.ends.conv.",
    ".ipc.mlp_down_1.": ".parts.limbs.mlp.",
    ".ipc.mlp_down_2.": ".parts.ends.mlp.",
    ".gbi.norm_attn.": ".body.norm.",
    ".gbi.attn.": ".body.",
    ".norm_mlp.": ".norm.",
}


def rename_published(key: str) -> str:
    """Our name of a published HTNet parameter; other names are returned unchanged."""
    if ".parts." in key or key.startswith("blocks."):
        return key
    for published, ours in PUBLISHED_KEYS.items():
        # A part's own norm_mlp has its final name already when the block's is looked for.
        if not (published == ".norm_mlp." and ".parts." in key):
            key = key.replace(published, ours)
    return key
