"""Figures of evaluations, from the JSON files of ``prpose evaluate`` (matplotlib, extra ``plot``).

In the sizes of a journal's column, in colours that colour-blind people tell apart (Okabe & Ito), and with a marker and
dashes for each report, so that they are read without colour, too.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from prpose.io.overlay import SIDE_COLOURS
from prpose.skeleton import H36M_17
from prpose.tables import import_extra
from prpose.view.figures import WIDTHS_MM
from prpose.view.report_file import Calibration, Curve, Report

COLUMN_MM, PAGE_MM = WIDTHS_MM["column"], WIDTHS_MM["page"]
LONGEST = 36  # letters of a report's name
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS, DASHES = "os^DvP", ((), (5, 1.5), (1, 1.2), (5, 1.5, 1, 1.5), (8, 2), (3, 1))
SIDE_MARKERS = {"left": "<", "right": ">", "middle": "o"}
FONTS = {"font.size": 7, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "axes.linewidth": 0.6}
LINES = {"lines.linewidth": 1.2, "lines.markersize": 3.5, "xtick.major.width": 0.6, "ytick.major.width": 0.6}
SPINES = {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}


def samples_figure(reports: Sequence[Report], names: Sequence[str]) -> Any:
    """P1 of the best (filled markers) and of the mean (open) of the first S samples, mm, over S on a log axis.

    Args:
        reports: with a ``curve``; ``ValueError`` naming the report that lacks it, here and below.
        names: one per report.

    Returns:
        A ``matplotlib.figure.Figure``, 85 mm wide; as below.
    """
    curves: list[Curve] = _parts(reports, names, "curve")

    def draw(axes: Any) -> None:
        for n, (curve, name) in enumerate(zip(curves, names, strict=True)):
            style = _style(n)
            for choice, face in (("mean", "none"), ("best", style["color"])):
                label = f"{_text(name)}, {'best of S' if choice == 'best' else 'mean'}"
                axes.plot(curve.num_samples, getattr(curve, choice)["P1"], label=label, markerfacecolor=face, **style)
        counts = sorted({S for curve in curves for S in curve.num_samples})
        axes.set(xscale="log", xlabel="Number of samples S", ylabel="P1 (mm)", xticks=counts, xticklabels=counts)
        axes.minorticks_off()
        axes.set_ylim(bottom=0)

    return _figure([draw], COLUMN_MM, 62 + 8 * len(names))


def calibration_figure(reports: Sequence[Report], names: Sequence[str]) -> Any:
    """Share of joints within the regions of each level, of all joints and, dotted, of hidden ones; the diagonal."""
    parts: list[Calibration] = _parts(reports, names, "calibration")

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="#6e6e6e", linewidth=0.8, label="calibrated")
        for n, (found, name) in enumerate(zip(parts, names, strict=True)):
            style = {**_style(n), "markevery": 4}
            axes.plot(found.levels, found.overall, label=_text(name), **style)
            if found.hidden:
                style |= {"linestyle": (0, (1, 2)), "markerfacecolor": "none"}
                axes.plot(found.levels, found.hidden, label=f"{_text(name)}, hidden joints", **style)
        axes.set(xlabel="Nominal level", ylabel="Share of joints covered", xlim=(0, 1), ylim=(0, 1), aspect="equal")

    return _figure([draw], COLUMN_MM, 82 + 8 * len(names))


def joints_figure(reports: Sequence[Report], names: Sequence[str]) -> Any:
    """Predicted spread against true error of each joint, mm, one panel a report, with Spearman's rank correlation.

    The spread is the standard deviation along an axis, so that the mean error of calibrated isotropic samples is
    √(8/π) times as large: the line. Two panels are side by side, 170 mm wide.
    """
    from prpose.metrics import rank_correlation  # imports PyTorch, which the other figures do not need

    tables = [joints.average for joints in _parts(reports, names, "joints")]
    for name, table in zip(names, tables, strict=True):
        if not table.spread:
            raise ValueError(f"{name}: expected the spread of two samples or more, got one sample")
    largest = 1.12 * max(1.0, *(max(*table.error, *table.spread) for table in tables))

    def draw(axes: Any, n: int) -> None:
        spread, error = tables[n].spread, tables[n].error
        line = {"color": "#6e6e6e", "linewidth": 0.8, "label": "isotropic Gaussian" if n == 0 else None}
        axes.plot([0, largest], [0, math.sqrt(8 / math.pi) * largest], **line)
        labels = list[tuple[float, float, str]]()
        joints = zip(H36M_17.names[1:], H36M_17.sides[1:], spread, error, strict=True)
        for joint, side, x, y in joints:
            label = side if n == 0 and joint in ("spine", "left_hip", "right_hip") else None
            axes.plot(x, y, SIDE_MARKERS[side], color=SIDE_COLOURS[side], label=label)
            if side != "left":
                labels.append((y, x, joint.removeprefix("right_")))
        below = -largest
        for y, x, joint in sorted(labels):  # one above the other, where the joints are close
            below = max(y, below + 0.036 * largest)
            axes.text(x + 0.025 * largest, below, joint, fontsize=6, va="center")
        rank = rank_correlation(np.array(spread), np.array(error))
        title = _text(names[n]) + ("" if rank is None else f"\nrank correlation {rank:.2f}")
        axes.set(xlabel="Predicted spread (mm)", ylabel="Error (mm)", title=title, aspect="equal")
        axes.set(xlim=(0, largest), ylim=(0, largest))

    draws = [lambda axes, n=n: draw(axes, n) for n in range(len(names))]
    rows = (len(names) + 1) // 2
    return _figure(draws, COLUMN_MM if len(names) == 1 else PAGE_MM, 96 * rows, rows, columns=2)


def _parts(reports: Sequence[Report], names: Sequence[str], key: str) -> list[Any]:
    """A part of each report."""
    if not reports or len(reports) != len(names):
        raise ValueError(f"expected a name for each of one or more reports, got {len(names)} and {len(reports)}")
    for report, name in zip(reports, names, strict=True):
        if getattr(report, key) is None:
            raise ValueError(f"{name}: expected a report with {key!r}; evaluate the model again")
    return [getattr(report, key) for report in reports]


def _text(name: str) -> str:
    """The end of a name, that matplotlib takes neither for a formula nor, after an underscore, for one to leave out."""
    short = name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]
    return " " * short.startswith("_") + short.replace("$", r"\$")


def _style(n: int) -> dict[str, Any]:
    k = n % len(COLOURS)
    return {"color": COLOURS[k], "marker": MARKERS[k], "linestyle": (0, DASHES[k]) if DASHES[k] else "-"}


def _figure(draws: Sequence[Any], width: float, height: float, rows: int = 1, columns: int = 1) -> Any:
    """A figure of a panel for each of ``draws``; sizes in mm. The legend is below the panels."""
    with import_extra("matplotlib", "plot").rc_context({**FONTS, **LINES, **SPINES}):
        figure = import_extra("matplotlib.figure", "plot").Figure((width / 25.4, height / 25.4), layout="constrained")
        panels = figure.subplots(rows, -(-len(draws) // rows), squeeze=False).ravel()
        for axes, draw in zip(panels, draws, strict=False):
            draw(axes)
        for axes in panels[len(draws) :]:
            axes.set_axis_off()
        figure.legend(loc="outside lower left", ncols=columns)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from")  # saving as an image warns, if it matters
            figure.draw_without_rendering()  # the first layout is without the titles
    return figure
