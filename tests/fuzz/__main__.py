"""Fuzzes readers and prints a table of inputs and finds; finds become files that tests/test_fuzz.py replays.

``python -m tests.fuzz bvh,csv --seconds 600`` takes some readers, ``all`` takes all; inputs are counted that reached
the reader. ``--engine atheris`` is guided by coverage, ``random`` needs no more than the tests do.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz import engine
from tests.fuzz.targets import named

CORPUS = Path(__file__).parent.parent / "data" / "fuzz"
COLUMNS = ("inputs", "read", "refused", "crashed", "finds")
HEADER = f"| reader | {' | '.join(COLUMNS)} |\n|---|{'--:|' * len(COLUMNS)}"


def main():
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("readers", help="names, separated by commas, or all")
    parser.add_argument("--seconds", type=float, default=60, help="time per reader")
    parser.add_argument("--inputs", type=int, default=10**9, help="inputs per reader, if that is reached before")
    parser.add_argument("--engine", choices=("random", "atheris"), default="random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finds", type=Path, default=CORPUS, help="folder of the files with finds")
    parser.add_argument("--table", type=Path, help="JSON file to add the counts to, of which the table is printed")
    given = parser.parse_args()
    counts = json.loads(given.table.read_text()) if given.table and given.table.is_file() else {}
    print(HEADER, flush=True)
    for name in named(given.readers):
        result = engine.run(name, given.seconds, given.inputs, given.seed, given.engine, CORPUS)
        new = {key: getattr(result, key) for key in COLUMNS[:-1]} | {"finds": sorted(result.finds)}
        old = counts.get(name, dict.fromkeys(COLUMNS, 0) | {"finds": []})
        counts[name] = {
            key: sorted({*old[key], *new[key]}) if key == "finds" else old.get(key, 0) + new[key] for key in new
        }
        print(row(name, counts[name]), flush=True)
        for path, (fault, details) in zip(engine.keep(given.finds, name, result), result.details.items(), strict=True):
            print(f"{name}: {fault}: {path}\n{details}", file=sys.stderr, flush=True)
        if given.table:
            given.table.write_text(json.dumps(counts, indent=1) + "\n")
    print(row("all", {key: sum(total(count.get(key, 0)) for count in counts.values()) for key in COLUMNS}))
    return 1 if any(count["finds"] for count in counts.values()) else 0


def total(value):
    return len(value) if isinstance(value, list) else value


def row(name, counts):
    return f"| {name} | " + " | ".join(f"{total(counts.get(key, 0)):,}" for key in COLUMNS) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
