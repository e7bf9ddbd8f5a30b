"""Refinement: a lifter's pose, corrected by where its keypoints would lie at its depths."""

import torch
from torch import Tensor, nn


class Refinement(nn.Module):
    """Blends x and y of two poses, joint by joint, (*, J, 3) and (*, J, 3) → (*, J, 3).

    One is the lifter's, the other its keypoints at its depths (:func:`back_project`). Both go
    through an MLP to a weight of the lifter's x and one of its y, between 0 and 1, per joint; z
    stays the lifter's. The defaults are the module published with the Modulated GCN; that of
    GraphMLP has ``hidden=1536``.

    Args:
        joints: J.
        hidden: width of the MLP.
        dropout: rate of the MLP. The release of the Modulated GCN leaves it on when it evaluates;
            here it is off in eval mode, as every dropout is.

    Reference:
        Cai et al., Exploiting Spatial-temporal Relationships for 3D Pose Estimation via Graph
        Convolutional Networks, ICCV 2019. Parameter names are the published state-dict keys.
    """

    def __init__(self, joints: int = 17, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        self.post_refine = nn.Sequential(
            nn.Linear(joints * 6, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, joints * 2),
            nn.Sigmoid(),
        )

    def forward(self, poses: Tensor, back_projected: Tensor) -> Tensor:
        both = torch.cat([poses, back_projected], dim=-1)  # (*, J, 6)
        score = self.post_refine(both.flatten(-2)).unflatten(-1, (-1, 2))  # (*, J, 2)
        xy = score * poses[..., :2] + (1 - score) * back_projected[..., :2]
        return torch.cat([xy, poses[..., 2:]], dim=-1)


def back_project(poses: Tensor, keypoints: Tensor, pelvis_depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Keypoints in space, each at its joint's depth, by a pinhole camera, (*, J, 3).

    Args:
        poses: (*, J, 3): camera axes, metres, relative to the pelvis, joint 0; of these, only z.
        keypoints: (*, J, 2), normalised, of the same frames.
        pelvis_depth: (*), metres: z of the pelvis in camera space.
        intrinsics: (*, 4 or more): focal lengths and centre in the units of the keypoints, then
            what is not used; as :meth:`prpose.camera.Camera.intrinsics` has them.

    Returns:
        (*, J, 3) poses: camera axes, metres, pelvis at 0.

    Raises:
        ValueError: for a camera without focal lengths.
    """
    focal, centre = intrinsics[..., None, :2], intrinsics[..., None, 2:4]  # (*, 1, 2)
    if not focal.all():
        raise ValueError("expected calibrated cameras, got one whose focal length is 0")
    depth = poses[..., 2:] + pelvis_depth[..., None, None]  # (*, J, 1)
    depth = torch.cat([pelvis_depth[..., None, None], depth[..., 1:, :]], dim=-2)
    xyz = torch.cat([(keypoints - centre) * depth / focal, depth], dim=-1)
    return xyz - xyz[..., :1, :]  # the pelvis is at 0 by this
