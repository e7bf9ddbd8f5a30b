"""``prpose report``: numbers, marks, escaping, markup; and the figures of evaluations."""

import itertools
import json
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from prpose.cli import guarded, run
from prpose.evaluation.protocols import METRICS
from prpose.skeleton import H36M_17
from prpose.view.curves import calibration_figure, joints_figure, samples_figure
from prpose.view.report import PUBLISHED, report_page
from prpose.view.report_file import ByJoint, Joints, Report, read_report

HIGHER = [name for name, metric in METRICS.items() if metric.higher_is_better]
HEADS = {"deterministic": "without noise", "mean": "mean of S", "best": "best of S"}
CLOUD = ("ES", "spread", "ECE", "ECE_hidden", "coverage_95")
VOID = {"meta", "path", "use", "rect", "line", "br"}  # path and the like close themselves


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    found = {name: folder / f"{name}.json" for name in ("mgcn", "wide")}
    for path, model in zip(found.values(), ("mgcn-cmu17", "gaussian-wide"), strict=True):
        argv = ["evaluate", "walkers", "--model", model, "-n", "6", "--stride", "30", "--json", str(path)]
        assert guarded(lambda argv=argv: run(argv)) == 0
    return found


@pytest.fixture(scope="module")
def contents(files):
    return {name: json.loads(path.read_text()) for name, path in files.items()}


