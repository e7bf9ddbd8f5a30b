"""The networks that prpose brings: cards in ``cards/cards.toml``, weights beside them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from torch import nn

from prpose.tables import look_up
from prpose.toml import read_toml
from prpose.weights import VARIANCE_PREFIX, load_published

CARDS = Path(__file__).parent / "cards"


@dataclass(frozen=True)
class Card:
    """A lifter with its variance net: what they are, where from, and what they are worth.

    Args:
        name: of the model, ``mgcn-cmu17``.
        network: the lifter's name in ``LIFTERS``.
        lifter_file, noise_file: weights beside the cards.
        lifter_sha256, noise_sha256: of those files.
        alpha: scale of the noise, chosen on validation.
        data: what it was trained on, and ``data_sha256``, the hash of everything in it.
        date: when.
        lifter_command, noise_command: what made the weights, seeds included.
        scores: by split and metric.
    """

    name: str
    network: str
    lifter_file: str
    lifter_sha256: str
    noise_file: str
    noise_sha256: str
    alpha: float
    data: str
    data_sha256: str
    date: str
    lifter_command: str
    noise_command: str
    scores: Mapping[str, Mapping[str, float]]

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Lifter and variance net, in eval mode, on the CPU.

        Raises:
            ValueError: naming the file, if its checksum is not the card's.
        """
        for file, expected in (
            (self.lifter_file, self.lifter_sha256),
            (self.noise_file, self.noise_sha256),
        ):
            found = hashlib.sha256((CARDS / file).read_bytes()).hexdigest()
            if found != expected:
                raise ValueError(f"{CARDS / file}: expected SHA-256 {expected}, got {found}")
        lifter = load_published(self.network, CARDS / self.lifter_file)
        return lifter, load_published(VARIANCE_PREFIX + self.network, CARDS / self.noise_file)


@cache
def cards() -> dict[str, Card]:
    """All cards by name."""
    content = read_toml(CARDS / "cards.toml")
    names = {field.name for field in fields(Card)} - {"name"}
    found = {}
    for name, entries in content.items():
        assert set(entries) == names, f"card {name} lacks or has more than {sorted(names)}"
        found[name] = Card(name, **entries)
    return found


def find_card(name: str) -> Card:
    """The card of that name; ``ValueError`` that lists the known ones, if there is none."""
    return look_up(name, cards(), "model")
