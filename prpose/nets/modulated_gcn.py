"""Modulated GCN: 2→3 lifters, light and full, and, 2→1, the variance net of HTNet."""

from collections.abc import Sequence

from torch import Tensor, nn

from prpose.nets.layers import ChannelNorm, ModulatedGraphConv, NonLocalBlock, PairNonLocalBlock


class ModulatedGCN(nn.Module):
    """Residual stack of modulated graph convolutions, (*, J, in) → (*, J, out).

    Zou & Tang, Modulated Graph Convolutional Network for 3D Human Pose Estimation, ICCV 2021. Defaults: the published
    variance net of HTNet; the light lifter is ``hidden=128, out_channels=3, split=False``. Parameter names are the
    published state-dict keys, except in non-local blocks (:func:`rename_published`).

    Args:
        adjacency: fixed graph, (J, J); see :func:`prpose.nets.layers.body_adjacency`.
        split: separate weights for a joint itself and for its neighbours.
        non_local: a non-local block before the output.
        pairs: pairs of joints of a non-local block after the input layer and after every residual block.
        unit_modulation: initialise M with ones instead of random numbers.
    """

    F = 1  # receptive field, frames

    def __init__(
        self,
        adjacency: Tensor,
        hidden: int = 256,
        blocks: int = 4,
        out_channels: int = 1,
        split: bool = True,
        dropout: float = 0.0,
        non_local: bool = False,
        pairs: Sequence[Sequence[int]] = (),
        unit_modulation: bool = False,
        in_channels: int = 2,
    ) -> None:
        super().__init__()
        if not isinstance(blocks, int) or blocks < 0 or not isinstance(split, bool):
            raise ValueError(f"expected blocks >= 0 and split true or false, got {blocks!r:.80}, {split!r:.80}")

        def across() -> list[nn.Module]:
            return [PairNonLocalBlock(hidden, pairs)] if pairs else []

        self.gconv_input = nn.Sequential(GraphLayer(adjacency, in_channels, hidden, split, dropout), *across())
        self.gconv_layers = nn.Sequential()
        for _ in range(blocks):
            self.gconv_layers.extend([GraphBlock(adjacency, hidden, split, dropout), *across()])
        self.non_local = NonLocalBlock(hidden) if non_local else nn.Identity()
        self.gconv_output = ModulatedGraphConv(adjacency, hidden, out_channels, split)
        if unit_modulation:
            for module in self.modules():
                if isinstance(module, ModulatedGraphConv):
                    nn.init.ones_(module.M)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.gconv_layers(self.gconv_input(keypoints))
        return self.gconv_output(self.non_local(x))


class GraphBlock(nn.Module):
    """x + layer(layer(x)), (*, J, hidden) → the same."""

    def __init__(self, adjacency: Tensor, hidden: int, split: bool, dropout: float) -> None:
        super().__init__()
        self.gconv1 = GraphLayer(adjacency, hidden, hidden, split, dropout)
        self.gconv2 = GraphLayer(adjacency, hidden, hidden, split, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gconv2(self.gconv1(x))


class GraphLayer(nn.Module):
    """Modulated graph convolution → batch norm over channels → ReLU → dropout."""

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, split: bool, dropout: float) -> None:
        super().__init__()
        self.gconv = ModulatedGraphConv(adjacency, in_channels, out_channels, split)
        self.bn = ChannelNorm(out_channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.bn(self.gconv(x)).relu())


# Published state-dict key parts → ours; the other names are the same.
PUBLISHED_KEYS = {
    ".non_local.": ".",  # a block over pairs, wrapped in a module that reorders the joints
    ".g.0.": ".value.",
    ".phi.0.": ".key.",
    ".concat_project.0.": ".pairwise.",
    ".g.": ".value.",
    ".phi.": ".key.",
    ".theta.": ".query.",
    ".W.0.": ".out.",
    ".W.1.": ".norm.",
}


def rename_published(key: str) -> str:
    """Our name of a published Modulated GCN parameter; other names are returned unchanged."""
    for published, ours in PUBLISHED_KEYS.items():
        key = key.replace(published, ours)
    return key
