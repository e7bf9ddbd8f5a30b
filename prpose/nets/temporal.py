"""The temporal convolutions of VideoPose3D (arXiv 1811.11742)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from prpose.nets.layers import ChannelNorm, check_clip, odd


class TemporalModel(nn.Module):
    """Lifter from F frames to one of them, (*, T, J, 2) → (*, T - F + 1, J, 3).

    Pavllo et al., 3D human pose estimation in video with temporal convolutions and semi-supervised training, CVPR 2019;
    parameter names are the published state-dict keys. Defaults: the published network of 27 frames.

    Exactly F frames use :meth:`strided`, longer clips :meth:`dilated`, with equal results in eval mode. In training,
    batch norms of the first use only the frames that the pose depends on, as published.

    F is the product of the odd ``filter_widths``. If ``causal``, the pose is that of the last frame, not of the middle.
    """

    def __init__(
        self,
        joints: int = 17,
        filter_widths: Sequence[int] = (3, 3, 3),
        causal: bool = False,
        channels: int = 1024,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        if not isinstance(filter_widths, Sequence) or not filter_widths:
            raise ValueError(f"expected a list of filter_widths, got {filter_widths!r:.80}")
        if not isinstance(causal, bool):
            raise ValueError(f"expected causal to be true or false, got {causal!r:.80}")
        self.filter_widths = [odd("every one of filter_widths", width) for width in filter_widths]
        self.F = math.prod(self.filter_widths)
        self.causal = causal

        self.expand_conv = TapConv(2 * joints, channels, self.filter_widths[0], bias=False)
        self.expand_bn = ChannelNorm(channels)
        # A block's two convolutions stand one after the other: 0 and 1 are the first block's.
        kernels = [size for width in self.filter_widths[1:] for size in (width, 1)]
        self.layers_conv = nn.ModuleList(TapConv(channels, channels, size, bias=False) for size in kernels)
        self.layers_bn = nn.ModuleList(ChannelNorm(channels) for _ in kernels)
        self.shrink = TapConv(channels, 3 * joints, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, keypoints: Tensor) -> Tensor:
        exact = keypoints.ndim >= 3 and keypoints.shape[-3] == self.F
        return self.strided(keypoints) if exact else self.dilated(keypoints)

    def dilated(self, keypoints: Tensor) -> Tensor:
        """All poses of a clip, (*, T, J, 2) → (*, T - F + 1, J, 3)."""
        check_clip(keypoints, self.F)
        return self._lift(keypoints, strided=False)

    def strided(self, keypoints: Tensor) -> Tensor:
        """The pose of a window of F frames, (*, F, J, 2) → (*, 1, J, 3)."""
        if keypoints.shape[-3] != self.F:
            raise ValueError(f"expected windows of {self.F} frames, got {keypoints.shape[-3]}")
        return self._lift(keypoints, strided=True)

    def _lift(self, keypoints: Tensor, strided: bool) -> Tensor:
        x = keypoints.flatten(-2)  # (*, T, 2·J): x and y of the first joint, of the second ...
        dilation = 1
        for block, width in enumerate(self.filter_widths):
            seen = taps(x, width, 1, width) if strided else taps(x, width, dilation, 1)
            if block == 0:
                x = self._layer(seen, self.expand_conv, self.expand_bn)
            else:
                i = 2 * block - 2
                y = self._layer(seen, self.layers_conv[i], self.layers_bn[i])
                y = self._layer(y[..., None, :], self.layers_conv[i + 1], self.layers_bn[i + 1])
                x = seen[..., -1 if self.causal else width // 2, :] + y
            dilation *= width
        return self.shrink(x[..., None, :]).unflatten(-1, (-1, 3))

    def _layer(self, seen: Tensor, conv: nn.Module, bn: nn.Module) -> Tensor:
        return self.dropout(bn(conv(seen)).relu())


def taps(x: Tensor, width: int, dilation: int, stride: int) -> Tensor:
    """Inputs of each element of a moving filter, (*, T, C) → (*, T', width, C)."""
    starts = x.shape[-2] - (width - 1) * dilation
    return torch.stack([x[..., k * dilation : k * dilation + starts : stride, :] for k in range(width)], dim=-2)


class TapConv(nn.Conv1d):
    """A convolution of :func:`taps` as a linear map, in full float32 on CUDA too, (*, T', width, in) → (*, T', out)."""

    def forward(self, seen: Tensor) -> Tensor:
        weight = self.weight.transpose(1, 2).flatten(1)  # (out, width·in)
        return functional.linear(seen.flatten(-2), weight, self.bias)
