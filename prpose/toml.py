"""TOML files, read."""

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """What the file holds.

    Raises:
        ValueError: naming the file, if it is missing or no TOML.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path}: not a TOML file that can be read: nested too deep") from None
    except ValueError as error:  # of TOML, of text, or of an integer with too many digits
        raise ValueError(f"{path}: not a TOML file ({error})") from None
