"""prpose choose: which one pose of the hypotheses to take, measured."""

from functools import partial
from typing import Annotated

import tyro
from rich.table import Table

from prpose.cli.console import plain_console
from prpose.cli.console import progress
from prpose.cli.scored import Scored
from prpose.cli.whole_clips import averages, prepared, report
from prpose.evaluation.choices import VALUES, score_choices
from prpose.noise import noise_rho


def choose(
    dataset: tyro.conf.Positional[str],
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    options: Annotated[Scored, tyro.conf.arg(name="")],
) -> None:
    """Errors, bones and jitter of one pose for many, by every way to choose it.

    All frames of all clips; every stride-th clip.

    Args:
        dataset: cmu17, walkers, or the name of a benchmark of your own.
        hypotheses: S, the number of hypotheses.
        options: of the scoring; --batch-size plays no part.
    """
    net, clips, networks = prepared(dataset, options)
    keep = partial(noise_rho, options.noise_correlation, time_constant_s=options.time_constant)
    with progress("choose", sum(map(len, clips))) as advance:
        scores = score_choices(net, clips, hypotheses, options.seed, keep, options.on, advance)
    rows = {name: averages(values, VALUES) for name, values in scores.items()}
    show(rows, hypotheses)
    report(dataset, hypotheses, options, networks, {"units": VALUES, "choices": rows})


def show(rows: dict[str, dict[str, float]], S: int) -> None:
    """Prints a line per choice."""
    table = Table(title=f"S = {S}, mean over frames", title_justify="left", padding=0)
    table.add_column("", no_wrap=True)
    for value, unit in VALUES.items():
        table.add_column(f"{value}\n{unit}", justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[value]:.1f}" for value in VALUES))
    plain_console().print(table)
