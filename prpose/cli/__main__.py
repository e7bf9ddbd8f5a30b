"""``python -m prpose.cli``: the same as ``prpose``."""

from prpose.cli import main

main()
