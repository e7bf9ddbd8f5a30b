"""What files for other programs have in common: y up, places in space, even time."""

import numpy as np

from prpose.camera import Array
from prpose.prediction import Prediction


def y_up(points_cam: Array) -> Array:
    """Camera axes (x right, y down, z forward) → x right, y up, z towards the camera, (*, 3).

    Half a turn about x: still right-handed, nothing is mirrored. Who faces the camera faces +z and
    has the left hand at +x, as characters in animation do. "Up" is up in the picture: where the
    camera was tilted, so is the floor.
    """
    return points_cam.astype(np.float64) * np.array([1.0, -1.0, -1.0])


def placed(poses: Prediction) -> Array:
    """(T, 17, 3) float64 metres, y up: the aggregate where the person is, or with the pelvis at 0.

    The origin is the camera if :attr:`Prediction.root` is known.
    """
    body = y_up(poses.pose)
    return body if poses.root is None else body + y_up(poses.root)[:, None]


def frame_rate(poses: Prediction, what: str, even: bool) -> float:
    """Frames per second: the nominal rate, or that of the times.

    Args:
        what: needs it, for the message.
        even: whether every frame must be within half a frame of where the rate puts it.

    Raises:
        ValueError: if it is not known, or the times are not even and must be.
    """
    times = poses.times_s
    rate = poses.fps
    if rate is None and times is not None and len(times) > 1:
        rate = float((len(times) - 1) / (times[-1] - times[0]))
    if rate is None:
        raise ValueError(f"{what} needs a frame rate: expected fps, or times of two frames or more")
    if even and times is not None:
        off = np.abs((times - times[0]) * rate - np.arange(len(times)))
        if off.max() > 0.5:
            raise ValueError(
                f"{what} needs even times: expected frames every {1 / rate:.6g} s, got one {off.max():.3g} frames off"
            )
    return rate
