"""The body as a graph, layers that several networks share, networks from arguments, and checks of clips."""

import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

T = TypeVar("T")
MOST_NUMBERS = 2**28  # of a network's parameters, each of which counts for PER_PARAMETER more
PER_PARAMETER = 2**14


def construct(name: str, constructor: Callable[..., T], kw: Mapping[str, Any]) -> T:
    """A network built with keyword arguments.

    ``ValueError`` for arguments that it does not accept, NaN or infinity, and for a network that is too large.
    """
    described = f"{name} cannot be built with {kw!s:.200}"
    if not all(map(_is_finite, kw.values())):
        raise ValueError(f"{described}: expected finite numbers")
    try:
        with warnings.catch_warnings(), numbers_within(MOST_NUMBERS, PER_PARAMETER, f"{described}: it is too large"):
            warnings.simplefilter("error", UserWarning)  # as of layers without elements
            return constructor(**kw)
    except (TypeError, RuntimeError, ArithmeticError, AttributeError, LookupError, MemoryError, UserWarning) as error:
        raise ValueError(f"{described}: {error}") from None


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@contextmanager
def numbers_within(most: int, per_parameter: int, problem: str) -> Iterator[None]:
    """``ValueError`` as soon as networks that the block builds have more numbers, and ``per_parameter`` for each."""
    thread, total = threading.get_ident(), 0

    def count(module: nn.Module, name: str, parameter: Tensor) -> None:
        nonlocal total
        if threading.get_ident() == thread and parameter is not None:
            total += parameter.numel() + per_parameter
            if total > most:
                raise ValueError(problem)

    hook = nn.modules.module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def body_adjacency(parents: Sequence[int]) -> Tensor:
    """Fixed graph of a joint tree, (J, J) float32.

    Symmetric bone links, each row divided by its number of neighbours, then a diagonal of ones (as in the release of
    the Modulated GCN, which normalises before it adds self-links).
    """
    links = _bones(parents)
    return (links / links.sum(1, keepdim=True)).fill_diagonal_(1)


def body_partitions(parents: Sequence[int], mirror: Sequence[int], centre: int) -> Tensor:
    """Fixed graph of a joint tree in four parts, (4, J, J) float32, from joint to joint.

    Parts: self-links; bones towards the centre; bones away from it; left-right pairs. Each column is divided by its
    number of links in all parts (as in the GraphMLP release; the partitions are those of ST-GCN, arXiv 1801.07455).
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


def aggregate(graph: Tensor, x: Tensor) -> Tensor:
    """Sums over the joints of a graph, (J, K) and (*, K, C) → (*, J, C).

    In training on CPUs several times as fast as ``graph @ x``, which copies its operands.
    """
    return torch.einsum("jk,...kc->...jc", graph, x)


class ModulatedGraphConv(nn.Module):
    r"""Modulated graph convolution, (*, J, in) → (*, J, out).

    .. math::
        \text{split: }  & (A_s ∘ I)(M ∘ x W_0) + (A_s ∘ (1 - I))(M ∘ x W_1) + b \\
        \text{shared: } & A_s (M ∘ x W_0) + b

    with :math:`A_s = (A + A_2 + (A + A_2)^T) / 2`, A fixed, :math:`A_2, M, W, b` learnt (Zou & Tang, ICCV 2021).
    """

    adjacency: Tensor

    def __init__(self, adjacency: Tensor, in_channels: int, out_channels: int, split: bool = True) -> None:
        super().__init__()
        J = len(adjacency)
        # W, M, adj2 and bias are the published state-dict keys.
        self.W = nn.Parameter(torch.empty(2 if split else 1, in_channels, out_channels))
        self.M = nn.Parameter(torch.empty(J, out_channels))
        self.adj2 = nn.Parameter(torch.full((J, J), 1e-6))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.register_buffer("adjacency", adjacency.clone(), persistent=False)
        nn.init.xavier_uniform_(self.W, gain=1.414)
        nn.init.xavier_uniform_(self.M, gain=1.414)
        bound = 1 / math.sqrt(out_channels)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        graph = self.adjacency + self.adj2
        graph = (graph + graph.T) / 2
        if len(self.W) == 1:
            return aggregate(graph, self.M * (x @ self.W[0])) + self.bias
        own = graph.diagonal()[:, None]
        others = graph - torch.diag_embed(graph.diagonal())
        return own * (self.M * (x @ self.W[0])) + aggregate(others, self.M * (x @ self.W[1])) + self.bias


class PartitionedGraphConv(nn.Module):
    r"""Graph convolution with separate weights for each part of the graph, (*, J, in) → (*, J, out).

    .. math:: y_w = \sum_k \sum_v A_{kvw} (W_k x_v + b_k)

    with A fixed, (K, J, J), from joint v to joint w (ST-GCN, arXiv 1801.07455, without its learnt edge weights).
    """

    partitions: Tensor

    def __init__(self, partitions: Tensor, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, len(partitions) * out_channels)
        self.register_buffer("partitions", partitions.clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        K, J, _ = self.partitions.shape
        y = self.linear(x).unflatten(-1, (K, -1)).flatten(-3, -2)  # (*, J·K, out)
        return aggregate(self.partitions.permute(2, 1, 0).reshape(J, J * K), y)


class MLP(nn.Module):
    """Linear → GELU → dropout → linear → dropout, (*, C) → (*, C); optionally a layer norm after each linear map."""

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

    with C/2 channels and unscaled products. It starts as the identity: the batch norm's scale and offset are 0. Wang et
    al., Non-local Neural Networks, CVPR 2018 (embedded Gaussian), as in the 17-joint network of Zou & Tang, ICCV 2021.
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
        return x + self.norm(self.out(self.weights(self.query(x), key) @ value))

    def pool(self, x: Tensor) -> Tensor:
        """Features to attend to, (*, J, C/2) → (*, K, C/2): here every joint's."""
        return x

    def weights(self, query: Tensor, key: Tensor) -> Tensor:
        """Attention weights, (*, J, C/2) and (*, K, C/2) → (*, J, K)."""
        return (query @ key.mT).softmax(-1)


class PairNonLocalBlock(NonLocalBlock):
    r"""A non-local block that attends to pairs of joints, residual, (\*, J, C) → (\*, J, C).

    Keys and values are the channel-wise maximum over a pair, the weights :math:`\max(0, w \cdot [q_i, k_j])` divided by
    the number of pairs, with w learnt (concatenation, as in the 16-joint network of Zou & Tang).
    """

    pairs: Tensor

    def __init__(self, channels: int, pairs: Sequence[Sequence[int]]) -> None:
        super().__init__(channels)
        self.pairwise = nn.Linear(channels // 2 * 2, 1, bias=False)
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
