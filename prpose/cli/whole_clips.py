"""What ``motion`` and ``choose`` have in common: all frames of some clips, averages, a report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from prpose.cli.evaluate import as_json, write
from prpose.cli.scored import Networks, Scored
from prpose.data import Clip, load_clips
from prpose.evaluation import MOCAP
from prpose.sampler import Sampler


def prepared(dataset: str, options: Scored) -> tuple[Sampler, Sequence[Clip], Networks]:
    """The networks together, every stride-th clip, and the networks' origin."""
    options.check()
    on, networks = options.on, options.networks(MOCAP.alpha)
    net = Sampler(networks.lifter, networks.noise).to(on)
    return net, load_clips(dataset, options.root, options.split)[:: options.stride], networks


def averages(scores: Mapping[str, Tensor], units: Mapping[str, str]) -> dict[str, float]:
    """Of each value over its frames, in the unit that it is reported in."""
    return {name: float(scores[name].double().mean()) * (1000 if unit == "mm" else 1) for name, unit in units.items()}


def report(dataset: str, S: int, options: Scored, networks: Networks, content: Mapping[str, Any]) -> None:
    """Writes the JSON file, if one is wanted: the content, and what it takes to repeat it."""
    if options.json is None:
        return
    settings = {"dataset": dataset, "hypotheses": S, **asdict(options)}
    noise = networks.noise
    settings |= {"alpha": noise.alpha, "floor": noise.floor, "device": options.on}
    plain = {key: as_json(value) for key, value in settings.items()}
    write(options.json, {"settings": plain, "sha256": networks.sha256, **content})
