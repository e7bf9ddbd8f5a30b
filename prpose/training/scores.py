"""What is watched on the validation split while training."""

import torch
from torch import Tensor, nn

from prpose.data.windows import Windows
from prpose.lifter import average_flipped
from prpose.metrics import mpjpe, p_mpjpe, rank_correlation
from prpose.skeleton import H36M_17, mirror_pose


@torch.no_grad()
def lifter_scores(net: nn.Module, windows: Windows, device: torch.device, batch_size: int = 512) -> dict[str, float]:
    """P1 and P2 of the flip-averaged single hypothesis, mm, mean over frames."""
    p1, p2 = [], []
    for _, batch in windows.batches(batch_size):
        keypoints, target = batch.keypoints.to(device), batch.target.to(device)
        mirrored = net(mirror_pose(keypoints, H36M_17.mirror))
        poses = average_flipped(net(keypoints), mirrored, H36M_17.mirror)
        p1.append(mpjpe(poses, target)[:, 0].cpu())
        p2.append(p_mpjpe(poses, target)[:, 0].cpu())
    return {"val_P1": _mean(p1) * 1000, "val_P2": _mean(p2) * 1000}


@torch.no_grad()
def variance_scores(
    net: nn.Module,
    targets: Tensor,
    windows: Windows,
    device: torch.device,
    batch_size: int = 512,
    frame: int = 0,
) -> dict[str, float]:
    """Mean squared error of what is predicted for each window, and its rank correlation.

    The correlation (Spearman's) is over frames, joint by joint, and then averaged over all joints
    but the pelvis: it says whether the net knows *when* a joint goes wrong, not only which joints
    tend to.

    Args:
        net: in eval mode, on ``device``.
        targets: (N, 1, J, 1), what is to be predicted for the items of ``windows``.
        frame: of the windows, which the targets are of.
    """
    found = [net(batch.keypoints[:, frame : frame + 1].to(device)).cpu() for _, batch in windows.batches(batch_size)]
    sigma, error = (values[:, 0, :, 0] for values in (torch.cat(found), targets))
    joints = range(1, sigma.shape[1])
    known = [rank_correlation(sigma[:, j].numpy(), error[:, j].numpy()) or 0.0 for j in joints]
    return {
        "val_mse": float((sigma - error).square().mean()),
        "val_negative_rank": -sum(known) / len(known),
    }


def _mean(parts: list[Tensor]) -> float:
    return float(torch.cat(parts).double().mean())
