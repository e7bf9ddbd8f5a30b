import json

import torch

from prpose import build_lifter, build_variance_net
from prpose.cli import guarded, run


def test_compare_prints_and_writes_all_kinds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(build_lifter("mgcn_lw").state_dict(), "lifter.pth")
    torch.save(build_variance_net("mgcn_lw").state_dict(), "noise.pth")
    argv = ["compare", "walkers", "--lifter", "mgcn_lw", "--lifter-weights", "lifter.pth"]
    argv += ["--noise-weights", "noise.pth", "-n", "12", "--stride", "9", "--json", "out.json"]
    assert guarded(lambda: run(argv)) == 0
    printed = capsys.readouterr().out
    for word in ("adaptive", "constant", "3D Gaussian", "energy score", "ECE", "left_wrist"):
        assert word in printed
    report = json.loads((tmp_path / "out.json").read_text())
    assert len(report["kinds"]) == 3
    for row in report["kinds"].values():
        values = row["values"]
        curve = [values[f"best_of_{S}"]["P1"] for S in (1, 5, 10, 12)]
        assert curve == sorted(curve, reverse=True)
        assert curve[-1] == values["best"]["P1"]
        assert set(values["cloud"]) == {"ES", "spread", "ECE", "held_95"}
    singles = {row["values"]["single"]["P1"] for row in report["kinds"].values()}
    assert len(singles) == 1  # the same lifter
    assert len(report["awareness"]["all"]) == 17
    assert guarded(lambda: run([*argv[:-6], "-n", "1"])) == 1
    assert "expected -n >= 2 hypotheses, a distribution, got 1" in capsys.readouterr().err
    assert guarded(lambda: run([*argv[:-4], "--stride", "0"])) == 1
    assert "expected --stride from 1" in capsys.readouterr().err
