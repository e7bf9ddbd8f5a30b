"""``prpose data``: prepare data sets from original files, and inspect them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from rich.table import Column, Table
from tyro.conf import Positional, arg

from prpose.atomic import check_output, replacing
from prpose.cli.console import Flag, plain_console, print_line, print_result, progress
from prpose.data import DATASETS, Clip, data_set, human36m, mpi_inf_3dhp
from prpose.data.clip import PERCENTILES, confidence_rank_correlation, count, detector_errors
from prpose.data.mocap.mapping import from_folder
from prpose.data.mpi_inf_3dhp import Annotation
from prpose.data.prepare_mocap import ACKNOWLEDGEMENT, Report, build, from_cmu
from prpose.data.release_files import Selection, paths_of
from prpose.tables import printable
from prpose.view import draw_samples

DATASET = Path("dataset")


def prepare_h36m(
    from_cdf: Path,
    root: Path = DATASET,
    projection: Literal["videopose3d", "opencv"] = "videopose3d",
    overwrite: Flag = False,
) -> None:
    """Convert Human3.6M from its original pose files.

    Args:
        from_cdf: Folder with the original files, S1/MyPoseFeatures/D3_Positions/*.cdf and so on.
        root: Folder to write the data set to.
        projection: Tangential distortion of the ground-truth 2D: videopose3d, as in the published file, or opencv,
            which is correct and differs by up to 0.7 px.
        overwrite: Replace existing files.
    """
    with progress("convert", unit="files") as advance:
        counts = human36m.from_cdf(from_cdf, root, overwrite, projection, advance)
    _print_counts(counts, root, "h36m")


def prepare_3dhp(
    from_original: Path, root: Path = DATASET, annotation: Annotation = "univ_annot3", overwrite: Flag = False
) -> None:
    """Convert MPI-INF-3DHP from its original annotations.

    Args:
        from_original: Folder with S1/Seq1/annot.mat, mpi_inf_3dhp_test_set/TS1/annot_data.mat and so on.
        root: Folder to write the data set to.
        annotation: Height-normalised 3D (univ_annot3), as in the official evaluation, or metric 3D (annot3).
        overwrite: Replace existing files.
    """
    with progress("convert", unit="files") as advance:
        counts = mpi_inf_3dhp.from_original(from_original, root, overwrite, annotation, advance)
    _print_counts(counts, root, "3dhp")


def prepare_cmu(
    from_: Annotated[tuple[Path, ...], arg(name="from")], root: Path = DATASET, overwrite: Flag = False
) -> None:
    """Build cmu17, the free benchmark, from the CMU motion capture database.

    Args:
        from_: Folders with the recordings as ASF/AMC, as published by CMU, and as BVH.
        root: Folder to write data_cmu17.npz to.
        overwrite: Replace an existing file.
    """
    with progress("prepare", unit="clips") as advance:
        report = from_cmu(from_, root, overwrite, advance)
    print(ACKNOWLEDGEMENT)
    _print_report(report, root, "cmu17")


def prepare_mocap(
    folder: Annotated[Positional[Path], arg(metavar="FOLDER")],
    format: Literal["bvh", "asf", "c3d", "npz"],
    joints: Path,
    name: str = "mocap",
    root: Path = DATASET,
    val: str = "",
    test: str = "",
    overwrite: Flag = False,
) -> None:
    """Build a benchmark like cmu17 from your own motion capture.

    Args:
        folder: Folder with the recordings, at any depth. An optional clips.csv (file, subject, action, split)
            describes them; without it, file names are subject_action.
        format: File format of the recordings.
        joints: TOML file that maps joints to the markers or joints of the recordings (docs/data.md).
        name: Name of the benchmark; the file is data_NAME.npz.
        root: Folder to write the benchmark to.
        val: Validation subjects, separated by commas.
        test: Test subjects, separated by commas. Default: all, if there are no validation subjects.
        overwrite: Replace an existing file.
    """
    if name in DATASETS or not re.fullmatch(r"(?!2d_|3d_)\w[\w-]*", name):  # 2d_ and 3d_ begin published files' names
        raise ValueError(f"expected a --name of letters and digits that no other data set has, got {name!r}")
    subjects = ([word for word in text.split(",") if word] for text in (val, test))
    sources = from_folder(folder, format, joints, *subjects)
    with progress("prepare", unit="clips") as advance:
        report = build(name, sources, root, overwrite, on_clip=advance)
    _print_report(report, root, name)


def inspect_data(
    name: Annotated[Positional[str], arg(metavar="DATASET")],
    root: Path = DATASET,
    keypoints: str | None = None,
    picture: Path | None = None,
    overwrite: Flag = False,
) -> None:
    """Print a data set's size by split, subject and action, and the errors of its 2D keypoints.

    Args:
        name: Data set: h36m, 3dhp, cmu17, walkers, or the name of your own benchmark.
        root: Folder with the npz files. Not needed for walkers.
        keypoints: Source of the 2D keypoints. Default: the usual one of the data set.
        picture: PNG file for a picture of some frames (extra "plot").
        overwrite: Replace an existing picture.
    """
    if picture is not None:
        check_output(picture, overwrite)
    dataset = data_set(name, root)
    tables, clips, full = list[Table | None](), list[Clip](), list[str]()
    with progress("inspect", len(dataset.splits), "splits") as advance:
        for split in dataset.splits:
            in_split = dataset.load(root, split, Selection(), keypoints or dataset.default_keypoints)
            tables += _counts_table(name, split, in_split), _errors_table(in_split)
            clips += in_split
            full += [split] if in_split else []
            advance(1)
    for table in filter(None, tables):
        plain_console().print(table)
    if picture is not None:
        with replacing(picture) as temporary:
            draw_samples(clips, temporary)
    options = [*_options(name, root)[1:], *(() if keypoints is None else ("--keypoints", keypoints))]
    then = ["train", "lifter", "--data", name, *options, "--out", f"{name}_lifter"]
    if not {"train", "val"} & set(dataset.splits) <= set(full):
        then = ["evaluate", name, *options, "--split", full[-1], "--model", "gaussian-wide"] if full else []
    print_result("Inspected" if picture is None else f"Wrote {picture}", "Use it", *then)


def _counts_table(name: str, split: str, clips: Sequence[Clip]) -> Table:
    """Clips (one per camera) and frames of a split, by subject and action."""
    title = f"{name} {split}: {len(clips):,} clips, {sum(map(len, clips)):,} frames"
    heads = *(Column(head, no_wrap=True) for head in ("subject", "action")), *map(_numbers, ("clips", "frames"))
    table = Table(*heads, title=title, title_justify="left")
    for (subject, action), (number, frames) in count(clips).items():
        table.add_row(printable(subject), printable(action), f"{number:,}", f"{frames:,}")
    return table


def _errors_table(clips: Sequence[Clip]) -> Table | None:
    """Error of the 2D keypoints by joint, if cameras and occlusion are known and the 2D is not the ground truth."""
    rows, rank = detector_errors(clips), confidence_rank_correlation(clips)
    if not rows or max(row.mean for row in rows) < 0.01:
        return None
    correlation = "" if rank is None else f"; rank correlation of confidence and error {rank:.2f}"
    title = f"error of the 2D keypoints, pixels at 1000 x 1000{correlation}"
    heads = [f"{state}\n{p} %" for state in ("visible", "hidden") for p in PERCENTILES]
    columns = map(_numbers, (*heads, "hidden\nshare", "all\nmean"))
    table = Table(Column("joint", no_wrap=True), *columns, title=title, title_justify="left", padding=0)
    for row in rows:
        values = [value for part in (row.visible, row.hidden) for value in part or (None,) * len(PERCENTILES)]
        cells = ["–" if value is None else f"{value:.1f}" for value in values]
        table.add_row(row.joint, *cells, f"{row.hidden_share:.0%}", f"{row.mean:.1f}")
    return table


def _numbers(head: str) -> Column:
    return Column(head, justify="right", no_wrap=True)


def _print_report(report: Report, root: Path, name: str) -> None:
    for split, clips in report.clips.items():
        print(f"{split:5s} {clips:4d} clips {report.frames[split]:7,} frames")
    if report.dropped:
        dropped = ", ".join(f"{clip} {frames}" for clip, frames in report.dropped.items())
        print_line(f"dropped frames of the recordings (frozen, jumping or incomplete): {dropped}")
    for line in report.implausible:
        print_line(f"warning: implausible, but not dropped: {line}")
    if report.missing:
        first = ", ".join(report.missing[:5]) + (" ..." if len(report.missing) > 5 else "")
        print_line(f"{len(report.missing)} clips of the benchmark were not found: {first}")
    if report.incomplete:
        text = "INCOMPLETE: clips of the validation or test split are missing, so results are not comparable"
        print_line(f"{text}: {', '.join(report.incomplete)}")
    print_line(f"SHA-256: inputs {report.inputs_sha256}, val and test {report.evaluation_sha256}")
    print_result(f"Wrote {report.path}", "Look at it", "data", "inspect", *_options(name, root))


def _print_counts(counts: dict[str, int], root: Path, name: str) -> None:
    print_line(", ".join(f"{count:,} {what}" for what, count in counts.items()))
    written = " and ".join(str(path) for path in paths_of(root, name, "gt"))
    whole = counts["subjects"] == sum(map(len, {"h36m": human36m, "3dhp": mpi_inf_3dhp}[name].SPLITS.values()))
    then = ("data", "inspect", *_options(name, root), "--keypoints", "gt")
    print_result(f"Wrote {written}", "Look at it", *then if whole else ())


def _options(name: str, root: Path) -> list[object]:
    """A data set's name and, if it is not the default, its folder, for a command."""
    return [name, *(() if root == DATASET else ("--root", root))]
