"""``python -m prpose``: the same as ``prpose``, and what ``torchrun -m prpose`` starts."""

from prpose.cli import main

main()
