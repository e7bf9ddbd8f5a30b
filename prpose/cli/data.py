"""prpose data prepare: the field's npz files from the licensed originals."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from prpose.data.prepare_human36m import from_cdf as human36m_from_cdf
from prpose.data.prepare_mpi_inf_3dhp import from_original as mpi_inf_3dhp_from_original

Overwrite = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def prepare_h36m(
    from_cdf: Path,
    root: Path = Path("dataset"),
    projection: Literal["videopose3d", "opencv"] = "videopose3d",
    overwrite: Overwrite = False,
) -> None:
    """Human3.6M from its original pose files (D3_Positions/*.cdf).

    Args:
        from_cdf: folder with S1/MyPoseFeatures/D3_Positions/*.cdf and so on.
        root: existing folder that the npz files go to.
        projection: tangential lens distortion of the ground-truth 2D: as in the published file,
            or OpenCV's (right, and up to 0.7 px different).
        overwrite: replace files that exist.
    """
    _report(human36m_from_cdf(from_cdf, root, overwrite, projection), root)


def prepare_3dhp(
    from_original: Path,
    root: Path = Path("dataset"),
    annotation: Literal["univ_annot3", "annot3"] = "univ_annot3",
    overwrite: Overwrite = False,
) -> None:
    """MPI-INF-3DHP from its original annotations (annot.mat, annot_data.mat).

    Args:
        from_original: folder with S1/Seq1/annot.mat, mpi_inf_3dhp_test_set/TS1/annot_data.mat ...
        root: existing folder that the npz files go to.
        annotation: height-normalised 3D, as the official evaluation uses, or metric.
        overwrite: replace files that exist.
    """
    _report(mpi_inf_3dhp_from_original(from_original, root, overwrite, annotation), root)


def _report(counts: dict[str, int], root: Path) -> None:
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()), "→", root)