class Page(HTMLParser):
    """Tables as {caption: {row name: [(numbers, whether marked as the best)]}}, and what a browser would check."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.tables, self.text, self.numbers = [], [], {}, "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "meta":
            return
        self.open.append(tag)
        self.heard = ""
        if tag == "tr":
            self.cells = []
        if tag in ("td", "th"):
            self.cells.append(["", [], False])
        if tag == "data":
            self.numbers.append(float(attrs["value"]))
            self.exact = attrs["value"]
            if "td" in self.open:
                self.cells[-1][1].append(float(attrs["value"]))
        if attrs.get("aria-label") == "best":
            assert "strong" in self.open
            self.cells[-1][2] = True

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "caption":
            self.rows = self.tables.setdefault(self.heard, {})
        if tag == "tr" and "tbody" in self.open:
            assert self.cells[0][0] not in self.rows
            self.rows[self.cells[0][0]] = self.cells[1:]
        if tag == "data":
            digits = len(self.heard.partition(".")[2])
            assert self.heard == f"{float(self.exact):,.{digits}f}"

    def handle_data(self, data):
        self.heard = getattr(self, "heard", "") + data
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.cells[-1][0] += data

    def table(self, start):
        (found,) = (rows for caption, rows in self.tables.items() if caption.startswith(start))
        return found


def page_of(files, *names):
    return report_page({name: read_report(files[name]) for name in names}, HIGHER)


def numbers(cells):
    return [cell[1][0] if cell[1] else None for cell in cells]


@pytest.mark.parametrize("names", [["mgcn"], ["mgcn", "wide"]])
def test_every_number_is_the_files_to_the_digit(names, files, contents):
    page, reports = Page(page_of(files, *names)), [contents[name] for name in names]
    seen = []
    for report in reports:
        seen += [
            report["average"]["frames"],
            *(report["average"]["values"][c]["P1"] for c in ("deterministic", "best")),
        ]
    rows = [*zip(*(report["rows"] for report in reports), strict=True), [report["average"] for report in reports]]
    for metric in ("P1", "P2", "PCK14", "AUC14"):
        table = page.table(f"{metric} in {METRICS[metric].unit};")
        assert list(table) == [row[0]["name"] for row in rows]
        for row in rows:
            expected = [row[0]["frames"], *(of["values"][choice][metric] for choice in HEADS for of in row)]
            assert numbers(table[row[0]["name"]]) == expected
            seen += expected
    known = [key for key in CLOUD if any(key in of["values"]["cloud"] for row in rows for of in row)]
    for row in rows:
        expected = [row[0]["frames"], *(of["values"]["cloud"].get(key) for key in known for of in row)]
        assert numbers(page.table("Energy score")[row[0]["name"]]) == expected
        seen += expected
    for n, joint in enumerate(H36M_17.names[1:]):
        joints = [report["joints"] for report in reports]
        expected = [of["average"][key][n] for key in ("error", "spread") for of in joints]
        expected += [of["rank_correlation"][n] for of in joints]
        assert numbers(page.table("Error of the pose")[joint]) == expected
        seen += expected
    for name, report in zip(names, reports, strict=True):
        curve, table = report["curve"], page.table(f"{name}: by number")
        assert list(table) == ["1", "5", "6"]
        for n, S in enumerate(curve["num_samples"]):
            expected = [by[n] for choice in ("best", "mean") for by in curve[choice].values()]
            assert numbers(table[str(S)]) == expected
            seen += expected
        seen += [frame[key] for frames in report["frames"].values() for frame in frames for key in ("P1", "ES")]
    assert sorted(page.numbers) == sorted(value for value in seen if value is not None)  # and no others


def test_the_best_of_each_choice_is_marked(files, contents):
    page, (a, b) = Page(page_of(files, "mgcn", "wide")), contents.values()
    marked = 0
    for one, other in zip([*a["rows"], a["average"]], [*b["rows"], b["average"]], strict=True):
        for metric in ("P1", "P2", "PCK14", "AUC14"):
            cells, sign = page.table(f"{metric} in")[one["name"]], -1 if metric in ("PCK14", "AUC14") else 1
            for n, choice in enumerate(HEADS):
                x, y = (sign * of["values"][choice][metric] for of in (one, other))
                assert [cells[1 + 2 * n][2], cells[2 + 2 * n][2]] == [x <= y, y <= x]
                marked += 1
        cells, (x, y) = page.table("Energy")[one["name"]], (of["values"]["cloud"] for of in (one, other))
        rows = [*a["rows"], a["average"], *b["rows"], b["average"]]
        heads = [key for key in CLOUD if any(key in row["values"]["cloud"] for row in rows)]
        for key, loss in (("ES", abs), ("ECE", abs), ("coverage_95", lambda value: abs(value - 95))):
            n = 1 + 2 * heads.index(key)
            better = [loss(x[key]) <= loss(y[key]), loss(y[key]) <= loss(x[key])]
            assert [cells[n][2], cells[n + 1][2]] == better
        assert not cells[3][2]  # the spread has no best
        assert not cells[4][2]
    assert marked > 20


def test_the_oracle_of_a_single_report_is_not_marked(files, contents):
    page = Page(page_of(files, "mgcn"))
    for row in contents["mgcn"]["rows"]:
        _, without, mean, best = page.table("P1")[row["name"]]
        x, y = (row["values"][choice]["P1"] for choice in ("deterministic", "mean"))
        assert [without[2], mean[2], best[2]] == [x <= y, y <= x, False]
        assert not any(cell[2] for cell in page.table("Energy")[row["name"]])


def changed(path, files, name, change):
    report = json.loads(files[name].read_text())
    change(report)
    path.write_text(json.dumps(report))
    return read_report(path)


def test_rows_of_other_frames_are_not_compared(tmp_path, files):
    def change(report):
        report["average"]["frames"] += 1
        report["rows"][0]["name"] = "another action"

    other = changed(tmp_path / "x.json", files, "mgcn", change)
    page = Page(report_page({"a": read_report(files["mgcn"]), "b": other}, HIGHER))
    table = page.table("P1")
    assert not any(cell[2] for cell in table["all frames"] + table["another action"])
    assert len(table["all frames"][0][1]) == 2
    assert numbers(table["another action"])[1] is None


def test_differing_settings_are_marked(files, contents):
    table = Page(page_of(files, "mgcn", "wide")).table("Settings; ≠ marks")
    assert [cell[0] for cell in table["≠ alpha"]] == [str(of["settings"]["alpha"]) for of in contents.values()]
    assert [cell[0] for cell in table["num_samples"]] == ["6", "6"]
    text = Page(page_of(files, "wide")).text
    for value in [*contents["wide"]["sha256"].values(), contents["wide"]["command"]]:
        assert value in text


HOSTILE = "<script>alert('$1')</script>&amp;\"><img src=x onerror=y>"


def test_names_are_escaped(tmp_path, files):
    def change(report):
        report["rows"][0]["name"] = report["frames"]["worst"][0]["action"] = HOSTILE
        report["settings"]["actions"] = report["settings"]["split"] = report["command"] = HOSTILE
        report["units"]["P1"] = HOSTILE
        report["average"]["values"]["deterministic"][HOSTILE] = 1.0
        report["settings"][HOSTILE] = HOSTILE

    report = changed(tmp_path / "x.json", files, "mgcn", change)
    text = report_page({HOSTILE: report, "_b $\\frac": report, "歩く": report}, HIGHER)
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img"})
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert page.text.count(HOSTILE) > 10
    assert "_b $\\frac, best of S" in page.text


def test_markup_is_whole_accessible_and_self_contained(files):
    text = page_of(files, "mgcn", "wide")
    page = Page(text)
    of = {tag: [attrs for name, attrs in page.tags if name == tag] for tag, _ in page.tags}
    assert of["html"][0]["lang"] == "en"
    assert len(of["title"]) == len(of["h1"]) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(of["table"]) == len(of["caption"]) == len(page.tables)
    assert all(attrs["scope"] in ("row", "col", "colgroup") for attrs in of["th"])
    assert len(of["svg"]) == 4 + 12
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in of["svg"])
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(ids)) == len(ids)
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert used
    assert {a or b for a, b in used} <= set(ids)
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href", "xlink:href")]
    assert all(link.startswith("#") for link in links)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    assert all(size.stat().st_size < 1e6 for size in files.values())


def test_older_files_lack_parts(tmp_path, files):
    def change(report):
        for key in ("joints", "calibration", "curve", "frames"):
            del report[key]

    old = changed(tmp_path / "x.json", files, "mgcn", change)
    page = Page(report_page({"old": old}, HIGHER))
    assert "old lacks joints, calibration, curve, frames: those parts are left out." in page.text
    assert "svg" not in dict(page.tags)
    both = Page(report_page({"old": old, "new": read_report(files["wide"])}, HIGHER))
    assert "old lacks joints" in both.text
    assert len([tag for tag, _ in both.tags if tag == "svg"]) == 3 + 6


def test_published_numbers_are_those_of_the_same_setting(tmp_path, files):
    setting = {"dataset": "h36m", "split": "test", "keypoints": "cpn_ft_h36m_dbb", "actions": "*", "stride": 1}

    def report(**other):
        return changed(tmp_path / "x.json", files, "mgcn", lambda r: r["settings"].update(setting | other))

    rows = Page(report_page({"a": report(num_samples=200)}, HIGHER)).table("Human3.6M")
    one = [name for name, S, _ in PUBLISHED if S == 1]
    assert list(rows) == [*one, "a, without noise", "DRPose", "a, best of S"]
    assert numbers(rows["HTNet"])[2:4] == [48.9, 39.0]
    assert numbers(rows["DRPose"])[2:4] == [35.5, 28.6]
    for other in ({"keypoints": "gt"}, {"stride": 2}, {"split": "train"}, {"actions": "Walking"}, {"dataset": "x"}):
        assert "Human3.6M" not in report_page({"a": report(**other)}, HIGHER)
    assert "DRPose" not in report_page({"a": report(num_samples=50)}, HIGHER)


def command(*argv):
    return guarded(lambda: run([str(word) for word in argv]))


def test_command_writes_the_page_once(tmp_path, files, capsys):
    out = tmp_path / "new/report.html"
    assert command("report", *files.values(), "--out", out) == 0
    assert capsys.readouterr().out.startswith(f"Wrote {out} in ")
    first = out.read_bytes()
    assert command("report", *files.values(), "--out", out) == 1
    assert "exists already" in capsys.readouterr().err
    assert command("report", *files.values(), "--out", out, "--overwrite") == 0
    assert out.read_bytes() == first
    (tmp_path / "mgcn.json").write_text(files["mgcn"].read_text())
    assert command("report", files["mgcn"], tmp_path / "mgcn.json", "--out", tmp_path / "same.html") == 0
    assert str(tmp_path / "mgcn.json") in (tmp_path / "same.html").read_text()  # as the stems are the same


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("rows"), "missing required field `rows`"),
        (lambda r: r["rows"][0].pop("frames"), "missing required field `frames` - at `$.rows[0]`"),
        (lambda r: r["average"]["values"].update(best={"P1": "x"}), "Expected `float`, got `str`"),
        (lambda r: r["average"]["values"].update(best={"P1": float("nan")}), "malformed"),
        (lambda r: r["settings"].update(num_samples="<b>"), "without a whole number settings.num_samples"),
        (lambda r: r["settings"].pop("split"), "got one without settings.split"),
        (lambda r: r["average"]["values"].pop("deterministic"), "without average.values.deterministic"),
        (lambda r: r["curve"]["best"].pop("P1"), "without curve.best.P1"),
        (lambda r: r["frames"]["worst"][0]["pose"].pop(), "length >= 17"),
        (lambda r: r["joints"]["average"]["error"].pop(), "length >= 16"),
        (lambda r: r["settings"].update(split="val"), "expected reports of one data set and split"),
        (lambda r: r["settings"].update(dataset="h36m"), "wide: walkers, test; x: h36m, test"),
    ],
)
def test_files_that_are_no_reports_or_cannot_be_compared(change, message, tmp_path, files, capsys):
    report = json.loads(files["mgcn"].read_text())
    change(report)
    (tmp_path / "x.json").write_text(json.dumps(report))
    assert command("report", files["wide"], tmp_path / "x.json", "--out", tmp_path / "out.html") == 1
    error = capsys.readouterr().err
    assert message in error
    assert "x.json" in error or "x: " in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": 1}'])
def test_other_files_are_refused_by_name(content, tmp_path, capsys):
    (tmp_path / "x.json").write_bytes(content)
    for path, word in ((tmp_path / "x.json", "JSON file of prpose evaluate"), (tmp_path / "y.json", "no such file")):
        assert command("report", path, "--out", tmp_path / "out.html") == 1
        error = capsys.readouterr().err
        assert f"{path}: " in error
        assert word in error


def test_command_checks_its_arguments(tmp_path, files, capsys):
    for argv, message in (
        ([files["mgcn"], "--out", tmp_path / "x.txt"], "ends in .html"),
        (["--out", tmp_path / "x.html"], "one or more JSON files"),
        ([files["mgcn"], files["mgcn"], "--out", tmp_path / "x.html"], "expected different files"),
    ):
        assert command("report", *argv) == 1
        assert message in capsys.readouterr().err


def test_figures_draw_the_reports_numbers(contents):
    reports, names = [msgspec.convert(report, Report) for report in contents.values()], [*contents]
    lines = {line.get_label(): line for line in samples_figure(reports, names).axes[0].lines}
    for name, report in contents.items():
        for choice, label in (("best", "best of S"), ("mean", "mean")):
            assert lines[f"{name}, {label}"].get_ydata().tolist() == report["curve"][choice]["P1"]
            assert lines[f"{name}, {label}"].get_xdata().tolist() == report["curve"]["num_samples"]
    drawn = calibration_figure(reports, names).axes[0].lines
    lines = {line.get_label(): line for line in drawn}
    for name, report in contents.items():
        found = report["calibration"]
        assert lines[name].get_ydata().tolist() == found["overall"]
        ece = np.abs(lines[name].get_ydata() - lines[name].get_xdata()).mean()
        assert ece == pytest.approx(report["average"]["values"]["cloud"]["ECE"], rel=1e-12)
    assert len({(line.get_marker(), str(line.get_linestyle()), line.get_markerfacecolor()) for line in drawn}) == len(
        drawn
    )
    panels = joints_figure(reports, names).axes
    for panel, (name, report) in zip(panels, contents.items(), strict=True):
        points = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in panel.lines[1:]}
        table = report["joints"]["average"]
        assert points == set(zip(table["spread"], table["error"], strict=True))
        assert panel.get_title().startswith(f"{name}\nrank correlation 0.")
    for draw in (samples_figure, calibration_figure, joints_figure):
        figure = draw(reports, names)
        figure.draw_without_rendering()
        inside = figure.get_tightbbox()
        assert inside.x0 >= 0
        assert inside.y0 >= 0
        assert (inside.max <= figure.get_size_inches()).all()
    assert joints_figure(reports, names).get_size_inches()[0] == pytest.approx(170 / 25.4)
    assert samples_figure(reports, names).get_size_inches()[0] == pytest.approx(85 / 25.4)


def test_figures_name_the_report_that_lacks_a_part(contents):
    report = msgspec.convert(contents["mgcn"], Report)
    for draw, key in ((samples_figure, "curve"), (calibration_figure, "calibration"), (joints_figure, "joints")):
        with pytest.raises(ValueError, match=f"old: expected a report with '{key}'"):
            draw([report, msgspec.structs.replace(report, **{key: None})], ["new", "old"])
        with pytest.raises(ValueError, match="a name for each"):
            draw([report], [])
    one = msgspec.structs.replace(report, joints=Joints(ByJoint([1.0] * 16), [None] * 16))
    with pytest.raises(ValueError, match="a: expected the spread of two samples"):
        joints_figure([one], ["a"])
