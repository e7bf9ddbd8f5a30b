"""Training of what is sampled, by a proper score: lifter and noise, or a one-pass network, by the energy score.

Engression (Shen & Meinshausen, arXiv 2307.00835): the map from noise to poses is trained so that the poses are
distributed as the true ones are, given the keypoints.
"""

import torch
from torch import Tensor, nn

from prpose.data.windows import Batch, Windows
from prpose.metrics import LEVELS, covered, energy_score, mpjpe
from prpose.noise import correlated
from prpose.sampler import Sampler
from prpose.training import Loss

LEAST_M2 = 1e-10  # added to squared distances, whose root has no derivative at 0
VALIDATION_SAMPLES = 20


def energy_loss(samples: Tensor, target: Tensor, pose_weight: float) -> Tensor:
    r"""Energy score of D draws, per joint and of the whole pose, (D, *, J, 3) and (*, J, 3) → scalar, metres.

    .. math:: \operatorname{mean}_j ES(P_j, y_j; ℝ³) + w \, ES(P, y; ℝ^{3J}), \quad
        ES = \frac1D \sum_d ‖P_d - y‖ - \frac1{2D} \sum_d ‖P_d - P_{d+1}‖

    with the D pairs taken in a circle: unbiased and, for w > 0, least if and only if P is distributed as y; no pelvis.
    """
    if len(samples) < 2:
        raise ValueError(f"expected at least two draws, got {len(samples)}")
    poses, truth = samples[..., 1:, :], target[..., 1:, :]
    off, apart = (poses - truth).square().sum(-1), (poses - poses.roll(1, 0)).square().sum(-1)  # (D, *, J - 1)
    pairs = (off, apart), (off.sum(-1), apart.sum(-1))
    joints, whole = ((a + LEAST_M2).sqrt().mean() - (b + LEAST_M2).sqrt().mean() / 2 for a, b in pairs)
    return joints + pose_weight * whole


def sampler_loss(draws: int, pose_weight: float, channels: int, rho: float = 0.0) -> Loss:
    """Loss of a sampler: the energy score of ``draws`` samples from noise of so many ``channels`` per joint.

    Neighbouring frames of a window have noise with the correlation ``rho`` (:func:`prpose.rng.noise_rho`). With rho =
    1, noise is drawn once per window: a one-pass lifter uses only that of the pose's own frame.
    """

    def loss(net: nn.Module, indices: Tensor, batch: Batch) -> Tensor:
        B, F, J, _ = batch.keypoints.shape
        eps = torch.randn(draws, B, 1 if rho == 1 else F, J, channels, device=batch.keypoints.device)
        eps = correlated(eps, rho).expand(-1, -1, F, -1, -1)
        return energy_loss(net(batch.keypoints, eps, None).float(), batch.target, pose_weight)

    return loss


def sampler_scores(net: nn.Module, windows: Windows, device: torch.device, rho: float = 0.0) -> dict[str, float]:
    """Energy score of 20 samples, mm; their calibration error, of all joints; P1 of the pose without noise, mm."""
    assert isinstance(net, Sampler)
    generator = torch.Generator().manual_seed(0)

    def values(batch: Batch) -> Tensor:
        samples = net.sample(batch.keypoints, VALIDATION_SAMPLES, generator, rho)[:, :, 0]
        truth = batch.target[:, 0]
        inside = covered(samples, truth)[:, 1:].float().mean(1)  # (B, levels)
        scores = energy_score(samples, truth), mpjpe(net.deterministic(batch.keypoints)[:, 0], truth)
        return torch.cat([torch.stack(scores, dim=1) * 1000, inside], dim=1)

    (score, error), inside = windows.values(values, device, batch_size=128).double().mean(0).split([2, len(LEVELS)])
    calibration = (inside - torch.tensor(LEVELS)).abs().mean()
    return {"val_ES": float(score), "val_ECE": float(calibration), "val_P1": float(error)}
