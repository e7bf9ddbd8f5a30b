"""The body as a graph: its adjacency, and the modulated graph convolution every GCN here shares."""

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
    links = torch.zeros(len(parents), len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            links[joint, parent] = links[parent, joint] = 1
    links = links / links.sum(1, keepdim=True)
    return links.fill_diagonal_(1)


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

    def __init__(
        self, adjacency: Tensor, in_channels: int, out_channels: int, split: bool = True
    ) -> None:
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
