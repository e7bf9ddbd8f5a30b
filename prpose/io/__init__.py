"""Files and devices: keypoints, predictions, pictures and video."""

import importlib
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """A module of an optional dependency, imported.

    Raises:
        ValueError: naming the extra to install, if the module is missing or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and error.name == name
        problem = "is not installed" if missing else f"cannot be imported ({error})"
        raise ValueError(f'{name} {problem}: pip install "prpose[{extra}]"') from None
