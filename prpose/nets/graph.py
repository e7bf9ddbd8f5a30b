"""The body as a graph: its fixed matrices, and the graph convolutions that use them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def body_adjacency(parents: Sequence[int]) -> Tensor:
    """Fixed graph of a joint tree, (J, J) float32.

    Symmetric bone links, each row divided by its number of neighbours, then a diagonal of ones
    (behaviour of the Modulated GCN release, which normalises before it adds the self-links).

    Args:
        parents: parent of each joint, -1 for the root.
    """
    links = _bones(parents)
    links = links / links.sum(1, keepdim=True)
    return links.fill_diagonal_(1)


def body_partitions(parents: Sequence[int], mirror: Sequence[int], centre: int) -> Tensor:
    """Fixed graph of a joint tree in four parts, (4, J, J) float32, from joint to joint.

    Parts: a joint itself; bones towards the centre; bones away from it; left-right pairs. Each
    column is divided by its number of links in all parts, so that a joint takes their average
    (behaviour of the GraphMLP release; the partitions are those of ST-GCN, arXiv 1801.07455).

    Args:
        parents: parent of each joint, -1 for the root.
        mirror: the joint on the other side, or the joint itself.
        centre: the joint from which distances are counted, along bones.
    """
    J = len(parents)
    own, bones = torch.eye(J), _bones(parents)
    pairs = own[list(mirror)] * (1 - own)
    # A joint is k bones from the centre if no walk of fewer steps leads there.
    walks = [torch.linalg.matrix_power(own + bones, k)[centre] for k in range(J)]
    distance = torch.stack([walk == 0 for walk in walks]).sum(0)
    inwards = distance[:, None] > distance
    parts = torch.stack([own, bones * inwards, bones * ~inwards, pairs])
    return parts / parts.sum((0, 1))


def _bones(parents: Sequence[int]) -> Tensor:
    """Symmetric bone links, (J, J): 1 between a joint and its parent, else 0."""
    links = torch.zeros(len(parents), len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            links[joint, parent] = links[parent, joint] = 1
    return links


class ModulatedGraphConv(nn.Module):
    r"""Modulated graph convolution, (*, J, in) → (*, J, out).

    .. math::
        \text{split: }  & (A_s ∘ I)(M ∘ x W_0) + (A_s ∘ (1 - I))(M ∘ x W_1) + b \\
        \text{shared: } & A_s (M ∘ x W_0) + b

    with :math:`A_s = (A + A_2 + (A + A_2)^T) / 2`, A fixed, and :math:`A_2, M, W, b` learnt.

    Args:
        adjacency: fixed graph A, (J, J).
        in_channels, out_channels: features per joint.
        split: whether a joint itself and its neighbours have weights of their own.

    Reference:
        Zou & Tang, Modulated Graph Convolutional Network for 3D Human Pose Estimation, ICCV 2021.
    """

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, split: bool = True) -> None:
        super().__init__()
        J = len(adjacency)
        # The names W, M, adj2 and bias are the published state-dict keys.
        self.W = nn.Parameter(torch.empty(2 if split else 1, in_channels, out_channels))
        self.M = nn.Parameter(torch.empty(J, out_channels))
        self.adj2 = nn.Parameter(torch.full((J, J), 1e-6))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.adjacency: Tensor
        self.register_buffer("adjacency", adjacency.clone(), persistent=False)
        nn.init.xavier_uniform_(self.W, gain=1.414)
        nn.init.xavier_uniform_(self.M, gain=1.414)
        bound = 1 / math.sqrt(out_channels)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        graph = self.adjacency + self.adj2
        graph = (graph + graph.T) / 2
        if len(self.W) == 1:
            return graph @ (self.M * (x @ self.W[0])) + self.bias
        own = graph.diagonal()[:, None]
        others = graph - torch.diag_embed(graph.diagonal())
        return own * (self.M * (x @ self.W[0])) + others @ (self.M * (x @ self.W[1])) + self.bias


class PartitionedGraphConv(nn.Module):
    r"""Graph convolution with weights for each part of the graph, (*, J, in) → (*, J, out).

    .. math:: y_w = \sum_k \sum_v A_{kvw} (W_k x_v + b_k)

    with A fixed, from joint v to joint w.

    Args:
        partitions: fixed graph A in K parts, (K, J, J); see :func:`body_partitions`.
        in_channels, out_channels: features per joint.

    Reference:
        Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action
        Recognition, AAAI 2018 (arXiv 1801.07455), without its learnt edge weights.
    """

    def __init__(self, partitions: Tensor, in_channels: int, out_channels: int) -> None:
        super().__init__()
        K = len(partitions)
        self.linear = nn.Linear(in_channels, K * out_channels)
        self.partitions: Tensor
        self.register_buffer("partitions", partitions.clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        K, J, _ = self.partitions.shape
        y = self.linear(x).unflatten(-1, (K, -1)).flatten(-3, -2)  # (*, J·K, out)
        return self.partitions.permute(2, 1, 0).reshape(J, J * K) @ y
