"""HTNet: joints, limbs and the whole body, on a third of the channels each (arXiv 2302.09790)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prpose.nets.layers import MLP, DropPath, ModulatedGraphConv

# Human3.6M-17. Each limb from trunk outwards: right leg, left leg, left arm, right arm.
LIMBS = ((1, 2, 3), (4, 5, 6), (11, 12, 13), (14, 15, 16))


class HTNet(nn.Module):
    """Hierarchical lifter for one frame, (*, 17, 2) → (*, 17, 3). Defaults: the published model.

    Args:
        adjacency: fixed graph, (17, 17); see :func:`prpose.nets.layers.body_adjacency`.
        channels: width, split into three equal chunks.
        blocks: number of blocks.
        graph_hidden: width inside the local-joint graph convolutions.
        mlp_hidden: width inside every MLP.
        heads: attention heads.
        dropout: rate in MLPs and attention.
        drop_path: stochastic-depth rate of each block.

    Reference:
        Cai et al., HTNet: Human Topology Aware Network for 3D Human Pose Estimation, ICASSP 2023.
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
        self,
        adjacency: Tensor,
        channels: int,
        graph_hidden: int,
        mlp_hidden: int,
        heads: int,
        dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        chunk = channels // 3
        self.joints = LocalJoints(adjacency, chunk, graph_hidden, drop_path)
        self.parts = InterPart(chunk, mlp_hidden, dropout, drop_path)
        self.body = GlobalBody(chunk, heads, dropout, drop_path)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MLP(channels, mlp_hidden, dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = x.chunk(3, dim=-1)
        a = self.joints(a)
        b = self.parts(b + a)
        c = self.body(c + b)
        x = torch.cat([a, b, c], dim=-1)
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
        ends = tuple(limb[1:] for limb in LIMBS)
        self.limbs = PartPool(LIMBS, channels, mlp_hidden, dropout, drop_path)
        self.ends = PartPool(ends, channels, mlp_hidden, dropout, drop_path)

    def forward(self, p: Tensor) -> Tensor:
        return self.limbs(p) + self.ends(p) + p


class PartPool(nn.Module):
    """Pools each part's joints into a token, which replaces all but the part's first joint."""

    def __init__(
        self,
        parts: tuple[tuple[int, ...], ...],
        channels: int,
        mlp_hidden: int,
        dropout: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        size = len(parts[0])
        members = torch.tensor([joint for part in parts for joint in part])
        followers = torch.tensor([joint for part in parts for joint in part[1:]])
        self.members: Tensor
        self.followers: Tensor
        self.register_buffer("members", members, persistent=False)
        self.register_buffer("followers", followers, persistent=False)
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, channels, kernel_size=size, stride=size)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp = MLP(channels, mlp_hidden, dropout)
        self.drop_path = DropPath(drop_path)
        self.copies = size - 1

    def forward(self, p: Tensor) -> Tensor:
        u = self.norm(p)  # (N, J, C)
        # Stride and kernel are equal, so that the convolution is a linear map of each part. As such it is computed in
        # full float32 on CUDA, where cuDNN rounds to TF32 by default.
        parts = u[:, self.members].unflatten(1, (-1, self.copies + 1))  # (N, parts, size, C)
        parts = parts.transpose(2, 3).flatten(2)
        tokens = F.gelu(F.linear(parts, self.conv.weight.flatten(1), self.conv.bias))
        tokens = self.drop_path(tokens)  # (N, parts, C)
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
        if published in key and not (published == ".norm_mlp." and ".parts." in key):
            key = key.replace(published, ours)
    return key
