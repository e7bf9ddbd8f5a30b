"""Pictures and video → keypoints, with a real detector.

::

    frames      photo, video, folder or camera → frames, one at a time, with their times
    watching    a detector over frames → what a file of keypoints says
    mediapipe_pose  model_file                   MediaPipe Pose, and the model that it needs
"""

from collections.abc import Sequence
from typing import Protocol

from prpose.camera import Array


class Detector(Protocol):
    """Whatever finds people in a picture.

    ``layout`` is a key of :data:`prpose.layouts.LAYOUTS`, the order of its J joints.

    Example:
        >>> class Nobody:
        ...     layout = "coco17"
        ...     def __call__(self, image, time_s):
        ...         return []
        >>> detector: Detector = Nobody()
    """

    @property
    def layout(self) -> str: ...

    def __call__(self, image: Array, time_s: float | None) -> Sequence[tuple[Array, Array]]:
        """Everybody in a picture.

        Args:
            image: (H, W, 3) uint8, RGB, upright.
            time_s: of the frame, increasing from call to call; None for pictures that are no
                frames of a video.

        Returns:
            For each person keypoints (J, 2), pixels, origin at the top left corner, NaN where
            unseen, and scores (J,) from 0 to 1.
        """
        ...
