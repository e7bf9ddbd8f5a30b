"""Modulated GCN: a light 2→3 lifter, and, wider and 2→1, the variance net of HTNet."""

from torch import Tensor, nn

from prpose.nets.graph import ModulatedGraphConv
from prpose.nets.layers import ChannelNorm


class ModulatedGCN(nn.Module):
    """Residual stack of modulated graph convolutions, (*, J, 2) → (*, J, out).

    Input layer, ``blocks`` residual blocks of two graph layers, one graph convolution as output.
    The defaults are the published variance net of HTNet; the light lifter is
    ``hidden=128, out_channels=3, split=False``.

    Args:
        adjacency: fixed graph, (J, J); see :func:`prpose.nets.graph.body_adjacency`.
        hidden: width.
        blocks: number of residual blocks.
        out_channels: 3 for a lifter, 1 for a variance net.
        split: own weights for a joint and for its neighbours.

    Reference:
        Zou & Tang, ICCV 2021. Parameter names are the published state-dict keys.
    """

    def __init__(
        self,
        adjacency: Tensor,
        hidden: int = 256,
        blocks: int = 4,
        out_channels: int = 1,
        split: bool = True,
    ) -> None:
        super().__init__()
        self.gconv_input = nn.Sequential(GraphLayer(adjacency, 2, hidden, split))
        self.gconv_layers = nn.Sequential(
            *(GraphBlock(adjacency, hidden, split) for _ in range(blocks))
        )
        self.gconv_output = ModulatedGraphConv(adjacency, hidden, out_channels, split)

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.gconv_output(self.gconv_layers(self.gconv_input(keypoints)))


class GraphBlock(nn.Module):
    """x + layer(layer(x)), (*, J, hidden) → the same."""

    def __init__(self, adjacency: Tensor, hidden: int, split: bool) -> None:
        super().__init__()
        self.gconv1 = GraphLayer(adjacency, hidden, hidden, split)
        self.gconv2 = GraphLayer(adjacency, hidden, hidden, split)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gconv2(self.gconv1(x))


class GraphLayer(nn.Module):
    """Modulated graph convolution → batch norm over channels → ReLU."""

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, split: bool) -> None:
        super().__init__()
        self.gconv = ModulatedGraphConv(adjacency, in_channels, out_channels, split)
        self.bn = ChannelNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.gconv(x)).relu()
