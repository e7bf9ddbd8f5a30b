"""One HTML page about evaluations, from the JSON files of ``prpose evaluate``: self-contained, without scripts.

A number's text is rounded; the ``value`` of its ``<data>`` element is the file's.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from prpose.io.overlay import VIEWS
from prpose.skeleton import H36M_17
from prpose.view.curves import calibration_figure, joints_figure, samples_figure
from prpose.view.html import STYLE, escape, figure, in_a_row, inline_svg, number, pose_paths, table
from prpose.view.report_file import Frame, Report, Row

CM = 100  # units of a picture per metre
PUBLISHED = {  # (method, S, frames): P1 and P2 of the best of S in mm, and the source, in the setting COMPARED
    ("HTNet", 1, 1): (48.9, 39.0, "arXiv 2302.09790"),
    ("HTNet with refinement", 1, 1): (47.6, None, "arXiv 2302.09790"),
    ("GraphMLP", 1, 1): (49.2, None, "arXiv 2206.06420"),
    ("VideoPose3D", 1, 243): (46.8, 36.5, "arXiv 1811.11742"),
    ("DRPose", 10, 1): (41.8, 33.7, "arXiv 2401.04921"),
    ("DRPose", 200, 1): (35.5, 28.6, "arXiv 2401.04921"),
}
COMPARED = {"dataset": "h36m", "split": "test", "keypoints": "cpn_ft_h36m_dbb", "actions": "*", "stride": 1}
Reports = Mapping[str, Report]  # by name


def report_page(reports: Reports, higher_is_better: Collection[str]) -> str:
    """The HTML page of one or more reports.

    Args:
        reports: what :func:`read_report` reads, by name.
        higher_is_better: metrics of which the largest value is the best; of the others it is the smallest.

    Raises:
        ValueError: for reports of different data sets or splits, which cannot be compared, or without matplotlib.
    """
    data = {name: f"{r.settings['dataset']}, {r.settings['split']}" for name, r in reports.items()}
    if len(set(data.values())) > 1:
        got = "; ".join(f"{name}: {of}" for name, of in data.items())
        raise ValueError(f"expected reports of one data set and split, others cannot be compared, got {got}")
    title = escape(f"Evaluation on {next(iter(data.values()))}")
    metrics = dict.fromkeys(metric for r in reports.values() for metric in r.average.values["deterministic"])
    made = {
        name: {"command": r.command, "versions": r.versions, "SHA-256 of the weights": r.sha256}
        for name, r in reports.items()
    }
    sections = {
        "Settings": _settings("Settings", {name: r.settings for name, r in reports.items()}),
        "Errors": "".join(_errors(reports, metric, metric in higher_is_better) for metric in metrics),
        "The samples as a distribution": _clouds(reports),
        "Curves": _curves(reports),
        "Joints": _joints(reports),
        "Best and worst frames": _frames(reports),
        "Published numbers": _published(reports),
        "How this was made": _settings("Commands, versions and weights", made),
    }
    body = "".join(f"<h2>{head}</h2>\n{content}" for head, content in sections.items() if content)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f"<head>{head}<title>{title}</title><style>{STYLE}</style></head>"
    main = f"<main>\n<h1>{title}</h1>\n{_summary(reports)}{body}</main>"
    return f'<!DOCTYPE html>\n<html lang="en">{head}\n<body>{main}</body></html>\n'


def _summary(reports: Reports) -> str:
    lines = []
    for name, report in reports.items():
        S = report.settings["num_samples"]
        choices = {"deterministic": "of the pose without noise", "best": f"of the best of {S}"}
        found = {words: report.average.values.get(choice, {}).get("P1") for choice, words in choices.items()}
        errors = " and ".join(f"{number(value)} mm {words}" for words, value in found.items() if value is not None)
        frames = number(report.average.frames, 0)
        lines.append(f"<p><b>{escape(name)}</b>: over {frames} frames, the mean error (P1) is {errors}.</p>\n")
        if lacking := [part for part in ("joints", "calibration", "curve", "frames") if getattr(report, part) is None]:
            lines.append(f"<p>{escape(name)} lacks {', '.join(lacking)}: those parts are left out.</p>\n")
    return "".join(lines)


def _settings(caption: str, columns: Mapping[str, Mapping[str, Any]]) -> str:
    flat = [dict(_flat(settings)) for settings in columns.values()]
    rows = []
    for key in dict.fromkeys(key for settings in flat for key in settings):
        cells = [escape(settings.get(key, "–")) for settings in flat]
        rows.append((key if len(set(cells)) == 1 else f"≠ {key}", cells))
    caption += "; ≠ marks what differs" if len(columns) > 1 else ""
    return table(caption, [(name, 1) for name in columns], rows, kind="text")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and not prefix:  # deeper ones are one cell: every name would repeat the path
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((prefix + key, "default" if value is None else str(value)))
    return pairs


class Column(NamedTuple):
    """A score by report; of comparable values, that of the smallest loss is the best."""

    head: str
    choice: str
    metric: str
    loss: Callable[[float], float] | None
    digits: int = 1


def _errors(reports: Reports, metric: str, higher: bool) -> str:
    def loss(value: float) -> float:
        return -value if higher else value

    heads = {"deterministic": "without noise", "mean": "mean of S", "best": "best of S"}
    columns = [Column(head, choice, metric, loss) for choice, head in heads.items()]
    unit = next((r.units[metric] for r in reports.values() if metric in r.units), "")
    caption = f"{metric} in {unit}; {'higher' if higher else 'lower'} is better; ★ is the best "
    what = "of each choice" if len(reports) > 1 else "but for the best of S, which knows the truth"
    return _scores(reports, caption + what, columns, alone=(0, 1))


def _clouds(reports: Reports) -> str:
    columns = [
        Column("energy score, mm", "cloud", "ES", float),
        Column("spread, mm", "cloud", "spread", None),
        Column("ECE", "cloud", "ECE", float, 3),
        Column("ECE of hidden joints", "cloud", "ECE_hidden", float, 3),
        Column("in 95 % regions, %", "cloud", "coverage_95", lambda value: abs(value - 95)),
    ]
    known = {key for r in reports.values() for row in [*r.rows, r.average] for key in row.values.get("cloud", {})}
    caption = "Energy score and ECE: lower is better"
    caption += "; ★ is the best, of coverage the nearest to 95" if len(reports) > 1 else ""
    return _scores(reports, caption, [column for column in columns if column.metric in known]) if known else ""


def _scores(reports: Reports, caption: str, columns: Sequence[Column], alone: Sequence[int] = ()) -> str:
    """A table of groups and their average. A single report's columns ``alone`` are compared with each other."""
    known = [{row.name: row for row in report.rows} for report in reports.values()]
    lines: list[list[Row | None]] = [[rows.get(name) for rows in known] for name in sorted({*chain(*known)})]
    lines.append([report.average for report in reports.values()])
    table_rows = []
    for rows in lines:
        found = [row for row in rows if row]
        counts = dict.fromkeys(row.frames for row in found)  # unequal frames are not compared
        values = [[row.values.get(c.choice, {}).get(c.metric) if row else None for row in rows] for c in columns]
        line = [" or ".join(number(count, 0) for count in counts)]
        for n, (column, own) in enumerate(zip(columns, values, strict=True)):
            group = alone if len(reports) == 1 and n in alone else [n]
            losses = [column.loss(v) for k in group for v in values[k] if v is not None and column.loss]
            best = min(losses) if len(losses) > 1 and len(counts) == 1 else None
            marks = [v is not None and column.loss is not None and column.loss(v) == best for v in own]
            line += [number(v, column.digits, mark) for v, mark in zip(own, marks, strict=True)]
        table_rows.append((found[0].name, line))
    heads = [("frames", 0), *((column.head, len(reports)) for column in columns)]
    return table(caption, heads, table_rows, list(reports))


