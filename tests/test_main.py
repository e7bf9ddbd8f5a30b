"""The published commands, typed as published, against golden/runs and golden/train."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import main
from prpose import load_published
from prpose.cli import guarded
from tests.golden_numbers import VARIANCE_OF, InOrder, golden_draw, network, table

ROOT = Path(__file__).parent.parent
RUNS = table("runs/runs.json")["runs"]


FLAGS = {"lifter": "--shhpe_model", "batch_size": "--batch_size", "dataset": "--dataset", "keypoints": "-k",
         "action": "-a", "downsample": "--downsample", "alpha": "--alpha", "hypotheses": "--sample_nums"}  # fmt: skip


def argv_of(options):
    argv = [x for option, flag in FLAGS.items() if option in options for x in (flag, options[option])]
    return argv + ["--mutilhyp_test"] * options["multi_hypothesis"]


def epochs(capsys):
    return [line for line in capsys.readouterr().out.split("\n") if line.startswith("e: ")]


def last_line(capsys):
    return capsys.readouterr().out.strip().split("\n")[-1]


@pytest.mark.parametrize("run", [pytest.param(run, marks=pytest.mark.slow) if "htnet" in run else run for run in RUNS])
def test_printed_digits(run, release, capsys):
    case = RUNS[run]
    S = int(case["options"].get("hypotheses", 1))
    main.main(argv_of(case["options"]), draw=golden_draw(S))
    expected = case["average_as_published"]
    form = "Human3.6M  [  p1: {p1:.2f}, p2: {p2:.2f} ]" if "p1" in expected else "MPI-INF-3DHP [  pck: {pck:.2f}  ]"
    assert last_line(capsys) == form.format(**expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "form"),
    [
        ("", r"Human3\.6M  \[  p1: \d+\.\d\d, p2: \d+\.\d\d \]"),
        ("--dataset '3dhp' -k 'hrnet_coco'", r"MPI-INF-3DHP \[  pck: \d+\.\d\d  \]"),
    ],
)
def test_the_commands_run_as_written_from_a_clone(options, form, release):
    """In a shell, from a folder with main.py in it; with fewer samples than published, for time."""
    start = f'{sys.executable} {ROOT / "main.py"} --shhpe_model "htnet" --sample_nums 3 --mutilhyp_test'
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    command = f"{start} {options} --downsample 4"
    run = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(form, run.stdout.strip().split("\n")[-1])


@pytest.mark.slow
def test_seeded_noise_agrees_in_distribution_with_the_references(release, capsys):
    argv = [*argv_of(RUNS["h36m_mgcn_lw_s40_alpha0.03"]["options"]), "--downsample", "9"]

    def means(*more, **draw):
        main.main([*argv, *more], **draw)
        return [float(x) for x in re.findall(r"\d+\.\d\d", last_line(capsys))]

    pairs = [(means("--seed", str(seed)), means(draw=golden_draw(40, seed))) for seed in range(1, 9)]
    a, b = (np.array(x) for x in zip(*pairs, strict=True))
    assert (a.std(axis=0) > 0).all()  # seeds matter
    standard_error = np.sqrt((a.var(axis=0, ddof=1) + b.var(axis=0, ddof=1)) / 8)
    assert (np.abs(a.mean(axis=0) - b.mean(axis=0)) < 4 * standard_error).all()
    assert (standard_error < 0.1).all()  # so that agreeing means something


def test_training_writes_the_published_file(release, capsys):
    main.main(["--shhpe_model", "mgcn_lw", "--train", "--nepoch", "4", "--downsample", "3"])
    lines = epochs(capsys)
    assert len(lines) == 3  # one less than asked for, as published
    assert re.match(r"e: 1, lr: 0\.0005000, loss: \d\.\d{4}", lines[0])
    assert re.match(r"e: 3, lr: 0\.0004512, loss: ", lines[2])
    losses = [float(re.search(r"mse ([\d.]+)", line)[1]) for line in lines]
    assert losses[-1] < losses[0]
    path = release / "ckpt/your_model/avg_model_mgcn_lw.pth"
    assert list(path.parent.iterdir()) == [path]
    assert list(torch.load(path, weights_only=True)) == table("models/avg_linear.json")["state_dict_order"]
    assert load_published("avg_mgcn_lw", path)


@pytest.mark.parametrize("lifter", [pytest.param("htnet", marks=pytest.mark.slow), "mgcn_lw"])
def test_training_logs_the_released_loss(lifter, release, monkeypatch, capsys):
    """Golden weights, no dropout, no shuffling: the reference's log lines, digit for digit."""
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)
    monkeypatch.setattr(main, "build_variance_net", lambda name: network(VARIANCE_OF[name]))
    monkeypatch.setattr(main, "Windows", InOrder)
    main.main(["--shhpe_model", lifter, "--train", "--nepoch", "3", "--batch_size", "64"])
    golden = table("train/train.json")["models"][lifter]["two_epoch_published_log"]
    assert [line.partition("  (mse")[0] for line in epochs(capsys)] == golden


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--shhpe_model", "htnt"], "unknown lifter 'htnt'; did you mean htnet?"),
        (["--dataset", "h36"], "unknown data set 'h36'; did you mean h36m?"),
        (["--sample_nums", "0"], "expected --sample_nums from 1 to 2,147,483,647, got 0"),
        (["--mutilhyp_test", "--alpha", "-1"], "expected alpha to be a finite number >= 0"),
        (["--root_path", "nowhere"], "data_3d_h36m.npz: no such file"),
        (["--train", "--dataset", "3dhp"], "expected --dataset h36m with --train"),
        (["--train", "--nepoch", "1"], "expected --nepoch >= 2 (n runs n - 1 epochs), got 1"),
        (["-a", "Flying"], "no action 'Flying'"),
        (["--train", "--lr", "nan"], "expected --lr > 0, got nan"),
        (["--train", "--lr_decay", "-1"], "expected --lr_decay > 0, got -1.0"),
        (["--seed", "-1"], "expected --seed from 0 to 2^63 - 1, got -1"),
        (["--seed", "9" * 30], "expected --seed from 0 to 2^63 - 1"),
        (["--train", "--batch_size", "1"], "expected --batch_size >= 2 with --train, got 1"),
        (["--batch_size", "9" * 30], "expected --batch_size from 1 to"),
        (["--train", "--lr", "1e30", "--downsample", "20"], "is the learning rate too high?"),
        (["--train", "--save_ckpt_path", "ckpt/avg_model_htnet.pth"], "expected a folder for"),
        (["--gpu", "one"], "expected --gpu to be the index of a CUDA device, got 'one'"),
        (["--mutilhyp_test", "--sample_nums", "2" * 9], "no memory for the noise of"),
        (["--subset", "1e-6"], "expected a subset and stride that leave a frame"),
        (
            ["--shhpe_model", "mgcn_lw", "--mutilhyp_test", "--alpha", "1e38", "--downsample", "20"],
            "expected finite poses, got NaN or infinity",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_1(argv, message, release, capsys):
    assert guarded(lambda: main.main(argv)) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
