"""Files and devices: keypoints, predictions, pictures and video."""

import importlib
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """A module of an optional dependency; ``ValueError`` naming the extra to install, if it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        problem = "is not installed" if error.name == name else f"cannot be imported ({error})"
        raise ValueError(f'{name} {problem}: pip install "prpose[{extra}]"') from None
