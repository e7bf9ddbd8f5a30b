"""The card of a trained model: its networks, training, data and scores."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from prpose.regions import region_quantiles
from prpose.rng import check_rate, check_scale

ROLES = ("lifter", "noise")
INPUT_LIMITS = ("largest_pose", "smallest_size", "largest_size", "largest_place")  # see prpose.out_of_distribution


@dataclass(frozen=True)
class Network:
    """One of a model's networks."""

    network: str  # its name in prpose.weights.load_published: htnet, avg_htnet
    sha256: str  # of its file
    command: str  # that trained it, seed included
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of its constructor that differ from the published ones
    commit: str = ""  # of prpose
    training: str = ""  # duration and data of the training

    @property
    def names(self) -> list[str]:
        """Names of the network and, of a mixture, of its members."""
        names, values = [str(self.network)], list[Any]([self.arguments])
        while values:
            value = values.pop()
            if isinstance(value, Mapping):
                names += [str(value["name"])] if "name" in value else []
                values += value.values()
            elif isinstance(value, list | tuple):
                values += value
        return names


@dataclass(frozen=True)
class Card:
    """Description of a model: a lifter with its variance net; ``ValueError`` for numbers out of range."""

    name: str
    lifter: Network
    noise: Network | None  # a variance net or learnt noise; a one-pass network has none
    alpha: float  # scale of a variance net's noise, or of a one-pass network's own noise of each coordinate
    data: str
    data_sha256: str  # of all inputs of the training
    date: str
    floor: float = 1.0  # of the noise (prpose.noise.AdaptiveNoise)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by split and metric, of these weights
    limits_95: Mapping[str, float] = field(default_factory=dict)  # conformal quantile of each joint (prpose.regions)
    fps: float | None = None  # frames per second of the training data, of lifters with several frames
    input_limits: Mapping[str, float] = field(default_factory=dict)  # of inputs as in training; see INPUT_LIMITS

    def __post_init__(self) -> None:
        region_quantiles({"limits_95": self.limits_95})
        check_scale("alpha", self.alpha)
        check_scale("floor", self.floor)
        check_rate(self.fps)
        if not all(name in INPUT_LIMITS and 0 < value < float("inf") for name, value in self.input_limits.items()):
            raise ValueError(f"expected input_limits > 0 of {', '.join(INPUT_LIMITS)}, got {self.input_limits!r:.80}")

    @property
    def roles(self) -> tuple[str, ...]:
        """The networks that there are."""
        return ROLES if self.noise is not None else ROLES[:1]


def card_of(content: Mapping[str, Any]) -> Card:
    """A card from the content of its JSON; ``ValueError`` if that is none."""
    try:
        values = dict(content)
        lifter = Network(**values.pop("lifter"))
        noise = Network(**found) if (found := values.pop("noise")) is not None else None
        card = Card(lifter=lifter, noise=noise, **values)
        return msgspec.convert(asdict(card), Card)  # checks the types
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"not a model's card ({error})") from None