def _curves(reports: Reports) -> str:
    found = []
    for part, draw, words in (
        ("curve", samples_figure, "Error (P1) of the best and of the mean of the first S samples."),
        ("calibration", calibration_figure, "Share of joints in the regions of each level; below the line, too few."),
    ):
        having = {name: r for name, r in reports.items() if getattr(r, part) is not None}
        if having:
            found.append(figure(inline_svg(draw([*having.values()], [*having]), words, part), words))
    tables = []
    for name, report in reports.items():
        if curve := report.curve:
            columns = [(f"{metric}, best", by) for metric, by in curve.best.items()]
            columns += [(f"{metric}, mean", by) for metric, by in curve.mean.items()]
            lines = zip(*(by for _, by in columns), strict=True)
            rows = [(f"{S:,}", [*map(number, by)]) for S, by in zip(curve.num_samples, lines, strict=True)]
            tables.append(table(f"{name}: by number of samples S", [(head, 1) for head, _ in columns], rows))
    return in_a_row(found) + "".join(tables)


def _joints(reports: Reports) -> str:
    having = {name: report for name, report in reports.items() if report.joints}
    figures, columns = [], list[Sequence[float | None]]()
    for n, (name, report) in enumerate(having.items()):
        joints = report.joints
        assert joints is not None, "only reports with joints are here"
        columns += [joints.average.error, joints.average.spread or [None] * 16, joints.rank_correlation]
        if joints.average.spread:
            words = f"{name}: predicted spread against error of each joint."
            svg = inline_svg(joints_figure([report], [name]), words, f"joints{n}")
            figures.append(figure(svg, escape(words)))
    heads = [(head, len(having)) for head in ("error, mm", "spread, mm", "rank correlation")]
    ordered = [column for k in range(3) for column in columns[k::3]]  # those of a head side by side
    lines = zip(H36M_17.names[1:], *ordered, strict=True)
    digits = [1 + (k == 2) for k in range(3) for _ in having]
    rows = [(joint, [number(x, n) for x, n in zip(values, digits, strict=True)]) for joint, *values in lines]
    caption = "Error of the pose without noise, spread of the samples, and their rank correlation over the frames"
    return in_a_row(figures) + table(caption, heads, rows, list(having)) if having else ""


