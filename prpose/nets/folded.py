"""Networks for inference: what is constant in eval mode is computed once, with the same results up to rounding."""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from prpose.nets.layers import ModulatedGraphConv, NonLocalBlock, PartitionedGraphConv
from prpose.nets.mlp import ResidualMLP, ResidualStage
from prpose.nets.modulated_gcn import GraphLayer
from prpose.nets.temporal import TapConv, TemporalModel

N = TypeVar("N", bound=nn.Module)
Norm = nn.BatchNorm1d | None


def for_inference(net: N) -> N:
    """A copy of a network in eval mode, without gradients, that gives the same results faster, up to rounding.

    Batch norms are folded into the linear maps before them, modulation and graph into weights, and graph convolutions
    compute joint by joint, without copies. Parts of other classes stay as they are; a network without any part that can
    be folded is returned itself.
    """
    # After a block of nearly 32 MB was freed, glibc keeps as much for reuse; else every layer's output is new memory,
    # whose page faults make two threads half as fast.
    torch.empty(2**25 - 2**16, dtype=torch.uint8)
    if not any(_fold_of(part) for part in net.modules()):
        return net.eval()
    return cast(N, _folded(copy.deepcopy(net).eval()).eval().requires_grad_(False))


def in_threads(work: Callable[[Tensor], None], parts: Sequence[Tensor]) -> None:
    """Calls ``work`` with each part, in as many threads as PyTorch has, of which each then computes alone.

    For parts of a cache's size: their layers are too small to be shared by several threads. On a GPU, and where
    gradients or lower precision are enabled, which are so by thread, one part comes after the other.
    """
    threads, device = min(torch.get_num_threads(), len(parts)), parts[0].device.type
    shared = device != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
    if shared or threads < 2:
        with nullcontext() if shared else single_threaded():
            list(map(work, parts))
        return
    inference = torch.is_inference_mode_enabled()

    def alone(part: Tensor) -> None:
        with torch.inference_mode(inference), torch.no_grad():
            work(part)

    with single_threaded(), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(alone, parts))


@contextmanager
def single_threaded() -> Iterator[None]:
    """PyTorch computes with one thread inside; other Python threads that start meanwhile keep one, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fold_of(net: nn.Module) -> Callable[..., nn.Module] | None:
    return next((FOLDS[kind] for kind in type(net).__mro__ if kind in FOLDS), None)


def _folded(net: nn.Module) -> nn.Module:
    if fold := _fold_of(net):
        net = fold(net)
    for name, child in net.named_children():
        setattr(net, name, _folded(child))
    return net


class FoldedGraphConv(nn.Module):
    r"""A modulated graph convolution with its batch norm, (\*, J, in) → (\*, J, out).

    .. math:: y_j = D_j ∘ (x_j U) + \sum_k G_{jk} (M_k ∘ (x_k V)) + b, \quad \text{optionally } \max(y, 0)

    The first term is left out where U is None. Memory is ordered by joint, so that each product is one of two matrices.
    """

    graph: Tensor
    weight: Tensor
    scale: Tensor
    own_weight: Tensor | None
    own_scale: Tensor
    bias: Tensor

    def __init__(
        self,
        graph: Tensor,
        weight: Tensor,
        scale: Tensor,
        own_weight: Tensor | None,
        own_scale: Tensor | None,
        bias: Tensor,
        relu: bool,
    ) -> None:
        super().__init__()
        parts = {"graph": graph, "weight": weight, "scale": scale, "own_weight": own_weight, "own_scale": own_scale}
        for name, value in (parts | {"bias": bias}).items():
            self.register_parameter(name, None if value is None else nn.Parameter(value.detach().contiguous()))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        leading, J = x.shape[:-2], x.shape[-2]
        flat = x.reshape(-1, J, x.shape[-1]).transpose(0, 1).reshape(-1, x.shape[-1])  # (J·N, in)
        h = torch.mm(flat, self.weight).view(J, -1, self.weight.shape[1]).mul_(self.scale)  # (J, N, out)
        if self.own_weight is None:
            y = torch.mm(self.graph, h.flatten(1)).view_as(h).add_(self.bias)
        else:
            y = torch.addcmul(self.bias, torch.mm(flat, self.own_weight).view_as(h), self.own_scale)
            y = y.flatten(1).addmm_(self.graph, h.flatten(1)).view_as(h)
        y = y.relu_() if self.relu else y
        return y.transpose(0, 1).unflatten(0, leading)


class FoldedPartitions(nn.Module):
    """A partitioned graph convolution, (*, J, in) → (*, J, out), with memory ordered by part and joint."""

    graph: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, graph: Tensor, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        for name, value in {"graph": graph, "weight": weight, "bias": bias}.items():
            self.register_parameter(name, nn.Parameter(value.detach().contiguous()))

    def forward(self, x: Tensor) -> Tensor:
        leading, (K, _, out), J = x.shape[:-2], self.weight.shape, x.shape[-2]
        flat = x.reshape(-1, J, x.shape[-1]).transpose(0, 1).reshape(1, -1, x.shape[-1])  # (1, J·N, in)
        h = torch.bmm(flat.expand(K, -1, -1), self.weight).view(K * J, -1)  # (K·J, N·out)
        y = torch.mm(self.graph, h).view(J, -1, out).add_(self.bias[:, None])
        return y.transpose(0, 1).unflatten(0, leading)


class FoldedTaps(nn.Linear):
    """A convolution of taps as one linear map, (*, T', width, in) → (*, T', out)."""

    def forward(self, seen: Tensor) -> Tensor:
        return super().forward(seen.flatten(-2))


def _scale_and_offset(norm: Norm, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Scale of the weights, and the bias, of a linear map with its batch norm."""
    if norm is None:
        return torch.ones_like(bias), bias
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None, "batch norms of lifters have running statistics"
    assert variance is not None, "batch norms of lifters have running statistics"
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    return scale, (bias - mean) * scale + norm.bias


