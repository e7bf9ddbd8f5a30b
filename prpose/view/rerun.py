"""Predictions in the viewer Rerun (extra ``rerun``)."""

from typing import Any

import numpy as np
from PIL import ImageColor
from scipy.spatial.transform import Rotation

from prpose.io.overlay import BONE_CHAINS, JOINT_COLOURS
from prpose.prediction import Prediction
from prpose.tables import import_extra

OPACITY = 40  # of samples, of 255


def log_prediction(prediction: Prediction, recording: Any, entity: str) -> None:
    """See :meth:`prpose.Prediction.to_rerun`."""
    rr = import_extra("rerun", "rerun")
    if recording is None and (recording := rr.get_data_recording()) is None:
        raise ValueError("expected a recording, or rerun.init(...) before, got none")
    names, seconds = prediction.joint_names, prediction.seconds
    root = np.zeros((len(prediction), 3)) if prediction.root is None else prediction.root
    semi_axes, axes = prediction.regions()
    axes = axes * np.concatenate([np.ones((*axes.shape[:2], 2)), np.linalg.det(axes)[..., None]], -1)[..., None]
    colours = np.array([ImageColor.getrgb(colour) for colour in JOINT_COLOURS], np.uint8)
    limbs = colours[[limb[0] for limb in BONE_CHAINS]]
    faint = np.concatenate([limbs, np.full((len(BONE_CHAINS), 1), OPACITY, np.uint8)], axis=1)

    def log(path: str, content: Any, static: bool = False) -> None:
        rr.log(f"{entity}/{path}".rstrip("/"), content, static=static, recording=recording)

    log("", rr.ViewCoordinates.RDF, static=True)
    camera = prediction.camera
    if camera is not None and camera.focal_px is not None and prediction.root is not None:
        size, centre = [camera.width, camera.height], camera.center_px
        lens = rr.Pinhole(resolution=size, focal_length=camera.focal_px, principal_point=centre)
        log("image", lens, static=True)
    for t, frame in enumerate(prediction.frame_numbers.tolist()):
        rr.set_time("frame", sequence=frame, recording=recording)
        if seconds is not None:
            rr.set_time("time", duration=float(seconds[t]), recording=recording)
        pose = prediction.pose[t] + root[t]
        log("pose/joints", rr.Points3D(pose, colors=colours, radii=0.012, labels=names, show_labels=False))
        log("pose/bones", rr.LineStrips3D([pose[limb] for limb in BONE_CHAINS], colors=limbs, radii=0.006))
        if prediction.samples is not None:
            strips = [sample[limb] + root[t] for sample in prediction.samples[:, t] for limb in BONE_CHAINS]
            log("samples", rr.LineStrips3D(strips, colors=np.tile(faint, (len(prediction.samples), 1)), radii=0.002))
        turns = [rr.Quaternion(xyzw=turn) for turn in Rotation.from_matrix(axes[t, 1:].swapaxes(1, 2)).as_quat()]
        shape = {"half_sizes": semi_axes[t, 1:], "centers": pose[1:], "quaternions": turns}
        log("regions", rr.Ellipsoids3D(**shape, colors=colours[1:], labels=names[1:], show_labels=False))
        if prediction.keypoints_px is not None:
            known = np.flatnonzero(np.isfinite(prediction.keypoints_px[t]).all(-1))
            labels = [names[joint] for joint in known]
            points = rr.Points2D(prediction.keypoints_px[t][known], colors=colours[known], radii=3, labels=labels)
            log("image/keypoints", points)
    for name in ("frame", "time"):  # what is logged next is not of the last frame
        rr.disable_timeline(name, recording=recording)
