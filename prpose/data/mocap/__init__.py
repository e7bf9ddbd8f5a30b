"""Motion capture files as point trajectories: BVH, ASF/AMC, C3D and npz."""

from collections.abc import Callable
from pathlib import Path

from prpose.data.mocap.asf_amc import read_amc
from prpose.data.mocap.bvh import read_bvh
from prpose.data.mocap.points import read_c3d, read_npz_points
from prpose.data.mocap.recording import Recording

__all__ = ["FORMATS", "Recording"]

FORMATS: dict[str, tuple[str, Callable[[Path], Recording]]] = {
    "bvh": (".bvh", read_bvh),
    "asf": (".amc", read_amc),
    "c3d": (".c3d", read_c3d),
    "npz": (".npz", read_npz_points),
}
"""File ending and reader of each format; an .amc's .asf is looked for beside it."""
