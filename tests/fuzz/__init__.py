"""Fuzzing of every reader: a reader returns or refuses a file with a ``ValueError``, and does nothing else.

``targets.py`` lists the readers with valid files of each; ``damage*.py`` change valid files, most often as their format
has it, so that the change reaches the reader; ``outcome.py`` states what a reader may do. ``python -m tests.fuzz`` runs
any of them for long, in a process that may crash or hang; tests/test_fuzz.py runs all of them for seconds.
"""
