"""prpose report: a page about one or more evaluations."""

from pathlib import Path

import tyro

from prpose.cli.console import Flag, print_result, told_apart
from prpose.evaluation.protocols import METRICS
from prpose.view.page import Page
from prpose.view.report import report_page
from prpose.view.report_file import read_report


def report(reports: tyro.conf.Positional[tuple[Path, ...]], out: Path, overwrite: Flag = False) -> None:
    """Write a self-contained HTML page of evaluations, side by side if there are several.

    Args:
        reports: JSON files of "prpose evaluate ... --json", of the same data set and split.
        out: HTML file to write.
        overwrite: Replace an existing file.
    """
    if not reports:
        raise ValueError("expected one or more JSON files of prpose evaluate, got none")
    names = told_apart(reports)
    if len(set(names)) < len(names):
        raise ValueError(f"expected different files, got {', '.join(names)}")
    page = report_page(
        dict(zip(names, map(read_report, reports), strict=True)),
        [name for name, metric in METRICS.items() if metric.higher_is_better],
    )
    Page(page).save(out, overwrite)
    print_result(f"Wrote {out}")
