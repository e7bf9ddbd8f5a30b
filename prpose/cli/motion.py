"""prpose motion: hypotheses over whole clips, with each kind of noise in time."""

from functools import partial
from typing import Annotated

import tyro
from rich.table import Table

from prpose.cli.console import plain_console
from prpose.cli.console import progress
from prpose.cli.scored import Scored
from prpose.cli.whole_clips import averages, prepared, report
from prpose.evaluation.motions import VALUES, score_motions
from prpose.noise import noise_rho


def motion(
    dataset: tyro.conf.Positional[str],
    hypotheses: Annotated[int, tyro.conf.arg(aliases=["-n"])],
    options: Annotated[Scored, tyro.conf.arg(name="")],
) -> None:
    """Errors and jitter of hypotheses that are motions, with each kind of noise in time.

    All frames of all clips; every stride-th clip. Each kind has its own row.

    Args:
        dataset: cmu17, walkers, or the name of a benchmark of your own.
        hypotheses: S, the number of hypotheses.
        options: of the scoring; --in-time and --batch-size play no part.
    """
    net, clips, networks = prepared(dataset, options)
    rows: dict[str, dict[str, float]] = {}
    with progress("motion", len(KINDS) * sum(map(len, clips))) as advance:
        for kind in KINDS:
            keep = partial(noise_rho, kind, time_constant_s=options.time_constant)
            scores = score_motions(net, clips, hypotheses, options.seed, keep, options.on, advance)
            rows[kind] = averages(scores, VALUES)
    show(rows, hypotheses)
    report(dataset, hypotheses, options, networks, {"units": VALUES, "kinds": rows})


def show(rows: dict[str, dict[str, float]], S: int) -> None:
    """Prints a line per value, a column per kind of noise."""
    table = Table(title=f"S = {S}, mean over frames", title_justify="left", padding=0)
    table.add_column("", no_wrap=True)
    for kind in rows:
        table.add_column(kind, justify="right", no_wrap=True)
    for name, unit in VALUES.items():
        table.add_row(f"{name}, {unit}", *(f"{row[name]:.1f}" for row in rows.values()))
    console = plain_console()
    console.print(table)
    console.print(*(f"{kind}: {KINDS[kind]}" for kind in rows), sep="\n", highlight=False)
