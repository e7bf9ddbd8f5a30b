"""The examples run; ``make demo`` is one of them."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np

import prpose

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_demo_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    demo = example("demo")
    monkeypatch.setattr(demo, "FRAMES", [5])  # each takes seconds to draw
    demo.main(tmp_path)
    printed = capsys.readouterr().out
    for name in ("wave_2d.npz", "wave_3d.npz", "wave_3d.bvh", "wave.png", "wave.html"):
        assert f"Wrote {tmp_path / name}: " in printed
        assert (tmp_path / name).stat().st_size > 0
    assert prpose.read_prediction(tmp_path / "wave_3d.npz").samples.shape == (100, 60, 17, 3)


def test_many_videos_predicts_every_clip_with_every_engine(tmp_path, monkeypatch, capsys):
    options = "--clips 2 --frames 3 -n 2 --workers 1 --no-ray"
    monkeypatch.setattr(sys, "argv", ["many_videos.py", "--out", str(tmp_path), *options.split()])
    example("many_videos").main()
    assert "times as fast" in capsys.readouterr().out
    for name in ("walker_000.npz", "walker_001.npz"):
        one, two = (prpose.read_prediction(tmp_path / engine / name) for engine in ("one_process", "jobs_1"))
        assert np.array_equal(one.samples, two.samples)


def test_the_notebook_runs_from_top_to_bottom_and_holds_no_outputs(tmp_path, monkeypatch):
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path / "examples")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    notebook = json.loads((EXAMPLES / "first_hour.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert len(names["table"]) == 30 * 17
    assert names["inside"].mean() > 0.9