def _graph_conv(conv: ModulatedGraphConv, norm: Norm = None, relu: bool = False) -> FoldedGraphConv:
    graph = conv.adjacency + conv.adj2
    graph = (graph + graph.T) / 2
    scale, bias = _scale_and_offset(norm, conv.bias)
    modulation = (conv.M * scale)[:, None]  # (J, 1, out)
    if len(conv.W) == 1:
        return FoldedGraphConv(graph, conv.W[0], modulation, None, None, bias, relu)
    own = graph.diagonal()
    others = graph - torch.diag_embed(own)
    return FoldedGraphConv(others, conv.W[1], modulation, conv.W[0], own[:, None, None] * modulation, bias, relu)


def _partitions(conv: PartitionedGraphConv) -> FoldedPartitions:
    K, J, _ = conv.partitions.shape
    weight = conv.linear.weight.unflatten(0, (K, -1)).mT  # (K, in, out)
    bias = torch.einsum("kvw,kc->wc", conv.partitions, conv.linear.bias.unflatten(0, (K, -1)))
    return FoldedPartitions(conv.partitions.permute(2, 0, 1).reshape(J, K * J), weight, bias)


def _linear(linear: nn.Linear | TapConv, norm: Norm) -> nn.Linear:
    if isinstance(linear, FoldedTaps) or isinstance(norm, nn.Identity):  # folded already
        return linear
    is_taps = isinstance(linear, TapConv)
    weight = linear.weight.transpose(1, 2).flatten(1) if is_taps else linear.weight
    bias = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias
    scale, bias = _scale_and_offset(norm, bias)
    found = (FoldedTaps if is_taps else nn.Linear)(weight.shape[1], len(weight))
    found.weight, found.bias = nn.Parameter(scale[:, None] * weight), nn.Parameter(bias.detach())
    return found


def _fold_pairs(*pairs: tuple[str, str]) -> Callable[[nn.Module], nn.Module]:
    """Folds batch norms into linear maps, by the names of both."""

    def fold(net: nn.Module) -> nn.Module:
        for linear, norm in pairs:
            setattr(net, linear, _linear(getattr(net, linear), getattr(net, norm)))
            setattr(net, norm, nn.Identity())
        return net

    return fold


def _temporal(net: Any) -> nn.Module:
    _fold_pairs(("expand_conv", "expand_bn"))(net)
    for i, norm in enumerate(net.layers_bn):
        net.layers_conv[i], net.layers_bn[i] = _linear(net.layers_conv[i], norm), nn.Identity()
    net.shrink = _linear(net.shrink, None)
    return cast(nn.Module, net)


FOLDS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    GraphLayer: lambda layer: _graph_conv(layer.gconv, layer.bn, relu=True),
    ModulatedGraphConv: _graph_conv,
    PartitionedGraphConv: _partitions,
    NonLocalBlock: _fold_pairs(("out", "norm")),
    ResidualMLP: _fold_pairs(("w1", "batch_norm1")),
    ResidualStage: _fold_pairs(("w1", "batch_norm1"), ("w2", "batch_norm2")),
    TemporalModel: _temporal,
}
"""How networks and their parts are folded, by class."""
