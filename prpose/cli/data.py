"""prpose data: making data sets of originals, and looking at them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.table import Table

from prpose.atomic import check_output, replacing
from prpose.cli.console import plain_console
from prpose.cli.progress import progress
from prpose.data import DATASETS, Clip, data_set
from prpose.data.inspection import (
    PERCENTILES,
    count,
    detector_errors,
    confidence_rank_correlation,
)
from prpose.data.mocap.sources import from_folder
from prpose.data.prepare_cmu17 import ACKNOWLEDGEMENT, from_cmu
from prpose.data.prepare_cmu17 import clips as cmu17_clips
from prpose.data.prepare_human36m import from_cdf as human36m_from_cdf
from prpose.data.prepare_mocap import Report, build
from prpose.data.prepare_mpi_inf_3dhp import from_original as mpi_inf_3dhp_from_original
from prpose.data.release_files import Selection
from prpose.view import draw_samples

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
        root: folder that the npz files go to.
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
        root: folder that the npz files go to.
        annotation: height-normalised 3D, as the official evaluation uses, or metric.
        overwrite: replace files that exist.
    """
    _report(mpi_inf_3dhp_from_original(from_original, root, overwrite, annotation), root)


def prepare_cmu(
    from_: Annotated[Path, tyro.conf.arg(name="from")],
    root: Path = Path("dataset"),
    overwrite: Overwrite = False,
) -> None:
    """cmu17, the free benchmark, from the CMU motion capture database.

    Args:
        from_: folder with the clips as ASF/AMC (as CMU has them) and BVH.
        root: folder that data_cmu17.npz goes to.
        overwrite: replace the file if it exists.
    """
    with progress("clips", len(cmu17_clips())) as advance:
        report = from_cmu(from_, root, overwrite, advance)
    _report_benchmark(report)
    print(ACKNOWLEDGEMENT)


def prepare_mocap(
    folder: tyro.conf.Positional[Path],
    format: Literal["bvh", "asf", "c3d", "npz"],
    joints: Path,
    name: str = "mocap",
    root: Path = Path("dataset"),
    val: str = "",
    test: str = "",
    overwrite: Overwrite = False,
) -> None:
    """A benchmark like cmu17 from motion capture of your own.

    Args:
        folder: with the files, at any depth; clips.csv in it (file, subject, action, split) says
            what they are, or else their names do (subject_action).
        format: of the files.
        joints: which of their points make which joint, as TOML; docs/data.md describes it.
        name: of the benchmark: data_NAME.npz.
        root: folder that the file goes to.
        val: subjects for validation, with commas between.
        test: subjects for testing; all are, if neither is given.
        overwrite: replace the file if it exists.
    """
    if name in DATASETS or not re.fullmatch(r"(?!2d_|3d_)\w[\w-]*", name):  # the field's files
        raise ValueError(f"expected a --name of letters and digits that is free, got {name!r}")
    sources = from_folder(folder, format, joints, _words(val), _words(test))
    with progress("clips", len(sources)) as advance:
        report = build(name, sources, root, overwrite, on_clip=advance)
    _report_benchmark(report)


def inspect(
    name: tyro.conf.Positional[str],
    root: Path = Path("dataset"),
    keypoints: str | None = None,
    picture: Path | None = None,
    overwrite: Overwrite = False,
) -> None:
    """Counts of a data set by split, subject and action, errors of its 2D, and a picture.

    Args:
        name: h36m, 3dhp, cmu17, walkers, or the name of a benchmark of your own.
        root: folder with the npz files; walkers need none.
        keypoints: which 2D; the data set's usual one if not given.
        picture: PNG to draw samples to (needs the extra "plot").
        overwrite: replace the picture if it exists.
    """
    if picture is not None:
        check_output(picture, overwrite)
    dataset = data_set(name, root)
    console, clips = plain_console(), []
    for split in dataset.splits:
        in_split = dataset.load(root, split, Selection(), keypoints or dataset.default_keypoints)
        console.print(_counts(name, split, in_split))
        errors = _errors(in_split)
        if errors is not None:
            console.print(errors)
        clips += in_split
    if picture is not None:
        with replacing(picture) as temporary:
            draw_samples(clips, temporary)
        print(f"written: {picture}")


def _counts(name: str, split: str, clips: Sequence[Clip]) -> Table:
    """Subjects and actions of a split: motions, clips (one per camera), frames."""
    title = f"{name} {split}: {len(clips):,} clips, {sum(map(len, clips)):,} frames"
    table = Table(title=title, title_justify="left")
    for column in ("subject", "action"):
        table.add_column(column, no_wrap=True)
    for column in ("clips", "frames"):
        table.add_column(column, justify="right")
    for (subject, action), (number, frames) in count(clips).items():
        table.add_row(subject, action, f"{number:,}", f"{frames:,}")
    return table


def _errors(clips: Sequence[Clip]) -> Table | None:
    """How far the 2D is from the truth, joint by joint, if that can be known."""
    rows = detector_errors(clips)
    rank = confidence_rank_correlation(clips)
    if not rows or max(row.mean for row in rows) < 0.01:  # the truth, but for rounding
        return None
    known = "" if rank is None else f"; rank correlation of confidence and error {rank:.2f}"
    title = f"error of the 2D, pixels at 1000 x 1000{known}"
    table = Table(title=title, title_justify="left", padding=0)
    table.add_column("joint", no_wrap=True)
    heads = [f"{state}\n{p} %" for state in ("seen", "hidden") for p in PERCENTILES]
    for head in (*heads, "hidden\nshare", "all\nmean"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        cells = [
            f"{value:.1f}" if value is not None else "–"
            for values in (row.visible, row.hidden)
            for value in (values or (None,) * len(PERCENTILES))
        ]
        table.add_row(row.joint, *cells, f"{row.hidden_share:.0%}", f"{row.mean:.1f}")
    return table


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _report_benchmark(report: Report) -> None:
    for split, clips in report.clips.items():
        print(f"{split:5s} {clips:4d} clips {report.frames[split]:7,} frames")
    if report.dropped:
        dropped = ", ".join(f"{clip} {frames}" for clip, frames in report.dropped.items())
        print(f"dropped frames of the recordings (frozen, jumping, or unseen): {dropped}")
    for line in report.doubtful:
        print(f"doubtful, and kept: {line}")
    if report.missing:
        print(
            f"INCOMPLETE: {len(report.missing)} clips of the benchmark were not found, so that "
            f"results are not comparable: {', '.join(report.missing)}"
        )
    print(f"written: {report.path} (inputs {report.inputs_sha256})")


def _report(counts: dict[str, int], root: Path) -> None:
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()), "→", root)
