"""The person as a virtual camera sees it that looks at the pelvis and shows every body equally large.

Nothing about the picture's width, the person's place in it or the lens remains in a framed pose; what a network learns
of one camera then holds for others.
"""

import torch
from torch import Tensor, nn

from prpose.nets.gaussian import PoseGaussian, PoseMixture
from prpose.nets.layers import check_clip

SIZE = 0.2  # mean distance of the framed joints from the pelvis, near that of Human3.6M's normalised keypoints
NEAREST = 0.05  # least depth of a joint's ray along the pelvis' ray, where the image plane is at 1


def frame_person(keypoints: Tensor, own: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Windows of keypoints in units of the focal length, (*, F, J, 2), as the virtual camera of one frame sees them.

    Args:
        keypoints: (x/z, y/z) of the rays, from the principal point (:meth:`prpose.camera.Camera.plane`).
        own: index of the frame whose pelvis and size the whole window is framed by.

    Returns:
        The framed keypoints, (*, F, J, 2); the rotation from the camera's to the virtual camera's axes, (*, 3, 3): the
        smallest that takes the pelvis' ray to the z axis; and the size that was divided by, (*).

    The mirror image of the keypoints gives the mirror image of the framed ones.
    """
    with torch.autocast(keypoints.device.type, enabled=False):
        rays = torch.cat([keypoints, torch.ones_like(keypoints[..., :1])], dim=-1)  # (*, F, J, 3)
        x, y, z = nn.functional.normalize(rays[..., own, 0, :], dim=-1).unbind(-1)
        k = 1 / (1 + z)
        rows = (1 - x * x * k, -x * y * k, -x), (-x * y * k, 1 - y * y * k, -y), (x, y, z)
        rotation = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
        turned = rays @ rotation[..., None, :, :].mT
        plane = turned[..., :2] / turned[..., 2:].clamp_min(NEAREST)
        distance = plane[..., own, 1:, :].square().sum(-1).add(1e-12).sqrt()
        size = distance.mean(-1) / SIZE
        return plane / size[..., None, None, None], rotation, size


class Framed(nn.Module):
    """A lifter of framed keypoints as one of keypoints in units of the focal length, shapes as of any lifter.

    Each window of F frames is framed by its own frame; the poses are turned back into the camera's axes. Its attribute
    ``framed`` tells that it needs a camera: keypoints as of :meth:`prpose.camera.Camera.plane`.
    """

    framed = True

    def __init__(self, lifter: nn.Module) -> None:
        super().__init__()
        self.lifter = lifter
        self.F, self.causal = int(getattr(lifter, "F", 1)), bool(getattr(lifter, "causal", False))
        self.frame_step, self.one_pass = getattr(lifter, "frame_step", 1), getattr(lifter, "one_pass", False)

    def forward(self, keypoints: Tensor) -> Tensor:
        framed, rotation = self._framed(keypoints)
        poses = self.lifter(framed.flatten(0, 1)).unflatten(0, framed.shape[:2])[:, :, 0]
        with torch.autocast(keypoints.device.type, enabled=False):
            return poses.to(keypoints) @ rotation

    def distribution(self, keypoints: Tensor) -> PoseMixture:
        """The distribution of a one-pass lifter's poses, (B, T, J, 2) → (B, T - F + 1)."""
        framed, rotation = self._framed(keypoints)
        windows: PoseMixture = self.lifter.distribution(framed.flatten(0, 1))  # type: ignore[operator]

        def own(x: Tensor) -> Tensor:
            return x.unflatten(0, framed.shape[:2])[:, :, 0]

        parts = (
            PoseGaussian(own(p.mean), own(p.factor), own(p.scale), own(p.tail), rotation) for p in windows.components
        )
        return PoseMixture(tuple(parts))

    def _framed(self, keypoints: Tensor) -> tuple[Tensor, Tensor]:
        """Framed windows, (B, T - F + 1, F, J, 2), and the rotations (B, T - F + 1, 3, 3)."""
        check_clip(keypoints, self.F)
        windows = keypoints.unfold(1, self.F, 1).movedim(-1, 2)
        framed, rotation, _ = frame_person(windows, self.F - 1 if self.causal else self.F // 2)
        return framed, rotation
