"""prpose models: the networks that prpose brings."""

from rich.table import Table

from prpose.cli.console import plain_console
from prpose.hub import bundled_models


def models() -> None:
    """The networks that prpose brings, what they were trained on, and what they are worth."""
    console = plain_console()
    for name, model in bundled_models().items():
        card = model.card
        table = Table(title=name, title_justify="left", show_header=False)
        networks = f"{card.lifter.network} and its variance net, {model.size / 1e6:.1f} MB"
        table.add_row("networks", networks)
        table.add_row("data", f"{card.data} (inputs {card.data_sha256[:12]}…), {card.date}")
        table.add_row("noise", f"alpha {card.alpha}, floor {card.floor}, {card.noise.network}")
        for split, scores in card.scores.items():
            table.add_row(split, ", ".join(f"{key} {value}" for key, value in scores.items()))
        table.add_row("lifter made by", card.lifter.command)
        table.add_row("noise made by", card.noise.command)
        table.add_row("training", card.lifter.training)
        console.print(table)
