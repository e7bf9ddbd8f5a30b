"""A lifter of one's own: Martinez' residual MLP, trained, given noise, evaluated and packed by its import path.

    prpose train lifter --lifter examples.own_lifter:ResidualLifter --out runs/mlp
    prpose train noise  --lifter examples.own_lifter:ResidualLifter --out runs/mlp_noise \\
        --lifter-weights runs/mlp/best.safetensors
    prpose pack mlp --lifter-run runs/mlp --noise-run runs/mlp_noise --alpha 0.01
    prpose evaluate cmu17 --model mlp -n 50

A lifter maps normalised keypoints (B, T, 17, 2) to poses (B, T, 17, 3), metres relative to the pelvis. One with a
receptive field of several frames names their number as ``self.F``.
"""

from torch import Tensor, nn


class ResidualLifter(nn.Module):
    """One frame at a time, all joints at once, (B, T, 17, 2) → (B, T, 17, 3).

    Martinez et al., A simple yet effective baseline for 3D human pose estimation, ICCV 2017.
    """

    def __init__(self, width: int = 1024, blocks: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        self.first = layer(17 * 2, width, dropout)
        self.blocks = nn.ModuleList(
            nn.Sequential(layer(width, width, dropout), layer(width, width, dropout)) for _ in range(blocks)
        )
        self.last = nn.Linear(width, 17 * 3)

    def forward(self, keypoints: Tensor) -> Tensor:
        x = self.first(keypoints.flatten(0, 1).flatten(1))  # (B·T, width)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x).reshape(*keypoints.shape[:-1], 3)


def layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout))
