"""Where tables are printed: names from files are text, whatever brackets or colons they hold."""

from rich.console import Console


def plain_console() -> Console:
    """Standard output, without rich's markup."""
    return Console(markup=False, emoji=False)