def _frames(reports: Reports) -> str:
    legend = "2D keypoints, the camera's view, and that from its right. Thin: samples; dashed: the pose without noise; "
    legend += "in the colour of the text: the truth. Left is blue, right is orange."
    found = []
    for name, report in reports.items():
        for which, frames in (report.frames or {}).items():
            found.append(f"<h3>{escape(name)}: {escape(which)} frames, at most one of a clip</h3>\n")
            found.append(in_a_row([_example(frame) for frame in frames], "pictures"))
    return f"<p>{legend}</p>\n{''.join(found)}" if found else ""


def _example(frame: Frame) -> str:
    where = f"Subject {frame.subject}, {frame.action}, camera {frame.camera}, frame {frame.frame}"
    truth, samples, pose = (np.array(x).reshape(-1, 17, 3) * CM for x in (frame.truth, frame.samples, frame.pose))
    half = 1.05 * max(float(np.abs(x).max(initial=1.0)) for x in (truth, samples, pose))
    keypoints = np.array(frame.keypoints_px)
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    keypoints = (keypoints - (low + high) / 2) * 1.8 * half / max(1.0, float((high - low).max()))
    views = [pose_paths(keypoints[None], "")]
    for axes in VIEWS.values():
        drawn = ((samples, "sample"), (truth, "truth"), (pose, "estimate"))
        views.append("".join(pose_paths(poses[..., axes], kind) for poses, kind in drawn))
    panels = "".join(f'<g transform="translate({(2 * n + 1) * half:.0f} 0)">{view}</g>' for n, view in enumerate(views))
    label = escape(f"{where}: 2D keypoints; truth, estimate and samples as the camera sees them, and from the side")
    box = f"0 {-half:.0f} {6 * half:.0f} {2 * half:.0f}"
    svg = f'<svg class="pose" role="img" aria-label="{label}" viewBox="{box}">{panels}</svg>'
    energy = "" if frame.ES is None else f", energy score {number(frame.ES)} mm"
    return figure(svg, f"{escape(where)}: P1 {number(frame.P1)} mm{energy}")


def _published(reports: Reports) -> str:
    """Published errors beside ours, where data, keypoints and S are the same."""
    same = {name: r for name, r in reports.items() if COMPARED.items() <= r.settings.items()}
    rows: list[tuple[str, list[str]]] = []
    for S in sorted({1, *(r.settings["num_samples"] for r in same.values())}):
        for (method, among, frames), (P1, P2, source) in PUBLISHED.items():
            if among == S:
                rows.append((method, [str(S), str(frames), number(P1), number(P2), source]))
        for name, report in same.items():
            if S in (1, report.settings["num_samples"]):
                ours = report.average.values.get("deterministic" if S == 1 else "best", {})
                what = "without noise" if S == 1 else "best of S"
                rows.append((f"{name}, {what}", [str(S), "", number(ours.get("P1")), number(ours.get("P2")), ""]))
    heads = [("S", 1), ("frames of input", 1), ("P1, mm", 1), ("P2, mm", 1), ("source", 1)]
    caption = (
        "Human3.6M, S9 and S11, every frame, CPN keypoints: best of S per frame, mean over actions; published ones "
    )
    return table(caption + "are of networks trained on Human3.6M", heads, rows) if same else ""
