"""prpose motion: hypotheses over whole clips, with each kind of noise in time."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import tyro
from rich.table import Table

from prpose.cli.console import plain_console
from prpose.cli.device import chunk_for
from prpose.cli.evaluate import as_json, write
from prpose.cli.progress import progress
from prpose.cli.scored import Scored
from prpose.data import load_clips
from prpose.evaluation import MOCAP
from prpose.evaluation.motions import VALUES, score_motions
from prpose.hypotheses import HypothesisLifter
from prpose.noise_in_time import KINDS, kept


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
    options.check()
    on, networks = options.on, options.networks(MOCAP.alpha)
    net = HypothesisLifter(networks.lifter, networks.noise, chunk=chunk_for(on)).to(on)
    clips = load_clips(dataset, options.root, options.split)[:: options.stride]
    rows: dict[str, dict[str, float]] = {}
    with progress("motion", len(KINDS) * sum(map(len, clips))) as advance:
        for kind in KINDS:
            keep = partial(kept, kind, time_constant_s=options.time_constant)
            scores = score_motions(net, clips, hypotheses, options.seed, keep, on, advance)
            rows[kind] = {
                name: float(scores[name].double().mean()) * (1000 if unit == "mm" else 1)
                for name, unit in VALUES.items()
            }
    show(rows, hypotheses)
    if options.json is not None:
        settings = {"dataset": dataset, "hypotheses": hypotheses, **asdict(options)}
        settings |= {"alpha": networks.noise.alpha, "floor": networks.noise.floor, "device": on}
        content: dict[str, Any] = {"settings": {k: as_json(v) for k, v in settings.items()}}
        write(options.json, content | {"sha256": networks.sha256, "units": VALUES, "kinds": rows})


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
