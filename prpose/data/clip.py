"""A clip: one person, one camera, paired 2D and 3D."""

from dataclasses import dataclass

import numpy as np

from prpose.camera import Array, Camera


@dataclass(frozen=True, eq=False)
class Clip:
    """Paired 2D and 3D of one person seen by one camera.

    Args:
        keypoints_px: (T, J, 2) float32 pixels.
        poses_cam: (T, J, 3) float32 metres, camera axes (x right, y down, z forward), absolute.
        camera: image size and calibration.
        subject, action: names in the data set.
        camera_index: which of the data set's cameras.

    Raises:
        ValueError: for wrong shapes, different lengths, or values that are not finite.
    """

    keypoints_px: Array
    poses_cam: Array
    camera: Camera
    subject: str
    action: str
    camera_index: int

    def __post_init__(self) -> None:
        T, J = self.keypoints_px.shape[:2]
        for name, array, channels in (
            ("2D keypoints", self.keypoints_px, 2),
            ("3D poses", self.poses_cam, 3),
        ):
            if array.shape != (T, J, channels):
                raise ValueError(
                    f"{self.where()}: expected {name} of shape {(T, J, channels)}, "
                    f"got {array.shape}"
                )
            if not np.isfinite(array).all():
                frame = int(np.argwhere(~np.isfinite(array))[0][0])
                raise ValueError(
                    f"{self.where()}: expected finite {name}, got NaN or infinity in frame {frame}"
                )

    def __len__(self) -> int:
        return len(self.keypoints_px)

    def where(self) -> str:
        """The clip's place in its data set, for messages."""
        return f"subject {self.subject}, action {self.action!r}, camera {self.camera_index}"
