"""A clip: one person, one camera, paired 2D and 3D."""

from dataclasses import dataclass

from prpose.camera import Array, Camera
from prpose.data.arrays import coordinates


@dataclass(frozen=True, eq=False)
class Clip:
    """Paired 2D and 3D of one person seen by one camera.

    Args:
        keypoints_px: (T, J, 2) float32 pixels.
        poses_cam: (T, J, 3) float32 metres, camera axes (x right, y down, z forward), absolute.
        camera: image size and calibration.
        subject, action: names in the data set.
        camera_index: which of the data set's cameras.
        fps: frames per second, where known.
        confidence: (T, J) of the 2D, where the detector gives one.
        hidden: (T, J) bool, joints behind the person's own body, where known.

    Raises:
        ValueError: for wrong shapes, different lengths, or values that are not finite.
    """

    keypoints_px: Array
    poses_cam: Array
    camera: Camera
    subject: str
    action: str
    camera_index: int
    fps: float | None = None
    confidence: Array | None = None
    hidden: Array | None = None

    def __post_init__(self) -> None:
        J = self.keypoints_px.shape[1] if self.keypoints_px.ndim == 3 else 0
        coordinates(self.keypoints_px, J, 2, self.where(), "2D keypoints")
        coordinates(self.poses_cam, J, 3, self.where(), "3D poses")
        if len(self.keypoints_px) != len(self.poses_cam):
            raise ValueError(
                f"{self.where()}: expected as many frames of 2D as of 3D, "
                f"got {len(self.keypoints_px)} and {len(self.poses_cam)}"
            )
        for name, value in (("confidence", self.confidence), ("hidden", self.hidden)):
            if value is not None and value.shape != self.keypoints_px.shape[:2]:
                raise ValueError(
                    f"{self.where()}: expected {name} of shape {self.keypoints_px.shape[:2]}, got {value.shape}"
                )

    def __len__(self) -> int:
        return len(self.keypoints_px)

    def where(self) -> str:
        """The clip's place in its data set, for messages."""
        return f"subject {self.subject}, action {self.action!r}, camera {self.camera_index}"
