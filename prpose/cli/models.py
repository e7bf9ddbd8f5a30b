"""prpose models: the networks that prpose brings."""

from rich.table import Table

from prpose.cli.console import plain_console
from prpose.models import CARDS, cards


def models() -> None:
    """The networks that prpose brings, what they were trained on, and what they are worth."""
    console = plain_console()
    for card in cards().values():
        size = sum((CARDS / file).stat().st_size for file in (card.lifter_file, card.noise_file))
        table = Table(title=card.name, title_justify="left", show_header=False)
        table.add_row("networks", f"{card.network} and its variance net, {size / 1e6:.1f} MB")
        table.add_row("data", f"{card.data} (inputs {card.data_sha256[:12]}…), {card.date}")
        table.add_row("noise", f"alpha {card.alpha}")
        for split, scores in card.scores.items():
            table.add_row(split, ", ".join(f"{name} {value}" for name, value in scores.items()))
        table.add_row("lifter made by", card.lifter_command)
        table.add_row("noise made by", card.noise_command)
        console.print(table)
    if not cards():
        console.print("none yet")
