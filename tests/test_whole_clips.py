"""prpose motion and prpose choose, as typed."""

import json

import pytest

from prpose.cli import guarded, run


@pytest.mark.parametrize(
    ("command", "rows"),
    [("motion", ["iid", "shared", "ar1"]), ("choose", ["mean", "medoid"])],
)
def test_the_table_and_the_report_say_the_same(command, rows, tmp_path, capsys):
    out = tmp_path / "out.json"
    argv = [command, "walkers", "--model", "mgcn-cmu17", "-n", "3", "--stride", "60"]
    assert guarded(lambda: run([*argv, "--json", str(out)])) == 0
    printed, report = capsys.readouterr().out, json.loads(out.read_text())
    found = report["kinds" if command == "motion" else "choices"]
    assert set(rows) <= set(found)
    for row in rows:
        assert row in printed
        for name, value in found[row].items():
            assert report["units"][name] in ("mm", "m/s²")
            assert f"{value:.1f}" in printed
    assert (report["settings"]["alpha"], report["settings"]["hypotheses"]) == (0.0125, 3)
    assert guarded(lambda: run([*argv, "--json", str(out)])) == 1
    assert "exists already" in capsys.readouterr().err
